"""Show that two versions train to the same bits: ``python -m tests.same_bits REV``.

Builds the revision in a temporary folder, fits the same models with it and with this
tree, each in a process of its own, and compares hashes of what they have learnt. Ends
with an error if a model differs. ``--tree FOLDER`` compares to a tree that is built
already; ``--allow PREFIX`` names cases that are meant to differ.
"""

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FIRST_ORDER = ("sgd", "adam", "adamw", "adagrad", "rmsprop")
FULL_BATCH = ("lbfgs", "gd", "steepest", "newton-cg")
ACTIVATIONS = (
    *("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu"),
    *("softplus", "silu", "gelu", "gelu_tanh", "mish"),
)
SCHEDULES = (
    *("constant", "invscaling", "adaptive", "exponential", "step", "cosine"),
    "one_cycle",
)
LOSSES = ("squared_error", "absolute_error", "huber", "quantile", "poisson")
SETTINGS = {
    "plain sgd": {"solver": "sgd", "momentum": 0.0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "lasso": {"l1_ratio": 0.7, "alpha": 0.1},
    "decay": {"weight_decay": 0.1},
    "clipped": {"grad_clip_norm": 0.1},
    "dropout": {"dropout": 0.3},
    "batch norm": {"batch_norm": True, "batch_size": 50},
    "both": {"dropout": [0.2, 0.4], "batch_norm": True, "batch_size": 25},
    "in order": {"shuffle": False},
    "one row": {"batch_size": 1, "max_iter": 2},
    "full": {"batch_size": "full"},
    "deep": {"hidden_layer_sizes": (7, 6, 5, 4)},
    "wide": {"hidden_layer_sizes": (300, 200)},
    "none": {"hidden_layer_sizes": ()},
    "early": {"early_stopping": True, "max_iter": 15},
    "warm-up": {"warmup_epochs": 2, "learning_rate": "cosine"},
    "he": {"init": "he_normal"},
    "param_tol": {"param_tol": 0.01, "max_iter": 50},
}
COMMON = {"hidden_layer_sizes": (20, 10), "max_iter": 4, "random_state": 3}


def data(kind, dtype):
    """Rows and targets of 150 samples."""
    random = np.random.RandomState(0)
    X = random.standard_normal((150, 12)).astype(dtype)
    score = X[:, :3] @ [1.0, -2.0, 0.5] + 0.3 * random.standard_normal(150)
    targets = {
        "binary": (score > 0).astype(int),
        "multiclass": np.digitize(score, [-1, 1]),
        "labels": (X[:, :3] + score[:, None] > 0).astype(int),
        "one": np.abs(score),
        "two": np.column_stack([score, np.sin(X[:, 1])]),
    }
    return X, targets[kind], random.uniform(0.1, 2, 150)


def cases():
    """Name, class, parameters, kind of target, type, and what to do."""
    for kind, solver, dtype in itertools.product(
        ("multiclass", "one"), (*FIRST_ORDER, *FULL_BATCH), ("float32", "float64")
    ):
        yield f"solver {solver} {kind} {dtype}", kind, dtype, {"solver": solver}, "fit"
    for activation, solver in itertools.product(ACTIVATIONS, ("adam", "lbfgs")):
        params = {"activation": activation, "solver": solver}
        for dtype in ("float32", "float64"):
            yield (
                f"activation {activation} {solver} {dtype}",
                "two",
                dtype,
                params,
                "fit",
            )
    for loss, kind in itertools.product(LOSSES, ("one", "two")):
        if (loss, kind) != ("poisson", "two"):
            yield f"loss {loss} {kind}", kind, "float64", {"loss": loss}, "fit"
    for schedule, solver in itertools.product(SCHEDULES, ("sgd", "adam")):
        params = {"learning_rate": schedule, "solver": solver, "max_iter": 12}
        yield f"schedule {schedule} {solver}", "binary", "float64", params, "fit"
    for name, params in SETTINGS.items():
        for kind, dtype in itertools.product(("binary", "two"), ("float32", "float64")):
            yield f"setting {name} {kind} {dtype}", kind, dtype, params, "fit"
    for way in ("weighted", "csr", "csc", "partial", "warm", "X_val", "threads"):
        for kind in ("binary", "multiclass", "labels", "one", "two"):
            yield f"way {way} {kind}", kind, "float64", {}, way


def fit(kind, dtype, params, way):
    """A fitted model, and the rows."""
    import scipy.sparse

    from fastmlp import MLPClassifier, MLPRegressor

    X, y, w = data(kind, dtype)
    cls = MLPRegressor if kind in ("one", "two") else MLPClassifier
    model = cls(**{**COMMON, **params})
    if way == "partial":
        labels = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
        classes = {} if cls is MLPRegressor else {"classes": labels}
        for _ in range(3):
            for rows in (slice(0, 60), slice(60, 150)):
                model.partial_fit(X[rows], y[rows], **classes)
                classes = {}
    elif way == "warm":
        model.set_params(warm_start=True).fit(X, y).fit(X, y)
    elif way == "X_val":
        model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    elif way == "weighted":
        model.fit(X, y, w)
    elif way in ("csr", "csc"):
        sparse = scipy.sparse.csr_array(X * (np.abs(X) > 1))
        model.fit(sparse if way == "csr" else sparse.tocsc(), y)
    elif way == "threads":
        model.set_params(n_threads=2, hidden_layer_sizes=(300, 200)).fit(X, y)
    else:
        model.fit(X, y)
    return model, X


def fingerprint(model, X):
    """A hash of parameters, curves and predictions."""
    digest = hashlib.sha256()
    for array in (*model.coefs_, *model.intercepts_, model.predict(X)):
        digest.update(np.ascontiguousarray(array).tobytes())
    curves = [model.loss_, getattr(model, "loss_curve_", None), model.n_iter_, model.t_]
    curves += [getattr(model, "validation_scores_", None), model.stop_reason_]
    digest.update(repr(curves).encode())
    return digest.hexdigest()


def fingerprints():
    """Of all cases, with the fastmlp that is imported."""
    warnings.simplefilter("ignore")
    return {name: fingerprint(*fit(*case)) for name, *case in cases()}


def run(tree):
    """What this script prints of a tree that is built, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, str(Path(__file__).resolve()), "--print"]
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def build(revision, folder):
    """The revision's tree, built."""
    archive = Path(folder, "tree.tar")
    git = ["git", "archive", "--output", str(archive), revision]
    subprocess.run(git, cwd=ROOT, check=True)
    tree = Path(folder, "tree")
    with tarfile.open(archive) as tar:
        tar.extractall(tree, filter="data")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tree, check=True, stderr=subprocess.DEVNULL)
    return tree


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?", default="f1f1c0d")
    parser.add_argument("--tree", type=Path, help="a tree that is built already")
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX")
    parser.add_argument("--print", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.print:
        print(json.dumps(fingerprints()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        theirs = run(given.tree or build(given.revision, folder))
    mine = run(ROOT)
    differing = [name for name in theirs if mine[name] != theirs[name]]
    for name in differing:
        print("differs:", name)
    meant = [name for name in differing if name.startswith(tuple(given.allow))]
    print(f"{len(theirs) - len(differing)} of {len(theirs)} models have the same bits")
    return 1 if len(meant) < len(differing) else 0


if __name__ == "__main__":
    sys.exit(main())
