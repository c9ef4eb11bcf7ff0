"""To ONNX: nodes that any runtime has, in the network's own type."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp._version import __version__
from fastmlp.export._model import (
    EPSILON,
    FittedModel,
    Layer,
    is_of_tables,
    label_type,
    read,
    row_of,
)
from fastmlp.export._onnx_table import (
    ML_DOMAIN,
    ML_OPSET,
    Tensors,
    add_table,
    describe_inputs,
)
from fastmlp.export._table import read_table_model
from fastmlp.layers import Geometry

# The oldest operator set in which all operators are as they are used here; later ones
# agree. IR_VERSION is its format of files: runtimes refuse one newer than their own.
OPSET, IR_VERSION = 15, 8

# TensorProto's codes.
_INT64, _TENSOR_TYPES = 7, {"float32": 1, "float64": 11}


class Nodes:
    """A graph in the making: nodes and constants, and a new name for each result.

    Parameters
    ----------
    dtype : dtype
        Type of the numbers.
    prefix : str
        What every name begins with.
    """

    def __init__(self, dtype: np.dtype, prefix: str = "") -> None:
        self.dtype = dtype
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[str, np.ndarray] = {}
        self._prefix = prefix

    def add(self, op: str, *inputs: Any, unused: int = 0, **attributes: Any) -> str:
        """Add a node; inputs are names, or values, which become constants.

        Behind the result whose name is returned there may be others, unused.
        """
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        output = f"{self._prefix}{op}_{len(self.nodes)}"
        others = [f"{output}_{k}" for k in range(unused)]
        self.nodes.append((op, names, [output, *others], attributes))
        return output

    def constant(self, values: Any) -> str:
        """A constant: a number is of the network's type, an array as it is."""
        is_array = isinstance(values, np.ndarray)
        array = values if is_array else np.asarray(values, self.dtype)
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants[name] = array
        return name

    def rename(self, output: str, name: str) -> None:
        """Give a result the name of one of the graph's outputs."""
        self.nodes.append(("Identity", [output], [name], {}))


# -- activations: from the name of z, and σ's number if it has one, to the name of σ(z)
#
# Runtimes have the operators of activations for float32, most of them not for float64,
# and their numbers are float32. There formulas are made of operators for both.


def _named(op: str, **attributes: Any) -> Callable[..., str]:
    return lambda nodes, z: nodes.add(op, z, **attributes)


def _identity(nodes: Nodes, z: str) -> str:
    return z


def _leaky_relu(nodes: Nodes, z: str, slope: float) -> str:
    """max(z, 0) + slope min(z, 0)."""
    if nodes.dtype == np.float32:
        return nodes.add("LeakyRelu", z, alpha=slope)
    below = nodes.add("Mul", nodes.add("Min", z, 0.0), slope)
    return nodes.add("Add", nodes.add("Relu", z), below)


def _below_zero(nodes: Nodes, z: str) -> str:
    """e^min(z, 0) − 1."""
    return nodes.add("Sub", nodes.add("Exp", nodes.add("Min", z, 0.0)), 1.0)


def _elu(nodes: Nodes, z: str) -> str:
    if nodes.dtype == np.float32:
        return nodes.add("Elu", z, alpha=1.0)
    return nodes.add("Add", nodes.add("Relu", z), _below_zero(nodes, z))


def _selu(nodes: Nodes, z: str) -> str:
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    if nodes.dtype == np.float32:
        return nodes.add("Selu", z, alpha=alpha, gamma=scale)
    above = nodes.add("Mul", nodes.add("Relu", z), scale)
    below = nodes.add("Mul", _below_zero(nodes, z), scale * alpha)
    return nodes.add("Add", above, below)


def _softplus(nodes: Nodes, z: str) -> str:
    """max(z, 0) + ln(1 + e^−|z|)."""
    if nodes.dtype == np.float32:
        return nodes.add("Softplus", z)
    small = nodes.add("Exp", nodes.add("Neg", nodes.add("Abs", z)))
    rest = nodes.add("Log", nodes.add("Add", small, 1.0))
    return nodes.add("Add", nodes.add("Relu", z), rest)


def _silu(nodes: Nodes, z: str) -> str:
    return nodes.add("Mul", z, nodes.add("Sigmoid", z))


def _mish(nodes: Nodes, z: str) -> str:
    return nodes.add("Mul", z, nodes.add("Tanh", _softplus(nodes, z)))


