"""Rows of probabilities as targets, and label smoothing: against PyTorch and SciPy."""

import pickle

import fits
import numpy as np
import pytest
from scipy.special import xlogy
from sklearn.metrics import log_loss

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Network

SMALL = {"hidden_layer_sizes": (6,), "random_state": 1, "batch_size": 50}
QUIET = {"tol": 0.0, "n_iter_no_change": np.inf}


def soft(n_classes, rows=150, seed=0):
    return np.random.RandomState(seed).dirichlet(np.ones(n_classes), rows)


def fit(model, *data, **keywords):
    return fits.fit(model, *data, **keywords)


def entropy(P):
    """What the best prediction of P still costs."""
    return -xlogy(P, P).sum(axis=1).mean()


# -- soft targets


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_soft_targets_are_pytorchs_cross_entropy(n_classes, weighted):
    """Ten epochs of plain gradient descent over all rows, from the same weights."""
    torch = pytest.importorskip("torch", reason="its cross_entropy is the reference")
    X, _ = fits.iris()
    P = soft(n_classes)
    weights = (
        np.random.RandomState(3).uniform(0.1, 2, 150) if weighted else np.ones(150)
    )
    settings = {"hidden_layer_sizes": (), "solver": "sgd", "momentum": 0.0, "alpha": 0}
    settings |= {"random_state": 1, "batch_size": "full", "shuffle": False, **QUIET}
    settings["output_activation"] = "softmax"
    start = MLPClassifier(**{**settings, "learning_rate_init": 1e-300, "max_iter": 1})
    fit(start, X, P)
    layer = torch.nn.Linear(4, n_classes, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(start.coefs_[0].T))
        layer.bias.copy_(torch.tensor(start.intercepts_[0]))
    optimizer, curve = torch.optim.SGD(layer.parameters(), lr=0.5), []
    for _ in range(10):
        optimizer.zero_grad()
        losses = torch.nn.functional.cross_entropy(
            layer(torch.tensor(X)), torch.tensor(P), reduction="none"
        )
        loss = (losses * torch.tensor(weights)).sum() / weights.sum()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    model = MLPClassifier(**settings, learning_rate_init=0.5, max_iter=10)
    fit(model, X, P, weights)
    np.testing.assert_allclose(model.coefs_[0], layer.weight.detach().T, rtol=1e-9)
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=1e-12)
    np.testing.assert_array_equal(model.classes_, np.arange(n_classes))


def test_two_classes_have_one_output_by_default():
    """A logistic one: softmax of (0, z)."""
    X, _ = fits.iris()
    P = soft(2)
    model = fit(MLPClassifier(**SMALL, max_iter=20), X, P)
    assert model.out_activation_ == "logistic"
    assert model.coefs_[-1].shape == (6, 1)
    network = Network.from_weights(
        model.coefs_,
        model.intercepts_,
        dtype="float64",
        loss="log_loss",
        output_activation="logistic",
    )
    p = network.predict(X)[:, 0]
    expected = -(P[:, 1] * np.log(p) + P[:, 0] * np.log(1 - p)).mean()
    assert network.data_loss(X, P[:, 1]) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), np.column_stack([1 - p, p]))


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_teacher_is_learnt(n_classes, solver):
    """A student of the teacher's form comes to its probabilities."""
    X, y = fits.iris()
    settings = {"hidden_layer_sizes": (), "random_state": 0, "alpha": 0}
    teacher = MLPClassifier(**settings, max_iter=30)
    P = fit(teacher, X, y % n_classes).predict_proba(X)
    student = MLPClassifier(**settings, solver=solver, max_iter=3000, tol=1e-9)
    student.set_params(learning_rate_init=0.03)
    fit(student, X, P)
    np.testing.assert_allclose(student.predict_proba(X), P, atol=2e-3)
    assert student.loss_ == pytest.approx(entropy(P), abs=1e-4)
    np.testing.assert_array_equal(student.predict(X), P.argmax(axis=1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", ["logistic", "identity"])
def test_squared_error_of_probabilities_is_the_regressors(output, dtype):
    X, _ = fits.iris()
    P = soft(3)
    common = {**SMALL, "max_iter": 5, "dtype": dtype, "output_activation": output}
    model = fit(MLPClassifier(**common, loss="squared_error"), X, P)
    regressor = fit(MLPRegressor(**common), X, P)
    rtol = 1e-9 if dtype == "float64" else 1e-4
    for mine, theirs in zip(model.coefs_, regressor.coefs_, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=rtol)


def test_probabilities_of_three_digits_are_taken():
    X, _ = fits.iris()
    P = soft(3)
    coarse = fit(MLPClassifier(**SMALL, max_iter=3), X, P.round(3))
    exact = P.round(3) / P.round(3).sum(axis=1, keepdims=True)
    fine = fit(MLPClassifier(**SMALL, max_iter=3), X, exact)
    np.testing.assert_allclose(coarse.coefs_[0], fine.coefs_[0], rtol=1e-12)
    lists = fit(MLPClassifier(**SMALL, max_iter=3), X.tolist(), exact.tolist())
    np.testing.assert_array_equal(lists.coefs_[0], fine.coefs_[0])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda P: 2 * P,
        lambda P: P - 0.2,
        lambda P: np.vstack([[1.5, -0.5, 0.0], P[1:]]),
        lambda P: np.vstack([P[:1] / 2, P[1:]]),
        lambda P: 3.7 * P,
    ],
)
def test_what_are_no_probabilities_leaves_the_old_model(spoil):
    X, y = fits.iris()
    model = fit(MLPClassifier(**SMALL, max_iter=3), X, y)
    before = model.coefs_[0].copy()
    with pytest.raises(ValueError, match=r"Unknown label type.*probabilities"):
        fit(model, X, spoil(soft(3)))
    np.testing.assert_array_equal(model.coefs_[0], before)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_a_matrix_of_0_and_1_is_of_labels_as_in_scikit_learn():
    X, y = fits.iris()
    model = fit(MLPClassifier(**SMALL, max_iter=3), X, np.eye(3)[y])
    assert model.out_activation_ == "logistic"
    assert model.predict(X).shape == (150, 3)


