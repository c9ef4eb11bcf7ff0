"""Displays and the table of layers: what is drawn is what was fitted."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from fits import fit, iris
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    Network,
    NetworkDisplay,
    OptimizerPathDisplay,
    TrainingDisplay,
)
from fastmlp.plot.training import find_best_epoch

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("Agg")
    yield
    __import__("matplotlib.pyplot").pyplot.close("all")


def small(estimator=MLPClassifier, **params):
    params = {"hidden_layer_sizes": (8,), "max_iter": 12, "random_state": 0, **params}
    return estimator(**params)


@pytest.fixture(scope="module")
def validated():
    X, y = iris()
    return fit(
        small(learning_rate="exponential", decay_epochs=3),
        X[::2],
        y[::2],
        X_val=X[1::2],
        y_val=y[1::2],
    )


@pytest.fixture(scope="module")
def plain():
    return fit(small(batch_norm=True, hidden_layer_sizes=(9, 4)), *iris())


def labels_of(axis):
    legend = axis.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


# -- TrainingDisplay


def test_panels_are_the_history(validated):
    display = TrainingDisplay.from_estimator(validated)
    history = validated.history_
    assert list(display.axes_) == [
        *("loss", "validation_score", "learning_rate", "gradient_norm")
    ]
    assert all(axis.figure is display.figure_ for axis in display.axes_.values())
    drawn = [line for lines in display.lines_.values() for line in lines]
    columns = ["loss", "validation_loss", "validation_score"]
    columns += ["learning_rate", "gradient_norm"]
    assert len(drawn) == len(columns)
    for line, column in zip(drawn, columns, strict=True):
        assert_array_equal(line.get_xdata(), np.arange(1, 13))
        assert_array_equal(line.get_ydata(), history[column])
    assert display.axes_["learning_rate"].get_yscale() == "log"
    assert display.axes_["loss"].get_xlabel() == "epoch"
    score = max(history["validation_score"])
    epoch = 1 + history["validation_score"].index(score)
    best = f"best: {score:.4g}, epoch {epoch}"
    assert labels_of(display.axes_["validation_score"]) == [best]
    (mark,) = display.axes_["validation_score"].get_lines()[1:]
    assert mark.get_xdata() == [epoch]
    assert mark.get_ydata() == [score]


def test_without_validation_the_least_loss_is_marked(plain):
    display = TrainingDisplay.from_estimator(plain, color="red")
    assert list(display.axes_) == ["loss", "learning_rate", "gradient_norm"]
    losses = plain.history_["loss"]
    (mark,) = display.axes_["loss"].get_lines()[1:]
    assert mark.get_ydata() == [min(losses)]
    assert display.lines_["loss"][0].get_color() == "red"


@pytest.mark.parametrize("as_list", [True, False])
def test_several_fits_on_one_figure(as_list, validated, plain):
    fits = [validated, plain] if as_list else {"a": validated, "b": plain}
    display = TrainingDisplay.from_estimator(fits)
    names = ["MLPClassifier 1", "MLPClassifier 2"] if as_list else ["a", "b"]
    assert labels_of(display.axes_["learning_rate"]) == names
    first, second = display.lines_["learning_rate"]
    assert first.get_color() != second.get_color()
    assert_array_equal(second.get_ydata(), plain.history_["learning_rate"])
    assert labels_of(display.axes_["loss"]) == [
        *(f"{names[0]}, training", f"{names[0]}, validation", f"{names[1]}, training")
    ]


def test_over_fitting_is_marked():
    X, y = iris()
    y = np.where(np.arange(len(y)) % 3 == 0, (y + 1) % 3, y)  # partly noise
    est = small(max_iter=300, learning_rate_init=0.05, hidden_layer_sizes=(60,))
    fit(est, X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert est.overfit_epoch_ is not None
    display = TrainingDisplay.from_estimator(est, panels=["loss", "learning_rate"])
    (line,) = display.axes_["loss"].get_lines()[2:]
    assert_array_equal(line.get_xdata(), [est.overfit_epoch_] * 2)
    assert "over-fitting" in labels_of(display.axes_["loss"])
    assert "over-fitting" not in labels_of(display.axes_["learning_rate"])


def test_full_batch_fits_count_iterations():
    est = fit(small(MLPRegressor, solver="lbfgs"), *iris())
    display = TrainingDisplay.from_estimator(est)
    assert list(display.axes_) == ["loss", "gradient_norm"]
    assert display.axes_["loss"].get_xlabel() == "iteration"


def test_best_epoch():
    nan, inf = np.nan, np.inf
    assert find_best_epoch({"loss": [3, 1, 2, 1]}) == 2
    scores = {"loss": [1, 2, 3], "validation_score": [0.1, 0.7, 0.7]}
    assert find_best_epoch(scores) == 2
    assert find_best_epoch({"loss": [nan, 5.0, inf]}) == 2
    assert find_best_epoch({"validation_score": [inf, nan, -4]}) == 3
    assert find_best_epoch({"loss": [nan]}) is None
    assert find_best_epoch({}) is None


def test_axes_that_are_given(validated):
    pyplot = matplotlib.pyplot
    figure, axes = pyplot.subplots(1, 2)
    display = TrainingDisplay.from_estimator(validated, ax=axes[0])
    assert display.figure_ is figure
    assert len(figure.axes) == 6
    one = TrainingDisplay.from_estimator(validated, panels=["loss"], ax=axes[1])
    assert one.axes_ == {"loss": axes[1]}
    both = ["gradient_norm", "loss"]
    two = TrainingDisplay.from_estimator(validated, panels=both, ax=axes)
    assert two.axes_ == dict(zip(both, axes, strict=True))
    with pytest.raises(ValueError, match="must be 4 axes, got 2"):
        TrainingDisplay.from_estimator(validated, ax=axes)


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        (["los"], r"panels must be some of \['gradient_norm'.*got 'los'"),
        (
            ["validation_score"],
            "no history has the columns of panel 'validation_score'",
        ),
        ([], "nothing to draw"),
    ],
)
def test_bad_panels(panels, message, plain):
    with pytest.raises(ValueError, match=message):
        TrainingDisplay.from_estimator(plain, panels=panels)


@pytest.mark.slow
def test_a_fit_that_is_watched():
    display = TrainingDisplay.live(seconds=0)
    est = fit(small(callbacks=[display.update], max_iter=3), *iris())
    assert display.histories["training"] == est.history_
    assert_array_equal(display.lines_["loss"][0].get_ydata(), est.history_["loss"])
    figure = display.figure_
    fit(est.set_params(max_iter=2), *iris())
    assert display.figure_ is figure
    assert len(display.histories["training"]["loss"]) == 2
    assert len(display.lines_["loss"][0].get_xdata()) == 2
    assert clone(est).callbacks is not None


def test_watching_draws_no_more_often_than_asked(monkeypatch):
    drawn = []
    plot = TrainingDisplay.plot
    monkeypatch.setattr(
        TrainingDisplay, "plot", lambda self, ax: drawn.append(1) or plot(self, ax)
    )
    fit(small(callbacks=[TrainingDisplay.live(seconds=1000).update]), *iris())
    assert len(drawn) == 1


def test_in_a_notebook_one_picture_is_changed(monkeypatch):
    class Handle:
        figures: list = []  # noqa: RUF012

        def update(self, figure):
            self.figures.append(figure)

    class IPython:
        shown: list = []  # noqa: RUF012

        @staticmethod
        def get_ipython():
            return object()

        class display:  # noqa: N801
            @staticmethod
            def display(figure, display_id):
                assert display_id is True
                IPython.shown.append(figure)
                return Handle()

    monkeypatch.setitem(sys.modules, "IPython", IPython)
    display = TrainingDisplay.live(seconds=0)
    fit(small(callbacks=[display.update], max_iter=3), *iris())
    assert IPython.shown == [display.figure_]
    assert Handle.figures == [display.figure_] * 2
    assert matplotlib.pyplot.get_fignums() == []


# -- NetworkDisplay


def test_layers(plain):
    display = NetworkDisplay.from_estimator(plain)
    (axis,) = display.axes_
    texts = [text.get_text() for text in axis.texts]
    assert texts[:2] == ["input", "4"]
    assert "batch norm\nrelu" in texts
    assert "softmax\noutput" in texts
    # 4 × 9 weights, 9 shifts, 9 scales.
    assert "54\nparameters" in texts
    assert axis.get_title() == f"{54 + 36 + 4 + 4 + 12 + 3} parameters"
    bars = [bar.get_height() for bar in axis.patches if hasattr(bar, "get_height")]
    assert bars[1] == max(bars)
    assert bars[0] == bars[2] > bars[3]


def test_histograms(plain):
    display = NetworkDisplay.from_estimator(plain, kind="weights", bins=7)
    assert len(display.axes_) == 3
    for axis, weights in zip(display.axes_, plain.coefs_, strict=True):
        heights = [bar.get_height() for bar in axis.patches]
        assert_array_equal(heights, np.histogram(weights, 7)[0])
    assert display.axes_[0].get_title() == "hidden 1: 4 × 9"


def test_images(plain):
    display = NetworkDisplay.from_estimator(plain, kind="images", n_images=5)
    weights = plain.coefs_[0]
    units = np.sort(np.argsort(-np.sqrt((weights**2).sum(axis=0)))[:5])
    assert len(display.axes_) == 5
    for axis, unit in zip(display.axes_, units, strict=True):
        (image,) = axis.images
        assert_array_equal(image.get_array(), weights[:, unit].reshape(2, 2))
        limit = np.abs(weights[:, units]).max()
        assert image.get_clim() == (-limit, limit)
    wide = {"kind": "images", "image_shape": (1, 4), "ax": matplotlib.pyplot.gca()}
    display = NetworkDisplay.from_estimator(plain, **wide)
    assert display.axes_[0].images[0].get_array().shape == (1, 4)
    assert len(display.axes_) == 9


def test_bad_pictures_of_networks(plain):
    with pytest.raises(ValueError, match="kind must be one of"):
        NetworkDisplay.from_estimator(plain, kind="filters")
    with pytest.raises(ValueError, match="4 inputs do not make an image of 3 × 2"):
        NetworkDisplay.from_estimator(plain, kind="images", image_shape=(3, 2))
    with pytest.raises(TypeError, match=r"NetworkDisplay takes .* got StandardScaler"):
        NetworkDisplay.from_estimator(StandardScaler())
    for display in NetworkDisplay, TrainingDisplay:
        with pytest.raises(NotFittedError):
            display.from_estimator(small())


# -- OptimizerPathDisplay


def valley(place):
    return place[0] ** 2 + 10 * (place[1] - 1) ** 2


def test_map_and_paths():
    paths = {"a": [[3.0, 2.0], [1.0, 1.5]], "b": np.array([[3.0, 2.0], [0, 1], [0, 1]])}
    limits = {"limits": ((-1, 4), (0, 3)), "n_points": 6, "minimum": (0, 1)}
    display = OptimizerPathDisplay.from_function(valley, paths, **limits)
    assert_allclose(display.grid[0], [-1, 0, 1, 2, 3, 4])
    x, y = np.meshgrid(*display.grid)
    assert_allclose(display.heights, x**2 + 10 * (y - 1) ** 2)
    assert_array_equal(display.lines_[1].get_xydata(), paths["b"])
    (axis,) = display.axes_
    assert labels_of(axis) == ["a, 1 step", "b, 2 steps"]
    assert axis.get_xlim() == (-1, 4)
    separate = display.plot(separate=True, linewidth=3)
    assert [axis.get_title() for axis in separate.axes_] == ["a, 1 step", "b, 2 steps"]
    assert separate.lines_[0].get_linewidth() == 3


def test_the_map_holds_every_path_and_the_minimum():
    paths = {"a": [[0.0, 5.0], [2.0, 5.0]]}
    display = OptimizerPathDisplay.from_function(valley, paths, minimum=(-4, 5))
    x, y = display.grid
    assert_allclose(x[[0, -1]], [-5, 3])
    assert_allclose(y[[0, -1]], [4, 6])


def test_paths_of_the_example():
    file = Path(__file__).parents[1] / "examples" / "optimizers.py"
    spec = importlib.util.spec_from_file_location("example", file)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    X, y = example.draw_points()
    walked = {name: example.walk(name, 0.125, X, y) for name in ("adam", "newton-cg")}
    network = Network([1, 1], loss="squared_error", random_state=0)
    before = network.params.copy()
    paths = {name: path for name, (path, _) in walked.items()}
    names = {"parameter_names": ("slope", "intercept"), "n_points": 11}
    display = OptimizerPathDisplay.from_network(network, X, y, paths, **names)
    assert_array_equal(network.params, before)
    network.params[:] = display.grid[0][3], display.grid[1][7]
    assert display.heights[7, 3] == network.loss(X, y)
    assert display.axes_[0].get_xlabel() == "slope"


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({}, "at least one path"),
        (
            {"a": [1.0, 2.0]},
            r"path 'a' must have shape \(n_steps \+ 1, 2\), got \(2,\)",
        ),
        ({"a": np.empty((0, 2))}, r"got \(0, 2\)"),
        ({"a": [[1.0, np.nan]]}, "finite"),
    ],
)
def test_bad_paths(paths, message):
    with pytest.raises(ValueError, match=message):
        OptimizerPathDisplay.from_function(valley, paths)


def test_a_map_has_two_directions():
    with pytest.raises(ValueError, match="got 3"):
        OptimizerPathDisplay.from_network(Network([2, 1]), [[1, 2]], [1], {})


# -- the table of layers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_summary(dtype):
    est = fit(small(hidden_layer_sizes=(9, 4), dtype=dtype), *iris())
    summary = est.summary()
    shapes = [w.shape for w in est.coefs_]
    assert [(x.n_inputs, x.n_units) for x in summary.layers] == shapes
    assert [x.n_params for x in summary.layers] == [45, 40, 15]
    assert [x.n_multiply_adds for x in summary.layers] == [36, 36, 12]
    assert [x.activation for x in summary.layers] == ["relu", "relu", "softmax"]
    assert summary.n_params == est._state.network.params.size == 100
    assert summary.n_multiply_adds == 84
    assert summary.n_bytes == 100 * np.dtype(dtype).itemsize


def test_summary_of_normalised_layers(plain):
    summary, network = plain.summary(), plain._state.network
    assert summary.n_params == network.params.size
    assert summary.n_bytes == network.params.nbytes + network.stats.nbytes
    names = [layer.name for layer in summary.layers]
    assert names == ["hidden 1 + batch norm", "hidden 2 + batch norm", "output"]


def test_summary_prints():
    est = fit(small(MLPRegressor, hidden_layer_sizes=(500,), max_iter=1), *iris())
    lines = str(est.summary()).splitlines()
    assert lines[0] == "MLPRegressor, squared_error, float64"
    assert lines[3].split() == [
        "hidden",
        "1",
        "4",
        "500",
        "relu",
        "2,500",
        *lines[3].split()[-2:],
    ]
    assert lines[-1].split() == ["total", "3,001", "2,500", "24,008"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert repr(est.summary()) == str(est.summary())


def test_summary_needs_a_fit():
    with pytest.raises(NotFittedError):
        small().summary()


@pytest.mark.skipif(
    not hasattr(BaseEstimator, "_html_repr"), reason="needs scikit-learn 1.7"
)
def test_the_html_representation_has_the_table(plain):
    table = plain.summary()._repr_html_()
    assert ">hidden 1 + batch norm</td>" in table
    assert table in plain._repr_html_()
    assert table in plain._repr_mimebundle_()["text/html"]
    assert "<summary>Layers</summary>" in plain._repr_html_()
    assert "<summary>Layers</summary>" not in small()._repr_html_()


# -- without matplotlib


def test_without_matplotlib_the_error_names_the_extra(monkeypatch, plain):
    for name in list(sys.modules):
        if name.partition(".")[0] == "matplotlib":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    paths = {"a": [[0.0, 0.0], [1.0, 1.0]]}
    for draw in (
        lambda: fastmlp.TrainingDisplay.from_estimator(plain),
        lambda: fastmlp.NetworkDisplay.from_estimator(plain),
        lambda: fastmlp.OptimizerPathDisplay.from_function(valley, paths),
    ):
        with pytest.raises(ImportError, match=r"pip install 'fastmlp\[plot\]'"):
            draw()
