"""CNNClassifier and CNNRegressor: what X may be, and all that MLPs do besides."""

import copy
import functools
import inspect
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from fits import fit, unconverged
from saving import facts
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp.network
from fastmlp import (
    Checkpoint,
    CNNClassifier,
    CNNRegressor,
    MLPClassifier,
    MLPRegressor,
    load,
)
from fastmlp.recipe import FIRST_ORDER_SOLVERS, FULL_BATCH_SOLVERS

BOTH = pytest.mark.parametrize("cls", [CNNClassifier, CNNRegressor])
SMALL = {
    "conv_layers": ((4, 3), (6, 3)),
    "hidden_layer_sizes": (8,),
    "batch_size": 50,
    "max_iter": 3,
    "random_state": 0,
}
# Rows of no channel, one and several; images and signals.
SHAPES = [(8, 8), (8, 8, 1), (6, 9, 3), (28, 28, 1), (128, 3), (30, 1)]


@functools.cache
def digits():
    """Images of 8 × 8 from 0 to 1, and what they show."""
    X, y = datasets.load_digits(return_X_y=True)
    return X.reshape(-1, 8, 8) / 16, y


@pytest.fixture
def images():
    X, y = digits()
    return X[:200], y[:200]


def draw(shape, n_rows=60):
    random = np.random.RandomState(0)
    return random.normal(size=(n_rows, *shape)), random.randint(3, size=n_rows)


def predicted(model, X):
    is_classifier = hasattr(model, "predict_proba")
    return model.predict_proba(X) if is_classifier else model.predict(X)


# --- What X may be


@BOTH
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_and_flat_rows_are_the_same(shape, cls):
    """To the bit, and whatever the rows are that are predicted."""
    X, y = draw(shape)
    flat = X.reshape(len(X), -1)
    model = fit(cls(**SMALL), X, y)
    named = fit(cls(**SMALL, input_shape=shape), flat, y)
    assert facts(model) == facts(named)
    expected = shape if shape != (8, 8) else (8, 8, 1)
    assert model.input_shape_ == expected
    assert model.n_features_in_ == flat.shape[1]
    outputs = predicted(model, X)
    for other in (flat, X.tolist(), X.reshape(len(X), *expected)):
        np.testing.assert_array_equal(predicted(named, other), outputs)
    n_axes, channels = len(expected) - 1, expected[-1]
    assert model.coefs_[0].shape == (*[3] * n_axes, channels, 4)
    assert model.coefs_[1].shape == (*[3] * n_axes, 4, 6)


def test_a_row_of_a_matrix_is_a_signal_of_one_channel():
    X, y = draw((30,))
    model = fit(CNNRegressor(**SMALL), X, y)
    assert model.input_shape_ == (30, 1)
    other = fit(CNNRegressor(**SMALL, input_shape=[30, 1]), X, y)
    assert facts(model) == facts(other)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_images_of_any_kind(dtype, order, images):
    X, y = images
    X = np.asarray(16 * X, dtype, order=order)
    model = fit(CNNClassifier(**SMALL), X, y)
    wanted = dtype if dtype.startswith("float") else "float64"
    assert model.coefs_[0].dtype == wanted
    other = fit(CNNClassifier(**SMALL), np.ascontiguousarray(X, wanted), y)
    assert facts(model) == facts(other)


def test_views_that_lie_anywhere(images):
    X, y = images
    wide = np.zeros((2 * len(X), 9, 8, 2))
    wide[::2, 1:, ::-1, 0] = X
    model = fit(CNNClassifier(**SMALL), wide[::2, 1:, ::-1, 0], y)
    assert facts(model) == facts(fit(CNNClassifier(**SMALL), X, y))


