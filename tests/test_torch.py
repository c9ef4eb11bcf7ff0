"""Fifty steps beside PyTorch's, in float64, wherever the formulas are the same.

Both begin at the same parameters and take the same batches; parameters and losses are
compared after every step. PyTorch differentiates by itself what is written here, so
that every gradient is checked as well as every step.
"""

import math

import numpy as np
import pytest

from fastmlp import Network, _kernels
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows
from fastmlp.trainer import Trainer

torch = pytest.importorskip("torch", reason="PyTorch, the other side, is not installed")
functional = torch.nn.functional

N_STEPS, BATCH_ROWS = 50, 16
# Of 76 rows the fifth batch of an epoch has twelve.
N_ROWS = 76
SIZES = [5, 7, 6, 3]

# Part of the largest parameter that the two may be apart. A step rounds by some units
# in the last place, say 1e-15 of it, and fifty steps add that up to 5e-14 at most; the
# rest is for curvature, which makes an earlier error grow, and for methods that divide
# by the gradient's own size, whose relative error is large where its terms cancel.
# The largest measured is 3e-15. A step size that is off by 1e-9 is still seen: tests
# at the end show it.
TOLERANCE = 1e-12

# √(s + ε) and √s + ε are the same number where ε is lost in the sum.
TINY = 1e-30


class Lion(torch.optim.Optimizer):
    """X. Chen and others, "Symbolic discovery of optimization algorithms", 2023."""

    def __init__(self, params, lr, betas):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": 0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = m.lerp(p.grad, 1 - first).sign() + group["weight_decay"] * p
                p.sub_(update, alpha=group["lr"])
                m.lerp_(p.grad, 1 - second)


class DoubleNAdam(torch.optim.NAdam):
    """Its product of momenta is of the default type: single precision, if not told."""

    def step(self):
        torch.set_default_dtype(torch.float64)
        try:
            super().step()
        finally:
            torch.set_default_dtype(torch.float32)


# By name: our numbers, PyTorch's class and its numbers.
OPTIMIZERS = {
    "sgd": ({}, torch.optim.SGD, {}),
    "momentum": ({"momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8}),
    "nesterov": (
        {"momentum": 0.8},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
    "adagrad": ({"epsilon": TINY**2}, torch.optim.Adagrad, {"eps": TINY}),
    "rmsprop": (
        {"rho": 0.8, "epsilon": TINY**2},
        torch.optim.RMSprop,
        {"alpha": 0.8, "eps": TINY},
    ),
    "adam": (
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": TINY},
        torch.optim.Adam,
        {"betas": (0.8, 0.95), "eps": TINY},
    ),
    "adamw": (
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-8},
        torch.optim.AdamW,
        {"betas": (0.8, 0.95), "eps": 1e-8, "weight_decay": 0},
    ),
    "nadam": (
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-8},
        DoubleNAdam,
        {"betas": (0.8, 0.95), "eps": 1e-8, "decoupled_weight_decay": True},
    ),
    "lion": ({"beta_1": 0.8, "beta_2": 0.95}, Lion, {"betas": (0.8, 0.95)}),
}
# Those whose first steps are as long as the rate, whatever the gradient's length.
ADAPTIVE = ["adagrad", "rmsprop", "adam", "adamw", "nadam", "lion"]

ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    # By default it is cut to the identity above 20, which is off by 2e-9.
    "softplus": lambda z: functional.softplus(z, threshold=50),
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "mish": functional.mish,
    # Its own has a sixth in single precision.
    "hardsigmoid": lambda z: functional.relu6(z + 3) / 6,
    "hardswish": functional.hardswish,
    "exp": torch.exp,
}

HUBER_DELTA, QUANTILES, POWERS = 0.7, [0.1, 0.5, 0.8], [1.1, 1.5, 1.9]


def squared_error(z, y, activation):
    return (ACTIVATIONS[activation](z) - y) ** 2 / 2


def log_loss(z, y, activation):
    if activation == "softmax":
        classes = y[:, 0].long()
        return functional.cross_entropy(z, classes, reduction="none")[:, None]
    return functional.binary_cross_entropy_with_logits(z, y, reduction="none")


def absolute_error(z, y, _):
    return functional.l1_loss(z, y, reduction="none")


def huber(z, y, _):
    return functional.huber_loss(z, y, delta=HUBER_DELTA, reduction="none")


