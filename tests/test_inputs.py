"""What is taken for a number, a label or a matrix of labels, and what is not."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.neural_network
from fits import fit, iris
from sklearn.datasets import make_multilabel_classification

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Network
from fastmlp.estimators._labels import weigh_classes

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
DAYS = np.datetime64("2024-02-27") + np.arange(150)


def same_parameters(one, other):
    return all(map(np.array_equal, one.coefs_, other.coefs_))


# -- targets and inputs that are no numbers

NO_TARGETS = {
    "dates": DAYS,
    "times in a series": pd.Series(DAYS),
    "lengths of time": DAYS - DAYS[3],
    "strings": np.arange(150).astype(str),
    "a list of strings": [f"{n}.5" for n in range(150)],
    "bytes": np.arange(150).astype("S"),
    "several columns of dates": np.column_stack([DAYS, DAYS]),
    "records": np.zeros(150, [("a", float)]),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", NO_TARGETS)
def test_a_regressors_targets_are_numbers(case, method):
    model = MLPRegressor(**SMALL)
    with pytest.raises(ValueError, match="y must hold integers or floats"):
        getattr(model, method)(iris()[0], NO_TARGETS[case])
    assert not hasattr(model, "coefs_")
    X, y = iris()
    if np.ndim(NO_TARGETS[case]) == 1:
        with pytest.raises(ValueError, match="must hold integers or floats"):
            model.fit(X, y, X_val=X, y_val=NO_TARGETS[case])


@pytest.mark.parametrize(
    "day", [datetime.date(2024, 2, 29), datetime.timedelta(3), pd.Period("2024")]
)
def test_objects_without_a_number_are_scikit_learns_error(day):
    y = np.array([day] * 150, object)
    for module in (fastmlp, sklearn.neural_network):
        with pytest.raises(TypeError, match="must be a string or a real number"):
            module.MLPRegressor(**SMALL).fit(iris()[0], y)


@pytest.mark.parametrize(
    "form",
    [
        lambda y: y.astype(object),
        lambda y: np.array([Decimal(int(n)) for n in y]),
        lambda y: pd.Series(y, dtype="Int64"),
        lambda y: y.astype(np.float16),
        lambda y: scipy.sparse.csr_array(y.reshape(-1, 1)),
    ],
    ids=["objects", "decimals", "nullable", "halves", "sparse"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_what_has_a_number_is_taken_as_by_scikit_learn(form):
    X, y = iris()
    expected = fit(MLPRegressor(**SMALL), X, y)
    assert same_parameters(fit(MLPRegressor(**SMALL), X, form(y)), expected)


NO_INPUTS = {
    "strings": np.array([["1", "2", "3", "4"]]),
    "lists of strings": [["1.5", "2", "3", "-4"]],
    "bytes": np.array([[b"1", b"2", b"3", b"4"]]),
    "dates": DAYS[:8].reshape(2, 4),
    "lengths of time": (DAYS - DAYS[0])[:4].reshape(1, 4),
}


@pytest.mark.parametrize("case", NO_INPUTS)
def test_inputs_are_numbers(case):
    X, y = iris()
    inputs = NO_INPUTS[case]
    message = r"X must hold integers or floats|not compatible with arrays of"
    for model in (fit(MLPClassifier(**SMALL), X, y), fit(MLPRegressor(**SMALL), X, y)):
        for method in (model.predict, model.hidden_activations, model.input_gradients):
            with pytest.raises(ValueError, match=message):
                method(inputs)
        for method in (model.fit, model.partial_fit):
            with pytest.raises(ValueError, match=message):
                method(inputs, y[: len(inputs)])


@pytest.mark.parametrize("weights", [["1"] * 150, DAYS, DAYS - DAYS[0]])
def test_sample_weights_are_numbers(weights):
    with pytest.raises(ValueError, match="sample_weight must hold integers or floats"):
        MLPClassifier(**SMALL).fit(*iris(), weights)


FORMS = [np.asarray, np.ndarray.tolist, pd.DataFrame, scipy.sparse.csr_matrix]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [1e39, -1e39, 3.5e38, 1e300])
def test_what_float32_cannot_hold_is_refused(value, form):
    X, y = iris()
    message = r"Input X contains infinity or a value too large for dtype\('float32'\)"
    huge = X[:5].copy()
    huge[2, 1] = value
    models = [
        fit(MLPClassifier(**SMALL), X.astype(np.float32), y),
        fit(MLPRegressor(**SMALL, dtype="float32"), X, y),
    ]
    for model in models:
        with pytest.raises(ValueError, match=message):
            model.predict(form(huge))
        with pytest.raises(ValueError, match=message):
            model.hidden_activations(form(huge))
    huge[2, 1] = 0
    assert len(models[1].predict(form(huge))) == 5


def test_huge_numbers_beside_a_float32_model():
    X, y = iris()
    model = MLPRegressor(**SMALL, dtype="float32")
    with pytest.raises(ValueError, match=r"Input y contains .* too large"):
        model.fit(X, np.where(y == 1, -4e38, 1.0))
    fit(model, X, y)
    with pytest.raises(ValueError, match=r"Input X contains .* too large"):
        model.partial_fit(1e39 * X, y)
    going_on = fit(MLPClassifier(**SMALL), X.astype(np.float32), y)
    with pytest.raises(
        ValueError, match=r"X, y or sample_weight contains .* too large"
    ):
        going_on.partial_fit(1e39 * X, y)


# -- the network's own

NOT_NUMBERS = {
    "objects": np.array([Decimal(1), Decimal(0)]),
    "complex": np.array([1 + 0j, 0j]),
    "dates": DAYS[:2],
    "lengths of time": DAYS[:2] - DAYS[0],
    "strings": np.array(["1", "0"]),
}


@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_a_network_takes_numbers(case):
    network = Network([1, 2], loss="log_loss", random_state=0)
    bad, good = NOT_NUMBERS[case], np.array([1, 0])
    for place, name in enumerate(["X", "y", "sample_weight"]):
        arguments = [good.reshape(-1, 1), good, good]
        arguments[place] = bad.reshape(arguments[place].shape)
        with pytest.raises(ValueError, match=f"{name} must hold integers or floats"):
            network.loss_and_grad(*arguments)
    with pytest.raises(ValueError, match="X must hold"):
        network.predict(bad.reshape(-1, 1))
    with pytest.raises(ValueError, match="cotangents must hold"):
        network.input_gradients(good.reshape(-1, 1), np.column_stack([bad, bad]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [0.9, 1.5, 2 - 2**-20, 2**-30, -0.5, -1, 3, 1e30])
def test_class_indices_are_whole(index, dtype):
    network = Network([1, 3], loss="log_loss", dtype=dtype, random_state=0)
    X, y = np.ones((40, 1)), np.arange(40.0) % 3
    expected = network.loss(X, y.astype(int))
    assert network.loss(X, y) == expected
    for row in (0, 18, 39):
        with pytest.raises(ValueError, match="class indices must be whole"):
            network.loss(X, np.where(np.arange(40) == row, index, y))


def test_a_float32_network_refuses_what_it_cannot_hold():
    network = Network([2, 1], dtype="float32", random_state=0)
    X, y = np.ones((3, 2)), np.ones(3)
    with pytest.raises(ValueError, match=r"Input X contains .* too large"):
        network.predict(scipy.sparse.csr_matrix(1e39 * X))
    with pytest.raises(ValueError, match=r"Input y contains .* too large"):
        network.loss(X, 1e39 * y)
    assert np.isposinf(network.loss(X, np.inf * y))


# -- labels that can be had together, in every form

LABEL_FORMS = {
    "columns first": np.asfortranarray,
    "some columns": lambda Y: np.column_stack([Y, Y])[:, [0, 5, 2, 7]],
    "transposed": lambda Y: np.ascontiguousarray(Y.T).T,
    "bool": lambda Y: np.asfortranarray(Y.astype(bool)),
    "float32": lambda Y: np.asfortranarray(Y.astype(np.float32)),
    "frame": lambda Y: pd.DataFrame(Y, columns=list("pqrs"))[["p", "q", "r", "s"]],
    "nullable frame": lambda Y: pd.DataFrame(Y).astype("Int8"),
    "sparse": scipy.sparse.csc_matrix,
    "steps": lambda Y: np.repeat(Y, 3, axis=0)[::3],
}


def draw_labels():
    X, Y = make_multilabel_classification(90, 5, n_classes=5, random_state=3)
    return X / 20, Y[:, [0, 1, 2, 4]]


@pytest.mark.parametrize("case", LABEL_FORMS)
def test_labels_in_any_form(case):
    """scikit-learn's fits of the same form, and ours of rows one after the other."""
    X, Y = draw_labels()
    y = LABEL_FORMS[case](Y)
    weights = np.linspace(0.5, 2, 2 * len(X))[::2]
    ways = [
        ({}, {}),
        ({}, {"sample_weight": weights}),
        ({"early_stopping": True}, {"sample_weight": weights}),
        ({"solver": "lbfgs"}, {}),
    ]
    for params, keywords in ways:
        ours, theirs, plain = (
            fit(module.MLPClassifier(**SMALL, **params), X, target, **keywords)
            for module, target in (
                (fastmlp, y),
                (sklearn.neural_network, y),
                (fastmlp, np.ascontiguousarray(np.asarray(as_dense(y), int))),
            )
        )
        assert same_parameters(ours, plain)
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=1e-10)


