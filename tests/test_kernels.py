"""Native against reference: every room, then whole steps, every buffer compared.

The tables are walked, so that a new formula is tested without a new test.
"""

import inspect
import itertools

import numpy as np
import pytest
import scipy.special
from builders import (
    GROUPS,
    PARAMS,
    RECORDS,
    build_arena,
    build_layers,
    build_numbers,
    build_objective,
    build_rule,
    build_slots,
    build_stats,
    build_tensors,
    count_params,
    count_targets,
    default_param,
    draw_targets,
)
from comparison import TOLERANCES, assert_close, rounding_errors

from fastmlp import _kernels, _reference
from fastmlp._kernels import ACTIVATIONS, HEADS, HIDDEN_ACTIVATIONS, LOSSES, OPTIMIZERS
from fastmlp.threads import thread_team

DTYPES = ["float32", "float64"]
SHAPES = [(1, 1), (1, 7), (3, 1), (2, 17), (33, 5), (7, 64), (5, 129)]
ALL_HEADS = [(loss, output) for loss, outputs in HEADS.items() for output in outputs]
OPTIMIZER_NUMBERS = {
    "learning_rate": 0.01,
    "decay_1": 0.8,
    "decay_2": 0.9,
    "epsilon": 1e-3,
    "weight_decay": 0.5,
    "seed": 3,
}


def draw(shape, dtype, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype(dtype)


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
    assert_same("activate", [z], code, PARAMS[code])
    assert_same("add_bias_and_activate", [z], b, code, PARAMS[code])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_and_curvatures(activation, shape, dtype):
    code = ACTIVATIONS[activation]
    z, delta, rz = (draw(shape, dtype, seed) for seed in (0, 2, 3))
    a = z.copy()
    _reference.activate(a, code, PARAMS[code])
    assert_same("multiply_jacobian", [delta], a, z, code, PARAMS[code])
    if activation != "softmax":
        assert_same("multiply_slope", [delta], a, z, code, PARAMS[code])
        # One term at a time: their sum may cancel.
        rdelta, zero = draw(shape, dtype, 4), np.zeros(shape, dtype)
        assert_same(
            "differentiate_slope", [rdelta], delta, zero, a, z, code, PARAMS[code]
        )
        assert_same("differentiate_slope", [zero], delta, rz, a, z, code, PARAMS[code])


def assert_same_in_pieces(function, sizes, *arrays):
    """Its results for so many rows at a time have the bits of those for all."""
    n, whole = len(arrays[0]), function(*(array.copy() for array in arrays))
    for size in sizes:
        found = [
            function(*(array[begin : begin + size].copy() for array in arrays))
            for begin in range(0, n, size)
        ]
        for parts, expected in zip(zip(*found, strict=True), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [*HIDDEN_ACTIVATIONS, "exp"])
def test_bits_of_activations_do_not_depend_on_the_place(activation, dtype):
    """A number is given the same bits in a vector as behind the last one."""
    code = ACTIVATIONS[activation]
    arrays = [4 * draw((1, 5000), dtype, seed)[0] for seed in (0, 2, 3, 4)]

    def apply(*arrays):
        z, delta, rdelta, rz = (x[np.newaxis] for x in arrays)
        a = z.copy()
        _kernels.activate(a, code, PARAMS[code])
        _kernels.differentiate_slope(rdelta, delta.copy(), rz, a, z, code, PARAMS[code])
        _kernels.multiply_slope(delta, a, z, code, PARAMS[code])
        return a[0], delta[0], rdelta[0]

    assert_same_in_pieces(apply, (1, 7, 9, 31), *arrays)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_outputs", [1, 3, 17])
@pytest.mark.parametrize("head", ALL_HEADS)
def test_bits_of_heads_do_not_depend_on_the_place(head, n_outputs, dtype):
    loss, output = head
    rows, numbers = 1000, build_numbers(loss, n_outputs, dtype)
    y = draw_targets(rows, n_outputs, loss, output, dtype)
    z, rz = (4 * draw((rows, n_outputs), dtype, seed) for seed in (2, 4))
    scales = np.abs(draw(rows, dtype, 3))

    def evaluate(z, rz, y, scales):
        delta, losses, rdelta = (np.empty_like(x) for x in (z, y, z))
        rest = y, scales, numbers, LOSSES[loss], ACTIVATIONS[output]
        _kernels.evaluate_head(delta, losses, z, *rest)
        _kernels.differentiate_head(rdelta, rz, z, *rest)
        return delta, losses, rdelta

    assert_same_in_pieces(evaluate, (1, 3, 7, 70), z, rz, y, scales)


def test_no_output_activation_needs_z_for_its_slope():
    """Gradients by the inputs keep σ(z) in its place."""
    assert not {output for _, output in ALL_HEADS} & {*_kernels.SLOPES_OF_Z}


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_softmax_has_no_slope(module):
    a, code = draw((2, 3), "float64"), ACTIVATIONS["softmax"]
    with pytest.raises(ValueError, match="slope"):
        module.multiply_slope(a.copy(), a, a, code, PARAMS[code])
    with pytest.raises(ValueError, match="slope"):
        module.differentiate_slope(a.copy(), a, a, a, a, code, PARAMS[code])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", ALL_HEADS)
def test_heads(head, shape, dtype):
    loss, output = head
    y = draw_targets(*shape, loss, output, dtype)
    z, empty = 3 * draw(shape, dtype, 2), np.full(shape, np.nan, dtype)
    scales = np.abs(draw(shape[0], dtype, 3))
    codes = LOSSES[loss], ACTIVATIONS[output]
    rest = z, y, scales, build_numbers(loss, shape[1], dtype), *codes
    assert_same("evaluate_head", [empty, np.full_like(y, np.nan)], *rest)
    assert_same("differentiate_head", [empty], draw(shape, dtype, 4), *rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "log_cosh"])
def test_losses_at_their_kinks(loss, dtype):
    """r = 0 and |r| = κ, where the slope is a convention."""
    numbers = build_numbers(loss, 3, dtype)
    y = draw((4, 3), dtype)
    z = y + np.array([[0], [1], [-1], [2]], dtype) * numbers
    z[0] = y[0]
    empty, scales = np.zeros_like(z), np.ones(4, dtype)
    assert_same(
        "evaluate_head",
        [empty, empty],
        *(z, y, scales, numbers, LOSSES[loss], ACTIVATIONS["identity"]),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [39, 3, 20])
@pytest.mark.parametrize("head", [h for h in ALL_HEADS if h[0] == "log_loss"])
def test_log_loss_of_saturated_outputs(head, largest, dtype):
    """Nothing overflows and no logarithm of zero is taken, however large z is, and
    whichever of the classes has the largest.
    """
    loss, output = head
    n_out = 40 if output == "softmax" else 1
    z = np.linspace(-800, 800, 9 * n_out).reshape(9, n_out).astype(dtype)
    z = np.roll(z, largest + 1, axis=1)
    y = draw_targets(9, n_out, loss, output, dtype)
    scales = np.ones(9, dtype)
    native, reference = both(
        "evaluate_head",
        [np.zeros_like(z), np.zeros_like(y)],
        *(z, y, scales, np.zeros(n_out, dtype), LOSSES[loss], ACTIVATIONS[output]),
    )
    assert np.isfinite(native[0]).all()
    assert np.isfinite(native[1]).all()
    assert_close(native[1], reference[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 3, 8, 20, 270, 1030])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 33, 85, 1030])
@pytest.mark.parametrize("k", [1, 5, 40, 300])
def test_products(k, n, m, dtype):
    """Every vector length, all tails, what is packed, several blocks and depths."""
    empty = np.full((m, n), np.nan, dtype)
    a, at, b, bt = (
        draw(shape, dtype, seed)
        for seed, shape in enumerate([(m, k), (k, m), (k, n), (n, k)])
    )
    for operands in [(a, b), (a, bt.T), (at.T, b)]:
        assert_same("multiply", [empty], *operands, False)
        assert_same("multiply", [draw((m, n), dtype, 5)], *operands, True)


