"""``bench images``: the time of a training step of convolutional networks.

Each is trained by Adam on batches of 128 in float32, with relu and max pooling of 2
behind each convolution, as fastmlp and as PyTorch do it: PyTorch with its default order
of axes and with channels last, both at each number of threads. It is checked, in
float64, that both take the same steps. The bound is that of :mod:`bench.machine`:
products at the rate of the same run's matrix products, the optimizer's state at its
bandwidth.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.bars import at_least, print_bars
from bench.environment import describe_machine, versions_of
from bench.machine import bound_of, measure_machine
from bench.report import print_table, write_json
from bench.shapes import BETA_1, BETA_2, EPSILON, TIMED_LEARNING_RATE
from bench.timing import measure, summarize
from bench.worker import run_worker, thread_counts

N_STEPS = 8
N_COMPARED = 3
# Of the sum of a layer's parameters, in float64.
AGREEMENT = 1e-10
# The two have their ε at different places: where it is lost in the sum, it is all one.
LOST_EPSILON = 1e-30


@dataclass(frozen=True)
class Images:
    """A network on images: two convolutions, each with its pooling, and a hidden layer.

    Parameters
    ----------
    name : str
    shape : tuple of int
        (height, width, channels), or (length, channels) of signals.
    filters : tuple of int
        Of the two convolutions.
    kernel : int
    ratio : float
        Times of PyTorch's over fastmlp's that are the goal.
    """

    name: str
    shape: tuple[int, ...]
    filters: tuple[int, int]
    kernel: int
    ratio: float
    batch_size: int = 128
    dtype: str = "float32"

    @property
    def architecture(self) -> list[Any]:
        """As `fastmlp.Network` takes it."""
        from fastmlp.layers import Conv, MaxPool

        layers: list[Any] = [self.shape]
        for filters in self.filters:
            layers += [Conv(filters, self.kernel), MaxPool(2)]
        return [*layers, 64, 10]

    @property
    def _trained(self):
        from fastmlp.layers import geometries

        layers = geometries(tuple(self.architecture))
        return [layer for layer in layers if layer.is_trained]

    @property
    def flops(self) -> int:
        """Operations of a step's products; the inputs' gradient is not needed."""
        products = [layer.n_terms * layer.n_out for layer in self._trained]
        return 2 * self.batch_size * (3 * sum(products) - products[0])

    @property
    def n_params(self) -> int:
        """Weights and biases."""
        return sum(
            math.prod(layer.weights_shape) + layer.out_shape[2]
            for layer in self._trained
        )

    @property
    def item_size(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize


NETWORKS = {
    network.name: network
    for network in (
        Images("8 × 8 × 1", (8, 8, 1), (16, 32), 3, ratio=3.0),
        Images("28 × 28 × 1", (28, 28, 1), (16, 32), 3, ratio=1.4),
        Images("128 × 3", (128, 3), (32, 32), 5, ratio=2.0),
    )
}
PEERS = ("fastmlp", "torch", "torch, channels last")
BOUND_GOAL = 0.55


def draw_data(network: Images) -> tuple[np.ndarray, np.ndarray]:
    """Images as rows, and their classes."""
    rng = np.random.default_rng(0)
    n_rows = N_STEPS * network.batch_size
    X = rng.standard_normal((n_rows, math.prod(network.shape)), dtype=network.dtype)
    return X, rng.integers(10, size=n_rows)


def initial_network(network: Images):
    """The network of fastmlp, whose parameters all begin with."""
    from fastmlp import Network

    return Network(
        network.architecture, loss="log_loss", dtype=network.dtype, random_state=0
    )


class Ours:
    """fastmlp's trainer."""

    def __init__(self, network: Images, learning_rate: float, epsilon: float) -> None:
        from fastmlp.optimizers import Optimizer
        from fastmlp.rows import ArrayRows
        from fastmlp.threads import count_threads, thread_team
        from fastmlp.trainer import Trainer

        X, y = draw_data(network)
        self.network = initial_network(network)
        adam = {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": epsilon}
        optimizer = Optimizer(
            *("adam", self.network.params.size, self.network.dtype),
            learning_rate=learning_rate,
            **adam,
        )
        n_threads = count_threads(self.network.plan, network.batch_size)
        # For as long as the worker's process lives.
        self.team = thread_team(n_threads)
        rows = ArrayRows(self.network.as_data(X, y, None))
        self.trainer = Trainer(
            *(self.network, optimizer, rows),
            batch_size=network.batch_size,
            team=self.team.__enter__(),
        )

    def step(self, n: int) -> None:
        """Take n steps, from the first row on."""
        size = self.trainer.batch_size
        self.trainer.run_epoch(np.arange(n * size))

    def params(self) -> list[np.ndarray]:
        """Kernels and weights."""
        return list(self.network.weights)


class Theirs:
    """PyTorch's modules and its fused Adam."""

    def __init__(
        self,
        network: Images,
        learning_rate: float,
        epsilon: float,
        channels_last: bool,
        n_threads: int,
    ) -> None:
        import torch

        torch.set_num_threads(n_threads)
        X, y = draw_data(network)
        ours = initial_network(network)
        self.model, images = _modules(torch, network, ours, X, channels_last)
        parts = (t.split(network.batch_size) for t in (images, torch.tensor(y)))
        self.batches = list(zip(*parts, strict=True))
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=learning_rate,
            betas=(BETA_1, BETA_2),
            eps=epsilon,
            fused=True,
        )

    def step(self, n: int) -> None:
        """Take n steps, from the first row on."""
        for images, targets in self.batches[:n]:
            self.optimizer.zero_grad()
            self.loss(self.model(images), targets).backward()
            self.optimizer.step()

    def params(self) -> list[np.ndarray]:
        """Kernels and weights, laid out as fastmlp's; behind images in their order."""
        found = [p.detach().numpy() for p in self.model.parameters() if p.ndim > 1]
        return [np.moveaxis(p, (0, 1), (-1, -2)) for p in found]


