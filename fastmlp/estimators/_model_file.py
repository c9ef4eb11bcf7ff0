"""An estimator as facts and arrays for a model file, and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from fastmlp.estimators._attributes import holds_views, network_of
from fastmlp.estimators._images import Images
from fastmlp.estimators._labels import SOFT, Labels
from fastmlp.estimators._publication import reading
from fastmlp.estimators._warnings import warn
from fastmlp.model_files import ModelFileError, save_model
from fastmlp.settings import check_dtype
from fastmlp.state_check import checked_state
from fastmlp.stopping import StopReason

Check = Callable[[Any], bool]


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_curve(value: Any) -> bool:
    return value is None or (type(value) is list and all(map(is_number, value)))


def _is_optional(value: Any) -> bool:
    return value is None or is_number(value)


def is_vector(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and len(value) > 0


def are_arrays(value: Any) -> bool:
    return type(value) is list and all(isinstance(a, np.ndarray) for a in value)


# The fitted attributes that a file holds, and what they have to be.
ATTRIBUTES: dict[str, Check] = {
    "coefs_": are_arrays,
    "intercepts_": are_arrays,
    "n_layers_": is_count,
    "n_outputs_": is_count,
    "out_activation_": lambda v: type(v) is str,
    "t_": is_count,
    "history_": lambda v: type(v) is dict and all(map(_is_curve, v.values())),
    "loss_": _is_optional,
    "n_iter_": is_count,
    "stop_reason_": lambda v: v in list(StopReason),
    "loss_curve_": _is_curve,
    "best_loss_": _is_optional,
    "validation_scores_": _is_curve,
    "best_validation_score_": _is_optional,
    "validation_loss_curve_": _is_curve,
    "overfit_epoch_": lambda v: v is None or is_count(v),
    "n_features_in_": lambda v: is_count(v) and v > 0,
    "feature_names_in_": is_vector,
    "input_shape_": lambda v: type(v) in (list, tuple) and all(map(is_count, v)),
    "classes_": is_vector,
}
_KEPT_ELSEWHERE = ("_state", "_label_binarizer")
_IN_STATE = "state."


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write an estimator; see :meth:`BaseMLP.save`."""
    check_own(estimator)
    now = reading(estimator)
    parameters, left_out = parameters_of(now)
    facts, arrays = _fitted_of(now)
    known = {*parameters, *left_out, *ATTRIBUTES, *_KEPT_ELSEWHERE}
    left_out += sorted(vars(now).keys() - known)
    kind = type(estimator).__name__
    save_model(path, kind, {"parameters": parameters, **facts}, arrays)
    warn_of_left_out(left_out)


def check_own(estimator: Any) -> None:
    """Refuse an estimator of a class that is not fastmlp's own."""
    cls = type(estimator)
    if not cls.__module__.startswith("fastmlp."):
        raise ModelFileError(
            f"a model file holds fastmlp's own estimators, not the subclass {cls!r}: "
            "pickle it, or save its network"
        )


def warn_of_left_out(names: list[str]) -> None:
    """Name what was not saved, if anything was not."""
    if names:
        warn(
            "a model file holds no code and no objects of other libraries, so these "
            f"were not saved: {', '.join(names)}. Set them again after loading."
        )


def checked_attributes(given: Any, known: dict[str, Check]) -> dict[str, Any]:
    """The fitted attributes of a file, each of them known and what it has to be.

    Raises
    ------
    ValueError
        If one is not.
    """
    attributes = dict(given)
    for name, value in attributes.items():
        if name not in known or not known[name](value):
            raise ValueError(f"the fitted attribute {name!r} is unknown or invalid")
    return attributes


def parameters_of(estimator: Any) -> tuple[dict[str, Any], list[str]]:
    """Parameters of the constructor, and the names of those that hold code."""
    given = estimator.get_params(deep=False)
    left_out = [name for name, value in given.items() if holds_code(name, value)]
    return {k: v for k, v in given.items() if k not in left_out}, left_out


def holds_code(name: str, value: Any) -> bool:
    """Whether a parameter is a function, or an object of the user's."""
    if name == "callbacks":
        return bool(value)
    return callable(value) and not isinstance(value, type)


