"""Handwritten digits: train, watch, and compare with scikit-learn.

Trains the same network in both libraries, prints what it reaches and how long each
takes, and draws both loss curves into digits.png beside this file. They coincide: the
same seed gives the same model. Needs matplotlib. Exits with 1 below 97 % accuracy.
"""

import sys
import time
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import fastmlp

mpl.use("Agg")
from matplotlib import pyplot as plt

EPOCHS = 200
# Neither library stops early, so that both do the same work.
SETTINGS = {"hidden_layer_sizes": (100,), "solver": "adam", "max_iter": EPOCHS}
SETTINGS |= {"tol": 0.0, "n_iter_no_change": EPOCHS, "random_state": 0}


def train_and_watch(X, y, X_test, y_test):
    """One call to partial_fit is one epoch, so anything can be done in between."""
    model = fastmlp.MLPClassifier(**SETTINGS)
    for epoch in range(1, EPOCHS + 1):
        model.partial_fit(X, y, classes=np.unique(y))
        if epoch % 20 == 0:
            score = model.score(X_test, y_test)
            print(f"epoch {epoch:3d}  loss {model.loss_:.6f}  accuracy {score:.4f}")


def fit_and_time(estimator, X, y):
    """The fitted model and the seconds of the fastest of three fits."""
    with warnings.catch_warnings():  # that max_iter was reached is what we want
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator(**{**SETTINGS, "max_iter": 1}).fit(X, y)  # warm-up
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            model = estimator(**SETTINGS).fit(X, y)
            seconds.append(time.perf_counter() - started)
    return model, min(seconds)


def draw(curves, title, path):
    """The first curve thick and light, the next thin and dark on top of it."""
    styles = [("#f5a742", 7.0), ("#12355b", 1.4)]
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for (label, losses), (color, width) in zip(curves.items(), styles, strict=True):
        epochs = range(1, len(losses) + 1)
        axes.semilogy(epochs, losses, color=color, linewidth=width, label=label)
    axes.set(xlabel="epoch", ylabel="training loss (log scale)", title=title)
    axes.set_xlim(0, EPOCHS)
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    train_and_watch(X, y, X_test, y_test)
    theirs, slow = fit_and_time(sklearn.neural_network.MLPClassifier, X, y)
    mine, fast = fit_and_time(fastmlp.MLPClassifier, X, y)
    accuracy = mine.score(X_test, y_test)
    print(f"test accuracy {accuracy:.4f} ({theirs.score(X_test, y_test):.4f})")
    print(f"{fast:.3f} s ({slow:.3f} s), in brackets scikit-learn's")
    result = f"test accuracy {accuracy:.1%}, {slow / fast:.1f} × faster"
    print(result)
    curves = {f"scikit-learn, {slow:.2f} s": theirs.loss_curve_}
    curves[f"fastmlp, {fast:.2f} s"] = mine.loss_curve_
    path = Path(__file__).with_suffix(".png")
    draw(curves, f"Digits, {EPOCHS} epochs: {result}", path)
    return 0 if accuracy >= 0.97 else 1


if __name__ == "__main__":
    sys.exit(main())
