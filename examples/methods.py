"""What dropout, batch normalisation, class weights and the quantile loss are for.

Usage: python examples/methods.py [FILE]

Prints figures and draws methods.png, a panel for each method: without it in orange,
with it in blue. FILE holds the fashion images, as for fashion.py; without them, only
the quantile loss is shown, whose points are drawn at random. What is called "test" is
measured on rows that nothing was fitted to and no setting chosen by.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from fashion import DATA, load
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, precision_score, recall_score

from fastmlp import MLPClassifier, MLPRegressor

WITHOUT, WITH, GRAY = "#d55e00", "#0072b2", "#666666"
# Nothing ends training early, so that both of a pair do the same work.
SETTINGS = {"batch_size": 100, "tol": 0.0, "n_iter_no_change": np.inf}
SETTINGS |= {"random_state": 0}
CLASSES = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt"]
CLASSES += ["sneaker", "bag", "boot"]
SHIRT, N_SHIRTS = CLASSES.index("shirt"), 100
DEPTH = 10
LEVELS = [0.05, 0.5, 0.95]
NINE_TENTHS = 1.645  # standard deviations to each side, of a normal distribution


def show_dropout(axes, X, y, X_test, y_test):
    """A network of this size soon knows 2 000 images by heart."""
    rows, held_out = slice(0, 2000), slice(2000, 4000)
    epochs, losses = np.arange(1, 61), []
    for rate, color in [(0.0, WITHOUT), (0.5, WITH)]:
        model = MLPClassifier((256, 256), dropout=rate, max_iter=60, **SETTINGS)
        model.fit(X[rows], y[rows], X_val=X[held_out], y_val=y[held_out])
        losses.append(log_loss(y_test, model.predict_proba(X_test)))
        print(
            f"dropout {rate}: training loss"
            f" {log_loss(y[rows], model.predict_proba(X[rows])):.3f},"
            f" test loss {losses[-1]:.3f},"
            f" test accuracy {model.score(X_test, y_test):.1%}"
        )
        curves = model.history_
        axes.plot(epochs, curves["validation_loss"], color=color, linewidth=2)
        axes.plot(epochs, curves["loss"], ":", color=color, linewidth=1.5)
        name = f"dropout {rate}" if rate else "none"
        axes.text(61, curves["validation_loss"][-1], name, color=color, va="center")
    axes.text(22, 0.74, "validation", color=GRAY)
    axes.text(22, 0.04, "training", color=GRAY)
    axes.set(xlim=(0, 74), ylim=(0, 1), xlabel="epoch", ylabel="loss")
    axes.set_xticks(range(0, 61, 10))
    before, after = losses
    return (
        "Dropout: of 2 000 images, less is learnt by heart\n"
        f"test loss {before:.2f} → {after:.2f}"
    )


def show_batch_norm(axes, X, y, X_test, y_test):
    """A deep and narrow network at a low and at a ten times higher learning rate."""
    rows, epochs, accuracies = slice(0, 10000), np.arange(1, 16), {}
    for normalised, color in [(False, WITHOUT), (True, WITH)]:
        for rate, style in [(0.01, "--"), (0.1, "-")]:
            settings = {"solver": "sgd", "learning_rate_init": rate, "max_iter": 15}
            model = MLPClassifier(
                (32,) * DEPTH, batch_norm=normalised, **settings, **SETTINGS
            )
            model.fit(X[rows], y[rows])
            accuracies[normalised, rate] = model.score(X_test, y_test)
            print(
                f"batch_norm {normalised}, rate {rate}:"
                f" training loss {model.loss_:.3f},"
                f" test accuracy {accuracies[normalised, rate]:.1%}"
            )
            axes.plot(epochs, model.loss_curve_, style, color=color, linewidth=2)
    axes.text(15, 2.2, "none, rate 0.1: mere guessing", color=WITHOUT, ha="right")
    axes.text(3.5, 0.95, "none, rate 0.01 (dashed)", color=WITHOUT)
    axes.text(1.3, 0.15, "batch norm, both rates", color=WITH)
    axes.set(xlabel="epoch", ylabel="training loss", xlim=(1, 15.2), ylim=(0, 2.6))
    before, after = accuracies[False, 0.1], accuracies[True, 0.1]
    return (
        f"Batch norm: {DEPTH} hidden layers bear a high learning rate\n"
        f"test accuracy at rate 0.1: {before:.0%} → {after:.0%}"
    )


def show_class_weight(axes, X, y, X_test, y_test):
    """One class is rare in training, and as frequent as the others in the test."""
    X, y = X[:20000], y[:20000]
    rows = np.delete(np.arange(len(y)), np.flatnonzero(y == SHIRT)[N_SHIRTS:])
    order = [SHIRT] + [k for k in range(len(CLASSES)) if k != SHIRT]
    recalls = []
    for weight, color in [(None, WITHOUT), ("balanced", WITH)]:
        model = MLPClassifier((100,), class_weight=weight, max_iter=10, **SETTINGS)
        predicted = model.fit(X[rows], y[rows]).predict(X_test)
        recall = recall_score(y_test, predicted, average=None)
        precision = precision_score(y_test, predicted, average=None)
        recalls.append(recall)
        print(
            f"class_weight {weight}: test recall of shirts {recall[SHIRT]:.1%},"
            f" of the others {np.delete(recall, SHIRT).mean():.1%},"
            f" of all {recall.mean():.1%}; precision of shirts {precision[SHIRT]:.1%}"
        )
        axes.plot(recall[order], range(len(order)), "o", color=color, zorder=3)
    before, after = (recall[SHIRT] for recall in recalls)
    axes.text(before, -0.4, "all images count alike", color=WITHOUT)
    axes.text(after, -0.4, "class_weight='balanced'", color=WITH)
    axes.hlines(range(len(order)), *(recall[order] for recall in recalls), color=GRAY)
    axes.set(xlabel="recall in the test", xlim=(-0.03, 1.03), ylim=(9.6, -1))
    axes.set_yticks(range(len(order)), [CLASSES[k] for k in order])
    rest = [np.delete(recall, SHIRT).mean() for recall in recalls]
    return (
        f"Class weights: the rare class ({N_SHIRTS} of {len(rows)} images) is found\n"
        f"test recall of shirts {before:.0%} → {after:.0%}, "
        f"of the others {rest[0]:.0%} → {rest[1]:.0%}"
    )


def draw_points(n, random):
    """A curve with noise that grows from left to right."""
    x = random.uniform(size=n)
    y = np.sin(2 * np.pi * x) + (0.1 + 0.6 * x) * random.normal(size=n)
    return x.reshape(-1, 1), y


def show_quantiles(axes):
    """A band for nine of ten points: by quantiles, and by mean and deviation."""
    random = np.random.RandomState(0)
    X, y = draw_points(1000, random)
    X_test, y_test = draw_points(10000, random)

    def fit(loss):
        model = MLPRegressor(
            loss,
            (32, 32),
            "tanh",
            quantile=LEVELS,
            learning_rate_init=0.01,
            learning_rate="cosine",
            **SETTINGS,
        )
        return model.fit(X, y).predict

    mean, quantiles = fit("squared_error"), fit("quantile")
    reach = NINE_TENTHS * np.std(y - mean(X))
    bands = {
        "mean ± deviation": lambda X: mean(X)[:, np.newaxis] + [-reach, 0, reach],
        "quantile loss": quantiles,
    }
    right, shares = X_test[:, 0] > 0.5, []
    for name, band in bands.items():
        low, _, high = band(X_test).T
        inside = (low <= y_test) & (y_test <= high)
        shares += [inside[~right].mean(), inside[right].mean()]
        print(
            f"{name}: {inside.mean():.1%} of the test points are in the band for 90%,"
            f" {shares[-2]:.1%} in the left half, {shares[-1]:.1%} in the right"
        )
    grid = np.linspace(0, 1, 200).reshape(-1, 1)
    axes.plot(X, y, "o", color="black", markersize=1.5, alpha=0.5)
    axes.plot(grid, bands["mean ± deviation"](grid)[:, ::2], "--", color=WITHOUT)
    low, median, high = quantiles(grid).T
    axes.fill_between(grid[:, 0], low, high, color=WITH, alpha=0.25, linewidth=0)
    axes.plot(grid, median, color=WITH, linewidth=2)
    axes.text(0.45, 1.3, "mean ± 1.645 deviations", color=WITHOUT)
    axes.text(0.12, -1.4, "quantiles 0.05, 0.5 and 0.95", color=WITH)
    axes.set(xlabel="x", ylabel="y", xlim=(0, 1), ylim=(-2.4, 2))
    return (
        "Quantile loss: a band for 90% of the points, left and right\n"
        "test points in its halves: {:.0%} and {:.0%} → {:.0%} and {:.0%}"
    ).format(*shares)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is what we want
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if path.exists():
        X, y, *test = load(path)
        order = np.random.RandomState(0).permutation(len(X))
        images = X[order], y[order], *test
        shows = [
            lambda axes: show_dropout(axes, *images),
            lambda axes: show_batch_norm(axes, *images),
            lambda axes: show_class_weight(axes, *images),
            show_quantiles,
        ]
        figure = Figure(figsize=(12, 9), layout="constrained")
        panels = figure.subplots(2, 2).ravel()
    else:
        print(f"{path.name} is absent: give its path as argument. Quantiles only.")
        shows = [show_quantiles]
        figure = Figure(figsize=(6.5, 5), layout="constrained")
        panels = [figure.subplots()]
    for show, axes in zip(shows, panels, strict=True):
        axes.set_title(show(axes))
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