def quantile(z, y, _):
    q = torch.tensor(QUANTILES, dtype=torch.float64)
    return torch.maximum(q * (y - z), (q - 1) * (y - z))


def poisson(z, y, _):
    """PyTorch's, and the rest of half the deviance, which moves no parameter."""
    rest = torch.xlogy(y, y) - y
    return functional.poisson_nll_loss(z, y, full=False, reduction="none") + rest


def gamma(z, y, _):
    return z - torch.log(y) + y * torch.exp(-z) - 1


def tweedie(z, y, _):
    """From the variance function: half the deviance is ∫ (y − m)/mᵖ dm from μ to y."""
    p = torch.tensor(POWERS, dtype=torch.float64)
    mu = torch.exp(z)
    return (y ** (2 - p) - mu ** (2 - p)) / (p - 2) - y * (
        torch.where(y > 0, y.clamp(min=1e-300) ** (1 - p), 0.0) - mu ** (1 - p)
    ) / (p - 1)


def log_cosh(z, y, _):
    return torch.log(torch.cosh(z - y))


def cross_entropy(z, y, _):
    return functional.cross_entropy(z, y, reduction="none")[:, None]


LOSSES = {
    loss.__name__: loss
    for loss in [
        *(squared_error, log_loss, absolute_error, huber, quantile, poisson),
        *(gamma, tweedie, log_cosh, cross_entropy),
    ]
}
HEADS = [(loss, output) for loss in _kernels.HEADS for output in _kernels.HEADS[loss]]


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """Steps this small only wait for other threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Twin:
    """The same network in PyTorch, at the same parameters."""

    def __init__(self, network):
        def parameters(arrays):
            return [torch.tensor(array, requires_grad=True) for array in arrays]

        self.network = network
        self.weights = parameters(network.weights)
        self.biases = parameters(network.biases)
        sizes = network.layer_sizes[1:-1] if network.batch_norm else []
        self.gammas = parameters([np.ones(n) for n in sizes])
        self.means = [torch.zeros(n, dtype=torch.float64) for n in sizes]
        self.variances = [torch.ones(n, dtype=torch.float64) for n in sizes]

    @property
    def parameters(self):
        """In the order of the network's vector."""
        return [*self.weights, *self.biases, *self.gammas]

    @property
    def params(self):
        """All in one vector, as the network has them."""
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters])

    def evaluate(self, x, training=True):
        """What the output activation is given."""
        for layer, activation in enumerate(self.network.activations):
            z = x @ self.weights[layer]
            z = self.normalize(z, layer, training) if self.gammas else z
            z = z if self.gammas else z + self.biases[layer]
            x = ACTIVATIONS[activation](z)
        return x @ self.weights[-1] + self.biases[-1]

    def normalize(self, z, layer, training):
        return functional.batch_norm(
            z,
            self.means[layer],
            self.variances[layer],
            self.gammas[layer],
            self.biases[layer],
            training=training,
            momentum=0.1,
            eps=1e-5,
        )

    def objective(self, x, y, sample_weight):
        """J of a batch."""
        network = self.network
        loss, m = LOSSES[network.loss_name], sample_weight.sum()
        losses = loss(self.evaluate(x), y, network.output_activation).sum(dim=1)
        l1, l2 = network.l1_ratio, (1 - network.l1_ratio) / 2
        penalty = sum(l1 * w.abs().sum() + l2 * (w**2).sum() for w in self.weights)
        return (sample_weight @ losses + network.alpha * penalty) / m


