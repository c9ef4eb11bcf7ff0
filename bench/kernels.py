"""``bench kernels``: native kernels against their NumPy reference.

The cases come from the kernels' own tables (`ACTIVATIONS`, `HEADS`,
`OPTIMIZERS`), so a new formula is measured untouched. Times are those of a call
from Python, in cache, by element; of a product, by multiply-add. The reference is
written to be right: it computes in float64 whatever it is given.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np

from bench.environment import describe_machine, describe_pools
from bench.peers import load_peer
from bench.report import print_table, write_json
from bench.shapes import MAIN_SHAPES
from bench.timing import measure, summarize
from bench.worker import WorkerError, run_worker

DTYPES = ("float32", "float64")
ROWS, COLUMNS = 256, 128
SECONDS = 0.02
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


@dataclass
class Case:
    """A call.

    Parameters
    ----------
    function : str
        The kernel's name.
    variant : str
        Which formula, or which size.
    arguments : list
        The output or outputs first.
    n_outputs : int
        How many arguments the kernel writes to; with 0 it returns its result.
    n_elements : int
        What the time is divided by.
    in_place : bool
        Whether the first argument is read as well and must be restored between
        calls.
    """

    function: str
    variant: str
    arguments: list
    n_outputs: int = 1
    n_elements: int = ROWS * COLUMNS
    in_place: bool = False


class Numbers:
    """Random arrays of one dtype."""

    def __init__(self, dtype: str):
        self.rng = np.random.default_rng(0)
        self.dtype = dtype

    def draw(self, *shape: int) -> np.ndarray:
        """Return numbers between -2 and 2."""
        return self.rng.uniform(-2, 2, shape).astype(self.dtype)

    def draw_classes(self, *shape: int) -> np.ndarray:
        """Return zeros and ones, good as a target of every loss."""
        return self.rng.integers(2, size=shape).astype(self.dtype)


def elementwise_cases(numbers: Numbers) -> Iterator[Case]:
    """Yield the functions of math, and sums."""
    names = ("exp", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "reciprocal")
    for name in names:
        x = np.abs(numbers.draw(ROWS * COLUMNS)) / 2
        yield Case(name, "", [np.empty_like(x), x])
    x = numbers.draw(ROWS, COLUMNS)
    yield Case("sum_columns", "", [np.empty_like(x[0]), x, False])
    yield Case("sum_squares", "", [x.ravel()], n_outputs=0)


def activation_cases(kernels: ModuleType, numbers: Numbers) -> Iterator[Case]:
    """Yield every activation and every slope."""
    for name, code in kernels.ACTIVATIONS.items():
        a, b = numbers.draw(ROWS, COLUMNS), numbers.draw(COLUMNS)
        yield Case("activate", name, [a, code], in_place=True)
        yield Case("add_bias_and_activate", name, [a, b, code], in_place=True)
    for name in kernels.HIDDEN_ACTIVATIONS:
        delta, z = numbers.draw(ROWS, COLUMNS), numbers.draw(ROWS, COLUMNS)
        a, code = z.copy(), kernels.ACTIVATIONS[name]
        kernels.activate(a, code)
        yield Case("multiply_slope", name, [delta, a, z, code], in_place=True)


def training_cases(numbers: Numbers) -> Iterator[Case]:
    """Yield dropout and batch normalisation."""
    x = numbers.draw(ROWS, COLUMNS)
    scales, gammas = np.full(ROWS, 1 / ROWS, x.dtype), numbers.draw(COLUMNS)
    moments = np.abs(numbers.draw(2, COLUMNS))
    vectors = [np.empty_like(gammas), np.empty_like(gammas)]
    yield Case("drop", "", [np.empty_like(x), x, 0.5, 1, 1, 0, 0])
    yield Case("compute_moments", "", [np.empty_like(moments), x, scales])
    yield Case("normalize", "", [x, moments], in_place=True)
    yield Case("scale_and_shift", "", [np.empty_like(x), x, gammas, gammas])
    delta = [numbers.draw(ROWS, COLUMNS), *vectors]
    rest = [x, scales, gammas, moments]
    yield Case("normalize_deltas", "", [*delta, *rest], n_outputs=3, in_place=True)


def head_cases(kernels: ModuleType, numbers: Numbers) -> Iterator[Case]:
    """Yield every loss on each of its output activations."""
    for loss, activations in kernels.HEADS.items():
        for activation in activations:
            z = numbers.draw(ROWS, COLUMNS)
            indexed = (loss, activation) == ("log_loss", "softmax")
            y = numbers.draw_classes(ROWS, 1 if indexed else COLUMNS)
            scales = np.full(ROWS, 1 / ROWS, z.dtype)
            codes = kernels.LOSSES[loss], kernels.ACTIVATIONS[activation]
            levels = np.full(COLUMNS, 0.5, z.dtype)
            arrays = [np.empty_like(z), np.empty_like(y), z, y, scales, levels]
            yield Case(
                "evaluate_head", f"{loss} {activation}", [*arrays, *codes], n_outputs=2
            )


def update_cases(kernels: ModuleType, numbers: Numbers) -> Iterator[Case]:
    """Yield every optimizer."""
    from fastmlp.optimizers import Optimizer

    n = ROWS * COLUMNS
    for name in kernels.OPTIMIZERS:
        rule = Optimizer(name, n, numbers.dtype).rule
        rule["t"] = 1
        slots = np.abs(numbers.draw(kernels.SLOTS[name], n))
        arrays = [numbers.draw(n), numbers.draw(n), slots]
        yield Case("update", name, [*arrays, rule, 0.0, 1e-4, 1.0, 1.0], n_outputs=3)


def product_cases(numbers: Numbers) -> Iterator[Case]:
    """Yield the three products of every layer of every shape."""
    layers = {
        (shape.batch_size, *layer)
        for shape in MAIN_SHAPES
        for layer in pairwise(shape.units)
    }
    for rows, n_in, n_out in sorted(layers, key=np.prod):
        a, w = numbers.draw(rows, n_in), numbers.draw(n_in, n_out)
        delta = numbers.draw(rows, n_out)
        for name, out, *operands in (
            ("A B", delta, a, w),
            ("A Bᵀ", a, delta, w.T),
            ("Aᵀ B", w, a.T, delta),
        ):
            yield Case(
                "multiply",
                f"{name}, {rows} rows {n_in}-{n_out}",
                [np.empty_like(out), *operands, False],
                n_elements=a.size * n_out,
            )


def make_cases(kernels: ModuleType, dtype: str) -> Iterator[Case]:
    """Yield every case."""
    numbers = Numbers(dtype)
    yield from elementwise_cases(numbers)
    yield from activation_cases(kernels, numbers)
    yield from training_cases(numbers)
    yield from head_cases(kernels, numbers)
    yield from update_cases(kernels, numbers)
    yield from product_cases(numbers)


def find_results(module: ModuleType, case: Case) -> list:
    """Return what a kernel computes."""
    arguments = copy.deepcopy(case.arguments)
    returned = getattr(module, case.function)(*arguments)
    return arguments[: case.n_outputs] or [returned]


def agree(native: ModuleType, reference: ModuleType, case: Case, rtol: float) -> bool:
    """Tell whether both sides compute the same."""
    pairs = zip(find_results(native, case), find_results(reference, case), strict=True)
    return all(
        np.allclose(ours, theirs, rtol, atol=rtol * np.max(np.abs(theirs), initial=0))
        for ours, theirs in pairs
    )


def time_case(module: ModuleType, case: Case, repeats: int) -> dict[str, float]:
    """Return a kernel's nanoseconds by element: median, min and max."""
    function, arguments = getattr(module, case.function), copy.deepcopy(case.arguments)
    initial = copy.copy(arguments[0]) if case.in_place else None

    def restore(n):
        for _ in range(n):
            np.copyto(arguments[0], initial)

    def run(n):
        for _ in range(n):
            if initial is not None:
                np.copyto(arguments[0], initial)
            function(*arguments)

    spent = min(measure(restore, repeats, SECONDS)) if case.in_place else 0.0
    samples = measure(run, repeats, SECONDS)
    return summarize([(s - spent) / case.n_elements for s in samples], 1e-9)


