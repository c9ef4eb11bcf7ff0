"""How many threads, and how much memory, a fit may have, and who says so."""

from __future__ import annotations

import math
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

# They limit BLAS and OpenMP, and so they limit us; joblib sets them in its workers.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def usable_processors() -> set[int]:
    """Those that this thread may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def find_limits(n_processors: int) -> dict[str, int]:
    """What limits the threads of a fit, by name: the least counts.

    Beside the processors that the process may run on these are the quota of its control
    group, the variables of ``VARIABLES`` and the limit that threadpoolctl has set for
    BLAS. In a Dask worker the last two are those of its nanny, who sets them to 1
    whatever the worker has: its own number of threads counts in their place.
    """
    limits = {"processors": n_processors}
    quota = read_quota()
    if quota is not None:
        limits["cgroup quota"] = quota
    worker_threads = _count_threads_of_dask_worker()
    if worker_threads is not None:
        return {**limits, "Dask worker": worker_threads}
    for name in VARIABLES:
        if os.environ.get(name, "").isdecimal():
            limits[name] = int(os.environ[name])
    blas_threads = blas.count_threads()
    if blas_threads is not None:
        limits["threads of BLAS"] = blas_threads
    return limits


def _count_threads_of_dask_worker() -> int | None:
    """Threads of the Dask worker whose task this thread does; None if there is none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_worker().state.nthreads
    except (ValueError, AttributeError):
        return None


# -- the CPU time that the system lets us have


@cache
def read_quota(root: str = "/") -> int | None:
    """Processors' worth of time that Linux's control groups allow, rounded up.

    A group has no more than those that it is part of; of a container the outermost that
    can be seen is its own. None where there is no limit. It is read once a process.

    Parameters
    ----------
    root : str, default='/'
        Where ``/proc`` and ``/sys`` are.
    """
    shares = list(_read_shares(Path(root)))
    return max(1, math.ceil(min(shares))) if shares else None


def _read_shares(root: Path) -> Iterator[float]:
    """Quota over period of the process's group and of those around it."""
    for folder in _find_groups(root, "cpu"):
        share = _read_share_v2(folder) or _read_share_v1(folder)
        if share is not None:
            yield share


def _find_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the process's group and of those around it."""
    mounts = root / "sys/fs/cgroup"
    for controllers, group in _read_groups(root / "proc/self/cgroup", controller):
        mount = mounts if controllers == "" else mounts / controllers
        folders = [mount / group, *(mount / group).parents]
        yield from folders[: folders.index(mount) + 1]


def _read_groups(path: Path, controller: str) -> Iterator[tuple[str, str]]:
    """Controllers and group of each line that may limit what is asked for."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            yield controllers, group.lstrip("/")


def _read_share_v2(folder: Path) -> float | None:
    """From ``cpu.max``: quota, or 'max', and period."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _read_share_v1(folder: Path) -> float | None:
    """From the two files of version 1, where a quota of −1 is none."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


@cache
def read_memory(root: str = "/") -> int | None:
    """Bytes of memory that this process may have: the machine's, or those that Linux's
    control groups allow. None where nobody tells. It is read once a process.

    Parameters
    ----------
    root : str, default='/'
        Where ``/proc`` and ``/sys`` are.
    """
    limits = []
    with suppress(AttributeError, OSError, ValueError):  # not of every system
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for folder in _find_groups(Path(root), "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # of the other version, or "max"
                limits.append(int((folder / name).read_text()))
    return min(limits, default=None)


# -- BLAS


class _Holder:
    """Someone who keeps BLAS to one thread; one who was interrupted on leaving dies."""


class Blas:
    """The thread pools of NumPy's and SciPy's BLAS, which all threads share."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._limiter: Any = None
        self._n_before: int | None = None

    def count_threads(self) -> int | None:
        """How many it may have, our own limit aside; None if it does not say."""
        with self._lock:
            return self._count() if self._limiter is None else self._n_before

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Keep it to one thread. The last to leave gives it back what it had."""
        holder = _Holder()
        self._enter(holder)
        try:
            yield
        finally:
            self._leave(holder)

    def _enter(self, holder: _Holder) -> None:
        with self._lock:
            self._holders.add(holder)
            if self._limiter is None:
                self._n_before = self._count()
                self._limiter = _find_pools().limit(limits=1, user_api="blas")

    def _leave(self, holder: _Holder) -> None:
        with self._lock:
            self._holders.discard(holder)
            if not self._holders:
                self._limiter.restore_original_limits()
                self._limiter = None

    def _count(self) -> int | None:
        libraries = _find_pools().select(user_api="blas").lib_controllers
        counts = [
            library.get_num_threads()
            for library in libraries
            # One that was built without threads says nothing about ours.
            if getattr(library, "threading_layer", "") != "disabled"
        ]
        return min(filter(None, counts), default=None)


@cache
def _find_pools() -> Any:
    """Thread pools of the libraries that are loaded; to look for them takes long."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


blas = Blas()


# -- fits beside each other


class Company:
    """The fits that are under way in this process, one a thread."""

    def __init__(self) -> None:
        # A thread writes its own entry only, so there is nothing to lock.
        self._depths: dict[int, int] = {}

    @contextmanager
    def join(self) -> Iterator[None]:
        """Be one of them meanwhile; what a fit calls is part of it."""
        me = threading.get_ident()
        before = self._depths.get(me, 0)
        try:
            self._depths[me] = before + 1
            yield
        finally:
            if before:
                self._depths[me] = before
            else:
                self._depths.pop(me, None)

    def count_others(self) -> int:
        """Fits of other threads than the calling one."""
        return len(self._depths) - (threading.get_ident() in self._depths)

    def forget_others(self) -> None:
        """In a forked child: its parent's other threads are not here."""
        me = threading.get_ident()
        self._depths = {me: self._depths[me]} if me in self._depths else {}


company = Company()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=company.forget_others)
