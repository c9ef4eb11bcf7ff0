"""Rows, targets, weights and parameters of every kind, good and bad, to be drawn."""

import dataclasses
import datetime
import functools
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import scipy.sparse
from hypothesis import strategies as st
from sklearn.utils._param_validation import Interval, make_constraint

# What a parameter, a number or a name may be by mistake.
ODD = (
    *(None, True, False, -1, 0, 1, 2, 7, 2**31, 2**63, 10**30, 10**400),
    *(0.5, -0.5, 1e-320, 1e300, float("nan"), float("inf"), -float("inf"), 1j),
    *("", "x", "relu", "1", b"x", (), [], {}, [1, 2], [0.5, 0.5], ["relu"], [None]),
    *([[1]], {1}, {"a": 1}, [1, "relu"], np.float32(0.5), np.int64(2), np.bool_(True)),
    *(np.array(2), np.array([0.1]), np.array([2, 1]), np.array(["relu", "tanh"])),
    *(np.array([[1.0]]), np.str_("relu"), Fraction(1, 2), Decimal("0.5"), object()),
    *(datetime.date(2020, 1, 1), np.datetime64("2020-01-01"), abs, int, np.float16),
)
NUMBERS = (
    *(0, 1, 2, 3, 5, 8, 0.0, 5e-324, 1e-12, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0, 1.5),
    *(10.0, 1e20, 1e300, sys.float_info.max),
)
odd = st.sampled_from(ODD)


def returning(value):
    """A function of any arguments, as a schedule or a scorer is."""

    def function(*arguments, **keywords):
        return value

    function.__qualname__ = f"returning {value!r}"
    return function


functions = st.builds(returning, st.sampled_from(NUMBERS) | odd)
PLAIN = {
    "boolean": st.booleans(),
    "verbose": st.sampled_from([False, True, 1]),
    "random_state": st.sampled_from([None, 0, 3, 2**32 - 1, 2**32]),
    "array-like": st.nothing(),
}


def valid_values(row):
    """What the table of parameters takes in that row."""
    found = [st.just(row.default)]
    for constraint in row.metadata["constraint"]:
        if isinstance(constraint, str):
            found.append(PLAIN[constraint])
        elif constraint is callable:
            found.append(functions)
        elif constraint in (list, tuple, dict, type, np.dtype, None):
            found.append(st.just(row.default))
        elif isinstance(constraint, Interval):
            taken = [v for v in NUMBERS if constraint.is_satisfied_by(v)]
            found.append(st.sampled_from(taken))
        else:
            options = sorted(make_constraint(constraint).options, key=str)
            found.append(st.sampled_from(options))
    return found


# Of these a large number would only take long, or much memory.
SMALL = {
    "max_iter": st.sampled_from([1, 2, 3]),
    "n_threads": st.sampled_from([None, 1, 2]),
    "callbacks": st.lists(functions, max_size=2),
    "class_weight": st.dictionaries(
        st.integers(0, 3) | st.sampled_from(["a", "b"]),
        st.sampled_from(NUMBERS) | odd,
        max_size=3,
    ),
    "dtype": st.sampled_from(["float32", np.float64, np.dtype("float32"), "<f4"]),
    "hidden_layer_sizes": st.lists(st.integers(1, 6), max_size=3),
}


def parameter_values(row):
    """A row's valid values, lists of them where those are taken, and odd ones."""
    single = st.one_of(valid_values(row))
    if row.name in SMALL:
        single = SMALL[row.name]
    if "array-like" in row.metadata["constraint"]:
        single |= st.lists(single, max_size=3)
    # One in four: a call with several odd ones is refused for the first.
    return st.one_of(single, single, single, odd)


# Strategies are kept: to build one takes longer than to draw from it.
@functools.cache
def parameters(cls):
    """Some of the parameters of an estimator."""
    rows = dataclasses.fields(cls)
    pairs = [st.tuples(st.just(row.name), parameter_values(row)) for row in rows]
    return st.lists(st.one_of(pairs), max_size=4).map(dict)


# -- rows


@st.composite
def numbers(draw, n_rows, n_columns):
    """A matrix of float64, mostly of moderate numbers."""
    random = np.random.RandomState(draw(st.integers(0, 999)))
    values = random.standard_normal((n_rows, n_columns))
    kind = draw(st.sampled_from(["normal", "normal", "normal", "few", "whole", "zero"]))
    if kind == "few":
        values *= random.rand(n_rows, n_columns) < 0.3
    elif kind == "whole":
        values = np.round(2 * values)
    elif kind == "zero":
        values[:] = 0
    return values


