"""Initial parameters: scikit-learn's stream, and moments of the distributions."""

import warnings

import numpy as np
import pytest
from fits import fit

from fastmlp import MLPRegressor, Network
from fastmlp.initialization import INITIALIZERS, draw_parameters
from fastmlp.layers import geometries

N_IN, N_OUT = 400, 150
N = N_IN * N_OUT
SIGMA = 0.03
DEVIATIONS = {
    "glorot_uniform": np.sqrt(2 / (N_IN + N_OUT)),
    "glorot_normal": np.sqrt(2 / (N_IN + N_OUT)),
    "he_uniform": np.sqrt(2 / N_IN),
    "he_normal": np.sqrt(2 / N_IN),
    "lecun_uniform": np.sqrt(1 / N_IN),
    "lecun_normal": np.sqrt(1 / N_IN),
    SIGMA: SIGMA,
}
UNIFORM = [name for name in INITIALIZERS if name.endswith("uniform")]
NORMAL = [name for name in DEVIATIONS if name not in UNIFORM]
# Of unit variance: E x⁴ and E x⁸.
MOMENTS = {"uniform": (9 / 5, 9), "normal": (3, 105)}
# So many standard errors pass.
ERRORS = 4


def draw(sizes, init, activations=("relu",), seed=0, **others):
    stream = np.random.RandomState(seed)
    layers = geometries(tuple(sizes))
    return draw_parameters(layers, list(activations), init, stream, **others)


def standardized(init):
    """Weights of a big layer, divided by the standard deviation of the formula."""
    [(weights, _)] = draw([N_IN, N_OUT], init)
    assert weights.shape == (N_IN, N_OUT)
    assert weights.dtype == np.float64
    return weights / DEVIATIONS[init]


def within_errors(mean, expected, variance, n):
    return abs(mean - expected) < ERRORS * np.sqrt(variance / n)


# -- distributions


def test_every_initializer_is_tested():
    assert set(DEVIATIONS) == {*INITIALIZERS, SIGMA}


@pytest.mark.parametrize("init", DEVIATIONS)
def test_mean_variance_and_shape(init):
    x = standardized(init)
    fourth, eighth = MOMENTS["uniform" if init in UNIFORM else "normal"]
    assert within_errors(x.mean(), 0, 1, N)
    assert within_errors((x**2).mean(), 1, fourth - 1, N)
    assert within_errors((x**4).mean(), fourth, eighth - fourth**2, N)


@pytest.mark.parametrize("init", UNIFORM)
def test_uniform_weights_fill_their_bounds(init):
    largest = abs(standardized(init)).max()
    assert np.sqrt(3) * (1 - 1e-3) < largest <= np.sqrt(3) * (1 + 1e-12)


@pytest.mark.parametrize("init", NORMAL)
def test_normal_weights_are_not_truncated(init):
    beyond = abs(standardized(init)) > 2
    probability = 0.0455
    variance = probability * (1 - probability)
    assert within_errors(beyond.mean(), probability, variance, N)


@pytest.mark.parametrize("init", DEVIATIONS)
def test_biases_are_zero_but_glorots_uniform(init):
    for weights, biases in draw([30, 20, 10], init):
        assert biases.shape == weights.shape[1:]
        assert biases.dtype == np.float64
        assert biases.any() == (init == "glorot_uniform")


@pytest.mark.parametrize("init", DEVIATIONS)
def test_layers_are_drawn_one_after_another(init):
    random_state = np.random.RandomState(3)
    together = draw([6, 5, 4], init, seed=3)
    alone = [
        draw_parameters(geometries(sizes), ["relu"], init, random_state)[0]
        for sizes in ((6, 5), (5, 4))
    ]
    for (W, b), (W_alone, b_alone) in zip(together, alone, strict=True):
        np.testing.assert_array_equal(W, W_alone)
        np.testing.assert_array_equal(b, b_alone)


# -- biases and the last layer by themselves


@pytest.mark.parametrize("init", ["glorot_uniform", "he_normal"])
@pytest.mark.parametrize(
    ("bias_init", "deviation", "kind"),
    [("fan_in_uniform", 1 / np.sqrt(3 * 25), "uniform"), (0.4, 0.4, "normal")],
)
def test_moments_of_biases(init, bias_init, deviation, kind):
    [(weights, biases)] = draw([25, N], init, bias_init=bias_init)
    fourth, _ = MOMENTS[kind]
    x = biases / deviation
    assert within_errors(x.mean(), 0, 1, N)
    assert within_errors((x**2).mean(), 1, fourth - 1, N)
    assert (abs(x).max() > np.sqrt(3)) == (kind == "normal")
    [(alone, _)] = draw([25, N], init)
    np.testing.assert_array_equal(weights, alone)


def test_biases_of_zero():
    for _, biases in draw([30, 20, 10], "glorot_uniform", bias_init="zeros"):
        assert not biases.any()


