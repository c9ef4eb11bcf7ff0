"""Estimators whose rows lie on the workers of a Dask cluster. Needs the extra ``dask``.

The client drives the fit: schedules, stop rules, callbacks and checkpoints are those of
any fit. An epoch is a round: the workers take its steps together and hand the state
back. A round in which a worker is lost is taken again from the state before it.
"""

from fastmlp.dask.estimators import DaskMLPClassifier, DaskMLPRegressor, train
from fastmlp.dask.shards import WorkerLostError

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor", "WorkerLostError", "train"]