def test_names_of_features():
    X, y = draw((24,))
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(24)])
    model = fit(CNNRegressor(**SMALL, input_shape=(6, 4, 1)), frame, y)
    assert list(model.feature_names_in_) == list(frame.columns)
    same = fit(CNNRegressor(**SMALL), X.reshape(-1, 6, 4, 1), y)
    np.testing.assert_array_equal(model.predict(frame), same.predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"pixel 0": "other"}))


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({}, (8, 8, 1, 1), "the shape of a row must be"),
        ({"input_shape": (8, 8)}, (8, 8, 1, 1), "the shape of a row must be"),
        ({"input_shape": (8, 8)}, (63,), "63 features, but input_shape=.* has 64"),
        ({"input_shape": (8, 8)}, (8, 8, 3), r"\(8, 8, 3\), but .* \(8, 8, 1\)"),
        ({"input_shape": (4, 16, 1)}, (8, 8), "expecting"),
        ({"input_shape": (64, 1)}, (8, 8), "expecting"),
        ({"input_shape": (8,)}, (8,), "the shape of a row must be"),
        ({"input_shape": (2, 2, 2, 1)}, (8,), "the shape of a row must be"),
        ({"input_shape": ()}, (8,), "the shape of a row must be"),
        ({"input_shape": (8, 0)}, (8,), "positive integers"),
        ({"input_shape": (-2, -4)}, (8,), "positive integers"),
        ({"input_shape": (2.0, 4)}, (8,), "positive integers"),
        ({"input_shape": (2, None)}, (8,), "positive integers"),
        ({"input_shape": 64}, (64,), "'input_shape' parameter"),
        ({"input_shape": "88"}, (64,), "'input_shape' parameter"),
        ({"padding": "valid"}, (3, 4, 1), "is larger than what it is given"),
        ({"pool_size": 3}, (8, 8), r"MaxPool.* is larger .* \(2, 2, 6\)"),
        ({"pool_size": (2, 1)}, (30, 2), "size of MaxPool.* for signals"),
        ({"pool_size": (2, 2, 2)}, (8, 8), "size of MaxPool"),
        ({"pool_size": (2, 0)}, (8, 8), "size of MaxPool"),
        ({"pool_size": [2, "a"]}, (8, 8), "size of MaxPool"),
        ({"pool_size": 0}, (8, 8), "'pool_size' parameter"),
        ({"pool_size": 2.5}, (8, 8), "'pool_size' parameter"),
        ({"pool": "mean"}, (8, 8), "'pool' parameter"),
        ({"padding": "full"}, (8, 8), "'padding' parameter"),
        ({"conv_layers": 16}, (8, 8), "'conv_layers' parameter"),
        ({"conv_layers": None}, (8, 8), "'conv_layers' parameter"),
        ({"conv_layers": (16, 3)}, (8, 8), "must hold pairs"),
        ({"conv_layers": ((16, 3, 1),)}, (8, 8), "must hold pairs"),
        ({"conv_layers": ((16,),)}, (8, 8), "must hold pairs"),
        ({"conv_layers": ("ab",)}, (8, 8), "must hold pairs"),
        ({"conv_layers": ((0, 3),)}, (8, 8), "filters of Conv"),
        ({"conv_layers": ((4, 0),)}, (8, 8), "kernel of Conv"),
        ({"conv_layers": ((4, 2.5),)}, (8, 8), "kernel of Conv"),
        ({"conv_layers": ((4, (3,)),)}, (8, 8), "kernel of Conv"),
        ({"conv_layers": ((4, (3, 3)),)}, (30, 2), "kernel of Conv.* for signals"),
        ({"conv_layers": ((10**30, 3),)}, (8, 8), "more than .* numbers"),
        ({"conv_layers": ((10**8, 3),)}, (8, 8), "more than .* numbers"),
        ({"activation": ["relu", "tanh"]}, (8, 8), "activation"),
        ({"dropout": [0.1, 0.1]}, (8, 8), "dropout"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_does_not_fit_is_refused(method, settings, shape, message, monkeypatch):
    """Before anything is allocated."""
    model = CNNRegressor(**{**SMALL, **settings})
    for name in ("aligned_empty", "aligned_copy"):
        monkeypatch.setattr(fastmlp.network, name, None)
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(*draw(shape))
    assert not hasattr(model, "input_shape_")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "settings",
    [
        {"pool": "mean"},
        {"padding": "full"},
        {"pool_size": 0},
        {"pool_size": 3},
        {"pool_size": "2"},
        {"conv_layers": 16},
        {"conv_layers": None},
        {"conv_layers": ((10**30, 3),)},
        {"hidden_layer_sizes": (0,)},
    ],
    ids=str,
)
def test_settings_that_are_refused_leave_the_old_model(settings, method):
    X, y = draw((8, 8))
    model = fit(CNNRegressor(**SMALL), X, y)
    before, parameters = facts(model), model.get_params()
    with pytest.raises(ValueError, match=next(iter(settings)) + "|Conv|Pool|layers"):
        getattr(model.set_params(**settings), method)(X, y)
    model.set_params(**parameters)
    assert facts(model) == before
    model.partial_fit(X, y)


