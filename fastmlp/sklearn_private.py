"""The private names of scikit-learn that fastmlp touches, and no other room knows one.

Its validation and its callbacks are used by them. Its MLP's own tests, and some users,
reach for those of its estimators; conversion writes and reads them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import sklearn

from fastmlp.optimizers import Optimizer
from fastmlp.schedules import LearningRate

try:
    from sklearn.base import _fit_context
    from sklearn.neural_network._stochastic_optimizers import (
        AdamOptimizer,
        SGDOptimizer,
    )
    from sklearn.utils._param_validation import (
        Interval,
        InvalidParameterError,
        Options,
        StrOptions,
        validate_parameter_constraints,
    )
    from sklearn.utils.multiclass import _check_partial_fit_first_call
    from sklearn.utils.validation import _check_sample_weight
except ImportError as error:
    raise ImportError(
        f"this version of fastmlp does not work with scikit-learn "
        f"{sklearn.__version__} ({error}). It is tested with 1.6 to 1.9: upgrade "
        "fastmlp, or install one of these versions of scikit-learn"
    ) from error

try:
    from sklearn.callback import CallbackSupportMixin, ScoringMonitor, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Older versions know no callbacks."""

    def with_callbacks(method: Callable) -> Callable:
        """The method itself."""
        return method

    class ScoringMonitor:  # type: ignore[no-redef]
        """Nor monitors."""

        def __init__(self, **settings: Any) -> None:
            raise ImportError(
                f"{type(self).__name__} needs scikit-learn 1.9 or later, and this is "
                f"{sklearn.__version__}"
            )


__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "InvalidParameterError",
    "Options",
    "ScikitLearnPrivates",
    "ScoringMonitor",
    "StrOptions",
    "_check_partial_fit_first_call",
    "_check_sample_weight",
    "_fit_context",
    "has_passed_by_transformed_targets",
    "validate_parameter_constraints",
    "with_callbacks",
]

# Methods of scikit-learn's MLP that its own fit and predict call. Scripts override them
# to change how it is trained; here a native engine does their work.
HOOKS = (
    "_backprop",
    "_compute_loss_grad",
    "_fit",
    "_fit_lbfgs",
    "_fit_stochastic",
    "_forward_pass",
    "_forward_pass_fast",
    "_init_coef",
    "_initialize",
    "_loss_grad_lbfgs",
    "_partial_fit",
    "_predict",
    "_score",
    "_score_with_function",
    "_unpack",
    "_update_no_improvement_count",
    "_validate_input",
)


class ScikitLearnPrivates:
    """Views of the model under scikit-learn's private names; nothing here is used."""

    _state: Any

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Refuse classes whose methods would never be called.

        Raises
        ------
        TypeError
            If the class, or one that it inherits from, has a method of the name of one
            of scikit-learn's that fit and predict call there.
        """
        super().__init_subclass__(**keywords)
        defined = {
            name
            for base in cls.__mro__
            if base is not ScikitLearnPrivates
            for name in vars(base)
        }
        uncalled = sorted(defined.intersection(HOOKS))
        if uncalled:
            raise TypeError(
                f"{cls.__name__} defines {', '.join(uncalled)}: scikit-learn's MLP "
                "calls such methods; fastmlp's trains natively and would never call "
                "them. "
                "Inherit from sklearn.neural_network's class, or use the parameters "
                "callbacks, init, loss and scoring instead; for a method of your own "
                "take another name."
            )

    @property
    def _optimizer(self) -> Optimizer | None:
        """The optimizer, with its ``learning_rate``; without one, training begins anew.

        Setting None, and deleting, forget moments, steps and the rate in force.
        """
        optimizer, rate = self._state.optimizer, self._state.learning_rate
        if optimizer is not None and rate is not None:
            optimizer.learning_rate = rate.value
        return optimizer

    @_optimizer.setter
    def _optimizer(self, optimizer: Optimizer | None) -> None:
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(
                "_optimizer must be None, which resets it, or the _optimizer of an "
                f"estimator of fastmlp, got {optimizer!r}"
            )
        if "_state" not in self.__dict__:
            if optimizer is not None:
                raise AttributeError("_optimizer can be set on fitted estimators only")
            return
        n_params = self._state.network.params.size
        if optimizer is not None and optimizer.n_params != n_params:
            raise ValueError(
                f"_optimizer must be one of {n_params} parameters, got one of "
                f"{optimizer.n_params}"
            )
        self._state = replace(self._state, optimizer=optimizer)

    @_optimizer.deleter
    def _optimizer(self) -> None:
        self._optimizer = None

    @property
    def _random_state(self) -> np.random.RandomState:
        """The random stream of the last fit."""
        return self._state.random_state

    @property
    def _no_improvement_count(self) -> int:
        """Epochs without improvement, as they stand."""
        return self._state.plateau.n_stalled

    @_no_improvement_count.setter
    def _no_improvement_count(self, count: int) -> None:
        if "_state" in self.__dict__:
            plateau = replace(self._state.plateau, n_stalled=count)
            self._state = replace(self._state, plateau=plateau)

    def _loss_grad_lbfgs(
        self,
        packed_coef_inter: np.ndarray,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | list | None,
        *_buffers: Any,
    ) -> tuple[float, np.ndarray]:
        """Objective and gradient at packed parameters, for binarized labels y.

        scikit-learn 1.6 passes no weights: a list of buffers stands in their place.
        """
        if isinstance(sample_weight, list):
            sample_weight = None
        from fastmlp.estimators._attributes import network_of

        network = network_of(self).copy()
        network.params[:] = packed_coef_inter
        if network.output_activation == "softmax":
            y = y.argmax(axis=1)
        y = np.asarray(y, network.dtype)
        return network.loss_and_grad(X, y, sample_weight)


# -- conversion

# Set by fits of both, ours and scikit-learn's.
SHARED = ("_label_binarizer",)

_FORMS_OF_SGD = ("sgd", "momentum", "nesterov")


def write_private_state(
    theirs: Any, random_state: np.random.RandomState, n_stalled: int
) -> None:
    """Set what a fit of scikit-learn's estimator leaves, its optimizer apart."""
    theirs._random_state = random_state
    theirs._best_coefs = [W.copy() for W in theirs.coefs_]
    theirs._best_intercepts = [b.copy() for b in theirs.intercepts_]
    if theirs.solver != "lbfgs":
        theirs._no_improvement_count = n_stalled
        return
    shapes = [W.shape for W in theirs.coefs_]
    ends = np.cumsum([W.size for W in (*theirs.coefs_, *theirs.intercepts_)]).tolist()
    spans = list(zip([0, *ends], ends, strict=False))
    theirs._coef_indptr = [
        (*span, shape) for span, shape in zip(spans, shapes, strict=False)
    ]
    theirs._intercept_indptr = spans[len(shapes) :]


