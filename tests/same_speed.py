"""Show that a rebuild is no slower: ``python tests/same_speed.py REV``.

Builds the revision in a temporary folder and times the same fits with it and with this
tree, in two processes that take turns at each; the fastest of each counts. Ends with an
error if the median of the ratios, or the worst, is above its bar. ``--tree FOLDER``
compares to a tree that is built already. Nothing else should run on the machine
meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from same_bits import ROOT, build

MEDIAN_BAR, WORST_BAR = 1.02, 1.08
# Rows, columns, classes; parameters; epochs, which take some tenths of a second.
FITS = {
    "online": ((1500, 64, 10), {"hidden_layer_sizes": (100,), "batch_size": 1}, 5),
    "tiny": ((6400, 16, 2), {"hidden_layer_sizes": (32, 32), "batch_size": 32}, 40),
    "digits": ((1800, 64, 10), {"hidden_layer_sizes": (100,)}, 100),
    "tab": ((5120, 32, 2), {"hidden_layer_sizes": (256,) * 3, "batch_size": 256}, 8),
    "mnist": (
        (2560, 784, 10),
        {"hidden_layer_sizes": (512,) * 2, "batch_size": 128},
        4,
    ),
    "dropout": ((1800, 64, 10), {"hidden_layer_sizes": (100,), "dropout": 0.2}, 60),
    "batch norm": (
        (1800, 64, 10),
        {"hidden_layer_sizes": (99,), "batch_norm": True},
        60,
    ),
    "short fit": ((100, 20, 2), {"hidden_layer_sizes": (10,)}, 1),
}
CASES = (*FITS, "one-row predict", "one-row partial_fit")
# A call of less than this is repeated, and the mean taken.
LEAST_SECONDS = 0.2


def model_and_data(size, params, n_epochs):
    """An estimator of so many epochs, its rows and its labels, float32."""
    from fastmlp import MLPClassifier

    n_rows, n_columns, n_classes = size
    random = np.random.RandomState(0)
    X = random.standard_normal((n_rows, n_columns)).astype(np.float32)
    y = np.arange(n_rows) % n_classes
    params = params | {"learning_rate_init": 1e-7, "tol": 0.0}
    model = MLPClassifier(
        **params, max_iter=n_epochs, n_iter_no_change=n_epochs, random_state=0
    )
    return model, X, y


def calls():
    """What is timed, with the fastmlp that is imported: a function by case."""
    found = {}
    for name, case in FITS.items():
        model, X, y = model_and_data(*case)
        found[name] = partial(model.fit, X, y)
    model, X, y = model_and_data(*FITS["digits"])
    model.set_params(max_iter=1).fit(X, y)
    found["one-row predict"] = partial(model.predict, X[:1])
    found["one-row partial_fit"] = partial(model.partial_fit, X[:1], y[:1])
    return found


def mean_seconds(call):
    """The mean over as many calls as take long enough."""
    call()
    begin = perf_counter()
    call()
    n_calls = max(1, int(LEAST_SECONDS / (perf_counter() - begin)))
    begin = perf_counter()
    for _ in range(n_calls):
        call()
    return (perf_counter() - begin) / n_calls


def serve():
    """Time each case that is named on standard input."""
    warnings.simplefilter("ignore")
    known = calls()
    print("ready", flush=True)
    for line in sys.stdin:
        print(mean_seconds(known[line.rstrip()]), flush=True)


def compare(tree, n_rounds):
    """The fastest times of that tree and of this one, by case."""
    fastest = {name: [np.inf, np.inf] for name in CASES}
    with server(tree) as theirs, server(ROOT) as mine:
        for name, pair in fastest.items():
            for _ in range(n_rounds):
                for side, ask in enumerate((theirs, mine)):
                    pair[side] = min(pair[side], ask(name))
    return fastest


@contextmanager
def server(folder):
    """A process with that tree's fastmlp; what asks it for the seconds of a case."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()

    def ask(name):
        print(name, file=process.stdin, flush=True)
        return float(process.stdout.readline())

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?", default="f1f1c0d")
    parser.add_argument("--tree", type=Path, help="a tree that is built already")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tree = given.tree or build(given.revision, folder)
        fastest = compare(tree, given.rounds)
    ratios = {name: mine / theirs for name, (theirs, mine) in fastest.items()}
    for name, (theirs, mine) in fastest.items():
        print(
            f"{name:20} {theirs * 1e6:10.1f} {mine * 1e6:10.1f} µs {ratios[name]:.3f}"
        )
    median, worst = statistics.median(ratios.values()), max(ratios.values())
    print(f"median {median:.3f}, at most {MEDIAN_BAR}; worst {worst:.3f}, {WORST_BAR}")
    return int(median > MEDIAN_BAR or worst > WORST_BAR)


if __name__ == "__main__":
    sys.exit(main())