def assert_same_columns(a, b):
    """a b into columns of a wider matrix; what lies beside them is left alone."""
    for accumulate in (False, True):
        wide = draw((len(a), b.shape[1] + 5), a.dtype, 5)
        expected = wide.copy()
        _kernels.multiply(wide[:, 2:-3], a, b, accumulate)
        _reference.multiply(expected[:, 2:-3], a, b, accumulate)
        assert_close(wide, expected, "columns")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 3, 20, 270])
@pytest.mark.parametrize("n", [1, 2, 10, 33, 85, 600])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_products_of_columns(k, n, m, dtype):
    """All some columns of wider matrices: what lies beside c is left alone."""
    a, at, b, bt = (
        draw(shape, dtype, seed)
        for seed, shape in enumerate([(m, 1030), (k, 1030), (k, n + 7), (n, k)])
    )
    a, at, b = a[:, 1 : k + 1], at[:, 1 : m + 1], b[:, 3:-4]
    for operands in [(a, b), (a, bt.T), (at.T, b)]:
        assert_same_columns(*operands)


# Large enough for a matrix unit, with and without tails, of which the last has halves
# of blocks; several slices of depth, blocks of rows and panels of columns.
LARGE = [(96, 128, 32), (125, 159, 62), (285, 500, 61), (300, 270, 1100)]


def draw_layouts(m, n, k, seed=0):
    """Matrices (m, k) and (k, n) of float32, either and neither lying transposed."""
    a, b = draw((m, k), "float32", seed), draw((k, n), "float32", seed + 1)
    return [(a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b))]


@pytest.mark.parametrize(("m", "n", "k"), LARGE)
def test_large_products(m, n, k):
    for operands in draw_layouts(m, n, k):
        assert_same_columns(*operands)


@pytest.mark.parametrize(("m", "n", "k"), LARGE)
@pytest.mark.parametrize("scale", [1, 1e-15, 1e15])
def test_products_are_as_exact_as_float32(scale, m, n, k):
    """Errors like those of a random walk of k steps at most (Higham 2002, 3.1), half a
    unit on average where terms have either sign, and leaning neither way where they
    have one.
    """
    for operands in draw_layouts(m, n, k):
        for sign in (np.positive, np.abs):
            a, b = (sign(operand) for operand in operands)
            a, b = a * np.float32(scale), b / np.float32(scale)
            c = np.empty((m, n), np.float32)
            _kernels.multiply(c, a, b, False)
            errors = rounding_errors(c, a, b)
            assert np.abs(errors).max() < 2 * np.sqrt(k)
            assert sign is np.abs or errors.std() < 0.5
            assert np.abs(errors.mean()) < 0.05


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_large_products_keep_what_is_not_finite(bad):
    """Where the bad number has a part, and nowhere else."""
    for a, b in draw_layouts(120, 150, 60):
        a[101, 59], b[3, 149] = bad, bad
        c = np.empty((120, 150), np.float32)
        _kernels.multiply(c, a, b, False)
        touched = np.zeros(c.shape, bool)
        touched[101], touched[:, 149] = True, True
        np.testing.assert_array_equal(np.isfinite(c), ~touched)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums(shape, dtype):
    a = draw(shape, dtype)
    assert_same("sum_columns", [np.full(shape[1], np.nan, dtype)], a, False)
    assert_same("sum_columns", [draw(shape[1], dtype, 1)], a, True)
    for name in ("sum_squares", "sum_magnitudes"):
        native, reference = both(name, [], a.ravel())
        assert native[-1] == pytest.approx(reference[-1], rel=TOLERANCES[a.dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dropout(shape, dtype):
    """Bit for bit: the mask is a contract, not a distribution."""
    a, out = draw(shape, dtype), np.full(shape, np.nan, dtype)
    for dropout, seed, t, layer, first in [
        (0.0, 1, 1, 0, 0),
        (0.3, 2**40 + 1, 7, 2, 11),
        (0.9, 2**31 - 2, 2**33, 1, 2**31),
    ]:
        arguments = a, dropout, seed, t, layer, first
        native, reference = both("drop", [out], *arguments)
        np.testing.assert_array_equal(native[0] == 0, reference[0] == 0)
        assert_close(native[0], reference[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_normalisation(shape, dtype):
    x, scales = draw(shape, dtype), np.abs(draw(shape[0], dtype, 1))
    scales /= scales.sum()
    gammas, biases = draw(shape[1], dtype, 2), draw(shape[1], dtype, 3)
    empty, vector = np.full(shape, np.nan, dtype), np.full(shape[1], np.nan, dtype)
    moments = np.full((2, shape[1]), np.nan, dtype)
    assert_same("compute_moments", [moments], x, scales)
    moments[0], moments[1] = draw(shape[1], dtype, 4), draw(shape[1], dtype, 5) ** 2
    assert_same("normalize", [x], moments)
    assert_same("scale_and_shift", [empty], x, gammas, biases)
    buffers = [draw(shape, dtype, 6), vector, vector]
    assert_same("normalize_deltas", buffers, x, scales, gammas, moments)


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
            module.update(params, draw(n, dtype, t), slots, rule, 0.2, 0.1, 0.9, 0.7)
        assert_close(sides[0][0], sides[1][0], "params")
        assert_close(sides[0][1], sides[1][1], "slots")


class Case:
    """A network with data, and the buffers of one side."""

    def __init__(
        self,
        sizes,
        hidden,
        head,
        optimizer,
        dtype,
        rows=13,
        weighted=True,
        l1_ratio=0.4,
        clip_norm=np.inf,
        **layer_settings,
    ):
        loss, output = head
        self.layers = build_layers(sizes, hidden, output, loss=loss, **layer_settings)
        self.tensors, self.groups = build_tensors(self.layers), GROUPS
        self.objective = build_objective(loss, alpha=0.3, l1_ratio=l1_ratio)
        self.numbers = build_numbers(loss, sizes[-1], dtype)
        self.n_targets = count_targets(sizes[-1], output, loss)
        self.X = draw((rows, sizes[0]), dtype)
        self.Y = draw_targets(rows, sizes[-1], loss, output, dtype)
        self.weights = np.abs(draw(rows, dtype, 5)) if weighted else None
        n_params = count_params(self.layers)
        self.params = 0.2 * draw(n_params, dtype, 6)
        self.stats = build_stats(self.layers, dtype)
        self.grads = np.full(n_params, np.nan, dtype)
        self.slots = build_slots(optimizer, n_params, dtype)
        self.rule = build_rule(optimizer, clip_norm=clip_norm, **OPTIMIZER_NUMBERS)

    @property
    def plan(self):
        """Of the tables as they are now."""
        return _kernels.Plan(self.layers, self.tensors, self.groups)

    def arena(self, capacity):
        arena = build_arena(self.layers, self.n_targets, capacity, self.X.dtype)
        arena[:] = 0
        return arena

    def train(
        self, module, order, batch_size, capacity, arena=None, team=None, schedule=None
    ):
        arena = self.arena(capacity) if arena is None else arena
        total = module.train(
            *(self.params, self.stats, self.grads, self.slots, self.rule, arena),
            *(self.X, self.Y, self.weights, order),
            *(self.plan, self.objective, self.numbers, batch_size, capacity, team),
            schedule=schedule,
        )
        return total, arena


def arena_blocks(arena, case, capacity):
    """Every block of the arena by name."""
    layers = case.layers
    n_targets = case.n_targets
    columns = {
        "targets": (0, n_targets),
        "scales": (n_targets, 1),
        "losses": (n_targets + 1, n_targets),
    }
    for number, layer in enumerate(layers):
        for name in ("normalized", "z", "a", "outputs", "deltas"):
            if layer[name] >= 0:
                columns[f"{name} {number}"] = int(layer[name]), int(layer["n_out"])
    blocks = {
        name: arena[begin * capacity : (begin + width) * capacity]
        for name, (begin, width) in columns.items()
    }
    n_columns = int(layers["deltas"][-1] + layers["n_out"][-1])
    inputs = arena[n_columns * capacity + _kernels.count_extras(case.plan) :]
    blocks["inputs"] = inputs[: int(layers["n_in"][0]) * capacity]
    return blocks


def assert_same_blocks(arena, expected, case, capacity):
    blocks = arena_blocks(arena, case, capacity)
    for name, block in arena_blocks(expected, case, capacity).items():
        assert_close(blocks[name], block, name)


def assert_same_training(arguments, settings, batch_size, capacity, rows=13, used=12):
    """Steps over the rows used: every buffer of both sides agrees."""
    native, reference = (Case(*arguments, rows=rows, **settings) for _ in range(2))
    order = np.random.RandomState(7).permutation(rows)[:used]
    total, arena = native.train(_kernels, order, batch_size, capacity)
    expected, expected_arena = reference.train(_reference, order, batch_size, capacity)
    assert total == pytest.approx(expected, rel=TOLERANCES[native.X.dtype])
    assert native.rule["t"] == reference.rule["t"] == -(-used // batch_size)
    for name in ("params", "stats", "grads", "slots"):
        assert_close(getattr(native, name), getattr(reference, name), name)
    assert_same_blocks(arena, expected_arena, native, capacity)


def build_schedule(n_steps):
    """Numbers of each step, those of the first none at all."""
    steps = np.arange(n_steps)
    schedule = np.zeros(n_steps, _kernels.SCHEDULED)
    schedule["learning_rate"], schedule["decay_1"] = 0.02 * steps, 0.9 / (1 + steps)
    schedule["weight_decay"], schedule["dropout_factor"] = steps / 2, steps / n_steps
    return schedule


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, {"dropout": 0.7, "batch_norm": True}])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_schedule_has_numbers_for_each_step(optimizer, settings, dtype):
    """The twin's; and to the bit those of steps by rules with these numbers."""
    head, order, schedule = (
        ("cross_entropy", "softmax"),
        np.arange(12),
        build_schedule(3),
    )
    arguments = [7, 33, 4, 3], "tanh", head, optimizer, dtype
    native, reference, by_hand = (Case(*arguments, **settings) for _ in range(3))
    before = native.rule.copy()
    total, _ = native.train(_kernels, order, 5, 5, schedule=schedule)
    expected, _ = reference.train(_reference, order, 5, 5, schedule=schedule)
    assert total == pytest.approx(expected, rel=TOLERANCES[native.X.dtype])
    for number, begin in enumerate((0, 5, 10)):
        for name in schedule.dtype.names:
            by_hand.rule[name] = schedule[name][number]
        by_hand.train(_kernels, order[begin:][:5], 5, 5)
    for name in ("params", "stats", "grads", "slots"):
        assert_close(getattr(native, name), getattr(reference, name), name)
        if not settings or name != "stats":
            mine, others = getattr(native, name), getattr(by_hand, name)
            np.testing.assert_array_equal(mine, others)
    before["t"] = 3
    np.testing.assert_array_equal(native.rule, before)
    np.testing.assert_array_equal(reference.rule, before)


def test_a_weightless_batch_has_its_own_place_in_the_schedule():
    order, schedule = np.arange(12), build_schedule(3)
    cases = [
        Case([3, 2], "relu", ("squared_error", "identity"), "sgd", "float64")
        for _ in range(2)
    ]
    for case, module in zip(cases, (_kernels, _reference), strict=True):
        case.weights[4:8] = 0
        case.train(module, order, 4, 4, schedule=schedule)
        assert case.rule["t"] == 2
    assert_close(cases[0].params, cases[1].params)


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_leave_the_bits_of_schedules_alone(n_threads):
    results = []
    for team_size in (1, n_threads):
        case = Case(
            *(
                [40, 300, 30, 3],
                "tanh",
                ("cross_entropy", "softmax"),
                "adam",
                "float32",
            ),
            rows=130,
            dropout=0.5,
        )
        with thread_team(team_size) as team:
            schedule = build_schedule(3)
            case.train(_kernels, np.arange(130), 50, 50, team=team, schedule=schedule)
        results.append(case.params)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda table: table[:2], ValueError, "2 entries"),
        (lambda table: np.tile(table, 2), ValueError, "6 entries"),
        (lambda table: table.astype(reordered(table.dtype)), TypeError, "SCHEDULED"),
        (lambda table: table.tolist(), TypeError, "SCHEDULED"),
    ],
)
def test_a_schedule_has_an_entry_a_step(change, error, message):
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64")
    schedule = change(build_schedule(3))
    with pytest.raises(error, match=message):
        case.train(_kernels, np.arange(12), 5, 5, schedule=schedule)


