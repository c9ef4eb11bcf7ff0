"""The estimators among scikit-learn's tools, data frames, files and weights."""

import pickle

import joblib
import numpy as np
import pytest
import sklearn
from fits import iris
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning, UnsetMetadataPassedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from fastmlp import MLPClassifier, MLPRegressor

ESTIMATORS = [MLPClassifier, MLPRegressor]
NAMES = ["width", "length", "height", "depth"]
# After many more iterations of lbfgs, roundings decide where a flat valley is left.
LBFGS = {"solver": "lbfgs", "tol": 1e-12, "max_iter": 20, "activation": "tanh"}
LBFGS |= {"hidden_layer_sizes": (3,), "alpha": 0.5, "random_state": 0}
ONE_STEP = {"solver": "sgd", "max_iter": 1, "momentum": 0.0, "alpha": 0.0}
ONE_STEP |= {"hidden_layer_sizes": (6,), "learning_rate_init": 0.5, "random_state": 0}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
)


@pytest.fixture(name="iris")
def flowers():
    return iris()


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def small(estimator=MLPClassifier, **params):
    settings = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "max_iter": 25}
    return estimator(**{**settings, "random_state": 0, **params})


def outputs(model, X):
    return getattr(model, "predict_proba", model.predict)(X)


def parameters(model):
    return np.concatenate([a.ravel() for a in [*model.coefs_, *model.intercepts_]])


# -- model selection and inspection


@pytest.mark.slow
def test_grid_search_in_processes_finds_what_one_process_finds(iris):
    grid = {"alpha": [1e-4, 100.0], "hidden_layer_sizes": [(4,), (8, 5)]}
    estimator = small()
    with joblib.parallel_config("loky"):
        search = GridSearchCV(estimator, grid, cv=3, n_jobs=2).fit(*iris)
        alone = GridSearchCV(estimator, grid, cv=3).fit(*iris)
    scores = search.cv_results_["mean_test_score"]
    assert_array_equal(scores, alone.cv_results_["mean_test_score"])
    assert search.best_params_["alpha"] == 1e-4
    assert search.best_score_ > 0.85
    assert len(set(scores)) > 1
    assert_array_equal(outputs(search, iris[0]), outputs(alone, iris[0]))


def test_cross_val_score_is_that_of_separate_fits(iris):
    X, y = iris
    halves = np.arange(len(y)) % 2 == 0
    folds = [(np.flatnonzero(halves), np.flatnonzero(~halves))]
    folds.append(folds[0][::-1])
    expected = [small().fit(X[a], y[a]).score(X[b], y[b]) for a, b in folds]
    assert_array_equal(cross_val_score(small(), X, y, cv=folds), expected)
    assert min(expected) > 0.8


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method, iris):
    X, y = iris
    calibrated = CalibratedClassifierCV(small(), method=method, cv=2).fit(X, y)
    probabilities = calibrated.predict_proba(X)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert calibrated.score(X, y) > 0.85
    assert len(calibrated.calibrated_classifiers_) == 2


def test_permutation_importance_finds_the_column_that_counts():
    X = np.random.RandomState(0).standard_normal((200, 3))
    model = small(MLPRegressor, solver="lbfgs", max_iter=100).fit(X, X[:, 1])
    found = permutation_importance(model, X, X[:, 1], n_repeats=3, random_state=0)
    assert found.importances_mean[1] > 1
    assert np.abs(found.importances_mean[[0, 2]]).max() < 0.05


# -- pipelines


def test_pipeline_scales_as_by_hand(iris):
    X, y = iris[0] * 50 + 1000, iris[1]
    pipeline = make_pipeline(StandardScaler(), small()).fit(X, y)
    model = small().fit(StandardScaler().fit_transform(X), y)
    assert_array_equal(parameters(pipeline[-1]), parameters(model))
    assert_array_equal(outputs(pipeline, X), outputs(model, scale(X)))