class Race:
    """Both sides of one training.

    ``numbers`` are our optimizer's and ``torch_numbers`` PyTorch's where they are not
    those of the table. ``weight_decay`` goes to both, to PyTorch for the weights alone.
    """

    def __init__(
        self,
        network,
        name="momentum",
        numbers=None,
        torch_numbers=None,
        *,
        rate=None,
        weight_decay=0.0,
        sample_weight=None,
        n_rows=N_ROWS,
    ):
        if rate is None:
            rate = 0.01 if name in ADAPTIVE else 0.05
        own, kind, theirs = OPTIMIZERS[name]
        self.network, self.twin = network, Twin(network)
        self.optimizer = Optimizer(
            name,
            network.params.size,
            np.float64,
            learning_rate=rate,
            weight_decay=weight_decay,
            **{**own, **(numbers or {})},
        )
        groups = [
            {"params": self.twin.weights, "weight_decay": weight_decay},
            {"params": self.twin.biases + self.twin.gammas},
        ]
        numbers = {**theirs, **(torch_numbers or {})}
        self.torch_optimizer = kind(groups, lr=rate, **numbers)
        self.X, self.Y = draw_data(network, n_rows)
        self.sample_weight = np.ones(n_rows) if sample_weight is None else sample_weight
        self.trainer = Trainer(
            network,
            self.optimizer,
            ArrayRows((self.X, self.Y, sample_weight)),
            batch_size=BATCH_ROWS,
        )
        self.batches = draw_batches(n_rows)

    def step_torch(self, rows, before_step=lambda parameters: None):
        """J of the batch before PyTorch's step."""
        batch = (self.X[rows], self.Y[rows], self.sample_weight[rows])
        self.torch_optimizer.zero_grad()
        value = self.twin.objective(*(torch.from_numpy(part) for part in batch))
        value.backward()
        before_step(self.twin.parameters)
        self.torch_optimizer.step()
        return value.item()

    def run(self, before_step=lambda parameters: None):
        """Fifty steps, each of them compared."""
        for number, rows in enumerate(self.batches):
            mine = self.trainer.run_epoch(rows)
            theirs = self.step_torch(rows, before_step)
            assert mine == pytest.approx(theirs, rel=TOLERANCE), number
            assert self.distance() < TOLERANCE, number

    def distance(self):
        """Largest difference of two parameters, as a part of the largest parameter."""
        theirs = self.twin.params
        return np.abs(self.network.params - theirs).max() / np.abs(theirs).max()


def build_network(activation="tanh", **settings):
    return Network(SIZES, activation=activation, random_state=0, **settings)


def draw_data(network, n_rows):
    random = np.random.RandomState(1)
    X = random.normal(size=(n_rows, SIZES[0]))
    shape = (n_rows, network.n_target_columns)
    if network.loss_name == "cross_entropy":
        return X, random.dirichlet(np.ones(SIZES[-1]), n_rows)
    if network.output_activation == "softmax":
        return X, random.randint(SIZES[-1], size=shape).astype(float)
    if network.loss_name == "log_loss":
        return X, random.randint(2, size=shape).astype(float)
    if network.loss_name in _kernels.LEAST_TARGETS:
        _, taken = _kernels.LEAST_TARGETS[network.loss_name]
        return X, random.poisson(2.0, size=shape) + (0.0 if taken else 0.5)
    return X, random.normal(size=shape)


def draw_batches(n_rows):
    random, batches = np.random.RandomState(2), []
    while len(batches) < N_STEPS:
        order = random.permutation(n_rows)
        batches += [order[i : i + BATCH_ROWS] for i in range(0, n_rows, BATCH_ROWS)]
    return batches[:N_STEPS]


# -- optimizers


def test_every_optimizer_has_a_counterpart():
    assert set(OPTIMIZERS) == set(_kernels.OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    Race(build_network(), name).run()


def test_batches_of_one_call_are_the_same_steps():
    race = Race(build_network(), "adam")
    assert {len(rows) for rows in race.batches} == {BATCH_ROWS, N_ROWS % BATCH_ROWS}
    epochs = np.concatenate(race.batches).reshape(-1, N_ROWS)
    for order in epochs:
        race.trainer.run_epoch(order)
    for rows in race.batches:
        race.step_torch(rows)
    assert race.distance() < TOLERANCE


@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
def test_adamw_is_the_textbooks_with_any_epsilon(epsilon):
    numbers = {"epsilon": epsilon}, {"eps": epsilon}
    Race(build_network(), "adamw", *numbers, weight_decay=0.3).run()


def test_adams_epsilon_is_scikit_learns():
    """η √(1 − β₂ᵗ)/(1 − β₁ᵗ) v/(√s + ε) is the textbook's with ε/√(1 − β₂ᵗ)."""
    epsilon, beta_2 = 1e-3, 0.95
    race = Race(build_network(), "adam", {"epsilon": epsilon})

    def rescale_epsilon(_):
        correction = math.sqrt(1 - beta_2 ** int(race.optimizer.rule["t"][0]))
        for group in race.torch_optimizer.param_groups:
            group["eps"] = epsilon / correction

    race.run(rescale_epsilon)


def test_decay_of_sgd_is_an_l2_penalty_in_the_gradient():
    """w ← (1 − ηλ)w − ηg, which is what PyTorch's weight_decay does to plain SGD."""
    Race(build_network(), "sgd", weight_decay=0.3).run()


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_clipped_gradients(name):
    """PyTorch divides by the norm + 1e-6, which the limit it is given takes back."""
    limit = 0.9
    norms = []

    def clip(parameters):
        norm = torch.nn.utils.clip_grad_norm_(parameters, math.inf).item()
        exactly = limit * (norm + 1e-6) / norm
        torch.nn.utils.clip_grad_norm_(parameters, exactly)
        norms.append(norm)

    # The penalty's gradient is clipped together with the data's.
    network = build_network(alpha=0.5, l1_ratio=0.3)
    Race(network, name, {"clip_norm": limit}, rate=0.2).run(clip)
    assert min(norms) < limit < max(norms)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["nesterov", "adam"])
