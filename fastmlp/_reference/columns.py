"""Layers of columns, in double: a scale, and embeddings of numbers and of categories.

An embedding is written as a list of what each row becomes, and its derivatives are
those of that list: of a number x by x, w, b, W₂ and b₂; of a category a choice of row.
"""

import numpy as np

from fastmlp._kernels import KINDS

SCALE, PERIODIC = KINDS["scale"], KINDS["periodic_embedding"]
TURN = 2 * np.pi


def apply_to_columns(x, W, layer):
    """What the layer makes of rows x."""
    if layer.kind == SCALE:
        return x @ np.diag(W[:, 0])
    if layer.kind == PERIODIC:
        numbers, others = np.split(x, [len(W)], axis=1)
        w, b, W2, b2 = _parts(W, layer)
        waves = np.cos(TURN * (numbers[:, :, None] * w + b))
        embedded = np.einsum("njk,jek->nje", waves, W2) + b2
        embedded = np.concatenate([numbers[:, :, None], embedded], axis=2)
        return np.hstack([embedded.reshape(len(x), -1), others])
    others, chosen = _choices(x, W, layer)
    return np.hstack([others, (chosen @ W).reshape(len(x), -1)])


def pull_back_columns(delta, x, W, layer):
    """∂J/∂x."""
    if layer.kind == SCALE:
        return delta @ np.diag(W[:, 0])
    if layer.kind == PERIODIC:
        numbers, w, b, W2, own, embedded, others = _unpack(delta, x, W, layer)
        slopes = -TURN * w * np.sin(TURN * (numbers[:, :, None] * w + b))
        return np.hstack(
            [own + np.einsum("njk,jek,nje->nj", slopes, W2, embedded), others]
        )
    n_others = x.shape[1] - _count_indices(x, W, layer)
    return np.hstack([delta[:, :n_others], np.zeros((len(x), x.shape[1] - n_others))])


def differentiate_columns(delta, x, W, layer):
    """∂J/∂W."""
    if layer.kind == SCALE:
        return np.diag(x.T @ delta)[:, None]
    if layer.kind == PERIODIC:
        numbers, w, b, W2, _, embedded, _ = _unpack(delta, x, W, layer)
        turns = numbers[:, :, None] * w + b
        slopes = -TURN * np.sin(TURN * turns)
        inside = slopes * np.einsum("jek,nje->njk", W2, embedded)
        return np.hstack(
            [
                np.einsum("njk,nj->jk", inside, numbers),
                inside.sum(axis=0),
                np.einsum("nje,njk->jek", embedded, np.cos(TURN * turns)).reshape(
                    len(W), -1
                ),
                embedded.sum(axis=0),
            ]
        )
    others, chosen = _choices(x, W, layer)
    embedded = delta[:, others.shape[1] :].reshape(*chosen.shape[:2], -1)
    return np.einsum("njr,njc->rc", chosen, embedded)


def _parts(W, layer):
    """W, b (numbers, frequencies), W₂ (numbers, outputs, frequencies), b₂."""
    n_outputs = (layer.out_shape[2] - layer.shape[2]) // len(W)
    k = (W.shape[1] - n_outputs) // (2 + n_outputs)
    w, b, W2, b2 = np.split(W, [k, 2 * k, W.shape[1] - n_outputs], axis=1)
    return w, b, W2.reshape(len(W), n_outputs, k), b2


def _unpack(delta, x, W, layer):
    """The numbers, w, b, W₂, and of δ what is of numbers, their functions, others."""
    w, b, W2, _ = _parts(W, layer)
    end = len(W) * (1 + W2.shape[1])
    blocks = delta[:, :end].reshape(len(x), len(W), -1)
    return x[:, : len(W)], w, b, W2, blocks[:, :, 0], blocks[:, :, 1:], delta[:, end:]


def _count_indices(x, W, layer):
    return (layer.out_shape[2] - x.shape[1]) // (W.shape[1] - 1)


def _choices(x, W, layer):
    """Columns that stay, and of the others 1 at the row that is meant: (rows, indices,
    rows of the table).
    """
    n_others = x.shape[1] - _count_indices(x, W, layer)
    numbers = np.where(x >= 0, np.floor(x), -1)[:, n_others:, None]
    return x[:, :n_others], (numbers == np.arange(len(W))).astype(float)
