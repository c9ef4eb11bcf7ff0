"""Convolution and pooling: kernels against their twins, and these against equations,
finite differences and SciPy.
"""

import itertools

import numpy as np
import pytest
import scipy.signal
from comparison import TOLERANCES, assert_close

from fastmlp import Network, _kernels, _reference
from fastmlp._kernels import HIDDEN_ACTIVATIONS, KINDS
from fastmlp.layers import AveragePool, Conv, GlobalAveragePool, MaxPool
from fastmlp.optimizers import Optimizer
from fastmlp.threads import thread_team
from fastmlp.workspace import (
    GROUPS,
    build_arena,
    build_tensors,
    count_entries,
    count_training_entries,
)

DTYPES = ["float32", "float64"]
SHAPES = [(5, 7, 2), (4, 4, 3), (6, 5, 1), (1, 6, 2), (9, 2)]
# Sizes, and odd ones: even and oblong kernels, gaps between windows, overlapping ones.
SIDES = [1, 2, 3, (2, 3), (3, 1)]
STRIDES = [1, 2, (1, 2), 4]
# Filters and channels of every vector's length and tail, and more than pooling has at
# a time.
NETWORKS = {
    "one layer": [(5, 6, 2), Conv(3, 3), 4],
    "two layers": [(8, 8, 1), Conv(16, 3), MaxPool(2), Conv(5, 3), MaxPool(2), 7, 3],
    "strides": [
        *((9, 7, 3), Conv(4, (3, 2), stride=2), AveragePool(2, 1), Conv(9, 1)),
        *(GlobalAveragePool(), 3),
    ],
    "valid": [
        *((9, 7, 3), Conv(4, (3, 2), stride=(2, 1), padding="valid")),
        *(MaxPool(2, 1), Conv(17, 4), 3),
    ],
    "signal": [(20, 3), Conv(8, 5), MaxPool(2), Conv(33, 3, stride=3), 5, 3],
    "pooled first": [(6, 6, 2), MaxPool(2), AveragePool((1, 2)), Conv(1, 2), 3],
    "pooled last": [(6, 6, 2), Conv(70, 2), MaxPool(3, 2), AveragePool(2), 2],
    "kernel of a pixel": [(3, 3, 5), Conv(2, 1), Conv(2, 1, 2), 3],
    "kernel of the image": [(4, 3, 2), Conv(130, (4, 3), padding="valid"), 2],
    "kernel beyond the image": [(2, 3, 2), Conv(3, 5), Conv(2, 7), 2],
    "no image left": [(1, 1, 3), Conv(2, 3), 4, 2],
    "no convolution": [(6, 5, 2), MaxPool(2), 4, 3],
}
EVERYTHING = {"batch_norm": True, "dropout": 0.3}
ROWS = 21


class Case:
    """A network of images with data."""

    def __init__(self, architecture, dtype="float64", activation="tanh", **settings):
        n_rows = settings.pop("rows", ROWS)
        self.network = Network(
            architecture,
            activation=activation,
            loss="log_loss",
            alpha=0.1,
            l1_ratio=0.3,
            dtype=dtype,
            random_state=1,
            **settings,
        )
        random = np.random.RandomState(0)
        self.network.stats += np.abs(random.normal(size=len(self.network.stats)))
        n_in, *_, n_out = self.network.layer_sizes
        X, y = random.normal(size=(n_rows, n_in)), random.randint(n_out, size=n_rows)
        self.data = self.network.as_data(X.astype(dtype), y, random.rand(n_rows))
        self.V = random.normal(size=(n_rows, n_out)).astype(dtype)
        self.direction = random.normal(size=len(self.params)).astype(dtype)

    @property
    def params(self):
        return self.network.params

    def arena(self, capacity, plan=None):
        """Poisoned with NaN."""
        plan = plan or self.network.plan
        n_more = count_training_entries(plan, capacity, gathers=True)
        arena = build_arena(count_entries(plan), capacity, self.params.dtype, n_more)
        arena[:] = np.nan
        return arena

    def empty(self, *shape):
        return np.full(shape, np.nan, self.params.dtype)

    @property
    def model(self):
        return self.params, self.network.stats, self.network.plan

    @property
    def terms(self):
        return self.network.objective, self.network.numbers


