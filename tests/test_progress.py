"""The bar of verbose=2: what is written, where nothing is, and what it costs."""

import functools
import io
import multiprocessing
import re
import sys
import time
import types
import warnings

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.utils.validation import check_is_fitted

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, _kernels, progress
from fastmlp.estimators._listeners import listeners_of_verbosity
from fastmlp.fitting import Fit, fit_network
from fastmlp.listeners import Listener
from fastmlp.recipe import Recipe
from fastmlp.state import TrainingState

pytest.importorskip("tqdm", reason="the bar is tqdm's")

FIELD = re.compile(
    r"epoch (\d+)/(\d+) \|.*\| [\d:]+ left, loss (\S+), rate (\S+), "
    r"stalled (\d+)/10, (\S+) rows/s"
)


class Terminal(io.StringIO):
    """What a terminal was sent."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def frames(self):
        """Each state of the line, without the spaces that erase the one before."""
        return [frame.rstrip(" ") for frame in self.getvalue().split("\r") if frame]


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    show_on(stream, monkeypatch)
    monkeypatch.delenv("COLUMNS", raising=False)
    return stream


def show_on(stream, monkeypatch):
    """pytest sets sys.stderr itself, after fixtures have been made."""
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=stream))


@pytest.fixture
def at_once(monkeypatch):
    """Bars appear at once, and every moment is one to draw in."""
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(progress, "LEAST_SECONDS_BETWEEN", 0)
    monkeypatch.setattr(progress, "SHARE", np.inf)


def fit(model, *rows, **held_out):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*rows, **held_out)


def iris():
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def bars_fit(**params):
    return fit(MLPClassifier((5,), random_state=0, verbose=2, **params), *iris())


# -- what is written


@pytest.mark.usefixtures("at_once")
def test_a_bar_shows_the_figures_of_each_epoch(terminal, capsys):
    model = bars_fit(max_iter=6, learning_rate="invscaling", solver="sgd")
    assert capsys.readouterr().out == ""
    # An epoch of 150 rows is one slice; the epoch's own frame comes after its slice's.
    shown = {}
    for frame in terminal.frames():
        if found := FIELD.match(frame):
            shown[int(found[1])] = found.groups()
    assert set(shown) == set(range(1, 7))
    rates, losses = (model.history_[name] for name in ("learning_rate", "loss"))
    for epoch, (_, of, loss, rate, stalled, _) in shown.items():
        assert (of, stalled) == ("6", "0")
        assert float(loss) == pytest.approx(losses[epoch - 1], rel=1e-3)
        assert float(rate) == pytest.approx(rates[epoch - 1], rel=1e-3)
    assert terminal.getvalue().endswith("\n")
    assert terminal.getvalue().count("\n") == 1
    assert "stopped by max_iter" in terminal.frames()[-1]


@pytest.mark.usefixtures("at_once")
def test_patience_and_validation_score_are_shown(terminal):
    X, y = iris()
    model = MLPClassifier(
        *((5,), "tanh"), early_stopping=True, verbose=2, n_iter_no_change=3, tol=0.5
    )
    fit(model, X, y, X_val=X[::2], y_val=y[::2])
    frames = "".join(terminal.frames())
    stalled = [int(n) for n in re.findall(r"stalled (\d+)/3", frames)]
    assert stalled == sorted(stalled)
    assert stalled[-1] == 3  # the next one ends the fit: its frame has the reason
    for score in model.validation_scores_:
        assert f"score {score:.4g}," in frames
    last = terminal.frames()[-1]
    assert f"epoch {model.n_iter_}/200 " in last
    assert "stopped by early_stopping" in last


@pytest.mark.usefixtures("at_once")
def test_an_infinite_patience_is_not_shown(terminal):
    bars_fit(max_iter=3, n_iter_no_change=np.inf)
    assert "loss" in terminal.getvalue()
    assert "stalled" not in terminal.getvalue()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("solver", ["lbfgs", "gd", "steepest", "newton-cg"])
def test_full_batch_solvers_count_iterations(solver, terminal):
    model = bars_fit(solver=solver, max_iter=7)
    pattern = re.compile(r"iteration (\d+)/7 .* left, loss ([^,]+),")
    shown = [m.groups() for m in map(pattern.match, terminal.frames()) if m]
    assert [int(n) for n, _ in shown] == list(range(1, model.n_iter_ + 1))
    for (_, loss), expected in zip(shown, model.history_["loss"], strict=True):
        assert float(loss) == pytest.approx(expected, rel=1e-3)
    assert "iterations/s" in terminal.frames()[-1]
    assert f"stopped by {model.stop_reason_}" in terminal.frames()[-1]


@pytest.mark.usefixtures("at_once")
def test_rows_within_an_epoch_are_told(terminal):
    recipe = Recipe(None, n_epochs=4)
    state = TrainingState(fastmlp.Network([2, 1]), np.random.RandomState(0))
    state.order = types.SimpleNamespace(n_rows=100)
    state.optimizer = state.learning_rate = object()
    (bar,) = listeners_of_verbosity(2)
    under_way = Fit(recipe, state, listeners=[bar])
    under_way.begin()
    fills = []
    for n_rows in (50, 100):
        under_way.tell_slice(n_rows)
        fills.append(terminal.frames()[-1].count("█"))
    state.history["loss"] = [1.0]
    bar.on_epoch_end(under_way, {"loss": 1.0, "learning_rate": 0.1})
    under_way.tell_slice(100)
    fills.append(terminal.frames()[-1].count("█"))
    bar.on_teardown()
    # A terminal of unknown width has a bar of ten; 4 epochs of 100 rows fill it.
    assert fills == [1, 2, 5]


@pytest.mark.usefixtures("at_once")
def test_time_left_is_that_of_the_epochs_that_are_left(terminal, monkeypatch):
    clock = types.SimpleNamespace(value=1000.0)
    fake = types.SimpleNamespace(perf_counter=lambda: clock.value)
    monkeypatch.setattr(progress, "time", fake)
    monkeypatch.setattr("tqdm.std.time", lambda: clock.value)
    display = progress.Display(progress.find_bars("test"), 1000, "rows", scales=True)
    clock.value += 2.05
    display.draw(100, "epoch 1/10")
    assert "| 00:18 left, 48.8 rows/s" in terminal.frames()[-1]
    clock.value += 17.95
    display.finish(1000, "epoch 10/10")
    assert "| 00:20, 50.0 rows/s" in terminal.frames()[-1]


@pytest.mark.usefixtures("at_once")
def test_a_notebooks_bar_ends_full_with_the_rate_of_the_whole_fit(monkeypatch):
    notebook = pytest.importorskip("tqdm.notebook")
    if notebook.IProgress is None:
        pytest.skip("a notebook's bar needs ipywidgets")
    shown = []
    monkeypatch.setattr(notebook, "display", shown.append)
    clock = types.SimpleNamespace(value=1000.0)
    fake = types.SimpleNamespace(perf_counter=lambda: clock.value)
    monkeypatch.setattr(progress, "time", fake)
    monkeypatch.setattr("tqdm.std.time", lambda: clock.value)
    bars = progress._without_monitor(notebook.tqdm)
    display = progress.Display(bars, 1000, "rows", scales=True)
    clock.value += 2  # a slow start, and one drawing in it
    display.draw(10, "epoch 1/10")
    clock.value += 2
    display.finish(400, "epoch 4/10", "stopped by early_stopping")
    (container,) = shown
    title, bar, figures = container.children
    assert (bar.value, bar.max, bar.bar_style) == (400, 400, "success")
    assert title.value.split() == ["epoch", "4/10"]
    words = " ".join(figures.value.split())
    assert words == "00:04, stopped by early_stopping, 100 rows/s"


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("n_rows", [1, 1024, 1025, 7000])
@pytest.mark.usefixtures("at_once")
def test_predictions_count_rows_and_are_the_same(n_rows, form, terminal):
    X, y = iris()
    models = [
        fit(cls(hidden_layer_sizes=(20,), max_iter=3, random_state=0), X, y)
        for cls in (MLPClassifier, MLPRegressor)
    ]
    rows = np.resize(X, (n_rows, 4))
    rows = scipy.sparse.csr_matrix(rows) if form == "sparse" else rows
    for model, method in [(models[0], "predict_proba"), (models[1], "predict")]:
        plain = getattr(model, method)(rows)
        model.verbose = 2
        # BLAS's bits depend on how many rows it is given; those of our tiles do not.
        tolerance = 0 if _kernels.THREADS else 1e-14
        assert_allclose(getattr(model, method)(rows), plain, rtol=tolerance)
    assert ("predict |" in terminal.getvalue()) == (n_rows > 1024)
    assert terminal.getvalue().count("\n") == (2 if n_rows > 1024 else 0)


# -- what is not written


@pytest.mark.parametrize("verbose", [0, False, 1, True, 3, 10])
@pytest.mark.usefixtures("at_once")
def test_other_verbosity_shows_no_bar(verbose, terminal, capsys):
    fit(MLPClassifier((5,), max_iter=2, verbose=verbose), *iris())
    assert terminal.getvalue() == ""
    assert capsys.readouterr().out.count("Iteration") == 2 * bool(verbose)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "file"])
def test_a_file_gets_nothing(stream, monkeypatch, capsys):
    show_on(stream, monkeypatch)
    model = bars_fit(max_iter=2)
    model.predict(np.resize(iris()[0], (3000, 4)))
    assert stream is None or stream.getvalue() == ""
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("at_once")
def test_a_bar_that_tqdm_has_switched_off_is_let_be(terminal):
    """As TQDM_DISABLE=1 does, which tqdm reads at its import."""
    bars = functools.partial(progress.find_bars("a test"), disable=True)
    display = progress.Display(bars, 10, "rows", scales=True)
    display.draw(5, "epoch 1/2")
    display.finish(10, "epoch 2/2")
    assert terminal.getvalue() == ""


def test_a_short_fit_shows_no_bar(terminal, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 1000)
    bars_fit(max_iter=3)
    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("at_once")
def test_workers_show_no_bars(terminal, monkeypatch):
    """joblib's processes have a parent, threads beside this one have a bar each."""
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    bars_fit(max_iter=2)
    assert terminal.getvalue() == ""


