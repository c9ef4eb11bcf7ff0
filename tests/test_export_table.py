"""Estimators of tables as ONNX, beside predict and predict_proba."""

import numpy as np
import pandas as pd
import pytest

import fastmlp
from fastmlp import Network, TabularClassifier, TabularRegressor
from fastmlp.export import onnx as target
from fastmlp.export._model import read_layers
from fastmlp.layers import CategoryEmbedding, PeriodicEmbedding, Scale

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 3, "n_members": 2, "random_state": 0}
WIDE = 2**60


def frame(n=150, seed=0):
    """A column of every sort, with gaps."""
    rng = np.random.default_rng(seed)

    def gaps(values, missing):
        return np.where(rng.random(n) < 0.1, missing, np.asarray(values, object))

    many = [f"level {k}" for k in rng.geometric(0.02, n)]
    return pd.DataFrame(
        {
            "number": gaps(rng.normal(size=n), np.nan).astype(float),
            "whole": rng.integers(-5, 5, n),
            "float32": rng.normal(1000, 1, n).astype(np.float32),
            "huge": rng.normal(size=n) * 1e300,
            "wide": WIDE + rng.integers(-1000, 1000, n),
            "constant": np.full(n, 3.0),
            "colour": gaps(rng.choice(["red", "grün", "blue"], n), None),
            "two": gaps(rng.choice(["yes", "no"], n), None),
            "many": gaps(many, None),
            "codes": pd.Categorical(rng.integers(0, 4, n)),
            "many codes": pd.Categorical(gaps(rng.geometric(0.02, n), None)),
            "flag": rng.random(n) < 0.5,
            "gap flag": pd.array(gaps(rng.random(n) < 0.5, None), "boolean"),
            "same": np.full(n, "same"),
        }
    )


X, OTHERS = frame(), frame(seed=1)
# Levels that were not seen, and numbers far away.
OTHERS.loc[:3, "colour"] = "violet"
OTHERS.loc[:3, "many"] = "level that is new"
OTHERS.loc[:3, "number"] = [1e300, -1e300, 5.0, np.nan]
OTHERS.loc[:3, "same"] = "another"
OTHERS["many codes"] = OTHERS["many codes"].cat.add_categories([7777])
OTHERS.loc[:3, "many codes"] = 7777
LABELS = np.where(np.arange(150) % 3 == 0, "é", "b")
NUMBERS = X["whole"].to_numpy() * 100.0 + X["float32"].to_numpy()


def feeds(session, table):
    """What a session takes of a frame, by the types that it declares."""
    found = {}
    for given in session.get_inputs():
        column = table[given.name]
        if given.type == "tensor(string)":
            values = column.astype(object).where(column.notna(), "").to_numpy(object)
        elif given.type == "tensor(int64)":
            values = column.to_numpy(np.int64)
        else:
            values = column.astype(object).where(column.notna(), np.nan)
            values = values.to_numpy(np.float64)
        found[given.name] = values.reshape(-1, 1)
    return found


def run(est, table):
    session = runtime.InferenceSession(fastmlp.to_onnx(est).SerializeToString())
    given = feeds(session, table) if hasattr(table, "columns") else {"X": table}
    names = [result.name for result in session.get_outputs()]
    return dict(zip(names, session.run(None, given), strict=True))


def check(est, *tables):
    for table in tables:
        found = run(est, table)
        if isinstance(est, TabularRegressor):
            expected = est.predict(table)
            assert found["predictions"].shape == expected.shape
            np.testing.assert_allclose(found["predictions"], expected, 1e-5, 1e-5)
            continue
        expected = est.predict_proba(table)
        np.testing.assert_allclose(found["probabilities"], expected, rtol=0, atol=1e-5)
        sure = np.abs(expected.reshape(-1) - 0.5).min() > 1e-5
        assert sure
        np.testing.assert_array_equal(found["label"], est.predict(table))


@pytest.mark.parametrize("n_members", [1, 4])
def test_every_sort_of_column(n_members):
    settings = SMALL | {"n_members": n_members}
    check(TabularClassifier(**settings).fit(X, LABELS), X, OTHERS)
    check(TabularRegressor(**settings).fit(X, NUMBERS), X, OTHERS)


