"""Memory of vectors and arenas: aligned, reused, and nobody else's affair."""

import ctypes
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastmlp import memory
from fastmlp.memory import aligned_copy, aligned_empty

LARGE = 300_000
TYPES = [np.dtype(np.float32), np.dtype(np.float64)]


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    memory.release()


def n_kept():
    return len(memory._free)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [0, 1, 7, LARGE, (2, 5), (3, LARGE)])
def test_rows_begin_on_cache_lines(shape, dtype):
    array = aligned_empty(shape, dtype)
    assert array.dtype == dtype
    assert array.shape == ((shape,) if isinstance(shape, int) else shape)
    rows = array if array.ndim == 2 else [array]
    assert all(row.ctypes.data % 64 == 0 for row in rows)
    array[...] = 3
    assert (aligned_copy(array) == 3).all()


def test_a_block_comes_back_with_its_last_view():
    array = aligned_empty(LARGE, TYPES[1])
    address, view = array.ctypes.data, array[5:].reshape(-1, 5)
    del array
    assert n_kept() == 0
    del view
    assert n_kept() == 1
    again = aligned_empty(LARGE, TYPES[1])
    assert again.ctypes.data == address
    assert n_kept() == 0
    assert aligned_empty(LARGE, TYPES[1]).ctypes.data != address


def test_small_arrays_are_left_to_the_c_library():
    del_me = aligned_empty(1000, TYPES[1])
    del del_me
    assert n_kept() == 0


def test_no_more_is_kept_than_allowed():
    arrays = [aligned_empty(1 << 20, TYPES[1]) for _ in range(12)]
    arrays.clear()
    kept = sum(block.raw.nbytes for block in memory._free)
    assert 48 << 20 < kept <= 64 << 20


def test_what_is_kept_goes_when_memory_is_short(monkeypatch):
    del_me = aligned_empty(LARGE, TYPES[1])
    del del_me
    block, calls = memory._Block, []

    def fails_once(n_bytes):
        calls.append(n_kept())
        if len(calls) == 1:
            raise MemoryError
        return block(n_bytes)

    monkeypatch.setattr(memory, "_Block", fails_once)
    aligned_empty(2 * LARGE, TYPES[1])
    assert calls == [1, 0]


def test_threads_never_share_a_block():
    shared = []

    def take(number):
        for _ in range(300):
            array = aligned_empty(20_000, TYPES[1])
            array[:] = number
            if not (array == number).all():
                shared.append(number)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not shared


LOOK = """
import os, resource, signal, sys, threading
import numpy, scipy.linalg.cython_blas

def look():
    return (
        os.sched_getaffinity(0), dict(os.environ), threading.active_count(),
        [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        resource.getrlimit(resource.RLIMIT_AS), numpy.geterr(), sys.getswitchinterval(),
    )

before = look()
if sys.argv[1:] == ["import"]:
    import fastmlp
assert look() == before
"""
# Whether glibc maps a block of 16 MiB: it does not once a larger one has been freed.
IS_MAPPED = """
import ctypes

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

def n_mapped():
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Info
    return mallinfo2().d

held = numpy.empty(1 << 10), n_mapped()
block = numpy.empty(16 << 20, numpy.uint8)
print(n_mapped() - held[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's settings")
def test_importing_changes_nothing_in_the_process():
    has_info = hasattr(ctypes.CDLL(None), "mallinfo2")
    code = LOOK + (IS_MAPPED if has_info else "")
    found = []
    for arguments in ((), ("import",)):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinities here")
def test_affinities_are_set_on_our_own_threads_only(monkeypatch):
    from fastmlp import threads

    told, set_affinity = [], os.sched_setaffinity
    monkeypatch.setattr(
        os,
        "sched_setaffinity",
        lambda thread, processors: (
            told.append((thread, threading.current_thread()))
            or set_affinity(thread, processors)
        ),
    )
    mine, before = threading.get_native_id(), os.sched_getaffinity(0)
    workers = []

    def work(rows):
        workers.append(threading.get_native_id())

    threads.run_in_threads(work, [slice(0, 1), slice(1, 2), slice(2, 3)])
    assert os.sched_getaffinity(0) == before
    for thread, caller in told:
        # From outside a worker is named; a worker itself says 0.
        assert thread in workers or (
            thread == 0 and caller is not threading.main_thread()
        )
        assert thread != mine
    assert told