def as_dense(y):
    return y.toarray() if scipy.sparse.issparse(y) else y


@pytest.mark.parametrize("case", LABEL_FORMS)
def test_labels_in_any_form_in_other_places(case):
    X, Y = draw_labels()
    y, Y = LABEL_FORMS[case](Y), np.ascontiguousarray(as_dense(LABEL_FORMS[case](Y)))
    Y = Y.astype(int)
    classes = np.arange(4)
    for params in ({}, {"class_weight": "balanced"}, {"loss": "squared_error"}):
        one, other = (
            fit(MLPClassifier(**SMALL, **params), X, target, X_val=X, y_val=target)
            for target in (y, Y)
        )
        assert same_parameters(one, other)
        assert one.validation_scores_ == other.validation_scores_
    one, other = (
        MLPClassifier(**SMALL).partial_fit(X, target, classes=classes)
        for target in (y, Y)
    )
    assert same_parameters(one.partial_fit(X, y), other.partial_fit(X, Y))


# -- weights of classes


def as_objects(names):
    """Strings as objects; numbers as they are, which as objects are no labels."""
    return names.astype(object) if names.dtype.kind == "U" else names


@pytest.mark.parametrize(
    ("labels", "class_weight", "expected"),
    [
        (["1", "2"], {"1": 3, "2": 1}, [3, 1]),
        (["1", "01", "2"], {"1": 5, "2": 1, "01": 2}, [2, 5, 1]),
        (["02130", "2130", "10001"], {"02130": 4.0}, [4, 1, 1]),
        ([" 0", "0", "-0"], {" 0": 2, "0": 3, "-0": 4}, [2, 4, 3]),
        (["1_0", "10", "x"], {"1_0": 7}, [1, 7, 1]),
        ([1, 10, 2], {1: 2.0, 2: np.float32(3)}, [2, 3, 1]),
        ([1.0, 2.0, 3.0], {1: 2, 3: 5}, [2, 1, 5]),
        ([True, False], {True: 2, False: 9}, [9, 2]),
    ],
)
@pytest.mark.parametrize("form", [np.array, list, pd.Series, as_objects])
def test_a_class_is_found_by_itself(form, labels, class_weight, expected):
    X, _ = iris()
    names = np.array(labels)[np.arange(150) % len(labels)]
    is_text = isinstance(labels[0], str)
    y = (
        (names.astype(object) if is_text else names)
        if form == "objects"
        else form(names)
    )
    by_label = dict(zip(sorted(labels), expected, strict=True))
    rows = np.array([by_label[label] for label in names.tolist()], float)
    weighted = MLPClassifier(**SMALL, class_weight=class_weight)
    by_row = MLPClassifier(**SMALL)
    assert same_parameters(fit(weighted, X, y), fit(by_row, X, y, sample_weight=rows))
    weighted.partial_fit(X, y)
    by_row.partial_fit(X, y, sample_weight=rows)
    assert same_parameters(weighted, by_row)
    first, other = (
        MLPClassifier(**SMALL, class_weight=weight).partial_fit(
            X, y, sample_weight=weights, classes=sorted(labels)
        )
        for weight, weights in ((class_weight, None), (None, rows))
    )
    assert same_parameters(first, other)


