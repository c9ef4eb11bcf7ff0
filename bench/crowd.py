"""``bench crowd``: training where other processes keep the CPUs busy."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.bars import at_most, inform, print_bars
from bench.environment import describe_machine, usable_cpus
from bench.peers import load_peer
from bench.report import write_json
from bench.shapes import LEARNING_RATE, SHAPES, Problem, make_problem
from bench.timing import measure, summarize
from bench.worker import WorkerError, run_worker

NAMES = ("digits", "tab", "mnist")
BUSY_PROCESSES = (0, 1, 2)
# How many times the time of one thread the default may take.
BAR = 1.1
TEAMS = (1, 2, 3, 4)
SPIN = "while True: pass"


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep that many processes spinning."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def train_epoch(problem: Problem, n_threads: int) -> str:
    """Return a digest of the parameters after an epoch of so many threads.

    A trainer's first step is always its whole team's: each step has a new one.
    """
    from fastmlp.rows import ArrayRows
    from fastmlp.threads import thread_team
    from fastmlp.trainer import Trainer

    trainee = load_peer("fastmlp").prepare(problem)
    network, optimizer = trainee.network, trainee.trainer.optimizer
    Y = problem.targets[:, np.newaxis].astype(np.float32)
    batch_size = problem.shape.batch_size
    with thread_team(n_threads) as team:
        for batch in problem.batches:
            trainer = Trainer(
                *(network, optimizer, ArrayRows((problem.X, Y, None))),
                batch_size=batch_size,
                team=team,
            )
            trainer.run_epoch(batch)
    return hashlib.sha256(network.params.tobytes()).hexdigest()


def compare_bits(job: dict) -> dict:
    """Train an epoch with each team (in a worker)."""
    os.environ["OMP_NUM_THREADS"] = "1"
    problem = make_problem(SHAPES[job["shape"]], 1)
    problem = replace(problem, learning_rate=LEARNING_RATE)
    return {"digests": {n: train_epoch(problem, n) for n in TEAMS}}


def time_steps(job: dict) -> dict:
    """Time steps of one thread, or of fastmlp's own choice (in a worker).

    Either may use every CPU: one thread can leave a busy one.
    """
    if job["alone"]:
        os.environ["OMP_NUM_THREADS"] = "1"
    problem = make_problem(SHAPES[job["shape"]], job["n_threads"])
    trainee = load_peer("fastmlp").prepare(problem)
    epochs = measure(trainee.run_epochs, job["repeats"])
    n_steps = problem.shape.n_steps
    return {
        "us": summarize([epoch / n_steps for epoch in epochs], 1e-6),
        "versions": load_peer("fastmlp").versions(),
    }


def work(job: dict) -> dict:
    """Compare bits or time steps (in a worker)."""
    return time_steps(job) if "alone" in job else compare_bits(job)


def check_bits(shape: str, n_threads: int) -> str:
    """Return the digest that all teams have come to.

    Raises
    ------
    WorkerError
        If they came to several.
    """
    digests = run_worker("crowd", n_threads, shape=shape)["digests"]
    if len(set(digests.values())) > 1:
        raise WorkerError(f"{shape}: parameters depend on the threads: {digests}")
    return digests["1"]


def measure_crowded(shape: str, n_busy: int, repeats: int) -> dict:
    """Check and time one shape beside so many busy processes."""
    n_threads = len(usable_cpus())
    job = {"shape": shape, "repeats": repeats}
    with busy(n_busy):
        digest = check_bits(shape, n_threads)
        alone, own = (
            run_worker("crowd", n_threads, alone=alone, **job)
            for alone in (True, False)
        )
    found = {"shape": shape, "busy": n_busy, "digest": digest}
    found |= {"alone_us": alone["us"], "own_us": own["us"]}
    ratio = own["us"]["median"] / alone["us"]["median"]
    print(f"{shape} busy={n_busy} {ratio:.3f} of one thread's time", file=sys.stderr)
    return found | {"ratio": ratio, "versions": own["versions"]}


def make_rows(found: dict) -> list[dict]:
    """Return one thread's time, and the default's as a multiple of it."""
    where = f"{found['shape']}, {found['busy']} busy"
    about = {key: found[key] for key in ("shape", "busy", "digest")}
    ratio = at_most(f"{where}: by default", "×", found["ratio"], BAR)
    alone = inform(f"{where}: one thread", "µs", found["alone_us"]["median"])
    return [
        about | alone | {"us": found["alone_us"]},
        about | ratio | {"us": found["own_us"]},
    ]


def run(repeats: int, path: Path | None) -> int:
    """Measure all shapes and loads; return the exit status, 1 if bits differ."""
    try:
        outcomes = [
            measure_crowded(shape, n, repeats)
            for shape in NAMES
            for n in BUSY_PROCESSES
        ]
        for shape in NAMES:
            digests = {o["digest"] for o in outcomes if o["shape"] == shape}
            if len(digests) > 1:
                raise WorkerError(f"{shape}: parameters depend on the load")
    except WorkerError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    rows = [row for found in outcomes for row in make_rows(found)]
    print_bars(rows)
    n_threads = len(usable_cpus())
    print(f"the default is {n_threads} threads; {TEAMS} threads have the same bits")
    about = {"environment": describe_machine(), "versions": outcomes[0]["versions"]}
    write_json(path, about | {"repeats": repeats, "threads": n_threads, "rows": rows})
    return 0