@pytest.mark.parametrize("factor", [-0.1, 2.0, np.nan, np.inf])
def test_no_more_than_all_units_are_dropped(factor):
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64", dropout=0.5)
    schedule = build_schedule(3)
    schedule["dropout_factor"][2] = factor
    with pytest.raises(ValueError, match="dropout_factor"):
        case.train(_kernels, np.arange(12), 5, 5, schedule=schedule)
    case.rule["dropout_factor"] = factor
    with pytest.raises(ValueError, match="dropout_factor"):
        case.train(_kernels, np.arange(12), 5, 5)
    with pytest.raises(ValueError, match="dropout_factor"):
        _kernels.compute_batch_gradient(
            *(case.grads, case.stats, case.arena(5), case.X, case.Y, case.weights),
            *(case.params, case.rule, np.arange(5), case.plan, case.objective),
            *(case.numbers, 1.0, 0, 5, 5),
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_probabilities_of_one_class_are_its_index(dtype):
    """cross_entropy against log_loss, of the same classes."""
    z, classes = 4 * draw((40, 7), dtype), np.arange(40) % 7
    scales, numbers = np.abs(draw(40, dtype, 3)), np.zeros(7, dtype)
    results = []
    for loss, y in [
        ("log_loss", classes[:, None].astype(dtype)),
        ("cross_entropy", np.eye(7, dtype=dtype)[classes]),
    ]:
        delta, losses, rdelta = np.empty_like(z), np.empty_like(y), np.empty_like(z)
        codes = LOSSES[loss], ACTIVATIONS["softmax"]
        _kernels.evaluate_head(delta, losses, z, y, scales, numbers, *codes)
        _kernels.differentiate_head(rdelta, z, z, y, scales, numbers, *codes)
        results.append([delta, losses.sum(axis=1), rdelta])
    for mine, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, expected)


TOPOLOGIES = [[3, 2], [5, 17, 1], [7, 33, 4, 3]]


def with_optimizers(firsts):
    """Each first with each head, and an optimizer: of the three, every pair occurs."""
    names = list(OPTIMIZERS)
    return [
        (first, head, names[(i + j) % len(names)])
        for i, first in enumerate(firsts)
        for j, head in enumerate(ALL_HEADS)
    ]


def test_every_pair_occurs():
    made = with_optimizers(HIDDEN_ACTIVATIONS)
    assert {row[1:] for row in made} == {*itertools.product(ALL_HEADS, OPTIMIZERS)}
    assert {row[::2] for row in made} == {
        *itertools.product(HIDDEN_ACTIVATIONS, OPTIMIZERS)
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("hidden", "head", "optimizer"), with_optimizers(HIDDEN_ACTIVATIONS)
)
def test_steps(hidden, head, optimizer, dtype):
    """Activations, losses and optimizers in pairs; L1, L2 and decay at once."""
    assert_same_training(([7, 33, 4, 3], hidden, head, optimizer, dtype), {}, 5, 5)