@BOTH
def test_a_failed_fit_leaves_the_old_model(cls):
    X, y = draw((8, 8))
    model = fit(cls(**SMALL), X, y)
    before, outputs = facts(model), predicted(model, X)
    other, _ = draw((6, 5, 2))
    other[3, 2, 2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.fit(other, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[1:])
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X[:0], y[:0])
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's words
        model.fit([[[1, 2], [3]], [[4, 5], [6, 7]]], y[:2])
    with pytest.raises(TypeError, match="images are dense"):
        model.fit(scipy.sparse.csr_array(X.reshape(-1, 64)), y)
    assert facts(model) == before
    np.testing.assert_array_equal(predicted(model, X), outputs)


@BOTH
@pytest.mark.parametrize("method", ["predict", "score", "partial_fit"])
def test_rows_of_another_shape(method, cls):
    X, y = draw((8, 8))
    model = fit(cls(**SMALL), X, y)
    more = () if method == "predict" else (y,)
    for shape in [(8, 7), (4, 16), (8, 8, 2), (64, 1), (4, 4, 4)]:
        with pytest.raises(ValueError, match=r"X has rows of shape .* expecting"):
            getattr(model, method)(draw(shape)[0], *more)
    with pytest.raises(ValueError, match="features"):
        getattr(model, method)(draw((63,))[0], *more)
    with pytest.raises(TypeError, match="images are dense"):
        getattr(model, method)(scipy.sparse.csr_array(X.reshape(-1, 64)), *more)


@BOTH
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (64,)])
def test_the_unfitted_say_so(shape, cls):
    with pytest.raises(NotFittedError):
        cls().predict(draw(shape)[0])


# --- What the layers are


def test_defaults():
    for cls in (CNNClassifier, CNNRegressor):
        parameters = cls().get_params()
        assert parameters["hidden_layer_sizes"] == (64,)
        assert parameters["conv_layers"] == ((16, 3), (32, 3))
        assert (parameters["pool_size"], parameters["pool"]) == (2, "max")
        assert (parameters["padding"], parameters["input_shape"]) == ("same", None)


@pytest.mark.parametrize(
    ("mine", "theirs"), [(CNNClassifier, MLPClassifier), (CNNRegressor, MLPRegressor)]
)
def test_everything_of_the_mlps(mine, theirs):
    own = {"input_shape", "conv_layers", "pool_size", "pool", "padding"}
    expected = theirs().get_params().keys() | own
    assert mine().get_params().keys() == expected
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public <= set(dir(mine))
    first, second = (list(inspect.signature(c).parameters)[:3] for c in (mine, theirs))
    assert first == second
    assert isinstance(mine(), theirs)


