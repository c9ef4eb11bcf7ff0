"""Gradients and parameters between the workers of a sharded fit, by plain sockets.

A step costs a message each way between the first worker and every other. Nobody waits
without a deadline, and a connection counts only once it has sent the round's token.
"""

from __future__ import annotations

import hmac
import socket
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.network import Network
from fastmlp.optimizers import BatchGradient
from fastmlp.sharded import Branch, Part

# Longest wait for a message, in seconds; a worker that has died is seen at once.
DEADLINE = 60.0
GREETING_DEADLINE = 2.0
TOKEN_BYTES = 32

Place = tuple[str, int]


def listen(host: str) -> socket.socket:
    """A socket that waits for the other workers, at that address only."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)
    server.settimeout(DEADLINE)
    return server


def accept(server: socket.socket, token: bytes, n_peers: int) -> list[socket.socket]:
    """Connections of all others, in the order of their numbers.

    Raises
    ------
    TimeoutError
        If one does not come.
    """
    found: dict[int, socket.socket] = {}
    until = time.monotonic() + DEADLINE
    try:
        while len(found) < n_peers:
            if time.monotonic() > until:
                raise TimeoutError("a worker of the round has not come")
            peer, _ = server.accept()
            number = _greeting(peer, token)
            if number not in range(1, n_peers + 1) or number in found:
                peer.close()
                continue
            peer.settimeout(DEADLINE)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found[number] = peer
    except BaseException:
        for peer in found.values():
            peer.close()
        raise
    return [found[number] for number in sorted(found)]


def _greeting(peer: socket.socket, token: bytes) -> int:
    """The number of a worker that has the token; 0 of anybody else."""
    peer.settimeout(GREETING_DEADLINE)
    greeting = bytearray(TOKEN_BYTES + 4)
    try:
        receive_into(peer, greeting)
    except OSError:
        return 0
    if not hmac.compare_digest(bytes(greeting[:TOKEN_BYTES]), token):
        return 0
    return int.from_bytes(greeting[TOKEN_BYTES:], "big")


def connect(place: Place, token: bytes, number: int) -> socket.socket:
    """A connection to the first worker."""
    first = socket.create_connection(place, timeout=DEADLINE)
    first.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first.sendall(token + number.to_bytes(4, "big"))
    return first


def receive_into(peer: socket.socket, buffer: Any) -> None:
    """Fill a buffer.

    Raises
    ------
    ConnectionError
        If the other side has gone.
    """
    left = memoryview(buffer).cast("B")
    while left:
        n_bytes = peer.recv_into(left)
        if n_bytes == 0:
            raise ConnectionError("a worker of the round has gone")
        left = left[n_bytes:]


def _message(network: Network, n_branches: int) -> np.ndarray:
    """Room for parts of branches, in one piece; of one without rows n_rows is 0."""
    kind = network.dtype
    fields = [
        ("n_rows", np.int64),
        ("weight", np.float64),
        ("loss", np.float64),
        ("grad", kind, (network.params.size,)),
        ("moments", kind, (network.stats.size,)),
    ]
    return np.zeros(n_branches, np.dtype(fields))


class First:
    """The first worker's exchange with the others.

    Parameters
    ----------
    network : Network
        What is trained.
    peers : sequence of socket
        The others.
    branches : sequence of list
        What each of them has.
    """

    is_first = True

    def __init__(
        self,
        network: Network,
        peers: Sequence[socket.socket],
        branches: Sequence[list[Branch]],
    ) -> None:
        self._peers, self._branches = peers, branches
        self._messages = [_message(network, len(theirs)) for theirs in branches]

    def gather(self, found: dict[Branch, Part]) -> dict[Branch, Part]:
        """Add what the others send."""
        parts = zip(self._peers, self._branches, self._messages, strict=True)
        for peer, theirs, message in parts:
            receive_into(peer, message.view(np.uint8))
            for branch, row in zip(theirs, message, strict=True):
                if row["n_rows"]:
                    gradient = BatchGradient(
                        *(row["grad"].copy(), row["moments"].copy(), 1.0),
                        *(float(row["loss"]), int(row["n_rows"])),
                    )
                    found[branch] = Part(gradient, float(row["weight"]))
        return found

    def share(self, params: np.ndarray) -> None:
        """Send the parameters to all."""
        for peer in self._peers:
            peer.sendall(params.data)


class Other:
    """Another worker's exchange with the first.

    Parameters
    ----------
    network : Network
        What is trained.
    first : socket
        The first worker.
    branches : list of tuple
        What this one has.
    """

    is_first = False

    def __init__(
        self, network: Network, first: socket.socket, branches: list[Branch]
    ) -> None:
        self._first, self._branches = first, branches
        self._message = _message(network, len(branches))

    def gather(self, found: dict[Branch, Part]) -> dict[Branch, Part]:
        """Send what is here."""
        for row, branch in zip(self._message, self._branches, strict=True):
            part = found.get(branch)
            row["n_rows"] = 0 if part is None else part.gradient.n_rows
            if part is not None:
                row["weight"], row["loss"] = part.weight, part.gradient.loss
                row["grad"], row["moments"] = part.gradient.grad, part.gradient.moments
        self._first.sendall(self._message.tobytes())
        return {}

    def share(self, params: np.ndarray) -> None:
        """Receive the parameters."""
        receive_into(self._first, params)
