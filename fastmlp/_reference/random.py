"""Dropout, by a random stream that is a function of seed, step, layer and position.

Integers are unsigned, of 64 or 32 bits; sums and products lose what goes beyond.
"""

import numpy as np


@np.errstate(over="ignore")
def mix64(x):
    """G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators",
    2014: what splitmix64 returns in state x.
    """
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> 27)) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> 31)


@np.errstate(over="ignore")
def mix32(x):
    """A. Appleby, MurmurHash3, 2011: its finalizer of 32 bits."""
    x = np.uint32(x)
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def drop(out, a, dropout, seed, t, layer, first):
    """Set out = a ⊙ mask/(1 − p), for rows of the batch from first on."""
    rows, n = a.shape
    positions = (first * n + np.arange(rows * n)).reshape(rows, n)
    mask = draw_mask(positions, dropout, seed, t, layer)
    out[...] = a.astype(float) * mask / (1 - dropout)


@np.errstate(over="ignore")
def draw_mask(positions, dropout, seed, t, layer):
    """True where the unit at that position of the batch is kept, in 1 − p of them."""
    key = mix64(mix64(mix64(seed) + np.uint64(t)) + np.uint64(layer))
    low, high = key.astype(np.uint32), (key >> 32).astype(np.uint32)
    drawn = mix32(mix32(positions.astype(np.uint32) + low) + high)
    return drawn >= int(dropout * 2**32)
