"""Gradients and parameters between the workers of a sharded fit, by plain sockets.

The workers are the nodes of a binomial tree: gradients go up to the first, parameters
down from it, ⌈log₂ p⌉ messages one after the other each way. Nobody waits without a
deadline, and a connection counts only once it has sent the round's token. Under TLS
where the cluster has it.
"""

from __future__ import annotations

import copy
import hmac
import pickle
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.parts import Message, S
from fastmlp.sharded import Branch, add_up_all, branches

# Longest wait for a message, in seconds; a process that has died is seen at once.
DEADLINE = 60.0
GREETING_DEADLINE = 2.0
TOKEN_BYTES = 32
# A machine that has vanished is seen after so many seconds, and two more.
KEEPALIVE = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2}

Place = tuple[str, int]
Model = tuple[Network, Optimizer]


# -- the tree of workers


def parent_of(number: int) -> int:
    """Whom a worker sends its gradients to; the first, 0, sends to nobody."""
    return number & (number - 1)


def children_of(number: int, n_workers: int) -> list[int]:
    """Who sends gradients to a worker."""
    return [other for other in range(1, n_workers) if parent_of(other) == number]


def leaves_below(number: int, shards: Sequence[Sequence[int]]) -> list[int]:
    """The shards of a worker and of all that send to it."""
    found = [*shards[number]]
    for child in children_of(number, len(shards)):
        found += leaves_below(child, shards)
    return found


# -- connections


def listen(host: str) -> socket.socket:
    """A socket that waits for the other workers, at that address only."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)
    server.settimeout(DEADLINE)
    return server


def accept(
    server: socket.socket,
    token: bytes,
    numbers: Sequence[int],
    tls: ssl.SSLContext | None = None,
) -> list[socket.socket]:
    """Connections of those workers, in this order, under TLS where it is given.

    Raises
    ------
    TimeoutError
        If one does not come.
    """
    found: dict[int, socket.socket] = {}
    until = time.monotonic() + DEADLINE
    try:
        while len(found) < len(numbers):
            if time.monotonic() > until:
                raise TimeoutError("a worker of the round has not come")
            stranger, _ = server.accept()
            peer, number = _greeted(stranger, token, tls)
            if number not in numbers or number in found:
                peer.close()
                continue
            found[number] = _prepared(peer)
    except BaseException:
        for peer in found.values():
            peer.close()
        raise
    return [found[number] for number in numbers]


def _greeted(
    peer: socket.socket, token: bytes, tls: ssl.SSLContext | None
) -> tuple[socket.socket, int]:
    """The connection, and the number of a worker that has the token; -1 of anybody
    else.
    """
    peer.settimeout(GREETING_DEADLINE)
    greeting = bytearray(TOKEN_BYTES + 4)
    try:
        if tls is not None:
            peer = tls.wrap_socket(peer, server_side=True)
        receive_into(peer, greeting)
    except OSError:
        return peer, -1
    if not hmac.compare_digest(bytes(greeting[:TOKEN_BYTES]), token):
        return peer, -1
    return peer, int.from_bytes(greeting[TOKEN_BYTES:], "big")


def connect(
    place: Place, token: bytes, number: int, tls: ssl.SSLContext | None = None
) -> socket.socket:
    """A connection to the worker that waits there, under TLS where it is given."""
    parent = _prepared(socket.create_connection(place, timeout=DEADLINE))
    try:
        if tls is not None:
            parent = tls.wrap_socket(parent)
        parent.sendall(token + number.to_bytes(4, "big"))
    except BaseException:
        parent.close()
        raise
    return parent


def _prepared(peer: socket.socket) -> socket.socket:
    peer.settimeout(DEADLINE)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer


def receive_into(peer: socket.socket, buffer: Any) -> None:
    """Fill a buffer.

    Raises
    ------
    ConnectionError
        If the other side has gone.
    """
    left = memoryview(buffer).cast("B")
    while left:
        try:
            n_bytes = peer.recv_into(left)
        except ValueError:  # what TLS says of a socket that is closed here
            n_bytes = 0
        if n_bytes == 0:
            raise ConnectionError("a worker of the round has gone")
        left = left[n_bytes:]


def close(peer: socket.socket) -> None:
    """Close a socket, also under a thread that waits at it."""
    with suppress(OSError):
        # Not TLS's own, which takes its state from under the thread.
        socket.socket.shutdown(peer, socket.SHUT_RDWR)
    peer.close()


# -- messages


def _without_slots(network: Network, optimizer: Optimizer) -> Model:
    twin = copy.copy(optimizer)
    twin.slots = optimizer.slots[:, :0]
    return network, twin


class SocketExchange:
    """A worker's exchange with its parent and its children in the tree.

    Parameters
    ----------
    number : int
        Which worker this is; 0 is the first.
    shards : sequence of sequence of int
        What each worker has.
    parent : socket or None
        None of the first.
    children : sequence of socket
        In the order of :func:`children_of`.
    """

    def __init__(
        self,
        number: int,
        shards: Sequence[Sequence[int]],
        parent: socket.socket | None,
        children: Sequence[socket.socket],
    ) -> None:
        n_leaves = sum(map(len, shards))
        self._parent, self._children = parent, children
        self._mine = branches(leaves_below(number, shards), n_leaves)
        self._theirs = [
            branches(leaves_below(child, shards), n_leaves)
            for child in children_of(number, len(shards))
        ]
        self.is_first = parent is None

    def begin(self, model: Model | None) -> Model:
        """Give the first worker's network and optimizer to all; only the first has the
        optimizer's slots.
        """
        message = bytearray()
        if model is not None:
            message += pickle.dumps(_without_slots(*model), pickle.HIGHEST_PROTOCOL)
        elif self._parent is not None:
            size = bytearray(8)
            receive_into(self._parent, size)
            message = bytearray(int.from_bytes(size, "big"))
            receive_into(self._parent, message)
        for child in self._children:
            child.sendall(len(message).to_bytes(8, "big"))
            child.sendall(message)
        # Of the worker that the client has named: it has shown the round's token.
        return pickle.loads(message) if model is None else model

    def prepare(self, make: Callable[[], Any]) -> None:
        """Have memory for what the children send."""
        self._received = [
            {branch: make() for branch in names} for names in self._theirs
        ]
        self._make = make

    def gather(self, found: dict[Branch, S]) -> dict[Branch, S]:
        """Add what the children send, and pass it on."""
        for child, parts in zip(self._children, self._received, strict=True):
            for branch, part in parts.items():
                receive_into(child, part.memory)
                if part.unpack():
                    found[branch] = part
        sums = add_up_all(self._mine, found)
        if self._parent is not None:
            for branch in self._mine:
                part = sums.get(branch) or self._make()  # without rows
                self._parent.sendall(part.pack().data)
        return sums

    def share(self, message: Message) -> None:
        """Pass the first worker's message on."""
        if self._parent is not None:
            receive_into(self._parent, message.memory)
        for child in self._children:
            child.sendall(message.memory.data)

    def close(self) -> None:
        """Have all threads that wait for this worker fail."""
        for peer in (self._parent, *self._children):
            if peer is not None:
                close(peer)
