"""Tables as columns: the same from every library, and what is refused."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastmlp.tabular.columns import Levels, Numbers, key_of, read_table

NUMBERS = [1.5, None, -2.0, 4.0]
WHOLE = [3, 1, None, 3]
TEXT = ["b", "a", None, "b"]
FLAGS = [True, None, False, True]


def in_pandas():
    return pd.DataFrame(
        {
            "numbers": NUMBERS,
            "whole": pd.array(WHOLE, dtype="Int64"),
            "text": pd.Series(TEXT, dtype=object),
            "category": pd.Categorical(TEXT, categories=["z", "a", "b"]),
            "flags": pd.array(FLAGS, dtype="boolean"),
        }
    )


def in_polars():
    category = pl.Series("category", TEXT, dtype=pl.Categorical)
    columns = {"numbers": NUMBERS, "whole": WHOLE, "text": TEXT}
    return pl.DataFrame({**columns, "category": category, "flags": FLAGS})


def in_arrow():
    arrow = pytest.importorskip("pyarrow")
    category = arrow.array(TEXT).dictionary_encode()
    columns = {"numbers": NUMBERS, "whole": WHOLE, "text": TEXT}
    return arrow.table({**columns, "category": category, "flags": FLAGS})


def in_numpy():
    columns = [NUMBERS, WHOLE, TEXT, TEXT, FLAGS]
    table = np.empty((4, 5), dtype=object)
    for j, column in enumerate(columns):
        table[:, j] = column
    return table


def words(column):
    """A column of levels as strings."""
    return [None if code < 0 else column.levels[code] for code in column.codes]


@pytest.mark.parametrize("make", [in_pandas, in_polars, in_arrow, in_numpy])
def test_every_library_gives_the_same_columns(make):
    table = read_table(make())
    numbers, whole, text, category, flags = table.columns
    np.testing.assert_array_equal(numbers.values, [1.5, np.nan, -2, 4])
    np.testing.assert_array_equal(whole.values, [3, 1, np.nan, 3])
    assert words(text) == words(category) == TEXT
    assert words(flags) == ["1", None, "0", "1"]
    if make is not in_numpy:
        assert table.names == ["numbers", "whole", "text", "category", "flags"]
        assert category.declared


@pytest.mark.parametrize(
    "missing", [None, np.nan, pd.NA, pd.NaT, np.float32("nan"), decimal.Decimal("NaN")]
)
def test_what_is_missing(missing):
    for values, kind in ([2, missing, 3.5], Numbers), (["a", missing, "b"], Levels):
        column = np.array([[value] for value in values], dtype=object)
        (read,) = read_table(column).columns
        assert isinstance(read, kind)
        if kind is Numbers:
            np.testing.assert_array_equal(read.values, [2, np.nan, 3.5])
        else:
            assert words(read) == ["a", None, "b"]


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "u8", "f2", "f4", "f8", "g"])
def test_numbers_of_every_type(dtype):
    X = np.arange(6).reshape(3, 2).astype(dtype)
    for j, column in enumerate(read_table(X).columns):
        np.testing.assert_array_equal(column.values, X[:, j].astype(float))


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, object])
def test_wide_integers_are_not_rounded(dtype):
    exact = [2**62 + 1, 2**62 + 2, 2**62 + 4]
    (column,) = read_table(np.array(exact, dtype=dtype)[:, None]).columns
    assert column.values.tolist() == exact


def test_a_column_of_a_frame_may_have_wide_integers_and_gaps():
    frame = pd.DataFrame({"id": pd.array([2**60 + 1, None], dtype="Int64")})
    (column,) = read_table(frame).columns
    assert column.values[0] == 2**60 + 1
    assert np.isnan(column.values[1])


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"d": pd.to_datetime(["2020-01-01"])}),
        pd.DataFrame({"d": pd.to_datetime(["2020-01-01"]).tz_localize("UTC")}),
        pd.DataFrame({"d": pd.period_range("2020", periods=1, freq="D")}),
        pd.DataFrame({"d": pd.to_timedelta([1], unit="s")}),
        pd.DataFrame({"d": pd.Categorical(pd.to_datetime(["2020-01-01"]))}),
        pl.DataFrame({"d": [datetime.date(2020, 1, 1)]}),
        pl.DataFrame({"d": [datetime.timedelta(1)]}),
        np.array([["2020-01-01"]], dtype="M8[D]"),
        np.array([[datetime.date(2020, 1, 1)]], dtype=object),
        [[datetime.time(12)]],
    ],
    ids=str,
)
def test_dates_are_refused_with_a_hint(X):
    with pytest.raises(TypeError, match=r"dates.*convert them to numbers"):
        read_table(X)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.array([[1 + 2j]]), ValueError, "Complex data not supported"),
        (np.array([[{"a": 1}]], dtype=object), TypeError, "string or a number"),
        ([["a", [1]], ["b", [2, 3]]], (TypeError, ValueError), "sequence|string"),
        (np.array([1.0, 2.0]), ValueError, "Expected 2D array"),
        (np.zeros((1, 1, 1)), ValueError, "Expected 2D array"),
        (np.zeros((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.zeros((3, 0)), ValueError, r"0 feature\(s\)"),
        (np.array([[np.inf]]), ValueError, "infinity"),
        (np.array([[10**400]], dtype=object), ValueError, "too large"),
        (np.zeros(2, dtype=[("a", "f8")]).reshape(1, 2), TypeError, "records"),
    ],
    ids=str,
)
def test_what_is_no_table(X, error, match):
    with pytest.raises(error, match=match):
        read_table(X)


def test_levels_have_one_key_for_each_value():
    same = [1, 1.0, True, np.int8(1), np.float32(1), np.bool_(True), "1", b"1"]
    assert {key_of(value) for value in same} == {"1"}
    assert key_of(2**70) == str(2**70)
    assert key_of(0.1) == "0.1"


def test_a_list_of_rows_keeps_numbers_beside_strings():
    numbers, text = read_table([[1, "a"], [2.5, "b"]]).columns
    np.testing.assert_array_equal(numbers.values, [1, 2.5])
    assert words(text) == ["a", "b"]


def test_frames_without_string_names_and_with_twins_are_read():
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    table = read_table(frame)
    assert [column.values.tolist() for column in table.columns] == [[1, 3], [2, 4]]
    assert read_table(pd.DataFrame([[1, 2]])).names == ["0", "1"]


def test_what_is_masked_is_missing():
    masked = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]])
    first, second = read_table(masked).columns
    np.testing.assert_array_equal(first.values, [1, 3])
    np.testing.assert_array_equal(second.values, [np.nan, 4])