# -- tqdm absent, failures


def test_without_tqdm_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model = MLPClassifier(verbose=2)
    with pytest.raises(ImportError, match=r"verbose=\d+ needs tqdm.*fastmlp\[progress"):
        model.fit(*iris())
    assert not hasattr(model, "coefs_")
    fit(model.set_params(verbose=1, max_iter=1), *iris())
    model.verbose = 2
    X = np.resize(iris()[0], (3000, 4))
    assert model.predict(X).shape == (3000,)  # watched there, used here


@pytest.mark.usefixtures("at_once")
def test_a_failing_fit_closes_its_bar(terminal):
    def fail(epoch, logs):
        if epoch == 2:
            raise RuntimeError("from a callback")

    with pytest.raises(RuntimeError, match="from a callback"):
        bars_fit(max_iter=9, callbacks=[fail])
    assert terminal.getvalue().count("\n") == 1
    assert "stopped" not in terminal.getvalue()
    assert "epoch 3/9" in terminal.frames()[-1]
    assert not progress.find_bars("test")._instances  # the next bar begins a line


@pytest.mark.usefixtures("at_once")
def test_ctrl_c_leaves_a_line_that_is_over(terminal):
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        MLPClassifier((5,), verbose=2, callbacks=[interrupt]).fit(*iris())
    assert "epoch 3/200" in terminal.frames()[-1]
    assert "stopped by interrupted" in terminal.frames()[-1]


