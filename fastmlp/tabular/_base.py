"""What both estimators share: the way of a fit, and its members' predictions."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.estimators._publication import attempt
from fastmlp.estimators._validation import checked_sample_weight, naming
from fastmlp.estimators._warnings import warn
from fastmlp.head import Head
from fastmlp.network import Network
from fastmlp.random_streams import as_stream, copy_stream
from fastmlp.stopping import StopReason
from fastmlp.tabular._model_file import save_tabular
from fastmlp.tabular._parameters import TabularParameters
from fastmlp.tabular.checkpoints import (
    Earlier,
    Store,
    checkpoints_of,
    origin_of,
    read_earlier,
)
from fastmlp.tabular.columns import Table, read_table
from fastmlp.tabular.members import (
    Job,
    Member,
    Rows,
    Score,
    partition_into_folds,
    train_members,
)
from fastmlp.tabular.preprocessing import TablePreprocessor
from fastmlp.tabular.preset import Defaults, Preset, count_epochs
from fastmlp.tabular.progress import Progress
from fastmlp.threads import count_usable

# Of the rows each member holds out one of so many folds, or of as many as there are
# members.
FOLDS = 8


@dataclass(frozen=True)
class Given:
    """Rows as a user has given them, checked.

    Parameters
    ----------
    table : Table
        X, without rows of weight zero.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Targets.
    sample_weight : ndarray of shape (n_rows,) or None
        Positive weights.
    """

    table: Table
    y: np.ndarray
    sample_weight: np.ndarray | None


class BaseTabular(TabularParameters, BaseEstimator, ABC):
    """The way of a fit: read, preprocess, train members, calibrate, publish."""

    members_: list[Network]
    n_features_in_: int
    feature_names_in_: np.ndarray
    preprocessor_: TablePreprocessor
    # Share of a fit at which the weight decay has come to 0.
    _decay_ends: float

    @abstractmethod
    def _learn_targets(self, y: Any, sample_weight: np.ndarray | None) -> None:
        """Learn what targets can be, or raise ValueError where y is not fit for it."""

    @abstractmethod
    def _check_targets(self, y: Any) -> np.ndarray:
        """Targets as an array, or ValueError where they are of no known kind."""

    @abstractmethod
    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Targets as the networks take them."""

    @abstractmethod
    def _head(self) -> Head:
        """Loss and output activation."""

    @abstractmethod
    def _defaults(self) -> Defaults:
        """What parameters that are None stand for."""

    @abstractmethod
    def _count_outputs(self) -> int:
        """Units of the last layer."""

    @abstractmethod
    def _score_of(self, given: Given) -> Score | None:
        """What rows held out are judged by."""

    @abstractmethod
    def _calibrate(self, members: list[Member], jobs: list[Job]) -> None:
        """Learn from what members say of rows that they have not seen."""

    def _soften(self, Y: np.ndarray) -> np.ndarray:
        """Encoded targets as they are trained on."""
        return Y

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """What each fold is to have the same share of."""
        return None

    def _class_weights(self, y: np.ndarray) -> np.ndarray | None:
        """What rows count for by their class."""
        return None

    # -- the way of a fit

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        validation: tuple[Any, Any, Any],
        resume_from: str | os.PathLike[str] | None,
    ) -> None:
        """Fit on a twin, and take over what it has become: all of it, or nothing."""
        with attempt(self) as trial:
            new: BaseTabular = trial.twin
            new._check_sizes()
            given = new._read(X, y, sample_weight, reset=True)
            held_out = new._read_validation(*validation)
            checkpoints = checkpoints_of(new)
            earlier = None if resume_from is None else read_earlier(resume_from)
            jobs, data, fit = new._plan(given, held_out, earlier)
            members = new._train_members(jobs, data, Store(checkpoints, fit))
            new._take_over(members)
            # After Ctrl-C some may be missing.
            new._calibrate(members, [jobs[member.number] for member in members])
            trial.publish()
            if self.stop_reason_ == StopReason.INTERRUPTED:
                warn("Training interrupted by user.")

    def _check_sizes(self) -> None:
        sizes = list(self.hidden_layer_sizes)
        if not sizes or any(
            not isinstance(size, int | np.integer) or size < 1 for size in sizes
        ):
            raise ValueError(
                f"hidden_layer_sizes must be one or more positive integers, got {sizes}"
            )

    def _read(
        self, X: Any, y: Any, sample_weight: ArrayLike | None, reset: bool
    ) -> Given:
        """Check rows; learn features and targets from them, where ``reset``."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        table = self._read_table(X, reset)
        targets = self._check_targets(y)
        check_consistent_length(np.empty(table.n_rows), targets)
        weights = checked_sample_weight(sample_weight, np.empty((table.n_rows, 1)))
        if weights is not None:
            # Multiplied by a power of two, which changes no bit: the largest is ~ 1.
            weights = np.ldexp(weights, -np.frexp(weights.max())[1])
        if weights is not None and not weights.all():
            rows = np.flatnonzero(weights)
            table, targets, weights = table.take(rows), targets[rows], weights[rows]
        if reset:
            if len(targets) < 2:
                raise ValueError(
                    "n_samples=1 of weight above zero: a fit needs two rows at least, "
                    "one to learn from and one to judge by"
                )
            self._learn_targets(targets, weights)
            self.preprocessor_ = TablePreprocessor.fit(table, self.categorical_features)
        return Given(table, targets, weights)

    def _read_table(self, X: Any, reset: bool = False) -> Table:
        table = read_table(X)
        if not isinstance(X, Table):
            validate_data(self, X, skip_check_array=True, reset=reset)
        elif reset:
            self.n_features_in_ = len(table.names)
            self.feature_names_in_ = np.array(table.names, dtype=object)
        elif table.names != list(getattr(self, "feature_names_in_", [])):
            raise ValueError("the columns must be those of training, in their order")
        return table

    def _read_validation(
        self, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> Given | None:
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val needs X_val and y_val")
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together")
        with naming("X_val and y_val"):
            return self._read(X_val, y_val, sample_weight_val, reset=False)

    def _plan(
        self, given: Given, held_out: Given | None, earlier: Earlier | None
    ) -> tuple[list[Job], Rows, Earlier]:
        """Jobs, the rows that they are of, and what the fit goes on from."""
        stream = as_stream(self.random_state)
        if earlier is not None:
            stream = copy_stream(earlier.stream)
        begins_at = copy_stream(stream)
        jobs, data = self._draw_jobs(given, held_out, stream)
        origin = origin_of(self, data, jobs)
        if earlier is None:
            return jobs, data, Earlier(origin, begins_at)
        earlier.origin.check(origin)
        return jobs, data, earlier

    def _draw_jobs(
        self, given: Given, held_out: Given | None, stream: Any
    ) -> tuple[list[Job], Rows]:
        seeds = stream.randint(2**31 - 1, size=self.n_members).tolist()
        data = self._as_rows(given)
        if held_out is None:
            folds = self._draw_folds(given, stream)
            return [
                self._fold_job(given, data, folds[number % len(folds)], seed)
                for number, seed in enumerate(seeds)
            ], data
        judges, score = self._as_rows(held_out), self._score_of(held_out)
        rows = np.arange(len(given.y))
        return [Job(rows, judges, score, seed) for seed in seeds], data

    def _draw_folds(self, given: Given, stream: Any) -> list[np.ndarray]:
        n_folds = min(len(given.y), max(FOLDS, self.n_members))
        strata = self._strata(given.y)
        return partition_into_folds(n_folds, strata, len(given.y), stream)

    def _fold_job(self, given: Given, data: Rows, fold: np.ndarray, seed: int) -> Job:
        """That of a member which is judged by a fold, and learns from the others."""
        weights = given.sample_weight
        held_out = Given(
            given.table, given.y[fold], None if weights is None else weights[fold]
        )
        others = np.setdiff1d(np.arange(len(given.y)), fold)
        return Job(others, data.take(fold), self._score_of(held_out), seed)

    def _as_rows(self, given: Given) -> Rows:
        weights = self._training_weights(given)
        return Rows(
            self.preprocessor_.transform(given.table),
            self._soften(self._encode(given.y)),
            None if weights is None else weights.astype(np.float32),
        )

    def _training_weights(self, given: Given) -> np.ndarray | None:
        """What rows count for in the loss: their weights times those of classes."""
        weights, by_class = given.sample_weight, self._class_weights(given.y)
        if by_class is None:
            return weights
        return by_class if weights is None else weights * by_class

    def _train_members(self, jobs: list[Job], data: Rows, store: Store) -> list[Member]:
        n_threads, n_epochs = self.n_threads, self.max_iter
        usable = n_threads or count_usable()
        n_workers = min(self.n_members, usable)
        inside = 1 if usable <= self.n_members else n_threads and usable // n_workers
        n_rounds = -(-self.n_members // n_workers)
        given = {name: getattr(self, name) for name in Defaults._fields}
        chosen = self._defaults()._replace(
            **{name: value for name, value in given.items() if value is not None}
        )
        preset = Preset(
            self.preprocessor_.n_inputs,
            self._count_outputs(),
            self._head(),
            [int(size) for size in self.hidden_layer_sizes],
            chosen.activation,
            chosen.learning_rate_init,
            count_epochs(len(data.Y)) if n_epochs is None else n_epochs,
            self.batch_size,
            chosen.dropout,
            self.weight_decay,
            self._decay_ends,
            None if self.max_seconds is None else self.max_seconds / n_rounds,
            inside,
        )
        n_rows = len(jobs[0].rows)
        with Progress(self.verbose, len(jobs), n_rows, preset.n_epochs) as progress:
            return train_members(
                *(preset, data, jobs, n_workers),
                lambda *member: [
                    *progress.listeners(*member),
                    *store.writers(member[0]),
                ],
                store.state,
            )

    def _take_over(self, members: list[Member]) -> None:
        self.members_ = [member.network for member in members]
        self.history_ = [member.history for member in members]
        self.n_iter_ = max(len(history["loss"]) for history in self.history_)
        early = [
            member.stop_reason
            for member in members
            if member.stop_reason != StopReason.MAX_ITER
        ]
        if len(members) < self.n_members:
            early = [str(StopReason.INTERRUPTED)]
        self.stop_reason_ = early[0] if early else str(StopReason.MAX_ITER)

    # -- use

    def _inputs(self, X: Any) -> np.ndarray:
        """X of a fitted estimator as its networks take it."""
        check_is_fitted(self)
        return self.preprocessor_.transform(self._read_table(X))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a file, in one step; :func:`fastmlp.load` reads it.

        The file holds parameters, preprocessing and networks, and no code: a function
        among the parameters is named in a warning and not stored. Needs the extra
        ``safetensors``.

        Parameters
        ----------
        path : str or path-like
            The file.

        Raises
        ------
        fastmlp.ModelFileError
            If something cannot be stored.
        OSError
            If it cannot be written; the old file is still there.
        """
        check_is_fitted(self)
        save_tabular(self, path)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags
