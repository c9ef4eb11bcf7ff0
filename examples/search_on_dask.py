"""A grid search whose fits run on the workers of a Dask cluster.

Needs ``pip install 'fastmlp[dask]'``. On a real cluster, give ``Client`` the address of
its scheduler in place of a cluster of this machine.
"""

import joblib
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from fastmlp import MLPClassifier


def main():
    X, y = load_digits(return_X_y=True)
    search = GridSearchCV(
        MLPClassifier((64,), early_stopping=True, dtype="float32", random_state=0),
        {"alpha": [1e-4, 1e-2, 1.0], "learning_rate_init": [1e-3, 1e-2]},
        cv=3,
    )
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_backend("dask"):
        search.fit(X / 16, y)
    print(search.best_params_, round(search.best_score_, 3))


if __name__ == "__main__":
    main()
