"""Threads for the length of one fit, and how many of them pay."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

from fastmlp import _kernels
from fastmlp.limits import blas, company, find_limits, usable_processors

# Weights times rows of a step for which one more thread is worth waiting for at its
# barriers: ten to twenty microseconds on one core of a processor of the 2020s.
LEAST_WORK = 300_000
# The same in all steps for a thread that is yet to be started, which takes far longer.
LEAST_WORK_OF_A_NEW_THREAD = 20_000_000
# Rows whose products take as long as the update of the weights.
ROWS_OF_AN_UPDATE = 7
# Products with each weight in a step, where a prediction has one.
PRODUCTS_OF_A_STEP = 3
# Rows predicted at a time: products are as fast as of more, and there is a block for
# every thread of fewer rows. Blocks are of whole vectors of rows.
PREDICTED_ROWS = 256
WHOLE_ROWS = 16
# Multiply-adds of rows that are predicted without a look at the other threads.
WORK_OF_A_PIECE = 1 << 29
# And for a product with the Hessian.
PRODUCTS_OF_CURVATURE = 9


def count_threads(plan: Any, batch_size: int) -> int:
    """Threads worth having for steps of that many rows: the first, and one more for
    every ``LEAST_WORK``; never more than may be used (:mod:`fastmlp.limits`). Fits of
    other threads have as many each.
    """
    worth = 1 + _work_of_a_step(plan, batch_size) // LEAST_WORK
    if worth == 1 or not _kernels.THREADS:
        return 1
    return max(1, min(worth, count_usable() // (1 + company.count_others())))


def count_usable() -> int:
    """Threads that all fits of this process may have together."""
    return min(find_limits(len(_processors())).values())


def is_crowded(team: Any) -> bool:
    """Whether other threads' fits leave less than half of a team a processor each, or
    a single one: the first thread alone is faster then, and so are the others.
    """
    n_others = 0 if team is None else company.count_others()
    if n_others == 0:
        return False
    fair = count_usable() // (1 + n_others)
    return fair <= 1 or 2 * fair < team.n_threads


def count_team(plan: Any, n_rows: int, n_products: int) -> int:
    """Threads worth starting for that many products with each weight, of so many rows
    each: one where they are over before another has begun.
    """
    work = n_products * _work_of_a_step(plan, n_rows)
    worth = work // LEAST_WORK_OF_A_NEW_THREAD
    if worth <= 1:
        return 1
    return min(worth, count_threads(plan, n_rows))


def predicted_rows(n_rows: int, n_params: int, most: int = PREDICTED_ROWS) -> int:
    """Rows predicted at a time, of so many, by so many parameters: blocks as even as
    whole vectors allow, and where there is work for two threads two at least.
    """
    n_blocks = -(-n_rows // most)
    is_much_work = n_rows * n_params >= 2 * LEAST_WORK_OF_A_NEW_THREAD
    if n_rows >= most // 2 and is_much_work:
        n_blocks = max(2, n_blocks)
    if n_blocks <= 1:
        return max(1, n_rows)
    return -(-n_rows // (n_blocks * WHOLE_ROWS)) * WHOLE_ROWS


def partition_rows(n_rows: int, plan: Any, block_rows: int) -> list[slice]:
    """Rows for each thread that predicts, in whole blocks, so that results are those of
    one thread; a single range where a thread would take longer to begin than to finish.
    """
    n_blocks = -(-n_rows // block_rows)
    work = n_rows * plan.multiply_adds
    worth = work // LEAST_WORK_OF_A_NEW_THREAD
    n_threads = max(1, min(count_threads(plan, n_rows), n_blocks, worth))
    ends = [n_blocks * i // n_threads * block_rows for i in range(n_threads + 1)]
    return [slice(begin, min(end, n_rows)) for begin, end in pairwise(ends)]


def piece_rows(plan: Any, block_rows: int, n_products: int = 1) -> int:
    """Rows, in whole blocks, that a thread works on before it looks whether another has
    failed: some hundredths of a second's of so many products with each weight.
    """
    # A layer that only pools has no products.
    work = n_products * block_rows * max(1, plan.multiply_adds)
    return max(1, WORK_OF_A_PIECE // work) * block_rows


def run_in_threads(
    work: Callable[[slice], None], ranges: list[slice], n_rows: int | None = None
) -> None:
    """Call work with each range, piece by piece of so many rows, the first range in
    this thread and the others beside it. After an error here no other piece is begun.
    """
    failed = threading.Event()

    def work_through(rows: slice) -> None:
        for piece in [rows] if n_rows is None else _cut(rows, n_rows):
            if failed.is_set():
                return
            work(piece)

    with _beside([partial(work_through, rows) for rows in ranges[1:]]):
        try:
            work_through(ranges[0])
        except BaseException:
            failed.set()
            raise


def _cut(rows: slice, n_rows: int) -> list[slice]:
    begins = range(rows.start, rows.stop, n_rows)
    return [slice(begin, min(begin + n_rows, rows.stop)) for begin in begins]


@contextmanager
def _beside(
    works: Sequence[Callable[[], object]], dismiss: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Do each of the works in a thread of its own meanwhile. In the end they are told
    that by ``dismiss``, and waited for; what the first has raised is raised here.
    """
    workers: list[_Worker] = []
    try:
        for work in works:
            worker = _Worker(work)
            worker.start()
            workers.append(worker)
        yield
    finally:
        dismiss()
        for worker in workers:
            worker.join()
    for worker in workers:
        if worker.error is not None:
            raise worker.error


