"""PyTorch, eager, with its fused Adam."""

from __future__ import annotations

import numpy as np

from bench.environment import versions_of
from bench.peers import find_missing
from bench.shapes import BETA_1, BETA_2, EPSILON, Problem, Shape


def available() -> str | None:
    """Return None, or why PyTorch cannot be used."""
    return find_missing("torch")


def versions() -> dict[str, str]:
    """Return what is measured, by name."""
    return versions_of("torch")


def build_network(problem: Problem):
    """Return the network as a Sequential at the problem's initial parameters."""
    import torch

    from bench.peers.torch_layers import SparseLinear

    shape = problem.shape
    activations = {
        "relu": torch.nn.ReLU,
        "tanh": torch.nn.Tanh,
        "logistic": torch.nn.Sigmoid,
    }
    dtype = getattr(torch, shape.dtype)
    layers: list[torch.nn.Module] = []
    for w, b in zip(problem.weights, problem.biases, strict=True):
        is_sparse = shape.density is not None and not layers
        affine = (SparseLinear if is_sparse else torch.nn.Linear)(*w.shape, dtype=dtype)
        with torch.no_grad():
            affine.weight.copy_(torch.from_numpy(w).T)
            affine.bias.copy_(torch.from_numpy(b))
        layers += [affine, activations[shape.activation]()]
    return torch.nn.Sequential(*layers[:-1])


def choose_loss(shape: Shape):
    """Return the function of outputs and targets that is minimised."""
    import torch

    if shape.loss == "log_loss":
        return torch.nn.CrossEntropyLoss()
    mean = torch.nn.MSELoss()
    return lambda outputs, targets: mean(outputs, targets) * (shape.units[-1] / 2)


def gather_batches(problem: Problem):
    """Return a function that yields each batch of dense rows and its targets."""
    import torch

    X, targets = torch.from_numpy(problem.X), torch.from_numpy(problem.targets)
    orders = torch.from_numpy(problem.batches).unbind()
    return lambda: ((X[order], targets[order]) for order in orders)


def make_sparse_batches(problem: Problem):
    """Return a function that yields what was gathered beforehand.

    PyTorch has no fast way to pick sparse rows.
    """
    import torch

    batches = []
    for order in problem.batches:
        rows = problem.X[order]
        parts = (
            rows.indices.astype(np.int64),
            rows.indptr[:-1].astype(np.int64),
            rows.data,
        )
        inputs = tuple(torch.from_numpy(part) for part in parts)
        batches.append((inputs, torch.from_numpy(problem.targets[order])))
    return lambda: batches


class Trainee:
    """The training loop of PyTorch's tutorials, the data in one tensor."""

    def __init__(self, problem: Problem):
        import torch

        self.network = build_network(problem)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=problem.learning_rate,
            betas=(BETA_1, BETA_2),
            eps=EPSILON,
            fused=True,
        )
        self.compute_loss = choose_loss(problem.shape)
        is_dense = problem.shape.density is None
        self.each_batch = (gather_batches if is_dense else make_sparse_batches)(problem)

    def run_epochs(self, n: int) -> None:
        """Train for n epochs."""
        for _ in range(n):
            for inputs, targets in self.each_batch():
                loss = self.compute_loss(self.network(inputs), targets)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()

    def params(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights and biases as they now are."""
        affines = self.network[::2]
        weights = [affine.weight.detach().numpy().T for affine in affines]
        return weights, [affine.bias.detach().numpy() for affine in affines]


def prepare(problem: Problem) -> Trainee:
    """Return a network at the problem's initial parameters."""
    import torch

    torch.set_num_threads(problem.n_threads)
    return Trainee(problem)
