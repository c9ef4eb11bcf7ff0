"""Memory that runs short in a fit: the old model is left, or the new one is there.

``python tests/short_of_memory.py [--cases N] [--seed SEED]`` lets one allocation of a
fit fail, or the next hundred thousand, at N places spread over two estimators and all
ways of a fit. (Not all for good: CPython needs memory to enter the ``except`` of a long
function, and tries for ever.) It needs a C compiler and glibc. It ends with an error if
an estimator is neither what it was nor what the fit makes of it, or if anything but a
MemoryError is raised.
"""

import argparse
import ctypes
import functools
import itertools
import os
import pickle
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path

from test_bad_input import ESTIMATORS, WAYS, iris, values_of, without_warnings

SHIM = r"""
#include <Python.h>
#include <errno.h>
#include <stdatomic.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

/* Allocations until the first that fails, negative: none does; how many fail then. */
static atomic_long left = -1, failures;

static int fails(void)
{
    long before = atomic_load(&left);
    if (before < 0 || (before > 0 && atomic_fetch_sub(&left, 1) > 1))
        return 0;
    if (atomic_fetch_sub(&failures, 1) == 1)
        atomic_store(&left, -1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t k, size_t n) { return fails() ? NULL : __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n)
{
    return fails() ? NULL : __libc_memalign(a, n);
}
int posix_memalign(void **p, size_t a, size_t n)
{
    return fails() || !(*p = __libc_memalign(a, n)) ? ENOMEM : 0;
}

/* What calling f gives, so many allocations failing from the n-th on; of how many. */
PyObject *call_short_of_memory(PyObject *f, long n, long many, long *n_allocations)
{
    PyObject *result;
    atomic_store(&failures, many);
    atomic_store(&left, n);
    result = PyObject_CallNoArgs(f);
    *n_allocations = n - atomic_exchange(&left, -1);
    return result;
}
"""


def compile_shim(folder):
    """The library that stands before the C library's allocations."""
    source, library = Path(folder, "shim.c"), Path(folder, "shim.so")
    source.write_text(SHIM)
    include = sysconfig.get_path("include")
    command = ["cc", "-O1", "-shared", "-fPIC", f"-I{include}", str(source)]
    subprocess.run([*command, "-o", str(library)], check=True)
    return library


def caller(library):
    """A function: (f, n, many) → allocations of f's call, many failing from n on."""
    shim = ctypes.PyDLL(str(library))
    shim.call_short_of_memory.restype = ctypes.py_object
    shim.call_short_of_memory.argtypes = [
        *(ctypes.py_object, ctypes.c_long, ctypes.c_long),
        ctypes.POINTER(ctypes.c_long),
    ]

    def call(f, n, n_failures):
        n_allocations = ctypes.c_long()
        raised = None
        try:
            shim.call_short_of_memory(f, n, n_failures, n_allocations)
        except BaseException as error:
            raised = error.with_traceback(None)
        return n_allocations.value, raised

    return call


def try_cases(library, name, way, n_failures, n_cases, seed):
    """Count what became of the estimators; the faults, in words."""
    call, counts, draw = caller(library), Counter(), random.Random(seed)
    make, method, params = WAYS[way]
    model = make(name, max_iter=2, **params).set_params(random_state=7)
    case = Case(pickle.dumps(model), method, call)
    for _ in range(n_cases):
        n = draw.randrange(1, case.n_allocations)
        outcome, fault = case.try_one(n, n_failures)
        counts[outcome] += 1
        if fault:
            print(f"{name} {way}, {n_failures} from {n} on: {fault}")
    print(*(f"{outcome}={number}" for outcome, number in counts.items()))


class Case:
    """One way of a fit of one estimator, and what it may leave."""

    def __init__(self, stored, method, call):
        self.stored, self.method, self.call = stored, method, call
        new = pickle.loads(stored)
        with without_warnings():
            getattr(new, method)(*iris())
            self.n_allocations, _ = call(self.bound(pickle.loads(stored)), 10**9, 1)
        self.known = values_of(pickle.loads(stored)), values_of(new)

    def bound(self, model):
        """The call that is tried."""
        return functools.partial(getattr(model, self.method), *iris())

    def try_one(self, n, n_failures):
        """What became of a model, and what is wrong with it, if anything."""
        model = pickle.loads(self.stored)
        with without_warnings():
            _, raised = self.call(self.bound(model), n, n_failures)
        try:
            values = values_of(model)
        except Exception as error:
            return "broken", repr(error)
        if values not in self.known:
            return "a mixture", repr(raised)
        if raised is not None and not isinstance(raised, MemoryError):
            return "another error", repr(raised)
        return "old model" if values == self.known[0] else "new model", None


def run_cases(shim, combination, n_cases, seed):
    """One combination in a process of its own, behind the shim; what it prints."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shim),
        "PYTHONMALLOC": "malloc",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, "--child"]
        + [str(part) for part in (shim, *combination, n_cases, seed)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        places = [line for line in done.stderr.splitlines() if "File" in line]
        return [f"{combination}: ended with {done.returncode}", *places[:3]]
    return done.stdout.splitlines()


def main():
    """Try every combination; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    combinations = list(itertools.product(ESTIMATORS, WAYS, [1, 10**5]))
    n_each = -(-arguments.cases // len(combinations))
    counts, is_faulty = Counter(), False
    with tempfile.TemporaryDirectory() as folder:
        shim = compile_shim(folder)
        for combination in combinations:
            *faults, last = run_cases(shim, combination, n_each, arguments.seed)
            found = dict(re.findall(r"([a-z ]+)=(\d+)", last))
            counts.update({name.strip(): int(n) for name, n in found.items()})
            is_faulty |= bool(faults)
            print(*faults, f"{combination}: {last}", sep="\n", flush=True)
    print(dict(counts))
    return int(is_faulty)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        library, name, way, *numbers = sys.argv[2:]
        try_cases(library, name, way, *map(int, numbers))
    else:
        sys.exit(main())