@pytest.mark.parametrize(
    ("labels", "class_weight"),
    [
        (["1", "01", "2"], {1: 5, 2: 1}),
        (["1", "2"], {1: 5}),
        (["02130", "2130"], {2130: 1.0}),
        ([" 0", "0"], {0: 3.0}),
        ([1, 2], {"1": 3.0}),
    ],
)
def test_a_class_is_not_found_by_its_number(labels, class_weight):
    X, _ = iris()
    y = np.array(labels)[np.arange(150) % len(labels)]
    with pytest.raises(ValueError, match=r"are not in class_weight, whose keys are"):
        MLPClassifier(**SMALL, class_weight=class_weight).fit(X, y)
    with pytest.raises(ValueError, match=r"are not in class_weight, whose keys are"):
        MLPClassifier(**SMALL, class_weight=class_weight).partial_fit(
            X, y, classes=labels
        )


@pytest.mark.parametrize("weight", ["5", None, 1j, [2.0]])
def test_a_class_weight_is_a_number(weight):
    with pytest.raises(ValueError, match="class_weight must hold numbers"):
        weigh_classes({0: weight}, np.arange(3))


def test_an_empty_dict_weighs_all_alike():
    np.testing.assert_array_equal(weigh_classes({}, np.arange(3)), np.ones(3))
