"""ONNX models beside predict and predict_proba, under onnxruntime."""

import numpy as np
import pytest
from exporting import (
    HEADS,
    IMAGES,
    difference,
    fit,
    images_and_model,
    model,
    outputs,
    rows,
    targets,
)
from fits import iris
from numpy.testing import assert_array_equal
from sklearn.ensemble import StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, _kernels
from fastmlp.export import onnx as target

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# Of float32 some units in the last place, 6e-8 each.
TOLERANCES = {"float64": 1e-6, "float32": 1e-5}


def run(proto, X):
    session = runtime.InferenceSession(proto.SerializeToString())
    (name,) = (given.name for given in session.get_inputs())
    found = session.run(None, {name: X})
    return dict(zip((o.name for o in session.get_outputs()), found, strict=True))


def check(est, X, proto, tolerance):
    found = run(proto, X)
    if isinstance(est, MLPRegressor):
        assert list(found) == ["predictions"]
        numbers = found["predictions"]
    else:
        assert list(found) == ["label", "probabilities"]
        assert_array_equal(found["label"], est.predict(X))
        numbers = found["probabilities"]
    expected = outputs(est, X)
    assert numbers.dtype == expected.dtype
    assert difference(numbers, expected) <= tolerance


def test_every_activation_has_a_formula():
    assert set(target.ACTIVATIONS) == set(_kernels.ACTIVATIONS)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("activation", _kernels.HIDDEN_ACTIVATIONS)
@pytest.mark.parametrize("head", HEADS)
def test_predictions(head, activation, dtype):
    est = model(head, activation, dtype)
    check(est, rows(dtype), fastmlp.to_onnx(est), TOLERANCES[dtype])


@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", IMAGES)
def test_images(name, dtype, batch_norm, folds):
    X, est = images_and_model(name, batch_norm, dtype)
    proto = fastmlp.to_onnx(est, fold_batch_norm=folds)
    check(est, X, proto, TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_images_of_a_regressor(dtype):
    X, est = images_and_model("max", False, dtype, "regression")
    check(est, X, fastmlp.to_onnx(est), TOLERANCES[dtype])


@pytest.mark.parametrize("slope", [0, 0.3, 1.7, 1e-5])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_slope_of_leaky_relu(dtype, slope):
    est = model("three outputs", "leaky_relu", dtype, negative_slope=slope)
    check(est, rows(dtype), fastmlp.to_onnx(est), TOLERANCES[dtype])


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("head", HEADS)
def test_batch_norm(head, dtype, fold):
    est = model(head, ["silu", "gelu"], dtype, batch_norm=True)
    proto = fastmlp.to_onnx(est, fold_batch_norm=fold)
    check(est, rows(dtype), proto, TOLERANCES[dtype])
    ops = [node.op_type for node in proto.graph.node]
    assert ops.count("BatchNormalization") == (0 if fold else 2)


@pytest.mark.parametrize("name", _kernels.HIDDEN_ACTIVATIONS)
def test_formulas_of_float64_are_exact_to_the_last_places(name):
    z = np.concatenate([np.linspace(-40, 40, 4001), [0, -0.0, 1e-300, 1e3, -1e3]])
    nodes = target.Nodes(z.dtype)
    params = _kernels.ACTIVATION_PARAMS.get(name, ())[1:2]
    nodes.rename(target.ACTIVATIONS[name](nodes, "X", *params), "a")
    expected = z.copy().reshape(1, -1)
    _kernels.activate(expected, _kernels.ACTIVATIONS[name], *params)
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node(op, i, o, **a) for op, i, o, a in nodes.nodes],
        "activation",
        [helper.make_tensor_value_info("X", double, [None])],
        [helper.make_tensor_value_info("a", double, [None])],
        [onnx.numpy_helper.from_array(a, key) for key, a in nodes.constants.items()],
    )
    opset = [helper.make_opsetid("", target.OPSET)]
    proto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    assert difference(run(proto, z)["a"], expected[0]) < 1e-13


@pytest.mark.parametrize("sizes", [(), (3,), (9, 8, 7, 6)])
def test_any_number_of_layers(sizes):
    est = model("multiclass softmax", "tanh", hidden_layer_sizes=sizes)
    check(est, rows("float64"), fastmlp.to_onnx(est), 1e-6)


LABELS = {
    "str": (np.array(["a", "bcd", "é"]), np.object_),
    "object": (np.array(["a", "bcd", "ef"], dtype=object), np.object_),
    "uint8": (np.array([3, 7, 255], dtype=np.uint8), np.int64),
    "uint64": (np.array([0, 2, 2**63 + 1], dtype=np.uint64), np.uint64),
    "int8": (np.array([-128, 0, 127], dtype=np.int8), np.int64),
    "float": (np.array([-1.0, 0.0, 1.0]), np.float64),
    "bool": (np.array([False, True]), np.bool_),
    "two str": (np.array(["no", "yes"]), np.object_),
    "one": (np.array([5]), np.int64),
}


@pytest.mark.parametrize("head", [{}, {"output_activation": "softmax"}])
@pytest.mark.parametrize("kind", LABELS)
def test_labels(kind, head):
    labels, dtype = LABELS[kind]
    X, index = iris()
    y = labels[np.minimum(index, len(labels) - 1)]
    head = {"learning_rate_init": 0.05, **head}
    est = fit(MLPClassifier((8,), max_iter=20, random_state=0, **head), X, y)
    proto = fastmlp.to_onnx(est)
    check(est, X, proto, 1e-6)
    found = run(proto, X)["label"]
    assert found.dtype == dtype
    assert len(set(found.tolist())) == len(labels)


