"""Fashion-MNIST: two hidden layers, watched epoch by epoch, then timed.

Usage: python examples/fashion.py [FILE]

FILE is an .npz with X_train, y_train, X_test and y_test; by default
shared/data/fashion_mnist.npz beside the repository. Exits with 1 below 89.5 %.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning

import fastmlp

DATA = Path(__file__).resolve().parents[2] / "shared/data/fashion_mnist.npz"
EPOCHS, TIMED_EPOCHS = 20, 2
SETTINGS = {"hidden_layer_sizes": (256, 128), "solver": "adam", "batch_size": 128}
SETTINGS |= {"alpha": 1e-3, "tol": 0.0, "random_state": 0}


def load(path):
    """Pixels between 0 and 1 in float32, and the labels."""
    with np.load(path) as data:
        images = [data[name].reshape(-1, 784) for name in ("X_train", "X_test")]
        X, X_test = (pixels.astype(np.float32) / np.float32(255) for pixels in images)
        return X, data["y_train"], X_test, data["y_test"]


def train_and_watch(X, y, X_test, y_test):
    """The accuracy after the last epoch; one call to partial_fit is one epoch."""
    model = fastmlp.MLPClassifier(**SETTINGS)
    seconds = 0.0
    for epoch in range(1, EPOCHS + 1):
        model.learning_rate_init = 1.5e-3 * 0.85 ** (epoch - 1)  # the last ones settle
        started = time.perf_counter()
        model.partial_fit(X, y, classes=range(10))
        seconds += time.perf_counter() - started
        accuracy = model.score(X_test, y_test)
        print(f"epoch {epoch:2d}  loss {model.loss_:.4f}  accuracy {accuracy:.4f}")
    print(f"test accuracy {accuracy:.2%}, trained in {seconds:.1f} s")
    return accuracy


def time_epoch(estimator, X, y):
    """Seconds per epoch of a short fit."""
    model = estimator(**SETTINGS, max_iter=TIMED_EPOCHS)
    with warnings.catch_warnings():  # that max_iter was reached is what we want
        warnings.simplefilter("ignore", ConvergenceWarning)
        started = time.perf_counter()
        model.fit(X, y)
    return (time.perf_counter() - started) / TIMED_EPOCHS


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not path.exists():
        print(f"{path.name} is absent: give its path as argument. Nothing done.")
        return 0
    X, y, X_test, y_test = load(path)
    accuracy = train_and_watch(X, y, X_test, y_test)
    fast = time_epoch(fastmlp.MLPClassifier, X, y)
    slow = time_epoch(sklearn.neural_network.MLPClassifier, X, y)
    print(f"an epoch: fastmlp {fast:.2f} s, scikit-learn {slow:.2f} s,", end=" ")
    print(f"{slow / fast:.1f} × faster (means of {TIMED_EPOCHS})")
    minutes = slow * EPOCHS / 60
    print(f"scikit-learn's whole training, not run, would take {minutes:.1f} minutes")
    return 0 if accuracy >= 0.895 else 1


if __name__ == "__main__":
    sys.exit(main())