TARGETS = {
    "classes": (TabularClassifier, {}, np.arange(150) % 3 - 1),
    "booleans": (TabularClassifier, {}, LABELS == "b"),
    "labels": (TabularClassifier, {}, np.column_stack([LABELS == "b", NUMBERS > 0])),
    "targets": (TabularRegressor, {}, np.column_stack([NUMBERS, -3 * NUMBERS])),
    "quantiles": (
        TabularRegressor,
        {"loss": "quantile", "quantile": [0.9, 0.1, 0.5]},
        NUMBERS,
    ),
    "huber": (TabularRegressor, {"loss": "huber", "activation": "selu"}, NUMBERS),
    "no layer but one": (TabularRegressor, {"activation": "gelu"}, NUMBERS),
}


@pytest.mark.parametrize("case", TARGETS)
def test_every_sort_of_target(case):
    cls, settings, y = TARGETS[case]
    y = y.astype(int) if case == "labels" else y
    check(cls(**SMALL | settings).fit(X, y), OTHERS)


def test_numbers_of_numpy_are_one_input():
    numbers = np.random.default_rng(0).normal(size=(150, 3))
    numbers[::7, 1] = np.nan
    for dtype in np.float64, np.float32:
        est = TabularRegressor(**SMALL).fit(numbers.astype(dtype), NUMBERS)
        check(est, numbers.astype(dtype).astype(np.float64))


def test_columns_without_names_are_numbered():
    table = X[["number", "colour"]].to_numpy(object)
    est = TabularClassifier(**SMALL).fit(table, LABELS)
    named = X[["number", "colour"]].set_axis(["x0", "x1"], axis=1)
    found = run(est, named)["probabilities"]
    np.testing.assert_allclose(found, est.predict_proba(table), rtol=0, atol=1e-5)


def test_constant_columns_only():
    table = X[["same", "constant"]]
    check(TabularRegressor(**SMALL).fit(table, NUMBERS), table[:5])


def test_an_empty_string_that_is_a_category():
    table = pd.DataFrame({"a": np.array(["", "b", "c"] * 50, object)})
    check(TabularClassifier(**SMALL).fit(table, LABELS), table)


def test_whole_numbers_with_gaps():
    table = pd.DataFrame({"id": pd.array(X["wide"].to_numpy(), "Int64")})
    table.loc[::9, "id"] = pd.NA
    est = TabularRegressor(**SMALL).fit(table, NUMBERS)
    least = table.fillna({"id": -(2**63)})
    found = run(est, least)["predictions"]
    np.testing.assert_allclose(found, est.predict(table), 1e-5)


def test_whole_numbers_that_no_tensor_holds():
    table = pd.DataFrame({"id": np.arange(150, dtype=np.uint64) + np.uint64(2**63)})
    est = TabularRegressor(**SMALL).fit(table, NUMBERS)
    with pytest.raises(ValueError, match="64 bits"):
        fastmlp.to_onnx(est)


@pytest.mark.parametrize("names", [["label", "b"], ["", "b"]])
def test_names_that_a_graph_cannot_have(names):
    table = X[["number", "whole"]].set_axis(names, axis=1)
    est = TabularClassifier(**SMALL).fit(table, LABELS)
    with pytest.raises(ValueError, match="names of their own"):
        fastmlp.to_onnx(est)


def test_names_like_those_of_nodes():
    table = X[["number", "colour"]].set_axis(["fastmlp_Concat_1", "constant_0"], axis=1)
    check(TabularClassifier(**SMALL).fit(table, LABELS), table)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_of_columns(dtype):
    """Networks with embeddings, beside their own predictions."""
    sizes = [9, CategoryEmbedding(2, 5, 3), PeriodicEmbedding(6, 7, 4), Scale(), 8, 2]
    network = Network(sizes, dtype=dtype, random_state=0)
    network.weights[2] = np.linspace(-1, 2, network.weights[2].size)
    rows = np.random.default_rng(0).normal(size=(20, 9)).astype(dtype)
    rows[:, 7:] = np.random.default_rng(1).integers(-2, 8, (20, 2)) + 0.25
    rows[3, 8] = np.nan
    nodes = target.Nodes(network.dtype)
    model = type("Model", (), {"layers": read_layers(network)})
    nodes.rename(target._add_network(nodes, model, "X"), "Y")
    proto = target._make_proto(
        *(onnx, nodes, {"X": (network.dtype, [None, 9])}),
        *({"Y": (network.dtype, [None, 2])}, "embeddings"),
    )
    session = runtime.InferenceSession(proto.SerializeToString())
    (found,) = session.run(None, {"X": rows})
    np.testing.assert_allclose(found, network.predict(rows), 1e-4, 1e-5)