def test_penalties(name, l1_ratio):
    Race(build_network(alpha=0.5, l1_ratio=l1_ratio), name).run()


# -- activations and losses


@pytest.mark.parametrize("name", ["momentum", "adam"])
@pytest.mark.parametrize("activation", _kernels.HIDDEN_ACTIVATIONS)
def test_activation(activation, name):
    Race(build_network(activation), name).run()


def test_an_activation_of_its_own_in_each_layer():
    Race(build_network(["mish", "leaky_relu"])).run()


@pytest.mark.parametrize(("loss", "output_activation"), HEADS)
def test_head(loss, output_activation):
    network = build_network(
        loss=loss,
        output_activation=output_activation,
        huber_delta=HUBER_DELTA,
        quantile=QUANTILES,
        tweedie_power=POWERS,
    )
    Race(network).run()


@pytest.mark.parametrize("loss", ["log_loss", "quantile"])
def test_weighted_rows(loss):
    weights = np.random.RandomState(3).uniform(0.0, 2.0, N_ROWS)
    weights[::7] = 0
    network = build_network(loss=loss, quantile=QUANTILES, tweedie_power=POWERS)
    Race(network, sample_weight=weights).run()


# -- batch normalisation


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adamw"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_batch_norm(activation, name):
    """A linear layer without bias, then PyTorch's: its β is our bias."""
    network = build_network(activation, loss="log_loss", alpha=0.1, batch_norm=True)
    Race(network, name).run()


def test_running_moments():
    """PyTorch averages unbiased variances, n/(n − 1) of ours, beginning at 1.

    After t steps its average is 0.9ᵗ + n/(n − 1) Σ …, so that all but the beginning is
    scaled; all batches must have the same n for that.
    """
    race = Race(build_network("silu", batch_norm=True), n_rows=5 * BATCH_ROWS)
    race.run()
    network, twin = race.network, race.twin
    beginning, n = 0.9**N_STEPS, BATCH_ROWS
    for variances in twin.variances:
        variances.sub_(beginning).mul_((n - 1) / n).add_(beginning)
    moments = zip(twin.means, twin.variances, strict=True)
    expected = np.concatenate([part.numpy() for pair in moments for part in pair])
    np.testing.assert_allclose(network.stats, expected, rtol=0, atol=TOLERANCE)
    with torch.no_grad():
        outputs = twin.evaluate(torch.from_numpy(race.X), training=False).numpy()
    np.testing.assert_allclose(network.predict(race.X), outputs, rtol=0, atol=TOLERANCE)


def test_a_normalised_row_of_weight_two_is_two_rows():
    weights = np.random.RandomState(3).randint(1, 3, N_ROWS)
    network = build_network("silu", loss="log_loss", batch_norm=True)
    race = Race(network, sample_weight=weights.astype(float))
    race.sample_weight = np.ones(N_ROWS)  # PyTorch's rows come twice instead
    for rows in race.batches:
        race.trainer.run_epoch(rows)
        race.step_torch(np.repeat(rows, weights[rows]))
    assert race.distance() < TOLERANCE


# -- what the comparison is worth


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_billionth_of_the_step_size_is_seen(name):
    race = Race(build_network(), name)
    race.optimizer.learning_rate *= 1 + 1e-9
    for rows in race.batches:
        race.trainer.run_epoch(rows)
        race.step_torch(rows)
    assert race.distance() > TOLERANCE


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam"])
def test_where_epsilon_stands_is_seen(name):
    """Ours inside the root or scaled, theirs outside: only a tiny one is the same."""
    race = Race(build_network(), name, {"epsilon": 1e-8}, {"eps": 1e-8})
    with pytest.raises(AssertionError):
        race.run()
