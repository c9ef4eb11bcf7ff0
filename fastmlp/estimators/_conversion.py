"""scikit-learn's MLP from one of ours, and back."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators._attributes import network_of
from fastmlp.estimators._fitted import set_model
from fastmlp.estimators._labels import Labels
from fastmlp.estimators._publication import reading
from fastmlp.network import Network
from fastmlp.random_streams import as_stream
from fastmlp.recipe import FULL_BATCH_SOLVERS
from fastmlp.schedules import LearningRate
from fastmlp.sklearn_private import (
    SHARED,
    InvalidParameterError,
    read_optimizer,
    read_stalled_epochs,
    validate_parameter_constraints,
    write_optimizer,
    write_private_state,
)
from fastmlp.state import TrainingState

HIDDEN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
LOSSES = ("loss_", "loss_curve_", "best_loss_")
# What both kinds of estimator publish, weights apart.
ATTRIBUTES = (
    *LOSSES,
    *SHARED,
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "n_iter_",
    "t_",
    "validation_scores_",
    "best_validation_score_",
)


class Conversion:
    """``to_sklearn`` and ``from_sklearn``."""

    _sklearn_class: ClassVar[Any]
    solver: str
    _recipe: Any

    @abstractmethod
    def _check_sklearn_predicts(self, network: Network) -> None:
        """Raise ValueError if scikit-learn's class would predict something else."""

    def to_sklearn(self) -> Any:
        """scikit-learn's estimator that predicts the same, fitted.

        For whatever looks at the class. It holds copies. Batch normalisation is folded
        into the weights, and two softmax outputs into one logistic output. A parameter
        that only training reads is left at its default where scikit-learn has not that
        value, or has not the parameter at all; the optimizer goes along where it is
        'sgd' or 'adam' and nothing was folded, so that ``partial_fit`` goes on.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

        Raises
        ------
        ValueError
            If scikit-learn cannot predict the same: other hidden activations, several
            of them, other output activations than those that its own fits have.
        """
        check_is_fitted(self)
        now = reading(self)
        network = network_of(now)
        _check_hidden_activations(network)
        now._check_sklearn_predicts(network)
        theirs = now._sklearn_class(**_shared_parameters(now, network))
        _copy_attributes(theirs, now, 1 / _count_averaged(now, network))
        if "_label_binarizer" in vars(theirs):
            binarizer = theirs._label_binarizer
            binarizer.y_type_ = Labels(binarizer).kind
        _write_layers(theirs, network)
        _fill_in_progress(theirs)
        state = vars(now).get("_state") or TrainingState(
            network, as_stream(theirs.random_state)
        )
        random_state = copy.deepcopy(state.random_state)
        write_private_state(theirs, random_state, state.plateau.n_stalled)
        if state.optimizer is None or state.learning_rate is None:
            return theirs
        if theirs.solver == now.solver and _same_parameters(theirs, state.network):
            write_optimizer(theirs, state.optimizer, state.learning_rate)
        return theirs

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """One of ours from scikit-learn's fitted estimator, which is left as it is.

        Parameters, weights and the state of the optimizer are copied: ``partial_fit``
        goes on with the steps that scikit-learn's would take. ``learning_rate`` becomes
        'constant' where scikit-learn does not read it, without 'sgd'. What only our
        fits publish, ``history_`` say, is there after the next one.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor of sklearn.neural_network
            The one that this class stands in for, fitted.

        Returns
        -------
        MLPClassifier or MLPRegressor of fastmlp

        Raises
        ------
        TypeError
            If the estimator is of another class.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If its arrays do not fit together.
        """
        if not isinstance(estimator, cls._sklearn_class):
            raise TypeError(
                f"{cls.__name__}.from_sklearn takes a sklearn.neural_network."
                f"{cls._sklearn_class.__name__}, got {estimator!r}"
            )
        check_is_fitted(estimator)
        params = copy.deepcopy(estimator.get_params(deep=False))
        if estimator.solver != "sgd":
            params["learning_rate"] = "constant"
        ours: Any = cls(**{n: params[n] for n in cls._sklearn_class._get_param_names()})
        _copy_layers(ours, estimator)
        network = network_of(ours)
        _copy_attributes(ours, estimator, _count_averaged(ours, network))
        ours._adopt(network, estimator)
        return ours

    def _adopt(self, network: Network, theirs: Any) -> None:
        """Publish the network of scikit-learn's estimator, as one to go on from."""
        ours: Any = self
        recipe = ours._recipe()
        network = network.copy(**recipe.network_settings)
        state = TrainingState(network, as_stream(ours.random_state))
        state.plateau.n_stalled = read_stalled_epochs(theirs)
        state.n_samples_seen = getattr(theirs, "t_", 0)
        if not recipe.is_full_batch:
            rate = LearningRate.new(recipe.schedule, recipe.optimizer_name)
            rate.n_samples = state.n_samples_seen
            optimizer = recipe.make_optimizer(network, state.dropout_seed)
            state.optimizer = read_optimizer(theirs, optimizer, rate)
            state.learning_rate = rate
        set_model(ours, state)
        # As a user may have set it.
        ours.out_activation_ = theirs.out_activation_


