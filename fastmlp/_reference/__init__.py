"""NumPy twins of the kernels, written from the equations: what the tests believe.

Every function has the name, the parameters and the meaning of its twin in
``fastmlp._kernels`` (docs/contracts.md). Values are computed in double and rounded
once, on writing, to the type of the array they are written to. Formulas stand in
tables by name; the codes of the names are those of ``fastmlp._kernels``.
"""

from fastmlp._kernels import ACTIVATIONS, LOSSES, OPTIMIZERS
from fastmlp._reference.activations import (
    ACTIVATION_FUNCTIONS,
    CURVATURE_FUNCTIONS,
    SLOPE_FUNCTIONS,
    activate,
    add_bias_and_activate,
    differentiate_slope,
    multiply_jacobian,
    multiply_slope,
)
from fastmlp._reference.batch_norm import (
    compute_moments,
    normalize,
    normalize_deltas,
    scale_and_shift,
)
from fastmlp._reference.engine import (
    apply,
    compute_batch_gradient,
    compute_loss,
    compute_loss_and_gradient,
    input_gradient,
    jacobian,
    predict,
    train,
)
from fastmlp._reference.hessian import multiply_hessian
from fastmlp._reference.losses import (
    HEAD_CURVATURE_FUNCTIONS,
    HEAD_FUNCTIONS,
    differentiate_head,
    evaluate_head,
)
from fastmlp._reference.math import (
    cos_of_turns,
    erf,
    exp,
    log,
    log1p,
    reciprocal,
    sigmoid,
    sin_of_turns,
    softplus,
    tanh,
)
from fastmlp._reference.optimizers import OPTIMIZER_FUNCTIONS, update
from fastmlp._reference.products import multiply, sum_columns
from fastmlp._reference.random import drop, mix32, mix64
from fastmlp._reference.regularizers import sum_magnitudes, sum_squares

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_FUNCTIONS",
    "CURVATURE_FUNCTIONS",
    "HEAD_CURVATURE_FUNCTIONS",
    "HEAD_FUNCTIONS",
    "LOSSES",
    "OPTIMIZERS",
    "OPTIMIZER_FUNCTIONS",
    "SLOPE_FUNCTIONS",
    "activate",
    "add_bias_and_activate",
    "apply",
    "compute_batch_gradient",
    "compute_loss",
    "compute_loss_and_gradient",
    "compute_moments",
    "cos_of_turns",
    "differentiate_head",
    "differentiate_slope",
    "drop",
    "erf",
    "evaluate_head",
    "exp",
    "input_gradient",
    "jacobian",
    "log",
    "log1p",
    "mix32",
    "mix64",
    "multiply",
    "multiply_hessian",
    "multiply_jacobian",
    "multiply_slope",
    "normalize",
    "normalize_deltas",
    "predict",
    "reciprocal",
    "scale_and_shift",
    "sigmoid",
    "sin_of_turns",
    "softplus",
    "sum_columns",
    "sum_magnitudes",
    "sum_squares",
    "tanh",
    "train",
    "update",
]
