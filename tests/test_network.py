"""Network: shapes, views, checks, and the least that a stranger would try with it."""

import copy
import pickle

import builders
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from fastmlp import Network
from fastmlp._kernels import HEADS, HIDDEN_ACTIVATIONS
from fastmlp.rows import as_inputs
from fastmlp.workspace import GROUPS, build_layers, build_tensors

ALL_HEADS = [(loss, output) for loss, outputs in HEADS.items() for output in outputs]


def make_data(network, rows=9, seed=0):
    random = np.random.RandomState(seed)
    X = random.standard_normal((rows, network.layer_sizes[0]))
    n_out = network.layer_sizes[-1]
    if network.loss_name == "cross_entropy":
        return X, random.dirichlet(np.ones(n_out), rows)
    if network.output_activation == "softmax":
        return X, random.randint(0, n_out, rows)
    return X, random.randint(0, 2, (rows, n_out)) + (network.loss_name == "gamma")


def central_differences(value, network, step=1e-5):
    """∂ value/∂ params, each parameter moved there and back."""
    slopes = np.empty_like(network.params)
    for i, here in enumerate(network.params.copy()):
        network.params[i] = here + step
        above = value()
        network.params[i] = here - step
        slopes[i] = (above - value()) / (2 * step)
        network.params[i] = here
    return slopes


def test_parameters_are_one_vector_with_weights_first():
    network = Network([4, 3, 2], random_state=0)
    flat = np.concatenate([a.ravel() for a in [*network.weights, *network.biases]])
    assert_array_equal(network.params, flat)
    assert network.params.ctypes.data % 64 == 0
    for view in [*network.weights, *network.biases]:
        assert np.shares_memory(view, network.params)


def test_initial_parameters_are_scikit_learns():
    """Glorot's uniform bounds, drawn layer by layer, W before b."""
    network = Network([4, 3, 2], activation="tanh", random_state=5)
    random = np.random.RandomState(5)
    for weights, biases in zip(network.weights, network.biases, strict=True):
        bound = np.sqrt(6 / sum(weights.shape))
        assert_array_equal(weights, random.uniform(-bound, bound, weights.shape))
        assert_array_equal(biases, random.uniform(-bound, bound, biases.shape))


@pytest.mark.parametrize("head", ALL_HEADS)
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_gradient_is_the_derivative(activation, head):
    loss, output = head
    for sizes in ([3, 2], [3, 5, 2], [3, 4, 5, 1]):
        if output == "softmax" and sizes[-1] == 1:
            continue
        network = Network(
            sizes,
            activation=activation,
            loss=loss,
            output_activation=output,
            alpha=0.7,
            random_state=1,
        )
        X, y = make_data(network)
        weights = np.linspace(0.5, 2, len(X))
        loss_value, gradient = network.loss_and_grad(X, y, weights)
        assert loss_value == network.loss(X, y, weights)
        expected = central_differences(lambda: network.loss(X, y, weights), network)  # noqa: B023
        assert_allclose(gradient, expected, atol=2e-9)


def test_scipy_drives_it_to_least_squares():
    random = np.random.RandomState(0)
    X, y = random.standard_normal((40, 3)), random.standard_normal(40)
    network = Network([3, 1], random_state=0)

    def objective(params):
        network.params[:] = params
        return network.loss_and_grad(X, y)

    found = minimize(objective, network.params.copy(), jac=True, tol=1e-14).x
    expected = np.linalg.lstsq(np.column_stack([X, np.ones(40)]), y, rcond=None)[0]
    assert_allclose(found, expected, atol=1e-6)


def test_predict_is_the_function():
    network = Network([3, 4, 2], activation="tanh", random_state=0)
    X = np.random.RandomState(1).standard_normal((2500, 3))
    hidden = np.tanh(X @ network.weights[0] + network.biases[0])
    expected = hidden @ network.weights[1] + network.biases[1]
    assert_allclose(network.predict(X), expected, atol=1e-13)