def _check_hidden_activations(network: Network) -> None:
    names = set(network.activations)
    if len(names) > 1 or not names <= set(HIDDEN_ACTIVATIONS):
        raise ValueError(
            "to_sklearn: scikit-learn's MLP has one activation for all hidden layers, "
            "one of "
            f"{', '.join(HIDDEN_ACTIVATIONS)}; this network has "
            f"{', '.join(network.activations)}"
        )


def _shared_parameters(ours: Any, network: Network) -> dict[str, Any]:
    """Our parameters, but those that scikit-learn's class does not take."""
    cls = ours._sklearn_class
    params = ours.get_params(deep=False)
    params["activation"] = (*network.activations, "relu")[0]
    if ours.solver in FULL_BATCH_SOLVERS:
        params["solver"] = "lbfgs"
    shared = {}
    for name in cls._get_param_names():
        value = params[name]
        try:
            validate_parameter_constraints(
                cls._parameter_constraints, {name: value}, caller_name=cls.__name__
            )
        except InvalidParameterError:
            continue
        shared[name] = copy.deepcopy(value)
    return shared


def _count_averaged(ours: Any, network: Network) -> int:
    """Outputs over which scikit-learn's regressor averages its loss, and we sum."""
    return 1 if is_classifier(ours) else network.layer_sizes[-1]


def _copy_attributes(target: Any, source: Any, factor: float) -> None:
    """Copy what both publish; losses times a factor."""
    found = vars(source)
    published = {name: found[name] for name in ATTRIBUTES if name in found}
    # All at once: the binarizer's classes are the estimator's.
    for name, value in copy.deepcopy(published).items():
        scaled = name in LOSSES and value is not None and factor != 1
        setattr(target, name, np.multiply(value, factor).tolist() if scaled else value)


def _copy_layers(target: Any, source: Any) -> None:
    for name in ("coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_"):
        setattr(target, name, copy.deepcopy(getattr(source, name)))


def _write_layers(theirs: Any, network: Network) -> None:
    """Set the layers, as those of a network such as scikit-learn's own fits make."""
    weights, biases = network.fold_batch_norm()
    theirs.out_activation_ = network.output_activation
    if network.output_activation == "softmax" and len(biases[-1]) == 2:
        theirs.out_activation_ = "logistic"
        weights[-1] = weights[-1][:, 1:] - weights[-1][:, :1]
        biases[-1] = biases[-1][1:] - biases[-1][:1]
    theirs.coefs_, theirs.intercepts_ = weights, biases
    theirs.n_layers_ = len(weights) + 1
    theirs.n_outputs_ = len(biases[-1])


def _same_parameters(theirs: Any, network: Network) -> bool:
    """Whether the network's parameters are theirs, one by one."""
    sizes = [len(theirs.coefs_[0]), *map(len, theirs.intercepts_)]
    return sizes == network.layer_sizes and not network.batch_norm


def _fill_in_progress(theirs: Any) -> None:
    """What going on needs, where no first-order fit has left it."""
    progress: dict[str, Any] = {"n_iter_": 0, "t_": 0}
    if theirs.solver != "lbfgs":
        judged = theirs.early_stopping
        progress["loss_curve_"] = []
        progress["best_loss_"] = None if judged else np.inf
        progress["validation_scores_"] = [] if judged else None
        progress["best_validation_score_"] = -np.inf if judged else None
    for name, value in progress.items():
        if not hasattr(theirs, name):
            setattr(theirs, name, value)