def _gelu(nodes: Nodes, z: str) -> str:
    """½ z (1 + erf(z/√2)), which runtimes know and fuse."""
    if nodes.dtype == np.float64:
        return _gelu_of_double(nodes, z)
    erf = nodes.add("Erf", nodes.add("Mul", z, 0.5**0.5))
    return nodes.add("Mul", nodes.add("Mul", z, nodes.add("Add", erf, 1.0)), 0.5)


def _gelu_of_double(nodes: Nodes, z: str) -> str:
    """max(z, 0) − |z| ½ erfc(x), x = |z|/√2, erfc(x) = t exp(p(t) − x²),
    t = 1/(1 + x/2), p a polynomial: the form of Numerical Recipes' erfc.
    """
    size = nodes.add("Abs", z)
    x = nodes.add("Mul", size, 0.5**0.5)
    t = nodes.add("Reciprocal", nodes.add("Add", nodes.add("Mul", x, 0.5), 1.0))
    u = nodes.add("Sub", nodes.add("Mul", t, 2.0), 1.0)
    first, *others = _erfc_coefficients()[::-1]
    power = nodes.add("Mul", u, first)
    for coefficient in others[:-1]:
        power = nodes.add("Mul", nodes.add("Add", power, coefficient), u)
    power = nodes.add("Add", power, others[-1])
    power = nodes.add("Exp", nodes.add("Sub", power, nodes.add("Mul", x, x)))
    tail = nodes.add("Mul", nodes.add("Mul", t, 0.5), power)
    return nodes.add("Sub", nodes.add("Relu", z), nodes.add("Mul", size, tail))


def _erfc_coefficients() -> np.ndarray:
    """Of p in u = 2t − 1, lowest power first: ln(erfc(x) exp(x²)/t) to 1e-13."""
    from numpy.polynomial import Chebyshev, Polynomial
    from scipy.special import erfcx

    def log_of_rest(u: np.ndarray) -> np.ndarray:
        t = (u + 1) / 2
        return np.log(erfcx(2 / t - 2) / t)

    return Chebyshev.interpolate(log_of_rest, 28).convert(kind=Polynomial).coef


def _gelu_tanh(nodes: Nodes, z: str) -> str:
    """½ z (1 + tanh(√(2/π) z (1 + 0.044715 z²)))."""
    inner = nodes.add("Mul", nodes.add("Mul", z, z), 0.044715)
    inner = nodes.add("Mul", z, nodes.add("Add", inner, 1.0))
    tanh = nodes.add("Tanh", nodes.add("Mul", inner, (2 / np.pi) ** 0.5))
    return nodes.add("Mul", nodes.add("Mul", z, nodes.add("Add", tanh, 1.0)), 0.5)


def _hardsigmoid(nodes: Nodes, z: str) -> str:
    """(z + 3)/6, cut to 0 … 1."""
    cut = nodes.add("Clip", nodes.add("Add", z, 3.0), 0.0, 6.0)
    return nodes.add("Div", cut, 6.0)


def _hardswish(nodes: Nodes, z: str) -> str:
    return nodes.add("Mul", nodes.add("Max", z, -3.0), _hardsigmoid(nodes, z))


ACTIVATIONS: dict[str, Callable[..., str]] = {
    "identity": _identity,
    "logistic": _named("Sigmoid"),
    "tanh": _named("Tanh"),
    "relu": _named("Relu"),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "silu": _silu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "mish": _mish,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "exp": _named("Exp"),
    "softmax": _named("Softmax", axis=1),
}


# -- the network, and what predictions make of its outputs


def _add_network(nodes: Nodes, model: FittedModel, x: str) -> str:
    for layer in model.layers:
        if layer.geometry is None:
            x = _add_dense(nodes, layer, x)
        elif layer.kind == "conv":
            x = _add_convolution(nodes, layer, layer.geometry, x)
        elif layer.geometry.is_of_columns:
            x = COLUMN_KINDS[layer.kind](nodes, layer, x)
        else:
            x = _add_pooling(nodes, layer.geometry, x)
    return x


def _add_dense(nodes: Nodes, layer: Layer, x: str) -> str:
    if layer.batch_norm is None:
        x = nodes.add("Gemm", x, layer.weights, layer.biases)
    else:
        x = _add_normalization(nodes, layer, nodes.add("MatMul", x, layer.weights))
    return _add_activation(nodes, layer, x)


def _add_normalization(nodes: Nodes, layer: Layer, x: str) -> str:
    norm = layer.batch_norm
    assert norm is not None
    numbers = norm.scale, norm.shift, norm.mean, norm.variance
    return nodes.add("BatchNormalization", x, *numbers, epsilon=EPSILON)


