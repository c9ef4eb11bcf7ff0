"""The engine allocates nothing inside an epoch.

A small C library, put before libc's own by LD_PRELOAD, counts every allocation of a
child process. The child trains on 1 batch and on 500: both calls must cost the same
number of allocations, those of the call itself (arguments, memoryviews).

Allocations that BLAS makes for itself are left out: OpenBLAS's kernels for small
matrices take scratch memory from malloc at some shapes.
"""

import ctypes
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import fastmlp
from fastmlp import _kernels
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows, as_inputs
from fastmlp.trainer import Trainer
from fastmlp.workspace import build_arena, count_entries

FEW, MANY = 1, 500
N_ROWS, N_IN, N_OUT = 50, 40, 3
BLOCK = 2
BLAS_NAMES = ("blas", "blis", "mkl")
DTYPES = ("float32", "float64")
ALL_HEADS = [
    (loss, output) for loss, outputs in _kernels.HEADS.items() for output in outputs
]
ALLOCATORS = {
    "malloc": (8,),
    "calloc": (1, 8),
    "realloc": (None, 8),
    "aligned_alloc": (64, 64),
    "posix_memalign": (ctypes.byref(ctypes.c_void_p()), 64, 64),
}

STREAM = """
import resource
import numpy as np
from fastmlp import MLPRegressor
X, y = np.ones((4, 512)), np.ones(4)
model = MLPRegressor(hidden_layer_sizes=(400, 400), n_threads=1)
def count_faults(n):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        model.partial_fit(X, y)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
count_faults(3)
print(count_faults(10) / 10)
"""

COUNTER = """
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

enum { MOST = 64 };
static atomic_long count;
static uintptr_t begins[MOST], ends[MOST];
static int n_ignored;

long count_allocations(void) { return atomic_load(&count); }

int ignore_callers(uintptr_t begin, uintptr_t end)
{
    if (n_ignored == MOST)
        return -1;
    begins[n_ignored] = begin;
    ends[n_ignored] = end;
    return ++n_ignored;
}

static void add(void *caller)
{
    uintptr_t address = (uintptr_t)caller;
    for (int i = 0; i < n_ignored; i++)
        if (begins[i] <= address && address < ends[i])
            return;
    atomic_fetch_add(&count, 1);
}

void *malloc(size_t size)
{
    add(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    add(__builtin_return_address(0));
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    add(__builtin_return_address(0));
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    add(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    add(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    add(__builtin_return_address(0));
    void *block = __libc_memalign(alignment, size);
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}
"""


def find_compiler():
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next(filter(None, map(shutil.which, filter(None, names))), None)


def skip_where_it_cannot_run():
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        pytest.skip("allocations are counted on Linux with glibc only")
    if find_compiler() is None:
        pytest.skip("no C compiler to build the counter of allocations with")


def build_counter(folder):
    source, library = folder / "counter.c", folder / "counter.so"
    source.write_text(COUNTER)
    command = [find_compiler(), "-O1", "-shared", "-fPIC", "-fno-builtin"]
    subprocess.run([*command, "-o", str(library), str(source)], check=True)
    return library