def write_optimizer(theirs: Any, optimizer: Optimizer, rate: LearningRate) -> None:
    """Give scikit-learn's estimator an optimizer in the same state.

    It is left without one, and begins anew, where it has none of the kind.
    """
    params = [*theirs.coefs_, *theirs.intercepts_]
    cuts = np.cumsum([array.size for array in params])[:-1]
    slots = [
        [part.reshape(a.shape) for part, a in zip(parts, params, strict=True)]
        for parts in (np.split(slot.copy(), cuts) for slot in optimizer.slots)
    ]
    if optimizer.name == "adam":
        made = AdamOptimizer(
            *(params, rate.value),
            *(theirs.beta_1, theirs.beta_2, theirs.epsilon),
        )
        made.t = int(optimizer.rule["t"][0])
        if made.t > 0:
            # Of the last step, as their step leaves it.
            bias = np.sqrt(1 - made.beta_2**made.t) / (1 - made.beta_1**made.t)
            made.learning_rate = made.learning_rate_init * bias
        made.ms, made.vs = slots
    elif optimizer.name in ("sgd", "momentum", "nesterov"):
        made = SGDOptimizer(
            *(params, rate.initial, theirs.learning_rate),
            *(theirs.momentum, theirs.nesterovs_momentum, theirs.power_t),
        )
        made.learning_rate = rate.value
        made.velocities = slots[0] if slots else made.velocities
    else:
        return
    theirs._optimizer = made


def read_stalled_epochs(theirs: Any) -> int:
    """Epochs without improvement of scikit-learn's estimator, as they stand."""
    return getattr(theirs, "_no_improvement_count", 0)


def read_optimizer(
    theirs: Any, optimizer: Optimizer, rate: LearningRate
) -> Optimizer | None:
    """The optimizer and η, put in the state of those of scikit-learn's estimator.

    None where that has none, or one of another kind.
    """
    found = getattr(theirs, "_optimizer", None)
    slots: tuple[list, ...]
    if isinstance(found, AdamOptimizer) and optimizer.name == "adam":
        slots, rate.value = (found.ms, found.vs), found.learning_rate_init
        optimizer.rule["t"] = found.t
    elif isinstance(found, SGDOptimizer) and optimizer.name in _FORMS_OF_SGD:
        slots, rate.value = (found.velocities,), found.learning_rate
    else:
        return None
    for slot, parts in zip(optimizer.slots, slots, strict=False):
        slot[:] = np.concatenate([np.ravel(part) for part in parts])
    return optimizer


def has_passed_by_transformed_targets(y_val: Any) -> bool:
    """Whether a fit is one of a TransformedTargetRegressor that was given this y_val.

    It hands on as it is what it is given beside y, and nothing tells a regressor whom
    it is fitted by but the calls that have led to it.
    """
    compose = sys.modules.get("sklearn.compose")
    if compose is None:  # nobody has imported such a regressor
        return False
    fit = inspect.unwrap(compose.TransformedTargetRegressor.fit).__code__
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is fit:
            given = frame.f_locals["fit_params"].values()
            return any(value is y_val for value in given)
        frame = frame.f_back
    return False