def _in_places(values, dtype=float, offset=0):
    """The same numbers so many bytes beside a boundary of their type."""
    room = np.zeros(values.nbytes + 16, np.uint8)
    array = room[offset:][: values.nbytes].view(dtype).reshape(values.shape)
    array[...] = values
    return array


def _strided(values):
    wide = np.full((2 * values.shape[0], 3 * values.shape[1]), np.nan)
    wide[::2, ::3] = values
    return wide[::2, ::3]


def _read_only(values):
    twin = values.copy()
    twin.flags.writeable = False
    return twin


def _doubled(values):
    """Every entry in two halves, the columns in descending order."""
    rows, columns = np.nonzero(values)
    order = np.lexsort((-columns, rows))
    rows, columns = np.repeat(rows[order], 2), np.repeat(columns[order], 2)
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    halves = values[rows, columns] / 2
    return scipy.sparse.csr_array((halves, columns, ends), shape=values.shape)


def _of_large_indices(values, form):
    X = scipy.sparse.csr_array(values).asformat(form)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


# The same numbers in other clothes: each must be understood, to the same result.
FORMS = {
    "array": lambda v: v,
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(map(tuple, v.tolist())),
    "fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda v: v[::-1].copy()[::-1],
    "read-only": _read_only,
    "unaligned": lambda v: _in_places(v, offset=3),
    "big endian": lambda v: v.astype(">f8"),
    "object": lambda v: v.astype(object),
    "long": lambda v: v.astype(np.longdouble),
    "frame": pd.DataFrame,
    "memoryview": memoryview,
    "csr": scipy.sparse.csr_array,
    "csr matrix": scipy.sparse.csr_matrix,
    "csc": scipy.sparse.csc_array,
    "coo": scipy.sparse.coo_array,
    "bsr": scipy.sparse.bsr_array,
    "lil": scipy.sparse.lil_array,
    "dok": scipy.sparse.dok_array,
    "dia": scipy.sparse.dia_array,
    "doubled": _doubled,
    "csr of int64": lambda v: _of_large_indices(v, "csr"),
    "csc of int64": lambda v: _of_large_indices(v, "csc"),
}
# Types that hold fewer numbers: the result is that of what they hold.
NARROW = ("float32", "float16", "int64", "int8", "uint8", "bool")


