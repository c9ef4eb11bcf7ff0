"""Initial parameters. Glorot's uniform weights are drawn as scikit-learn draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real

import numpy as np

from fastmlp.layers import Geometry

# Of the frequencies of periodic embeddings, in turns a unit.
FREQUENCY_DEVIATION = 0.1

LayerParameters = tuple[np.ndarray, np.ndarray]
_DrawLayer = Callable[[Geometry, str, np.random.RandomState], LayerParameters]
_DrawBiases = Callable[[int, int, np.random.RandomState], np.ndarray]
_Deviation = Callable[[int, int], float]


def draw_parameters(
    layers: Sequence[Geometry],
    activations: list[str],
    init: str | float,
    random_state: np.random.RandomState,
    *,
    bias_init: str | float | None = None,
    zero_last_layer: bool = False,
) -> list[LayerParameters]:
    """Weights and biases of each layer.

    ================  =======================================  ==========
    init              weights                                  biases
    ================  =======================================  ==========
    'glorot_uniform'  uniform in ±√(6 / (n_in + n_out))        as weights
    'glorot_normal'   normal with σ = √(2 / (n_in + n_out))    0
    'he_uniform'      uniform in ±√(6 / n_in)                  0
    'he_normal'       normal with σ = √(2 / n_in)              0
    'lecun_uniform'   uniform in ±√(3 / n_in)                  0
    'lecun_normal'    normal with σ = √(1 / n_in)              0
    a number          normal with σ = that number              0
    ================  =======================================  ==========

    In 'glorot_uniform' a layer whose activation is 'logistic' takes 2 in place of 6,
    as in scikit-learn. No normal distribution is truncated. What works on columns has
    weights of its own kind (:mod:`fastmlp.layers`), and no biases.

    Parameters
    ----------
    layers : sequence of Geometry
        The layers that are trained. n_in and n_out are units; of a convolution the
        inputs that an output sees, and the outputs that see an input.
    activations : list of str
        Names of the hidden layers' activations, at least one even if there is no
        hidden layer. The last name also goes for the layers left over, the output
        layer among them. Thus a network without a hidden layer is drawn by the
        estimator's ``activation``, as in scikit-learn.
    init : str or float
        A name of ``INITIALIZERS``: Glorot's for symmetric activations, He's for the
        relu family, LeCun's for selu. Or σ of plain normal weights.
    random_state : RandomState
        Drawn from layer by layer, W before b, in float64, so that 'glorot_uniform'
        gives the same start as ``sklearn.neural_network`` from the same state.
    bias_init : str or float, default=None
        Biases in place of those of the table, drawn behind the layer's own: 'zeros';
        'fan_in_uniform', uniform in ±1/√n_in, as PyTorch's linear layers have them; or
        σ of normal biases.
    zero_last_layer : bool, default=False
        Whether weights and biases of the last layer are 0; they are drawn all the same.

    Returns
    -------
    list of (W, b)
        Arrays of shape (n_in, n_out) and (n_out,), float64; of a convolution
        (height, width, channels, filters) and (filters,).

    Raises
    ------
    ValueError
        If the name is unknown, or σ is not a finite number > 0.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, eq. 16; the normal form has its variance, eq. 12.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: Surpassing
    human-level performance on ImageNet classification", ICCV 2015, eq. 10.

    Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", 1998, eq. 16.

    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017, asks for the same variance for selu.
    """
    draw_layer, draw_biases = _layer_drawer(init), _bias_drawer(bias_init)
    drawn: list[LayerParameters] = []
    number = -1
    for layer in layers:
        if layer.is_of_columns:
            weights = COLUMN_WEIGHTS[layer.kind](layer, random_state)
            drawn.append((weights, np.empty(0)))
            continue
        number += 1
        activation = activations[min(number, len(activations) - 1)]
        weights, biases = draw_layer(layer, activation, random_state)
        if draw_biases is not None:
            biases = draw_biases(layer.n_terms, layer.out_shape[2], random_state)
        drawn.append((weights, biases))
    if zero_last_layer:
        for array in drawn[-1]:
            array[...] = 0
    return drawn


def _bias_drawer(bias_init: str | float | None) -> _DrawBiases | None:
    if bias_init is None:
        return None
    if isinstance(bias_init, str) and bias_init in BIAS_INITIALIZERS:
        return BIAS_INITIALIZERS[bias_init]
    if _is_deviation(bias_init):
        sigma = float(bias_init)
        return lambda n_in, n_out, stream: stream.normal(0.0, sigma, n_out)
    raise ValueError(
        f"bias_init must be one of {sorted(BIAS_INITIALIZERS)}, or a finite number "
        f"> 0, the standard deviation of normal biases; got {bias_init!r}"
    )


def _is_deviation(value: object) -> bool:
    """Whether it is a finite number > 0."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and 0 < float(value) < float("inf")  # type: ignore[arg-type]