def test_pipeline_routes_sample_weight(iris, routing):
    X, y = iris
    weight = np.where(y == 0, 0.0, 1.0)
    final = small().set_fit_request(sample_weight=True)
    pipeline = make_pipeline(StandardScaler(), final)
    pipeline[0].set_fit_request(sample_weight=False)
    pipeline.fit(X, y, sample_weight=weight)
    by_hand = small().fit(pipeline[0].transform(X), y, sample_weight=weight)
    assert_array_equal(parameters(pipeline[-1]), parameters(by_hand))
    assert 0 not in pipeline.predict(X)


class ReadingClassifier(MLPClassifier):
    """One that also takes rows to validate on, as transform_input is made for."""

    def fit(self, X, y, sample_weight=None, X_val=None):
        self.seen = X_val
        return super().fit(X, y, sample_weight)


def test_pipeline_transforms_what_transform_input_names(iris, routing):
    X, y = iris
    X, X_val = X[::2] * 9 + 4, X[1::2] * 9 + 4
    y = y[::2]
    final = ReadingClassifier(**small().get_params()).set_fit_request(X_val=True)
    pipeline = make_pipeline(StandardScaler(), final, transform_input=["X_val"])
    pipeline.fit(X, y, X_val=X_val)
    assert_array_equal(final.seen, pipeline[0].transform(X_val))
    by_hand = small().fit(pipeline[0].transform(X), y)
    assert_array_equal(parameters(final), parameters(by_hand))


def test_cross_validate_routes_sample_weight(iris, routing):
    X, y = iris
    weight = np.where(y == 0, 0.0, 1.0)
    model = small().set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    found = cross_validate(
        model, X, y, cv=2, params={"sample_weight": weight}, return_estimator=True
    )
    assert all(0 not in fitted.predict(X) for fitted in found["estimator"])
    # Only possible because the score leaves class 0 out too.
    assert found["test_score"].min() > 0.75


def test_unrequested_sample_weight_is_refused(iris, routing):
    X, y = iris
    with pytest.raises(UnsetMetadataPassedError):
        cross_validate(small(), X, y, params={"sample_weight": np.ones(len(y))})


def test_a_pandas_neighbour_hands_its_names_on(iris):
    pytest.importorskip("pandas")
    X, y = iris
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, small()).fit(X, y)
    assert list(pipeline[-1].feature_names_in_) == ["x0", "x1", "x2", "x3"]
    plain = make_pipeline(StandardScaler(), small()).fit(X, y)
    assert_array_equal(pipeline.predict_proba(X), plain.predict_proba(X))


