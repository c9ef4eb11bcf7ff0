"""Layers of columns: kernels against their twins, and these against equations, finite
differences, and networks that compute the same without them.
"""

import pickle

import numpy as np
import pytest
import scipy.sparse
from comparison import assert_close
from test_images import (
    Case,
    compare,
    evaluate,
    input_gradient,
    jacobian,
    multiply_hessian,
    predict,
    train,
)

from fastmlp import Network, _kernels, _reference, load
from fastmlp.layers import CategoryEmbedding, Conv, PeriodicEmbedding, Scale
from fastmlp.optimizers import Optimizer
from fastmlp.threads import thread_team
from fastmlp.workspace import (
    GROUPS,
    build_arena,
    count_entries,
    count_training_entries,
)

DTYPES = ["float32", "float64"]
N_ROWS = 6
NETWORKS = {
    "scale": [5, Scale(), 4, 3],
    "many columns": [700, Scale(), 3, 2],
    "scales": [3, 4, Scale(), Scale(), 2],
    "scaled outputs": [3, 6, Scale(), 2],
    "numbers": [3, PeriodicEmbedding(3), 4, 2],
    "some numbers": [5, PeriodicEmbedding(2, 5, 3), Scale(), 7, 3],
    "behind units": [3, 4, PeriodicEmbedding(3, 1, 2), 2],
    "most frequencies": [1, PeriodicEmbedding(1, 64, 9), 2],
    "many numbers": [40, PeriodicEmbedding(39, 16, 4), 3, 2],
    "categories": [4, CategoryEmbedding(2, N_ROWS, 3), 4, 2],
    "only categories": [2, CategoryEmbedding(2, N_ROWS, 2), 2],
    "many categories": [3, CategoryEmbedding(1, 900, 8), 5, 2],
    "all kinds": [
        *(6, CategoryEmbedding(2, N_ROWS, 3), PeriodicEmbedding(3), Scale(), 9, 4),
    ],
}
ENTRIES = [predict, evaluate, input_gradient, jacobian, train]