@pytest.mark.parametrize(
    ("settings", "units"),
    [
        ({}, [8 * 8 * 4, 4 * 4 * 4, 4 * 4 * 6, 2 * 2 * 6, 8]),
        ({"padding": "valid", "pool_size": 1}, [6 * 6 * 4, 4 * 4 * 6, 8]),
        ({"pool_size": None}, [8 * 8 * 4, 8 * 8 * 6, 8]),
        ({"pool_size": 1}, [8 * 8 * 4, 8 * 8 * 6, 8]),
        ({"pool_size": [1, 1]}, [8 * 8 * 4, 8 * 8 * 6, 8]),
        ({"pool_size": (2, 1)}, [8 * 8 * 4, 4 * 8 * 4, 4 * 8 * 6, 2 * 8 * 6, 8]),
        ({"pool": "average"}, [8 * 8 * 4, 4 * 4 * 4, 4 * 4 * 6, 2 * 2 * 6, 8]),
        ({"conv_layers": [[3, (5, 3)]]}, [8 * 8 * 3, 4 * 4 * 3, 8]),
        ({"conv_layers": np.array([[3, 5]])}, [8 * 8 * 3, 4 * 4 * 3, 8]),
        ({"conv_layers": ()}, [8]),
        ({"hidden_layer_sizes": ()}, [8 * 8 * 4, 4 * 4 * 4, 4 * 4 * 6, 2 * 2 * 6]),
    ],
    ids=str,
)
def test_layers(settings, units, images):
    X, y = images
    model = fit(CNNClassifier(**{**SMALL, **settings}), X, y)
    hidden = model.hidden_activations(X[:5])
    assert [h[0].size for h in hidden] == units


def test_pooled_activations_are_maxima_and_means(images):
    X, y = images
    for pool, reduce in (("max", np.max), ("average", np.mean)):
        model = fit(CNNClassifier(**SMALL, pool=pool), X, y)
        convolved, pooled, *_ = model.hidden_activations(X[:5])
        windows = convolved.reshape(5, 4, 2, 4, 2, 4)
        expected = reduce(windows, axis=(2, 4))
        np.testing.assert_allclose(pooled, expected, rtol=1e-12, atol=1e-15)


def test_the_window_of_a_short_signal_is_the_whole():
    X, y = draw((5, 2))
    model = fit(CNNRegressor(**SMALL, pool_size=4), X, y)
    shapes = [h.shape[1:] for h in model.hidden_activations(X)]
    assert shapes == [(5, 4), (1, 4), (1, 6), (8,)]


def test_settings_of_each_layer(images):
    """Convolutions first, those that pool not counted."""
    X, y = images
    given = {"activation": ["tanh", "relu", "gelu"], "dropout": [0.1, 0.0, 0.2]}
    model = fit(CNNClassifier(**SMALL, **given, batch_norm=True), X, y)
    text = str(model.summary())
    for name in ("tanh", "relu", "gelu", "max pool", "conv + batch norm", "output"):
        assert name in text
    first, *_ = model.hidden_activations(X)
    assert first.min() < 0
    assert np.abs(first).max() <= 1


def test_the_summary_counts():
    X, y = draw((6, 6, 2))
    model = fit(CNNRegressor(**SMALL), X, y)
    summary = model.summary()
    n_params = 4 * (9 * 2 + 1) + 6 * (9 * 4 + 1) + 8 * (6 + 1) + 9
    n_products = 36 * 4 * 9 * 2 + 9 * 6 * 9 * 4 + 8 * 6 + 8
    assert summary.n_params == n_params
    assert sum(layer.n_multiply_adds for layer in summary.layers) == n_products
    assert "hidden 1, conv" in model.summary()._repr_html_()
    assert "CNNRegressor" in model._repr_html_()
    assert "input_shape" in CNNRegressor(input_shape=(8, 8))._repr_html_()


def test_replaced_kernels_are_what_predict_uses(images):
    X, y = images
    model = fit(CNNClassifier(**SMALL), X, y)
    outputs = model.predict_proba(X)
    kernel = model.coefs_[0].copy()
    model.coefs_[0] = np.zeros_like(kernel)
    assert np.abs(model.predict_proba(X) - outputs).max() > 1e-3
    model.coefs_[0] = kernel
    np.testing.assert_array_equal(model.predict_proba(X), outputs)
    model.coefs_[0][0, 0, 0, 0] += 1
    assert (model.predict_proba(X) != outputs).any()


# --- Training