def predict(module, case, capacity):
    out = case.empty(*case.V.shape)
    module.predict(out, case.arena(capacity), case.data[0], *case.model, capacity)
    return {"outputs": out}


def evaluate(module, case, capacity, team=None):
    grads, out = case.empty(len(case.params)), case.empty(*case.V.shape)
    rest = *case.data, *case.model, *case.terms, capacity, team
    loss = module.compute_loss(case.arena(capacity), out, *rest)
    again = module.compute_loss_and_gradient(grads, case.arena(capacity), *rest)
    return {"loss": loss, "loss again": again, "outputs": out, "gradient": grads}


def input_gradient(module, case, capacity):
    out = case.empty(*case.data[0].shape)
    arena, X = case.arena(capacity), case.data[0]
    module.input_gradient(out, arena, X, case.V, *case.model, capacity)
    return {"gradient by inputs": out}


def jacobian(module, case, capacity):
    X = case.data[0][:3]
    out = case.empty(len(X), case.V.shape[1], len(case.params))
    module.jacobian(out, case.arena(capacity), X, *case.model, capacity)
    return {"jacobian": out}


def multiply_hessian(module, case, capacity, team=None):
    plan, out = case.network._build_plan(spread=True), case.empty(len(case.params))
    arenas = case.arena(capacity, plan), case.arena(capacity, plan)
    data = *case.data, case.params, case.direction, plan
    module.multiply_hessian(out, *arenas, *data, *case.terms, capacity, team)
    return {"hessian times direction": out}


def train(module, case, capacity, team=None, batch_size=11, optimizer="adam"):
    network, steps = case.network.copy(), build_optimizer(case, optimizer)
    grads, order = case.empty(len(case.params)), np.random.RandomState(4).permutation
    total = module.train(
        *(network.params, network.stats, grads, steps.slots, steps.rule),
        *(case.arena(capacity), *case.data, order(len(case.V)), network.plan),
        *(*case.terms, batch_size, capacity, team),
    )
    moved = network.params, network.stats, steps.slots
    return dict(zip(("params", "stats", "slots"), moved, strict=True)) | {
        "gradient": grads,
        "total": total,
    }


def build_optimizer(case, name="adam"):
    n, dtype = len(case.params), case.params.dtype
    return Optimizer(name, n, dtype, seed=5, clip_norm=0.5, weight_decay=0.01)


ENTRIES = [predict, evaluate, input_gradient, jacobian, multiply_hessian, train]
OF_MOMENTS = [predict, evaluate, input_gradient, train]


def assert_same(architecture, dtype, capacity, entries=ENTRIES, **settings):
    """Those calls, native and reference."""
    case = Case(architecture, dtype, **settings)
    if settings.get("batch_norm"):
        entries = [entry for entry in entries if entry in OF_MOMENTS]
    for entry in entries:
        if entry is train and settings.get("batch_norm"):
            capacity = max(capacity, 11)
        mine, twins = (entry(m, case, capacity) for m in (_kernels, _reference))
        compare(mine, twins, f"{entry.__name__} of {architecture}, {dtype}, {capacity}")


def compare(mine, twins, what):
    for name, expected in twins.items():
        if isinstance(expected, float):
            dtype = np.dtype("float32" if "float32" in what else "float64")
            approximately = pytest.approx(expected, rel=TOLERANCES[dtype])
            assert mine[name] == approximately, (what, name)
        else:
            assert_close(mine[name], expected, f"{what}: {name}")


# --- Kernels against their twins


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{"dropout": 0.4}, EVERYTHING])
@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_every_call(architecture, settings, dtype):
    """In several blocks, of which the last is short."""
    assert_same(architecture, dtype, 10, **settings)


