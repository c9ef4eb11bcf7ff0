"""An estimator of tables as facts for a model file, and back."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastmlp.estimators._model_file import (
    Check,
    are_arrays,
    binarizer_of,
    check_own,
    checked_attributes,
    is_count,
    is_number,
    is_vector,
    labels_of,
    parameters_of,
    warn_of_left_out,
)
from fastmlp.estimators._publication import reading
from fastmlp.model_files import save_model
from fastmlp.network import Network
from fastmlp.state_check import checked_network
from fastmlp.tabular.preprocessing import TablePreprocessor


def _are_numbers(value: Any) -> bool:
    is_array = isinstance(value, np.ndarray) and value.dtype == np.float64
    return is_array and bool(np.isfinite(value).all())


def _are_histories(value: Any) -> bool:
    return type(value) is list and all(type(history) is dict for history in value)


# The fitted attributes that a file holds as they are, and what they have to be.
ATTRIBUTES: dict[str, Check] = {
    "history_": _are_histories,
    "n_iter_": is_count,
    "stop_reason_": lambda v: type(v) is str,
    "n_features_in_": lambda v: is_count(v) and v > 0,
    "feature_names_in_": is_vector,
    "classes_": is_vector,
    "temperature_": lambda v: is_number(v) and v > 0,
    "y_mean_": _are_numbers,
    "y_scale_": _are_numbers,
    "y_range_": _are_numbers,
    "residuals_": lambda v: are_arrays(v) and all(map(_are_numbers, v)),
    "members_variance_": lambda v: _are_numbers(v) and bool((v >= 0).all()),
    "_is_vector": lambda v: type(v) is bool,
}


def save_tabular(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write an estimator; see :meth:`BaseTabular.save`."""
    check_own(estimator)
    now = reading(estimator)
    parameters, left_out = parameters_of(now)
    kept = {name: vars(now)[name] for name in ATTRIBUTES if name in vars(now)}
    binarizer = vars(now).get("_label_binarizer")
    facts = {
        "parameters": parameters,
        "attributes": kept,
        "preprocessor": now.preprocessor_.to_facts(),
        "labels": None if binarizer is None else labels_of(binarizer),
        "members": [network.__getstate__() for network in now.members_],
    }
    save_model(path, type(estimator).__name__, facts, {})
    warn_of_left_out(left_out)


def build_tabular(kind: str, facts: Any) -> Any:
    """The estimator of a file's facts.

    Raises
    ------
    ValueError, TypeError or LookupError
        If parts are missing, invalid, or do not fit together.
    """
    from fastmlp import tabular

    estimator = getattr(tabular, kind)(**facts["parameters"])
    estimator._validate_params()
    attributes = checked_attributes(facts["attributes"], ATTRIBUTES)
    attributes["preprocessor_"] = TablePreprocessor.from_facts(facts["preprocessor"])
    attributes["members_"] = [_network_of(dict(member)) for member in facts["members"]]
    if facts["labels"] is not None:
        attributes["_label_binarizer"] = binarizer_of(facts["labels"])
        attributes["classes_"] = attributes["_label_binarizer"].classes_
    estimator.__dict__.update(attributes)
    _check_fitted(estimator)
    return estimator


def _network_of(facts: dict[str, Any]) -> Network:
    arrays = {name: facts.pop(name) for name in ("params", "stats")}
    return checked_network(facts, arrays)


def _check_fitted(estimator: Any) -> None:
    """Raise ValueError unless the parts belong together."""
    n_inputs, n_outputs = (
        estimator.preprocessor_.n_inputs,
        estimator._count_outputs(),
    )
    sizes = {(n.layer_sizes[0], n.layer_sizes[-1]) for n in estimator.members_}
    if sizes != {(n_inputs, n_outputs)}:
        raise ValueError(
            f"the networks have {sorted(sizes)} inputs and outputs, and must have "
            f"{n_inputs} and {n_outputs}"
        )
    if len(estimator.preprocessor_.encoders) != estimator.n_features_in_:
        raise ValueError("the columns and their encoders do not match")
    residuals = getattr(estimator, "residuals_", None)
    if residuals is None:
        return
    shapes = {array.shape[1:] for array in residuals}
    if len(residuals) != len(estimator.members_) or shapes != {(n_outputs,)}:
        raise ValueError("the residuals do not match the networks")
    if np.shape(vars(estimator).get("members_variance_")) != (n_outputs,):
        raise ValueError("the members' variance does not match the networks")
