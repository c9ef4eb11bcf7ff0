"""Initial parameters, drawn as scikit-learn draws them."""

from itertools import pairwise

import numpy as np


def glorot_uniform(
    layer_sizes: list[int], activation: str, random_state: np.random.RandomState
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of each layer, uniform in ±√(6 / (n_in + n_out)).

    Parameters
    ----------
    layer_sizes : list of int
        Units of each layer, the inputs first.
    activation : str
        Activation of the hidden layers; 'logistic' takes 2 in place of 6.
    random_state : RandomState
        Drawn from layer by layer, W before b, in float64, so that the same state
        gives the same start as ``sklearn.neural_network``.

    Returns
    -------
    list of (W, b)
        Arrays of shape (n_in, n_out) and (n_out,), float64.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, eq. 16.
    """
    factor = 2.0 if activation == "logistic" else 6.0
    layers = []
    for n_in, n_out in pairwise(layer_sizes):
        bound = np.sqrt(factor / (n_in + n_out))
        weights = random_state.uniform(-bound, bound, (n_in, n_out))
        layers.append((weights, random_state.uniform(-bound, bound, n_out)))
    return layers