def child_environment(library):
    """Where Python's own objects, which it keeps in pools, are counted as well."""
    package = str(Path(fastmlp.__file__).parents[1])
    path, preload = os.environ.get("PYTHONPATH"), os.environ.get("LD_PRELOAD")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [package, path])),
        "LD_PRELOAD": " ".join(filter(None, [str(library), preload])),
        "PYTHONMALLOC": "malloc",
        "OPENBLAS_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """What each case of the child allocated, with little work and with much."""
    skip_where_it_cannot_run()
    library = build_counter(tmp_path_factory.mktemp("counter"))
    done = subprocess.run(
        [sys.executable, __file__],
        capture_output=True,
        text=True,
        env=child_environment(library),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_alike(few_and_many):
    few, many = few_and_many
    assert few == many


@pytest.mark.parametrize("function", ALLOCATORS)
def test_counter_counts(counts, function):
    assert counts[f"allocator {function}"] == MANY


def test_counter_counts_what_numpy_allocates(counts):
    few, many = counts["arrays"]
    assert many - few >= MANY - FEW


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", _kernels.OPTIMIZERS)
def test_train_by_optimizer(counts, optimizer, dtype, batch_size):
    assert_alike(counts[f"train {optimizer} {dtype} {batch_size}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", ALL_HEADS)
def test_train_by_head(counts, head, dtype):
    assert_alike(counts[f"train {' '.join(head)} {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", _kernels.HIDDEN_ACTIVATIONS)
def test_train_by_activation(counts, activation, dtype):
    assert_alike(counts[f"train {activation} {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_train_with_everything(counts, dtype):
    assert_alike(counts[f"train with everything {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_train_on_sparse_rows(counts, dtype):
    assert_alike(counts[f"train sparse {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "function",
    [
        "predict",
        "input_gradient",
        "compute_loss",
        "compute_loss_and_gradient",
        "multiply_hessian",
    ],
)
def test_row_blocks(counts, function, dtype):
    assert_alike(counts[f"{function} {dtype}"])


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc only")
def test_freed_memory_is_kept_for_the_next_call():
    """Of 11 MB that each call allocates next to nothing is touched anew."""
    done = subprocess.run(
        [sys.executable, "-c", STREAM], capture_output=True, text=True, check=False
    )
    assert float(done.stdout) < 20, done.stderr


# What follows runs in the child: python tests/test_allocation.py


def ignore_blas():
    """Leave out what is called from the code of a BLAS library."""
    ignore_callers = ctypes.CDLL(None).ignore_callers
    ignore_callers.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, *_, path = line.split(maxsplit=5)
        name = Path(path).name
        if "x" in permissions and any(part in name for part in BLAS_NAMES):
            begin, end = (int(address, 16) for address in addresses.split("-"))
            assert ignore_callers(begin, end) > 0


def count_during(call, *arguments):
    """Allocations of a call, its first use of anything gone before."""
    count_allocations = ctypes.CDLL(None).count_allocations
    count_allocations.restype = ctypes.c_long
    call(*arguments)
    before = count_allocations()
    call(*arguments)
    return count_allocations() - before


def repeat(times, function, *arguments):
    for _ in range(times):
        function(*arguments)


def count_calls(name, arguments):
    """Allocations of many calls of a function of libc, its result thrown away."""
    function = ctypes.CDLL(None)[name]
    function.restype = None  # no number, which Python would allocate
    return count_during(repeat, MANY, function, *arguments)


def count_allocators():
    """What calls of each function count for, less what calling a function costs."""
    for name, arguments in ALLOCATORS.items():
        counted = count_calls(name, arguments) - count_calls("getpid", arguments)
        yield f"allocator {name}", counted
    yield "arrays", [count_during(repeat, n, np.empty, 10_000) for n in (FEW, MANY)]


def make_data(network, n_rows):
    random = np.random.RandomState(0)
    X = random.standard_normal((n_rows, N_IN)).astype(network.dtype)
    Y = random.randint(0, 2, (n_rows, network.n_target_columns)).astype(network.dtype)
    return X, Y, random.uniform(0.5, 1.5, n_rows).astype(network.dtype)


def count_training(network, optimizer, batch_size, form=np.asarray, clip_norm=None):
    """Allocations of one native call, for few batches and for many."""
    optimizer = Optimizer(
        optimizer, network.params.size, network.dtype, clip_norm=clip_norm
    )
    X, *targets = make_data(network, N_ROWS)
    inputs = as_inputs(form(X), N_IN, network.dtype)
    trainer = Trainer(
        network, optimizer, ArrayRows((inputs, *targets)), batch_size=batch_size
    )
    results = []
    for n_batches in (FEW, MANY):
        order = np.arange(n_batches * batch_size, dtype=np.intp) % N_ROWS
        results.append(count_during(train, trainer, order))
    return results


def train(trainer, order):
    _kernels.train(
        trainer.network.params,
        trainer.network.stats,
        trainer._grads,
        trainer.optimizer.slots,
        trainer.optimizer.rule,
        trainer._arena,
        *trainer.rows.data,
        order,
        trainer.network.plan,
        trainer._objective,
        trainer.network.numbers,
        trainer.batch_size,
        trainer._capacity,
    )


def make_network(
    dtype, loss="log_loss", output="softmax", activation="relu", **settings
):
    return Network(
        [N_IN, 60, 7, N_OUT],
        activation=activation,
        loss=loss,
        output_activation=output,
        alpha=0.1,
        dtype=dtype,
        random_state=0,
        **settings,
    )


def count_trainings(dtype):
    for name in _kernels.OPTIMIZERS:
        for batch_size in (1, 32):
            counted = count_training(make_network(dtype), name, batch_size)
            yield f"train {name} {dtype} {batch_size}", counted
    for head in ALL_HEADS:
        counted = count_training(make_network(dtype, *head), "adam", 32)
        yield f"train {' '.join(head)} {dtype}", counted
    for activation in _kernels.HIDDEN_ACTIVATIONS:
        network = make_network(dtype, activation=activation)
        yield f"train {activation} {dtype}", count_training(network, "adam", 32)
    network = make_network(dtype, batch_norm=True, dropout=0.5, l1_ratio=0.5)
    counted = count_training(network, "adam", 32, clip_norm=0.1)
    yield f"train with everything {dtype}", counted
    counted = count_training(make_network(dtype), "adam", 32, scipy.sparse.csr_array)
    yield f"train sparse {dtype}", counted


def count_row_blocks(dtype):
    """Allocations of the calls that walk all rows, for few blocks and for many."""
    network = make_network(dtype)
    plan = network._build_plan(spread=True)
    entries = count_entries(plan)
    arena, r_arena = (build_arena(entries, BLOCK, network.dtype) for _ in range(2))
    grads = np.empty_like(network.params)
    model = (network.params, network.stats, plan)
    terms = (network.objective, network.numbers)
    counted = {}
    for n_blocks in (FEW, MANY):
        X, *targets = make_data(network, n_blocks * BLOCK)
        out, back = (np.empty((len(X), n), network.dtype) for n in (N_OUT, N_IN))
        data = (X, *targets)
        product = (*data, network.params, network.params, plan, *terms)
        for name, arguments in {
            "predict": (out, arena, X, *model),
            "input_gradient": (back, arena, X, out, *model),
            "compute_loss": (arena, out, *data, *model, *terms),
            "compute_loss_and_gradient": (grads, arena, *data, *model, *terms),
            "multiply_hessian": (grads, arena, r_arena, *product),
        }.items():
            n = count_during(getattr(_kernels, name), *arguments, BLOCK)
            counted.setdefault(f"{name} {dtype}", []).append(n)
    return counted


def count_all():
    gc.disable()
    ignore_blas()
    counted = dict(count_allocators())
    for dtype in DTYPES:
        counted.update(count_trainings(dtype))
        counted.update(count_row_blocks(dtype))
    return counted


if __name__ == "__main__":
    print(json.dumps(count_all()))
