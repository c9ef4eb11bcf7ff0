"""``bench steps``: the time of a training step."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.agreement import DisagreementError, check_agreement, flatten
from bench.environment import describe_machine, describe_pools
from bench.machine import bound_of, measure_machine
from bench.peers import PEERS, keep_available, load_peer
from bench.report import print_table, write_json
from bench.shapes import Shape, find_shapes, make_problem
from bench.timing import MIN_SECONDS, measure, summarize
from bench.worker import WorkerError, run_worker, thread_counts

# A spread that means that something else ran on the machine.
UNSTEADY = 1.25
# A machine is not the same from minute to minute: the samples of a shape are taken in
# so many rounds, each through all peers, so that a slow minute is everyone's.
ROUNDS = 3


def work(job: dict) -> dict:
    """Check and time one peer on one shape (in a worker)."""
    peer = load_peer(job["peer"])
    problem = make_problem(Shape(**job["shape"]), job["n_threads"])
    try:
        agreement = check_agreement(peer, problem)
    except DisagreementError as error:
        return {"refused": str(error)}
    trainee = peer.prepare(problem)
    epochs = measure(trainee.run_epochs, job["repeats"], job["seconds"])
    if not np.isfinite(flatten(*trainee.params())).all():
        return {"refused": "the parameters did not stay finite"}
    return {
        "samples": [epoch / problem.shape.n_steps for epoch in epochs],
        "agreement": agreement,
        "versions": peer.versions(),
        "pools": describe_pools(),
    }


def measure_peer(
    shape: Shape, peer: str, n_threads: int, repeats: int, seconds: float
) -> dict:
    """Let a worker take samples, and say what came of it."""
    job = {"peer": peer, "shape": asdict(shape), "repeats": repeats, "seconds": seconds}
    try:
        outcome = run_worker("steps", n_threads, **job)
    except WorkerError as error:
        outcome = {"refused": str(error)}
    if "samples" in outcome:
        us = summarize(outcome["samples"], 1e-6)
        said = f"{us['median']:.1f} µs a step ({us['min']:.1f} to {us['max']:.1f})"
        said += ", unsteady" if us["max"] > UNSTEADY * us["min"] else ""
    else:
        said = f"refused: {outcome['refused']}"
    print(f"{shape.name} {peer} threads={n_threads} {said}", file=sys.stderr)
    return outcome | {"n_threads": n_threads}


def join_rounds(outcomes: Sequence[dict]) -> dict:
    """Return what came of a measurement in all rounds: its samples together."""
    if refused := [outcome for outcome in outcomes if "refused" in outcome]:
        return refused[0]
    samples = [sample for outcome in outcomes for sample in outcome["samples"]]
    return outcomes[0] | {"us": summarize(samples, 1e-6)}


def measure_shape(
    shape: Shape, peers: list[str], threads: Sequence[int], repeats: int, seconds: float
) -> dict[str, list[dict]]:
    """Return what came of each peer, with each number of threads."""
    rounds = [
        {
            (peer, n): measure_peer(shape, peer, n, m, seconds)
            for peer in peers
            for n in threads
        }
        for m in split_evenly(repeats, ROUNDS)
    ]
    return {
        peer: [join_rounds([of_all[peer, n] for of_all in rounds]) for n in threads]
        for peer in peers
    }


def split_evenly(n: int, parts: int) -> list[int]:
    """Return n as a sum of that many numbers, or of ones."""
    return [n // parts + (i < n % parts) for i in range(min(n, parts))]


def make_row(shape: Shape, peer: str, measured: list[dict], machine: dict) -> dict:
    """Return a peer's row of a shape: its best thread count, held to the bound."""
    best = min(measured, key=lambda outcome: outcome["us"]["median"])
    median = best["us"]["median"]
    bound = bound_of(shape, machine[best["n_threads"]]) * 1e6
    return {
        "shape": shape.name,
        "network": str(shape),
        "peer": peer,
        "n_threads": best["n_threads"],
        "us": best["us"],
        "gflops": round(shape.flops / median / 1e3, 2),
        "bound_us": round(bound, 3),
        "fraction": round(bound / median, 4),
        "median_us_by_threads": {o["n_threads"]: o["us"]["median"] for o in measured},
        "agreement": best["agreement"],
        "pools": best["pools"],
    }


def add_ratios(rows: list[dict]) -> None:
    """Add to each row of a shape how many times fastmlp's time it takes."""
    own = [row["us"]["median"] for row in rows if row["peer"] == "fastmlp"]
    for row in rows:
        row["ratio"] = round(row["us"]["median"] / own[0], 3) if own else None


def print_rows(rows: list[dict]) -> None:
    """Print the result."""
    header = "shape peer threads µs/step min max GFLOP/s of-bound ×fastmlp"
    print_table(
        header.split(),
        (
            [
                *(row["shape"], PEERS[row["peer"]], row["n_threads"]),
                *row["us"].values(),
                *(row["gflops"], f"{row['fraction']:.0%}", row["ratio"]),
            ]
            for row in rows
        ),
    )


def measure_shapes(
    shapes: Sequence[Shape],
    peers: list[str],
    machine: dict[int, dict],
    repeats: int,
    seconds: float = MIN_SECONDS,
) -> tuple[list[dict], dict[str, str], bool]:
    """Measure every shape with every peer.

    Parameters
    ----------
    shapes : sequence of Shape
        What is trained.
    peers : list of str
        Keys of `PEERS`, all of them available.
    machine : dict
        What the machine can do with each number of threads that is to be tried.
    repeats : int
        Samples of each measurement.
    seconds : float
        How long each sample lasts at least.

    Returns
    -------
    rows : list of dict
        One for each shape and peer.
    versions : dict of str
        What was measured, by name.
    refused : bool
        Whether any measurement was refused.
    """
    rows: list[dict] = []
    versions: dict[str, str] = {}
    refused = False
    for shape in shapes:
        of_shape = []
        of_peers = measure_shape(shape, peers, list(machine), repeats, seconds)
        for peer, outcomes in of_peers.items():
            refused |= any("refused" in outcome for outcome in outcomes)
            if measured := [outcome for outcome in outcomes if "us" in outcome]:
                of_shape.append(make_row(shape, peer, measured, machine))
                versions |= measured[0]["versions"]
        add_ratios(of_shape)
        rows += of_shape
    return rows, versions, refused


def run(
    names: list[str],
    peers: list[str],
    threads: list[int] | None,
    repeats: int,
    path: Path | None,
) -> int:
    """Measure shapes and print what came of it.

    Parameters
    ----------
    names : list of str
        Keys of `SHAPES` and `GROUPS`.
    peers : list of str
        Keys of `PEERS`.
    threads : list of int or None
        Thread counts to try with each peer.
    repeats : int
        Samples of each measurement.
    path : Path or None
        Where to write the result.

    Returns
    -------
    int
        Exit status: 1 if a measurement was refused. An absent peer is no error.
    """
    shapes = find_shapes(names)
    machine = {n: measure_machine(n, shapes) for n in thread_counts(threads)}
    available = keep_available(peers)
    rows, versions, refused = measure_shapes(shapes, available, machine, repeats)
    print_rows(rows)
    about = {"environment": describe_machine(), "versions": versions}
    write_json(path, about | {"repeats": repeats, "machine": machine, "rows": rows})
    return int(refused)
