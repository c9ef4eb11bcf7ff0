"""What the machine can do: the bound that a training step is held against.

No step can be faster than its matrix products at the machine's rate plus, one
after the other, the optimizer's pass over its state at the machine's bandwidth.
The two could overlap in principle; activations, gathering and the head are free
in this bound.

The rate is the best that a large float32 matrix product of NumPy reached, not
the FMA units' nominal one. The bandwidth is that of ``x += y`` over a
footprint as large as the optimizer's state, hence a cache's if that fits in one.
Both are summed over processes of one thread each, all running at once.
"""

from __future__ import annotations

import multiprocessing

import numpy as np
from threadpoolctl import threadpool_limits

from bench.shapes import SHAPES, Shape
from bench.timing import measure
from bench.worker import run_worker

N_SAMPLES = 7
# A fused Adam reads and writes parameter, v and s once; the gradient it takes
# from a cache.
STATE_ARRAYS = 3
BYTES_PER_PARAM = 2 * STATE_ARRAYS * np.dtype(np.float32).itemsize
# Below this NumPy's own overhead of a call would pass for a narrow bandwidth.
MIN_ELEMENTS = 2**15


def measure_gemm(size: int = 1024) -> float:
    """Return the best rate of a square float32 product, in GFLOP/s."""
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    b, c = a.T.copy(), np.empty_like(a)

    def run(n):
        for _ in range(n):
            np.matmul(a, b, out=c)

    return 2e-9 * size**3 / min(measure(run, N_SAMPLES, seconds=0.05))


def measure_stream(n_elements: int) -> float:
    """Return the best bandwidth of ``x += y`` over n elements in all, in GB/s."""
    n_elements = max(n_elements, MIN_ELEMENTS)
    x, y = np.zeros((2, n_elements // 2), dtype=np.float32)

    def run(n):
        for _ in range(n):
            np.add(x, y, out=x)

    return 3e-9 * x.nbytes / min(measure(run, N_SAMPLES, seconds=0.05))


def measure_in_step(begin, rates, sizes: list[int]) -> None:
    """Measure in one of several processes that begin each measurement together."""
    with threadpool_limits(1):
        begin.wait()
        found = [measure_gemm()]
    for size in sizes:
        begin.wait()
        found.append(measure_stream(size))
    rates.put(found)


def work(job: dict) -> dict:
    """Measure `job["n_threads"]` processes at once (in a worker)."""
    n, names = job["n_threads"], job["shapes"]
    sizes = [STATE_ARRAYS * SHAPES[name].n_params // n for name in names]
    begin = multiprocessing.Barrier(n, timeout=60)
    rates: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=measure_in_step, args=(begin, rates, sizes))
        for _ in range(n)
    ]
    for process in processes:
        process.start()
    found = [rates.get(timeout=600) for _ in processes]
    gemm, *streams = np.sum(found, axis=0).round(1).tolist()
    for process in processes:
        process.join()
    return {"gflops": gemm, "gbytes": dict(zip(names, streams, strict=True))}


def measure_machine(n_threads: int, shapes: list[str]) -> dict:
    """Measure the machine with as many processes as there will be threads.

    Returns
    -------
    dict
        `gflops`, and `gbytes` for the footprint of each shape, a second.
    """
    return run_worker("machine", n_threads, shapes=shapes)


def bound_of(shape: Shape, machine: dict) -> float:
    """Return the least time of a step, in seconds."""
    products = shape.flops / (machine["gflops"] * 1e9)
    update = BYTES_PER_PARAM * shape.n_params / (machine["gbytes"][shape.name] * 1e9)
    return products + update