SOLVERS = [*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS]


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_learns(solver, images):
    X, y = images[0][:80], images[1][:80] % 2
    given = {**SMALL, "solver": solver, "max_iter": 12, "conv_layers": ((3, 3),)}
    if solver == "lm":
        given["hidden_layer_sizes"] = (3,)
    model = CNNRegressor(**given, loss="squared_error")
    with unconverged():
        first = clone(model).set_params(max_iter=1).fit(X, y)
        model.fit(X, y)
    assert model.loss_ < first.loss_


@BOTH
@pytest.mark.parametrize("settings", [{}, {"batch_norm": True, "dropout": 0.2}])
def test_calls_to_partial_fit_are_epochs_of_fit(settings, cls, images):
    X, y = images
    whole = fit(cls(**SMALL, **settings, tol=0.0), X, y)
    model = cls(**SMALL, **settings, tol=0.0)
    more = {"classes": np.unique(y)} if cls is CNNClassifier else {}
    for _ in range(3):
        model.partial_fit(X, y, **more)
    np.testing.assert_array_equal(predicted(model, X), predicted(whole, X))
    assert model.loss_curve_ == whole.loss_curve_


@BOTH
def test_a_warm_start_goes_on(cls, images):
    X, y = images
    whole = fit(cls(**{**SMALL, "max_iter": 6}, tol=0.0, shuffle=False), X, y)
    model = cls(**SMALL, tol=0.0, shuffle=False, warm_start=True)
    for _ in range(2):
        fit(model, X, y)
    np.testing.assert_array_equal(predicted(model, X), predicted(whole, X))


@pytest.mark.parametrize(
    "change",
    [
        {"conv_layers": ((4, 3), (7, 3))},
        {"conv_layers": ((4, 5), (6, 3))},
        {"pool_size": (1, 2)},
        {"pool": "average"},
        {"padding": "valid", "pool_size": 1},
        {"hidden_layer_sizes": (9,)},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_as_another_network_is_refused(method, change, images):
    X, y = images
    model = fit(CNNClassifier(**SMALL, warm_start=True), X, y)
    before = facts(model)
    with pytest.raises(ValueError, match=r"warm_start|partial_fit|set_params|changed"):
        getattr(model.set_params(**change), method)(X, y)
    model.set_params(**SMALL, padding="same", pool_size=2, pool="max")
    assert facts(model) == before


def test_the_same_layers_in_other_words_go_on(images):
    X, y = images
    model = fit(CNNClassifier(**SMALL), X, y)
    model.set_params(conv_layers=[[np.int64(4), 3], np.array([6, 3])])
    model.partial_fit(X.reshape(-1, 64), y)
    assert model.t_ == 4 * len(X)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}])
def test_held_out_images(settings, images):
    """X_val may be images or flat rows, and is judged as prediction does."""
    X, y = images
    rows = {"X_val": X[150:], "y_val": y[150:]}
    model = fit(CNNClassifier(**SMALL, **settings), X[:150], y[:150], **rows)
    rows["X_val"] = rows["X_val"].reshape(50, -1)
    other = fit(CNNClassifier(**SMALL, **settings), X[:150], y[:150], **rows)
    assert facts(model) == facts(other)
    history = model.history_
    assert len(history["validation_score"]) == 3
    score = np.max(history["validation_score"])
    if not settings:
        score = history["validation_score"][-1]
    assert model.score(X[150:], y[150:]) == pytest.approx(score)
    with pytest.raises(ValueError, match="expecting"):
        model.fit(X[:150], y[:150], X_val=X[150:, 1:], y_val=y[150:])


def test_early_stopping_holds_rows_out(images):
    X, y = images
    given = {**SMALL, "max_iter": 200, "early_stopping": True, "n_iter_no_change": 2}
    model = CNNClassifier(**given).fit(X, y)
    assert model.n_iter_ < 200
    assert model.best_validation_score_ == max(model.validation_scores_)