def _add_activation(nodes: Nodes, layer: Layer, z: str) -> str:
    return row_of(ACTIVATIONS, layer.activation, "to_onnx")(nodes, z, *layer.params)


def _add_convolution(nodes: Nodes, layer: Layer, geometry: Geometry, x: str) -> str:
    """Rows are images, channels last, made flat; ONNX has channels first. Runtimes lack
    Conv for float64: there it is a product with the patches.
    """
    kernel = layer.kernel
    is_normalised = layer.batch_norm is not None
    if nodes.dtype == np.float64:
        patches = _add_patches(nodes, geometry, x)
        z = nodes.add("MatMul", patches, kernel.reshape(geometry.n_terms, -1))
        z = nodes.add("Reshape", z, np.array([-1, geometry.out_shape[2]]))
        z = z if is_normalised else nodes.add("Add", z, layer.biases)
    else:
        kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        biases = [] if is_normalised else [layer.biases]
        image = _channels_first(nodes, geometry.shape, x)
        z = nodes.add("Conv", image, kernel, *biases, **_window(geometry, pads=True))
    if is_normalised:
        z = _add_normalization(nodes, layer, z)
    z = _add_activation(nodes, layer, z)
    if nodes.dtype == np.float64:
        return nodes.add("Reshape", z, np.array([-1, geometry.n_out]))
    return _as_rows(nodes, geometry, z)


def _add_pooling(nodes: Nodes, geometry: Geometry, x: str) -> str:
    is_max = geometry.kind == "max_pool"
    if nodes.dtype == np.float64:
        n_pixels, channels = math.prod(geometry.kernel), geometry.shape[2]
        patches = _add_patches(nodes, geometry, x)
        windows = nodes.add("Reshape", patches, np.array([-1, n_pixels, channels]))
        op = "ReduceMax" if is_max else "ReduceMean"
        pooled = nodes.add(op, windows, axes=[1], keepdims=0)
        return nodes.add("Reshape", pooled, np.array([-1, geometry.n_out]))
    image = _channels_first(nodes, geometry.shape, x)
    op = "MaxPool" if is_max else "AveragePool"
    return _as_rows(nodes, geometry, nodes.add(op, image, **_window(geometry)))


def _add_scale(nodes: Nodes, layer: Layer, x: str) -> str:
    return nodes.add("Mul", x, layer.weights)


def _add_periodic_embedding(nodes: Nodes, layer: Layer, x: str) -> str:
    """Of each of the first columns itself and W₂ cos(2π(w x + b)) + b₂."""
    n_numbers, n_columns = len(layer.weights), layer.n_inputs
    n_more = (layer.n_units - n_columns) // n_numbers
    k = (layer.weights.shape[1] - n_more) // (2 + n_more)
    cuts = [k, 2 * k, layer.weights.shape[1] - n_more]
    w, b, W2, b2 = np.split(layer.weights, cuts, axis=1)
    W2 = np.ascontiguousarray(W2.reshape(n_numbers, n_more, k).transpose(0, 2, 1))
    numbers = nodes.add("Gather", x, np.arange(n_numbers), axis=1)
    numbers = nodes.add("Reshape", numbers, np.array([-1, n_numbers, 1]))
    turns = nodes.add("Add", nodes.add("Mul", numbers, w), b)
    waves = nodes.add("Cos", nodes.add("Mul", turns, 2 * math.pi))
    waves = nodes.add("MatMul", nodes.add("Transpose", waves, perm=[1, 0, 2]), W2)
    more = nodes.add("Add", nodes.add("Transpose", waves, perm=[1, 0, 2]), b2)
    embedded = nodes.add("Concat", numbers, more, axis=2)
    shape = np.array([-1, n_numbers * (1 + n_more)])
    embedded = nodes.add("Reshape", embedded, shape)
    others = nodes.add("Gather", x, np.arange(n_numbers, n_columns), axis=1)
    return nodes.add("Concat", embedded, others, axis=1)


