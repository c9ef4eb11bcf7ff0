"""Train random networks on one to four threads: every bit must be that of one thread.

``python tests/soak_threads.py [--networks N] [--first SEED]``: sizes, activations,
heads, optimizers, batches and data of every kind, in both precisions. It names the
networks that differ, and ends with an error if there are any. ``FASTMLP_ISA`` chooses
the engine.
"""

import argparse
import sys
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from builders import draw_targets
from rich.progress import track

from fastmlp import Network, _kernels
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows, as_inputs
from fastmlp.threads import thread_team
from fastmlp.trainer import Trainer

WIDTHS = (1, 2, 3, 5, 7, 10, 16, 17, 31, 32, 40, 64, 100, 129, 256, 300)
ROWS = (4, 5, 13, 40, 128, 129, 200, 300, 1100, 1500)
BATCH_SIZES = (2, 7, 32, 100, 128, 200, 256, 300, 1024, 1100)
MOST_STEPS, N_EPOCHS = 40, 2
HEADS = [
    (loss, output) for loss, outputs in _kernels.HEADS.items() for output in outputs
]


class Problem(NamedTuple):
    """What is trained."""

    network: dict[str, Any]
    optimizer: str
    clip_norm: float | None
    batch_size: int
    order: np.ndarray
    X: Any
    Y: np.ndarray
    sample_weight: np.ndarray | None


def draw_problem(seed: int) -> Problem:
    """A network, an optimizer and data."""
    rng = np.random.default_rng(seed)
    dtype, n_hidden = rng.choice(["float32", "float64"]), int(rng.integers(4))
    loss, output = HEADS[rng.integers(len(HEADS))]
    sizes = [int(size) for size in rng.choice(WIDTHS, n_hidden + 2)]
    if output == "softmax":
        sizes[-1] = max(sizes[-1], 2)
    network = {
        "layer_sizes": sizes,
        "activation": rng.choice(_kernels.HIDDEN_ACTIVATIONS, n_hidden).tolist(),
        "loss": loss,
        "output_activation": output,
        "alpha": rng.choice([0.0, 1e-3]),
        "l1_ratio": rng.choice([0.0, 0.5]),
        "dropout": rng.choice([0.0, 0.0, 0.3], n_hidden).tolist(),
        "batch_norm": rng.random() < 0.2,
        "dtype": dtype,
        "random_state": seed,
    }
    batch_size = int(rng.choice(BATCH_SIZES))
    n_rows = min(int(rng.choice(ROWS)), MOST_STEPS * batch_size)
    X = rng.standard_normal((n_rows, sizes[0])).astype(dtype)
    if rng.random() < 0.2:
        X = scipy.sparse.csr_matrix(X * (rng.random(X.shape) < 0.2))
    return Problem(
        network,
        optimizer=str(rng.choice(list(_kernels.OPTIMIZERS))),
        clip_norm=[None, 0.05, 5.0][rng.integers(3)],
        batch_size=min(batch_size, n_rows),
        order=rng.permutation(n_rows),
        X=X,
        Y=draw_targets(n_rows, sizes[-1], loss, output, dtype),
        sample_weight=[None, rng.random(n_rows).astype(dtype) + 0.1][rng.integers(2)],
    )


def train(problem: Problem, n_threads: int) -> list[np.ndarray]:
    """Everything that training leaves behind, and derivatives of J after it."""
    network = Network(**problem.network)
    optimizer = Optimizer(
        problem.optimizer,
        network.params.size,
        network.dtype,
        clip_norm=problem.clip_norm,
        weight_decay=0.01 if problem.optimizer == "adamw" else 0.0,
        seed=1,
    )
    with thread_team(n_threads) as team:
        inputs = as_inputs(problem.X, network.layer_sizes[0], network.dtype)
        trainer = Trainer(
            network,
            optimizer,
            ArrayRows((inputs, problem.Y, problem.sample_weight)),
            batch_size=problem.batch_size,
            team=team,
        )
        losses = [trainer.run_epoch(problem.order) for _ in range(N_EPOCHS)]
        found = [np.array(losses), network.params, network.stats, optimizer.slots]
        data = network.as_data(problem.X, problem.Y, problem.sample_weight)
        evaluator = network.evaluator(data, team)
        found += evaluator.loss_and_grad()
        if not network.batch_norm:
            found.append(evaluator.hessian_vector_product(network.params))
    return found


def find_differences(problem: Problem) -> list[int]:
    """Numbers of threads that come to other bits than one."""
    alone = train(problem, 1)
    is_same = partial(np.array_equal, equal_nan=True)
    return [
        n_threads
        for n_threads in (2, 3, 4)
        if not all(map(is_same, train(problem, n_threads), alone))
    ]


def main() -> int:
    """Run the networks; 1 if one has differed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    arguments = parser.parse_args()
    if not _kernels.THREADS:
        parser.error(f"the engine {_kernels.isa} runs on one thread")
    n_different = 0
    seeds = range(arguments.first, arguments.first + arguments.networks)
    for seed in track(seeds, f"engine {_kernels.isa}"):
        problem = draw_problem(seed)
        if different := find_differences(problem):
            n_different += 1
            print(f"seed {seed}, {different} threads: {problem.network}")
    print(f"{len(seeds)} networks, {n_different} of them differ")
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