def _fitted_of(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fitted attributes and the state."""
    attributes = vars(estimator)
    state = attributes.get("_state")
    kept = {name: attributes[name] for name in ATTRIBUTES if name in attributes}
    arrays = {}
    if state is not None:
        arrays = {_IN_STATE + k: v for k, v in state.to_arrays().items()}
        if holds_views(estimator, state.network):
            del kept["coefs_"], kept["intercepts_"]
        if kept.get("history_") is state.history:
            del kept["history_"]
    for name in ("coefs_", "intercepts_"):
        if name in kept:
            kept[name] = [np.asarray(array) for array in kept[name]]
    binarizer = attributes.get("_label_binarizer")
    labels = None if binarizer is None else labels_of(binarizer)
    return {"attributes": kept, "labels": labels}, arrays


def labels_of(binarizer: Any) -> dict[str, Any]:
    if type(binarizer) is not LabelBinarizer:
        raise ModelFileError(
            "_label_binarizer must be scikit-learn's LabelBinarizer, got a "
            f"{type(binarizer).__name__}"
        )
    return {
        "settings": binarizer.get_params(),
        "kind": binarizer.y_type_,
        "sparse": bool(binarizer.sparse_input_),
        "classes": binarizer.classes_,
    }


def build_estimator(kind: str, facts: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The estimator of a file's content.

    Raises
    ------
    ValueError, TypeError or LookupError
        If parts are missing, invalid, or do not fit together.
    """
    from fastmlp import estimators

    estimator = getattr(estimators, kind)(**facts["parameters"])
    estimator._validate_params()
    if estimator.dtype is not None:
        check_dtype(estimator.dtype)
    attributes = checked_attributes(facts["attributes"], ATTRIBUTES)
    stored = {
        name.removeprefix(_IN_STATE): array
        for name, array in arrays.items()
        if name.startswith(_IN_STATE)
    }
    if stored:
        state = attributes["_state"] = checked_state(stored)
        attributes.setdefault("history_", state.history)
        attributes.setdefault("coefs_", list(state.network.weights))
        attributes.setdefault("intercepts_", list(state.network.biases))
    if facts["labels"] is not None:
        attributes["_label_binarizer"] = binarizer_of(facts["labels"])
        classes: Any = attributes.get("classes_")
        if np.array_equal(facts["labels"]["classes"], classes):
            attributes["classes_"] = attributes["_label_binarizer"].classes_
    if "input_shape_" in attributes:
        attributes["input_shape_"] = tuple(attributes["input_shape_"])
    estimator.__dict__.update(attributes)
    _check_fitted(estimator)
    return estimator


def binarizer_of(labels: Any) -> LabelBinarizer:
    kinds = ("binary", "multiclass", "multilabel-indicator", SOFT)
    if labels["kind"] not in kinds or not is_vector(labels["classes"]):
        raise ValueError("the labels are missing or invalid")
    binarizer = LabelBinarizer(**labels["settings"])
    if not (type(binarizer.neg_label) is type(binarizer.pos_label) is int):
        raise ValueError("neg_label and pos_label must be integers")
    binarizer.y_type_, binarizer.sparse_input_ = labels["kind"], bool(labels["sparse"])
    binarizer.classes_ = labels["classes"]
    return binarizer


def _check_fitted(estimator: Any) -> None:
    """Raise ValueError unless the attributes belong together."""
    attributes = vars(estimator)
    if "coefs_" not in attributes:
        return
    network = network_of(estimator)
    n_features = attributes.get("n_features_in_", network.layer_sizes[0])
    names = attributes.get("feature_names_in_", range(n_features))
    if not network.layer_sizes[0] == n_features == len(names):
        raise ValueError(
            f"n_features_in_ is {n_features}, with {len(names)} names, but the first "
            f"layer has {network.layer_sizes[0]} inputs"
        )
    shape = attributes.get("input_shape_")
    if isinstance(estimator, Images) and shape != network.architecture[0]:
        raise ValueError(
            f"input_shape_ is {shape}, but the network takes {network.architecture[0]}"
        )
    labels = attributes.get("_label_binarizer")
    if labels is None:
        return
    n_classes, n_outputs = len(labels.classes_), network.layer_sizes[-1]
    few = Labels(labels).kind == "binary" and n_classes <= 2 and n_outputs in (1, 2)
    if not (few or n_classes == n_outputs):
        raise ValueError(f"{n_classes} classes do not match {n_outputs} outputs")
