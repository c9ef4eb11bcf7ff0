"""PyTorch modules beside predict and predict_proba."""

import pickle
import sys

import numpy as np
import pytest
from exporting import (
    HEADS,
    IMAGES,
    difference,
    images_and_model,
    model,
    outputs,
    rows,
)

import fastmlp
from fastmlp import MLPRegressor, _kernels
from fastmlp.estimators._attributes import network_of
from fastmlp.export import torch as target

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


def run(module, X):
    with torch.no_grad():
        return module(torch.tensor(X)).numpy()


def expected_of(est, X):
    """What a module gives: predict as columns, or the outputs behind predict_proba."""
    if isinstance(est, MLPRegressor):
        return est.predict(X).reshape(len(X), -1)
    return network_of(est).predict(X)


def test_every_activation_has_a_module():
    assert set(target.ACTIVATIONS) == set(_kernels.ACTIVATIONS)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("head", HEADS)
def test_outputs(head, dtype):
    X = rows(dtype)
    for activation in _kernels.HIDDEN_ACTIVATIONS:
        est = model(head, activation, dtype)
        module = fastmlp.to_torch(est)
        found = run(module, X)
        assert found.dtype == dtype
        assert difference(found, expected_of(est, X)) <= TOLERANCES[dtype]


@pytest.mark.parametrize("slope", [0, 0.3, 1.7, 1e-5])
def test_slope_of_leaky_relu(slope):
    X = rows("float64")
    est = model("three outputs", "leaky_relu", negative_slope=slope)
    found = run(fastmlp.to_torch(est), X)
    assert difference(found, outputs(est, X)) <= 1e-12


def test_probabilities():
    X = rows("float64")
    for head in ("multiclass softmax", "binary softmax", "multilabel logistic"):
        est = model(head)
        assert difference(run(fastmlp.to_torch(est), X), outputs(est, X)) < 1e-12
    est = model("binary logistic")
    found = run(fastmlp.to_torch(est), X)
    assert difference(found, est.predict_proba(X)[:, 1:]) < 1e-12


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_batch_norm(dtype, fold):
    est = model("multiclass softmax", ["silu", "gelu"], dtype, batch_norm=True)
    module = fastmlp.to_torch(est, fold_batch_norm=fold)
    assert not module.training
    kinds = [type(part).__name__ for part in module]
    assert kinds.count("BatchNorm1d") == (0 if fold else 2)
    found = run(module, rows(dtype))
    assert difference(found, est.predict_proba(rows(dtype))) <= TOLERANCES[dtype]
    # The engine's gradient of the loss with respect to the inputs is autograd's.
    x = torch.tensor(rows(dtype), requires_grad=True)
    module(x)[:, 0].sum().backward()
    gradients = est.input_gradients(rows(dtype))[:, 0]
    assert difference(x.grad.numpy(), gradients) <= TOLERANCES[dtype]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", IMAGES)
def test_images(name, dtype, batch_norm, fold):
    X, est = images_and_model(name, batch_norm, dtype)
    found = run(fastmlp.to_torch(est, fold_batch_norm=fold), X)
    assert found.dtype == dtype
    assert difference(found, est.predict_proba(X)) <= TOLERANCES[dtype]


def test_the_module_is_apart_from_the_estimator_and_from_random_numbers():
    est, X = model("poisson exp", batch_norm=True), rows("float64")
    before = est.predict(X)
    stream = torch.get_rng_state()
    module = fastmlp.to_torch(est)
    assert torch.equal(torch.get_rng_state(), stream)
    loaded = pickle.loads(pickle.dumps(module))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert np.array_equal(est.predict(X), before)
    assert difference(run(loaded, X)[:, 0], before) < 1e-12


def test_without_pytorch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[torch\]'"):
        fastmlp.to_torch(model("binary logistic"))


def test_an_activation_without_a_module_is_refused(monkeypatch):
    monkeypatch.delitem(target.ACTIVATIONS, "mish")
    with pytest.raises(ValueError, match="to_torch does not support activation"):
        fastmlp.to_torch(model("binary logistic", "mish"))