def work(job: dict) -> dict:
    """Check and time every case in one dtype (in a worker)."""
    from fastmlp import _kernels, _reference

    rows, refused = [], []
    for case in make_cases(_kernels, job["dtype"]):
        name = f"{case.function} {case.variant}".strip()
        if not agree(_kernels, _reference, case, TOLERANCE[job["dtype"]]):
            refused.append(f"{name} differs from the reference")
            continue
        ns = time_case(_kernels, case, job["repeats"])
        reference = time_case(_reference, case, job["repeats"])
        rows.append({"kernel": name, "ns": ns, "reference_ns": reference})
    about = {"versions": load_peer("fastmlp").versions(), "pools": describe_pools()}
    return about | {"rows": rows, "refused": refused}


def print_rows(rows: list[dict]) -> None:
    """Print the result."""
    print_table(
        ["dtype", "kernel", "ns", "min", "max", "NumPy ns", "×"],
        (
            [
                *(row["dtype"], row["kernel"]),
                *row["ns"].values(),
                *(row["reference_ns"]["median"], row["ratio"]),
            ]
            for row in rows
        ),
    )


def run(repeats: int, path: Path | None) -> int:
    """Measure all kernels in both dtypes on one thread; return the exit status."""
    rows: list[dict] = []
    about: dict = {"environment": describe_machine()}
    refused = False
    for dtype in DTYPES:
        try:
            outcome = run_worker("kernels", 1, dtype=dtype, repeats=repeats)
        except WorkerError as error:
            outcome = {"refused": [str(error)]}
        for reason in outcome["refused"]:
            print(f"{dtype} refused: {reason}", file=sys.stderr)
        refused |= bool(outcome["refused"])
        for row in outcome.get("rows", []):
            ratio = row["reference_ns"]["median"] / row["ns"]["median"]
            rows.append({"dtype": dtype, **row, "ratio": round(ratio, 3)})
        about |= {key: outcome.get(key) for key in ("versions", "pools")}
    print_rows(rows)
    write_json(path, about | {"repeats": repeats, "rows": rows})
    return int(refused)
