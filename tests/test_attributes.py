"""Fitted attributes that users set, beside scikit-learn's estimators with the same."""

import copy
import functools
import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from fits import fit, iris
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax
from sklearn.preprocessing import LabelBinarizer

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Network

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SMALL = {"hidden_layer_sizes": (6, 5), "max_iter": 15, "random_state": 0}
SMALL |= {"learning_rate_init": 0.02, "activation": "tanh"}


def data(kind):
    X, y = iris()
    return X, {
        "binary": np.array(["no", "yes"])[(y > 0) * 1],
        "multiclass": np.array(["c", "a", "b"])[y],
        "multilabel": np.column_stack([y > 0, y > 1, X[:, 0] > 0]).astype(int),
        "one output": y + X[:, 0],
        "two outputs": np.column_stack([y + X[:, 0], np.sin(X[:, 1])]),
    }[kind]


KINDS = ["binary", "multiclass", "multilabel", "one output", "two outputs"]
CLASSES = KINDS[:3]


def make(kind, module=fastmlp, **params):
    name = "MLPRegressor" if "output" in kind else "MLPClassifier"
    return getattr(module, name)(**{**SMALL, **params})


def pair(kind, **params):
    """Ours and scikit-learn's, fitted alike."""
    return copy.deepcopy(fit_pair(kind, tuple(params.items())))


@functools.cache
def fit_pair(kind, params):
    X, y = data(kind)
    modules = fastmlp, sklearn.neural_network
    return [fit(make(kind, module, **dict(params)), X, y) for module in modules]


def outputs(model, X):
    return getattr(model, "predict_proba", model.predict)(X)


def assert_same_outputs(mine, theirs, X):
    assert_allclose(outputs(mine, X), outputs(theirs, X), rtol=1e-9, atol=1e-12)
    if hasattr(theirs, "predict_proba"):
        assert_array_equal(mine.predict(X), theirs.predict(X))


# -- layers of a fitted estimator


def exchange_item(model):
    model.coefs_[0] = np.cos(np.arange(24.0)).reshape(4, 6)


def exchange_item_by_another_order(model):
    model.coefs_[1] = np.asfortranarray(np.sin(np.arange(30.0)).reshape(6, 5))


def exchange_item_by_whole_numbers(model):
    model.coefs_[1] = (np.arange(30).reshape(6, 5) % 3) - 1


def write_in_place(model):
    model.coefs_[0][:] = 0
    model.intercepts_[1][2:] = 7


def exchange_intercept_by_a_number(model):
    model.intercepts_[0] = 0.25


def exchange_intercept_by_a_row(model):
    model.intercepts_[1] = np.arange(5.0)[np.newaxis]


def exchange_list(model):
    model.coefs_ = [-W for W in model.coefs_]


def exchange_by_sparse(model):
    model.coefs_[0] = scipy.sparse.csr_matrix(model.coefs_[0] * (model.coefs_[0] > 0))


def write_into_what_was_exchanged(model):
    weights = np.ones((4, 6))
    model.coefs_[0] = weights
    model.predict(iris()[0][:3])
    weights[2] = -3


def exchange_layers_by_wider_ones(model):
    wave = np.sin(np.arange(54.0))
    model.coefs_[0], model.coefs_[1] = wave[:36].reshape(4, 9), wave[:45].reshape(9, 5)
    model.intercepts_[0] = wave[:9]


def leave_the_second_layer_out(model):
    del model.coefs_[1], model.intercepts_[1]
    model.coefs_[0], model.intercepts_[0] = model.coefs_[0][:, :5], np.ones(5)
    model.n_layers_ = 3


CHANGES = [value for name, value in list(globals().items()) if "exchange" in name]
CHANGES += [write_in_place, leave_the_second_layer_out]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_changed_layers_predict_as_scikit_learns(change, kind):
    mine, theirs = pair(kind)
    X = iris()[0]
    before = outputs(mine, X)
    for model in mine, theirs:
        change(model)
    assert_same_outputs(mine, theirs, X)
    assert np.abs(outputs(mine, X) - before).max() > 1e-3
    assert_array_equal(outputs(pickle.loads(pickle.dumps(mine)), X), outputs(mine, X))