def test_copy_and_pickle_are_independent():
    network = Network([3, 4, 2], random_state=0)
    for twin in (network.copy(), pickle.loads(pickle.dumps(network))):
        assert_array_equal(twin.params, network.params)
        twin.weights[0][:] = 0
        assert (twin.params[:12] == 0).all()
        assert (network.params[:12] != 0).all()


def test_inputs_are_used_in_place():
    network = Network([3, 4, 2], random_state=0)
    X = np.random.RandomState(1).standard_normal((20, 3))
    expected = network.predict(X)
    X.flags.writeable = False
    assert as_inputs(X, 3, X.dtype) is X
    assert_array_equal(network.predict(X), expected)
    for same in (X.tolist(), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        assert_array_equal(network.predict(same), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_sizes": [3]}, "layer_sizes"),
        ({"layer_sizes": [3, 0]}, "layer_sizes"),
        ({"layer_sizes": [3, -2, 1]}, "layer_sizes"),
        ({"layer_sizes": [3, 2.5]}, "layer_sizes"),
        ({"layer_sizes": [3, True]}, "layer_sizes"),
        ({"activation": "softmax"}, "activation"),
        ({"loss": "hinge"}, "loss"),
        ({"output_activation": "softmax"}, "output_activation"),
        ({"dtype": "int32"}, "dtype"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": np.nan}, "alpha"),
        ({"alpha": 10**400}, r"alpha must be in \[0, inf\)"),
        ({"alpha": "much"}, r"alpha must be in \[0, inf\)"),
        ({"loss": ["log_loss"]}, "loss must be one of"),
        ({"activation": np.float32}, "activation must be one of"),
        ({"output_activation": np.ones(2)}, "output_activation .* must be one of"),
        ({"batch_norm": np.ones(2)}, "batch_norm must be True or False"),
        ({"layer_sizes": [1, 2**61, 2**61, 1]}, "has more than"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network(**{"layer_sizes": [3, 2], **arguments})


@pytest.mark.parametrize(
    ("X", "y", "weights", "message"),
    [
        (np.ones((4, 2)), np.ones(4), None, "X must have shape"),
        (np.ones(3), np.ones(4), None, "X must have shape"),
        (np.ones((4, 3)), np.ones(5), None, "y must have shape"),
        (np.ones((4, 3)), np.ones((4, 2)), None, "y must have shape"),
        (np.ones((4, 3)), np.ones(4), np.ones(3), "sample_weight must have shape"),
        (np.ones((4, 3)), np.ones(4), -np.ones(4), "sample_weight must be"),
        (np.ones((4, 3)), np.ones(4), np.full(4, np.nan), "sample_weight must be"),
    ],
)
def test_bad_data_are_refused(X, y, weights, message):
    network = Network([3, 1], random_state=0)
    with pytest.raises(ValueError, match=message):
        network.loss_and_grad(X, y, weights)


def test_class_indices_are_checked():
    network = Network([3, 2], loss="log_loss", random_state=0)
    with pytest.raises(ValueError, match="class indices"):
        network.loss(np.ones((2, 3)), [0, 2])


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [[], [0.0, 0.0], [0.5, 0.0], [0.2, 0.3]])
@pytest.mark.parametrize(
    "hidden", [["tanh", "relu"], ["gelu", "elu"], ["silu", "mish"]]
)
def test_the_layer_table_is_that_of_the_contract(hidden, dropout, batch_norm, spread):
    """Also blocks that may not share memory, but whose values would seldom show it."""
    for output, n_targets in [("softmax", 1), ("identity", 2)]:
        table = build_layers(
            [7, 5, 4, 2],
            [*hidden, output],
            n_targets,
            dropout=dropout,
            batch_norm=batch_norm,
            spread=spread,
        )
        expected = builders.build_layers(
            [7, 5, 4, 2], hidden, output, dropout or 0.0, batch_norm, spread
        )
        assert_array_equal(table, expected)
        assert_array_equal(build_tensors(table), builders.build_tensors(expected))
        assert_array_equal(GROUPS, builders.GROUPS)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"alpha": 0.5}, True),
        ({"l1_ratio": 0.5}, True),
        ({"alpha": 0.5, "l1_ratio": 0.5}, False),
        ({"output_activation": "tanh"}, False),
        ({"loss": "huber"}, False),
        ({"loss": "log_loss"}, False),
    ],
)
def test_which_objectives_are_quadratic(settings, expected):
    assert Network([3, 2], **settings).is_quadratic is expected
    assert not Network([3, 2, 2], **settings).is_quadratic