@pytest.mark.parametrize("capacity", [1, 2, 7, 8, 9, 16, 17, 40])
def test_every_capacity(capacity):
    """Parts of a block's rows: fewer rows than parts, as many, more, and a tail."""
    entries = [evaluate, multiply_hessian, train]
    assert_same(NETWORKS["one layer"], "float64", capacity, entries)


@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_every_activation(activation):
    architecture = [(5, 6, 2), Conv(3, 3), AveragePool(2), Conv(2, 2), 3]
    assert_same(architecture, "float64", 5, activation=activation, rows=7)
    given = {"activation": activation, "rows": 7, **EVERYTHING}
    assert_same(architecture, "float32", 7, [evaluate, train], **given)


def fitting(kind, shape, *sizes):
    """The layer, if it fits images of that shape; else None."""
    sizes = [s if len(shape) == 3 else np.ravel(s)[0] for s in sizes]
    try:
        layer = kind(*sizes)
        layer.on(shape)
    except ValueError:
        return None
    return layer


def assert_same_geometries(below, kind):
    """Of every shape, size and stride that fit, behind another layer for δ's way back;
    by turns in either type.
    """
    n_tried = 0
    for shape, size, stride in itertools.product(SHAPES, SIDES, STRIDES):
        layer = fitting(kind, shape, size, stride)
        if layer is not None:
            architecture, dtype = [shape, below, layer, 2], DTYPES[n_tried % 2]
            assert_same(architecture, dtype, 3, [evaluate, input_gradient], rows=5)
            n_tried += 1
    assert n_tried > 60


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_every_geometry_of_a_convolution(padding):
    assert_same_geometries(Conv(2, 2), lambda k, s: Conv(3, k, s, padding))