class _Worker(threading.Thread):
    """A thread that begins on another processor than the thread that starts it.

    Schedulers may put it behind that thread, above all on a virtual machine whose
    processors have been idle, and take ten milliseconds to notice (decision 11).
    """

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._work = work
        self._processors = _processors()
        self._placed = threading.Lock()

    def start(self) -> None:
        with self._placed:
            super().start()
            others = self._processors - {_kernels.current_processor()}
            _restrict(self.native_id, others)

    def run(self) -> None:
        with self._placed:
            _restrict(None, self._processors)
        try:
            self._work()
        except BaseException as error:
            self.error = error


def _restrict(thread: int | None, processors: set[int]) -> None:
    """Let a thread, or the calling one, run on these processors only: if there are any,
    and if the system lets us.
    """
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(thread or 0, processors)


def _work_of_a_step(plan: Any, batch_size: int) -> int:
    return (batch_size + ROWS_OF_AN_UPDATE) * plan.multiply_adds


def _processors() -> set[int]:
    return usable_processors()


class Pace:
    """Whether the team or one thread alone has been the faster of late.

    A team is slower than its first thread alone where another process holds a core.
    The bits are the same, so training may change between them at any time. It keeps to
    the faster by the median of their last slices of work, for any slice may be slow by
    chance. After a while it tries the other, until that is slower than the best of
    them: at the beginning most may be slow by chance. The while is short after a change
    and grows from trial to trial. Short slices are taken together: one alone would tell
    how a team wakes up.

    Parameters
    ----------
    team : Team or None
        The thread team; without one there is nothing to choose.
    """

    N_REMEMBERED = 3
    FIRST_WHILE = 8
    LONGEST_WHILE = 128
    LEAST_SECONDS = 0.005

    def __init__(self, team: Any) -> None:
        self._choices = (team, None)
        self._paces: tuple[deque[float], deque[float]] = (
            deque(maxlen=self.N_REMEMBERED),
            deque(maxlen=self.N_REMEMBERED),
        )
        self._while = self.FIRST_WHILE
        self._left = self.N_REMEMBERED
        self._tries = False
        self._chosen = 0
        self._n_rows, self._seconds = 0, 0.0
        self._is_crowded = False

    @property
    def team(self) -> Any:
        """Who does the next slice of work; one alone where other fits need the rest."""
        self._is_crowded = is_crowded(self._choices[0])
        return None if self._is_crowded else self._choices[self._chosen]

    def record(self, n_rows: int, seconds: float) -> None:
        """Take in how long the last slice took, and choose for the next."""
        if self._choices[0] is None or self._is_crowded:
            return
        self._n_rows += n_rows
        self._seconds += seconds
        if self._seconds < self.LEAST_SECONDS:
            return
        self._paces[self._chosen].append(self._seconds / self._n_rows)
        self._n_rows, self._seconds = 0, 0.0
        self._left -= 1
        is_slower = self._is_slower()
        if self._tries and is_slower:
            self._keep_to(1 - self._chosen)
            self._while = min(2 * self._while, self.LONGEST_WHILE)
        elif is_slower:
            self._while = self.FIRST_WHILE
            self._keep_to(1 - self._chosen)
        elif self._tries and self._left == 0:
            self._while = self.FIRST_WHILE
            self._keep_to(self._chosen)
        elif self._left == 0:
            self._tries, self._left = True, self.N_REMEMBERED
            self._chosen = 1 - self._chosen

    def _keep_to(self, choice: int) -> None:
        self._chosen, self._tries, self._left = choice, False, self._while

    def _is_slower(self) -> bool:
        mine, others = self._paces[self._chosen], self._paces[1 - self._chosen]
        if not others:
            return False
        if self._tries:
            return mine[-1] > min(others)
        return median(mine) > median(others)


def one_thread_for_blas() -> AbstractContextManager[None]:
    """Keep the BLAS of NumPy and SciPy to one thread.

    SciPy's solvers call it for short vectors: more threads would take longer than one,
    and spin on for a tenth of a second on the cores that the team wants.
    """
    return blas.one_thread()


@contextmanager
def thread_team(n_threads: int) -> Iterator[Any]:
    """A thread team for ``_kernels.train``, or None for one thread; joined on exit."""
    with company.join():
        if n_threads == 1:
            yield None
            return
        team = _kernels.Team(n_threads)
        others = [partial(team.assist, number) for number in range(1, n_threads)]
        with _beside(others, team.dismiss):
            yield team
