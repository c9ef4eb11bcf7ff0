"""To PyTorch: a Sequential of its own modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp.export._model import (
    EPSILON,
    BatchNorm,
    FittedModel,
    Layer,
    read,
    row_of,
)

# A module from torch.nn, and σ's number if it has one; None where there is nothing to
# do.
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "identity": lambda nn: None,
    "logistic": lambda nn: nn.Sigmoid(),
    "tanh": lambda nn: nn.Tanh(),
    "relu": lambda nn: nn.ReLU(),
    "leaky_relu": lambda nn, slope: nn.LeakyReLU(slope),
    "elu": lambda nn: nn.ELU(),
    "selu": lambda nn: nn.SELU(),
    # Beyond the threshold, where it is z to any precision, it is z.
    "softplus": lambda nn: nn.Softplus(threshold=40),
    "silu": lambda nn: nn.SiLU(),
    "gelu": lambda nn: nn.GELU(),
    "gelu_tanh": lambda nn: nn.GELU(approximate="tanh"),
    "mish": lambda nn: nn.Mish(),
    "hardsigmoid": lambda nn: _own("HardSigmoid"),
    "hardswish": lambda nn: nn.Hardswish(),
    "exp": lambda nn: _own("Exp"),
    "softmax": lambda nn: nn.Softmax(dim=1),
}


def to_torch(est: Any, *, fold_batch_norm: bool = False) -> Any:
    """A fitted estimator as a ``torch.nn.Sequential``, in evaluation mode.

    Parameters
    ----------
    est : MLPClassifier, MLPRegressor, CNNClassifier or CNNRegressor
        Fitted; of images a row is one made flat, channels last.
    fold_batch_norm : bool, default=False
        Whether batch normalisation becomes part of weights and biases; else it is a
        BatchNorm1d with the running averages.

    Returns
    -------
    torch.nn.Sequential
        Linear, Conv2d, pooling, normalisation and activations, of the network's type,
        on the CPU, with copies of all parameters. It maps (n, n_features) to
        (n, n_outputs), the last layer's activation included: of a regressor what
        ``predict`` gives, with one column where that is a vector; of a classifier with
        'softmax', or of multilabel targets, ``predict_proba``; with one output the
        second column of it. To train on with PyTorch's losses of logits,
        leave the last module out.

    Raises
    ------
    ImportError
        If PyTorch is not installed: ``pip install "fastmlp[torch]"``.
    TypeError
        If est is no estimator of fastmlp.
    ValueError
        If an activation has no module here.

    Notes
    -----
    PyTorch's BatchNorm1d takes a tenth of the batch's moments a step, as the engine
    does, but corrects its variance by n/(n − 1) there: only training on differs.

    Examples
    --------
    >>> import fastmlp, torch  # doctest: +SKIP
    >>> module = fastmlp.to_torch(model)  # doctest: +SKIP
    >>> module(torch.from_numpy(X))  # doctest: +SKIP
    """
    torch = require("torch", "torch", "to_torch")
    model = read(est, "to_torch")
    modules = _modules(torch, model.folded() if fold_batch_norm else model)
    return torch.nn.Sequential(*modules).eval()


def _modules(torch: Any, model: FittedModel) -> list[Any]:
    modules = []
    before = None
    for layer in model.layers:
        make = row_of(ACTIVATIONS, layer.activation, "to_torch")
        activation = make(torch.nn, *layer.params)
        norm = layer.batch_norm
        if layer.geometry is not None and before is None:
            modules.append(_own("ToImages", layer.geometry.shape))
        if layer.geometry is None and before is not None:
            modules.append(_own("ToRows"))
        before = layer.geometry
        modules += _product(torch, layer)
        if norm is not None:
            modules.append(_batch_norm(torch, norm, 1 if before is None else 2))
        if activation is not None:
            modules.append(activation)
    return modules


def _product(torch: Any, layer: Layer) -> list[Any]:
    """A layer's modules before normalisation and activation."""
    biases = layer.biases if layer.batch_norm is None else None
    geometry = layer.geometry
    if geometry is None:
        return [_linear(torch, layer.weights, biases)]
    if layer.kind != "conv":
        kind = torch.nn.MaxPool2d if layer.kind == "max_pool" else torch.nn.AvgPool2d
        return [kind(geometry.kernel, geometry.stride)]
    (top, left), (below, right) = geometry.pads, geometry.pads_behind
    convolution = torch.nn.utils.skip_init(
        torch.nn.Conv2d,
        geometry.shape[2],
        geometry.out_shape[2],
        geometry.kernel,
        stride=geometry.stride,
        bias=biases is not None,
        dtype=getattr(torch, layer.weights.dtype.name),
    )
    arrays = {"weight": layer.kernel.transpose(3, 2, 0, 1)}
    if biases is not None:
        arrays["bias"] = biases
    _load(torch, convolution, arrays)
    return [torch.nn.ZeroPad2d((left, right, top, below)), convolution]


def _linear(torch: Any, weights: np.ndarray, biases: np.ndarray | None) -> Any:
    n_in, n_out = weights.shape
    settings = {"dtype": getattr(torch, weights.dtype.name)}
    # Its own numbers, which are replaced, are not drawn from the user's stream.
    linear = torch.nn.utils.skip_init(
        torch.nn.Linear, n_in, n_out, bias=biases is not None, **settings
    )
    arrays = {"weight": weights.T}
    if biases is not None:
        arrays["bias"] = biases
    _load(torch, linear, arrays)
    return linear


def _batch_norm(torch: Any, norm: BatchNorm, n_axes: int) -> Any:
    settings = {"eps": EPSILON, "dtype": getattr(torch, norm.scale.dtype.name)}
    kind = torch.nn.BatchNorm1d if n_axes == 1 else torch.nn.BatchNorm2d
    module = kind(len(norm.scale), **settings)
    arrays = {"weight": norm.scale, "bias": norm.shift}
    arrays |= {"running_mean": norm.mean, "running_var": norm.variance}
    _load(torch, module, arrays)
    return module


def _load(torch: Any, module: Any, arrays: dict[str, np.ndarray]) -> None:
    state = {name: torch.tensor(np.array(array)) for name, array in arrays.items()}
    module.load_state_dict(state, strict=False)


def _own(name: str, *settings: Any) -> Any:
    from fastmlp.export import _torch_modules

    return getattr(_torch_modules, name)(*settings)
