# Batch normalisation between a layer's product and its activation (the formulas:
# batch_norm.pxd). Its rows look at each other: threads share columns, between barriers.


cdef void find_moments(
    real* arena, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """The batch's moments of layer l, each thread some columns; or the running ones."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t n = layer.out_channels
    cdef real* moments = moments_of(arena, job, l)
    cdef real* running = <real*>job.stats + layer.running
    cdef Range mine = partition(n, LINE, span.step.thread, job.n_threads)
    cdef Py_ssize_t size = (mine.end - mine.begin) * sizeof(real)
    barrier_wait(job.barrier, job.n_threads)
    if is_training(span.step):
        batch_norm.compute_moments(
            moments, moments + n, normalized_of(arena, job, l, 0), scales_of(arena, job, 0),
            span.block, positions_of(layer), n, mine.begin, mine.end)
    else:
        memcpy(moments + mine.begin, running + mine.begin, size)
        memcpy(moments + n + mine.begin, running + n + mine.begin, size)
    barrier_wait(job.barrier, job.n_threads)


cdef void follow_moments(real* arena, const Job* job, const Span* span) noexcept nogil:
    """Running averages towards the moments of the batch, each thread some columns."""
    cdef Py_ssize_t l, n
    cdef const real* moments
    cdef real* running
    cdef Range mine
    cdef real momentum = <real>batch_norm.momentum(span.block, job.batch_size)
    for l in range(job.n_layers):
        if job.layers[l].normalized < 0:
            continue
        n = job.layers[l].out_channels
        moments = moments_of(arena, job, l)
        running = <real*>job.stats + job.layers[l].running
        mine = partition(n, LINE, span.step.thread, job.n_threads)
        batch_norm.update_running(running, moments, momentum, mine.begin, mine.end)
        batch_norm.update_running(running + n, moments + n, momentum, mine.begin, mine.end)


cdef void normalize_layer(
    real* z, real* arena, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """z = γ x̂ + b, x̂ the normalised inputs W."""
    cdef const Layer* layer = &job.layers[l]
    cdef const real* params = <const real*>job.params
    cdef Py_ssize_t n = layer.out_channels, rows = span.rows * positions_of(layer)
    cdef real* moments = moments_of(arena, job, l)
    cdef real* x = normalized_of(arena, job, l, span.first)
    apply_weights(x, arena, job, span, l, weights_of(params, job, l))
    find_moments(arena, job, span, l)
    batch_norm.normalize(x, moments, moments + n, rows, n)
    batch_norm.scale_and_shift(
        z, x, gammas_of(params, job, l), biases_of(params, job, l), rows, n)


cdef void backward_normalized(
    real* delta, real* arena, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """From ∂J/∂z of a normalised layer to ∂J/∂(inputs W); ∂J/∂γ and ∂J/∂b on the way."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t n = layer.out_channels, positions = positions_of(layer)
    cdef real* bias_grads = NULL
    cdef real* gamma_grads = NULL
    cdef const real* gammas = gammas_of(<const real*>job.params, job, l)
    cdef const real* variance = moments_of(arena, job, l) + n
    cdef Range mine = partition(n, LINE, span.step.thread, job.n_threads)
    barrier_wait(job.barrier, job.n_threads)
    if job.grads != NULL:
        bias_grads = biases_of(<real*>job.grads, job, l)
        gamma_grads = gammas_of(<real*>job.grads, job, l)
        batch_norm.sum_gradients(
            bias_grads, gamma_grads, deltas_of(arena, job, l, 0),
            normalized_of(arena, job, l, 0), span.block * positions, n, mine.begin,
            mine.end, span.accumulate)
    barrier_wait(job.barrier, job.n_threads)
    if is_training(span.step):
        batch_norm.multiply_slope_of_batch(
            delta, bias_grads, gamma_grads,
            normalized_of(arena, job, l, span.first), scales_of(arena, job, span.first),
            gammas, variance, span.rows, positions, n)
    else:
        batch_norm.multiply_slope_of_running(
            delta, gammas, variance, span.rows * positions, n)


cdef void move_running_moments(
    real* stats, const real* moments, const Job* job
) noexcept nogil:
    """Running averages towards the moments of a batch."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    for l in range(job.n_layers):
        layer = &job.layers[l]
        if layer.normalized >= 0:
            batch_norm.update_running(
                stats + layer.running, moments + layer.running, <real>job.momentum, 0,
                2 * layer.out_channels)