@pytest.mark.soak
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_of_all(optimizer, dtype):
    """Every activation with every loss and every optimizer."""
    for hidden, head in itertools.product(HIDDEN_ACTIVATIONS, ALL_HEADS):
        test_steps(hidden, head, optimizer, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("sizes", "head", "optimizer"), with_optimizers([[3, 2], [5, 17, 1]])
)
def test_steps_of_small_networks(sizes, head, optimizer, dtype):
    arguments = sizes, "tanh", head, optimizer, dtype
    assert_same_training(arguments, {"weighted": False, "l1_ratio": 0.0}, 5, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("clip_norm", [0.05, 1e6, np.inf])
@pytest.mark.parametrize("dropout", [0.0, [0.3, 0.0], [0.2, 0.6]])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [["tanh", "relu"], ["gelu", "softplus"]])
def test_steps_with_everything(hidden, batch_norm, dropout, clip_norm, dtype):
    """Layers that keep apart what others share, and gradients clipped or not."""
    settings = {"batch_norm": batch_norm, "dropout": dropout, "clip_norm": clip_norm}
    for weighted in (True, False):
        settings["weighted"] = weighted
        head = "log_loss", "softmax"
        arguments = [7, 33, 4, 3], hidden, head, "adam", dtype
        # A batch of two rows would have normalised deltas of nothing but rounding.
        assert_same_training(arguments, settings, 7, 7)
        assert_same_training(arguments, settings, 12, 12)
        if not batch_norm:
            assert_same_training(arguments, settings, 12, 5)


EVERYTHING = {"batch_norm": True, "dropout": 0.4, "clip_norm": 0.1}

# Batches whose gradient is found in two halves, of one slice of rows and of several,
# whole and in blocks of which the last is short; 250 inputs are too many for the first.
HALVED = [(200, 200), (256, 256), (200, 130), (257, 257), (400, 400), (1100, 350)]


@pytest.mark.parametrize("settings", [{}, EVERYTHING])
@pytest.mark.parametrize(
    ("batch_size", "capacity"), [(125, 125), (250, 250), (300, 125)]
)
def test_steps_of_large_layers(batch_size, capacity, settings):
    if settings:
        capacity = batch_size
    sizes, head = [120, 310, 155, 3], ("log_loss", "softmax")
    arguments = sizes, "tanh", head, "momentum", "float32"
    rows, used = 2 * batch_size, batch_size + 120
    assert_same_training(arguments, settings, batch_size, capacity, rows, used)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch_size", "capacity"), HALVED)
@pytest.mark.parametrize("sizes", [[40, 65, 10], [250, 20, 3], [3, 1]])
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
def test_halves(settings, sizes, batch_size, capacity, dtype):
    """Steps of batches that large, the last of a single row: its second half is empty.
    Normalised, a row by itself would have no deltas but rounding.
    """
    if settings:
        capacity = batch_size
    rows = 2 * batch_size + 1
    head = ("log_loss", "softmax" if sizes[-1] > 1 else "logistic")
    arguments = sizes, "tanh", head, "momentum", dtype
    used = rows - bool(settings)
    assert_same_training(arguments, settings, batch_size, capacity, rows, used)