def test_class_weights_are_of_labels():
    X, _ = fits.iris()
    with pytest.raises(ValueError, match=r"class_weight.*sample_weight"):
        MLPClassifier(class_weight="balanced").fit(X, soft(3))


def test_validation_rows_have_probabilities_or_are_sure():
    X, y = fits.iris()
    P = soft(3)
    model = MLPClassifier(**SMALL, max_iter=4)
    fit(model, X, P, X_val=X, y_val=P)
    expected = -(P * np.log(model.predict_proba(X))).sum(axis=1).mean()
    assert model.history_["validation_loss"][-1] == pytest.approx(expected, rel=1e-9)
    right = (model.predict(X) == P.argmax(axis=1)).mean()
    assert model.history_["validation_score"][-1] == pytest.approx(right)
    fit(model, X, P, X_val=X, y_val=np.eye(3)[y])
    expected = log_loss(y, model.predict_proba(X))
    assert model.history_["validation_loss"][-1] == pytest.approx(expected, rel=1e-9)
    right = (model.predict(X) == y).mean()
    assert model.history_["validation_score"][-1] == pytest.approx(right)
    for y_val in (soft(4), y):
        with pytest.raises(ValueError, match=r"y_val must have as many columns"):
            fit(model, X, P, X_val=X, y_val=y_val)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scoring", [None, "accuracy", "neg_log_loss", "roc_auc_ovr"])
def test_scorers_are_given_the_likeliest_classes(n_classes, scoring):
    X, _ = fits.iris()
    P = soft(n_classes)
    model = MLPClassifier(**SMALL, early_stopping=True, scoring=scoring, max_iter=4)
    fit(model, X, P)
    assert np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_soft_models_are_copied_stored_and_gone_on_with(n_classes, tmp_path):
    X, y = fits.iris()
    P = soft(n_classes)
    model = fit(MLPClassifier(**SMALL, max_iter=3), X, P)
    path = tmp_path / "soft.safetensors"
    model.save(path)
    expected = model.predict_proba(X)
    for twin in (pickle.loads(pickle.dumps(model)), fastmlp.load(path)):
        np.testing.assert_array_equal(twin.predict_proba(X), expected)
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))
        one = fit(twin.set_params(warm_start=True), X, P)
        two = fit(pickle.loads(pickle.dumps(model)).set_params(warm_start=True), X, P)
        np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    model.partial_fit(X, y % n_classes)
    theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="columns of probabilities"):
        fit(model.set_params(warm_start=True), X, soft(n_classes + 1))


def test_partial_fit_names_the_columns():
    X, y = fits.iris()
    P, names = soft(3), np.array(["setosa", "versicolor", "virginica"])
    model = MLPClassifier(**SMALL).partial_fit(X, P, classes=names)
    np.testing.assert_array_equal(
        model.predict(X), names[model.predict_proba(X).argmax(1)]
    )
    model.partial_fit(X, names[y]).partial_fit(X[:60], np.eye(3)[y[:60]])
    whole = fit(MLPClassifier(**SMALL, max_iter=1), X, P)
    first = MLPClassifier(**SMALL).partial_fit(X, P, classes=names)
    np.testing.assert_array_equal(first.coefs_[0], whole.coefs_[0])