# -- what is assigned is copied into place


def draw_network(dtype=float):
    return Network([3, 4, 2], batch_norm=True, dtype=dtype, random_state=0)


def test_assigned_parameters_are_followed_everywhere():
    network, other = draw_network(), Network([3, 4, 2], batch_norm=True, random_state=7)
    X, params = np.ones((2, 3)), network.params
    network.params = other.params
    network.stats = other.stats + 0.5
    assert network.params is params
    assert_array_equal(network.weights[0], other.weights[0])
    assert_array_equal(network.stats, other.stats + 0.5)
    other.stats[:] += 0.5
    assert_array_equal(network.predict(X), other.predict(X))
    network.params = network.params.tolist()
    network.params += 1
    network.stats -= 0.5
    other.params[:], other.stats[:] = other.params + 1, other.stats - 0.5
    assert_array_equal(network.predict(X), other.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_assigned_layers_are_followed(dtype):
    network, twin = draw_network(dtype), draw_network(dtype)
    network.weights[0] = np.asfortranarray(np.arange(12).reshape(3, 4))
    network.weights[-1] += 2
    network.biases[1] = [5, 6]
    network.biases[0] *= 3
    twin.weights[0][...] = np.arange(12).reshape(3, 4)
    twin.weights[1][...] += 2
    twin.biases[1][...] = [5, 6]
    twin.biases[0][...] *= 3
    assert_array_equal(network.params, twin.params)
    assert_array_equal(network.predict(np.ones((2, 3))), twin.predict(np.ones((2, 3))))
    network.weights = [2 * weights for weights in network.weights]
    network.biases = [-biases for biases in network.biases]
    n_weights = 3 * 4 + 4 * 2
    assert_array_equal(network.params[:n_weights], 2 * twin.params[:n_weights])
    assert_array_equal(network.params[n_weights:][:6], -twin.params[n_weights:][:6])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("params", np.zeros(3)),
        ("params", 0.0),
        ("params", np.zeros((1, 30))),
        ("params", None),
        ("params", ["1"] * 30),
        ("stats", np.zeros(30)),
        ("weights", [np.zeros((3, 4))]),
        ("weights", [np.zeros((3, 4)), np.zeros((4, 3))]),
        ("weights", [np.zeros((3, 4)), np.full((4, 2), "a")]),
        ("biases", [np.zeros(4), 0.0]),
    ],
)
def test_what_does_not_fit_is_not_assigned(name, values):
    network, twin = draw_network(), draw_network()
    assert network.params.shape == (30,)
    with pytest.raises(ValueError, match=f"{name} must"):
        setattr(network, name, values)
    for layer in (np.zeros((4, 3)), 1.0, np.full((3, 4), 1j)):
        with pytest.raises(ValueError, match="layer 0 must"):
            network.weights[0] = layer
    with pytest.raises(AttributeError):
        network.weights.append(np.zeros((2, 2)))
    with pytest.raises(AttributeError):
        del network.params
    assert_array_equal(network.params, twin.params)
    assert_array_equal(network.stats, twin.stats)


def test_views_are_bound_anew_in_copies():
    network = draw_network()
    for twin in (
        network.copy(),
        pickle.loads(pickle.dumps(network)),
        copy.deepcopy(network),
    ):
        twin.params = np.arange(30)
        twin.weights[1] = np.zeros((4, 2))
        assert_array_equal(twin.weights[0].ravel(), np.arange(12))
        assert (twin.params[12:20] == 0).all()
        assert (network.params[12:20] != 0).all()


def test_a_pickle_holds_the_vector_once():
    """Also what earlier versions stored: the same names."""
    state = draw_network().__getstate__()
    assert {"params", "stats"} < set(state)
    arrays = [v for v in state.values() if isinstance(v, np.ndarray) and v.size > 20]
    assert len(arrays) == 1
