"""skl2onnx's own converters of scikit-learn's MLP, registered for our classes."""

import numpy as np
import pytest
from fits import fit
from numpy.testing import assert_allclose, assert_array_equal
from test_attributes import CLASSES, KINDS, data, make

from fastmlp import MLPClassifier, MLPRegressor

pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_blas_thread"),
]


@pytest.fixture(scope="module", autouse=True)
def registered():
    """As skl2onnx's documentation says, of a converter for another library's class."""
    from skl2onnx.common import shape_calculator as shapes
    from skl2onnx.operator_converters import multilayer_perceptron as converters

    skl2onnx.update_registered_converter(
        MLPClassifier,
        "FastmlpMLPClassifier",
        shapes.calculate_linear_classifier_output_shapes,
        converters.convert_sklearn_mlp_classifier,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False]},
    )
    skl2onnx.update_registered_converter(
        MLPRegressor,
        "FastmlpMLPRegressor",
        shapes.calculate_linear_regressor_output_shapes,
        converters.convert_sklearn_mlp_regressor,
    )


def run(model, X):
    """What onnxruntime makes of the converted model."""
    options = {"zipmap": False} if hasattr(model, "classes_") else {}
    converted = skl2onnx.to_onnx(model, X[:1], options={id(model): options})
    session = runtime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: X})


def assert_same_in_onnx(model, X):
    found = run(model, X)
    if not hasattr(model, "classes_"):
        assert_allclose(np.ravel(found[0]), model.predict(X).ravel(), atol=1e-5)
        return
    assert_allclose(found[1], model.predict_proba(X), atol=1e-5)
    assert_array_equal(found[0], model.predict(X))


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_predicts_the_same(kind, activation):
    X, y = data(kind)
    X = X.astype(np.float32)
    model = fit(make(kind, activation=activation), X, y)
    assert_same_in_onnx(model, X)
    assert_same_in_onnx(model.to_sklearn(), X)


@pytest.mark.parametrize("kind", CLASSES[:2])
def test_onnx_predicts_the_same_whole_numbers(kind):
    X, y = data(kind)
    X, y = X.astype(np.float32), np.unique(y, return_inverse=True)[1] * 3 - 2
    assert_same_in_onnx(fit(make(kind), X, y), X)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_predicts_the_same_with_batch_norm_folded(kind):
    X, y = data(kind)
    X = X.astype(np.float32)
    model = fit(make(kind, batch_norm=True), X, y)
    found = run(model.to_sklearn(), X)[-1]
    expected = getattr(model, "predict_proba", model.predict)(X)
    assert_allclose(np.ravel(found), expected.ravel(), atol=1e-5)