def assert_same_objective(sizes, head, dtype, capacity, **settings):
    case = Case(sizes, "silu", head, "sgd", dtype, **settings)
    case.stats += np.abs(draw(case.stats.shape, dtype))
    data = (case.X, case.Y, case.weights, case.params, case.stats, case.plan)
    rest = (case.objective, case.numbers, capacity)
    buffers = [case.grads, case.arena(capacity)]
    sides = both("compute_loss_and_gradient", buffers, *data, *rest)
    (grads, arena, loss), (expected_grads, expected_arena, expected) = sides
    assert loss == pytest.approx(expected, rel=TOLERANCES[case.X.dtype])
    assert_close(grads, expected_grads)
    assert_same_blocks(arena, expected_arena, case, capacity)
    assert_same("compute_loss", [arena], None, *data, *rest)
    outputs = np.full((len(case.Y), sizes[-1]), np.nan, dtype)
    assert_same("compute_loss", [arena, outputs], *data, *rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("capacity", [1, 4, 13, 50])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("head", ALL_HEADS)
def test_objective_and_gradient(head, weighted, capacity, dtype):
    for sizes in TOPOLOGIES:
        for batch_norm in (False, True):
            settings = {"weighted": weighted, "batch_norm": batch_norm}
            assert_same_objective(sizes, head, dtype, capacity, **settings)


@pytest.mark.parametrize("dtype", DTYPES)
def test_objective_and_gradient_of_many_normalised_units(dtype):
    """More than are worked on at a time."""
    assert_same_objective([5, 300, 3], ALL_HEADS[0], dtype, 13, batch_norm=True)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_outputs_beside_a_loss_are_predictions(n_threads):
    """To the bit, in blocks of which the last is short, also of rows without weight."""
    case = Case([7, 33, 4, 3], "gelu", ALL_HEADS[0], "sgd", "float32", rows=50)
    model = case.params, case.stats, case.plan
    expected, outputs = np.full((2, 50, 3), np.nan, np.float32)
    _kernels.predict(expected, case.arena(50), case.X, *model, 50)
    for weights in (None, np.zeros(50, np.float32)):
        outputs[:] = np.nan
        rest = case.Y, weights, *model, case.objective, case.numbers, 20
        with thread_team(n_threads if _kernels.THREADS else 1) as team:
            _kernels.compute_loss(case.arena(20), outputs, case.X, *rest, team)
        np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("shape", [(12, 3), (13, 2)])
def test_the_shape_of_outputs_is_checked(shape):
    case = Case([7, 4, 3], "relu", ALL_HEADS[0], "sgd", "float64")
    data = case.X, case.Y, case.weights, case.params, case.stats, case.plan
    rest = case.objective, case.numbers, 13
    with pytest.raises(ValueError, match="out has the wrong shape"):
        _kernels.compute_loss(case.arena(13), np.empty(shape), *data, *rest)


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_nothing_is_dropped_but_in_training(module):
    results = []
    for dropout in (0.0, 0.5):
        case = Case(
            [7, 33, 4, 3], "silu", ALL_HEADS[0], "sgd", "float64", dropout=dropout
        )
        data = (case.X, case.Y, case.weights, case.params, case.stats, case.plan)
        rest = (case.objective, case.numbers, 13)
        module.compute_loss_and_gradient(case.grads, case.arena(13), *data, *rest)
        results.append(case.grads)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", ALL_HEADS)
@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
def test_hessian_products(hidden, head, dtype):
    for capacity in (4, 13):
        case = Case([7, 33, 4, 3], hidden, head, "sgd", dtype, spread=True)
        arena = case.arena(capacity)
        direction = draw(case.params.shape, dtype, 8)
        assert_same(
            "multiply_hessian",
            [case.grads, arena, arena],
            *(case.X, case.Y, case.weights, case.params, direction, case.plan),
            *(case.objective, case.numbers, capacity),
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("head", ALL_HEADS)
def test_input_gradients(head, batch_norm, dtype):
    for sizes in TOPOLOGIES:
        case = Case(
            sizes, "mish", head, "sgd", dtype, batch_norm=batch_norm, dropout=0.5
        )
        case.stats += np.abs(draw(case.stats.shape, dtype))
        out, V = np.full_like(case.X, np.nan), draw((13, sizes[-1]), dtype, 9)
        rest = V, case.params, case.stats, case.plan, 6
        assert_same("input_gradient", [out], case.arena(6), case.X, *rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [0, 1, 7, 13])
@pytest.mark.parametrize("head", ALL_HEADS)
def test_predict(head, rows, dtype):
    for sizes in TOPOLOGIES:
        case = Case(sizes, "relu", head, "sgd", dtype, rows=rows)
        out = np.full((rows, sizes[-1]), np.nan, dtype)
        rest = case.params, case.stats, case.plan, 6
        assert_same("predict", [out, case.arena(6)], case.X, *rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("settings", "batch_size"),
    [({}, 1), ({}, 4), ({}, 40), (EVERYTHING, 5), (EVERYTHING, 40)],
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_arena_carries_nothing(optimizer, settings, batch_size, dtype):
    """Poisoned with NaN before every step, training gives the same bits."""
    order = np.random.RandomState(8).permutation(13)
    arguments = [7, 33, 4, 3], "gelu", ("log_loss", "softmax"), optimizer, dtype
    capacity = 40 if settings else 6
    at_once = Case(*arguments, **settings)
    at_once.train(_kernels, order, batch_size, capacity)
    poisoned = Case(*arguments, **settings)
    arena = poisoned.arena(capacity)
    for begin in range(0, 13, batch_size):
        arena[:] = np.nan
        poisoned.grads[:] = np.nan
        batch = order[begin : begin + batch_size]
        poisoned.train(_kernels, batch, batch_size, capacity, arena)
    for name in ("params", "stats", "grads", "slots", "rule"):
        np.testing.assert_array_equal(getattr(at_once, name), getattr(poisoned, name))


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [2, 7, 13, 100])
@pytest.mark.parametrize("sizes", [[3, 2], [5, 17, 1], [40, 65, 33, 10]])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
def test_threads_leave_the_bits_alone(settings, optimizer, sizes, rows, dtype):
    """1, 2, 3 and 4 threads, on two processors or fewer: every buffer the same."""
    assert_same_in_threads(
        sizes, optimizer, settings, rows, 30, 30 if settings else 25, dtype
    )


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_threads_leave_the_bits_of_every_activation_alone(activation, dtype):
    """Of 17 units and rows that no vector's length divides."""
    assert_same_in_threads([5, 17, 3], "adam", {}, 300, 150, 150, dtype, activation)


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch_size", "capacity"), HALVED)
@pytest.mark.parametrize("sizes", [[40, 65, 10], [250, 20, 3], [3, 1]])
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
def test_threads_leave_the_bits_of_halves_alone(
    settings, sizes, batch_size, capacity, dtype
):
    if settings:
        capacity = batch_size
    rows = 2 * batch_size + 1 + bool(settings)
    assert_same_in_threads(sizes, "adam", settings, rows, batch_size, capacity, dtype)


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [2, 202, 203, 204])
@pytest.mark.parametrize("settings", [{}, {"batch_norm": True}])
@pytest.mark.parametrize("sizes", [[40, 65, 10], [20, 16, 3], [10, 15, 2]])
def test_threads_leave_the_bits_of_a_short_last_batch_alone(
    sizes, settings, rows, dtype
):
    """Of two rows either half is one: an outer product, fused where it is added."""
    assert_same_in_threads(sizes, "adam", settings, rows, 200, 200, dtype)


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
@pytest.mark.parametrize(
    ("batch_size", "capacity"), [(30, 30), (70, 70), (30, 20), (2, 2)]
)
def test_threads_leave_the_bits_of_shared_columns_alone(
    batch_size, capacity, settings, dtype
):
    """Of wide layers and few rows, down to a last batch of one, or two normalised."""
    if settings:
        capacity = batch_size
    sizes, rows = [520, 570, 600, 3], 2 * batch_size + 1 + bool(settings)
    assert_same_in_threads(sizes, "adam", settings, rows, batch_size, capacity, dtype)


# Layers whose products are large. Of 620 columns threads share the columns, and of
# layers with no more inputs than rows the gradient is found in halves.
LARGE_LAYERS = [120, 620, 220, 155, 3]


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("settings", [{}, EVERYTHING])
@pytest.mark.parametrize(
    ("batch_size", "capacity"), [(125, 125), (250, 250), (300, 125), (20, 20)]
)
def test_threads_leave_the_bits_of_large_layers_alone(batch_size, capacity, settings):
    if settings:
        capacity = batch_size
    rows = 2 * batch_size + 1 + bool(settings)
    assert_same_in_threads(
        LARGE_LAYERS, "adam", settings, rows, batch_size, capacity, "float32"
    )


def assert_same_in_threads(
    sizes, optimizer, settings, rows, batch_size, capacity, dtype, activation="tanh"
):
    """1, 2, 3 and 4 threads leave the same in every buffer but the halves' own."""
    order = np.random.RandomState(9).permutation(rows)
    head = ("log_loss", "softmax" if sizes[-1] > 1 else "logistic")
    results = []
    for n_threads in (1, 2, 3, 4):
        case = Case(sizes, activation, head, optimizer, dtype, rows=rows, **settings)
        with thread_team(n_threads) as team:
            total, arena = case.train(_kernels, order, batch_size, capacity, team=team)
        n_halves = _kernels.count_partials(case.plan, capacity)
        buffers = (case.params, case.stats, case.grads, case.slots, case.rule)
        results.append([total, arena[: len(arena) - n_halves], *buffers])
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
    case.objective["cap"] = 36.0
    total, _ = case.train(_kernels, np.arange(5), 5, 5)
    assert np.isnan(total)


def test_normalisation_wants_the_whole_batch():
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64", batch_norm=True)
    with pytest.raises(ValueError, match="whole batch"):
        case.train(_kernels, np.arange(13), 13, 5)


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize(
    ("n_rows", "batch_size"), [(1, 4), (1, 1), (5, 1), (9, 4), (13, 12)]
)
def test_normalisation_wants_two_rows_a_batch(n_rows, batch_size, module):
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64", batch_norm=True)
    before = case.params.copy(), case.stats.copy()
    with pytest.raises(ValueError, match="two rows or more in every batch"):
        case.train(module, np.arange(n_rows), batch_size, 13)
    np.testing.assert_array_equal(case.params, before[0])
    np.testing.assert_array_equal(case.stats, before[1])
    assert case.rule["t"] == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tensors", 10**6, "no such tensors"),
        ("tensors", -1, "no such tensors"),
        ("tensors", 2, "another shape"),
        ("n_tensors", 1, "has W and b"),
        ("z", 10**6, "outside the arena"),
        ("a", -1, "outside the arena"),
        ("outputs", 10**6, "outside the arena"),
        ("deltas", -3, "outside the arena"),
        ("normalized", 10**6, "running moments outside"),
        ("running", 10**6, "running moments outside"),
        ("running", -1, "running moments outside"),
        ("a", 9, "laps over"),
        ("activation_param", np.inf, "activation_param"),
        ("dropout", 1.0, "dropout"),
        ("dropout", np.nan, "dropout"),
        ("n_in", 4, "its inputs are not such images"),
        ("n_out", 0, "size"),
        ("activation", 99, "activation"),
    ],
)
def test_no_call_writes_outside(field, value, message):
    normalized = field == "running"
    case = Case(
        [3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64", batch_norm=normalized
    )
    case.layers[field][0] = value
    arena = np.zeros(1000)
    with pytest.raises(ValueError, match=message):
        case.train(_kernels, np.arange(5), 5, 5, arena)


def test_the_arena_is_checked_to_its_end():
    """Columns, sums of units, inputs and the gradient of halves."""
    order = np.arange(5)
    for capacity in (5, 128):
        case = Case([3, 2], "relu", ALL_HEADS[0], "sgd", "float64")
        case.train(_kernels, order, 5, capacity, case.arena(capacity))
        with pytest.raises(ValueError, match="arena is too small"):
            case.train(_kernels, order, 5, capacity, case.arena(capacity)[:-1])


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
        ({"numbers": np.zeros(2)}, "numbers"),
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


def test_slots_with_gaps_between_entries_are_refused():
    case = Case([3, 3], "relu", ("log_loss", "softmax"), "adam", "float64")
    case.slots = np.zeros((12, 2)).T
    with pytest.raises(ValueError, match="side by side"):
        case.train(_kernels, np.arange(13), 5, 5, case.arena(5))


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
    module.activate(a, ACTIVATIONS[activation], default_param(activation))
    assert np.isnan(a).all()
    a, b = np.zeros((2, 20)), np.full(20, np.nan)
    module.add_bias_and_activate(
        a, b, ACTIVATIONS[activation], default_param(activation)
    )
    assert np.isnan(a).all()


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_those_of_the_contract(name):
    """Their dtypes are the structs'; no field lies where padding would move it."""
    assert getattr(_kernels, name) == np.dtype(RECORDS[name])


@pytest.mark.parametrize("table", ["layers", "tensors", "groups"])
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda table: table[:0], ValueError),
        (lambda table: table.view(np.uint8), ValueError),
        (lambda table: table[table.dtype.names[0]].copy(), ValueError),
        (lambda table: table.astype(reordered(table.dtype)), ValueError),
        (lambda table: table.reshape(1, -1), ValueError),
        (lambda table: table.tolist(), TypeError),
        (lambda table: None, TypeError),
    ],
    ids=["none", "bytes", "a column", "reordered", "a matrix", "a list", "nothing"],
)
def test_what_is_no_table(damage, error, table):
    layers = build_layers([3, 4, 3, 2], "relu", "softmax")
    tables = {"layers": layers, "tensors": build_tensors(layers), "groups": GROUPS}
    _kernels.Plan(**tables)
    tables[table] = damage(tables[table])
    with pytest.raises(error):
        _kernels.Plan(**tables)


