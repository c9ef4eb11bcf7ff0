"""The estimators, in the manner of those of xgboost.dask and lightgbm.dask."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp.checkpoints import FROM_OUTSIDE, Checkpoint
from fastmlp.dask.stream import DaskSource, DaskStream, join_parts, make_part
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.stream.sources import column_names

# Rows of a step that make a shard worth while.
LEAST_SHARD_ROWS = 128
# What is not the local estimator's, and the checkpoint's name in its folder.
OWN = ("client", "n_shards", "sync_every", "max_failures", "checkpoint_dir")
CHECKPOINT = "fit.safetensors"
# Attributes that hold the history of a fit.
CURVES_BY_NAME = {
    "loss": "loss_curve_",
    "validation_score": "validation_scores_",
    "validation_loss": "validation_loss_curve_",
}


# -- collections


def _partitions(collection: Any, name: str) -> list[Any] | None:
    """Delayed partitions of a collection, along its rows."""
    if collection is None:
        return None
    if not hasattr(collection, "to_delayed"):
        raise TypeError(
            f"{name} must be a Dask array, data frame or series, got "
            f"{type(collection).__name__}"
        )
    if getattr(collection, "ndim", 1) == 2 and hasattr(collection, "rechunk"):
        collection = collection.rechunk({1: -1})
    return np.ravel(collection.to_delayed()).tolist()


def _in_memory(collection: Any) -> Any:
    """A collection's rows here; what is none, as it is."""
    return collection.compute() if hasattr(collection, "compute") else collection