# -- feature names


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_feature_names(library, estimator, iris):
    DataFrame = pytest.importorskip(library).DataFrame
    X, y = iris
    frame = DataFrame(dict(zip(NAMES, X.T, strict=True)))
    model = small(estimator).fit(frame, y)
    assert list(model.feature_names_in_) == NAMES
    assert model.feature_names_in_.dtype == object
    assert_array_equal(outputs(model, frame), outputs(small(estimator).fit(X, y), X))
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[NAMES[::-1]])
    with pytest.raises(ValueError, match="unseen at fit time"):
        model.predict(DataFrame(dict(zip("abcd", X.T, strict=True))))
    with pytest.raises(ValueError, match="same order"):
        model.partial_fit(frame[NAMES[::-1]], y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


def test_a_later_fit_forgets_names_and_columns(iris):
    X, y = iris
    narrow = X[:, :3].copy()
    model = small().fit(X, y)
    model.feature_names_in_ = np.array(NAMES, dtype=object)  # as of a data frame
    model.fit(narrow, y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 3
    assert_array_equal(outputs(model, narrow), outputs(small().fit(narrow, y), narrow))


# -- labels

LABELS = {
    "str": np.array(["setosa", "versicolor", "virginica"]),
    "object": np.array(["a", "bcd", "ef"], dtype=object),
    "uint8": np.array([3, 7, 255], dtype=np.uint8),
    "uint64": np.array([0, 2, 2**63 + 1], dtype=np.uint64),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "float": np.array([-1.0, 0.0, 1.0]),
    "bool": np.array([False, True]),
    "two str": np.array(["no", "yes"]),
    "two object": np.array(["no", "yes"], dtype=object),
}


def returned_dtype(y):
    """As scikit-learn's MLPClassifier, which makes strings of a fixed width."""
    return np.array(list(y)).dtype if y.dtype == object else y.dtype


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", LABELS)
def test_labels_come_back(kind, early_stopping, iris):
    labels = LABELS[kind]
    X, index = iris
    index = np.minimum(index, len(labels) - 1)
    y = labels[index]
    plain = small(early_stopping=early_stopping).fit(X, index)
    model = small(early_stopping=early_stopping).fit(X, y)
    found = model.predict(X)
    assert found.dtype == model.classes_.dtype == returned_dtype(y)
    assert_array_equal(model.classes_, labels)
    assert_array_equal(found, labels[plain.predict(X)])
    assert model.score(X, y) == plain.score(X, index) > 0.6
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("kind", LABELS)
def test_labels_come_back_from_partial_fit(kind, iris):
    labels = LABELS[kind]
    X, index = iris
    y = labels[np.minimum(index, len(labels) - 1)]
    model = small()
    for _ in range(25):
        model.partial_fit(X, y, classes=labels)
    assert model.predict(X).dtype == returned_dtype(y)
    assert np.mean(model.predict(X) == y) > 0.85


# -- copies and files


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_html_shows_name_and_changed_parameters(estimator, iris):
    model = small(estimator, alpha=0.125)
    for shown in model._repr_html_(), model.fit(*iris)._repr_html_():
        assert estimator.__name__ in shown
        assert "alpha" in shown
        assert "0.125" in shown
    assert "Fitted" in shown


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_clone_keeps_parameters_and_nothing_learnt(estimator, iris):
    model = small(estimator, alpha=0.125, hidden_layer_sizes=[5, 4]).fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coefs_")
    assert_array_equal(parameters(copy.fit(*iris)), parameters(model))


def pickled(model, path):
    return pickle.loads(pickle.dumps(model))


def dumped(model, path):
    joblib.dump(model, path / "model.joblib")
    return joblib.load(path / "model.joblib")


def mapped(model, path):
    joblib.dump(model, path / "model.joblib")
    return joblib.load(path / "model.joblib", mmap_mode="r")


@pytest.mark.parametrize("load", [pickled, dumped, mapped])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_loaded_models_predict_and_train_on(estimator, solver, load, iris, tmp_path):
    X, y = iris
    model = small(estimator, solver=solver).fit(X, y)
    loaded = load(model, tmp_path)
    assert_array_equal(outputs(loaded, X), outputs(model, X))
    before = parameters(loaded)
    assert_array_equal(
        parameters(loaded.partial_fit(X, y)), parameters(model.partial_fit(X, y))
    )
    assert np.abs(parameters(loaded) - before).max() > 1e-6


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_skops_calls_untrusted_what_the_docs_say(estimator, iris):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    model = small(estimator).fit(*iris)
    stored = skops.dumps(model)
    untrusted = skops.get_untrusted_types(data=stored)
    assert untrusted == [f"{estimator.__module__}.{estimator.__name__}"]
    loaded = skops.loads(stored, trusted=untrusted)
    assert_array_equal(outputs(loaded, iris[0]), outputs(model, iris[0]))
    assert_array_equal(
        parameters(loaded.partial_fit(*iris)), parameters(model.partial_fit(*iris))
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_convergence_warning_points_at_the_callers_line(estimator, iris):
    for params in {}, {"solver": "lbfgs"}:
        with pytest.warns(ConvergenceWarning) as caught:
            small(estimator, max_iter=1, **params).fit(*iris)
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sizes", [(9,), (8, 8), ()])
def test_other_hidden_layers_are_an_error_at_a_warm_start(estimator, sizes, iris):
    model = small(estimator, warm_start=True).fit(*iris)
    before = parameters(model)
    model.set_params(hidden_layer_sizes=sizes)
    with pytest.raises(ValueError, match="batch_norm of the previous fit"):
        model.fit(*iris)
    with pytest.raises(ValueError, match="batch_norm of the previous fit"):
        model.partial_fit(*iris)
    assert_array_equal(parameters(model), before)


def test_training_on_leaves_the_file_as_it_was(iris, tmp_path):
    model = mapped(small().fit(*iris), tmp_path)
    before = (tmp_path / "model.joblib").read_bytes()
    model.partial_fit(*iris)
    assert (tmp_path / "model.joblib").read_bytes() == before


# -- sample weights


def with_weights(iris):
    """X, y, integer weights with zeros, and each row as often as it weighs."""
    X, y = iris
    weight = np.random.RandomState(0).randint(0, 4, len(y))
    return X, y, weight, np.repeat(X, weight, axis=0), np.repeat(y, weight)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_lbfgs_weights_are_repetitions(estimator, iris):
    X, y, weight, X_repeated, y_repeated = with_weights(iris)
    weighted = estimator(**LBFGS).fit(X, y, sample_weight=weight)
    repeated = estimator(**LBFGS).fit(X_repeated, y_repeated)
    assert_allclose(outputs(weighted, X), outputs(repeated, X), rtol=1e-6)
    plain = estimator(**LBFGS).fit(X, y)
    assert not np.allclose(outputs(weighted, X), outputs(plain, X), rtol=1e-3)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_full_step_of_sgd_takes_weights_as_repetitions(estimator, iris):
    X, y, weight, X_repeated, y_repeated = with_weights(iris)
    weighted = estimator(**ONE_STEP, batch_size=len(y))
    weighted.fit(X, y, sample_weight=weight)
    repeated = estimator(**ONE_STEP, batch_size=len(y_repeated))
    repeated.fit(X_repeated, y_repeated)
    found, expected = parameters(weighted), parameters(repeated)
    assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("params", [LBFGS, ONE_STEP])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_row_without_weight_is_a_row_removed(estimator, params, iris):
    X, y = iris
    weight = (np.arange(len(y)) % 3 != 0).astype(float)
    kept = weight > 0
    sizes = {"batch_size": len(y)}, {"batch_size": int(kept.sum())}
    weighted = estimator(**params, **sizes[0]).fit(X, y, sample_weight=weight)
    removed = estimator(**params, **sizes[1]).fit(X[kept], y[kept])
    assert_allclose(outputs(weighted, X), outputs(removed, X), rtol=1e-6)


# -- validation rows within other estimators


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_validation_target_that_is_not_transformed_is_refused(in_pipeline):
    X, y = iris()
    y = 100.0 * y + X[:, 0]
    regressor, names = MLPRegressor(max_iter=3, tol=1e9), ("X_val", "y_val")
    if in_pipeline:
        regressor = make_pipeline(StandardScaler(), regressor)
        names = tuple(f"mlpregressor__{name}" for name in names)
    model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    with pytest.raises(ValueError, match="TransformedTargetRegressor transforms y"):
        model.fit(X, y, **dict(zip(names, (X[:20], y[:20]), strict=True)))
    model.fit(X, y)
    plain = MLPRegressor(max_iter=3, tol=1e9)
    plain.fit(X, y, X_val=X[:20], y_val=y[:20])
    assert len(plain.validation_scores_) == plain.n_iter_


def test_a_validation_target_made_of_transformed_ones_is_taken():
    """Of a regressor that holds rows out by itself: they are on the same scale."""

    class HoldsOut(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            network = MLPRegressor(max_iter=3, tol=1e9)
            self.network_ = network.fit(X[20:], y[20:], X_val=X[:20], y_val=y[:20])
            return self

        def predict(self, X):
            return self.network_.predict(X)

    X, y = iris()
    model = TransformedTargetRegressor(HoldsOut(), transformer=StandardScaler())
    model.fit(X, y + 0.0)
    assert len(model.regressor_.network_.validation_scores_) == 3


def test_a_pipeline_transforms_validation_rows():
    X, y = iris()
    X = 1000 * X
    judge = {"X_val": X[::5], "y_val": y[::5]}
    settings = {"max_iter": 4, "random_state": 0, "tol": 0}
    with sklearn.config_context(enable_metadata_routing=True):
        network = MLPClassifier(**settings).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("network", network)]
        pipeline = Pipeline(steps, transform_input=["X_val"]).fit(X, y, **judge)
    scaler = StandardScaler().fit(X)
    judge["X_val"] = scaler.transform(judge["X_val"])
    by_hand = MLPClassifier(**settings).fit(scaler.transform(X), y, **judge)
    found = pipeline[-1].history_["validation_loss"]
    assert found == by_hand.history_["validation_loss"]
