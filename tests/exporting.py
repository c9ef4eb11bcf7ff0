"""Fitted models of every activation and every head, for what leaves the library."""

import functools

import numpy as np
from fits import fit

from fastmlp import (
    CNNClassifier,
    CNNRegressor,
    MLPClassifier,
    MLPRegressor,
    _kernels,
)

N_ROWS, N_FEATURES = 60, 5
NAMES = np.array(["ant", "bee", 'cat "é"?'])

# By name: estimator, its parameters, and what it is fitted to.
HEADS = {
    f"{loss} {output}": (MLPRegressor, {"loss": loss, "output_activation": output}, 1)
    for loss, outputs in _kernels.HEADS.items()
    if loss not in ("log_loss", "cross_entropy")  # a classifier's
    for output in outputs
}
HEADS |= {
    "three outputs": (MLPRegressor, {}, 3),
    "three rates": (MLPRegressor, {"loss": "poisson"}, 3),
    "levels": (MLPRegressor, {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}, 1),
    "one level": (MLPRegressor, {"loss": "quantile", "quantile": [0.3]}, 1),
}
LOSSES = {
    "softmax": {},
    "logistic": {"output_activation": "logistic"},
    "delta rule": {"loss": "squared_error"},
    "delta rule identity": {"loss": "squared_error", "output_activation": "identity"},
}
HEADS |= {
    f"{kind} {name}": (MLPClassifier, params, kind)
    for name, params in LOSSES.items()
    for kind in ("binary", "multiclass", "multilabel")
    if (name, kind) not in (("softmax", "multilabel"), ("logistic", "multiclass"))
}
HEADS["binary softmax"] = (MLPClassifier, {"output_activation": "softmax"}, "binary")


@functools.cache
def rows(dtype):
    """Rows that reach into the tails of every activation."""
    X = np.random.RandomState(0).standard_normal((N_ROWS, N_FEATURES))
    return np.ascontiguousarray(4 * X, dtype=dtype)


def targets(kind):
    X = rows("float64")
    if kind == "binary":
        return np.array([3, 7])[(X[:, 0] > 0).astype(int)]
    if kind == "multiclass":
        return NAMES[np.argmax(X[:, :3], axis=1)]
    if kind == "multilabel":
        return (X[:, :4] > 0).astype(int)
    y = np.abs(X[:, :kind]) / 4
    return y[:, 0] if kind == 1 else y


def model(head, activation="relu", dtype="float64", **params):
    """An estimator after two epochs, which is fitted to no end but to differ from 0."""
    estimator, settings, kind = HEADS[head]
    settings = {"hidden_layer_sizes": (7, 6), "batch_size": 20, **settings, **params}
    settings |= {"max_iter": 2, "learning_rate_init": 0.05, "random_state": 0}
    est = estimator(activation=activation, dtype=dtype, **settings)
    return fit(est, rows(dtype), targets(kind))


def outputs(est, X):
    return getattr(est, "predict_proba", est.predict)(X)


def difference(found, expected):
    """The largest, in parts of what is large."""
    assert found.shape == expected.shape
    return np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected)))


# By name: parameters of a CNN whose images are odd in one way or another.
IMAGES = {
    "max": {"input_shape": (7, 6, 2), "conv_layers": ((5, 3), (4, (2, 4)))},
    "average": {
        "input_shape": (7, 6, 2),
        "conv_layers": ((5, (2, 3)),),
        "pool": "average",
        "pool_size": 3,
        "padding": "valid",
    },
    "signals": {"input_shape": (28, 3), "conv_layers": ((5, 4), (3, 3))},
    "no pooling": {"input_shape": (5, 4, 1), "conv_layers": ((3, 5),), "pool_size": 1},
}


@functools.cache
def images_and_model(name, batch_norm, dtype, kind="multiclass"):
    """Rows of images, and a convolutional estimator fitted to them."""
    shape = IMAGES[name]["input_shape"]
    X = np.random.RandomState(1).standard_normal((30, int(np.prod(shape))))
    X = X.astype(dtype)
    settings = IMAGES[name] | {"hidden_layer_sizes": (6,), "activation": "tanh"}
    settings |= {"max_iter": 3, "batch_norm": batch_norm, "random_state": 0}
    if kind == "regression":
        return X, fit(CNNRegressor(**settings), X, X[:, :2].astype(float))
    return X, fit(CNNClassifier(**settings), X, np.arange(30) % 3)
