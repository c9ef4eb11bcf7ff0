"""Temperatures and intervals, by closed forms and by their promises."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from scipy.stats import norm

from fastmlp.tabular.calibration import (
    DOUBT,
    TEMPERATURES,
    as_probabilities,
    fit_temperature,
    jackknife_interval,
    narrowing,
)
from fastmlp.tabular.members import partition_into_folds


def draw_classes(n, temperature, seed=0):
    """Logits, and classes drawn from them divided by a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (n, 3))
    P = softmax(logits / temperature, axis=1)
    classes = (rng.random((n, 1)) > P.cumsum(axis=1)).sum(axis=1)
    return logits, classes[:, None].astype(np.float32)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_the_temperature_of_drawn_classes_is_found(temperature):
    logits, Y = draw_classes(20_000, temperature)
    found, loss = fit_temperature(logits, Y, None, exclusive=True)
    assert found == pytest.approx(temperature, rel=0.05)
    soft = (1 - DOUBT) * np.eye(3)[Y[:, 0].astype(int)] + DOUBT / 3
    log_p = log_softmax(logits / found, axis=1)
    assert loss == pytest.approx(-(soft * log_p).sum(axis=1).mean())


def test_the_temperature_of_labels_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (20_000, 2))
    Y = (rng.random(logits.shape) < expit(logits / 2)).astype(np.float32)
    assert fit_temperature(logits, Y, None, False)[0] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("exclusive", [True, False])
def test_rows_that_are_all_right_leave_some_doubt(exclusive):
    """Of two classes z apart the least loss is at 1 − p = DOUBT/2."""
    logits = np.array([[4.0, -4.0], [-4.0, 4.0]])
    Y = np.array([[0.0], [1.0]]) if exclusive else (logits > 0).astype(float)
    found, _ = fit_temperature(logits, Y, None, exclusive)
    assert TEMPERATURES[0] < found < TEMPERATURES[1]
    wrong = as_probabilities(logits, found, exclusive).min()
    assert wrong == pytest.approx(DOUBT / 2, rel=0.1)


def test_weights_count_as_repetitions():
    logits, Y = draw_classes(300, 2.0)
    weights = np.random.default_rng(1).integers(0, 4, 300)
    repeated = np.repeat(np.arange(300), weights)
    np.testing.assert_allclose(
        fit_temperature(logits, Y, weights, True),
        fit_temperature(logits[repeated], Y[repeated], None, True),
    )


def test_probabilities_are_those_of_the_divided_logits():
    logits = np.array([[1.0, 3.0, -2.0]], dtype=np.float32)
    P = as_probabilities(logits, 2.0, exclusive=True)
    np.testing.assert_allclose(P, softmax(logits / 2.0, axis=1), 1e-6)
    P = as_probabilities(logits, 2.0, exclusive=False)
    np.testing.assert_allclose(P, expit(logits / 2.0), 1e-6)


def test_one_member_gives_the_split_conformal_interval():
    residuals = np.arange(1.0, 20.0)
    interval = jackknife_interval(np.array([[10.0, 20.0]]), [residuals], 0.9)
    # The 18th of 19: ⌈0.9 · 20⌉.
    np.testing.assert_array_equal(interval, [[-8, 28], [2, 38]])


def test_members_are_paired_with_their_own_residuals():
    rng = np.random.default_rng(0)
    predictions = rng.normal(size=(3, 7))
    residuals = [rng.exponential(size=n) for n in (5, 9, 11)]
    interval = jackknife_interval(predictions, residuals, 0.8)
    rank = int(np.ceil(0.8 * 26))
    for row in range(7):
        pairs = [(predictions[k, row], r) for k in range(3) for r in residuals[k]]
        assert interval[row, 1] == sorted(f + r for f, r in pairs)[rank - 1]
        assert interval[row, 0] == -sorted(r - f for f, r in pairs)[rank - 1]


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_new_targets_lie_inside_as_often_as_promised(coverage):
    """Members that differ, noise without a shape: the share over many draws."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(200):
        bias = rng.normal(0, 0.15, (4, 1))
        residuals = [np.abs(rng.standard_t(3, 50) - b) for b in bias]
        interval = jackknife_interval(np.repeat(bias, 200, 1), residuals, coverage)
        y = rng.standard_t(3, 200)
        inside.append(np.mean((interval[:, 0] <= y) & (y <= interval[:, 1])))
    assert np.mean(inside) == pytest.approx(coverage, abs=0.02)


@pytest.mark.parametrize("members_err", [0.1, 0.5, 1.0])
def test_narrowed_intervals_are_as_wide_as_residuals_say(members_err):
    """Normal errors, of noise and of members, of which the mean of four has half."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(40):
        residuals = [np.abs(rng.normal(0, np.hypot(1, members_err), 400))] * 4
        members = rng.normal(0, members_err, (4, 400))
        factor = narrowing(
            np.mean(np.square(residuals), keepdims=True)[0],
            members.var(axis=0).mean(keepdims=True),
        )
        ends = factor * jackknife_interval(
            members - members.mean(axis=0), residuals, 0.9
        )
        off = rng.normal(0, 1, 400) - members.mean(axis=0)
        inside.append(np.mean((ends[:, 0] <= off) & (off <= ends[:, 1])))
    width = norm.ppf(0.95) * np.hypot(1, members_err)
    expected = 1 - 2 * norm.sf(width / np.hypot(1, members_err / 2))
    assert np.mean(inside) == pytest.approx(expected, abs=0.01)


def test_narrowing_takes_out_the_variance_that_residuals_hold_already():
    factor = narrowing(np.array([5.0, 0.0]), np.array([4.0, 0.0]))
    # 5 / (5 + 4). Members that agree and are right leave the ends as they are.
    np.testing.assert_allclose(factor, [np.sqrt(5 / 9), 1.0])


def test_too_few_residuals_for_a_coverage():
    with pytest.raises(ValueError, match="needs at least 19 held-out rows"):
        jackknife_interval(np.zeros((1, 1)), [np.ones(18)], 0.95)
    jackknife_interval(np.zeros((1, 1)), [np.ones(19)], 0.95)


def test_folds_hold_every_row_once_and_every_class_evenly():
    y = np.repeat([0, 1, 2], [50, 21, 9])
    folds = partition_into_folds(8, y, len(y), np.random.RandomState(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(80))
    counts = np.array([np.bincount(y[fold], minlength=3) for fold in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert {len(fold) for fold in folds} == {10}
