# What this engine can do, by name. Estimators, tests and bench walk these tables;
# the numbers are the codes of the rooms.

ACTIVATIONS = {
    "identity": activations.IDENTITY,
    "logistic": activations.LOGISTIC,
    "tanh": activations.TANH,
    "relu": activations.RELU,
    "exp": activations.EXP,
    "softmax": activations.SOFTMAX,
}

LOSSES = {
    "squared_error": heads.SQUARED_ERROR,
    "log_loss": heads.LOG_LOSS,
    "poisson": heads.POISSON,
}

# The output activations that a loss may stand on; the first is its default.
HEADS = {
    "squared_error": ("identity", "logistic", "tanh"),
    "log_loss": ("softmax", "logistic"),
    "poisson": ("exp",),
}

# Activations with an elementwise slope: those a hidden layer may have.
HIDDEN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")

OPTIMIZERS = {
    "sgd": optimizers.SGD,
    "momentum": optimizers.MOMENTUM,
    "nesterov": optimizers.NESTEROV,
    "adagrad": optimizers.ADAGRAD,
    "rmsprop": optimizers.RMSPROP,
    "adam": optimizers.ADAM,
}

# State vectors per parameter.
SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adam": 2}
