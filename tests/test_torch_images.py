"""Thirty steps of networks of images beside PyTorch's, in float64.

Images are channels-last here and channels-first there: rows, kernels and the first
weights behind the images are turned.
"""

import numpy as np
import pytest

from fastmlp import Network
from fastmlp.layers import AveragePool, Conv, GlobalAveragePool, MaxPool
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows
from fastmlp.trainer import Trainer

torch = pytest.importorskip("torch", reason="PyTorch, the other side, is not installed")
nn = torch.nn

N_STEPS, BATCH_ROWS, N_ROWS = 30, 12, 36
TOLERANCE = 1e-10
ACTIVATIONS = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "logistic": nn.Sigmoid,
}

NETWORKS = {
    "digits": [(8, 8, 1), Conv(4, 3), MaxPool(2), Conv(6, 3), MaxPool(2), 9, 3],
    "valid": [(9, 7, 2), Conv(3, (3, 2), padding="valid"), AveragePool(2), 3],
    "strides": [(9, 8, 2), Conv(4, 3, 2), Conv(5, 3, (2, 1)), GlobalAveragePool(), 3],
    "overlapping": [(7, 7, 1), Conv(3, 3), MaxPool(3, 2), AveragePool(2, 1), 5, 3],
    "even kernels": [(6, 6, 2), Conv(3, 2), Conv(3, (4, 2)), 3],
    "signal": [(20, 3), Conv(5, 5), MaxPool(2), Conv(4, 4), MaxPool(3, 1), 6, 3],
    "global signal": [(15, 2), Conv(6, 3, 2), GlobalAveragePool(), 3],
}


