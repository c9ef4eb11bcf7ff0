"""Fits and derivatives of many networks, a line of hash each: to compare two trees.

    PYTHONPATH=one python tests/same_bits.py > one.txt
    PYTHONPATH=other python tests/same_bits.py > other.txt
    python tests/same_bits.py one.txt other.txt

The last names the lines that differ, and counts those that only one tree has. What is
asked for is public, so that trees far apart can be compared.
"""

import hashlib
import itertools
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from fastmlp import MLPClassifier, MLPRegressor, Network, _kernels

SOLVERS = ("sgd", "adam", "adamw", "adagrad", "rmsprop")
DTYPES = ("float32", "float64")
HEADS = [(loss, output) for loss, outs in _kernels.HEADS.items() for output in outs]
# No last batch of one or two rows: their bits were mended once.
ROWS, BATCH = 230, 50
VARIANTS = {
    "plain": {},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "plain sgd": {"solver": "sgd", "momentum": 0.0},
    "penalty": {"alpha": 0.5, "l1_ratio": 0.3},
    "clipped": {"grad_clip_norm": 0.05, "weight_decay": 0.1},
    "dropout": {"dropout": [0.3, 0.0]},
    "norm": {"batch_norm": True, "batch_size": 46},
    "everything": {
        "batch_norm": True,
        "batch_size": 46,
        "dropout": 0.4,
        "grad_clip_norm": 0.1,
        "l1_ratio": 0.5,
        "alpha": 0.1,
    },
    "halves": {"batch_size": 180},
    "large": {"hidden_layer_sizes": (300, 40), "batch_size": 140},
    "blocks": {"batch_size": "full"},
}


def digest(*arrays):
    """Of all bytes."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:16]


def draw_inputs(dtype, n_rows=ROWS, n_columns=20):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n_rows, n_columns)) * (rng.uniform(size=n_columns) < 0.8)
    return X.astype(dtype), rng


def fits():
    """Every solver × variant × type, dense and sparse, weighted or not, by threads."""
    cases = itertools.product(
        SOLVERS, VARIANTS, DTYPES, (False, True), (False, True), (1, 2)
    )
    for solver, variant, dtype, sparse, weighted, n_threads in cases:
        n_rows = 1300 if variant == "blocks" else ROWS
        X, rng = draw_inputs(dtype, n_rows)
        y = X[:, 0] + np.sin(X[:, 1])
        settings = {"hidden_layer_sizes": (33, 17), "solver": solver, "max_iter": 3}
        settings |= {"batch_size": BATCH, "random_state": 0, "n_threads": n_threads}
        model = MLPRegressor(**settings | {"activation": "tanh"} | VARIANTS[variant])
        weights = rng.uniform(0.1, 2, n_rows) if weighted else None
        model.fit(csr_array(X) if sparse else X, y, weights)
        key = f"fit {solver} {variant} {dtype} {sparse} {weighted} {n_threads}"
        yield key, (*model.coefs_, *model.intercepts_, model.predict(X))
        yield f"{key} losses", (np.array(model.loss_curve_),)


def activations():
    """Every hidden activation × type × batches in halves or not."""
    cases = itertools.product(_kernels.HIDDEN_ACTIVATIONS, DTYPES, (BATCH, 180))
    for activation, dtype, batch_size in cases:
        X, _ = draw_inputs(dtype)
        settings = {"hidden_layer_sizes": (17, 5), "max_iter": 3, "random_state": 0}
        settings |= {"activation": activation, "batch_size": batch_size, "alpha": 0.1}
        model = MLPClassifier(**settings).fit(X, np.arange(ROWS) % 3)
        key = f"activation {activation} {dtype} {batch_size}"
        yield key, (*model.coefs_, *model.intercepts_, model.predict_proba(X))


def derivatives():
    """J, its gradient and Hessian products, outputs and gradients by the inputs."""
    for (loss, output), dtype, hidden in itertools.product(
        HEADS, DTYPES, _kernels.HIDDEN_ACTIVATIONS
    ):
        X, rng = draw_inputs(dtype, 150, 7)
        n_outputs = 1 if output == "logistic" else 3
        y = np.abs(rng.normal(size=(150, n_outputs)).round()) + (loss == "gamma")
        y = y[:, 0] % 3 if output == "softmax" else y % 2 + (loss == "gamma")
        settings = {"activation": hidden, "loss": loss, "output_activation": output}
        network = Network(
            [7, 19, 5, n_outputs], alpha=0.1, l1_ratio=0.2, dtype=dtype, **settings
        )
        network.params[:] = 0.3 * rng.normal(size=network.params.size)
        weights = rng.uniform(0, 2, 150)
        value, grad = network.loss_and_grad(X, y, weights)
        found = grad, network.hessian_vector_product(X, y, grad), network.predict(X)
        found += (network.input_gradients(X[:20]), np.array(value))
        yield f"derivatives {loss} {output} {dtype} {hidden}", found


def read_lines(name):
    return dict(line.rsplit(" ", 1) for line in Path(name).read_text().splitlines())


def compare(one, other):
    """Print what differs; whether nothing does."""
    mine, others = read_lines(one), read_lines(other)
    common = mine.keys() & others.keys()
    differing = [key for key in mine if key in common and mine[key] != others[key]]
    print(*differing, sep="\n")
    alone = [len(lines) - len(common) for lines in (mine, others)]
    print(f"{len(common)} in common, {len(differing)} differ, {alone} in one only")
    return not differing


def main():
    warnings.simplefilter("ignore")
    if len(sys.argv) == 3:
        sys.exit(not compare(*sys.argv[1:]))
    for key, arrays in itertools.chain(fits(), activations(), derivatives()):
        print(key, digest(*arrays), flush=True)


if __name__ == "__main__":
    main()
