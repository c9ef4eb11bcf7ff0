"""``bench growth``: how the time of a training step grows with the network.

Width, batch and depth, each by itself. What threads gain is told by the same
measurements, as each is taken with every thread count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.environment import describe_machine
from bench.machine import bound_of, measure_machine
from bench.peers import keep_available
from bench.report import write_json
from bench.shapes import Shape
from bench.steps import measure_shapes, print_rows
from bench.worker import thread_counts

# Of a sample; a growth is seen through more noise than a ratio.
SECONDS = 0.1
# Limits of an epoch. With more rows small networks would wait for memory, with
# fewer steps for whoever calls them; with more operations nothing would end.
MOST_ROWS, MOST_STEPS, MOST_FLOPS = 4096, 500, 2e9
LEAST_STEPS = 2


def make_shape(name: str, units: Sequence[int], batch_size: int) -> Shape:
    """Return a shape whose epochs are neither too short nor too long to time."""
    step = Shape(name, units, batch_size, n_steps=1)
    steps = min(MOST_ROWS // batch_size, MOST_STEPS, int(MOST_FLOPS / step.flops))
    return replace(step, n_steps=max(steps, LEAST_STEPS))


@dataclass(frozen=True)
class Sweep:
    """Shapes that differ in one size.

    Parameters
    ----------
    name : str
    axis : str
        What the size is.
    network : str
        What all the shapes have in common.
    shapes : dict of Shape
        By size.
    """

    name: str
    axis: str
    network: str
    shapes: dict[int, Shape]


SWEEPS = (
    Sweep(
        "width",
        "units in each hidden layer, w",
        "64-w-w-10, batch 128",
        {
            w: make_shape(f"width {w}", (64, w, w, 10), 128)
            for w in (16, 64, 256, 1024, 4096)
        },
    ),
    Sweep(
        "batch",
        "rows in a batch",
        "64-256-256-10",
        {
            n: make_shape(f"batch {n}", (64, 256, 256, 10), n)
            for n in (1, 8, 32, 128, 512, 2048, 8192)
        },
    ),
    Sweep(
        "depth",
        "hidden layers of 128 units",
        "64-128-…-128-10, batch 128",
        {
            n: make_shape(f"depth {n}", (64, *[128] * n, 10), 128)
            for n in (1, 2, 3, 4, 5, 6)
        },
    ),
)


def describe_sweep(sweep: Sweep, rows: list[dict], machine: dict) -> dict:
    """Return what is drawn of a sweep; its bound is that of the most threads."""
    sizes = {shape.name: size for size, shape in sweep.shapes.items()}
    most = machine[max(machine)]
    return {
        "name": sweep.name,
        "axis": sweep.axis,
        "network": sweep.network,
        "bound_us": {
            size: round(bound_of(shape, most) * 1e6, 3)
            for size, shape in sweep.shapes.items()
        },
        "flops": {size: shape.flops for size, shape in sweep.shapes.items()},
        "rows": [
            row | {"size": sizes[row["shape"]]} for row in rows if row["shape"] in sizes
        ],
    }


def run(
    peers: list[str], threads: list[int] | None, repeats: int, path: Path | None
) -> int:
    """Measure all sweeps; return the exit status, 1 if anything was refused."""
    shapes = [shape for sweep in SWEEPS for shape in sweep.shapes.values()]
    machine = {n: measure_machine(n, shapes) for n in thread_counts(threads)}
    available = keep_available(peers)
    rows, versions, refused = measure_shapes(
        shapes, available, machine, repeats, SECONDS
    )
    print_rows(rows)
    about = {"environment": describe_machine(), "versions": versions}
    sweeps = [describe_sweep(sweep, rows, machine) for sweep in SWEEPS]
    write_json(path, about | {"repeats": repeats, "machine": machine, "sweeps": sweeps})
    return int(refused)
