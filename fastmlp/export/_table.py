"""What a fitted estimator of tables computes, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastmlp.export._model import FittedModel, Layer, read_layers
from fastmlp.tabular.columns import key_of
from fastmlp.tabular.preprocessing import Encoder, NumberEncoder


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    name : str
        As the table had it; 'x0', 'x1' … where it had none.
    encoder : NumberEncoder or LevelEncoder
        What it becomes.
    """

    name: str
    encoder: Encoder

    @property
    def dtype(self) -> np.dtype:
        """Of its values outside of Python: float64, int64 or, of strings, object.

        Categories are numbers if all of them are spelt as numbers.
        """
        if isinstance(self.encoder, NumberEncoder):
            return np.dtype(np.int64 if self.encoder.origin else np.float64)
        levels = self.encoder.levels
        return np.dtype(np.float64 if levels and all(map(_is_number, levels)) else "O")


def _is_number(level: str) -> bool:
    """Whether a float64 is found as this level, and no other spelling of it is."""
    try:
        return key_of(float(level)) == level
    except (ValueError, OverflowError):
        return False


@dataclass(frozen=True)
class FittedTable:
    """A fitted estimator of tables: columns, networks, and what becomes of their mean.

    Parameters
    ----------
    columns : tuple of Column
        In their order.
    has_names : bool
        Whether the table had names.
    members : tuple of FittedModel
        Networks whose outputs are those before the output activation.
    temperature : float
        What a classifier's outputs are divided by.
    y_mean, y_scale : ndarray of shape (n_targets,)
        A regressor's targets are mean + scale · output.
    y_range : ndarray of shape (2, n_targets)
        What they are clipped to.
    is_sorted : bool
        Whether the outputs are quantiles, to be put in order.
    """

    columns: tuple[Column, ...]
    has_names: bool
    members: tuple[FittedModel, ...]
    temperature: float = 1.0
    y_mean: np.ndarray | None = None
    y_scale: np.ndarray | None = None
    y_range: np.ndarray | None = None
    is_sorted: bool = False

    @property
    def results(self) -> FittedModel:
        """A model with the same results, in float64."""
        return replace(self.members[0], dtype=np.dtype(np.float64))


def read_table_model(est: Any) -> FittedTable:
    """The model of a fitted estimator of tables.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(est)
    encoders = est.preprocessor_.encoders
    names = getattr(est, "feature_names_in_", None)
    columns = tuple(
        Column(f"x{j}" if names is None else str(names[j]), encoder)
        for j, encoder in enumerate(encoders)
    )
    members = tuple(_read_member(est, network) for network in est.members_)
    if hasattr(est, "classes_"):
        return FittedTable(columns, names is not None, members, est.temperature_)
    return FittedTable(
        columns,
        names is not None,
        members,
        y_mean=est.y_mean_,
        y_scale=est.y_scale_,
        y_range=est.y_range_,
        is_sorted=est._n_levels() > 0,
    )


def _read_member(est: Any, network: Any) -> FittedModel:
    *hidden, last = read_layers(network)
    layers: tuple[Layer, ...] = (*hidden, replace(last, activation="identity"))
    classes = getattr(est, "classes_", None)
    return FittedModel(
        layers,
        network.loss_name,
        network.dtype,
        classes,
        classes is not None and not est._labels.exclusive,
        classes is None and est._is_vector and not est._n_levels(),
    )
