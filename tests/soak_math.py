"""Put every float32 there is through the engine's elementary functions.

``python tests/soak_math.py [--only NAME]`` holds the results for all 2³² inputs against
float64 and names the input of the worst. It ends with an error if one is further off
than the tests allow. ``FASTMLP_ISA`` chooses the engine.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.special
from rich.progress import track
from test_math import EXACT, LIMITS, measure_ulp

from fastmlp import _kernels

FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "softplus", "erf")
INDEPENDENT = EXACT | {"erf": scipy.special.erf}
N_INPUTS, CHUNK = 2**32, 2**20


class Findings(NamedTuple):
    """What came of some inputs: the worst error, its input, how many were too far off.

    Parameters
    ----------
    ulp : float
        Infinite if an infinity, NaN or the sign of a zero is wrong.
    x : float
    n_beyond : int
    """

    ulp: float
    x: float
    n_beyond: int

    def __str__(self) -> str:
        return f"worst {self.ulp:.3f} ulp, at {self.x.hex()} = {self.x:.9g}"


def all_inputs() -> Iterator[np.ndarray]:
    """Every pattern of 32 bits as float32, a chunk at a time."""
    for begin in range(0, N_INPUTS, CHUNK):
        yield np.arange(begin, begin + CHUNK, dtype=np.uint32).view(np.float32)


def check_chunk(function: str, x: np.ndarray) -> Findings:
    """Hold the engine's results for these inputs against float64."""
    errors = measure_ulp(function, x, INDEPENDENT[function])
    worst = int(errors.argmax())
    n_beyond = int(np.count_nonzero(errors > LIMITS[function]))
    return Findings(float(errors[worst]), float(x[worst]), n_beyond)


def check(function: str) -> Findings:
    """Hold the engine's results for all inputs against float64."""
    chunks = track(all_inputs(), function, total=N_INPUTS // CHUNK)
    found = [check_chunk(function, x) for x in chunks]
    ulp, x, _ = max(found)
    return Findings(ulp, x, sum(part.n_beyond for part in found))


def report(function: str) -> bool:
    """Check a function and print a line; whether it keeps its limit."""
    began = time.perf_counter()
    found = check(function)
    seconds = time.perf_counter() - began
    print(
        f"{function:8} {found}; limit {LIMITS[function]}, "
        f"{found.n_beyond} inputs beyond it; {seconds:.0f} s",
        flush=True,
    )
    return found.n_beyond == 0


def main() -> int:
    """Check the functions asked for; 1 if one is beyond its limit."""
    parser = argparse.ArgumentParser(
        prog="python tests/soak_math.py", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--only", action="append", choices=FUNCTIONS, help="just these")
    functions = parser.parse_args().only or FUNCTIONS
    began = time.perf_counter()
    print(f"engine {_kernels.isa}", flush=True)
    kept = [report(function) for function in functions]
    print(f"{len(kept)} functions, {time.perf_counter() - began:.0f} s")
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