def _layer_drawer(init: str | float) -> _DrawLayer:
    if isinstance(init, str) and init in INITIALIZERS:
        return INITIALIZERS[init]
    if _is_deviation(init):
        sigma = float(init)
        return _normal(lambda n_in, n_out: sigma)
    raise ValueError(
        f"init must be one of {sorted(INITIALIZERS)}, or a finite number > 0, the "
        f"standard deviation of normal weights; got {init!r}"
    )


def _draw_glorot_uniform(
    layer: Geometry, activation: str, random_state: np.random.RandomState
) -> LayerParameters:
    factor = 2.0 if activation == "logistic" else 6.0
    bound = np.sqrt(factor / sum(layer.fans))
    weights = random_state.uniform(-bound, bound, layer.weights_shape)
    return weights, random_state.uniform(-bound, bound, layer.out_shape[2])


def _uniform(deviation: _Deviation) -> _DrawLayer:
    """Uniform weights of that standard deviation, zero biases."""

    def draw_layer(
        layer: Geometry, activation: str, random_state: np.random.RandomState
    ) -> LayerParameters:
        limit = np.sqrt(3.0) * deviation(*layer.fans)
        weights = random_state.uniform(-limit, limit, layer.weights_shape)
        return weights, np.zeros(layer.out_shape[2])

    return draw_layer


def _normal(deviation: _Deviation) -> _DrawLayer:
    """Normal weights of that standard deviation, zero biases."""

    def draw_layer(
        layer: Geometry, activation: str, random_state: np.random.RandomState
    ) -> LayerParameters:
        sigma = deviation(*layer.fans)
        weights = random_state.normal(0.0, sigma, layer.weights_shape)
        return weights, np.zeros(layer.out_shape[2])

    return draw_layer


def _glorot(n_in: int, n_out: int) -> float:
    return np.sqrt(2.0 / (n_in + n_out))


def _he(n_in: int, n_out: int) -> float:
    return np.sqrt(2.0 / n_in)


def _lecun(n_in: int, n_out: int) -> float:
    return np.sqrt(1.0 / n_in)


INITIALIZERS: dict[str, _DrawLayer] = {
    "glorot_uniform": _draw_glorot_uniform,
    "glorot_normal": _normal(_glorot),
    "he_uniform": _uniform(_he),
    "he_normal": _normal(_he),
    "lecun_uniform": _uniform(_lecun),
    "lecun_normal": _normal(_lecun),
}


def _ones(layer: Geometry, random_state: np.random.RandomState) -> np.ndarray:
    return np.ones(layer.weights_shape)


def _periodic(layer: Geometry, random_state: np.random.RandomState) -> np.ndarray:
    """The weights of :class:`fastmlp.layers.PeriodicEmbedding`."""
    n, size = layer.weights_shape
    n_more = (layer.n_out - layer.n_in) // n
    k = (size - n_more) // (2 + n_more)
    bound = 1 / np.sqrt(k)
    frequencies = random_state.normal(0.0, FREQUENCY_DEVIATION, (n, k))
    phases = random_state.uniform(-0.5, 0.5, (n, k))
    linear = random_state.uniform(-bound, bound, (n, size - 2 * k))
    return np.hstack([frequencies, phases, linear])


def _standard_normal(
    layer: Geometry, random_state: np.random.RandomState
) -> np.ndarray:
    return random_state.normal(0.0, 1.0, layer.weights_shape)


COLUMN_WEIGHTS: dict[str, Callable[[Geometry, np.random.RandomState], np.ndarray]] = {
    "scale": _ones,
    "periodic_embedding": _periodic,
    "category_embedding": _standard_normal,
}


def _uniform_biases(
    n_in: int, n_out: int, random_state: np.random.RandomState
) -> np.ndarray:
    bound = 1 / np.sqrt(n_in)
    return random_state.uniform(-bound, bound, n_out)


BIAS_INITIALIZERS: dict[str, _DrawBiases] = {
    "zeros": lambda n_in, n_out, random_state: np.zeros(n_out),
    "fan_in_uniform": _uniform_biases,
}