@BOTH
def test_whole_weights_are_repeated_rows(cls, images):
    X, y = images[0][:60], images[1][:60]
    weights = np.random.RandomState(0).randint(3, size=60)
    given = {**SMALL, "solver": "lbfgs", "max_iter": 5, "alpha": 0.0}
    weighted = fit(cls(**given), X, y, sample_weight=weights)
    repeated = fit(cls(**given), np.repeat(X, weights, 0), np.repeat(y, weights))
    np.testing.assert_allclose(
        predicted(weighted, X), predicted(repeated, X), rtol=1e-6, atol=1e-8
    )


def test_callbacks_see_every_epoch(images):
    X, y = images
    told = []
    model = CNNClassifier(**SMALL, callbacks=[lambda *told_of: told.append(told_of)])
    fit(model, X, y)
    assert [epoch for epoch, _ in told] == [0, 1, 2]
    assert [logs["loss"] for _, logs in told] == model.loss_curve_


@BOTH
@pytest.mark.parametrize("settings", [{}, {"batch_norm": True, "dropout": 0.2}])
def test_a_fit_goes_on_from_its_checkpoints(settings, cls, images, tmp_path):
    X, y = images
    path = tmp_path / "fit"
    given = {**SMALL, **settings, "max_iter": 4, "tol": 0.0, "pool": "average"}
    model = fit(cls(**given, callbacks=[Checkpoint(path, keep=9)]), X, y)
    paths = [path, *tmp_path.glob("fit.*")]
    assert len(paths) == 4
    for found in paths:
        again = fit(cls(**given), X.reshape(-1, 8, 8, 1), y, resume_from=found)
        assert facts(again) == facts(model)
    other = cls(**{**given, "conv_layers": ((4, 3), (6, 5))})
    with pytest.raises(ValueError, match=r"checkpoint|layers"):
        other.fit(X, y, resume_from=path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_norm": True, "dropout": 0.2, "early_stopping": True},
        {"solver": "lbfgs"},
        {"grad_clip_norm": 0.1, "pool": "average", "activation": "gelu"},
    ],
    ids=str,
)
def test_any_number_of_threads_gives_the_same_bits(settings, dtype, images):
    X, y = images
    models = [
        fit(CNNClassifier(**SMALL, **settings, n_threads=n), X.astype(dtype), y)
        for n in (1, 2, 3, 4)
    ]
    for model in models[1:]:
        assert facts(model) == facts(models[0])
        outputs = [m.predict_proba(X.astype(dtype)) for m in (model, models[0])]
        np.testing.assert_array_equal(*outputs)


# --- Copies, files, and scikit-learn's tools


def saved(model, folder):
    model.save(folder / "model")
    return load(folder / "model")