def reordered(dtype):
    """The same fields, and the same bytes, in another order."""
    return np.dtype([(name, dtype[name]) for name in reversed(dtype.names)])


@pytest.mark.parametrize(
    ("table", "field", "number", "value", "message"),
    [
        ("tensors", "offset", 0, 1, "begins at 1"),
        ("tensors", "offset", 2, 11, "begins at 11"),
        ("tensors", "offset", 1, 40, "begins at"),
        ("tensors", "rows", 0, 0, "impossible size"),
        ("tensors", "columns", 0, -4, "impossible size"),
        ("tensors", "rows", 0, 2**62, "impossible size"),
        ("tensors", "group", 1, 2, "no such group"),
        ("tensors", "group", 1, -1, "no such group"),
        ("groups", "rate_factor", 0, np.nan, "finite"),
        ("groups", "decay_factor", 1, -1, "not negative"),
        ("groups", "penalty_factor", 0, np.inf, "finite"),
        ("layers", "z", 0, 4, "laps over"),
        ("layers", "n_tensors", 1, 3, "has W and b"),
    ],
)
def test_plans_are_checked(table, field, number, value, message):
    layers = build_layers([3, 4, 2], "relu", "softmax")
    tables = {
        "layers": layers,
        "tensors": build_tensors(layers),
        "groups": GROUPS.copy(),
    }
    tables[table][field][number] = value
    with pytest.raises(ValueError, match=message):
        _kernels.Plan(**tables)


def test_a_plan_does_not_change_with_the_tables_that_it_was_made_of():
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64")
    plan = case.plan
    case.layers["n_out"] = 10**6
    assert plan.layers["n_out"].tolist() == [4, 2]
    with pytest.raises(ValueError, match="read-only"):
        plan.layers["n_out"] = 10**6


PAIRS = [(loss, output) for loss in HEADS for output in ACTIVATIONS]


@pytest.mark.parametrize("head", [pair for pair in PAIRS if pair not in ALL_HEADS])
def test_a_loss_goes_with_its_output_activations_only(head):
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64")
    case.objective["loss"] = LOSSES[head[0]]
    case.layers["activation"][-1] = ACTIVATIONS[head[1]]
    with pytest.raises(ValueError, match="does not go with"):
        case.train(_kernels, np.arange(5), 5, 5)
    z, codes = np.ones((2, 3)), (LOSSES[head[0]], ACTIVATIONS[head[1]])
    with pytest.raises(ValueError, match="does not go with"):
        _kernels.evaluate_head(z.copy(), z.copy(), z, z, np.ones(2), np.ones(3), *codes)


def lap(case, name, other):
    """Have two of a case's arrays share memory."""
    mine, others = getattr(case, name), getattr(case, other)
    size = max(mine.size, others.size)
    memory = np.zeros(size + min(mine.size, others.size) - 1)
    for array, begin in ((mine, 0), (others, min(mine.size, others.size) - 1)):
        view = memory[begin : begin + array.size].reshape(array.shape)
        view[...] = array
        setattr(case, name if array is mine else other, view)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("params", "grads"),
        ("params", "X"),
        ("grads", "Y"),
        ("weights", "params"),
        ("grads", "stats"),
        ("slots", "params"),
        ("slots", "grads"),
    ],
)
def test_what_is_written_lies_apart(name, other):
    head = ("squared_error", "identity")
    case = Case([3, 4, 2], "relu", head, "momentum", "float64", batch_norm=True)
    case.slots = np.zeros(case.slots.shape)
    lap(case, name, other)
    with pytest.raises(ValueError, match="laps over"):
        case.train(_kernels, np.arange(5), 5, 5)


def test_outputs_lie_apart_from_inputs():
    case = Case([2, 2], "relu", ("squared_error", "identity"), "sgd", "float64")
    model = case.params, case.stats, case.plan
    with pytest.raises(ValueError, match="laps over"):
        _kernels.predict(case.X, case.arena(5), case.X, *model, 5)


def test_arrays_lie_on_boundaries():
    case = Case([3, 2], "relu", ("squared_error", "identity"), "sgd", "float64")
    raw = np.zeros(8 * case.params.size + 1, np.uint8)
    case.params = raw[1:].view(np.float64)
    with pytest.raises(ValueError, match="boundary"):
        case.train(_kernels, np.arange(5), 5, 5)


def rows_of_wrong_shapes():
    """Each room's arguments, and each array of them with an entry too many or none."""
    n, matrix, vector = 4, np.ones((5, 4)), np.ones(4)
    codes = LOSSES["squared_error"], ACTIVATIONS["identity"]
    tall, moments, rule = np.ones(5), np.ones((2, 4)), build_rule("adam")
    rooms = {
        "exp": [vector, vector],
        "add_bias_and_activate": [matrix, vector, 0],
        "multiply_slope": [matrix, matrix, matrix, 0],
        "multiply_jacobian": [matrix, matrix, matrix, 0],
        "differentiate_slope": [matrix, matrix, matrix, matrix, matrix, 0],
        "evaluate_head": [matrix, matrix, matrix, matrix, tall, vector, *codes],
        "differentiate_head": [matrix, matrix, matrix, matrix, tall, vector, *codes],
        "drop": [matrix, matrix, 0.5, 0, 1, 0, 0],
        "compute_moments": [moments, matrix, tall],
        "normalize": [matrix, moments],
        "scale_and_shift": [matrix, matrix, vector, vector],
        "normalize_deltas": [matrix, vector, vector, matrix, tall, vector, moments],
        "multiply": [np.ones((5, 3)), matrix, np.ones((4, 3)), False],
        "sum_columns": [vector, matrix, False],
        "update": [vector, vector, np.ones((2, n)), rule, 0, 0, 1, 1],
    }
    for name, arguments in rooms.items():
        for position, argument in enumerate(arguments):
            if isinstance(argument, np.ndarray) and argument.dtype == float:
                yield name, arguments, position


@pytest.mark.parametrize(
    ("name", "arguments", "position"), list(rows_of_wrong_shapes())
)
def test_rooms_refuse_wrong_shapes(name, arguments, position):
    fitting = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    getattr(_kernels, name)(*fitting)
    array = arguments[position]
    for shape in [(*array.shape[:-1], n) for n in (array.shape[-1] + 1, 0)]:
        wrong = [*fitting]
        wrong[position] = np.ones(shape)
        with pytest.raises(ValueError, match=r"entries|shape|rows|slots|sizes"):
            getattr(_kernels, name)(*wrong)


@pytest.mark.parametrize("code", [-1, 99])
def test_no_code_is_taken_for_another(code):
    a = np.ones((2, 3))
    with pytest.raises(ValueError, match="no such activation"):
        _kernels.activate(a, code, PARAMS[code])
    with pytest.raises(ValueError, match="no such activation"):
        _kernels.multiply_slope(a, a, a, code, PARAMS[code])
    with pytest.raises(ValueError, match="no such loss"):
        _kernels.evaluate_head(a, a, a, a, np.ones(2), np.ones(3), code, 0)
    rule = build_rule("sgd")
    rule["optimizer"] = code
    with pytest.raises(ValueError, match="no such optimizer"):
        _kernels.update(np.ones(3), np.ones(3), np.ones((0, 3)), rule, 0, 0, 1, 1)


# --- A step in halves


