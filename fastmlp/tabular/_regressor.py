"""The regressor of tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, check_array, column_or_1d

from fastmlp.estimators._docs import fill_docstring
from fastmlp.estimators._parameters import POSITIVE, interval, parameter
from fastmlp.estimators._publication import reading
from fastmlp.head import Head
from fastmlp.rows import check_kind
from fastmlp.sklearn_private import StrOptions, _fit_context
from fastmlp.tabular._base import BaseTabular, Given
from fastmlp.tabular.calibration import jackknife_interval, narrowing
from fastmlp.tabular.members import Job, Member, Score
from fastmlp.tabular.metrics import make_score
from fastmlp.tabular.preset import Defaults

# Losses by which a target's shift and scale change nothing but the prediction's.
LOSSES = ("squared_error", "absolute_error", "huber", "quantile")


@dataclass(eq=False, repr=False)
class TabularRegressor(RegressorMixin, BaseTabular):
    """Regressor of tables, with numbers, categories and missing values.

    Columns are scaled, categories encoded and targets standardised; predictions stay in
    the range of the training targets. Several networks, the members, are trained side
    by side and averaged. Each holds out other rows and keeps the epoch that is best on
    them; the residuals on the held-out rows give prediction intervals.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    members_ : list of Network
        The networks; they predict standardised targets.
    preprocessor_ : TablePreprocessor
        Turns a table into the networks' inputs.
    y_mean_, y_scale_ : ndarray of shape (n_targets,)
        Mean and standard deviation of the targets.
    y_range_ : ndarray of shape (2, n_targets)
        Least and largest target.
    residuals_ : list of ndarray of shape (n_held_out, n_outputs)
        Absolute residuals of each member on its held-out rows.
    members_variance_ : ndarray of shape (n_outputs,)
        Variance of the members' predictions of standardised targets: its mean over the
        rows that the first member held out.
    history_ : list of dict of str to list of float
        Figures of each member's epochs.
    n_iter_ : int
        Epochs of the member that had most.
    stop_reason_ : str
        Why training ended: 'max_iter', 'max_seconds', 'interrupted' or, where a member
        went back to its best epoch before that, 'diverged'.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names that are all strings.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: Strong pre-tuned
    MLPs and boosted trees on tabular data", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import TabularRegressor
    >>> x = np.linspace(0, 1, 200)
    >>> X = np.column_stack([x, np.where(x > 0.5, "high", "low").astype(object)])
    >>> model = TabularRegressor(max_iter=40, random_state=0).fit(X, 3 * x)
    >>> low, high = model.predict_interval([[0.25, "low"]], coverage=0.9)[0]
    >>> bool(low < 0.75 < high)
    True
    """

    _: KW_ONLY
    loss: str = parameter(
        "squared_error",
        [StrOptions(set(LOSSES))],
        "{'squared_error', 'absolute_error', 'huber', 'quantile'}",
        "What is minimised, of standardised targets.",
    )
    quantile: float | Sequence[float] = parameter(
        0.5,
        [interval(0, 1, "neither"), "array-like"],
        "float or list of float",
        """
        Level of 'quantile' in (0, 1). Of a list, a column each is predicted, in order,
        of one target.
        """,
    )
    huber_delta: float = parameter(
        1.0,
        [POSITIVE],
        "float",
        "Residual, in standard deviations of y, from which on 'huber' is linear.",
    )

    # A target without noise is learnt to the last only where nothing decays.
    _decay_ends = 0.5

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> TabularRegressor:
        """Fit the networks to a table.

        Parameters
        ----------
        X : DataFrame of pandas or polars, Table of Arrow, or array-like
            Of shape (n_samples, n_features): numbers, strings, booleans, categories;
            None, NaN and NA are missing values.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, in their own units.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; one of 0 is as if it were not there.
        X_val, y_val : default=None
            Rows that every member is judged by, in the form of X and y; then all rows
            of X are trained on.
        sample_weight_val : array-like, default=None
            Their weights.
        resume_from : str or path-like, default=None
            A file that a :class:`fastmlp.Checkpoint` of this fit has written. Training
            goes on from there, with the same data and parameters, to the bits of the
            fit that was not interrupted.

        Returns
        -------
        self : TabularRegressor

        Raises
        ------
        ValueError, TypeError
            If the data are not fit for training, or the checkpoint is of another fit.
            The estimator is then as it was.
        """
        judges = X_val, y_val, sample_weight_val
        self._train(X, y, sample_weight, judges, resume_from)
        return self

    def predict(
        self, X: Any, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predicted targets.

        Parameters
        ----------
        X : as in :meth:`fit`
            Of shape (n_samples, n_features).
        return_std : bool, default=False
            Whether to return too how far a target may be off: the root of the members'
            variance plus their mean squared residual on rows held out, narrowed as
            :meth:`predict_interval` says.

        Returns
        -------
        prediction : ndarray of shape (n_samples,), (n_samples, n_targets) or \
(n_samples, n_quantiles)
        std : ndarray of the same shape
            Where it is asked for.
        """
        now = reading(self)
        members = now._predict_members(X)
        prediction = now._squeeze(members.mean(axis=0))
        if not return_std:
            return prediction
        noise, spread = now._mean_square(), (members / now.y_scale_).var(axis=0)
        factor = now.y_scale_ * narrowing(noise, now.members_variance_)
        return prediction, now._squeeze(factor * np.sqrt(spread + noise))

    def predict_members(self, X: Any) -> np.ndarray:
        """Each member's prediction.

        Parameters
        ----------
        X : as in :meth:`fit`
            Of shape (n_samples, n_features).

        Returns
        -------
        ndarray of shape (n_members, n_samples) or (n_members, n_samples, n_outputs)
        """
        now = reading(self)
        return now._squeeze(now._predict_members(X))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Intervals that hold that share of new targets, by CV+, narrowed.

        CV+ adds the members' variance to residuals that hold it already. The ends are
        therefore drawn to the members' mean, by a factor of the residuals and of
        ``members_variance_``.

        Parameters
        ----------
        X : as in :meth:`fit`
            Of shape (n_samples, n_features).
        coverage : float, default=0.9
            In (0, 1).

        Returns
        -------
        ndarray of shape (n_samples, 2) or (n_samples, n_targets, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If too few rows were held out for that coverage, or several quantiles are
            predicted.

        References
        ----------
        R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani, "Predictive inference
        with the jackknife+", Annals of Statistics 49, 2021.

        A. Krogh, J. Vedelsby, "Neural network ensembles, cross validation, and active
        learning", NIPS 1994.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be in (0, 1), got {coverage!r}")
        now = reading(self)
        members = now._predict_members(X)
        if now._n_levels():
            raise ValueError(
                "predict_interval needs one prediction for each target, and this model "
                "predicts several quantiles: use those as the interval"
            )
        ends = np.stack(
            [
                jackknife_interval(
                    members[:, :, k],
                    [residuals[:, k] for residuals in now.residuals_],
                    coverage,
                )
                for k in range(members.shape[2])
            ],
            axis=1,
        )
        factors = narrowing(now._mean_square(), now.members_variance_)
        centre = members.mean(axis=0)[:, :, np.newaxis]
        ends = centre + factors[:, np.newaxis] * (ends - centre)
        return ends[:, 0] if now._is_vector else ends

    def _mean_square(self) -> np.ndarray:
        """Of the residuals, of standardised targets: squares of large ones overflow."""
        return np.mean((np.concatenate(self.residuals_) / self.y_scale_) ** 2, axis=0)

    def _predict_members(self, X: Any) -> np.ndarray:
        """Of shape (n_members, n_samples, n_outputs)."""
        return self._predict_inputs(self._inputs(X))

    def _predict_inputs(self, inputs: np.ndarray) -> np.ndarray:
        outputs = np.stack([network.predict(inputs) for network in self.members_])
        return self._decode(outputs)

    def _decode(self, outputs: np.ndarray) -> np.ndarray:
        """Targets in their own units, in the range of those seen, levels in order."""
        y = outputs.astype(np.float64) * self.y_scale_ + self.y_mean_
        y = np.clip(y, *self.y_range_)
        return np.sort(y, axis=-1) if self._n_levels() else y

    def _squeeze(self, y: np.ndarray) -> np.ndarray:
        return y[..., 0] if self._is_vector and not self._n_levels() else y

    def _n_levels(self) -> int:
        """How many quantiles are predicted, where there is a list of them."""
        if self.loss != "quantile" or np.ndim(self.quantile) == 0:
            return 0
        return len(np.ravel(self.quantile))

    def _check_targets(self, y: Any) -> np.ndarray:
        given = np.asarray(y)
        if given.dtype.kind not in "bO":
            check_kind(given, "y")
        y = check_array(
            y, ensure_2d=False, dtype=np.float64, input_name="y", ensure_min_samples=0
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] == 0):
            raise ValueError(f"y must have one column or more, got shape {y.shape}")
        return y

    def _learn_targets(self, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
        levels = self._n_levels()
        if np.ndim(self.quantile) and (not levels and self.loss == "quantile"):
            raise ValueError("quantile must be a number or a list of numbers, got []")
        if levels and y.ndim != 1:
            raise ValueError("a list of quantiles needs y of shape (n_samples,)")
        columns = y.reshape(len(y), -1)
        largest = np.abs(columns).max(axis=0)
        # By the largest first: squares of large numbers overflow.
        unit = np.where(largest > 0, largest, 1.0)
        mean = np.average(columns / unit, axis=0, weights=sample_weight)
        moved = columns / unit - mean
        variance = np.average(moved**2, axis=0, weights=sample_weight)
        scale = np.sqrt(variance) * unit
        self.y_mean_ = mean * unit
        self.y_scale_ = np.where(scale > 0, scale, 1.0)
        self.y_range_ = np.stack([columns.min(axis=0), columns.max(axis=0)])
        self._is_vector = y.ndim == 1

    def _encode(self, y: np.ndarray) -> np.ndarray:
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != len(self.y_mean_) or (y.ndim == 1) != self._is_vector:
            raise ValueError("y_val must have as many columns as y")
        Y = ((columns - self.y_mean_) / self.y_scale_).astype(np.float32)
        return np.repeat(Y, max(1, self._n_levels()), axis=1)

    def _head(self) -> Head:
        level: Any = self.quantile
        if np.ndim(level):
            level = [float(q) for q in np.ravel(level)]
        return Head(self.loss, "identity", float(self.huber_delta), level)

    def _defaults(self) -> Defaults:
        return Defaults("mish", 0.07, 0.0)

    def _count_outputs(self) -> int:
        return max(len(self.y_mean_), self._n_levels())

    def _score_of(self, given: Given) -> Score | None:
        if self.metric is None:
            return None

        def read(outputs: np.ndarray) -> np.ndarray:
            return self._squeeze(self._decode(outputs))

        return make_score(self.metric, given.y, given.sample_weight, read)

    def _calibrate(self, members: list[Member], jobs: list[Job]) -> None:
        self.residuals_ = [
            np.abs(self._decode(member.outputs) - self._decode(job.held_out.Y))
            for member, job in zip(members, jobs, strict=True)
        ]
        standardised = self._predict_inputs(jobs[0].held_out.X) / self.y_scale_
        self.members_variance_ = standardised.var(axis=0).mean(axis=0)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


fill_docstring(TabularRegressor)