@pytest.mark.parametrize("hook", ["on_fit_begin", "on_epoch_end", "on_fit_end", None])
def test_listeners_are_told_that_a_fit_is_over(hook):
    calls = []

    class Watches(Listener):
        def on_teardown(self):
            calls.append("over")

    class Fails(Listener):
        pass

    def fail(self, *facts):
        raise RuntimeError("from a listener")

    if hook:
        setattr(Fails, hook, fail)
    recipe = Recipe(None, n_epochs=2)
    listeners = [Fails(), Watches()]
    try:
        fit_network(*(fastmlp.Network([4, 1]), *iris(), recipe), listeners=listeners)
    except RuntimeError:
        assert hook
    else:
        assert not hook
    assert calls == ["over"]


@pytest.mark.usefixtures("at_once")
def test_being_watched_changes_nothing(terminal):
    models = [
        fit(MLPClassifier((5,), max_iter=5, random_state=0, verbose=v), *iris())
        for v in (0, 2)
    ]
    for plain, watched in zip(models[0].coefs_, models[1].coefs_, strict=True):
        assert_array_equal(watched, plain)


# -- what it costs


def test_drawing_takes_a_hundredth_of_the_time(monkeypatch):
    """On a clock of our own: a notebook where each drawing takes 30 ms."""
    clock, drawings = types.SimpleNamespace(now=0.0), []

    class Slow:
        disable, start_t, n = False, 0.0, 0

        def __init__(self, **settings):
            pass

        def set_description_str(self, *text, refresh):
            assert not refresh

        set_postfix_str = set_description_str

        def update(self, n):
            clock.now += 0.03
            drawings.append(0.03)

    monkeypatch.setattr(
        progress, "time", types.SimpleNamespace(perf_counter=lambda: clock.now)
    )
    display = progress.Display(Slow, 10**6, "rows", scales=True)
    for row in range(10**5):
        clock.now += 0.001
        if display.is_due():
            display.draw(row, "epoch")
    assert len(drawings) > 10
    assert sum(drawings) <= 0.01 * clock.now + 0.03