def make_case(architecture, dtype="float64", **settings):
    """With indices where there are categories, some of them of no row."""
    case = Case(architecture, dtype, **settings)
    for layer in architecture:
        if isinstance(layer, CategoryEmbedding):
            X = case.data[0]
            random = np.random.RandomState(3)
            X[:, -layer.n_indices :] = random.randint(
                -1, layer.n_rows + 1, (len(X), layer.n_indices)
            )
            X[0, -1], X[-1, -1], X[1, -1] = np.nan, 1e30, 1.5
    return case


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("capacity", [10, 40])
@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_every_call(architecture, capacity, dtype):
    """In several blocks, of which the last is short, and in one."""
    case = make_case(architecture, dtype, dropout=0.4, rows=37)
    for entry in ENTRIES:
        mine, twins = (entry(m, case, capacity) for m in (_kernels, _reference))
        compare(mine, twins, f"{entry.__name__}, {dtype}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_normalisation_goes_with_them(dtype):
    architecture = NETWORKS["all kinds"]
    case = make_case([*architecture[:-1], 5, 2], dtype, batch_norm=True, dropout=0.2)
    for entry in (predict, evaluate, train):
        mine, twins = (entry(m, case, 21) for m in (_kernels, _reference))
        compare(mine, twins, f"{entry.__name__}, {dtype}")


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_threads_leave_the_bits_alone(architecture, dtype):
    case = make_case(architecture, dtype, dropout=0.3, rows=50)
    for entry in (evaluate, train):
        expected = entry(_kernels, case, 30)
        for n_threads in (2, 3, 4):
            with thread_team(n_threads) as team:
                found = entry(_kernels, case, 30, team=team)
            for part, value in expected.items():
                np.testing.assert_array_equal(found[part], value, err_msg=part)


@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_gradients_are_slopes(architecture):
    case = make_case(architecture, rows=5)
    params, step = case.params.copy(), 1e-6
    gradient = evaluate(_reference, case, 5)["gradient"]
    n_columns = sum(
        np.size(W)
        for W, b in zip(case.network.weights, case.network.biases, strict=True)
        if len(b) == 0
    )
    random = np.random.RandomState(3)
    chosen = random.choice(min(n_columns + 30, len(params)), 25)
    for entry in {*chosen.tolist(), *np.flatnonzero(gradient)[:10].tolist()}:
        losses = []
        for sign in (1, -1):
            case.params[:] = params
            case.params[entry] += sign * step
            losses.append(evaluate(_reference, case, 5)["loss"])
        slope = (losses[0] - losses[1]) / (2 * step)
        assert gradient[entry] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", ["scale", "some numbers", "behind units"])
def test_gradients_by_inputs_are_slopes(name):
    case = make_case(NETWORKS[name], rows=3)
    X, step = case.data[0], 1e-6
    found = input_gradient(_reference, case, 3)["gradient by inputs"]
    for entry in range(X.shape[1]):
        sums = []
        for sign in (1, -1):
            moved = X.copy()
            moved[:, entry] += sign * step
            sums.append((case.network.predict(moved) * case.V).sum(axis=1))
        slope = (sums[0] - sums[1]) / (2 * step)
        np.testing.assert_allclose(found[:, entry], slope, rtol=1e-5, atol=1e-8)


def test_a_scale_is_a_factor_of_the_next_layers_rows():
    """(x ⊙ s) W + b = x (diag(s) W) + b."""
    network = Network([4, Scale(), 5, 2], random_state=0)
    s = np.array([1.0, -2.0, 0.0, 0.5])
    network.weights[0] = s
    W = [s[:, None] * network.weights[1], network.weights[2]]
    other = Network.from_weights(W, network.biases[1:], dtype="float64")
    X = np.random.RandomState(1).normal(size=(9, 4))
    assert_close(network.predict(X), other.predict(X), "outputs")


def test_a_number_becomes_itself_and_its_cosines():
    """(x, W₂ cos 2π(w x + b) + b₂) by hand; what is no number stays, behind."""
    network = Network([3, PeriodicEmbedding(2, 2, 3), 1])
    w, b = [0.5, 2.0], [0.25, 0.0]
    W2, b2 = [[1.0, 10.0], [3.0, 0.0]], [0.125, -1.0]
    row = np.concatenate([w, b, np.ravel(W2), b2])
    network.weights[0] = [row, np.zeros_like(row)]
    [embedded] = network.hidden_activations([[1.0, 7.0, -4.0]])
    # cos 2π(0.5 + 0.25) = 0 and cos 4π = 1.
    expected = [1.0, 10 + 0.125, 0 - 1.0, 7.0, 0.0, 0.0, -4.0]
    np.testing.assert_allclose(embedded[0], expected, atol=1e-14)


def test_a_category_becomes_a_row():
    network = Network([3, CategoryEmbedding(2, 3, 2), 1])
    network.weights[0] = [[1, 2], [3, 4], [5, 6]]
    X = [[9, 0, 2], [8, 2, 2], [7, -1, 3], [6, np.nan, 1.9]]
    [embedded] = network.hidden_activations(X)
    np.testing.assert_array_equal(
        embedded,
        [[9, 1, 2, 5, 6], [8, 5, 6, 5, 6], [7, 0, 0, 0, 0], [6, 0, 0, 3, 4]],
    )


def test_each_kind_has_a_rate_of_its_own():
    """A step of gradient descent moves a tensor by −η · its factor · its gradient."""
    factors = [0.5, 0.1, 6.0, 1.0, 2.0]
    network = Network(NETWORKS["all kinds"], rate_factors=factors, random_state=1)
    X = np.random.RandomState(0).normal(size=(30, 6))
    X[:, 4:] = np.arange(60).reshape(30, 2) % N_ROWS
    Y = np.random.RandomState(1).normal(size=(30, 4))
    gradient, before = network.copy(), network.copy()
    _, gradient.params = network.loss_and_grad(X, Y)
    steps = Optimizer("sgd", len(network.params), "float64", learning_rate=0.01)
    _kernels.train(
        *(network.params, network.stats, np.empty(len(network.params)), steps.slots),
        *(
            steps.rule,
            arena_of(network, 30),
            *network.as_data(X, Y, None),
            np.arange(30),
        ),
        *(network.plan, network.objective, network.numbers, 30, 30),
    )
    for number, factor in enumerate(factors):
        moved = before.weights[number] - network.weights[number]
        expected = 0.01 * factor * gradient.weights[number]
        np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-14)
        assert np.abs(moved).max() > 0


def arena_of(network, capacity):
    n_more = count_training_entries(network.plan, capacity, gathers=True)
    return build_arena(count_entries(network.plan), capacity, network.dtype, n_more)


def test_rates_are_one_for_each_layer_with_weights():
    architecture = [5, Scale(), 4, 2]
    with pytest.raises(ValueError, match="one entry for each of 3 layers"):
        Network(architecture, rate_factors=[1.0, 2.0])
    with pytest.raises(ValueError, match="one entry for each of 1 hidden layers"):
        Network(architecture, activation=["relu", "relu"])