# -- label smoothing


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_is_pytorchs(smoothing):
    torch = pytest.importorskip("torch", reason="its label_smoothing is the reference")
    X, y = fits.iris()
    model = fit(MLPClassifier(**SMALL, label_smoothing=smoothing, alpha=0), X, y)
    fit(model, X, y, X_val=X, y_val=y)
    logits = torch.tensor(model.logits(X))
    expected = torch.nn.functional.cross_entropy(
        logits, torch.tensor(y), label_smoothing=smoothing
    )
    found = model.history_["validation_loss"][-1]
    assert found == pytest.approx(expected.item(), rel=1e-9)
    assert model.history_["validation_score"][-1] == model.score(X, y)


@pytest.mark.parametrize("output", [None, "softmax"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_smoothed_labels_are_soft_targets(n_classes, loss, output):
    """Of the rows that smoothing makes: the same model."""
    if loss == "squared_error" and output:
        return
    X, y = fits.iris()
    y = y % n_classes
    common = {**SMALL, "max_iter": 6, "loss": loss, "output_activation": output}
    model = fit(MLPClassifier(**common, label_smoothing=0.2), X, y)
    P = 0.8 * np.eye(n_classes)[y] + 0.2 / n_classes
    by_hand = fit(MLPClassifier(**common), X, P)
    np.testing.assert_allclose(model.coefs_[0], by_hand.coefs_[0], rtol=1e-9)
    assert model.loss_ == pytest.approx(by_hand.loss_, rel=1e-12)


def test_labels_that_can_be_had_together_are_smoothed_one_by_one():
    X, y = fits.iris()
    labels = np.column_stack([y > 0, y > 1, X[:, 0] > 0]).astype(int)
    model = fit(MLPClassifier(**SMALL, label_smoothing=0.2, max_iter=6), X, labels)
    regressor = MLPRegressor(**SMALL, max_iter=6, output_activation="logistic")
    fit(regressor, X, 0.8 * labels + 0.1)
    brier = MLPClassifier(
        **SMALL, label_smoothing=0.2, max_iter=6, loss="squared_error"
    )
    fit(brier, X, labels)
    np.testing.assert_allclose(brier.coefs_[0], regressor.coefs_[0], rtol=1e-9)
    assert np.abs(model.coefs_[0] - brier.coefs_[0]).max() > 1e-3


def test_smoothed_probabilities_end_at_the_closed_form():
    """Rows that all look alike are predicted by the mean of their smoothed targets."""
    y = np.repeat([0, 1, 2], [60, 30, 10])
    X = np.zeros((100, 1))
    settings = {"alpha": 0, "tol": 1e-10, "random_state": 0}
    model = MLPClassifier((), solver="newton-cg", label_smoothing=0.3, **settings)
    fit(model, X, y)
    expected = 0.7 * np.array([0.6, 0.3, 0.1]) + 0.1
    np.testing.assert_allclose(model.predict_proba(X[:1])[0], expected, atol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.0, np.nan, "much", None])
def test_bad_smoothing_is_refused(value):
    with pytest.raises(ValueError, match="label_smoothing"):
        MLPClassifier(label_smoothing=value).fit(*fits.iris())


def test_smoothing_may_be_turned_off_on_the_way():
    X, y = fits.iris()
    model = MLPClassifier(**SMALL, label_smoothing=0.2, warm_start=True, max_iter=5)
    fit(model, X, y)
    fit(model.set_params(label_smoothing=0.0, max_iter=200), X, y)
    assert model.loss_ == pytest.approx(log_loss(y, model.predict_proba(X)), abs=0.05)
    fit(model.set_params(label_smoothing=0.2), X, y)


@pytest.mark.parametrize("kind", ["strings", "two", "weights", "stop"])
def test_smoothing_goes_with_the_rest(kind):
    X, y = fits.iris()
    params, weights = {}, None
    if kind == "strings":
        y = np.array(["a", "b", "c"])[y]
    elif kind == "two":
        y = (y == 0).astype(int)
    elif kind == "weights":
        params, weights = {"class_weight": "balanced"}, np.linspace(0.5, 1, 150)
    else:
        params = {"early_stopping": True, "scoring": "neg_log_loss"}
    model = MLPClassifier(**SMALL, label_smoothing=0.1, **params)
    fit(model.set_params(learning_rate_init=0.03), X, y, weights)
    assert model.score(X, y) > 0.9