def dumped(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


COPIES = {
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "joblib": dumped,
    "file": saved,
}


@BOTH
@pytest.mark.parametrize("twin_of", COPIES.values(), ids=COPIES)
def test_copies_predict_and_go_on_alike(twin_of, cls, images, tmp_path):
    X, y = images
    settings = {"batch_norm": True, "input_shape": (8, 8), "pool_size": (2, 2)}
    model = fit(cls(**SMALL, **settings), X, y)
    twin = twin_of(model, tmp_path)
    assert facts(twin) == facts(model)
    assert twin.input_shape_ == (8, 8, 1)
    assert type(twin.input_shape_) is tuple
    for rows in (X, X.reshape(-1, 64)):
        np.testing.assert_array_equal(predicted(twin, rows), predicted(model, rows))
    twin.partial_fit(X, y)
    assert facts(twin) == facts(model.partial_fit(X, y))


@pytest.mark.parametrize(
    "shape", [[4, 16, 1], [8, 8], [8, 8, 1, 1], [64], [], [8, 8, 2]]
)
def test_a_shape_that_is_not_the_networks_is_refused(shape, images, tmp_path):
    from test_model_files import put_together, taken_apart

    path = tmp_path / "model"
    fit(CNNClassifier(**SMALL), *images).save(path)
    header, tensors = taken_apart(path)
    text = header["__metadata__"]["fastmlp"]
    assert text.count("[8, 8, 1]") == 1 or text.count("[8,8,1]") == 1
    for old in ("[8, 8, 1]", "[8,8,1]"):
        text = text.replace(old, str(shape))
    metadata = {**header["__metadata__"], "fastmlp": text}
    path.write_bytes(put_together({**header, "__metadata__": metadata}, tensors))
    with pytest.raises(fastmlp.ModelFileError):
        load(path)


def test_clones_and_parameters():
    model = CNNClassifier(conv_layers=((4, (3, 2)),), input_shape=(8, 8))
    assert clone(model).get_params() == model.get_params()
    assert "conv_layers=((4, (3, 2)),)" in repr(model)
    assert model.set_params(pool="average").pool == "average"


@BOTH
def test_scikit_learn_has_no_counterpart(cls):
    with pytest.raises(TypeError, match="scikit-learn has no"):
        cls().to_sklearn()
    with pytest.raises(TypeError, match="scikit-learn has no"):
        cls.from_sklearn(MLPClassifier())


def test_pipelines_and_searches_on_flat_rows(images):
    X, y = images[0].reshape(-1, 64), images[1]
    pipeline = make_pipeline(
        StandardScaler(), CNNClassifier(**SMALL, input_shape=(8, 8))
    )
    grid = {
        "cnnclassifier__conv_layers": [((4, 3),), ((3, (2, 3)), (4, 3))],
        "cnnclassifier__pool": ["max", "average"],
    }
    with unconverged():
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.15
    assert search.predict(X).shape == y.shape


def test_searches_on_images(images):
    X, y = images
    with unconverged():
        search = GridSearchCV(
            CNNClassifier(**SMALL), {"pool_size": [1, 2]}, cv=2, error_score="raise"
        ).fit(X, y)
    assert search.predict(X).shape == y.shape


def test_progress_is_printed(images, capsys):
    fit(CNNClassifier(**SMALL, verbose=True), *images)
    assert "Iteration 1" in capsys.readouterr().out


def test_several_targets_and_losses(images):
    X, y = images
    Y = np.stack([y, y**2], axis=1) / 10
    for loss in ("squared_error", "huber", "quantile", "log_cosh", "poisson"):
        model = fit(CNNRegressor(**SMALL, loss=loss), X, Y)
        assert model.predict(X).shape == Y.shape
    labels = np.stack([y > 4, y % 2 == 0], axis=1).astype(int)
    assert fit(CNNClassifier(**SMALL), X, labels).predict(X).shape == labels.shape


def test_images_need_no_copy_to_be_rows():
    buffer = io.BytesIO()
    X, y = draw((8, 8))
    X.flags.writeable = False
    model = fit(CNNRegressor(**SMALL), X, y)
    assert np.shares_memory(model._as_rows(X, False), X)
    joblib.dump(model, buffer)


# --- Learning


def test_digits():
    X, y = digits()
    X, X_test, y, y_test = train_test_split(X.astype(np.float32), y, random_state=0)
    model = fit(CNNClassifier(**DIGITS), X, y)
    assert model.score(X_test, y_test) >= 0.985


# Chosen by four-fold cross-validation of some settings on the training rows.
DIGITS = {
    "batch_size": 64,
    "learning_rate": "cosine",
    "learning_rate_init": 0.003,
    "max_iter": 40,
    "batch_norm": True,
    "random_state": 0,
}


def test_a_sine_among_noise():
    """Of the same mean and power, so that only neighbours tell."""
    random = np.random.RandomState(0)
    n, length = 600, 64
    phases, rates = random.uniform(0, 6, (n, 1)), random.uniform(0.3, 1.2, (n, 1))
    y, noise = random.randint(2, size=n), random.normal(size=(n, length))
    sines = np.sin(rates * np.arange(length) + phases)
    X = np.where(y[:, None] == 1, sines + noise / 2, noise)
    X -= X.mean(axis=1, keepdims=True)
    X = (X / X.std(axis=1, keepdims=True))[:, :, np.newaxis]
    model = CNNClassifier(
        conv_layers=((8, 7), (8, 5)), max_iter=30, random_state=0, batch_size=32
    )
    fit(model, X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.97