def test_outputs_that_sum_to_zero_are_shared_evenly():
    est = model("multiclass delta rule identity", "relu")
    est.intercepts_ = [*est.intercepts_[:-1], np.full(3, -1e3)]
    check(est, rows("float64"), fastmlp.to_onnx(est), 1e-6)
    assert_array_equal(est.predict_proba(rows("float64")), np.full((60, 3), 1 / 3))


def test_parameters_that_were_set_are_those_that_leave():
    est = model("squared_error identity")
    before = est.predict(rows("float64"))
    est.coefs_ = [2 * w for w in est.coefs_]
    assert difference(est.predict(rows("float64")), before) > 0.1
    check(est, rows("float64"), fastmlp.to_onnx(est), 1e-6)


def test_the_file_is_the_model(tmp_path):
    est = model("binary logistic")
    proto = fastmlp.to_onnx(est, tmp_path / "model.onnx")
    loaded = onnx.load(tmp_path / "model.onnx")
    assert loaded == proto
    assert loaded.producer_name == "fastmlp"
    assert {node.domain for node in loaded.graph.node} == {""}
    check(est, rows("float64"), loaded, 1e-6)


# -- pipelines, by skl2onnx


@pytest.fixture
def skl2onnx():
    module = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    fastmlp.register_onnx()
    return module


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("head", HEADS)
def test_pipelines(head, dtype, skl2onnx):
    X = rows(dtype)
    est = model(head, "gelu", dtype, batch_norm=True)
    pipeline = make_pipeline(StandardScaler(), est)
    fit(pipeline, 3 * X + 1, targets(HEADS[head][2]))
    proto = skl2onnx.to_onnx(pipeline, X[:1])
    found = list(run(proto, 3 * X + 1).values())
    expected = outputs(pipeline, 3 * X + 1)
    if expected.ndim == 1:
        expected = expected.reshape(-1, 1)
    assert difference(found[-1], expected) <= TOLERANCES[dtype]
    if len(found) == 2:
        assert_array_equal(found[0], pipeline.predict(3 * X + 1))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("activation", _kernels.HIDDEN_ACTIVATIONS)
def test_newer_operator_sets(activation, dtype, skl2onnx):
    est, X = model("squared_error softplus", activation, dtype), rows(dtype)
    for opset in (None, 21, 18, target.OPSET):
        proto = skl2onnx.to_onnx(est, X[:1], target_opset=opset)
        (found,) = run(proto, X).values()
        assert difference(found[:, 0], est.predict(X)) <= TOLERANCES[dtype]


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
def test_pipelines_have_no_zipmap(zipmap, skl2onnx):
    est = model("multiclass softmax")
    proto = skl2onnx.to_onnx(
        make_pipeline(StandardScaler().fit(rows("float64")), est),
        rows("float64")[:1],
        options={id(est): {"zipmap": zipmap}},
    )
    assert "ZipMap" not in {node.op_type for node in proto.graph.node}
    assert run(proto, rows("float64"))["probabilities"].shape == (60, 3)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("ensemble", [VotingRegressor, StackingRegressor])
def test_two_networks_in_one_graph(ensemble, dtype, skl2onnx):
    """Also where the rows are of another type than the networks."""
    first = model("squared_error identity", dtype="float64")
    second = model("huber identity", "tanh", dtype="float32")
    stack = ensemble([("a", first), ("b", second)])
    fit(stack, rows("float64"), targets(1))
    X = rows(dtype)
    (found,) = run(skl2onnx.to_onnx(stack, X[:1]), X).values()
    assert difference(found.ravel(), stack.predict(X)) < 1e-5


def test_classifiers_that_vote(skl2onnx):
    members = [
        ("a", model("multiclass softmax")),
        ("b", model("multiclass delta rule")),
    ]
    vote = VotingClassifier(members, voting="soft", flatten_transform=False)
    fit(vote, rows("float64"), targets("multiclass"))
    proto = skl2onnx.to_onnx(
        vote, rows("float64")[:1], options={id(vote): {"zipmap": False}}
    )
    label, probabilities = run(proto, rows("float64")).values()
    assert_array_equal(label, vote.predict(rows("float64")))
    assert difference(probabilities, vote.predict_proba(rows("float64"))) < 1e-6


def test_an_old_operator_set_is_refused(skl2onnx):
    with pytest.raises(ValueError, match="target_opset of at least 15, got 14"):
        skl2onnx.to_onnx(model("binary logistic"), rows("float64")[:1], target_opset=14)


# -- errors


def test_what_is_no_estimator_of_ours_is_refused(tmp_path):
    file = tmp_path / "model.onnx"
    pipeline = make_pipeline(StandardScaler(), model("binary logistic"))
    with pytest.raises(TypeError, match=r"CNNRegressor of fastmlp, got Pipeline"):
        fastmlp.to_onnx(pipeline, file)
    with pytest.raises(NotFittedError):
        fastmlp.to_onnx(MLPClassifier(), file)
    assert not file.exists()


def test_an_activation_without_formula_is_refused(monkeypatch):
    monkeypatch.delitem(target.ACTIVATIONS, "mish")
    with pytest.raises(ValueError, match="to_onnx does not support activation 'mish'"):
        fastmlp.to_onnx(model("binary logistic", "mish"))


@pytest.mark.parametrize("library", ["onnx", "skl2onnx"])
def test_without_the_library_the_error_names_the_extra(library, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    calls = {"onnx": lambda: fastmlp.to_onnx(model("binary logistic"))}
    calls["skl2onnx"] = fastmlp.register_onnx
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[onnx\]'"):
        calls[library]()