def _add_category_embedding(nodes: Nodes, layer: Layer, x: str) -> str:
    """Rows of the table at the last columns' places; zeros where there is none."""
    n_rows, dimensions = layer.weights.shape
    n_indices = (layer.n_units - layer.n_inputs) // (dimensions - 1)
    n_others = layer.n_inputs - n_indices
    others = nodes.add("Gather", x, np.arange(n_others), axis=1)
    place = nodes.add("Gather", x, np.arange(n_others, layer.n_inputs), axis=1)
    is_place = nodes.add(
        *("And", nodes.add("GreaterOrEqual", place, 0.0)),
        nodes.add("Less", place, float(n_rows)),
    )
    place = nodes.add("Where", is_place, place, float(n_rows))
    place = nodes.add("Cast", nodes.add("Floor", place), to=_INT64)
    table = np.vstack([layer.weights, np.zeros_like(layer.weights[:1])])
    rows = nodes.add("Gather", table, place, axis=0)
    shape = np.array([-1, n_indices * dimensions])
    return nodes.add("Concat", others, nodes.add("Reshape", rows, shape), axis=1)


COLUMN_KINDS: dict[str, Callable[[Nodes, Layer, str], str]] = {
    "scale": _add_scale,
    "periodic_embedding": _add_periodic_embedding,
    "category_embedding": _add_category_embedding,
}


def _add_patches(nodes: Nodes, geometry: Geometry, x: str) -> str:
    """What the kernel sees at each position: (n, positions, terms)."""
    zero = nodes.constant(np.array([0, 0, 0, 1]))
    padded = nodes.add("Pad", x, zero)
    seen = nodes.add("Gather", padded, geometry.patches(), axis=1)
    shape = np.array([-1, math.prod(geometry.out_shape[:2]), geometry.n_terms])
    return nodes.add("Reshape", seen, shape)


def _channels_first(nodes: Nodes, shape: tuple[int, ...], x: str) -> str:
    image = nodes.add("Reshape", x, np.array([-1, *shape]))
    return nodes.add("Transpose", image, perm=[0, 3, 1, 2])


def _as_rows(nodes: Nodes, geometry: Geometry, image: str) -> str:
    last = nodes.add("Transpose", image, perm=[0, 2, 3, 1])
    return nodes.add("Reshape", last, np.array([-1, geometry.n_out]))


def _window(geometry: Geometry, pads: bool = False) -> dict[str, Any]:
    """Attributes of a convolution or of pooling, which knows no border."""
    border = {"pads": [*geometry.pads, *geometry.pads_behind]} if pads else {}
    return {"kernel_shape": geometry.kernel, "strides": geometry.stride, **border}


def _add_probabilities(nodes: Nodes, model: FittedModel, outputs: str) -> str:
    if model.output_activation == "identity":
        outputs = nodes.add("Clip", outputs, 0.0, 1.0)
    if model.n_outputs == 1:
        return nodes.add("Concat", nodes.add("Sub", 1.0, outputs), outputs, axis=1)
    if not model.is_normalised_by_sum:
        return outputs
    total = nodes.add("ReduceSum", outputs, np.array([1]), keepdims=1)
    is_positive = nodes.add("Greater", total, 0.0)
    divisor = nodes.add("Where", is_positive, total, 1.0)
    shares = nodes.add("Div", outputs, divisor)
    return nodes.add("Where", is_positive, shares, 1 / model.n_outputs)


def _add_labels(nodes: Nodes, model: FittedModel, outputs: str) -> str:
    if model.multilabel:
        return nodes.add("Cast", nodes.add("Greater", outputs, 0.5), to=_INT64)
    assert model.classes is not None
    classes = model.classes.astype(label_type(model.classes))
    if model.n_outputs > 1:
        index = nodes.add("ArgMax", outputs, axis=1, keepdims=0)
        return nodes.add("Gather", classes, index)
    # A single class is found on either side of the threshold.
    classes = classes if len(classes) > 1 else classes.repeat(2)
    found = nodes.add("Cast", nodes.add("Greater", outputs, 0.5), to=_INT64)
    return nodes.add("Gather", classes, nodes.add("Squeeze", found, np.array([1])))


def _add_predictions(nodes: Nodes, model: FittedModel, x: str) -> dict[str, str]:
    """All of it; the names of the results by what they are."""
    outputs = _add_network(nodes, model, x)
    if model.is_classifier:
        return {
            "label": _add_labels(nodes, model, outputs),
            "probabilities": _add_probabilities(nodes, model, outputs),
        }
    if model.is_vector:
        outputs = nodes.add("Squeeze", outputs, np.array([1]))
    return {"predictions": outputs}


# -- a file