@pytest.mark.parametrize("kind", [MaxPool, AveragePool])
def test_every_geometry_of_pooling(kind):
    assert_same_geometries(Conv(3, 1), kind)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_of_filters_and_channels(dtype):
    """All lengths and tails of vectors, one column included."""
    for channels, filters in itertools.product((1, 2, 5), (*range(1, 20), 31, 33, 65)):
        architecture = [(3, 4, channels), Conv(filters, 2), MaxPool(2), 2]
        case = Case(architecture, dtype, rows=3)
        for entry in (evaluate, input_gradient):
            mine, twins = (entry(m, case, 3) for m in (_kernels, _reference))
            compare(mine, twins, f"{dtype}, {channels}, {filters}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
@pytest.mark.parametrize("name", ["two layers", "strides", "signal", "pooled first"])
def test_two_halves_are_a_step(name, settings, dtype):
    """A batch's gradient, then the step along it, leave the bits that train leaves."""
    case = Case(NETWORKS[name], dtype, **settings)
    rows = np.random.RandomState(4).permutation(ROWS)
    capacity = ROWS if settings else 8
    whole = train(_kernels, case, capacity, batch_size=ROWS)
    network, steps = case.network.copy(), build_optimizer(case)
    grads, moments = case.empty(len(case.params)), np.empty_like(network.stats)
    weight = 0.0
    for w in case.data[2][rows].tolist():
        weight += w
    value = _kernels.compute_batch_gradient(
        *(grads, moments, case.arena(capacity), *case.data, network.params),
        *(steps.rule, rows, network.plan, *case.terms, weight, 0, ROWS, capacity),
    )
    value += _kernels.apply(
        *(network.params, network.stats, grads, steps.slots, steps.rule),
        *(case.arena(capacity), moments, 0.1, network.plan, case.terms[0]),
        *(weight, capacity),
    )
    assert ROWS * value == pytest.approx(whole["total"], rel=1e-14)
    mine = {"params": network.params, "stats": network.stats, "gradient": grads}
    for name, array in mine.items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
@pytest.mark.parametrize("name", ["two layers", "strides", "signal", "no convolution"])
def test_threads_leave_the_bits_alone(name, settings, dtype):
    """1 to 4 threads, and more than have rows of their own."""
    for rows, capacity in [(ROWS, 11), (3, 8)]:
        capacity = rows if settings else capacity
        case = Case(NETWORKS[name], dtype, rows=rows, **settings)
        entries = [evaluate, train] + ([] if settings else [multiply_hessian])
        for entry in entries:
            more = {"batch_size": capacity} if entry is train else {}
            expected = entry(_kernels, case, capacity, **more)
            for n_threads in (2, 3, 4):
                with thread_team(n_threads) as team:
                    found = entry(_kernels, case, capacity, team=team, **more)
                for part, value in expected.items():
                    np.testing.assert_array_equal(found[part], value, err_msg=part)


@pytest.mark.parametrize("name", ["two layers", "signal"])
def test_a_network_is_the_same_in_blocks_and_threads(name):
    """Predictions of rows by themselves have the bits of all at once."""
    case = Case(NETWORKS[name], "float32", rows=300)
    network, X = case.network, case.data[0]
    outputs = network.predict(X)
    for begin in range(0, 300, 77):
        rows = slice(begin, begin + 77)
        np.testing.assert_array_equal(network.predict(X[rows]), outputs[rows])


def test_many_rows_are_pooled_in_blocks():
    network = Network([(2, 2, 1), MaxPool(2), 2], random_state=0)
    X = np.random.RandomState(0).normal(size=(5000, 4))
    [pooled] = network.hidden_activations(X)
    np.testing.assert_array_equal(pooled.ravel(), X.max(axis=1))


# --- The twins, by equations, finite differences and SciPy


@pytest.mark.parametrize("settings", [{}, {"batch_norm": True}])
@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_gradients_are_slopes(architecture, settings):
    case = Case(architecture, rows=4, **settings)
    params, random = case.params.copy(), np.random.RandomState(3)
    gradient = evaluate(_reference, case, 4)["gradient"]
    step, entries = 1e-6, random.choice(len(params), min(len(params), 12), False)
    for entry in entries:
        losses = []
        for sign in (1, -1):
            case.params[:] = params
            case.params[entry] += sign * step
            losses.append(evaluate(_reference, case, 4)["loss"])
        slope = (losses[0] - losses[1]) / (2 * step)
        assert gradient[entry] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", ["two layers", "strides", "valid", "signal"])
def test_products_with_the_hessian_are_slopes_of_the_gradient(name):
    case = Case(NETWORKS[name], rows=4)
    params, step = case.params.copy(), 1e-6
    product = multiply_hessian(_reference, case, 4)["hessian times direction"]
    gradients = []
    for sign in (1, -1):
        case.params[:] = params + sign * step * case.direction
        gradients.append(evaluate(_reference, case, 4)["gradient"])
    slope = (gradients[0] - gradients[1]) / (2 * step)
    np.testing.assert_allclose(product, slope, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("name", ["two layers", "strides", "pooled last", "signal"])
def test_gradients_by_inputs_are_slopes(name):
    case = Case(NETWORKS[name], rows=2)
    X, step = case.data[0], 1e-6
    found = input_gradient(_reference, case, 2)["gradient by inputs"]
    for entry in np.random.RandomState(2).choice(X.shape[1], 10, False):
        sums = []
        for sign in (1, -1):
            moved = X.copy()
            moved[:, entry] += sign * step
            sums.append((case.network.predict(moved) * case.V).sum(axis=1))
        slope = (sums[0] - sums[1]) / (2 * step)
        np.testing.assert_allclose(found[:, entry], slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 2), (3, 3), (4, 5)])