def take_halves(case, module, rows, batch_size, capacity, team=None, norm=None):
    """A step by its two halves; J × rows before it."""
    moments = np.full_like(case.stats, np.nan)
    weight = len(rows) if case.weights is None else float(case.weights[rows].sum())
    if case.weights is not None:
        weight = 0.0
        for w in case.weights[rows].tolist():
            weight += w
    arena = case.arena(capacity)
    arena[:] = np.nan
    value = module.compute_batch_gradient(
        *(case.grads, moments, arena, case.X, case.Y, case.weights, case.params),
        *(case.rule, rows, case.plan, case.objective, case.numbers, weight, 0),
        *(batch_size, capacity, team),
    )
    arena[:] = np.nan
    momentum = 0.1 * (len(rows) / batch_size)
    value += module.apply(
        *(case.params, case.stats, case.grads, case.slots, case.rule, arena, moments),
        *(momentum, case.plan, case.objective, weight, capacity, norm, team),
    )
    return len(rows) * value


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.05}, EVERYTHING])
@pytest.mark.parametrize(("batch_size", "capacity"), [(5, 5), (200, 200), (150, 70)])
def test_two_halves_are_a_step(
    batch_size, capacity, settings, optimizer, dtype, n_threads
):
    """To the bit, also a short batch's, in halves of rows and in blocks."""
    if settings is EVERYTHING:
        capacity = batch_size
    rows = 2 * batch_size + 3
    arguments = [7, 33, 4, 3], "gelu", ("log_loss", "softmax"), optimizer, dtype
    whole, halves = (Case(*arguments, rows=rows, **settings) for _ in range(2))
    order, total = np.random.RandomState(1).permutation(rows), 0.0
    with thread_team(n_threads if _kernels.THREADS else 1) as team:
        expected, _ = whole.train(_kernels, order, batch_size, capacity, team=team)
        for begin in range(0, rows, batch_size):
            part = order[begin : begin + batch_size]
            total += take_halves(halves, _kernels, part, batch_size, capacity, team)
    assert total == pytest.approx(expected, rel=1e-14)
    for name in ("params", "stats", "grads", "slots", "rule"):
        np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name))


@pytest.mark.parametrize("norm", [None, 0.01, 3.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.05}, EVERYTHING])
def test_halves_of_a_step(settings, dtype, norm):
    arguments = [7, 33, 4, 3], "silu", ("log_loss", "softmax"), "adam", dtype
    native, reference = (Case(*arguments, **settings) for _ in range(2))
    for rows in (np.arange(3, 12), np.array([0, 2, 12])):
        values = [
            take_halves(case, module, rows, 9, 9, norm=norm)
            for case, module in ((native, _kernels), (reference, _reference))
        ]
        assert values[0] == pytest.approx(values[1], rel=TOLERANCES[native.X.dtype])
        for name in ("params", "stats", "grads", "slots"):
            assert_close(getattr(native, name), getattr(reference, name), name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.array([13])}, "order"),
        ({"rows": np.array([], np.intp)}, "there must be rows"),
        ({"total_weight": 0.0}, "total_weight"),
        ({"total_weight": np.nan}, "total_weight"),
        ({"first_row": -1}, "first_row"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_a_batch_gradient_is_given_is_checked(change, message):
    case = Case([3, 4, 2], "relu", ("log_loss", "softmax"), "sgd", "float64")
    given = {"rows": np.arange(4), "total_weight": 4.0, "first_row": 0, "batch_size": 4}
    given |= change
    with pytest.raises(ValueError, match=message):
        _kernels.compute_batch_gradient(
            *(case.grads, case.stats, case.arena(4), case.X, case.Y, None, case.params),
            *(case.rule, given["rows"], case.plan, case.objective, case.numbers),
            *(given["total_weight"], given["first_row"], given["batch_size"], 4),
        )


GROUPS_OF_EACH = [(1.0, 0.5, 2.0), (0.3, 1.0, 0.0), (0.0, 1.0, 1.0), (2.0, 0.0, 0.5)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.05}, EVERYTHING])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_groups_of_their_own(optimizer, settings, dtype):
    """Rates, decays and penalties that differ from tensor to tensor."""
    arguments = [7, 33, 4, 3], "tanh", ("log_loss", "softmax"), optimizer, dtype
    cases = [Case(*arguments, **settings) for _ in range(2)]
    totals = []
    for case, module in zip(cases, (_kernels, _reference), strict=True):
        case.groups = np.array(GROUPS_OF_EACH, _kernels.GROUP)
        case.tensors["group"] = np.arange(len(case.tensors)) % 4
        totals.append(case.train(module, np.arange(12), 6, 6)[0])
    assert totals[0] == pytest.approx(totals[1], rel=TOLERANCES[cases[0].X.dtype])
    for name in ("params", "stats", "grads", "slots"):
        assert_close(getattr(cases[0], name), getattr(cases[1], name), name)
    data = cases[0].X, cases[0].Y, cases[0].weights, cases[0].params, cases[0].stats
    rest = cases[0].plan, cases[0].objective, cases[0].numbers, 13
    buffers = [cases[0].grads, cases[0].arena(13)]
    sides = both("compute_loss_and_gradient", buffers, *data, *rest)
    assert_close(sides[0][0], sides[1][0], "gradient of J")
    assert sides[0][2] == pytest.approx(sides[1][2], rel=TOLERANCES[data[0].dtype])


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_large_entries(dtype, module):
    """The largest entry is taken off before the exponential, which would overflow."""
    a = np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]], dtype)
    module.activate(a, ACTIVATIONS["softmax"])
    np.testing.assert_allclose(a, [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 15, 16, 37])
def test_softmax_finds_the_largest_entry_anywhere(n_classes, dtype, module):
    a = 1e4 * np.eye(n_classes, dtype=dtype)
    module.activate(a, ACTIVATIONS["softmax"])
    np.testing.assert_array_equal(a, np.eye(n_classes))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [1, 2, 15, 16, 37])
def test_softmax_of_many_rows(n_classes, dtype):
    """Short and long rows, several blocks and a part of one: against SciPy."""
    rng = np.random.default_rng(0)
    z = rng.normal(-3, 2, (150, n_classes)).astype(dtype)
    classes, scales = rng.integers(n_classes, size=150), rng.random(150).astype(dtype)
    y = classes[:, None].astype(dtype)
    a, delta, losses = z.copy(), np.empty_like(z), np.empty_like(y)
    codes = _kernels.LOSSES["log_loss"], ACTIVATIONS["softmax"]
    _kernels.activate(a, codes[1])
    _kernels.evaluate_head(delta, losses, z, y, scales, z[0], *codes)
    p = scipy.special.softmax(z.astype(float), axis=1)
    one_hot = np.eye(n_classes)[classes]
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(a, p, **tolerance)
    np.testing.assert_allclose(delta, scales[:, None] * (p - one_hot), **tolerance)
    np.testing.assert_allclose(losses[:, 0], -np.log(p[one_hot == 1]), **tolerance)


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_the_sum_of_losses_does_not_depend_on_the_calls(module):
    """To the bit: training is cut into calls by the clock."""
    sums = set()
    for n_rows in (1, 2, 7, 13):
        case = Case([3, 2], "relu", ALL_HEADS[0], "sgd", "float64")
        total = 0.0
        for begin in range(0, 13, n_rows):
            rows = np.arange(begin, min(begin + n_rows, 13))
            total = module.train(
                *(case.params, case.stats, case.grads, case.slots, case.rule),
                *(case.arena(1), case.X, case.Y, case.weights, rows, case.plan),
                *(case.objective, case.numbers, 1, 1, None, total),
            )
        sums.add(total)
    assert len(sums) == 1


@pytest.mark.parametrize("n_outputs", [2, 20])
def test_cap_keeps_nan_of_the_losses(n_outputs):
    """Here no penalty shows it."""
    head = "log_loss", "softmax"
    case = Case([3, n_outputs], "relu", head, "sgd", "float64")
    case.params[:] = np.nan
    case.objective["cap"], case.objective["alpha"] = 36.0, 0.0
    total, _ = case.train(_kernels, np.arange(5), 5, 5)
    assert np.isnan(total)


