"""The parameters that the estimators share, each written once.

A row of the table is a field: its name and type, its default, what it may be (for
scikit-learn's validation), and its documentation. The constructors are generated from
the fields, as are the parameter sections of the docstrings (``_docs.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cache, lru_cache
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from fastmlp import _kernels
from fastmlp.initialization import BIAS_INITIALIZERS, INITIALIZERS
from fastmlp.recipe import FIRST_ORDER_SOLVERS, FULL_BATCH_SOLVERS
from fastmlp.schedules import SCHEDULES
from fastmlp.sklearn_private import (
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)

SOLVERS = (*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS)
Callback = Callable[[int, dict[str, float]], object]
Scheduled = float | Callable[[int], float]


def interval(low: float, high: float | None, closed: str = "both") -> Interval:
    """A range of real numbers; ``high=None`` for no end."""
    return Interval(Real, low, high, closed=closed)


# More than any processor has cores; each takes memory, and the system has a limit.
MOST_THREADS = 1024
COUNT = Interval(Integral, 1, None, closed="left")
NOT_NEGATIVE = interval(0, None, "left")
POSITIVE = interval(0, None, "neither")
FRACTION = interval(0, 1, "left")
UNIT = interval(0, 1)


def parameter(default: Any, constraint: list, type: str, doc: str) -> Any:
    """A row of the table.

    Parameters
    ----------
    default : object
        The constructor's.
    constraint : list
        What the value may be, as scikit-learn's validation has it.
    type, doc : str
        Of the docstring.
    """
    row = {"constraint": constraint, "type": type, "doc": doc}
    return field(default=default, metadata=row)


def class_weight_parameter() -> Any:
    """The row of the classifiers' class_weight."""
    return parameter(
        None,
        [dict, list, StrOptions({"balanced"}), None],
        "dict, 'balanced' or None",
        """
        What the rows of each class count for, {label: weight}; 'balanced': inversely
        to how often the class occurs. Multiplied with sample_weight in training.
        """,
    )


def names(table: Any, *also: str) -> str:
    """A list of names for the docs."""
    quoted = [repr(name) for name in (*table, *also)]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


class _Constraints:
    """scikit-learn's table of what each parameter may be, made from the rows."""

    def __get__(self, estimator: Any, cls: type) -> dict[str, list]:
        return _constraints(cls)


@cache
def _constraints(cls: Any) -> dict[str, list]:
    return {row.name: row.metadata["constraint"] for row in fields(cls)}


@cache
def _defaults(cls: Any) -> dict[str, Any]:
    return {row.name: row.default for row in fields(cls)}


# Of these, equal ones of a type are valid alike.
_PLAIN = (bool, int, float, str)


def _check(cls: Any, name: str, kind: type, value: Any) -> None:
    """Raise scikit-learn's error unless a parameter may be that."""
    constraints = {name: cls._parameter_constraints[name]}
    validate_parameter_constraints(constraints, {name: value}, caller_name=cls.__name__)


_check_plain: Callable[[Any, str, type, Any], None] = lru_cache(maxsize=1024)(_check)