def test_scipys_correlation(kernel, padding):
    """z = K ⋆ x, ∂J/∂K = x ⋆ δ, ∂J/∂x = δ convolved with K: with zeros around."""
    channels, filters, (height, width) = 2, 3, (7, 6)
    network = Network(
        [(height, width, channels), Conv(filters, kernel, padding=padding), 1],
        activation="identity",
        random_state=0,
    )
    x = np.random.RandomState(1).normal(size=(height, width, channels))
    before, behind = [((n - 1) // 2, n // 2) for n in kernel], [(0, 0), (0, 0)]
    around = before if padding == "same" else behind
    padded = np.pad(x, [*around, (0, 0)])
    K, b = network.weights[0], network.biases[0]
    z = np.stack(
        [
            sum(
                scipy.signal.correlate(padded[:, :, c], K[:, :, c, f], "valid")
                for c in range(channels)
            )
            + b[f]
            for f in range(filters)
        ],
        axis=2,
    )
    [found] = network.hidden_activations(x.reshape(1, -1))
    np.testing.assert_allclose(found[0], z, rtol=1e-13, atol=1e-14)
    # Of J = ½(a − y)² with a − y = 1, δ is what the last layer's weights are.
    y = network.predict(x.reshape(1, -1)) - 1
    delta = network.weights[1].reshape(z.shape)
    _, gradient = network.loss_and_grad(x.reshape(1, -1), y)
    other = network.copy()
    other.params = gradient
    for c, f in itertools.product(range(channels), range(filters)):
        expected = scipy.signal.correlate(padded[:, :, c], delta[:, :, f], "valid")
        np.testing.assert_allclose(other.weights[0][:, :, c, f], expected, atol=1e-12)
    np.testing.assert_allclose(other.biases[0], delta.sum(axis=(0, 1)), atol=1e-12)
    whole = np.stack(
        [
            sum(
                scipy.signal.convolve(delta[:, :, f], K[:, :, c, f], "full")
                for f in range(filters)
            )
            for c in range(channels)
        ],
        axis=2,
    )
    (top, _), (left, _) = around
    expected = whole[top : top + height, left : left + width]
    found = network.input_gradients(x.reshape(1, -1))[0, 0]
    np.testing.assert_allclose(found.reshape(x.shape), expected, atol=1e-12)


KERNEL = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
# δ at the four positions of that kernel in an image of 4 × 4.
DELTA = np.array([[1, 0], [0, 2]])
# K where its first position is, twice K where the last is.
SPREAD = np.array([[1, 2, 3, 0], [4, 7, 10, 6], [7, 16, 19, 12], [0, 14, 16, 18]])


def test_deltas_by_hand():
    """δˡ = (δˡ⁺¹ ⋆ rot180(Kˡ⁺¹)) ⊙ σ′(zˡ), on 4 × 4."""
    wide = np.pad(DELTA, 2)
    turned = np.rot90(KERNEL, 2)
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3))
    np.testing.assert_array_equal((windows * turned).sum(axis=(2, 3)), SPREAD)
    network = Network(
        [(4, 4, 1), Conv(1, 1), Conv(1, 3, padding="valid"), 1],
        activation=["tanh", "identity"],
    )
    network.weights[0], network.biases[0] = [[[[0.1]]]], [0.5]
    network.weights[1], network.biases[1] = KERNEL.reshape(3, 3, 1, 1), [0.0]
    network.weights[2], network.biases[2] = DELTA.reshape(4, 1), [0.0]
    x = np.arange(16.0).reshape(1, 16)
    expected = SPREAD * (1 - np.tanh(0.1 * x.reshape(4, 4) + 0.5) ** 2)
    found = network.input_gradients(x)[0, 0].reshape(4, 4)
    np.testing.assert_allclose(found, 0.1 * expected, rtol=1e-13)
    # ∂J/∂b of the first layer is Σ δ, and of its one weight Σ x ⊙ δ.
    _, gradient = network.loss_and_grad(x, network.predict(x) - 1)
    network.params = gradient
    assert network.biases[0][0] == pytest.approx(expected.sum(), rel=1e-12)
    total = (x.reshape(4, 4) * expected).sum()
    assert network.weights[0].item() == pytest.approx(total, rel=1e-12)


