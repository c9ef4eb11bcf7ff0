"""What dropout, batch normalisation, class weights and the quantile loss are for.

Usage: python examples/methods.py [FILE]

Prints figures and draws methods.png, a panel for each method: without it in orange,
with it in blue. FILE holds the fashion images, as for fashion.py; where they are absent,
only the quantiles are shown, of scikit-learn's diabetes data. What is called "test" is
measured on rows that nothing was fitted to and no setting chosen by.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from fashion import DATA, load
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, precision_score, recall_score
from sklearn.model_selection import train_test_split

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


def show_quantiles(axes):
    """Where nine of ten patients are: by quantiles, and by mean and deviation."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X = X[:, [2]]  # body mass index
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    center, width, middle, spread = X.mean(), X.std(), y.mean(), y.std()
    settings = {"learning_rate_init": 0.01, "alpha": 1.0, "max_iter": 300, **SETTINGS}

    def fit(loss):
        model = MLPRegressor(loss, (20,), "tanh", quantile=LEVELS, **settings)
        model.fit((X - center) / width, (y - middle) / spread)
        return lambda X: middle + spread * model.predict((X - center) / width)

    mean, quantiles = fit("squared_error"), fit("quantile")
    reach = NINE_TENTHS * np.std(y - mean(X))
    bands = {
        "mean ± deviation": lambda X: mean(X)[:, np.newaxis] + [-reach, 0, reach],
        "quantile loss": quantiles,
    }
    heavy = X_test[:, 0] > np.median(X)
    for name, band in bands.items():
        low, _, high = band(X_test).T
        for half, rows in [("thinner", ~heavy), ("heavier", heavy)]:
            below, above = (y_test < low)[rows].mean(), (y_test > high)[rows].mean()
            print(
                f"{name}, {half} half of the test: {below:.1%} below the band, "
                f"{above:.1%} above"
            )
    inside = (low <= y_test) & (y_test <= high)
    print(f"quantile loss: {inside.mean():.1%} of {len(y_test)} test rows in the band")
    grid = np.linspace(X.min(), X.max(), 200).reshape(-1, 1)
    axes.plot(grid, bands["mean ± deviation"](grid)[:, ::2], "--", color=WITHOUT)
    low, median, high = quantiles(grid).T
    axes.fill_between(grid[:, 0], low, high, color=WITH, alpha=0.2, linewidth=0)
    axes.plot(grid, median, color=WITH, linewidth=2)
    axes.plot(X_test, y_test, "o", color="black", markersize=2.5)
    axes.text(34, 385, "mean ± 1.645 deviations", color=WITHOUT, ha="right")
    axes.text(41, 70, "quantiles 0.05, 0.5, 0.95", color=WITH, ha="right")
    axes.set(xlabel="body mass index", ylabel="diabetes after a year")
    return (
        "Quantile loss: where nine of ten patients are, thin or heavy\n"
        f"{inside.mean():.0%} of {len(y_test)} test patients are in the band"
    )


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
        print(f"{path.name} is absent: give its path as argument. Only the quantiles.")
        shows = [show_quantiles]
        figure = Figure(figsize=(6.5, 5), layout="constrained")
        panels = [figure.subplots()]
    for show, axes in zip(shows, panels, strict=True):
        axes.set_title(show(axes))
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
