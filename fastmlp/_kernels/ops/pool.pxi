# Pooling of images, channels last: each channel of a window becomes one number, its
# largest or its mean. δ goes to the first of the largest, or to all in equal shares. No
# window reaches over the edge; windows may overlap.

cdef enum:
    # Channels worked on at a time, their numbers on the stack.
    POOLED_CHANNELS = 64


cdef struct Window:
    # Of one position: its first pixel, and the channels at work.
    Py_ssize_t x
    Py_ssize_t out
    Py_ssize_t n


cdef inline Window window_at(
    const Layer* layer, Py_ssize_t y, Py_ssize_t x, Py_ssize_t group
) noexcept nogil:
    """Where a position's group of channels begins in an image, and in the pooled one."""
    cdef Window window
    cdef Py_ssize_t channel = group * POOLED_CHANNELS
    window.x = channel + layer.channels * (
        y * layer.stride_height * layer.width + x * layer.stride_width)
    window.out = channel + layer.channels * (y * layer.out_width + x)
    window.n = min(<Py_ssize_t>POOLED_CHANNELS, layer.channels - channel)
    return window


cdef inline Py_ssize_t pixel_of(
    const Layer* layer, const Window* window, Py_ssize_t y, Py_ssize_t x
) noexcept nogil:
    """Entry of an image where that pixel of a window begins."""
    return window.x + layer.channels * (y * layer.width + x)


cdef inline void window_maxima(
    real* out, const real* image, const Layer* layer, const Window* window
) noexcept nogil:
    """The largest of each channel; NaN where there is one."""
    cdef Py_ssize_t y, x, j
    cdef const real* pixel
    for j in range(window.n):
        out[j] = -<real>INFINITY
    for y in range(layer.kernel_height):
        for x in range(layer.kernel_width):
            pixel = image + pixel_of(layer, window, y, x)
            for j in range(window.n):
                out[j] = pixel[j] if (pixel[j] > out[j]) | (pixel[j] != pixel[j]) else out[j]


cdef inline void take_at_maxima(
    real* out, const real* values, const real* image, const Layer* layer,
    const Window* window,
) noexcept nogil:
    """Of each channel the value that stands where the image has its first largest."""
    cdef real largest[POOLED_CHANNELS]
    cdef real missing[POOLED_CHANNELS]
    cdef Py_ssize_t y, x, j, at
    window_maxima(largest, image, layer, window)
    for j in range(window.n):
        out[j] = 0
        missing[j] = 1
    for y in range(layer.kernel_height):
        for x in range(layer.kernel_width):
            at = pixel_of(layer, window, y, x)
            for j in range(window.n):
                out[j] += missing[j] * values[at + j] if image[at + j] == largest[j] else <real>0
                missing[j] = <real>0 if image[at + j] == largest[j] else missing[j]


cdef inline void give_to_maxima(
    real* out, const real* delta, const real* image, const real* largest,
    const Layer* layer, const Window* window, bint accumulate,
) noexcept nogil:
    """δ of each channel where the image has its first largest, 0 elsewhere (+ out)."""
    cdef real left[POOLED_CHANNELS]
    cdef Py_ssize_t y, x, j, at
    cdef real given
    memcpy(left, delta, window.n * sizeof(real))
    for y in range(layer.kernel_height):
        for x in range(layer.kernel_width):
            at = pixel_of(layer, window, y, x)
            for j in range(window.n):
                given = left[j] if image[at + j] == largest[j] else <real>0
                out[at + j] = out[at + j] + given if accumulate else given
                left[j] = <real>0 if image[at + j] == largest[j] else left[j]


cdef inline void window_means(
    real* out, const real* image, const Layer* layer, const Window* window
) noexcept nogil:
    """The mean of each channel."""
    cdef Py_ssize_t y, x, j
    cdef const real* pixel
    cdef real share = <real>(1.0 / (layer.kernel_height * layer.kernel_width))
    memset(out, 0, window.n * sizeof(real))
    for y in range(layer.kernel_height):
        for x in range(layer.kernel_width):
            pixel = image + pixel_of(layer, window, y, x)
            for j in range(window.n):
                out[j] += pixel[j]
    for j in range(window.n):
        out[j] *= share


cdef inline void give_shares(
    real* out, const real* delta, const Layer* layer, const Window* window
) noexcept nogil:
    """Add an equal share of δ of each channel to every pixel."""
    cdef Py_ssize_t y, x, j, at
    cdef real share = <real>(1.0 / (layer.kernel_height * layer.kernel_width))
    for y in range(layer.kernel_height):
        for x in range(layer.kernel_width):
            at = pixel_of(layer, window, y, x)
            for j in range(window.n):
                out[at + j] += delta[j] * share


cdef inline bint tiles_image(const Layer* layer) noexcept nogil:
    """Whether each pixel belongs to one window."""
    return (
        layer.stride_height == layer.kernel_height
        and layer.stride_width == layer.kernel_width
        and layer.out_height * layer.kernel_height == layer.height
        and layer.out_width * layer.kernel_width == layer.width)


cdef void pool(
    real* out, const real* values, const real* by, const Layer* layer, Py_ssize_t rows
) noexcept nogil:
    """Pool the values of so many images: means, or those that stand where `by`, which may
    be the same images, is the largest."""
    cdef Py_ssize_t i, y, x, group, n_groups = (layer.channels - 1) // POOLED_CHANNELS + 1
    cdef Window window
    for i in range(rows):
        for y in range(layer.out_height):
            for x in range(layer.out_width):
                for group in range(n_groups):
                    window = window_at(layer, y, x, group)
                    if layer.kind == AVERAGE_POOL:
                        window_means(out + window.out, values, layer, &window)
                    elif values == by:
                        window_maxima(out + window.out, values, layer, &window)
                    else:
                        take_at_maxima(out + window.out, values, by, layer, &window)
        out, values, by = out + layer.n_out, values + layer.n_in, by + layer.n_in


cdef void pool_back(
    real* out, const real* delta, const real* by, const real* pooled, const Layer* layer,
    Py_ssize_t rows,
) noexcept nogil:
    """∂J/∂x of so many images x, `by`, from δ of the pooled ones."""
    cdef Py_ssize_t i, y, x, group, n_groups = (layer.channels - 1) // POOLED_CHANNELS + 1
    cdef Window window
    cdef bint accumulate = layer.kind == AVERAGE_POOL or not tiles_image(layer)
    for i in range(rows):
        if accumulate:
            memset(out, 0, layer.n_in * sizeof(real))
        for y in range(layer.out_height):
            for x in range(layer.out_width):
                for group in range(n_groups):
                    window = window_at(layer, y, x, group)
                    if layer.kind == AVERAGE_POOL:
                        give_shares(out, delta + window.out, layer, &window)
                    else:
                        give_to_maxima(
                            out, delta + window.out, by, pooled + window.out, layer,
                            &window, accumulate)
        out, by = out + layer.n_in, by + layer.n_in
        delta, pooled = delta + layer.n_out, pooled + layer.n_out