def _modules(torch, network: Images, ours, X, channels_last: bool):
    """The model at fastmlp's parameters, and the images in PyTorch's order."""
    is_2d = len(network.shape) == 3
    conv = torch.nn.Conv2d if is_2d else torch.nn.Conv1d
    pool = torch.nn.MaxPool2d if is_2d else torch.nn.MaxPool1d
    modules, channels = [], network.shape[-1]
    for filters in network.filters:
        modules += [conv(channels, filters, network.kernel, padding="same")]
        modules += [torch.nn.ReLU(), pool(2)]
        channels = filters
    n_flat = ours.weights[2].shape[0]
    modules += [torch.nn.Flatten(), torch.nn.Linear(n_flat, 64), torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules, torch.nn.Linear(64, 10))
    model = model.to(getattr(torch, network.dtype))
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), _in_order(ours), strict=True):
            parameter.copy_(torch.tensor(values))
    images = torch.tensor(X).reshape(-1, *network.shape)
    images = images.movedim(-1, 1).contiguous()
    if channels_last and is_2d:
        images = images.contiguous(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)
    return model, images


def _in_order(ours) -> list[np.ndarray]:
    """Parameters layer by layer as PyTorch has them: channels, then places."""
    found = []
    channels = ours.weights[1].shape[-1]
    for number, (W, b) in enumerate(zip(ours.weights, ours.biases, strict=True)):
        if number == 2:
            # Flattened images have their channels first there.
            W = W.reshape(-1, channels, W.shape[1]).swapaxes(0, 1).reshape(W.shape)
        found += [np.moveaxis(W, (-1, -2), (0, 1)), b]
    return [np.ascontiguousarray(array) for array in found]


