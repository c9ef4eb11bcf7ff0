"""Fits of the same rows on one cluster: fastmlp.dask, xgboost.dask, dask-ml."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from bench.bars import inform

N_ROWS, N_FEATURES, N_CLASSES, N_CHUNKS = 1 << 17, 20, 4, 8
HIDDEN, BATCH, EPOCHS = (64, 64), 512, 5
N_TREES = 100


def draw_rows() -> tuple[np.ndarray, np.ndarray]:
    """Rows whose class a random network with a hidden layer has chosen."""
    random = np.random.default_rng(0)
    X = random.standard_normal((2 * N_ROWS, N_FEATURES), dtype=np.float32)
    hidden = np.tanh(X @ random.standard_normal((N_FEATURES, 16)))
    return X, (hidden @ random.standard_normal((16, N_CLASSES))).argmax(axis=1)


def fit_fastmlp(client: Any, X: Any, y: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The network on all workers."""
    from fastmlp.dask import DaskMLPClassifier

    settings = {"batch_size": BATCH, "max_iter": EPOCHS, "random_state": 0}
    model = DaskMLPClassifier(client, hidden_layer_sizes=HIDDEN, **settings)
    return model.fit(X, y).to_local().predict


def fit_xgboost(client: Any, X: Any, y: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Trees on all workers."""
    from xgboost import XGBClassifier
    from xgboost.dask import DaskXGBClassifier

    model = DaskXGBClassifier(n_estimators=N_TREES, random_state=0)
    model.client = client
    local = XGBClassifier()
    local._Booster = model.fit(X, y).get_booster()
    local.n_classes_ = N_CLASSES
    return local.predict


def fit_incremental(client: Any, X: Any, y: Any) -> Callable[[np.ndarray], np.ndarray]:
    """scikit-learn's network of that shape, a partition after the other."""
    from dask_ml.wrappers import Incremental
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(HIDDEN, batch_size=BATCH, random_state=0)
    model = Incremental(network, random_state=0)
    for _ in range(EPOCHS):
        model.partial_fit(X, y, classes=np.arange(N_CLASSES))
    return model.estimator_.predict


PEERS = {
    "fastmlp.dask": ("fastmlp", fit_fastmlp),
    "xgboost.dask": ("xgboost", fit_xgboost),
    "dask-ml Incremental(sklearn)": ("dask_ml", fit_incremental),
}


def compare(n_workers: int) -> list[dict[str, Any]]:
    """Seconds and accuracy of each that is installed, as rows of a report."""
    import dask.array
    from distributed import Client, LocalCluster, wait

    X, y = draw_rows()
    rows: list[dict[str, Any]] = []
    cluster = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        chunks = N_ROWS // N_CHUNKS
        data = dask.array.from_array(X[:N_ROWS], chunks=(chunks, N_FEATURES)).persist()
        targets = dask.array.from_array(y[:N_ROWS], chunks=chunks).persist()
        wait([data, targets])
        for name, (module, fit) in PEERS.items():
            if find_spec(module) is None:
                print(f"{name}: left out, {module} is not installed")
                continue
            begun = time.perf_counter()
            predict = fit(client, data, targets)
            seconds = time.perf_counter() - begun
            share = float(np.mean(predict(X[N_ROWS:]) == y[N_ROWS:]))
            rows += [inform(f"{name}, {n_workers} workers", "s", seconds)]
            rows += [inform(f"{name}, other rows", "accuracy", share)]
    return rows
