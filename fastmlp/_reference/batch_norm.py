"""Batch normalisation, S. Ioffe, C. Szegedy 2015: X̂ = (X − μ)/√(s² + ε), Z = γ X̂ + b.

Moments are μ and s² of each unit, (2, n).
"""

import numpy as np

EPSILON = 1e-5
# The part of the way that a whole batch moves the running averages.
MOMENTUM = 0.1


def compute_moments(moments, x, scales):
    """Set μ = Σ scalesᵢ xᵢ and s² = Σ scalesᵢ (xᵢ − μ)²; the scales add up to 1."""
    scales = scales.astype(float)
    mean = scales @ x
    moments[...] = mean, scales @ (x - mean) ** 2


def normalize(x, moments):
    """Put x̂ = (x − μ)/√(s² + ε) in place of x."""
    x[...] = (x - moments[0].astype(float)) / _deviation(moments)


def scale_and_shift(z, x, gammas, biases):
    """Set z = γ x + b, x being normalised."""
    z[...] = gammas.astype(float) * x + biases


def normalize_deltas(delta, bias_grads, gamma_grads, x, scales, gammas, moments):
    """From δ = ∂J/∂Z, set ∂J/∂b = Σ δ and ∂J/∂γ = Σ δ ⊙ x̂; then put ∂J/∂X in place
    of δ, by which every row moves μ and s² as much as its scale says:
    γ/√(s² + ε) ⊙ (δᵢ − scalesᵢ (∂J/∂b + x̂ᵢ ⊙ ∂J/∂γ)). x holds X̂.
    """
    d, x = delta.astype(float), x.astype(float)
    db, dgamma = d.sum(axis=0), (d * x).sum(axis=0)
    bias_grads[:], gamma_grads[:] = db, dgamma
    through_moments = scales[:, np.newaxis] * (db + x * dgamma)
    delta[...] = gammas / _deviation(moments) * (d - through_moments)


def move_running_moments(stats, batch_stats, momentum):
    """Running means and variances move that part of the way to the batch's."""
    stats[:] = (1 - momentum) * stats.astype(float) + momentum * batch_stats


def _deviation(moments):
    """√(s² + ε) in double."""
    return np.sqrt(moments[1].astype(float) + EPSILON)
