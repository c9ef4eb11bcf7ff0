"""NumPy twins of the kernels, written from the equations: what the tests believe.

Every function has the name, the parameters and the meaning of its twin in
``fastmlp._kernels`` (docs/contracts.md). Values are computed in double and rounded
once, on writing, to the type of the array they are written to. Formulas stand in
tables by name; the codes of the names are those of ``fastmlp._kernels``.
"""

from fastmlp._kernels import ACTIVATIONS, LOSSES, OPTIMIZERS
from fastmlp._reference.activations import (
    ACTIVATION_FUNCTIONS,
    SLOPE_FUNCTIONS,
    activate,
    add_bias_and_activate,
    multiply_slope,
)
from fastmlp._reference.engine import (
    compute_loss,
    compute_loss_and_gradient,
    predict,
    train,
)
from fastmlp._reference.losses import HEAD_FUNCTIONS, evaluate_head
from fastmlp._reference.math import exp, log, log1p, sigmoid, tanh
from fastmlp._reference.optimizers import OPTIMIZER_FUNCTIONS, update
from fastmlp._reference.products import (
    multiply_nn,
    multiply_nt,
    multiply_tn,
    sum_columns,
)
from fastmlp._reference.regularizers import sum_squares

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_FUNCTIONS",
    "HEAD_FUNCTIONS",
    "LOSSES",
    "OPTIMIZERS",
    "OPTIMIZER_FUNCTIONS",
    "SLOPE_FUNCTIONS",
    "activate",
    "add_bias_and_activate",
    "compute_loss",
    "compute_loss_and_gradient",
    "evaluate_head",
    "exp",
    "log",
    "log1p",
    "multiply_nn",
    "multiply_nt",
    "multiply_slope",
    "multiply_tn",
    "predict",
    "sigmoid",
    "sum_columns",
    "sum_squares",
    "tanh",
    "train",
    "update",
]
