"""Convolution and pooling of images, (rows, height, width, channels).

z[y, x] = Σ K[i, j] x[y s + i − p, x s + j − p] + b, zeros around the image; a kernel is
(height, width, channels, filters).
"""

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def view_images(block, shape):
    """Rows of flat images as images."""
    return block.reshape(len(block), *shape)


def add_border(n_rows, layer):
    """Zeros as large as images with what is added around them, and the view of that
    array in which the images themselves stand.
    """
    (k_h, k_w), (s_h, s_w), (o_h, o_w, _) = layer.kernel, layer.stride, layer.out_shape
    (top, left), (height, width, channels) = layer.pads, layer.shape
    needed = (o_h - 1) * s_h + k_h, (o_w - 1) * s_w + k_w
    size = max(needed[0], height + top), max(needed[1], width + left)
    padded = np.zeros((n_rows, *size, channels))
    return padded, padded[:, top : top + height, left : left + width]


def find_windows(x, layer):
    """What the kernel sees at each position: (rows, y, x, height, width, channels)."""
    (k_h, k_w), (s_h, s_w), (o_h, o_w, _) = layer.kernel, layer.stride, layer.out_shape
    padded, inside = add_border(len(x), layer)
    inside[...] = x
    windows = sliding_window_view(padded, (k_h, k_w), axis=(1, 2))
    windows = windows[:, ::s_h, ::s_w][:, :o_h, :o_w]
    return np.moveaxis(windows, 3, -1)


def convolve(x, kernel, layer):
    """K ⋆ x of each image, in double."""
    return np.einsum("nyxijc,ijcf->nyxf", find_windows(x, layer), kernel)


def differentiate_kernel(x, delta, layer):
    """X ⋆ δ, ∂J/∂K, in double."""
    return np.einsum("nyxijc,nyxf->ijcf", find_windows(x, layer), delta.astype(float))


def convolve_back(delta, kernel, layer):
    """∂J/∂x: the image at (y s + i − p, x s + j − p) is given K[i, j] δ[y, x]."""
    (k_h, k_w), (s_h, s_w), (o_h, o_w, _) = layer.kernel, layer.stride, layer.out_shape
    padded, inside = add_border(len(delta), layer)
    for i, j in itertools.product(range(k_h), range(k_w)):
        seen = padded[:, i : i + o_h * s_h : s_h, j : j + o_w * s_w : s_w]
        seen[:, :o_h, :o_w] += np.matmul(delta, kernel[i, j].T, dtype=float)
    return inside


def choose(x, layer):
    """Of each window and channel the weights of its pixels: 1 for the first maximum, or
    of average pooling the same for all; (rows, y, x, height, width, channels).
    """
    windows = find_windows(x, layer)
    n, o_h, o_w, k_h, k_w, channels = windows.shape
    if layer.is_average:
        return np.full(windows.shape, 1 / (k_h * k_w))
    flat = windows.reshape(n, o_h, o_w, k_h * k_w, channels)
    weights = np.zeros(flat.shape)
    first = np.argmax(flat, axis=3)[:, :, :, np.newaxis]
    np.put_along_axis(weights, first, 1.0, axis=3)
    return weights.reshape(windows.shape)


def pool(x, by, layer):
    """What the windows of `by` choose, of x."""
    return (choose(by, layer) * find_windows(x, layer)).sum(axis=(3, 4))


def pool_back(delta, by, layer):
    """∂J/∂x, by the weights that chose."""
    weights = choose(by, layer)
    (k_h, k_w), (s_h, s_w), (o_h, o_w, _) = layer.kernel, layer.stride, layer.out_shape
    out = np.zeros(by.shape)
    for i, j in itertools.product(range(k_h), range(k_w)):
        seen = out[:, i : i + o_h * s_h : s_h, j : j + o_w * s_w : s_w]
        seen[:, :o_h, :o_w] += weights[:, :, :, i, j] * delta
    return out
