"""Fashion-MNIST by convolutions: a small network of them, and one twice as wide.

Usage: python examples/images.py [FILE]

FILE is an .npz with X_train, y_train, X_test and y_test; by default
shared/data/fashion_mnist.npz beside the repository. Exits with 1 if the small network
is below 91 % on the test images, or the wide one below 92 %.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp import CNNClassifier

DATA = Path(__file__).resolve().parents[2] / "shared/data/fashion_mnist.npz"
SETTINGS = {"solver": "adam", "batch_size": 128, "learning_rate_init": 2e-3}
# The rate falls to 0 over the epochs: no rule stops earlier.
SETTINGS |= {"learning_rate": "cosine", "tol": 0.0, "random_state": 0}
NETWORKS = [
    {"conv_layers": ((16, 3), (32, 3)), "hidden_layer_sizes": (64,), "max_iter": 14},
    {"conv_layers": ((32, 3), (64, 3)), "hidden_layer_sizes": (128,), "max_iter": 10},
]
DROPOUT = (0.0, 0.0, 0.3)  # of the convolutions, then of the dense layer
GOALS = (0.91, 0.92)


def load(path):
    """Images (rows, 28, 28, 1), pixels between 0 and 1 in float32, and the labels."""
    with np.load(path) as data:
        images = [data[name].reshape(-1, 28, 28, 1) for name in ("X_train", "X_test")]
        X, X_test = (pixels.astype(np.float32) / np.float32(255) for pixels in images)
        return X, data["y_train"], X_test, data["y_test"]


def report(epoch, logs):
    """Print the training loss of an epoch."""
    print(f"epoch {epoch + 1:2d}  loss {logs['loss']:.4f}", flush=True)


def train(network, X, y, X_test, y_test):
    """The accuracy on the test images after the last epoch."""
    model = CNNClassifier(**network, **SETTINGS, dropout=DROPOUT, callbacks=[report])
    started = time.perf_counter()
    with warnings.catch_warnings():  # that max_iter was reached is what we want
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    seconds = time.perf_counter() - started
    accuracy = model.score(X_test, y_test)
    print(model.summary())
    print(f"test accuracy {accuracy:.2%}, trained in {seconds:.1f} s\n", flush=True)
    return accuracy


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not path.exists():
        print(f"{path.name} is absent: give its path as argument. Nothing done.")
        return 0
    data = load(path)
    reached = [train(network, *data) for network in NETWORKS]
    return 0 if all(a >= b for a, b in zip(reached, GOALS, strict=True)) else 1


if __name__ == "__main__":
    sys.exit(main())