@dataclass(eq=False, repr=False)
class Parameters:
    """The table; each estimator adds what its losses are."""

    _parameter_constraints = _Constraints()

    hidden_layer_sizes: Sequence[int] | int = parameter(
        (100,),
        ["array-like", COUNT],
        "array-like of int or int",
        "Units of each hidden layer; empty for none.",
    )
    activation: str | Sequence[str] = parameter(
        "relu",
        [StrOptions(set(_kernels.HIDDEN_ACTIVATIONS)), "array-like"],
        "str or list of str",
        f"""
        Activation of the hidden layers, one for all or one per layer:
        {names(_kernels.HIDDEN_ACTIVATIONS)}.
        """,
    )
    _: KW_ONLY
    solver: str = parameter(
        "adam",
        [StrOptions(set(SOLVERS))],
        "str",
        f"""
        First order: {names(FIRST_ORDER_SOLVERS)}; 'sgd' has momentum, Nesterov's by
        default. Full batch: 'lbfgs'; 'gd', gradient descent at a fixed rate;
        'steepest', gradient descent with a line search; 'newton-cg', a trust region
        on exact products with the Hessian; 'lm', Levenberg–Marquardt, of squared_error
        and up to 5000 parameters.
        """,
    )
    alpha: float = parameter(
        0.0001,
        [NOT_NEGATIVE],
        "float",
        "Strength of the penalty on the weights, divided by the batch's size.",
    )
    batch_size: int | str = parameter(
        "auto",
        [StrOptions({"auto", "full"}), COUNT],
        "int, 'auto' or 'full'",
        """
        Rows of one step of a first-order solver; 'auto' is min(200, n_samples), 'full'
        all rows.
        """,
    )
    learning_rate: str | Callable[[int], float] = parameter(
        "constant",
        [StrOptions(set(SCHEDULES)), callable],
        "str or callable",
        """
        Schedule of a first-order solver's rate η, epochs e counted from 0.
        'invscaling': learning_rate_init / (t + 1)**power_t, t the samples seen.
        'adaptive': divided by 5 whenever training stalls, until it is at most 1e-6.
        'exponential' and 'step': learning_rate_init * decay_rate**(e / decay_epochs),
        in steps the exponent rounded down. 'cosine': half a cosine down to 0 over
        max_iter epochs, or over every restart_epochs. 'one_cycle': up to
        learning_rate_init and down again over max_iter epochs. A callable returns the
        η of the epoch that it is given; :class:`fastmlp.schedules.OfProgress` takes a
        function of the fit's progress in [0, 1].
        """,
    )
    learning_rate_init: float = parameter(
        0.001,
        [POSITIVE],
        "float",
        "Initial learning rate; the highest of 'one_cycle'.",
    )
    power_t: float = parameter(
        0.5, [NOT_NEGATIVE], "float", "Exponent of 'invscaling'."
    )
    max_iter: int = parameter(
        200, [COUNT], "int", "Epochs; iterations of a full-batch solver."
    )
    shuffle: bool = parameter(
        True, ["boolean"], "bool", "Whether each epoch takes the rows in a new order."
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        ["random_state"],
        "int, RandomState instance or None",
        """
        Draws the initial parameters, the validation split, the shuffles and the dropout
        masks, in scikit-learn's order: the same integer gives the same model in both.
        """,
    )
    tol: float = parameter(
        1e-4,
        [NOT_NEGATIVE],
        "float",
        """
        Improvement of loss or score that counts; a full-batch solver stops where no
        entry of the gradient is larger.
        """,
    )
    verbose: bool | int = parameter(
        False,
        ["verbose"],
        "bool or int",
        """
        True or a number: print scikit-learn's line each epoch. But 2: show a bar in a
        terminal or a notebook, and nothing elsewhere; also of long predictions. It
        needs tqdm, the extra 'progress'.
        """,
    )
    warm_start: bool = parameter(
        False,
        ["boolean"],
        "bool",
        "Whether fit goes on from the previous solution, optimizer state included.",
    )
    momentum: Scheduled = parameter(
        0.9, [UNIT, callable], "float or callable", "Momentum of 'sgd', in [0, 1]."
    )
    nesterovs_momentum: bool = parameter(
        True, ["boolean"], "bool", "Whether that momentum is Nesterov's."
    )
    early_stopping: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether to stop when the score of held-out rows no longer improves, and keep
        the parameters of the best score. Full-batch solvers train on all rows of X:
        they are judged by X_val, and without it not at all.
        """,
    )
    validation_fraction: float = parameter(
        0.1,
        [FRACTION],
        "float",
        "Share of the rows held out, in [0, 1). Not used where fit is given X_val.",
    )
    beta_1: float = parameter(
        0.9,
        [FRACTION],
        "float",
        "Decay rate of the mean of the gradients of 'adam' and its kin, in [0, 1).",
    )
    beta_2: float = parameter(
        0.999,
        [FRACTION],
        "float",
        """
        Decay rate of the mean of their squares, in [0, 1); of the gradients' mean that
        'lion' keeps (0.99 in its paper).
        """,
    )
    epsilon: float = parameter(
        1e-8,
        [POSITIVE],
        "float",
        "Keeps the divisor of the adaptive solvers from zero.",
    )
    n_iter_no_change: float = parameter(
        10,
        [COUNT, Options(Real, {np.inf})],
        "int or inf",
        "Epochs without improvement by tol that are allowed.",
    )
    max_fun: int = parameter(
        15000,
        [COUNT],
        "int",
        "Evaluations of the objective that a full-batch solver may take.",
    )
    rho: float = parameter(0.9, [FRACTION], "float", "Decay rate of 'rmsprop'.")
    output_activation: str | None = parameter(
        None,
        [StrOptions({name for row in _kernels.HEADS.values() for name in row}), None],
        "str",
        """
        Activation of the last layer, where the loss leaves a choice; None takes the
        first that is named at loss.
        """,
    )
    negative_slope: float = parameter(
        0.01, [NOT_NEGATIVE], "float", "Slope of 'leaky_relu' below 0."
    )
    l1_ratio: float = parameter(
        0.0,
        [UNIT],
        "float",
        """
        Share of the L1 norm in the penalty, in [0, 1]; the rest is half the squared
        norm.
        """,
    )
    weight_decay: Scheduled | None = parameter(
        None,
        [NOT_NEGATIVE, callable, None],
        "float or callable",
        """
        Decoupled decay: weights are multiplied by 1 - η weight_decay before each step
        of a first-order solver. None: 0.01 for 'adamw', else 0.
        """,
    )
    grad_clip_norm: float | None = parameter(
        None,
        [POSITIVE, None],
        "float",
        "A larger gradient of a step is scaled down to this norm. None: never.",
    )
    dropout: Scheduled | Sequence[float] = parameter(
        0.0,
        [FRACTION, "array-like", callable],
        "float, list of float or callable",
        """
        Share of a hidden layer's units that each step drops, in [0, 1): one for all
        layers, or one per layer. First-order solvers only.
        """,
    )
    batch_norm: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether hidden layers are normalised over the batch, between affine map and
        activation; predictions use running averages. A batch needs two rows of
        weight: a last batch of one is joined to the one before. First-order solvers
        only.
        """,
    )
    init: str | float = parameter(
        "glorot_uniform",
        [StrOptions(set(INITIALIZERS)), POSITIVE],
        "str or float",
        f"""
        How weights are drawn: {names(INITIALIZERS)}, or a number, the standard
        deviation of normal weights. 'glorot_uniform' is scikit-learn's.
        """,
    )
    bias_init: str | float | None = parameter(
        None,
        [StrOptions(set(BIAS_INITIALIZERS)), POSITIVE, None],
        "str or float",
        """
        How biases are drawn: 'zeros'; 'fan_in_uniform', uniform in ±1/√n_in; or a
        number, the standard deviation of normal biases. None: as init has them, 0 but
        for 'glorot_uniform'.
        """,
    )
    zero_last_layer: bool = parameter(
        False,
        ["boolean"],
        "bool",
        "Whether weights and biases of the output layer begin at 0.",
    )
    rate_factors: Sequence[float] | None = parameter(
        None,
        ["array-like", None],
        "list of float",
        """
        What multiplies η in each layer, the output layer's last; 0 leaves a layer as
        it is. None: 1. First-order solvers only.
        """,
    )
    decay_factors: Sequence[float] | None = parameter(
        None,
        ["array-like", None],
        "list of float",
        "What multiplies weight_decay in each layer, likewise.",
    )
    decay_rate: float = parameter(
        0.5,
        [interval(0, 1, "right")],
        "float",
        "What 'exponential' and 'step' multiply η by over decay_epochs, in (0, 1].",
    )
    decay_epochs: int = parameter(10, [COUNT], "int", "See decay_rate.")
    restart_epochs: int | None = parameter(
        None,
        [COUNT, None],
        "int",
        "Epochs after which 'cosine' starts again; None: never.",
    )
    warmup_epochs: int = parameter(
        0,
        [Interval(Integral, 0, None, closed="left")],
        "int",
        "Epochs in which η rises linearly before the schedule begins.",
    )
    param_tol: float | None = parameter(
        None,
        [NOT_NEGATIVE, None],
        "float",
        "Training ends when no parameter has moved by as much over an epoch.",
    )
    scoring: str | Callable | None = parameter(
        None,
        [StrOptions(set(get_scorer_names())), callable, None],
        "str or callable",
        """
        What early stopping judges by: the name of a scikit-learn scorer, or
        scorer(estimator, X, y), with sample_weight if it has that parameter. None:
        {score}. NaN is never an improvement. Where the scorer cannot judge the held-out
        rows since a class is missing there, one row more of that class is held out.
        """,
    )
    keep_best: bool | str = parameter(
        False,
        ["boolean", StrOptions({"score", "loss"})],
        "bool, 'score' or 'loss'",
        """
        Whether a fit ends with the parameters of its best epoch: that of the highest
        validation 'score', which is True, or of the smallest validation 'loss'. It does
        not end earlier. Rows are held out as for early_stopping, which keeps the best
        'score' anyway.
        """,
    )
    best_epoch: str = parameter(
        "first",
        [StrOptions({"first", "last"})],
        "{'first', 'last'}",
        "Which epoch is kept if several are equally good.",
    )
    stop_on_overfit: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether training ends when over-fitting is seen: the training loss still falls,
        but the validation score has not risen for n_iter_no_change epochs.
        """,
    )
    max_seconds: float | None = parameter(
        None,
        [POSITIVE, None],
        "float",
        """
        Training ends after the epoch, or iteration, in which that many seconds have
        passed. None: never.
        """,
    )
    callbacks: Sequence[Callback] | None = parameter(
        None,
        [list, tuple, None],
        "list of callable or object",
        """
        Callables f(epoch, logs), called after every epoch, or iteration of a full-batch
        solver, counted from 0; logs holds that epoch's entries of history_. Or objects
        with any of on_fit_begin(estimator), on_epoch_end(estimator, epoch, logs) and
        on_fit_end(estimator); the estimator that they are shown predicts with the
        parameters of that moment. Or a :class:`fastmlp.Checkpoint`, which stores the
        fit under way. Training ends when one returns True. One that raises
        an exception ends the fit, which leaves the estimator as it was. clone copies
        an object: read what it has recorded from the callbacks of the fitted clone.
        """,
    )
    dtype: str | type | np.dtype | None = parameter(
        None,
        [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "{'float32', 'float64'}",
        "Type of parameters and computation; None: that of X.",
    )
    n_threads: int | None = parameter(
        None,
        [Interval(Integral, 1, MOST_THREADS, closed="both"), None],
        "int",
        """
        Threads that fit, 1024 at most; None: as many as pay for steps of this size. The
        numbers do not depend on it. A full-batch solver keeps NumPy's and SciPy's BLAS
        to one while it runs.
        """,
    )

    def _validate_params(self) -> None:
        """Check those that are not their defaults; all take as long as a short fit.

        A subclass may take them under other names, or as keywords: what counts is what
        they are set to.
        """
        cls: Any = type(self)
        constraints, defaults = self._parameter_constraints, _defaults(cls)
        for name, value in self.__dict__.items():
            if name not in constraints:
                continue
            if name in defaults and value is defaults[name]:
                continue
            check = _check_plain if type(value) in _PLAIN else _check
            check(cls, name, type(value), value)
