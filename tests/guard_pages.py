"""Guard pages at both ends of every array that reaches the kernels.

``python tests/guard_pages.py [--products N] [--networks N] [TESTS ...]`` replaces each
array of each call of the kernels by a copy that ends, or in every other call begins, at
a page which nobody may touch; a read-only array lies on pages that nobody may write.
BLAS is under guard, too. Under every engine it multiplies N matrices of odd shapes,
trains N networks, and runs the tests, those of the kernels unless others are named. It
proves itself first: an array that is one number shorter than it says ends a process.
"""

import argparse
import ctypes
import functools
import itertools
import mmap
import os
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from soak_threads import draw_problem, train

from fastmlp import _kernels

PAGE = mmap.PAGESIZE
TESTS = [f"tests/test_{room}.py" for room in ("kernels", "network", "sparse", "math")]
COUNTS = Counter()


def c_function(name, result, *arguments):
    """A function of the C library."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.restype, function.argtypes = result, arguments
    return function


map_pages = c_function(
    "mmap",
    ctypes.c_void_p,
    *(ctypes.c_void_p, ctypes.c_size_t),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
)
protect = c_function(
    "mprotect", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
)
unmap = c_function("munmap", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


class Guards:
    """The guarded copies of the arrays of a call.

    Parameters
    ----------
    at_end : bool
        Whether the page behind an array is the one that follows at once, or that
        before it.
    n_missing : int
        Numbers that the copies lack: a planted fault.
    """

    def __init__(self, at_end, n_missing=0):
        self.at_end, self.n_missing, self.copies = at_end, n_missing, {}

    def copy(self, value):
        """The same argument, its arrays guarded."""
        if isinstance(value, tuple):
            return tuple(map(self.copy, value))
        if not isinstance(value, np.ndarray) or value.size == 0:
            return value
        key = value.ctypes.data, value.shape, value.strides
        if key not in self.copies:
            self.copies[key] = self._copy(value)
        return self.copies[key][0]

    def _copy(self, array):
        low, high = np.lib.array_utils.byte_bounds(array)
        n_bytes = high - low
        inside = -(-n_bytes // PAGE) * PAGE
        begin = map_pages(
            None, inside + 2 * PAGE, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0
        )
        assert begin not in (None, ctypes.c_void_p(-1).value)
        assert protect(begin + PAGE, inside, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        place = begin + PAGE + (inside - n_bytes if self.at_end else 0)
        ctypes.memmove(place, low, n_bytes)
        if not array.flags.writeable:
            assert protect(begin + PAGE, inside, mmap.PROT_READ) == 0
        away = self.n_missing * array.itemsize
        address = place + (away if self.at_end else -away)
        memory = (ctypes.c_char * n_bytes).from_address(address)
        offset = array.ctypes.data - low
        twin = np.ndarray(array.shape, array.dtype, memory, offset, array.strides)
        twin.flags.writeable = array.flags.writeable
        return twin, array, place, (begin, inside + 2 * PAGE)

    def give_back(self):
        """Write what the call has written into the arrays, and unmap the copies."""
        for _, array, place, (begin, n_bytes) in self.copies.values():
            if array.flags.writeable:
                low, high = np.lib.array_utils.byte_bounds(array)
                ctypes.memmove(low, place, high - low)
            unmap(begin, n_bytes)


def arrays_in(arguments):
    """All arrays, those in tuples too."""
    for value in arguments:
        if isinstance(value, tuple):
            yield from arrays_in(value)
        elif isinstance(value, np.ndarray) and value.size:
            yield value


def can_be_guarded(arrays):
    """Whether they lie apart, or are the same, on boundaries of their type; other calls
    are refused, by where the arrays lie."""
    apart = {(*np.lib.array_utils.byte_bounds(a), a.strides) for a in arrays}
    ends = sorted((low, high) for low, high, _ in apart)
    return all(a.flags.aligned for a in arrays) and all(
        before[1] <= after[0] for before, after in itertools.pairwise(ends)
    )


turns = itertools.cycle([True, False])


def guarded(function, n_missing=0):
    """The function, called with guarded copies of its arrays."""

    @functools.wraps(function)
    def call(*arguments, **keywords):
        arrays = list(arrays_in(arguments))
        if not can_be_guarded(arrays):
            return function(*arguments, **keywords)
        guards = Guards(next(turns), n_missing)
        try:
            return function(*map(guards.copy, arguments), **keywords)
        finally:
            COUNTS["calls"] += 1
            COUNTS["arrays"] += len(guards.copies)
            guards.give_back()

    return call


def guard_all():
    """Guard what any call of the kernels is given from now on."""
    for name in _kernels.FUNCTIONS:
        setattr(_kernels, name, guarded(getattr(_kernels, name)))


# -- what is called

SIZES = (1, 2, 3, 5, 6, 7, 8, 9, 15, 16, 17, 23, 25, 31, 33, 47, 49, 63, 65, 95, 97)
LARGER = (127, 129, 191, 193, 255, 256, 257, 263, 264, 265, 511, 513, 1025)
MOST_WORK = 10**7


def draw_product(random):
    """Operands of a product, either of them transposed, and columns of a wider C."""
    dtype = random.choice([np.float32, np.float64])
    m, n, k = random.choice(SIZES + LARGER, 3)
    while m * n * k > MOST_WORK:
        m, n, k = random.choice(SIZES + LARGER, 3)
    a, b = (random.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
    if random.rand() < 0.4:
        a = a.T.copy().T
    if random.rand() < 0.4:
        b = b.T.copy().T
    wide = random.standard_normal((m, n + 5)).astype(dtype)
    c = wide[:, 2:-3] if random.rand() < 0.5 else wide[:, 2:-3].copy()
    return c, a, b, bool(random.randint(2))


def multiply_all(n_products):
    """Guarded products, compared with NumPy's."""
    random = np.random.RandomState(0)
    for _ in range(n_products):
        c, a, b, accumulate = draw_product(random)
        expected = a.astype(float) @ b.astype(float) + accumulate * c.astype(float)
        _kernels.multiply(c, a, b, accumulate)
        epsilon = np.finfo(c.dtype).eps
        np.testing.assert_allclose(c, expected, atol=50 * epsilon * a.shape[1])