def count_shards(n_shards: int | str, batch_size: Any, n_partitions: int) -> int:
    """The power of two that is asked for, or as many as have 128 rows of a step each;
    no more than there are partitions.

    Raises
    ------
    ValueError
        If it is no power of two.
    """
    if n_shards == "auto":
        rows = batch_size if isinstance(batch_size, int) else 200
        n_shards = max(1, rows // LEAST_SHARD_ROWS)
    elif not isinstance(n_shards, int) or n_shards < 1 or n_shards & (n_shards - 1):
        raise ValueError(f"n_shards must be 'auto' or a power of two, got {n_shards!r}")
    most = min(int(n_shards), n_partitions)
    return 1 << (most.bit_length() - 1)


def check_sync_every(sync_every: int | str) -> int:
    """Steps from one exchange to the next.

    Raises
    ------
    ValueError
        If it is no positive integer.
    """
    if sync_every == "auto":
        return 1
    if not isinstance(sync_every, int) or sync_every < 1:
        raise ValueError(
            f"sync_every must be 'auto' or a positive integer, got {sync_every!r}"
        )
    return sync_every


def _only_set(
    judged: tuple[Any, Any, Any],
    eval_set: Sequence[tuple[Any, Any]] | None,
    weights: Sequence[Any] | None,
) -> tuple[Any, Any, Any]:
    """The one evaluation set, as X_val, y_val and their weights."""
    if any(part is not None for part in judged):
        raise ValueError("give X_val and y_val or eval_set, not both")
    if eval_set is None or len(eval_set) != 1 or len(eval_set[0]) != 2:
        raise ValueError("eval_set must be a list of one pair: [(X_val, y_val)]")
    if weights is not None and len(weights) != 1:
        raise ValueError("sample_weight_eval_set must have one entry, as eval_set has")
    return *eval_set[0], None if weights is None else weights[0]


def _make_shards(client: Any, parts: list[Any], n_shards: int) -> list[Any]:
    """Futures of shards, neighbouring partitions each, wherever Dask has them."""
    from dask import delayed

    ends = [number * len(parts) // n_shards for number in range(n_shards + 1)]
    return client.compute(
        [delayed(join_parts)(parts[a:b]) for a, b in itertools.pairwise(ends)]
    )


class _DaskMLP:
    """What both estimators do."""

    _kind: Any

    def __init__(
        self,
        client: Any = None,
        n_shards: int | str = "auto",
        sync_every: int | str = "auto",
        max_failures: int = 3,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        **params: Any,
    ) -> None:
        self.client, self.n_shards, self.sync_every = client, n_shards, sync_every
        self.max_failures, self.checkpoint_dir = max_failures, checkpoint_dir
        self._model = self._kind(**params)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name."""
        mine = {name: getattr(self, name) for name in OWN}
        return {**mine, **self._model.get_params(deep)}

    def set_params(self, **params: Any) -> Any:
        """Change parameters."""
        for name in OWN:
            if name in params:
                setattr(self, name, params.pop(name))
        self._model.set_params(**params)
        return self

    def __getattr__(self, name: str) -> Any:
        """Fitted attributes are the model's."""
        if name.endswith("_") and not name.startswith("_"):
            return getattr(self._model, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def to_local(self) -> Any:
        """The fitted estimator, which knows nothing of the cluster."""
        return self._model

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        eval_set: Sequence[tuple[Any, Any]] | None = None,
        sample_weight_eval_set: Sequence[Any] | None = None,
        resume_from: Any = None,
    ) -> Any:
        """Fit the network to rows on the cluster.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame
            Inputs, with numbers in all columns.
        y, sample_weight : Dask collection
            Targets, and weights or None, in as many partitions as X.
        X_val, y_val, sample_weight_val : Dask collection or array-like, default=None
            Rows to validate by; they are brought to the client.
        eval_set : list of one tuple, default=None
            ``[(X_val, y_val)]``, as xgboost.dask has it.
        sample_weight_eval_set : list of one array, default=None
            ``[sample_weight_val]``.
        resume_from : str or path-like, default=None
            A checkpoint to go on from. None: that in ``checkpoint_dir``, if there is
            one.

        Returns
        -------
        self

        Raises
        ------
        WorkerLostError
            If a round has failed more often than ``max_failures``.
        ValueError
            If the data are not fit for training.
        """
        client = self._find_client()
        judged = X_val, y_val, sample_weight_val
        if eval_set is not None or sample_weight_eval_set is not None:
            judged = _only_set(judged, eval_set, sample_weight_eval_set)
        names = "X_val", "y_val", "sample_weight_val"
        given = dict(zip(names, map(_in_memory, judged), strict=True))
        stream = self._spread(client, X, y, sample_weight)
        if self.checkpoint_dir is None:
            self._model.fit(stream, resume_from=resume_from, **given)
        else:
            self._fit_with_checkpoints(stream, resume_from, given)
        return self

    def _fit_with_checkpoints(
        self, stream: DaskStream, resume_from: Any, given: dict[str, Any]
    ) -> None:
        """Store each epoch, go on from the last that is stored, and remove it once the
        fit is over.
        """
        model = self._model
        path = Path(self.checkpoint_dir or "") / CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume_from is None and path.exists():
            resume_from = path
        callbacks = model.callbacks
        model.callbacks = [*(callbacks or ()), Checkpoint(path)]
        try:
            model.fit(stream, resume_from=resume_from, **given)
        finally:
            model.callbacks = callbacks
        if model.stop_reason_ not in FROM_OUTSIDE:
            path.unlink(missing_ok=True)

    def _find_client(self) -> Any:
        if self.client is not None:
            return self.client
        return require("distributed", "dask", type(self).__name__).get_client()

    def _spread(self, client: Any, X: Any, y: Any, sample_weight: Any) -> DaskStream:
        """The collections as shards on the workers."""
        from dask import delayed

        rows, targets, weights = (
            _partitions(collection, name)
            for collection, name in ((X, "X"), (y, "y"), (sample_weight, "weights"))
        )
        if rows is None or targets is None:
            raise ValueError("X and y must be given")
        for others in (targets, weights):
            if others is not None and len(others) != len(rows):
                raise ValueError(
                    f"X has {len(rows)} partitions, and y or sample_weight has "
                    f"{len(others)}: rechunk or repartition them alike"
                )
        sync_every = check_sync_every(self.sync_every)
        none = [None] * len(rows)
        parts = [
            delayed(make_part)(*part)
            for part in zip(rows, targets, weights or none, strict=True)
        ]
        n_shards = count_shards(self.n_shards, self._model.batch_size, len(parts))
        shards = _make_shards(client, parts, n_shards)
        source = DaskSource(client, shards, column_names(X))
        return DaskStream(source, None, self.max_failures, sync_every)

    def _lazy(self, method: Callable[[Any], np.ndarray], X: Any) -> Any:
        """A prediction for each partition, made when it is asked for."""
        probe = np.zeros((1, self._model.n_features_in_), np.float32)
        like = self._model.__class__.__dict__[method.__name__](self._model, probe)
        if hasattr(X, "map_partitions"):
            return X.map_partitions(_predict_frame, method, meta=_like_frame(X, like))
        chunks = (X.chunks[0],) if like.ndim == 1 else (X.chunks[0], (like.shape[1],))
        return X.rechunk({1: -1}).map_blocks(
            method,
            dtype=like.dtype,
            chunks=chunks,
            drop_axis=[1] if like.ndim == 1 else None,
        )

    def predict(self, X: Any) -> Any:
        """The model's predictions, lazily: a collection with the partitions of X.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame
            Inputs.

        Returns
        -------
        dask.array.Array, dask.dataframe.Series or DataFrame
            With the index of X.
        """
        return self._lazy(self._model.predict, X)


def _predict_frame(frame: Any, method: Callable[[Any], np.ndarray]) -> Any:
    """Predictions with the frame's index."""
    import pandas as pd

    outputs = method(frame)
    kind = pd.Series if outputs.ndim == 1 else pd.DataFrame
    return kind(outputs, index=frame.index)


def _like_frame(X: Any, like: np.ndarray) -> Any:
    import pandas as pd

    kind = pd.Series if like.ndim == 1 else pd.DataFrame
    return kind(like[:0], index=X._meta.index[:0])


class DaskMLPClassifier(_DaskMLP):
    """:class:`fastmlp.MLPClassifier` on the workers of a Dask cluster.

    The numbers depend on data, partitions, ``n_shards`` and ``random_state``, and not
    on how many workers there are, nor on those that are lost meanwhile.

    Parameters
    ----------
    client : distributed.Client, default=None
        Of the cluster; None: the current one.
    n_shards : int or 'auto', default='auto'
        Parts of each step, a power of two, each the work of one worker at most. 'auto'
        makes them of 128 rows; there are no more than partitions.
    sync_every : int or 'auto', default='auto'
        Steps from one exchange to the next. 'auto' is 1: gradients are added up in
        every step, exactly. With more, each shard takes so many steps by itself, with
        its share of ``batch_size`` rows each, and then parameters and optimizer state
        are averaged: less is sent, and another optimum may be found. Scale the learning
        rate yourself.
    max_failures : int, default=3
        How often an epoch is taken again because a worker was lost.
    checkpoint_dir : str or path-like, default=None
        A folder at the client in which each epoch is stored. A fit that was ended from
        outside goes on from there when ``fit`` is called again; one that is over
        leaves nothing there. None: nothing is stored.
    **params
        Those of the estimator. ``batch_size`` is that of a step over all workers.
    """

    _kind = MLPClassifier

    def predict_proba(self, X: Any) -> Any:
        """Probability of each class, lazily, as :meth:`predict`."""
        return self._lazy(self._model.predict_proba, X)


class DaskMLPRegressor(_DaskMLP):
    """:class:`fastmlp.MLPRegressor` on the workers of a Dask cluster.

    See :class:`DaskMLPClassifier` for the parameters.
    """

    _kind = MLPRegressor


def train(
    client: Any,
    estimator: MLPClassifier | MLPRegressor,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    n_shards: int | str = "auto",
    sync_every: int | str = "auto",
    max_failures: int = 3,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    **fit_params: Any,
) -> dict[str, Any]:
    """Fit an estimator to rows on a cluster, in one call.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    estimator : MLPClassifier or MLPRegressor
        With the parameters of the fit; it is left as it is.
    X, y, sample_weight : Dask collection
        As of :meth:`DaskMLPClassifier.fit`.
    n_shards, sync_every, max_failures, checkpoint_dir
        As of :class:`DaskMLPClassifier`.
    **fit_params
        Further arguments of :meth:`DaskMLPClassifier.fit`, ``eval_set`` for example.

    Returns
    -------
    dict
        ``"model"``, the fitted estimator; ``"history"``, a dict of lists with an entry
        an epoch: ``"loss"``, and ``"validation_score"`` and ``"validation_loss"`` where
        there are rows to validate by.

    Raises
    ------
    TypeError
        If the estimator is of another kind.
    """
    kinds = {cls._kind: cls for cls in (DaskMLPClassifier, DaskMLPRegressor)}
    if type(estimator) not in kinds:
        raise TypeError(
            "estimator must be an MLPClassifier or MLPRegressor, got "
            f"{type(estimator).__name__}"
        )
    params = estimator.get_params(deep=False)
    own = (client, n_shards, sync_every, max_failures, checkpoint_dir)
    model = kinds[type(estimator)](*own, **params)
    model = model.fit(X, y, sample_weight, **fit_params).to_local()
    curves = {
        name: getattr(model, CURVES_BY_NAME[name], None) for name in CURVES_BY_NAME
    }
    history = {name: list(curve) for name, curve in curves.items() if curve}
    return {"model": model, "history": history}