@pytest.mark.parametrize("bias_init", [None, "fan_in_uniform", 1.0])
@pytest.mark.parametrize("sizes", [[4, 3], [6, 5, 4]])
def test_a_last_layer_of_zero_leaves_the_others(sizes, bias_init):
    drawn = draw(sizes, "he_normal", bias_init=bias_init)
    zero = draw(sizes, "he_normal", bias_init=bias_init, zero_last_layer=True)
    assert not zero[-1][0].any()
    assert not zero[-1][1].any()
    for mine, expected in zip(zero[:-1], drawn[:-1], strict=True):
        np.testing.assert_array_equal(mine[0], expected[0])
        np.testing.assert_array_equal(mine[1], expected[1])


def test_estimators_and_networks_begin_so():
    settings = {"bias_init": 2.0, "zero_last_layer": True, "init": "lecun_normal"}
    expected = draw([4, 9, 2], "lecun_normal", seed=7, bias_init=2.0)
    network = Network([4, 9, 2], random_state=7, **settings)
    X = np.random.RandomState(1).randn(20, 4)
    model = MLPRegressor(random_state=7, max_iter=1, **settings)
    model.set_params(hidden_layer_sizes=(9,), learning_rate_init=1e-300)
    fit(model, X, X[:, :2])
    for W, b in [
        (network.weights, network.biases),
        (model.coefs_, model.intercepts_),
    ]:
        np.testing.assert_array_equal(W[0], expected[0][0])
        np.testing.assert_array_equal(b[0], expected[0][1])
        assert abs(W[1]).max() < 1e-200
        assert abs(b[1]).max() < 1e-200


@pytest.mark.parametrize("bias_init", ["zero", 0, -1.0, np.inf, np.nan, True, [0.1]])
def test_bad_bias_init_is_refused(bias_init):
    with pytest.raises(ValueError, match=r"bias_init must be one of .* got "):
        draw([3, 2], "he_normal", bias_init=bias_init)
    with pytest.raises(ValueError, match="bias_init"):
        MLPRegressor(bias_init=bias_init).fit([[0.0], [1.0]], [0.0, 1.0])


# -- Glorot's uniform weights as scikit-learn draws them


@pytest.mark.parametrize("hidden", [(), (9,), (9, 7, 5)])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_scikit_learns_start_bit_for_bit(hidden, activation):
    neural_network = pytest.importorskip("sklearn.neural_network")
    X = np.random.RandomState(1).randn(20, 6)
    # Steps too short to change a bit.
    theirs = neural_network.MLPRegressor(
        hidden_layer_sizes=hidden,
        activation=activation,
        solver="sgd",
        learning_rate_init=1e-300,
        max_iter=1,
        random_state=7,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(X, X[:, :2])
    names = [activation] * max(1, len(hidden))
    mine = draw([6, *hidden, 2], "glorot_uniform", names, seed=7)
    for layer, (weights, biases) in enumerate(mine):
        np.testing.assert_array_equal(weights, theirs.coefs_[layer])
        np.testing.assert_array_equal(biases, theirs.intercepts_[layer])


@pytest.mark.parametrize(
    ("activations", "factors"),
    [
        (["logistic", "relu"], [2, 6, 6]),
        (["relu", "logistic"], [6, 2, 2]),
        (["logistic"], [2, 2, 2]),
        (["tanh"], [6, 6, 6]),
    ],
)
def test_logistic_layers_begin_smaller(activations, factors):
    sizes = [200, 150, 100, 50]
    drawn = draw(sizes, "glorot_uniform", activations)
    for layer, (weights, biases) in enumerate(drawn):
        bound = np.sqrt(factors[layer] / (sizes[layer] + sizes[layer + 1]))
        assert bound * (1 - 1e-2) < abs(weights).max() <= bound
        assert bound / 2 < abs(biases).max() <= bound


@pytest.mark.parametrize("init", [i for i in DEVIATIONS if i != "glorot_uniform"])
def test_the_other_initializers_ask_for_no_activation(init):
    as_relu, as_logistic = (draw([6, 5], init, [a]) for a in ("relu", "logistic"))
    np.testing.assert_array_equal(as_relu[0][0], as_logistic[0][0])


# -- what is refused


@pytest.mark.parametrize(
    "init",
    ["glorot", "", None, 0, 0.0, -0.1, np.nan, np.inf, True, [0.1], 1j],
)
def test_bad_init_is_refused(init):
    with pytest.raises(ValueError, match=r"init must be one of .* got "):
        draw([3, 2], init)


@pytest.mark.parametrize("sigma", [1, np.float32(0.5), 1e200])
def test_any_positive_number_is_a_deviation(sigma):
    [(weights, _)] = draw([3, 2], sigma)
    expected = np.random.RandomState(0).normal(0, float(sigma), (3, 2))
    np.testing.assert_array_equal(weights, expected)
