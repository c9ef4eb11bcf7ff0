"""Rates and decays of layers: against PyTorch's groups of parameters."""

import pickle

import numpy as np
import pytest
from fits import fit, iris
from sklearn.base import clone

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Network

SMALL = {"hidden_layer_sizes": (7, 5), "random_state": 1, "batch_size": 50}
RATES, DECAYS = [0.3, 1.0, 2.5], [1.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("rates", "decays"), [(RATES, None), (None, DECAYS), (RATES, DECAYS)]
)
def test_layers_are_pytorchs_groups(rates, decays):
    """AdamW, whose groups have rates and decays of their own; biases do not decay."""
    torch = pytest.importorskip("torch", reason="its groups are the reference")
    X, y = iris()
    settings = {**SMALL, "activation": "tanh", "solver": "adamw", "alpha": 0}
    settings |= {"batch_size": "full", "shuffle": False, "tol": 0}
    start = MLPRegressor(**settings, learning_rate_init=1e-300, max_iter=1)
    fit(start, X, y)
    layers, groups = [], []
    for number, (W, b) in enumerate(zip(start.coefs_, start.intercepts_, strict=True)):
        layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(W.T))
            layer.bias.copy_(torch.tensor(b))
        rate = 0.01 * (rates[number] if rates else 1)
        decay = 0.2 * (decays[number] if decays else 1)
        groups.append({"params": [layer.weight], "lr": rate, "weight_decay": decay})
        groups.append({"params": [layer.bias], "lr": rate, "weight_decay": 0.0})
        layers += [layer, torch.nn.Tanh()]
    module = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.AdamW(groups)
    for _ in range(12):
        optimizer.zero_grad()
        residual = module(torch.tensor(X))[:, 0] - torch.tensor(y, dtype=torch.float64)
        (residual**2).mean().div(2).backward()
        optimizer.step()
    model = MLPRegressor(
        **settings,
        learning_rate_init=0.01,
        max_iter=12,
        weight_decay=0.2,
        rate_factors=rates,
        decay_factors=decays,
    )
    fit(model, X, y)
    for number, W in enumerate(model.coefs_):
        expected = module[2 * number].weight.detach().numpy().T
        np.testing.assert_allclose(W, expected, rtol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lion"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_layer_of_rate_zero_stays_where_it_is(solver, batch_norm):
    X, y = iris()
    settings = {**SMALL, "solver": solver, "batch_norm": batch_norm}
    settings |= {"weight_decay": 0.1, "max_iter": 1}
    first = fit(MLPClassifier(**settings, rate_factors=[0, 0, 0]), X, y)
    model = fit(MLPClassifier(**settings, rate_factors=[1, 0, 1]), X, y)
    np.testing.assert_array_equal(model.coefs_[1], first.coefs_[1])
    np.testing.assert_array_equal(model.intercepts_[1], first.intercepts_[1])
    for layer in (0, 2):
        assert np.abs(model.coefs_[layer] - first.coefs_[layer]).max() > 1e-5


def test_factors_of_one_leave_the_bits():
    X, y = iris()
    common = {**SMALL, "max_iter": 3, "weight_decay": 0.1, "alpha": 0.1}
    common |= {"l1_ratio": 0.5, "grad_clip_norm": 0.2}
    plain = fit(MLPClassifier(**common), X, y)
    ones = {"rate_factors": [1, 1, 1], "decay_factors": np.ones(3)}
    model = fit(MLPClassifier(**common, **ones), X, y)
    for mine, expected in zip(model.coefs_, plain.coefs_, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_factors_are_kept_in_copies_and_files(tmp_path):
    X, y = iris()
    model = MLPClassifier(**SMALL, rate_factors=RATES, decay_factors=DECAYS, max_iter=2)
    fit(model, X, y)
    path = tmp_path / "model.safetensors"
    model.save(path)
    expected = fit(clone(model).set_params(warm_start=True), X, y)
    fit(expected, X, y)
    for twin in (pickle.loads(pickle.dumps(model)), fastmlp.load(path)):
        fit(twin.set_params(warm_start=True), X, y)
        np.testing.assert_array_equal(twin.coefs_[0], expected.coefs_[0])


def test_derivatives_do_not_know_of_rates():
    """J and its gradient are the same; only steps differ."""
    X, y = iris()
    plain = Network([4, 3, 1], alpha=0.5, random_state=0)
    scaled = plain.copy(rate_factors=[0.1, 3.0], decay_factors=[2, 0])
    for mine, expected in zip(
        scaled.loss_and_grad(X, y), plain.loss_and_grad(X, y), strict=True
    ):
        np.testing.assert_allclose(mine, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["rate_factors", "decay_factors"])
@pytest.mark.parametrize(
    "value", [[1, 1], [1, 1, 1, 1], [1, -1, 1], [1, np.nan, 1], [1, np.inf, 1]]
)
def test_bad_factors_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        MLPClassifier(**SMALL, **{name: value}).fit(*iris())


def test_so_many_layers_of_their_own_are_refused():
    sizes = [3] * 34
    with pytest.raises(ValueError, match="groups"):
        Network(sizes, rate_factors=np.arange(33))
    Network(sizes, rate_factors=np.arange(33) % 4)


@pytest.mark.parametrize("name", ["rate_factors", "decay_factors"])
def test_a_full_batch_solver_has_no_rates(name):
    with pytest.raises(
        ValueError, match="does not support rate_factors or decay_factors"
    ):
        MLPClassifier(**SMALL, solver="lbfgs", **{name: [1, 1, 1]}).fit(*iris())