def to_onnx(
    est: Any,
    path: str | os.PathLike | None = None,
    *,
    fold_batch_norm: bool = True,
) -> Any:
    """A fitted estimator as an ONNX model.

    The model has one input, ``X`` of shape (n, n_features), of the network's type:
    float32 or float64; that of a table is below. A regressor's is one output,
    ``predictions``, shaped as ``predict`` returns it. A classifier has two: ``label``,
    as ``predict`` returns it (strings, or numbers: int64 for whole ones; of multilabel
    targets an int64 matrix of 0 and 1), and ``probabilities``, one array as
    ``predict_proba`` returns it.

    Parameters
    ----------
    est : MLPClassifier, MLPRegressor, CNNClassifier, CNNRegressor, \
TabularClassifier or TabularRegressor
        Fitted; of images a row of X is one made flat, channels last. A Pipeline is
        converted by skl2onnx after :func:`register_onnx`.
    path : path-like, default=None
        File that the model is also written to.
    fold_batch_norm : bool, default=True
        Whether batch normalisation becomes part of weights and biases, which is as
        exact and faster; False keeps its nodes.

    Returns
    -------
    onnx.ModelProto
        Of operator set 15, with no operators of our own; strings are looked up by
        operator set 2 of 'ai.onnx.ml'.

    Raises
    ------
    ImportError
        If onnx is not installed: ``pip install "fastmlp[onnx]"``.
    TypeError
        If est is no estimator of fastmlp.
    ValueError
        If an activation has no formula here, or a table's columns have no names of
        their own.

    Notes
    -----
    Of a TabularClassifier or TabularRegressor preprocessing, all members, calibration
    and scaling are inside, and results are float64. As in skl2onnx each column is an
    input, called as in the table, of shape (n, 1), because a tensor has one type:

    - numbers are float64, and NaN where they are missing;
    - whole numbers of which some are beyond 2⁵³ are int64, and the least int64 where
      they are missing;
    - categories are float64 where all are spelt as numbers (booleans are 0 and 1), and
      NaN where they are missing; else strings, and "" where they are missing, unless ""
      is a category.

    A table without names, all of whose columns are float64, is one input ``X`` of
    shape (n, n_features); the columns of any other are called x0, x1 and so on.

    Examples
    --------
    >>> import fastmlp, onnxruntime  # doctest: +SKIP
    >>> fastmlp.to_onnx(model, "model.onnx")  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("model.onnx")  # doctest: +SKIP
    >>> label, probabilities = session.run(None, {"X": X})  # doctest: +SKIP
    """
    onnx = require("onnx", "onnx", "to_onnx")
    if is_of_tables(est):
        proto = _convert_table(onnx, est)
    else:
        proto = _convert_network(onnx, est, fold_batch_norm)
    if path is not None:
        onnx.save(proto, os.fspath(path))
    return proto


def _convert_network(onnx: Any, est: Any, fold_batch_norm: bool) -> Any:
    model = read(est, "to_onnx")
    nodes = Nodes(model.dtype)
    results = _add_predictions(nodes, model.folded() if fold_batch_norm else model, "X")
    for name, result in results.items():
        nodes.rename(result, name)
    inputs = {"X": (model.dtype, [None, model.n_features])}
    return _make_proto(
        onnx, nodes, inputs, _describe_results(model), type(est).__name__
    )


def _convert_table(onnx: Any, est: Any) -> Any:
    table = read_table_model(est)
    inputs, model = describe_inputs(table), table.results
    prefix = "fastmlp_"
    while any(name.startswith(prefix) for name in inputs):
        prefix += "_"
    nodes = Nodes(model.dtype, prefix)
    outputs = add_table(nodes, table, inputs, _add_network)
    if model.is_classifier:
        nodes.rename(_add_labels(nodes, model, outputs), "label")
        nodes.rename(outputs, "probabilities")
    else:
        if model.is_vector:
            outputs = nodes.add("Squeeze", outputs, np.array([1]))
        nodes.rename(outputs, "predictions")
    return _make_proto(
        onnx, nodes, inputs, _describe_results(model), type(est).__name__
    )


def _make_proto(
    onnx: Any, nodes: Nodes, inputs: Tensors, results: Tensors, name: str
) -> Any:
    helper = onnx.helper

    def declare(tensors: Tensors) -> list:
        return [
            helper.make_tensor_value_info(
                key, helper.np_dtype_to_tensor_dtype(dtype), shape
            )
            for key, (dtype, shape) in tensors.items()
        ]

    graph = helper.make_graph(
        [
            helper.make_node(op, given, outputs, **attributes)
            for op, given, outputs, attributes in nodes.nodes
        ],
        name,
        declare(inputs),
        declare(results),
        [onnx.numpy_helper.from_array(a, key) for key, a in nodes.constants.items()],
    )
    domains = {attributes.get("domain", "") for *_, attributes in nodes.nodes}
    opsets = {"": OPSET, ML_DOMAIN: ML_OPSET}
    proto = helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid(domain, opsets[domain])
            for domain in sorted({"", *domains})
        ],
        producer_name="fastmlp",
        producer_version=__version__,
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(proto)
    return proto


