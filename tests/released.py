"""Model files of all released versions: ``python tests/released.py`` writes ours.

They are written once, when a version is released, and read by all later versions.
"""

from pathlib import Path

import numpy as np
from fits import fit, iris
from sklearn.datasets import load_diabetes

from fastmlp import MLPClassifier, MLPRegressor, Network, __version__

FOLDER = Path(__file__).parent / "released"


def models():
    """By name: a fitted model, and rows that it predicts."""
    X, y = iris()
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    yield "classifier", fit(classifier(early_stopping=True), X, names), X
    regularised = classifier(
        activation=("silu", "leaky_relu"),
        negative_slope=0.2,
        batch_norm=True,
        dropout=0.1,
        solver="nadam",
        learning_rate="cosine",
    )
    single = X.astype(np.float32)
    yield "regularised", fit(regularised, single, y), single
    many = np.column_stack([y == 0, y > 0, y == 2]).astype(int)
    yield "multilabel", fit(classifier(), X, many), X
    X, y = load_diabetes(return_X_y=True)
    X, y = X * 20, (y - y.mean()) / y.std()
    levels = regressor(loss="quantile", quantile=[0.1, 0.9])
    yield "quantiles", fit(levels, X, y), X
    yield "newton", fit(regressor(solver="newton-cg"), X, y), X
    counts = regressor(loss="poisson", solver="lion")
    yield "counts", fit(counts, X, np.round(y - y.min())), X
    yield "network", Network([10, 4, 2], activation="mish", random_state=5), X


def classifier(**params):
    return MLPClassifier(
        hidden_layer_sizes=(7, 5), max_iter=9, random_state=3, **params
    )


def regressor(**params):
    return MLPRegressor(hidden_layer_sizes=(6,), max_iter=9, random_state=2, **params)


def main():
    """Write this version's files, if there are none."""
    folder = FOLDER / __version__
    folder.mkdir(parents=True)
    predictions = {}
    for name, model, X in models():
        model.save(folder / f"{name}.safetensors")
        predictions[f"{name} X"] = X[:5]
        predictions[f"{name} y"] = model.predict(X[:5])
    np.savez_compressed(folder / "predictions.npz", **predictions)


if __name__ == "__main__":
    main()