def test_asking_whether_to_draw_is_a_small_part_of_an_epoch(terminal):
    X, y = load_digits(return_X_y=True)
    model = fit(MLPClassifier((50,), max_iter=5, random_state=0), X, y)
    epoch = min(model.history_["seconds"])
    (bar,) = listeners_of_verbosity(2)
    state = model._state
    under_way = types.SimpleNamespace(
        recipe=Recipe(None, n_epochs=5), state=state, n_epochs=1, stop_reason=None
    )
    bar.on_fit_begin(under_way)
    bar._display._next = np.inf

    def tick():
        started = time.perf_counter()
        for _ in range(100):
            bar.on_slice(under_way, 100)
            bar.on_epoch_end(under_way, {})
        return (time.perf_counter() - started) / 100

    assert min(tick() for _ in range(20)) < 0.01 * epoch


def test_a_watched_fit_draws_for_less_than_a_hundredth(terminal, monkeypatch):
    spent = []

    def timed(function):
        def call(*arguments, **keywords):
            started = time.thread_time()
            try:
                return function(*arguments, **keywords)
            finally:
                spent.append(time.thread_time() - started)

        return call

    for name in ("draw", "finish"):
        original = getattr(progress.Display, name)
        monkeypatch.setattr(progress.Display, name, timed(original))
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier((50,), max_iter=10_000, max_seconds=1, verbose=2, tol=0)
    started = time.perf_counter()
    fit(model, X, y)
    assert len(spent) > 2
    assert sum(spent) <= 0.01 * (time.perf_counter() - started)


# -- scikit-learn's monitor


@pytest.fixture
def monitor():
    pytest.importorskip("sklearn.callback", reason="scikit-learn has them from 1.9 on")
    return fastmlp.ValidationMonitor()


def epochs_of(monitor):
    return [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_the_monitor_logs_what_the_held_out_rows_gave(cls, monitor):
    X, X_val, y, y_val = train_test_split(*iris(), random_state=0)
    held_out = {"X_val": X_val, "y_val": y_val}
    params = {"random_state": 0, "learning_rate_init": 0.01}
    model = cls(hidden_layer_sizes=5, max_iter=4, **params).set_callbacks(monitor)
    fit(model, X, y, **held_out)
    rows = epochs_of(monitor)
    assert [row["task_id"] for row in rows] == [0, 1, 2, 3]
    for epoch, row in enumerate(rows):
        ended = fit(
            cls(hidden_layer_sizes=5, max_iter=epoch + 1, **params), X, y, **held_out
        )
        assert row["validation_score"] == pytest.approx(ended.score(X_val, y_val))
        assert row["validation_loss"] == model.validation_loss_curve_[epoch]
    (whole,) = [row for row in monitor.get_logs().data if row["task_name"] == "fit"]
    assert whole["validation_score"] == rows[-1]["validation_score"]


def test_the_monitor_goes_through_a_search_and_weights(monitor):
    X, y = iris()
    model = MLPClassifier((5,), max_iter=2, early_stopping=True, random_state=0)
    search = GridSearchCV(model.set_callbacks(monitor), {"alpha": [0, 1]}, cv=2)
    fit(search, X, y, sample_weight=np.ones(150))
    assert len(epochs_of(monitor)) == (2 * 2 + 1) * 2
    check_is_fitted(search)


def test_the_monitor_says_that_nothing_is_held_out(monitor):
    for params, message in [
        ({}, "there are none: set"),
        ({"solver": "lbfgs"}, "first-order solver; got MLPC"),
    ]:
        model = MLPClassifier((5,), max_iter=2, **params).set_callbacks(monitor)
        with pytest.raises(ValueError, match=message):
            fit(model, *iris())
        assert not hasattr(model, "coefs_")


def test_the_monitor_is_of_our_estimators(monitor):
    if not hasattr(LogisticRegression, "set_callbacks"):
        pytest.skip("this one takes no callbacks")
    with pytest.raises(ValueError, match="first-order solver; got Logistic"):
        LogisticRegression().set_callbacks(monitor).fit(*iris())