def _describe_results(model: FittedModel) -> Tensors:
    """Type and shape of each result by name; object stands for strings."""
    if model.classes is None:
        shape: list[int | None] = [None]
        if not model.is_vector:
            shape.append(model.n_outputs)
        return {"predictions": (model.dtype, shape)}
    if model.multilabel:
        label = np.dtype(np.int64), [None, model.n_outputs]
    else:
        label = label_type(model.classes), [None]
    n_columns = model.n_outputs if model.multilabel else max(2, model.n_outputs)
    return {"label": label, "probabilities": (model.dtype, [None, n_columns])}


# -- as a step of a pipeline that skl2onnx converts


def register_onnx() -> None:
    """Teach skl2onnx to convert fastmlp's estimators, alone and inside a Pipeline.

    After it ``skl2onnx.to_onnx(pipeline, X[:1])`` converts a whole pipeline. Its
    outputs are those of :func:`to_onnx`: probabilities are one array, whatever its
    option ``zipmap`` says. Only where a regressor's ``predict`` returns a vector it is
    one column, as skl2onnx has it. Inputs of another type are cast to the network's.

    Raises
    ------
    ImportError
        If skl2onnx is not installed: ``pip install "fastmlp[onnx]"``.
    """
    skl2onnx = require("skl2onnx", "onnx", "register_onnx")
    from fastmlp import CNNClassifier, CNNRegressor, MLPClassifier, MLPRegressor

    for estimator in (MLPClassifier, MLPRegressor, CNNClassifier, CNNRegressor):
        skl2onnx.update_registered_converter(
            estimator,
            f"Fastmlp{estimator.__name__}",
            _keep_shapes,
            _convert,
            parser=_declare_outputs,
            # A pipeline sets this one by itself.
            options={"zipmap": [True, False, "columns"]},
        )


def _declare_outputs(
    scope: Any, est: Any, inputs: list, custom_parsers: Any = None
) -> list:
    """The step's results, for skl2onnx to connect; it has a column where
    ``predict`` returns a vector.
    """
    from skl2onnx.common.data_types import _guess_numpy_type

    operator = scope.declare_local_operator(f"Fastmlp{type(est).__name__}", est)
    operator.inputs = inputs
    model = replace(read(est, "register_onnx"), is_vector=False)
    for name, (dtype, shape) in _describe_results(model).items():
        kind = _guess_numpy_type(dtype, shape)
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return list(operator.outputs)


def _keep_shapes(operator: Any) -> None:
    """They are known since the outputs were declared."""


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Put the step's nodes into skl2onnx's graph."""
    if container.target_opset < OPSET:
        raise ValueError(
            f"fastmlp's estimators need target_opset of at least {OPSET}, got "
            f"{container.target_opset}"
        )
    from skl2onnx.common.data_types import guess_proto_type

    model = read(operator.raw_operator, "register_onnx").folded()
    model = replace(model, is_vector=False)
    nodes = Nodes(model.dtype, scope.get_unique_variable_name("fastmlp"))
    code = _TENSOR_TYPES[model.dtype.name]
    columns = [nodes.add("Cast", x.full_name, to=code) for x in operator.inputs]
    x = columns[0] if len(columns) == 1 else nodes.add("Concat", *columns, axis=1)
    results = _add_predictions(nodes, model, x)
    # A step that has steps, a VotingRegressor say, declares their outputs by itself:
    # under other names, and in the type of its own inputs.
    for output, (name, result) in zip(operator.outputs, results.items(), strict=True):
        if name != "label":
            result = nodes.add("Cast", result, to=guess_proto_type(output.type))
        nodes.rename(result, output.full_name)
    _replay(nodes, container)


def _replay(nodes: Nodes, container: Any) -> None:
    onnx = require("onnx", "onnx", "register_onnx")
    for name, array in nodes.constants.items():
        code = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        container.add_initializer(name, code, array.shape, array.ravel())
    for number, (op, inputs, outputs, attributes) in enumerate(nodes.nodes):
        name = f"{outputs[0]}_{number}"
        container.add_node(op, inputs, outputs, name=name, **attributes)
