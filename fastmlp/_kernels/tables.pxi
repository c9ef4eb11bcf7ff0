# What this engine can do, by name. Estimators, tests and bench walk these tables;
# the numbers are the codes of the rooms.
import numpy


cdef Group a_group
cdef Tensor a_tensor
cdef Layer a_layer
cdef Rule a_rule
cdef Scheduled a_scheduled
cdef Objective an_objective

# The records' dtypes, from the structs themselves.
GROUP = numpy.asarray(<Group[:1]>&a_group).dtype
TENSOR = numpy.asarray(<Tensor[:1]>&a_tensor).dtype
LAYER = numpy.asarray(<Layer[:1]>&a_layer).dtype
RULE = numpy.asarray(<Rule[:1]>&a_rule).dtype
SCHEDULED = numpy.asarray(<Scheduled[:1]>&a_scheduled).dtype
OBJECTIVE = numpy.asarray(<Objective[:1]>&an_objective).dtype

# Kinds of layers.
KINDS = {
    "dense": DENSE,
    "conv": CONV,
    "max_pool": MAX_POOL,
    "average_pool": AVERAGE_POOL,
    "scale": SCALE,
    "periodic_embedding": PERIODIC_EMBEDDING,
    "category_embedding": CATEGORY_EMBEDDING,
}

ACTIVATIONS = {
    "identity": activations.IDENTITY,
    "logistic": activations.LOGISTIC,
    "tanh": activations.TANH,
    "relu": activations.RELU,
    "leaky_relu": activations.LEAKY_RELU,
    "elu": activations.ELU,
    "selu": activations.SELU,
    "softplus": activations.SOFTPLUS,
    "silu": activations.SILU,
    "gelu": activations.GELU,
    "gelu_tanh": activations.GELU_TANH,
    "mish": activations.MISH,
    "exp": activations.EXP,
    "softmax": activations.SOFTMAX,
    "hardsigmoid": activations.HARDSIGMOID,
    "hardswish": activations.HARDSWISH,
}

# Those that a hidden layer may have: with an elementwise slope, and no explosion.
HIDDEN_ACTIVATIONS = tuple(name for name in ACTIVATIONS if name not in ("exp", "softmax"))

# Activations whose slope cannot be had from σ(z) alone: their layers keep z as well.
SLOPES_OF_Z = ("silu", "gelu", "gelu_tanh", "mish", "hardswish")

# Activations with a number of their own: what it is called, its default, and where it
# may lie, from … to below.
ACTIVATION_PARAMS = {"leaky_relu": ("negative_slope", 0.01, 0.0, INFINITY)}

LOSSES = {
    "squared_error": heads.SQUARED_ERROR,
    "log_loss": heads.LOG_LOSS,
    "absolute_error": heads.ABSOLUTE_ERROR,
    "huber": heads.HUBER,
    "quantile": heads.QUANTILE,
    "poisson": heads.POISSON,
    "gamma": heads.GAMMA,
    "tweedie": heads.TWEEDIE,
    "log_cosh": heads.LOG_COSH,
    "cross_entropy": heads.CROSS_ENTROPY,
}

# Losses with a number of each output: what it is called, its default, and between which
# two it lies.
LOSS_PARAMS = {
    "huber": ("huber_delta", 1.0, 0.0, INFINITY),
    "quantile": ("quantile", 0.5, 0.0, 1.0),
    "tweedie": ("tweedie_power", 1.5, 1.0, 2.0),
}

# Losses that do not take every target: the least one, and whether it is taken itself.
LEAST_TARGETS = {"poisson": (0.0, True), "gamma": (0.0, False), "tweedie": (0.0, True)}

# The output activations that a loss may stand on; the first is its default.
HEADS = {
    "squared_error": ("identity", "logistic", "tanh", "relu", "softplus", "exp"),
    "log_loss": ("softmax", "logistic"),
    "absolute_error": ("identity",),
    "huber": ("identity",),
    "quantile": ("identity",),
    "poisson": ("exp",),
    "gamma": ("exp",),
    "tweedie": ("exp",),
    "log_cosh": ("identity",),
    "cross_entropy": ("softmax",),
}

OPTIMIZERS = {
    "sgd": optimizers.SGD,
    "momentum": optimizers.MOMENTUM,
    "nesterov": optimizers.NESTEROV,
    "adagrad": optimizers.ADAGRAD,
    "rmsprop": optimizers.RMSPROP,
    "adam": optimizers.ADAM,
    "adamw": optimizers.ADAMW,
    "nadam": optimizers.NADAM,
    "lion": optimizers.LION,
}

# State vectors per parameter.
SLOTS = {
    "sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2,
    "nadam": 2, "lion": 1,
}
