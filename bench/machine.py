"""What the machine can do: the bound that a training step is held against.

No step of multiply-adds can be faster than its matrix products at the machine's
rate plus, one after the other, the optimizer's pass over its state at the machine's
bandwidth. The two could overlap in principle; activations, gathering and the head are
free in this bound. A matrix unit may pass it: it does other things than multiply-adds.

The rate is the best that a large matrix product of NumPy reached in the shape's
dtype, not the FMA units' nominal one. The bandwidth is that of ``x += y`` over a
footprint as large as the optimizer's state, hence a cache's if that fits in one.
Both are summed over processes of one thread each, all running at once, and are the
best of several goes: a virtual machine's CPUs may share one core for seconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from bench.shapes import Shape
from bench.timing import measure
from bench.worker import run_worker

DTYPES = ("float32", "float64")
N_SAMPLES = 7
N_GOES = 5
# A fused Adam reads and writes parameter, v and s once; the gradient it takes
# from a cache.
STATE_ARRAYS = 3
# Below this NumPy's own overhead of a call would pass for a narrow bandwidth.
MIN_BYTES = 2**17


def measure_gemm(dtype: str, size: int = 1024) -> float:
    """Return the best rate of a square product, in GFLOP/s."""
    a = np.random.default_rng(0).standard_normal((size, size), dtype=dtype)
    b, c = a.T.copy(), np.empty_like(a)

    def run(n):
        for _ in range(n):
            np.matmul(a, b, out=c)

    return 2e-9 * size**3 / min(measure(run, N_SAMPLES, seconds=0.05))


def measure_stream(n_bytes: int) -> float:
    """Return the best bandwidth of ``x += y`` over n bytes in all, in GB/s."""
    x, y = np.zeros((2, max(n_bytes, MIN_BYTES) // 8), dtype=np.float32)

    def run(n):
        for _ in range(n):
            np.add(x, y, out=x)

    return 3e-9 * x.nbytes / min(measure(run, N_SAMPLES, seconds=0.05))


def measure_in_step(begin, rates, footprints: list[int]) -> None:
    """Measure in one of several processes that begin each measurement together."""
    found = []
    with threadpool_limits(1):
        for dtype in DTYPES:
            begin.wait()
            found.append(measure_gemm(dtype))
    for n_bytes in footprints:
        begin.wait()
        found.append(measure_stream(n_bytes))
    rates.put(found)


def work(job: dict) -> dict:
    """Measure `job["n_threads"]` processes at once (in a worker)."""
    n, footprints = job["n_threads"], job["footprints"]
    begin = multiprocessing.Barrier(n, timeout=60)
    rates: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(
            target=measure_in_step, args=(begin, rates, [f // n for f in footprints])
        )
        for _ in range(n)
    ]
    for process in processes:
        process.start()
    found = [rates.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return {"rates": np.sum(found, axis=0).round(1).tolist()}


def state_bytes(shape: Shape) -> int:
    """Return the footprint of the optimizer's state."""
    return STATE_ARRAYS * shape.item_size * shape.n_params


def measure_machine(n_threads: int, shapes: Sequence[Shape]) -> dict:
    """Measure the machine with as many processes as there will be threads.

    Returns
    -------
    dict
        `gflops` of each dtype, and `gbytes` for the footprint of each shape, a
        second.
    """
    footprints = sorted({state_bytes(shape) for shape in shapes})
    goes = [
        run_worker("machine", n_threads, footprints=footprints)["rates"]
        for _ in range(N_GOES)
    ]
    best = np.max(goes, axis=0).tolist()
    by_footprint = dict(zip(footprints, best[len(DTYPES) :], strict=True))
    return {
        "gflops": dict(zip(DTYPES, best, strict=False)),
        "gbytes": {shape.name: by_footprint[state_bytes(shape)] for shape in shapes},
    }


def bound_of(shape: Shape, machine: dict) -> float:
    """Return the least time of a step, in seconds."""
    products = shape.flops / (machine["gflops"][shape.dtype] * 1e9)
    update = 2 * state_bytes(shape) / (machine["gbytes"][shape.name] * 1e9)
    return products + update