def make_peer(
    job: dict, learning_rate: float, epsilon: float = EPSILON, dtype: str = "float32"
):
    """The peer of a job, at its beginning."""
    network = replace(NETWORKS[job["network"]], dtype=dtype)
    if job["peer"] == "fastmlp":
        return Ours(network, learning_rate, epsilon)
    is_last = job["peer"] != "torch"
    return Theirs(network, learning_rate, epsilon, is_last, job["n_threads"])


def work(job: dict) -> dict:
    """Time a peer (in a worker); also the parameters after some steps."""
    compared = make_peer(job, 1e-3, LOST_EPSILON, "float64")
    compared.step(N_COMPARED)
    sums = [float(np.abs(p).sum(dtype=float)) for p in compared.params()]
    peer = make_peer(job, TIMED_LEARNING_RATE)

    def run(n: int) -> None:
        for _ in range(n):
            peer.step(N_STEPS)

    samples = [seconds / N_STEPS for seconds in measure(run, job["repeats"])]
    names = ("numpy",) if job["peer"] == "fastmlp" else ("torch",)
    return {"samples": samples, "sums": sums, "versions": versions_of(*names)}


def measure_network(
    network: Images, threads: list[int], repeats: int, machine: dict
) -> list[dict]:
    """A row for each peer at its best number of threads."""
    rows, sums = [], {}
    for peer in PEERS if len(network.shape) == 3 else PEERS[:2]:
        best: dict = {}
        for n in threads:
            job = {"network": network.name, "peer": peer, "repeats": repeats}
            found = run_worker("images", n, **job)
            ms = summarize(found["samples"], 1e-3)
            print(
                f"{network.name} {peer} threads={n} {ms['median']:.2f} ms",
                file=sys.stderr,
            )
            if not best or ms["median"] < best["ms"]["median"]:
                best = {"ms": ms, "n_threads": n, "versions": found["versions"]}
            sums[peer] = found["sums"]
        bound = bound_of(network, machine[best["n_threads"]]) * 1e3
        fraction = round(bound / best["ms"]["median"], 3)
        rows.append(
            {"network": network.name, "peer": peer, "fraction": fraction, **best}
        )
    for peer, theirs in sums.items():
        difference = np.max(np.abs(np.divide(theirs, sums["fastmlp"]) - 1))
        if difference > AGREEMENT:
            raise SystemExit(f"{peer} does not take the same steps: {difference:.1e}")
    for row in rows:
        row["ratio"] = round(row["ms"]["median"] / rows[0]["ms"]["median"], 2)
    return rows


def run(threads: list[int] | None, repeats: int, path: Path | None) -> int:
    """Measure all networks and print what came of it.

    Parameters
    ----------
    threads : list of int or None
        Thread counts to try with each peer.
    repeats : int
        Samples of each measurement.
    path : Path or None
        Where to write the result.

    Returns
    -------
    int
        Exit status: 1 if a goal was missed.
    """
    networks: Any = list(NETWORKS.values())
    counts = thread_counts(threads)
    machines, rows, bars = {}, [], []
    for network in networks:
        # Beside its network: a shared machine is not as fast in every minute.
        machine = {n: measure_machine(n, [network]) for n in counts}
        machines[network.name] = machine
        of_network = measure_network(network, counts, repeats, machine)
        rows += of_network
        ratio = min(row["ratio"] for row in of_network[1:])
        bars.append(
            at_least(f"{network.name}: PyTorch's time", "×", ratio, network.ratio)
        )
        fraction = of_network[0]["fraction"]
        bars.append(at_least(f"{network.name}: of the bound", "", fraction, BOUND_GOAL))
    print_table(
        ["network", "peer", "threads", "ms/step", "min", "max", "of-bound", "×fastmlp"],
        (
            [
                *(row["network"], row["peer"], row["n_threads"], *row["ms"].values()),
                *(f"{row['fraction']:.0%}", row["ratio"]),
            ]
            for row in rows
        ),
    )
    print_bars(bars)
    about = {"environment": describe_machine(), "repeats": repeats, "machine": machines}
    write_json(path, about | {"rows": rows, "bars": bars})
    return int(not all(bar["passed"] for bar in bars))
