"""The parameters that both estimators share, each written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from fastmlp import _kernels
from fastmlp.checkpoints import Checkpoint
from fastmlp.estimators._parameters import (
    COUNT,
    FRACTION,
    MOST_THREADS,
    NOT_NEGATIVE,
    POSITIVE,
    Parameters,
    _Constraints,
    names,
    parameter,
)
from fastmlp.sklearn_private import Interval, StrOptions


@dataclass(eq=False, repr=False)
class TabularParameters:
    """The table; each estimator adds what is its own."""

    _parameter_constraints = _Constraints()
    _validate_params = Parameters._validate_params

    _: KW_ONLY
    categorical_features: Any = parameter(
        "from_dtype",
        ["array-like", StrOptions({"from_dtype"}), None],
        "'from_dtype', array-like or None",
        """
        Which columns are categories. 'from_dtype': those of type category, Enum,
        dictionary or boolean. A list of names or indices, or a mask: these columns; all
        others are numbers. Columns with strings are always categories.
        """,
    )
    n_members: int = parameter(
        4,
        [COUNT],
        "int",
        """
        Networks whose predictions are averaged, each with its own initial weights and
        held-out rows.
        """,
    )
    metric: str | Callable | None = parameter(
        None,
        [StrOptions({"log_loss", *get_scorer_names()}), callable, None],
        "str or callable",
        """
        Score that chooses the best epoch, of those at whose end the learning rate is
        low: the name of a scikit-learn scorer, such as 'accuracy' or 'roc_auc', or
        scorer(estimator, X, y), which gets an estimator that only predicts the held-out
        rows, and no X. None: the loss. 'log_loss', and None for a classifier: the log
        loss after calibration.
        """,
    )
    hidden_layer_sizes: Sequence[int] = parameter(
        (256, 256, 256),
        ["array-like"],
        "array-like of int",
        "Units of each hidden layer, one layer at least.",
    )
    activation: str | None = parameter(
        None,
        [StrOptions(set(_kernels.HIDDEN_ACTIVATIONS)), None],
        "str",
        f"""
        Activation of the hidden layers: {names(_kernels.HIDDEN_ACTIVATIONS)}. None:
        'selu' of a classifier, 'mish' of a regressor.
        """,
    )
    learning_rate_init: float | None = parameter(
        None,
        [POSITIVE, None],
        "float",
        """
        Highest learning rate of the schedule, for weights of unit variance: those of
        the hidden layers move by this over the square root of their inputs. None: 0.04
        of a classifier, 0.07 of a regressor.
        """,
    )
    max_iter: int | None = parameter(
        None,
        [COUNT, None],
        "int",
        "Epochs. None: 192, of more than 10 000 rows fewer, and 32 at least.",
    )
    batch_size: int = parameter(256, [COUNT], "int", "Rows of a step.")
    dropout: float | None = parameter(
        None,
        [FRACTION, None],
        "float",
        """
        Share of the hidden units that each step drops, in [0, 1); it falls to 0 in the
        second half of the epochs. None: 0.15 of a classifier, 0 of a regressor.
        """,
    )
    weight_decay: float = parameter(
        0.02,
        [NOT_NEGATIVE],
        "float",
        """
        Decoupled decay of the weights. It falls to 0: a classifier's in the second half
        of the epochs, a regressor's in the first.
        """,
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        ["random_state"],
        "int, RandomState instance or None",
        "Draws the members' folds, starts, orders and masks.",
    )
    max_seconds: float | None = parameter(
        None,
        [POSITIVE, None],
        "float",
        """
        Training ends after the epoch in which that many seconds have passed. None:
        never.
        """,
    )
    callbacks: Sequence[Checkpoint] | None = parameter(
        None,
        [list, tuple, None],
        "list of Checkpoint",
        """
        Each :class:`fastmlp.Checkpoint` stores the fit under way, all members of it, so
        that ``fit`` can go on from there.
        """,
    )
    n_threads: int | None = parameter(
        None,
        [Interval(Integral, 1, MOST_THREADS, closed="both"), None],
        "int",
        """
        Threads that fit: a member each, and where there are more, several a member.
        None: as many as there are processors. The numbers do not depend on it.
        """,
    )
    verbose: bool | int = parameter(
        False,
        ["verbose"],
        "bool or int",
        """
        True: print a line each epoch of each member. 2: show a bar in a terminal or a
        notebook; it needs tqdm, the extra 'progress'.
        """,
    )
