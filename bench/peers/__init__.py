"""The libraries that are compared, one a module, and what each must offer."""

from __future__ import annotations

import importlib.util
import sys
from typing import Protocol, cast

import numpy as np

from bench.shapes import Problem

# The name on the command line, and the name in a table.
PEERS = {
    "fastmlp": "fastmlp",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
    "jax": "JAX",
}


class Trainee(Protocol):
    """A network in training."""

    def run_epochs(self, n: int) -> None:
        """Train for n epochs in the problem's order; return when all is done."""

    def params(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights, (n_in, n_out) each, and biases as they now are."""


class Peer(Protocol):
    """A module of this package.

    The number of threads is already in the environment, and the process bound to
    as many CPUs, when a peer's library is imported.
    """

    def available(self) -> str | None:
        """Return None, or why the library cannot be used; do not import it."""

    def versions(self) -> dict[str, str]:
        """Return what is measured, by name."""

    def prepare(self, problem: Problem) -> Trainee:
        """Return a network at the problem's initial parameters."""


def load_peer(name: str) -> Peer:
    """Return the module of a peer."""
    return cast(Peer, importlib.import_module(f"bench.peers.{name}_peer"))


def find_missing(*modules: str) -> str | None:
    """Return None, or what is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} not installed" if missing else None


def keep_available(peers: list[str]) -> list[str]:
    """Return the peers that can be used; say why the others cannot."""
    reasons = {peer: load_peer(peer).available() for peer in peers}
    for peer, reason in reasons.items():
        if reason:
            print(f"{PEERS[peer]} is left out: {reason}", file=sys.stderr)
    return [peer for peer in peers if not reasons[peer]]
