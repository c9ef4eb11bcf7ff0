"""What a bug report needs: versions, engine, threads, BLAS, and what they reach."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from time import perf_counter
from typing import Any

import numpy as np

DISTRIBUTIONS = ("numpy", "scipy", "scikit-learn", "threadpoolctl", "joblib")
# They make OpenBLAS pretend to be on another processor than it is.
BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
SECONDS_OF_A_MEASUREMENT = 0.2
PRODUCT_SIZE = 512
STREAM_ENTRIES = 4_000_000


def show_versions() -> None:
    """Print what a bug report needs.

    Versions; the engine that was chosen and those that could be; how many threads a fit
    may have, and who says so; the BLAS libraries; and, measured in a second on one
    thread, the rate of the engine's matrix products and the memory's bandwidth.
    """
    for title, entries in describe().items():
        print(f"\n{title}:")
        for name, value in entries.items():
            print(f"    {name}: {value}")


def print_info(arguments: list[str]) -> int:
    """``python -m fastmlp info``."""
    if arguments:
        print("usage: python -m fastmlp info", file=sys.stderr)
        return 2
    show_versions()
    return 0


def describe() -> dict[str, dict[str, Any]]:
    """What :func:`show_versions` prints, by title and name."""
    return {
        "System": {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "machine": platform.platform(),
            "processor": find_processor(),
        },
        "Versions": find_versions(),
        "Engine": describe_engine(),
        "Threads": describe_threads(),
        "BLAS": describe_blas(),
        "Measured on one thread": measure(),
    }


def find_processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def find_versions() -> dict[str, str]:
    """Versions of fastmlp and of what it stands on."""
    from fastmlp._version import __version__

    found = {"fastmlp": __version__}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe_engine() -> dict[str, Any]:
    """Which engine runs, and which could."""
    from fastmlp import _kernels

    return {
        "chosen": _kernels.isa,
        "available": ", ".join(_kernels.available()),
        "FASTMLP_ISA": os.environ.get("FASTMLP_ISA", "not set"),
        "runs threads": _kernels.THREADS,
    }


def describe_threads() -> dict[str, Any]:
    """How many threads a fit may have, and each limit."""
    from fastmlp import _kernels, threads

    limits = threads.find_limits(len(threads.usable_processors()))
    if not _kernels.THREADS:
        limits["engine"] = 1
    return {"a fit may have": max(1, min(limits.values())), **limits}


def describe_blas() -> dict[str, str]:
    """Each BLAS and OpenMP library, and what makes it another than it would be."""
    from threadpoolctl import threadpool_info

    found = {}
    for pool in threadpool_info():
        keys = ("internal_api", "version", "architecture", "threading_layer")
        words = [str(pool[key]) for key in keys if pool.get(key)]
        text = f"{' '.join(words)}, {pool['num_threads']} threads"
        found[os.path.basename(pool["filepath"])] = text
    for name in BLAS_VARIABLES:
        if name in os.environ:
            found[name] = os.environ[name]
    return found


def measure() -> dict[str, str]:
    """Rates of the engine's products, and the bandwidth of x += y, a second in all."""
    x, y = np.zeros((2, STREAM_ENTRIES))
    seconds = measure_seconds(lambda: np.add(x, y, out=x))
    return {
        "products of float32": f"{measure_product(np.float32):.0f} GFLOP/s",
        "products of float64": f"{measure_product(np.float64):.0f} GFLOP/s",
        "memory": f"{3e-9 * x.nbytes / seconds:.0f} GB/s",
    }


def measure_product(dtype: type) -> float:
    """GFLOP/s of a square product, of the engine's tiles or of BLAS without them."""
    from fastmlp import _kernels
    from fastmlp.limits import blas

    matrix: np.ndarray = np.ones((PRODUCT_SIZE, PRODUCT_SIZE), dtype=dtype)
    product = np.empty_like(matrix)
    with blas.one_thread():
        seconds = measure_seconds(
            lambda: _kernels.multiply(product, matrix, matrix, False)
        )
    return 2e-9 * PRODUCT_SIZE**3 / seconds


def measure_seconds(work: Callable[[], object]) -> float:
    """The least that it takes, in some tries."""
    times: list[float] = []
    end = perf_counter() + SECONDS_OF_A_MEASUREMENT
    while perf_counter() < end or len(times) < 2:
        begin = perf_counter()
        work()
        times.append(perf_counter() - begin)
    return min(times)
