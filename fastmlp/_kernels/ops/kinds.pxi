# What a layer does, by its kind; dropout, normalisation and activation are the same for
# every kind. Products, convolutions and pooling are linear in the inputs: so is their
# derivative along a direction.


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
    if layer.kind == SCALE:
        scale_columns(out, x, w, span.rows, layer.n_in)
    elif layer.kind == PERIODIC_EMBEDDING:
        embed_numbers(out, x, w, layer, span.rows)
    elif layer.kind == CATEGORY_EMBEDDING:
        look_up(out, x, w, layer, span.rows)
    else:
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
    elif layer.kind == SCALE:
        scale_columns(out, delta, w, span.rows, layer.n_in)
    elif layer.kind == PERIODIC_EMBEDDING:
        embed_numbers_back(
            out, delta, inputs_of(arena, span.X, job, l, span.first, is_training(span.step)),
            w, layer, span.rows)
    elif layer.kind == CATEGORY_EMBEDDING:
        look_up_back(out, delta, layer, span.rows)
    else:
        pool_back(
            out, delta, inputs_of(arena, span.X, job, l, span.first, is_training(span.step)),
            a_of(arena, job, l, span.first), layer, span.rows)


cdef void gradient_of_columns(
    real* grads, const real* x, const real* delta, const Job* job, Py_ssize_t l,
    Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end, bint accumulate,
) noexcept nogil:
    """Rows begin … end of W of a layer that works on columns, in grads: the gradient of
    so many rows (+ grads)."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t width = layer.kernel_width
    cdef real* mine = weights_of(grads, job, l)
    if not accumulate:
        memset(mine + begin * width, 0, (end - begin) * width * sizeof(real))
    if layer.kind == SCALE:
        scale_gradient(mine, x, delta, rows, layer.n_in, begin, end)
    elif layer.kind == PERIODIC_EMBEDDING:
        embedding_gradient(
            mine, x, delta, weights_of(<const real*>job.params, job, l), layer, rows, begin,
            end)
    else:
        table_gradient(mine, x, delta, layer, rows, begin, end)


cdef inline void tensor_gradient(
    real* grads, real* arena, const Job* job, const Span* span, Py_ssize_t l,
    const real* deltas, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """Rows begin … end of layer l's ∂J/∂W of the span; deltas are the block's."""
    cdef const Layer* layer = &job.layers[l]
    if layer.kind == DENSE:
        weight_gradient(grads, arena, job, span, l, deltas, begin, end)
    else:
        gradient_of_columns(
            grads, inputs_of(arena, span.X, job, l, span.first, is_training(span.step)),
            deltas + span.first * layer.n_out, job, l, span.rows, begin, end,
            span.accumulate)


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
    elif is_of_columns(layer):
        gradient_of_columns(
            grads, inputs_of(arena, span.X, job, l, row, False), delta, job, l, 1, 0,
            layer.kernel_height, False)
