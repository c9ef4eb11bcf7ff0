"""What a measurement was taken on. Imports no numerical library."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

# They make OpenBLAS pretend to be on another CPU than it is.
FORCING_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def usable_cpus() -> list[int]:
    """Return the CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_model() -> str:
    """Return the CPU's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_machine() -> dict:
    """Return the machine and the interpreter, for the record."""
    return {
        "cpu": cpu_model(),
        "cpus": len(usable_cpus()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "forcing_variables": {v: os.environ.get(v) for v in FORCING_VARIABLES},
    }


def versions_of(*distributions: str) -> dict[str, str]:
    """Return the installed version of each distribution."""
    return {name: metadata.version(name) for name in distributions}


def describe_pool(pool: dict) -> str:
    """Return a thread pool in a few words, without its path."""
    keys = ("internal_api", "version", "architecture")
    words = [pool[key] for key in keys if pool.get(key)]
    return " ".join([*words, f"threads={pool['num_threads']}"])


def describe_pools() -> list[str]:
    """Return the BLAS and OpenMP libraries loaded so far."""
    import threadpoolctl

    return sorted({describe_pool(pool) for pool in threadpoolctl.threadpool_info()})
