"""What a table's columns become, by the formulas."""

import numpy as np
import pandas as pd
import pytest

from fastmlp.tabular.columns import read_table
from fastmlp.tabular.preprocessing import MOST_LEVELS, TablePreprocessor


def transform(fitted_to, X, categorical_features="from_dtype"):
    preprocessor = TablePreprocessor.fit(read_table(fitted_to), categorical_features)
    return preprocessor.transform(read_table(X))


def clip(x):
    return x / np.sqrt(1 + (x / 3) ** 2)


def test_numbers_are_centred_divided_by_their_spread_and_clipped():
    values = np.random.RandomState(0).standard_cauchy((101, 1)) * 50 + 1000
    low, median, high = np.percentile(values, [25, 50, 75])
    expected = clip((values - median) / (high - low))
    np.testing.assert_allclose(transform(values, values), expected, 1e-5, 1e-7)
    assert np.abs(transform(values, [[1e300], [-1e300]])) == pytest.approx(3)


def test_without_a_spread_in_the_middle_it_is_the_standard_deviation():
    values = np.array([[0.0]] * 9 + [[10.0]])
    assert transform(values, [[10.0]]) == pytest.approx(clip(10 / values.std()))


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e307])
def test_numbers_of_any_size_do_not_overflow(scale):
    values = np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0], [1.5]])
    with np.errstate(all="raise", under="ignore"):
        scaled = transform(values * scale, values * scale)
    np.testing.assert_allclose(scaled, transform(values, values), 1e-5, 1e-7)


def test_missing_numbers_are_the_median_and_marked_if_training_had_some():
    values = np.array([[1.0], [2.0], [np.nan], [3.0], [6.0]])
    with_mark = transform(values, values)
    assert with_mark.shape == (5, 2)
    np.testing.assert_array_equal(with_mark[:, 1], [0, 0, 1, 0, 0])
    assert with_mark[2, 0] == 0
    known = values[[0, 1, 3, 4]]
    assert transform(known, values[2:3]).tolist() == [[0]]


def test_wide_integers_differ_by_what_they_differ():
    values = np.array([[2**62 + j] for j in range(11)])
    expected = clip((np.arange(11) - 5) / 5)
    np.testing.assert_allclose(transform(values, values)[:, 0], expected, 1e-6)


@pytest.mark.parametrize("column", [[7.0] * 3, ["a"] * 3, [None] * 3, [True] * 3])
def test_constant_columns_become_nothing(column):
    X = np.array([column, [1, 2, 3]], dtype=object).T
    is_empty = column[0] is None
    assert transform(X, X).shape == (3, 2 if is_empty else 1)


def test_two_levels_are_one_input():
    X = np.array([["no"], ["yes"], ["no"], [None]], dtype=object)
    coded = transform(X, [["yes"], ["no"], [None], ["maybe"]])[:, 0]
    assert sorted(coded[:2]) == [-1, 1]
    assert coded[2] == coded[3] == 0


def test_several_levels_are_one_hot():
    X = np.array([["a"], ["b"], ["c"], ["a"]], dtype=object)
    coded = transform(X, [["a"], ["b"], ["c"], [None], ["new"]])
    np.testing.assert_array_equal(coded.sum(axis=1), [1, 1, 1, 0, 0])
    assert len(np.unique(coded[:3], axis=0)) == 3


def test_rare_levels_share_an_input_with_new_ones():
    names = [f"n{j}" for j in range(MOST_LEVELS) for _ in range(2)] + ["rare", "rarer"]
    X = np.array(names, dtype=object)[:, None]
    coded = transform(X, [["rare"], ["new"], ["n3"], [None]])
    assert coded.shape == (4, MOST_LEVELS + 1)
    np.testing.assert_array_equal(coded[0], coded[1])
    assert coded[0].sum() == coded[2].sum() == 1
    assert coded[3].sum() == 0


@pytest.mark.parametrize(
    "chosen", [[1], ["b"], [False, True, False], np.array([1]), pd.Index(["b"])]
)
def test_categories_by_name_index_or_mask(chosen):
    frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [1, 5, 9], "c": ["u", "v", "w"]})
    assert transform(frame, frame, chosen).shape == (3, 1 + 3 + 3)
    assert transform(frame, frame).shape == (3, 1 + 1 + 3)
    assert transform(frame, frame, None).shape == (3, 1 + 1 + 3)


def test_a_declared_category_of_numbers_is_numbers_where_others_are_chosen():
    frame = pd.DataFrame({"a": pd.Categorical([1, 5, 9]), "b": [1, 2, 3]})
    assert transform(frame, frame).shape == (3, 3 + 1)
    assert transform(frame, frame, ["b"]).shape == (3, 1 + 3)


@pytest.mark.parametrize(
    ("chosen", "match"),
    [
        ("all", "from_dtype"),
        ([2], "has columns 0 to 1"),
        ([-1], "has columns 0 to 1"),
        ([True], "mask of 1"),
        (["c"], "not columns of X"),
        ([0.5], "list of names"),
    ],
)
def test_categories_that_are_no_columns(chosen, match):
    frame = pd.DataFrame({"a": [1.0, 2], "b": [1, 5]})
    with pytest.raises(ValueError, match=match):
        transform(frame, frame, chosen)


def test_levels_are_the_same_in_another_type():
    integers = np.array([[1], [2], [3]])
    as_strings = np.array([["1"], ["2"], ["3"]], dtype=object)
    floats = np.array([[1.0], [2.0], [3.0]])
    expected = transform(integers, integers, [0])
    np.testing.assert_array_equal(transform(integers, as_strings, [0]), expected)
    np.testing.assert_array_equal(transform(integers, floats, [0]), expected)
    booleans = np.array([[True], [False]])
    np.testing.assert_array_equal(transform(booleans, [[1], [0]]).ravel(), [1, -1])


def test_numbers_may_come_as_strings_but_not_as_words():
    numbers = np.array([[1.0], [2.0], [4.0]])
    again = np.array([["2"], [None]], dtype=object)
    np.testing.assert_array_equal(transform(numbers, again), [[0], [0]])
    with pytest.raises(ValueError, match=r"column 'x0' was of numbers.*'many'"):
        transform(numbers, [["many"]])


def test_nothing_is_learnt_from_what_is_transformed():
    X = np.random.RandomState(0).normal(size=(50, 3))
    shifted = np.vstack([X[:2], X[:2] + 1000])
    np.testing.assert_array_equal(transform(X, shifted)[:2], transform(X, X[:2]))


def test_facts_bring_it_back():
    frame = pd.DataFrame(
        {"a": [1.0, None, 3], "b": ["u", "v", None], "c": [2**60, 2**60 + 1, 5]}
    )
    preprocessor = TablePreprocessor.fit(read_table(frame), "from_dtype")
    again = TablePreprocessor.from_facts(preprocessor.to_facts())
    table = read_table(frame)
    np.testing.assert_array_equal(again.transform(table), preprocessor.transform(table))


@pytest.mark.parametrize(
    ("name", "value"),
    [("spread", -1.0), ("spread", np.inf), ("median", "0"), ("origin", 0.5)],
)
def test_facts_that_are_invalid(name, value):
    facts = TablePreprocessor.fit(read_table([[1], [2]]), "from_dtype").to_facts()
    facts[0][name] = value
    with pytest.raises(ValueError, match="invalid"):
        TablePreprocessor.from_facts(facts)