def test_products_with_the_hessian_take_the_first_of_equal_maxima():
    architecture = [(5, 5, 1), Conv(2, 2, padding="valid"), MaxPool(2), 3]
    case = Case(architecture, rows=3)
    case.data[0][...] = np.arange(1.0, 4)[:, None]
    mine, twins = (multiply_hessian(m, case, 3) for m in (_kernels, _reference))
    compare(mine, twins, "float64")


def pooling(layer, image, weights):
    """Pooled values of an image, and where δ, the weights, goes."""
    n_outputs = len(np.ravel(weights))
    network = Network([(*image.shape, 1), layer, 1], random_state=0)
    network.weights[0] = np.reshape(weights, (n_outputs, 1))
    rows = np.asarray(image, float).reshape(1, -1)
    [pooled] = network.hidden_activations(rows)
    back = network.input_gradients(rows)[0, 0].reshape(image.shape)
    return pooled[0, :, :, 0], back


def test_the_first_of_equal_maxima_gets_the_delta():
    image = np.array([[1, 3, 0, -1], [3, 3, -1, 0], [7, 7, -2, -3], [7, 7, -3, -2]])
    pooled, back = pooling(MaxPool(2), image, [[10, 20], [30, 40]])
    np.testing.assert_array_equal(pooled, [[3, 0], [7, -2]])
    expected = [[0, 10, 20, 0], [0, 0, 0, 0], [30, 0, 40, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(back, expected)


def test_overlapping_windows_add_up():
    image = np.array([[0, 1, 0], [2, 9, 1], [0, 1, 3]])
    pooled, back = pooling(MaxPool(2, 1), image, [[1, 10], [100, 1000]])
    np.testing.assert_array_equal(pooled, [[9, 9], [9, 9]])
    np.testing.assert_array_equal(back, [[0, 0, 0], [0, 1111, 0], [0, 0, 0]])
    pooled, back = pooling(AveragePool(2, 1), image, [[4, 40], [400, 4000]])
    np.testing.assert_array_equal(pooled, [[3, 2.75], [3, 3.5]])
    expected = [[1, 11, 10], [101, 1111, 1010], [100, 1100, 1000]]
    np.testing.assert_array_equal(back, expected)


def test_pixels_that_no_window_sees():
    image = np.arange(15).reshape(3, 5)
    pooled, back = pooling(MaxPool(2), image, [[1, 2]])
    np.testing.assert_array_equal(pooled, [[6, 8]])
    np.testing.assert_array_equal(back[:, 4], 0)
    np.testing.assert_array_equal(back[2], 0)
    pooled, _ = pooling(AveragePool((1, 1), (2, 3)), image, np.ones((2, 2)))
    np.testing.assert_array_equal(pooled, image[::2, ::3])


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize("layer", [MaxPool(2), AveragePool(2)])
@pytest.mark.parametrize("place", range(4))
def test_pooling_keeps_nan(place, layer, module):
    """Divergence must not be hidden by a comparison that NaN loses."""
    case = Case([(2, 4, 3), layer, 2], rows=1)
    case.data[0].reshape(2, 4, 3)[np.unravel_index(place, (2, 2))][1] = np.nan
    assert np.isnan(predict(module, case, 1)["outputs"]).all()
    assert np.isnan(evaluate(module, case, 1)["loss"])


def test_a_convolution_keeps_nan_where_the_kernel_sees_it():
    network = Network([(5, 5, 1), Conv(2, 3), 1], activation="identity")
    x = np.zeros((1, 5, 5))
    x[0, 0, 4] = np.nan
    [z] = network.hidden_activations(x.reshape(1, -1))
    expected = np.zeros((5, 5), bool)
    expected[:2, 3:] = True
    for f in range(2):
        np.testing.assert_array_equal(np.isnan(z[0, :, :, f]), expected)


# --- Plans


PLANNED = [(6, 5, 2), Conv(3, (3, 2), (2, 1)), MaxPool((2, 3)), 4, 2]
N_IN, N_OUT = 6 * 5 * 2, 3 * 5 * 3


def tables(architecture=PLANNED, **settings):
    layers = Case(architecture, **settings).network.layers.copy()
    return layers, build_tensors(layers)


@pytest.mark.parametrize(
    ("layer", "field", "value", "message"),
    [
        *(
            (layer, "kind", value, "no such kind")
            for layer in (0, 1)
            for value in (-1, len(KINDS))
        ),
        (0, "kind", KINDS["dense"], "impossible border"),
        (0, "kind", KINDS["max_pool"], "reach over the border|impossible border"),
        (1, "kind", KINDS["conv"], "has W and b"),
        (2, "kind", KINDS["average_pool"], "pools each channel"),
        (0, "n_in", N_IN - 1, "inputs are not such images"),
        (0, "n_out", N_OUT + 1, "outputs are not such images"),
        (1, "n_in", N_OUT + 1, "inputs do not match what it is given"),
        *(
            (0, field, value, f"{side}puts are not such images")
            for side, prefix in (("in", ""), ("out", "out_"))
            for field in (f"{prefix}height", f"{prefix}width", f"{prefix}channels")
            for value in (-1, 0, 1, 7, 2**31, 2**62)
        ),
        *(
            (layer, field, value, "kernel and stride must be positive")
            for layer in (0, 1)
            for field in ("kernel", "stride")
            for field in (f"{field}_height", f"{field}_width")
            for value in (-1, 0, 2**31, 2**62)
        ),
        *(
            (layer, field, value, "impossible border")
            for layer, values in ((0, (-1, 3, 2**40)), (1, (-1, 1, 2**40)))
            for field in ("pad_top", "pad_left")
            for value in values
        ),
        (0, "stride_height", 5, "reach over the border"),
        (0, "stride_width", 3, "reach over the border"),
        (0, "stride_height", 2**31 - 1, "reach over the border"),
        (1, "kernel_height", 4, "reach over the border"),
        (1, "kernel_width", 6, "reach over the border"),
        (0, "kernel_height", 2**31 - 1, "impossible size"),
        (0, "kernel_height", 4, "another shape"),
        (0, "kernel_width", 3, "another shape"),
        (0, "n_tensors", 0, "has W and b"),
        (0, "n_tensors", 3, "has W and b"),
        (0, "tensors", 2, "another shape"),
        (0, "tensors", 10**6, "no such tensors"),
        (1, "tensors", 1, "has no tensors"),
        (1, "n_tensors", 2, "has no tensors"),
        (1, "activation", _kernels.ACTIVATIONS["relu"], "does nothing else"),
        (1, "normalized", 0, "does nothing else"),
        (2, "height", 2, "not such images"),
        (2, "kernel_height", 2, "border|one pixel"),
        (2, "channels", 1, "not such images"),
    ],
)
def test_plans_are_checked(layer, field, value, message):
    layers, tensors = tables()
    _kernels.Plan(layers, tensors, GROUPS)
    layers[field][layer] = value
    with pytest.raises(ValueError, match=message):
        _kernels.Plan(layers, tensors, GROUPS)


def test_units_are_channels_of_one_pixel():
    """Flat images of as many pixels would be read as channels."""
    layers, tensors = tables()
    layers["height"][2], layers["channels"][2] = layers["n_in"][2], 1
    with pytest.raises(ValueError, match="one pixel"):
        _kernels.Plan(layers, tensors, GROUPS)


def test_a_pooled_channel_stays_a_channel():
    layers, tensors = tables()
    layers["out_channels"][1], layers["out_width"][1] = 1, 3
    with pytest.raises(ValueError, match=r"border|pools each channel"):
        _kernels.Plan(layers, tensors, GROUPS)


def test_moments_of_channels_end_where_their_vector_ends():
    case = Case(PLANNED, batch_norm=True)
    stats = case.network.stats
    arena, out = case.arena(ROWS), case.empty(*case.V.shape)
    rest = arena, case.data[0], case.params
    plan = case.network.plan
    _kernels.predict(out, *rest, stats, plan, ROWS)
    with pytest.raises(ValueError, match="running moments outside"):
        _kernels.predict(out, *rest, stats[:-1].copy(), plan, ROWS)


def test_no_accepted_plan_writes_outside():
    """Geometries changed at random: refused, or every call keeps to its arena and gives
    what the twin gives.
    """
    random, n_accepted = np.random.RandomState(0), 0
    names = [n for n in _kernels.LAYER.names if n.split("_")[-1] in SIDE_NAMES]
    for _ in range(600):
        layers, tensors = tables()
        for _ in range(random.randint(1, 3)):
            layer, name = random.randint(2), names[random.randint(len(names))]
            layers[name][layer] += random.randint(-2, 3)
        try:
            plan = _kernels.Plan(layers, tensors, GROUPS)
        except ValueError:
            continue
        n_accepted += 1
        compare_guarded(plan)
    assert n_accepted > 50


SIDE_NAMES = ("height", "width", "channels", "top", "left")


def compare_guarded(plan, capacity=3):
    case = Case(PLANNED, rows=5)
    case.network.plan = plan
    n_more = count_training_entries(plan, capacity, gathers=True)
    n = count_entries(plan)[0] * capacity + count_entries(plan)[1] + n_more
    around = np.full(n + 2000, 12345.0)
    arena = around[1000:-1000]

    def guarded_arena(capacity, plan=None):
        arena[:] = np.nan
        return arena

    case.arena = guarded_arena
    for entry in (evaluate, input_gradient):
        mine, twins = (entry(m, case, capacity) for m in (_kernels, _reference))
        compare(mine, twins, f"{entry.__name__} of {plan.layers}")
    train(_kernels, case, capacity, batch_size=3)
    assert (around[:1000] == 12345).all()
    assert (around[-1000:] == 12345).all()


def test_the_arena_is_checked_to_its_end():
    """Scratch of the threads, inputs, and parts of gradients."""
    case = Case(PLANNED)
    full = case.arena
    train(_kernels, case, 8)
    case.arena = lambda *arguments: full(*arguments)[:-1]
    with pytest.raises(ValueError, match="arena is too small"):
        train(_kernels, case, 8)
    n_more = count_training_entries(case.network.plan, 8, gathers=True)
    case.arena = lambda *arguments: full(*arguments)[:-n_more]
    predict(_kernels, case, 8)
    for entry in (evaluate, multiply_hessian):
        with pytest.raises(ValueError, match="arena is too small"):
            entry(_kernels, case, 8)
    case.arena = lambda *arguments: full(*arguments)[: -n_more - 1]
    with pytest.raises(ValueError, match="arena is too small"):
        predict(_kernels, case, 8)


def test_sparse_rows_are_refused():
    for architecture in ([(4, 4, 1), Conv(2, 3), 2], [(4, 4, 1), MaxPool(2), 2]):
        case = Case(architecture)
        empty = np.zeros(0), np.zeros(0, np.intc), np.zeros(6, np.intp)
        out, arena = case.empty(5, 2), case.arena(5)
        with pytest.raises(ValueError, match="compressed sparse rows"):
            _kernels.predict(out, arena, empty, *case.model, 5)


def test_a_loss_is_of_units():
    network = Network([(4, 4, 1), Conv(2, 3), 2], activation="identity")
    layers = network.layers[:1].copy()
    plan = _kernels.Plan(layers, build_tensors(layers), GROUPS)
    X, Y, numbers = np.zeros((3, 16)), np.zeros((3, 32)), np.zeros(32)
    model = np.zeros(plan.n_params), np.zeros(0), plan
    rest = X, Y, None, *model, network.objective, numbers, 3
    with pytest.raises(ValueError, match="last layer must be dense"):
        _kernels.compute_loss(np.zeros(10**4), None, *rest)


def test_second_derivatives_by_inputs_are_of_units_only():
    network = Network([(4, 4, 1), Conv(2, 3), 2], random_state=0)
    with pytest.raises(ValueError, match="a network of dense layers only"):
        network.input_hessians(np.zeros((1, 16)))