def test_initial_weights():
    network = Network(
        [400, CategoryEmbedding(1, 5000), PeriodicEmbedding(399), Scale(), 1],
        random_state=0,
    )
    table, periodic, scale, _ = network.weights
    assert table.shape == (5000, 8)
    assert abs(table.mean()) < 0.02
    assert table.std() == pytest.approx(1, rel=0.02)
    w, b, rest = np.split(periodic, [16, 32], axis=1)
    assert w.std() == pytest.approx(0.1, rel=0.05)
    assert np.abs(b).max() == pytest.approx(0.5, rel=0.01)
    assert rest.shape == (399, 3 * 17)
    assert np.abs(rest).max() == pytest.approx(0.25, rel=0.01)
    np.testing.assert_array_equal(scale, np.ones(399 * 4 + 8))


@pytest.mark.parametrize("name", ["some numbers", "all kinds"])
def test_copies_files_and_pickles(name, tmp_path):
    network = Network(NETWORKS[name], batch_norm=True, random_state=0)
    X = np.random.RandomState(0).normal(size=(8, network.layer_sizes[0]))
    network.save(tmp_path / "network")
    for again in (
        load(tmp_path / "network"),
        pickle.loads(pickle.dumps(network)),
        network.copy(),
    ):
        assert again.architecture == network.architecture
        np.testing.assert_array_equal(again.predict(X), network.predict(X))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([5, PeriodicEmbedding(6), 2], "n_numbers .* is given 5 columns only"),
        ([5, PeriodicEmbedding(0), 2], "n_numbers .* positive integer"),
        ([5, PeriodicEmbedding(2, 65), 2], "64 at most"),
        ([5, PeriodicEmbedding(2, 16, 1), 2], "dimensions .* must be 2 or more"),
        ([5, CategoryEmbedding(6, 3), 2], "n_indices .* is given 5 columns only"),
        ([5, CategoryEmbedding(1, 0), 2], "n_rows .* positive integer"),
        ([5, CategoryEmbedding(1, 3, 1), 2], "dimensions .* must be 2 or more"),
        ([5, CategoryEmbedding(1, 2**30, 8), 2], "more than .* numbers"),
        ([5, Conv(3, 3), 2], "layer_sizes must be"),
        ([5, 3, Scale()], "layer_sizes must be"),
        ([Scale(), 3], "layer_sizes must be"),
        ([(5, 5, 1), Scale(), 3], "layer 0, Scale.*, needs columns"),
    ],
    ids=str,
)
def test_layers_that_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        Network(layers)


def test_calls_that_are_refused():
    case = make_case(NETWORKS["scale"])
    with pytest.raises(ValueError, match="no products with the Hessian"):
        multiply_hessian(_kernels, case, 5)
    with pytest.raises(ValueError, match="dense layers only"):
        case.network.input_hessians(case.data[0])
    with pytest.raises(ValueError, match="only a dense layer takes"):
        case.network.predict(scipy.sparse.csr_array(case.data[0]))


SIZES = ("kernel_height", "kernel_width", "channels", "out_channels", "n_tensors")


@pytest.mark.parametrize("value", [-1, 0, 2, 99, 2**31, 2**62])
@pytest.mark.parametrize("name", ["scale", "some numbers", "categories"])
def test_plans_that_are_refused(name, value):
    network = Network(NETWORKS[name])
    for field in SIZES:
        layers, tensors = network.layers.copy(), network.plan.tensors
        if layers[field][0] == value:
            continue
        layers[field][0] = value
        with pytest.raises(ValueError, match="layer 0"):
            _kernels.Plan(layers, tensors, GROUPS)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("activation", 3, "does nothing else"),
        ("dropout", 0.5, "does nothing else"),
        ("kind", _kernels.KINDS["dense"], "impossible border|reach over|one pixel"),
        ("kind", _kernels.KINDS["category_embedding"], "rows of W"),
        ("kind", _kernels.KINDS["periodic_embedding"], "functions of the first"),
        ("kind", 99, "no such kind"),
        ("tensors", 7, "no such tensors"),
        ("tensors", 1, "another shape"),
    ],
)
def test_faulty_records_are_refused(field, value, message):
    network = Network(NETWORKS["scale"])
    layers = network.layers.copy()
    layers[field][0] = value
    with pytest.raises(ValueError, match=message):
        _kernels.Plan(layers, network.plan.tensors, GROUPS)
