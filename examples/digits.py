"""Handwritten digits: train, watch, compare with scikit-learn, draw digits.png.

Same seed, same model: the loss curves coincide. Exits with 1 below 97 % accuracy.
"""

import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn.neural_network
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import fastmlp

EPOCHS = 200
# Neither library stops early, so that both do the same work.
SETTINGS = {"hidden_layer_sizes": (100,), "solver": "adam", "max_iter": EPOCHS}
SETTINGS |= {"tol": 0.0, "n_iter_no_change": EPOCHS, "random_state": 0}


def train_and_watch(X, y, X_test, y_test):
    """One call to partial_fit is one epoch, so anything can be done in between."""
    model = fastmlp.MLPClassifier(**SETTINGS)
    for epoch in range(1, EPOCHS + 1):
        model.partial_fit(X, y, classes=range(10))
        if epoch % 20 == 0:
            score = model.score(X_test, y_test)
            print(f"epoch {epoch:3d}  loss {model.loss_:.6f}  accuracy {score:.4f}")


def fit_and_time(estimator, X, y):
    """The fitted model and the median of the seconds of five fits."""
    with warnings.catch_warnings():  # that max_iter was reached is what we want
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator(**{**SETTINGS, "max_iter": 1}).fit(X, y)  # warm-up
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            model = estimator(**SETTINGS).fit(X, y)
            seconds.append(time.perf_counter() - started)
    return model, statistics.median(seconds)


def draw(curves, title):
    """The first curve thick and light, the next thin and dark on top of it."""
    styles = [("#f5a742", 7.0), ("#12355b", 1.4)]
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for (label, losses), (color, width) in zip(curves.items(), styles, strict=True):
        epochs = range(1, len(losses) + 1)
        axes.semilogy(epochs, losses, color=color, linewidth=width, label=label)
    axes.set(xlabel="epoch", ylabel="training loss", title=title, xlim=(0, EPOCHS))
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=150)


def main():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
    train_and_watch(X, y, X_test, y_test)
    mine, fast = fit_and_time(fastmlp.MLPClassifier, X, y)
    theirs, slow = fit_and_time(sklearn.neural_network.MLPClassifier, X, y)
    accuracy = mine.score(X_test, y_test)
    result = f"test accuracy {accuracy:.1%}, {slow / fast:.1f} × faster"
    print(f"fastmlp {fast:.3f} s, scikit-learn {slow:.3f} s: {result}")
    curves = {f"scikit-learn, fitted in {slow:.2f} s": theirs.loss_curve_}
    curves[f"fastmlp, fitted in {fast:.2f} s"] = mine.loss_curve_
    draw(curves, f"Digits, {EPOCHS} epochs: {result}")
    return 0 if accuracy >= 0.97 else 1


if __name__ == "__main__":
    sys.exit(main())
