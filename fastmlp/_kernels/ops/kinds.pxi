# What a layer does, by its kind. All but dropout, normalisation and activation, which are
# the same for every kind, is linear in the inputs: so is its derivative along a direction.


cdef inline void apply_weights(
    real* out, real* arena, const Job* job, const Span* span, Py_ssize_t l, const real* w
) noexcept nogil:
    """What layer l makes of its inputs by these weights, before its bias."""
    cdef const Layer* layer = &job.layers[l]
    cdef const real* x
    if layer.kind == DENSE:
        multiply_inputs(out, arena, job, span, l, w)
        return
    x = inputs_of(arena, span.X, job, l, span.first, is_training(span.step))
    apply_to_images(out, x, x, w, job, span, l, False)


cdef inline void apply_to_images(
    real* out, const real* x, const real* by, const real* w, const Job* job,
    const Span* span, Py_ssize_t l, bint accumulate,
) noexcept nogil:
    """What layer l makes of images (+ out); where it chooses among pixels, as the images
    `by` tell."""
    if job.layers[l].kind == CONV:
        convolve(out, x, w, job, span, l, accumulate)
    else:
        pool(out, x, by, &job.layers[l], span.rows)


cdef inline void pull_back(
    real* out, const real* delta, real* arena, const Job* job, const Span* span,
    Py_ssize_t l, const real* w,
) noexcept nogil:
    """∂J/∂x of layer l's inputs x from its δ; both begin at row span.first."""
    cdef const Layer* layer = &job.layers[l]
    if layer.kind == DENSE:
        multiply_weights(out, delta, w, layer.n_in, layer.n_out, True, job, span)
    elif layer.kind == CONV:
        convolve_back(out, delta, w, job, span, l, False)
    else:
        pool_back(
            out, delta, inputs_of(arena, span.X, job, l, span.first, is_training(span.step)),
            a_of(arena, job, l, span.first), layer, span.rows)


cdef void row_gradient(
    real* grads, real* arena, const Job* job, const Span* span, Py_ssize_t l, Py_ssize_t row
) noexcept nogil:
    """The gradient of one row of the block, layer l's W and b in grads."""
    cdef const Layer* layer = &job.layers[l]
    cdef const real* delta = deltas_of(arena, job, l, row)
    if layer.kind == DENSE:
        outer_product(grads, arena, job, span.X, l, row)
    elif layer.kind == CONV:
        kernel_gradient(
            weights_of(grads, job, l), inputs_of(arena, span.X, job, l, row, False), delta,
            job, span.step, l, 1, False)
        products.sum_columns(
            biases_of(grads, job, l), delta, positions_of(layer), layer.out_channels, False)
