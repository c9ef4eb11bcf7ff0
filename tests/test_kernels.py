"""Native against reference: every room, then whole steps, every buffer compared.

The tables are walked, so that a new formula is tested without a new test.
"""

import inspect

import numpy as np
import pytest
from builders import (
    build_arena,
    build_layers,
    build_rule,
    build_slots,
    count_params,
    count_targets,
)
from comparison import TOLERANCES, assert_close

from fastmlp import _kernels, _reference
from fastmlp._kernels import ACTIVATIONS, HEADS, HIDDEN_ACTIVATIONS, LOSSES, OPTIMIZERS
from fastmlp.threads import gather_crew

DTYPES = ["float32", "float64"]
SHAPES = [(1, 1), (1, 7), (3, 1), (2, 17), (33, 5), (7, 64), (5, 129)]
ALL_HEADS = [(loss, output) for loss, outputs in HEADS.items() for output in outputs]
OPTIMIZER_NUMBERS = {
    "learning_rate": 0.01,
    "decay_1": 0.8,
    "decay_2": 0.9,
    "epsilon": 1e-3,
    "alpha": 0.3,
}


def draw(shape, dtype, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype(dtype)


def draw_targets(rows, n_out, loss, output, dtype, seed=1):
    random = np.random.RandomState(seed)
    if output == "softmax":
        return random.randint(0, n_out, (rows, 1)).astype(dtype)
    if loss == "log_loss":
        return random.randint(0, 2, (rows, n_out)).astype(dtype)
    if loss == "poisson":
        return random.poisson(2, (rows, n_out)).astype(dtype)
    return random.standard_normal((rows, n_out)).astype(dtype)


def both(function, buffers, *arguments):
    """Call native and reference on copies of the buffers that they write."""
    results = []
    for module in (_kernels, _reference):
        mine = [buffer.copy() for buffer in buffers]
        value = getattr(module, function)(*mine, *arguments)
        results.append([*mine, value])
    return results


def assert_same(function, buffers, *arguments):
    native, reference = both(function, buffers, *arguments)
    for position, (a, b) in enumerate(zip(native[:-1], reference[:-1], strict=True)):
        assert_close(a, b, f"{function}, buffer {position}")
    if reference[-1] is not None:
        tolerance = TOLERANCES[buffers[0].dtype] if buffers else 1e-5
        assert native[-1] == pytest.approx(reference[-1], rel=tolerance)


def test_same_names_and_signatures():
    for name in _kernels.FUNCTIONS:
        native = inspect.signature(getattr(_kernels, name))
        reference = inspect.signature(getattr(_reference, name))
        assert list(native.parameters) == list(reference.parameters), name


def test_every_formula_has_its_twin():
    assert set(_reference.ACTIVATION_FUNCTIONS) == set(ACTIVATIONS)
    assert set(_reference.OPTIMIZER_FUNCTIONS) == set(OPTIMIZERS)
    assert set(_reference.HEAD_FUNCTIONS) == set(ALL_HEADS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, shape, dtype):
    z, b = 3 * draw(shape, dtype), draw(shape[1], dtype, 1)
    code = ACTIVATIONS[activation]
    assert_same("activate", [z], code)
    assert_same("add_bias_and_activate", [z], b, code)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", [*HIDDEN_ACTIVATIONS, "exp"])
def test_slopes(activation, shape, dtype):
    code = ACTIVATIONS[activation]
    a = draw(shape, dtype)
    _reference.activate(a, code)
    assert_same("multiply_slope", [draw(shape, dtype, 1)], a, code)


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_softmax_has_no_slope(module):
    a = draw((2, 3), "float64")
    with pytest.raises(ValueError, match="slope"):
        module.multiply_slope(a.copy(), a, ACTIVATIONS["softmax"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", ALL_HEADS)
def test_heads(head, shape, dtype):
    loss, output = head
    y = draw_targets(*shape, loss, output, dtype)
    z, empty = 3 * draw(shape, dtype, 2), np.full(shape, np.nan, dtype)
    scales = np.abs(draw(shape[0], dtype, 3))
    assert_same(
        "evaluate_head", [empty, empty], z, y, scales, LOSSES[loss], ACTIVATIONS[output]
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", [h for h in ALL_HEADS if h[0] == "log_loss"])
def test_log_loss_of_saturated_outputs(head, dtype):
    """Nothing overflows and no logarithm of zero is taken, however large z is."""
    loss, output = head
    n_out = 4 if output == "softmax" else 1
    z = np.linspace(-800, 800, 9 * n_out).reshape(9, n_out).astype(dtype)
    y = draw_targets(9, n_out, loss, output, dtype)
    empty, scales = np.zeros_like(z), np.ones(9, dtype)
    native, reference = both(
        "evaluate_head", [empty, empty], z, y, scales, LOSSES[loss], ACTIVATIONS[output]
    )
    assert np.isfinite(native[0]).all()
    assert np.isfinite(native[1]).all()
    assert_close(native[1], reference[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 3, 8, 20])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 33, 85, 1030])
@pytest.mark.parametrize("k", [1, 5, 40, 300])
def test_products(k, n, m, dtype):
    """Every vector length, tails of rows and columns, packed panels, several depths."""
    empty = np.full((m, n), np.nan, dtype)
    a, at, b, bt = (
        draw(shape, dtype, seed)
        for seed, shape in enumerate([(m, k), (k, m), (k, n), (n, k)])
    )
    assert_same("multiply_nn", [empty], a, b)
    assert_same("multiply_nt", [empty], a, bt)
    assert_same("multiply_tn", [empty], at, b, False)
    assert_same("multiply_tn", [draw((m, n), dtype, 5)], at, b, True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums(shape, dtype):
    a = draw(shape, dtype)
    assert_same("sum_columns", [np.full(shape[1], np.nan, dtype)], a, False)
    assert_same("sum_columns", [draw(shape[1], dtype, 1)], a, True)
    native, reference = both("sum_squares", [], a.ravel())
    assert native[-1] == pytest.approx(reference[-1], rel=TOLERANCES[a.dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 31, 2500])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_updates(optimizer, n, dtype):
    rule = build_rule(optimizer, **OPTIMIZER_NUMBERS)
    sides = [
        [draw(n, dtype), build_slots(optimizer, n, dtype), module]
        for module in (_kernels, _reference)
    ]
    for t in (1, 2, 3):
        rule["t"] = t
        for params, slots, module in sides:
            module.update(params, draw(n, dtype, t), slots, rule, 0.1)
        assert_close(sides[0][0], sides[1][0], "params")
        assert_close(sides[0][1], sides[1][1], "slots")


class Case:
    """A network with data, and the buffers of one side."""

    def __init__(self, sizes, hidden, head, optimizer, dtype, rows=13, weighted=True):
        loss, output = head
        self.layers = build_layers(sizes, hidden, output)
        self.loss = LOSSES[loss]
        self.n_targets = count_targets(sizes[-1], output)
        self.X = draw((rows, sizes[0]), dtype)
        self.Y = draw_targets(rows, sizes[-1], loss, output, dtype)
        self.weights = np.abs(draw(rows, dtype, 5)) if weighted else None
        n_params = count_params(self.layers)
        self.params = 0.2 * draw(n_params, dtype, 6)
        self.grads = np.full(n_params, np.nan, dtype)
        self.slots = build_slots(optimizer, n_params, dtype)
        self.rule = build_rule(optimizer, **OPTIMIZER_NUMBERS)

    def arena(self, capacity):
        arena = build_arena(self.layers, self.n_targets, capacity, self.X.dtype)
        arena[:] = 0
        return arena

    def train(self, module, order, batch_size, capacity, arena=None, crew=None):
        arena = self.arena(capacity) if arena is None else arena
        total = module.train(
            self.params,
            self.grads,
            self.slots,
            self.rule,
            arena,
            self.X,
            self.Y,
            self.weights,
            order,
            self.layers,
            self.loss,
            np.inf,
            batch_size,
            capacity,
            crew,
        )
        return total, arena


def arena_blocks(arena, case, capacity):
    """Every block of the arena by name."""
    layers = case.layers
    n_out = int(layers["n_out"][-1])
    columns = [("targets", case.n_targets), ("scales", 1), ("losses", n_out)]
    for number, layer in enumerate(layers):
        width = int(layer["n_out"])
        columns += [(f"outputs {number}", width), (f"deltas {number}", width)]
    blocks, begin = {}, 0
    for name, width in columns:
        blocks[name] = arena[begin : begin + width * capacity]
        begin += width * capacity
    blocks["inputs"] = arena[begin + _kernels.count_units(layers) :]
    return blocks


TOPOLOGIES = [[3, 2], [5, 17, 1], [7, 33, 4, 3]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("head", ALL_HEADS)
@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
def test_steps(hidden, head, optimizer, dtype):
    """Three steps, the last one short: params, grads, slots, rule and arena agree."""
    for sizes in TOPOLOGIES:
        native = Case(sizes, hidden, head, optimizer, dtype)
        reference = Case(sizes, hidden, head, optimizer, dtype)
        order = np.random.RandomState(7).permutation(13)[:12]
        total, arena = native.train(_kernels, order, 5, 5)
        expected, expected_arena = reference.train(_reference, order, 5, 5)
        assert total == pytest.approx(expected, rel=TOLERANCES[native.X.dtype])
        assert native.rule["t"] == reference.rule["t"] == 3
        for name in ("params", "grads", "slots"):
            assert_close(getattr(native, name), getattr(reference, name), name)
        mine = arena_blocks(arena, native, 5)
        for name, block in arena_blocks(expected_arena, reference, 5).items():
            assert_close(mine[name], block, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("capacity", [1, 4, 13, 50])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("head", ALL_HEADS)
def test_objective_and_gradient(head, weighted, capacity, dtype):
    for sizes in TOPOLOGIES:
        case = Case(sizes, "tanh", head, "sgd", dtype, weighted=weighted)
        data = (case.X, case.Y, case.weights, case.params, case.layers, case.loss, 0.3)
        arena = case.arena(capacity)
        assert_same("compute_loss_and_gradient", [case.grads, arena], *data, capacity)
        assert_same("compute_loss", [arena], *data, capacity)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [0, 1, 7, 13])
@pytest.mark.parametrize("head", ALL_HEADS)
def test_predict(head, rows, dtype):
    for sizes in TOPOLOGIES:
        case = Case(sizes, "relu", head, "sgd", dtype, rows=rows)
        out = np.full((rows, sizes[-1]), np.nan, dtype)
        assert_same(
            "predict", [out, case.arena(6)], case.X, case.params, case.layers, 6
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [1, 4, 40])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_arena_carries_nothing(optimizer, batch_size, dtype):
    """Poisoned with NaN before every step, training gives the same bits."""
    order = np.random.RandomState(8).permutation(13)
    at_once = Case([7, 33, 4, 3], "relu", ("log_loss", "softmax"), optimizer, dtype)
    at_once.train(_kernels, order, batch_size, 6)
    poisoned = Case([7, 33, 4, 3], "relu", ("log_loss", "softmax"), optimizer, dtype)
    arena = poisoned.arena(6)
    for begin in range(0, 13, batch_size):
        arena[:] = np.nan
        poisoned.grads[:] = np.nan
        poisoned.train(
            _kernels, order[begin : begin + batch_size], batch_size, 6, arena
        )
    for name in ("params", "grads", "slots", "rule"):
        np.testing.assert_array_equal(getattr(at_once, name), getattr(poisoned, name))


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 7, 13, 100])
@pytest.mark.parametrize("sizes", [[3, 2], [5, 17, 1], [40, 65, 33, 10]])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_threads_leave_the_bits_alone(optimizer, sizes, rows, dtype):
    """1, 2, 3 and 4 threads, on two processors or fewer: every buffer the same."""
    order = np.random.RandomState(9).permutation(rows)
    head = ("log_loss", "softmax" if sizes[-1] > 1 else "logistic")
    results = []
    for n_threads in (1, 2, 3, 4):
        case = Case(sizes, "tanh", head, optimizer, dtype, rows=rows)
        with gather_crew(n_threads) as crew:
            total, arena = case.train(_kernels, order, 30, 25, crew=crew)
        results.append([total, arena, case.params, case.grads, case.slots, case.rule])
    for other in results[1:]:
        for mine, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_weightless_batch_takes_no_step(module):
    case = Case([3, 2], "relu", ("squared_error", "identity"), "momentum", "float64")
    before = case.params.copy()
    case.weights[:5] = 0
    total, _ = case.train(module, np.arange(5), 5, 5)
    assert total == 0
    assert case.rule["t"] == 0
    np.testing.assert_array_equal(case.params, before)


def test_cap_keeps_nan():
    """A capped loss still shows divergence."""
    case = Case([3, 2], "relu", ("log_loss", "softmax"), "sgd", "float64")
    case.params[:] = np.nan
    arena = case.arena(5)
    total = _kernels.train(
        case.params,
        case.grads,
        case.slots,
        case.rule,
        arena,
        case.X,
        case.Y,
        None,
        np.arange(5),
        case.layers,
        case.loss,
        36.0,
        5,
        5,
    )
    assert np.isnan(total)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weights", 10**6, "outside params"),
        ("biases", -1, "outside params"),
        ("outputs", 10**6, "outside the arena"),
        ("deltas", -3, "outside the arena"),
        ("n_in", 4, "network takes 4"),
        ("n_out", 0, "size"),
        ("activation", 99, "activation"),
    ],
)
def test_no_call_writes_outside(field, value, message):
    case = Case([3, 2], "relu", ("squared_error", "identity"), "sgd", "float64")
    case.layers[field][0] = value
    arena = np.zeros(1000)
    with pytest.raises(ValueError, match=message):
        case.train(_kernels, np.arange(5), 5, 5, arena)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": np.array([0, 13])}, "order"),
        ({"order": np.array([-1])}, "order"),
        ({"Y": np.full((13, 1), 3.0)}, "class indices"),
        ({"Y": np.full((13, 1), np.nan)}, "class indices"),
        ({"Y": np.zeros((13, 3))}, "columns"),
        ({"weights": np.ones(12)}, "sample_weight"),
        ({"grads": np.zeros(3)}, "grads"),
        ({"slots": np.zeros((1, 8))}, "slots"),
        ({"arena": np.zeros(40)}, "arena"),
    ],
)
def test_buffers_are_checked(change, message):
    case = Case([3, 3], "relu", ("log_loss", "softmax"), "sgd", "float64")
    order, arena = np.arange(13), case.arena(5)
    for name, value in change.items():
        if name == "order":
            order = value
        elif name == "arena":
            arena = value
        else:
            setattr(case, name, value)
    with pytest.raises(ValueError, match=message):
        case.train(_kernels, order, 5, 5, arena)


def test_mixed_types_are_refused():
    case = Case([3, 2], "relu", ("squared_error", "identity"), "sgd", "float64")
    case.X = case.X.astype(np.float32)
    with pytest.raises((TypeError, ValueError)):
        case.train(_kernels, np.arange(5), 5, 5)


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_keep_nan(activation, module):
    """Divergence must not be hidden by a comparison that NaN loses."""
    a = np.full((2, 20), np.nan)
    module.activate(a, ACTIVATIONS[activation])
    assert np.isnan(a).all()
    a, b = np.zeros((2, 20)), np.full(20, np.nan)
    module.add_bias_and_activate(a, b, ACTIVATIONS[activation])
    assert np.isnan(a).all()


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_large_entries(dtype, module):
    """The largest entry is taken off before the exponential, which would overflow."""
    a = np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]], dtype)
    module.activate(a, ACTIVATIONS["softmax"])
    np.testing.assert_allclose(a, [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