def train_all(n_networks):
    """Guarded training of networks of every kind, on one thread and on two."""
    for seed in range(n_networks):
        problem = draw_problem(seed)
        train(problem, 1)
        if _kernels.THREADS:
            train(problem, 2)


def work(n_products, n_networks, tests):
    """All of it, under the engine of this process; the tests' exit status."""
    guard_all()
    multiply_all(n_products)
    train_all(n_networks)
    status = 0
    if tests:
        options = ["-q", "-p", "no:cacheprovider", "-m", "not slow and not soak"]
        status = pytest.main([*options, *tests])
    counts = f"{COUNTS['arrays']} arrays of {COUNTS['calls']} calls"
    print(f"{_kernels.isa}: {counts}, no touch beyond them", flush=True)
    return int(status)


def plant():
    """Call a kernel with arrays that are shorter than they say, at either end."""
    exp = guarded(_kernels.exp, 1)
    if sys.argv[2] == "begin":
        next(turns)
    exp(np.zeros(1000), np.zeros(1000))


def run(isa, *arguments):
    """This file in a process of its own, under that engine."""
    environment = {**os.environ, "FASTMLP_ISA": isa, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, env=environment, check=False).returncode


def main():
    """Every engine in turn; 1 if one of them has touched what it should not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--products", type=int, default=3000)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("tests", nargs="*", default=TESTS)
    given = parser.parse_args()
    is_faulty = False
    for isa in _kernels.available():
        found = [run(isa, "--plant", place) for place in ("end", "begin")]
        assert found == [-signal.SIGSEGV] * 2, f"{isa}: planted faults end with {found}"
        print(f"{isa}: planted faults at either end of an array: found", flush=True)
        counts = given.products, given.networks
        is_faulty |= run(isa, "--work", *counts, *given.tests) != 0
    return int(is_faulty)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plant"]:
        plant()
    elif sys.argv[1:2] == ["--work"]:
        sys.exit(work(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
    else:
        sys.exit(main())
