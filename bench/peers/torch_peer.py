"""PyTorch, eager, with its fused Adam."""

from __future__ import annotations

import numpy as np

from bench.environment import versions_of
from bench.peers import find_missing
from bench.shapes import BETA_1, BETA_2, EPSILON, Problem


def available() -> str | None:
    """Return None, or why PyTorch cannot be used."""
    return find_missing("torch")


def versions() -> dict[str, str]:
    """Return what is measured, by name."""
    return versions_of("torch")


def build_network(problem: Problem):
    """Return the network as a Sequential at the problem's initial parameters."""
    import torch

    layers: list[torch.nn.Module] = []
    for w, b in zip(problem.weights, problem.biases, strict=True):
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w).T)
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


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
        self.compute_loss = torch.nn.CrossEntropyLoss()
        self.X = torch.from_numpy(problem.X)
        self.labels = torch.from_numpy(problem.labels.astype(np.int64))
        self.batches = torch.from_numpy(problem.batches.astype(np.int64)).unbind()

    def run_epochs(self, n: int) -> None:
        """Train for n epochs."""
        for _ in range(n):
            for batch in self.batches:
                outputs = self.network(self.X[batch])
                loss = self.compute_loss(outputs, self.labels[batch])
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()

    def params(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights and biases as they now are."""
        linears = self.network[::2]
        weights = [linear.weight.detach().numpy().T for linear in linears]
        return weights, [linear.bias.detach().numpy() for linear in linears]


def prepare(problem: Problem) -> Trainee:
    """Return a network at the problem's initial parameters."""
    import torch

    torch.set_num_threads(problem.n_threads)
    return Trainee(problem)