def _with(value):
    def put(values):
        twin = values.copy()
        if twin.size:
            twin[np.unravel_index(twin.size // 2, twin.shape)] = value
        return twin

    return put


def _of_objects(value):
    return lambda v: _with(value)(v.astype(object))


# What is no matrix of finite numbers. Some calls take some of them.
WRONG = {
    "nan": _with(np.nan),
    "inf": _with(np.inf),
    "-inf": _with(-np.inf),
    "large": _with(1e300),
    "all large": lambda v: np.full(v.shape, sys.float_info.max),
    "tiny": lambda v: v * 1e-310,
    "None": lambda v: None,
    "a number": lambda v: 1.5,
    "a string": lambda v: "rows",
    "a dict": lambda v: {"a": 1},
    "a set": lambda v: {1, 2},
    "a generator": lambda v: iter(v.tolist()),
    "an object": lambda v: object(),
    "1-D": lambda v: v.ravel(),
    "3-D": lambda v: v[:, :, np.newaxis],
    "0-D": lambda v: np.array(1.0),
    "turned": lambda v: v.T,
    "no rows": lambda v: v[:0],
    "no columns": lambda v: v[:, :0],
    "a row less": lambda v: v[1:],
    "a column more": lambda v: np.hstack([v, v[:, :1]]),
    "strings": lambda v: v.astype(str),
    "words": lambda v: np.full(v.shape, "x"),
    "bytes": lambda v: v.astype("S8"),
    "complex": lambda v: v + 1j,
    "dates": lambda v: np.full(v.shape, np.datetime64("2020-01-01")),
    "spans": lambda v: np.full(v.shape, np.timedelta64(3, "s")),
    "records": lambda v: np.zeros(v.shape, [("a", float), ("b", int)]),
    "matrix": lambda v: np.asmatrix(v),
    "masked": lambda v: np.ma.masked_array(v, v > 1),
    "ragged": lambda v: [row[: 1 + i % 2] for i, row in enumerate(v.tolist())],
    "objects of None": _of_objects(None),
    "objects of words": _of_objects("x"),
    "large integers": _of_objects(10**400),
    "arrays within": _of_objects(np.ones(2)),
    "frame of words": lambda v: pd.DataFrame(v.astype(str)).assign(a="x"),
    "sparse nan": lambda v: scipy.sparse.csr_array(_with(np.nan)(v)),
    "sparse complex": lambda v: scipy.sparse.csr_array(v + 1j),
    "sparse bool": lambda v: scipy.sparse.csr_array(v > 0),
    "sparse vector": lambda v: scipy.sparse.coo_array(v.ravel()),
}


@functools.cache
def in_forms(forms, n_rows, n_columns):
    """Matrices, each with its form and its numbers."""
    return st.tuples(st.sampled_from(sorted(forms)), numbers(n_rows, n_columns))


def made(form, values):
    """The numbers in a form of one of the three tables."""
    if form in NARROW:
        return (
            values.astype("int64").astype(form)
            if form[0] in "iu"
            else (values.astype(form))
        )
    with np.errstate(all="ignore"):
        return {**FORMS, **WRONG}[form](values)


@functools.cache
def any_rows(n_rows, n_columns):
    """Rows in any form, every other one in a good form."""
    good = in_forms((*FORMS, *NARROW), n_rows, n_columns)
    wrong = in_forms((*WRONG,), n_rows, n_columns)
    return st.one_of(good, good, wrong).map(lambda case: made(*case))


# -- targets and weights

LABELS = {
    "binary": lambda n: np.arange(n) % 2,
    "three": lambda n: np.arange(n) % 3,
    "one": lambda n: np.zeros(n, int),
    "bool": lambda n: np.arange(n) % 2 == 0,
    "strings": lambda n: np.array(["a", "b", "c"])[np.arange(n) % 3],
    "objects": lambda n: np.array(["a", "b"], object)[np.arange(n) % 2],
    "list": lambda n: ["a" if i % 2 else "b" for i in range(n)],
    "floats": lambda n: np.arange(n) % 3 * 1.0,
    "large": lambda n: np.array([2**63, 2**64 - 1], np.uint64)[np.arange(n) % 2],
    "negative": lambda n: np.arange(n) % 2 - 5,
    "column": lambda n: np.arange(n)[:, np.newaxis] % 2,
    "labels": lambda n: np.stack([np.arange(n) % 2, np.arange(n) % 3 > 0], axis=1) * 1,
    "sparse labels": lambda n: scipy.sparse.csr_array(np.eye(n, 2, dtype=int)),
    "each another": np.arange,
    "a series": lambda n: pd.Series(np.arange(n) % 2, index=np.arange(n)[::-1]),
    "mixed": lambda n: np.array([1, "a"], object)[np.arange(n) % 2],
    "dates": lambda n: np.array(["2020", "2021"], "M8[Y]")[np.arange(n) % 2],
}
TARGETS = {
    "ramp": lambda n: np.linspace(0.1, 1.0, n),
    "negative": lambda n: np.linspace(-1.0, 1.0, n),
    "counts": lambda n: np.arange(n) % 4,
    "two": lambda n: np.linspace(0.1, 1.0, 2 * n).reshape(n, 2),
    "list": lambda n: [0.5] * n,
    "float32": lambda n: np.linspace(0.1, 1.0, n, dtype=np.float32),
    "object": lambda n: np.linspace(0.1, 1.0, n).astype(object),
    "huge": lambda n: np.full(n, 1e300),
    "large": lambda n: np.array([2**64 - 1] * n, np.uint64),
    "sparse": lambda n: scipy.sparse.csr_array(np.eye(n, 2)),
    "bool": lambda n: np.arange(n) % 2 == 0,
    "integers too large": lambda n: np.array([10**400] * n, object),
    "3-D": lambda n: np.zeros((n, 2, 2)),
    "no columns": lambda n: np.zeros((n, 0)),
}
WEIGHTS = {
    "ones": np.ones,
    "ramp": lambda n: np.linspace(0.5, 2.0, n),
    "zeros": np.zeros,
    "one that counts": lambda n: np.eye(1, n)[0],
    "negative": lambda n: np.linspace(-1.0, 1.0, n),
    "list": lambda n: [1] * n,
    "float32": lambda n: np.ones(n, np.float32),
    "bool": lambda n: np.arange(n) % 2 == 0,
    "huge": lambda n: np.full(n, 1e300),
    "tiny": lambda n: np.full(n, 1e-310),
    "a number": lambda n: 2.0,
    "column": lambda n: np.ones((n, 1)),
    "strings": lambda n: ["1"] * n,
    "short": lambda n: np.ones(n - 1),
    "a series": lambda n: pd.Series(np.ones(n)),
    "sparse": lambda n: scipy.sparse.csr_array(np.ones((n, 1))),
}
VECTORS = {"labels": LABELS, "targets": TARGETS, "weights": WEIGHTS}


@functools.cache
def vectors(name, n_rows):
    """An entry of a table for so many rows, or in one of six what is no vector."""
    table = VECTORS[name]
    good = st.sampled_from(sorted(table)).map(lambda name: table[name](n_rows))
    wrong = any_rows(n_rows, 1) | odd
    return st.one_of(good, good, good, good, good, wrong)
