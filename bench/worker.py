"""Processes that measure, one at a time.

Libraries read their number of threads when they are loaded, so each combination
of library and threads gets a fresh process: ``python -m bench.worker JOB``. It
is bound to as many CPUs as it may use threads. A job names a module of this
package, whose `work(job)` returns a JSON-serializable result.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings

from bench.environment import usable_cpus

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerError(Exception):
    """A worker came to no result."""


def thread_counts(asked: list[int] | None) -> list[int]:
    """Return the thread counts to try: those asked for, or 1 and every CPU."""
    n_cpus = len(usable_cpus())
    counts = sorted(set(asked or (1, n_cpus)))
    if counts[0] < 1 or counts[-1] > n_cpus:
        raise SystemExit(f"there are {n_cpus} CPUs: --threads from 1 to that")
    return counts


def run_worker(module: str, n_threads: int, **job) -> dict:
    """Do a job in a process of its own.

    Parameters
    ----------
    module : str
        The module of this package that does it.
    n_threads : int
        Threads each library may use; no more than there are CPUs.
    **job
        What `work` finds in its argument, beside `module` and `n_threads`.

    Raises
    ------
    WorkerError
        If the process ends without a result.
    """
    job |= {"module": module, "n_threads": n_threads}
    done = subprocess.run(
        [sys.executable, "-m", "bench.worker", json.dumps(job)],
        env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(n_threads)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last_line = (done.stderr.strip() or f"status {done.returncode}").split("\n")[-1]
        raise WorkerError(f"the worker failed: {last_line}")
    return json.loads(done.stdout.splitlines()[-1])


def bind(n_threads: int) -> None:
    """Bind this process to as many CPUs as it may use threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, usable_cpus()[:n_threads])


def main() -> None:
    """Do the job on the command line and print its result."""
    job = json.loads(sys.argv[1])
    bind(job["n_threads"])
    warnings.simplefilter("default")
    work = importlib.import_module(f"bench.{job['module']}").work
    print(json.dumps(work(job)))


if __name__ == "__main__":
    main()