@pytest.mark.parametrize("output", [0, 16])
def test_cap_keeps_nan_of_a_single_output(output):
    """Of seventeen, one more than are summed side by side."""
    case = Case([3, 17], "relu", ("log_loss", "logistic"), "sgd", "float64")
    case.params[len(case.params) - len(case.numbers) + output] = np.nan
    case.objective["cap"], case.objective["alpha"] = 36.0, 0.0
    total, _ = case.train(_kernels, np.arange(5), 5, 5)
    assert np.isnan(total)


SLOPES_AT_ZERO = {"leaky_relu": 0.01, "elu": 1, "selu": 1.7580993408473766, "relu": 0}
CURVATURES_AT_ZERO = {"leaky_relu": 0, "elu": 1, "selu": 1.7580993408473766, "relu": 0}


@pytest.mark.parametrize("module", [_kernels, _reference])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", SLOPES_AT_ZERO)
def test_activations_at_their_kink(activation, dtype, module):
    """σ' and σ'' at 0, where they are conventions."""
    code, zero, one = ACTIVATIONS[activation], np.zeros((2, 3), dtype), np.ones((2, 3))
    slope, curvature = one.astype(dtype), zero.copy()
    module.multiply_slope(slope, zero, zero, code, PARAMS[code])
    module.differentiate_slope(
        curvature, slope * 0 + 1, slope * 0 + 1, *[zero] * 2, code
    )
    assert_close(slope, (SLOPES_AT_ZERO[activation] * one).astype(dtype))
    assert_close(curvature, (CURVATURES_AT_ZERO[activation] * one).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_activations_of_large_entries(activation, dtype):
    """No formula overflows on its way to a number that is there."""
    z = np.array([[30.0, 100, 800, 1e30, -30, -100, -800, -1e30]], dtype)
    code, a, one = ACTIVATIONS[activation], z.copy(), np.ones_like(z)
    assert_same("activate", [z], code, PARAMS[code])
    _reference.activate(a, code, PARAMS[code])
    assert np.isfinite(a).all()
    assert_same("multiply_slope", [one], a, z, code, PARAMS[code])
    assert_same("differentiate_slope", [one], one, one, a, z, code, PARAMS[code])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_a_number_for_each_output(loss, dtype):
    """Values, slopes and curvatures around 0 and ±κ, another κ for each output."""
    numbers = np.array([0.25, 0.5, 0.75], dtype)
    y = np.zeros((7, 3), dtype)
    z = np.array([[-2], [-1], [-0.5], [0], [0.5], [1], [2]], dtype) * numbers
    codes = LOSSES[loss], ACTIVATIONS["identity"]
    rest = z, y, np.ones(7, dtype), numbers, *codes
    assert_same("evaluate_head", [z, z], *rest)
    assert_same("differentiate_head", [z], draw(z.shape, dtype), *rest)


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_l1_does_not_move_a_weight_of_zero(module):
    params = np.array([-1.0, 0.0, 1.0])
    rule = build_rule("sgd", learning_rate=1.0)
    module.update(params, np.zeros(3), np.zeros((0, 3)), rule, 0.25, 0.0, 1.0, 1.0)
    np.testing.assert_array_equal(params, [-0.75, 0, 0.75])


@pytest.mark.parametrize("module", [_kernels, _reference])
def test_nothing_is_learnt_from_rows_without_weight(module):
    """J, gradient and Hessian product are 0, and are written."""
    case = Case([3, 4, 2], "tanh", ALL_HEADS[0], "sgd", "float64", spread=True)
    case.weights[:] = 0
    data = case.X, case.Y, case.weights, case.params
    rest = (case.plan, case.objective, case.numbers, 5)
    loss = module.compute_loss_and_gradient(
        case.grads, case.arena(5), *data, case.stats, *rest
    )
    assert loss == 0
    assert (case.grads == 0).all()
    case.grads[:] = np.nan
    arenas = case.arena(5), case.arena(5)
    module.multiply_hessian(case.grads, *arenas, *data, case.params, *rest)
    assert (case.grads == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[5, 4, 19, 3], [5, 19, 4, 33, 2]])
def test_normalised_layers_keep_their_own_moments(sizes, dtype):
    """The moments of a wide layer over a narrow one lie behind both of its own."""
    arguments = sizes, "tanh", ("squared_error", "identity"), "momentum", dtype
    for dropout in (0.0, 0.3):
        settings = {"batch_norm": True, "dropout": dropout}
        assert_same_training(arguments, settings, 6, 6)


@pytest.mark.parametrize(
    ("field", "layer", "size", "message"),
    [
        ("running", 0, 8, "running moments outside"),
        ("normalized", 0, None, "normalized outside"),
        ("z", 0, None, "z outside"),
        ("a", 0, None, "a outside"),
        ("outputs", 0, None, "outputs outside"),
        ("deltas", 0, None, "deltas outside"),
        ("deltas", 1, None, "too small"),
    ],
)
def test_a_block_ends_where_its_vector_ends(field, layer, size, message):
    """One entry further is refused."""
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64", batch_norm=True)
    widths = {"running": 8, "deltas": 2}
    arena = case.arena(5)
    size = len(arena) // 5 if size is None else size
    case.layers[field][layer] = size - widths.get(field, 4) + 1
    with pytest.raises(ValueError, match=message):
        case.train(_kernels, np.arange(5), 5, 5, arena)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dropout", 0.5, "neither normalisation nor dropout"),
        ("z", 3, "one block"),
        ("outputs", 3, "one block"),
    ],
)
def test_the_last_layer_is_plain(field, value, message):
    case = Case([3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64")
    case.layers[field][-1] = value
    with pytest.raises(ValueError, match=message):
        case.train(_kernels, np.arange(5), 5, 5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_arena_without_its_last_entry_is_too_small(batch_norm):
    case = Case(
        [3, 4, 2], "relu", ALL_HEADS[0], "sgd", "float64", batch_norm=batch_norm
    )
    arena = case.arena(5)
    with pytest.raises(ValueError, match="arena is too small"):
        case.train(_kernels, np.arange(5), 5, 5, arena[:-1])
    case.train(_kernels, np.arange(5), 5, 5, arena)
    without_inputs = arena[: -3 * 5]
    data = (case.X, case.Y, case.weights, case.params, case.stats, case.plan)
    rest = (case.objective, case.numbers, 5)
    with pytest.raises(ValueError, match="arena is too small"):
        _kernels.compute_loss(without_inputs[:-1], None, *data, *rest)
    assert np.isfinite(_kernels.compute_loss(without_inputs, None, *data, *rest))


def test_a_negative_seed_is_refused():
    case = Case([3, 2], "relu", ALL_HEADS[0], "sgd", "float64")
    case.rule["seed"] = -1
    with pytest.raises(ValueError, match="seed"):
        case.train(_kernels, np.arange(5), 5, 5)


@pytest.mark.parametrize(
    ("out", "V"), [((13, 4), (13, 2)), ((12, 3), (13, 2)), ((13, 3), (12, 2))]
)
def test_shapes_of_input_gradients_are_checked(out, V):
    case = Case([3, 4, 2], "tanh", ALL_HEADS[0], "sgd", "float64")
    arguments = case.X, np.zeros(V), case.params, case.stats, case.plan, 5
    with pytest.raises(ValueError, match="wrong shape"):
        _kernels.input_gradient(np.zeros(out), case.arena(5), *arguments)


@pytest.mark.parametrize(
    ("settings", "missing", "message"),
    [
        ({"spread": True}, 1, "different sizes"),
        ({}, 0, "apart"),
    ],
)
def test_what_hessian_products_need_is_checked(settings, missing, message):
    case = Case([3, 4, 2], "tanh", ALL_HEADS[0], "sgd", "float64", **settings)
    arena, r_arena = case.arena(5), case.arena(5)[: -missing or None]
    arguments = case.X, case.Y, case.weights, case.params, case.params, case.plan
    with pytest.raises(ValueError, match=message):
        _kernels.multiply_hessian(
            case.grads, arena, r_arena, *arguments, case.objective, case.numbers, 5
        )