class Twin:
    """The same network as an nn.Sequential, at the same parameters."""

    def __init__(self, network):
        self.network, modules, trained = network, [], 0
        self.tensors = []
        names = iter([*network.activations, "identity"])
        for number, geometry in enumerate(network.geometries):
            if geometry.kind == "dense":
                modules += self.flatten(number)
                modules.append(nn.Linear(geometry.n_in, geometry.n_out))
            elif geometry.kind == "conv":
                layer = network.architecture[number + 1]
                modules += self.convolution(layer, geometry)
            else:
                modules.append(self.pooling(geometry))
                continue
            self.copy_parameters(modules[-1], geometry, number, trained)
            name = next(names)
            if geometry is not network.geometries[-1]:
                modules += self.normalization(geometry, trained) + [ACTIVATIONS[name]()]
            trained += 1
        self.module = nn.Sequential(*modules).double()

    def flatten(self, number):
        below = self.network.geometries[number - 1] if number > 0 else None
        return [nn.Flatten()] if below is not None and below.n_axes else []

    @staticmethod
    def convolution(layer, geometry):
        """Behind its zeros, (k − 1)//2 before and k//2 after, or none."""
        kernel, n = geometry.kernel, geometry.n_axes
        around = [((k - 1) // 2, k // 2) for k in kernel[::-1][:n]]
        sides = [side for pair in around for side in pair]
        if layer.padding == "valid":
            sides = [0] * len(sides)
        kinds = {1: (nn.ConstantPad1d, nn.Conv1d), 2: (nn.ConstantPad2d, nn.Conv2d)}
        pad, kind = kinds[n]
        channels = geometry.shape[2], geometry.out_shape[2]
        return [pad(sides, 0.0), kind(*channels, kernel[-n:], geometry.stride[-n:])]

    @staticmethod
    def pooling(geometry):
        n, is_max = geometry.n_axes, geometry.kind == "max_pool"
        kinds = {
            (1, True): nn.MaxPool1d,
            (2, True): nn.MaxPool2d,
            (1, False): nn.AvgPool1d,
            (2, False): nn.AvgPool2d,
        }
        return kinds[n, is_max](geometry.kernel[-n:], geometry.stride[-n:])

    def normalization(self, geometry, trained):
        if not self.network.batch_norm:
            return []
        n, channels = geometry.n_axes, geometry.out_shape[2]
        kinds = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
        module = kinds[n](channels, momentum=0.1, eps=1e-5)
        module.bias = nn.Parameter(torch.tensor(self.network.biases[trained]))
        self.tensors[-1][-1] = module.bias
        self.tensors[-1].append(module.weight)
        return [module]

    def copy_parameters(self, module, geometry, number, trained):
        """Ours into PyTorch's, and which of them is where; a normalised layer's bias is
        its shift.
        """
        weights = self.turn(self.network.weights[trained], geometry, number)
        bias = torch.tensor(self.network.biases[trained])
        module.weight = nn.Parameter(torch.tensor(weights))
        is_last = geometry is self.network.geometries[-1]
        if self.network.batch_norm and not is_last:
            module.bias = None
            self.tensors.append([module.weight, None])
        else:
            module.bias = nn.Parameter(bias)
            self.tensors.append([module.weight, module.bias])

    def turn(self, weights, geometry, number):
        """Kernels (filters, channels, …); units (n_out, n_in), channels-first."""
        if geometry.kind == "conv":
            return np.moveaxis(weights, (-1, -2), (0, 1)).copy()
        below = self.network.geometries[number - 1].outputs_shape if number else ()
        if len(below) > 1:
            weights = np.moveaxis(weights.reshape(*below, -1), -2, 0)
        return weights.reshape(-1, geometry.n_out).T.copy()

    def differences(self):
        """How far each of our parameters is from PyTorch's."""
        trained = [
            (number, geometry)
            for number, geometry in enumerate(self.network.geometries)
            if geometry.is_trained
        ]
        gammas = [gamma for gamma, _, _ in self.network.normalizations()]
        for layer, (number, geometry) in enumerate(trained):
            weight, bias, *gamma = self.tensors[layer]
            mine = self.turn(self.network.weights[layer], geometry, number)
            yield mine - weight.detach().numpy()
            yield self.network.biases[layer] - bias.detach().numpy()
            for tensor in gamma:
                yield gammas[layer] - tensor.detach().numpy()

    def distance(self):
        return max(np.abs(difference).max() for difference in self.differences())


def channels_first(X, shape):
    return torch.tensor(np.moveaxis(X.reshape(-1, *shape), -1, 1).copy())


def race(network, X, y, name, kind, numbers, theirs, sample_weight=None):
    """Thirty steps, each compared."""
    twin = Twin(network)
    optimizer = Optimizer(name, len(network.params), np.float64, **numbers)
    other = kind(twin.module.parameters(), **theirs)
    data = network.as_data(X, y, sample_weight)
    trainer = Trainer(network, optimizer, ArrayRows(data), batch_size=BATCH_ROWS)
    images = channels_first(X, network.architecture[0])
    random = np.random.RandomState(2)
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    for step in range(N_STEPS):
        rows = random.choice(len(X), BATCH_ROWS, replace=False)
        mine = trainer.run_epoch(rows)
        other.zero_grad()
        losses = nn.functional.cross_entropy(
            twin.module(images[rows]), torch.tensor(y[rows]), reduction="none"
        )
        w = torch.tensor(weights[rows])
        penalty = sum((W**2).sum() for W, *_ in twin.tensors)
        value = (w @ losses + network.alpha / 2 * penalty) / w.sum()
        value.backward()
        other.step()
        assert mine == pytest.approx(value.item(), rel=TOLERANCE), step
        assert twin.distance() < TOLERANCE, step
    return twin


def draw(architecture, activation="tanh", **settings):
    network = Network(
        architecture,
        activation=activation,
        loss="log_loss",
        random_state=0,
        **settings,
    )
    random = np.random.RandomState(1)
    X = random.normal(size=(N_ROWS, network.layer_sizes[0]))
    return network, X, random.randint(3, size=N_ROWS)


SGD = ("momentum", torch.optim.SGD)
RATES = (
    {"learning_rate": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9},
)
ADAM = ("adamw", torch.optim.AdamW)
ADAMS = (
    {"learning_rate": 1e-3, "epsilon": 1e-8},
    {"lr": 1e-3, "eps": 1e-8, "weight_decay": 0.0},
)


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """Steps this small only wait for other threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_steps(architecture, batch_norm):
    given = draw(architecture, alpha=0.1, batch_norm=batch_norm)
    race(*given, *SGD, *RATES)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_steps_of_adam(activation):
    given = draw(NETWORKS["digits"], activation, batch_norm=activation == "relu")
    race(*given, *ADAM, *ADAMS)


def test_weighted_rows():
    weights = np.random.RandomState(5).uniform(0.5, 2, N_ROWS)
    given = draw(NETWORKS["digits"], alpha=0.1)
    race(*given, *SGD, *RATES, sample_weight=weights)


@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_predictions_after_training(architecture):
    network, X, y = draw(architecture)
    twin = race(network, X, y, *SGD, *RATES)
    with torch.no_grad():
        logits = twin.module.eval()(channels_first(X, architecture[0])).numpy()
    np.testing.assert_allclose(network.logits(X), logits, atol=TOLERANCE)


def test_a_step_size_off_by_a_ten_millionth_is_seen():
    rate = {**RATES[0], "learning_rate": 0.05 * (1 + 1e-7)}
    with pytest.raises(AssertionError):
        race(*draw(NETWORKS["digits"]), *SGD, rate, RATES[1])