@pytest.mark.parametrize("kind", ["multiclass", "two outputs"])
@pytest.mark.parametrize("change", [exchange_item, write_in_place, exchange_list])
def test_changed_layers_are_trained_on(change, kind):
    X, y = data(kind)
    models = pair(kind, shuffle=False)
    for model in models:
        change(model)
        model.partial_fit(X, y)
    for mine, theirs in zip(models[0].coefs_, models[1].coefs_, strict=True):
        assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_layers_of_other_sizes_are_trained_on_without_the_old_moments():
    X, y = data("one output")
    model, _ = pair("one output")
    exchange_layers_by_wider_ones(model)
    twin = make("one output", hidden_layer_sizes=(9, 5), shuffle=False)
    for name in "coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_":
        setattr(twin, name, copy.deepcopy(getattr(model, name)))
    model.set_params(hidden_layer_sizes=(9, 5), shuffle=False)
    model.partial_fit(X, y)
    twin.partial_fit(X, y)
    assert_allclose(model.coefs_[0], twin.coefs_[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("layer", "W", "message"),
    [
        (0, np.ones((4, 7)), r"coefs_\[0\] must have shape \(n_inputs, n_units\)"),
        (1, np.ones((1, 5)), r"coefs_\[1\] must have shape \(6, n_units\)"),
        (1, np.float64(2), r"coefs_\[1\] must have shape"),
        (0, np.ones((4, 6), complex), "must be real numbers"),
        (0, np.full((4, 6), "a"), "must be real numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["binary", "one output"])
def test_layers_that_do_not_fit_are_refused(kind, layer, W, message):
    model, _ = pair(kind)
    model.coefs_[layer] = W
    with pytest.raises(ValueError, match=message):
        model.predict(iris()[0])
    with pytest.raises(ValueError, match=message):
        model.partial_fit(*data(kind))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_layers_", 5, "n_layers_ is 5, but coefs_"),
        ("n_layers_", 1, "n_layers_ is 1, but coefs_"),
        ("n_layers_", 2, "n_outputs_ is 1, but"),
        ("n_outputs_", 4, "n_outputs_ is 4, but"),
        ("out_activation_", "sigmoid", "output_activation must be one of"),
        ("intercepts_", [0, 0], "n_layers_ is 4, but coefs_"),
    ],
)
@pytest.mark.parametrize("kind", ["binary", "one output"])
def test_attributes_that_do_not_fit_are_refused(kind, name, value, message):
    model, _ = pair(kind)
    setattr(model, name, value)
    with pytest.raises(ValueError, match=message):
        model.predict(iris()[0])
    if hasattr(model, "predict_proba"):
        with pytest.raises(ValueError, match=message):
            model.predict_proba(iris()[0])


def test_normalised_layers_of_other_sizes_are_refused():
    model = fit(make("one output", batch_norm=True), *data("one output"))
    exchange_item(model)
    model.predict(iris()[0])
    exchange_layers_by_wider_ones(model)
    with pytest.raises(ValueError, match="scales and running moments"):
        model.predict(iris()[0])


# -- the output activation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["identity", "tanh", "relu", "logistic", "softmax"])
def test_a_changed_output_activation_predicts_as_scikit_learns(name, kind):
    mine, theirs = pair(kind)
    for model in mine, theirs:
        model.out_activation_ = name
    assert_same_outputs(mine, theirs, iris()[0])


@pytest.mark.parametrize("kind", ["binary", "two outputs"])
def test_a_changed_output_activation_is_not_trained_by_another_one(kind):
    model, _ = pair(kind)
    model.out_activation_ = "tanh"
    before = copy.deepcopy(model.coefs_)
    with pytest.raises(ValueError, match="'tanh'"):
        model.partial_fit(*data(kind))
    assert_array_equal(model.coefs_[0], before[0])
    assert model.out_activation_ == "tanh"


@pytest.mark.parametrize("kind", KINDS)
def test_a_shorter_network_predicts_as_scikit_learns(kind):
    mine, theirs = pair(kind)
    for model in mine, theirs:
        model.n_layers_, model.n_outputs_, model.out_activation_ = 3, 5, "tanh"
    X = iris()[0]
    assert_allclose(outputs(mine, X), outputs(theirs, X), rtol=1e-9, atol=1e-12)
    assert_allclose(outputs(mine, X), make_hidden(mine, X), rtol=1e-9, atol=1e-12)


def make_hidden(model, X):
    for W, b in zip(model.coefs_[:2], model.intercepts_[:2], strict=True):
        X = np.tanh(X @ W + b)
    return X


# -- the binarizer


@pytest.mark.parametrize("kind", CLASSES)
def test_the_binarizer_is_scikit_learns(kind):
    mine, theirs = (model._label_binarizer for model in pair(kind))
    assert type(mine) is LabelBinarizer
    assert vars(mine).keys() == vars(theirs).keys()
    assert mine.y_type_ == theirs.y_type_
    assert mine.classes_.dtype == theirs.classes_.dtype
    assert_array_equal(mine.classes_, theirs.classes_)
    y = data(kind)[1]
    assert_array_equal(mine.transform(y), theirs.transform(y))
    assert not hasattr(make(kind), "_label_binarizer")


def test_the_binarizer_of_partial_fit():
    X, y = data("multiclass")
    model = make("multiclass").partial_fit(X[:4], y[:4], classes=["a", "b", "c"])
    assert_array_equal(model._label_binarizer.classes_, model.classes_)
    assert model._label_binarizer.y_type_ == "multiclass"


class Upside(LabelBinarizer):
    def inverse_transform(self, Y, threshold=None):
        return super().inverse_transform(-Y, threshold)


def new_names(model):
    names = [f"x{n}" for n in range(len(model.classes_))]
    model._label_binarizer = LabelBinarizer().fit(names)


def new_classes(model):
    model._label_binarizer.classes_ = np.arange(len(model.classes_)) * 10


def swapped_classes(model):
    model._label_binarizer.classes_ = model._label_binarizer.classes_[::-1]


def another_class(model):
    model._label_binarizer = Upside().fit(model.classes_)


def another_threshold(model):
    model._label_binarizer.neg_label = -1


def sparse_answers(model):
    model._label_binarizer.sparse_input_ = True


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize(
    "change",
    [new_names, new_classes, swapped_classes, another_class, another_threshold],
)
def test_a_changed_binarizer_decodes_as_scikit_learns(change, kind):
    mine, theirs = pair(kind)
    before = mine.predict(iris()[0])
    for model in mine, theirs:
        change(model)
    found, expected = (model.predict(iris()[0]) for model in (mine, theirs))
    assert found.dtype == expected.dtype
    assert_array_equal(found, expected)
    if change is not another_threshold or kind == "binary":
        assert found.tolist() != before.tolist()


def test_labels_of_a_binarizer_of_sparse_targets_are_sparse():
    mine, theirs = pair("multilabel")
    for model in mine, theirs:
        sparse_answers(model)
    found, expected = (model.predict(iris()[0]) for model in (mine, theirs))
    assert scipy.sparse.issparse(found)
    assert (found != expected).nnz == 0


@pytest.mark.parametrize("change", [swapped_classes, another_class])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_changed_binarizer_encodes_as_scikit_learns(change, kind):
    X, y = data(kind)
    models = pair(kind, shuffle=False)
    for model in models:
        change(model)
        model.partial_fit(X, y)
    for mine, theirs in zip(models[0].coefs_, models[1].coefs_, strict=True):
        assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


# -- optimizer and progress


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_setting_the_optimizer_to_none_resets_it(solver):
    X, y = data("binary")
    model = fit(make("binary", solver=solver), X, y)
    assert model._optimizer.learning_rate == 0.02
    model._optimizer.learning_rate = 0.5
    twin = copy.deepcopy(model)
    model._optimizer = None
    assert twin._optimizer.slots.any()
    fresh = make("binary", solver=solver)
    for name, value in vars(model).items():
        if name[-1] == "_" or name == "_label_binarizer":
            setattr(fresh, name, copy.deepcopy(value))
    for each in model, fresh, twin:
        each.set_params(shuffle=False).partial_fit(X, y)
    assert_allclose(model.coefs_[0], fresh.coefs_[0], rtol=1e-12, atol=1e-15)
    assert np.abs(model.coefs_[0] - twin.coefs_[0]).max() > 1e-3
    assert model._optimizer.learning_rate == 0.02
    del twin._optimizer
    assert twin._optimizer is None


def test_what_the_optimizer_cannot_be():
    model = fit(make("binary"), *data("binary"))
    with pytest.raises(TypeError, match="_optimizer must be None"):
        model._optimizer = "adam"
    other = fit(make("multiclass"), *data("multiclass"))
    with pytest.raises(ValueError, match=r"parameters, got one of \d+"):
        model._optimizer = other._optimizer
    model._optimizer = fit(make("binary", alpha=1), *data("binary"))._optimizer
    unfitted = make("binary")
    unfitted._optimizer = None
    with pytest.raises(AttributeError, match="fitted"):
        unfitted._optimizer = other._optimizer
    assert not hasattr(unfitted, "_optimizer")


def test_samples_seen_and_best_loss_are_read_where_training_goes_on():
    X, y = data("one output")
    params = {"solver": "sgd", "learning_rate": "invscaling", "shuffle": False}
    models = pair("one output", learning_rate_init=1e-3, n_iter_no_change=1, **params)
    for model in models:
        model.t_, model.best_loss_, model.loss_curve_ = 0, -1.0, []
        model._optimizer.learning_rate = 1e-3
        model.partial_fit(X, y)
    mine, theirs = models
    assert mine.t_ == theirs.t_ == len(X)
    assert mine._no_improvement_count == theirs._no_improvement_count == 1
    assert mine.best_loss_ == theirs.best_loss_ == -1.0
    assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_allclose(mine.coefs_[0], theirs.coefs_[0], rtol=1e-9)


# -- models from stored weights

NEEDED = {"coefs_", "intercepts_", "n_layers_", "out_activation_"}
OF_CLASSES = {"n_outputs_", "_label_binarizer"}
MORE = {"n_features_in_", "n_outputs_", "classes_", "t_", "n_iter_", "loss_curve_"}
MORE |= {"best_loss_", "_no_improvement_count", "loss_", "validation_scores_"}


@pytest.mark.parametrize("more", [set(), {"n_features_in_"}, MORE])
@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_from_stored_weights(kind, dtype, more):
    X, y = data(kind)
    X = X.astype(dtype)
    fitted = fit(make(kind, sklearn.neural_network), X, y)
    names = NEEDED | more | (set() if "output" in kind else OF_CLASSES)
    models = make(kind), make(kind, sklearn.neural_network)
    for model in models:
        for name in names & vars(fitted).keys():
            setattr(model, name, copy.deepcopy(getattr(fitted, name)))
    mine, theirs = models
    tolerance = 1e-12 if dtype is float else 1e-5
    assert_allclose(outputs(mine, X), outputs(theirs, X), atol=tolerance)
    if "output" not in kind:
        assert_array_equal(mine.predict(X), theirs.predict(X))
    assert outputs(mine, X).dtype == dtype
    assert_array_equal(outputs(pickle.loads(pickle.dumps(mine)), X), outputs(mine, X))
    if more is MORE and "output" in kind:
        for model in models:
            model.set_params(shuffle=False).partial_fit(X, y)
        assert_allclose(mine.coefs_[0], theirs.coefs_[0], atol=tolerance)
        assert mine.t_ == theirs.t_


def test_probabilities_of_stored_weights_need_no_labels():
    for kind in CLASSES:
        fitted = fit(make(kind, sklearn.neural_network), *data(kind))
        model = make(kind)
        for name in NEEDED | {"n_outputs_"}:
            setattr(model, name, getattr(fitted, name))
        X = iris()[0]
        assert_allclose(model.predict_proba(X), fitted.predict_proba(X), atol=1e-12)


# -- outputs before the output activation


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_logits(kind, dtype):
    X, y = data(kind)
    model = fit(make(kind), X.astype(dtype), y)
    logits = model.logits(X.astype(dtype))
    expected = make_hidden(model, X) @ model.coefs_[-1] + model.intercepts_[-1]
    one = expected.shape[1] == 1
    assert logits.dtype == dtype
    tolerance = 1e-12 if dtype is float else 1e-5
    assert_allclose(logits, expected.ravel() if one else expected, atol=tolerance)
    if "output" in kind:
        assert_array_equal(logits, model.predict(X.astype(dtype)))
    assert not hasattr(model, "decision_function")


def test_logits_are_the_logarithms_of_the_probabilities():
    X, y = data("multiclass")
    model = fit(make("multiclass"), X, y)
    log_proba = log_softmax(model.logits(X), axis=1)
    assert_allclose(log_proba, model.predict_log_proba(X), atol=1e-10)
    model.out_activation_ = "relu"
    assert_allclose(log_softmax(model.logits(X), axis=1), log_proba)
    X, y = data("binary")
    model = fit(make("binary"), X, y)
    assert_allclose(expit(model.logits(X)), model.predict_proba(X)[:, 1], atol=1e-12)
    sparse = scipy.sparse.csr_matrix(X)
    assert_allclose(model.logits(sparse), model.logits(X), atol=1e-12)


@pytest.mark.parametrize(
    "params",
    [
        {"loss": "poisson"},
        {"output_activation": "softplus"},
        {"loss": "quantile", "quantile": [0.2, 0.7]},
        {"loss": "quantile", "quantile": [0.7]},
    ],
)
def test_logits_of_a_regressor_have_the_shape_of_its_predictions(params):
    X, y = data("one output")
    model = fit(MLPRegressor(**SMALL, **params), X, np.exp(y / 4))
    logits, predictions = model.logits(X), model.predict(X)
    assert logits.shape == predictions.shape
    link = {"exp": np.exp, "softplus": lambda z: np.logaddexp(0, z)}
    activation = link.get(model.out_activation_, np.positive)
    assert_allclose(activation(logits), predictions, rtol=1e-12)


def test_logits_of_unfitted_estimators_and_bad_rows():
    with pytest.raises(sklearn.exceptions.NotFittedError):
        MLPClassifier().logits(iris()[0])
    model = fit(make("binary"), *data("binary"))
    with pytest.raises(ValueError, match="features"):
        model.logits(iris()[0][:, :3])


# -- Network


def test_a_network_whose_loss_does_not_go_with_its_output_only_predicts():
    X, y = iris()
    network = Network([4, 5, 3], loss="log_loss", random_state=0)
    other = network.with_output_activation("gelu")
    network.params[:] = np.sin(np.arange(network.params.size))
    assert_array_equal(
        other.with_output_activation("identity").predict(X), other.logits(X)
    )
    assert_array_equal(other.logits(X), network.logits(X))
    for call in other.loss, other.loss_and_grad, other.data_loss:
        with pytest.raises(ValueError, match="output_activation of loss='log_loss'"):
            call(X, np.eye(3)[y])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batch_norm_is_folded(dtype):
    X = iris()[0].astype(dtype)
    rng = np.random.RandomState(0)
    network = Network([4, 6, 5, 2], activation="tanh", batch_norm=True, dtype=dtype)
    network.params[:] = rng.standard_normal(network.params.size)
    network.stats[:] = rng.uniform(0.01, 4, network.stats.size)
    weights, biases = network.fold_batch_norm()
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        X = np.tanh(X @ W + b)
    expected = X @ weights[-1] + biases[-1]
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    assert_allclose(network.predict(iris()[0]), expected, atol=tolerance)
    assert all(W.dtype == dtype for W in weights + biases)


@pytest.mark.parametrize(
    ("weights", "biases", "message"),
    [
        ([], [], "one entry per layer"),
        ([np.ones((2, 3))], [np.ones(3), np.ones(2)], "one entry per layer"),
        ([np.ones((2, 3))], [np.ones(2)], r"weights\[0\] must have shape"),
        ([np.ones((2, 3)), np.ones((2, 1))], [np.ones(3), np.ones(1)], r"weights\[1\]"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, biases, message):
    settings = {"activation": "relu", "loss": "squared_error", "dropout": 0.0}
    settings |= {"output_activation": None, "huber_delta": 1.0, "quantile": 0.5}
    settings |= {"alpha": 0.0, "l1_ratio": 0.0, "batch_norm": False}
    with pytest.raises(ValueError, match=message):
        Network.from_weights(weights, biases, dtype=float, **settings)
    network = Network([2, 3, 1])
    with pytest.raises(ValueError, match="must have shapes"):
        network.weights, network.biases = weights, biases
