# Dense layers: z = A W + b; ∂J/∂A = δ Wᵀ, ∂J/∂W = Aᵀ δ, ∂J/∂b = Σ δ. The inputs A of the
# first may be compressed sparse rows. Each row is worked on by itself.


cdef void multiply_weights(
    real* out, const real* a, const real* w, Py_ssize_t n, Py_ssize_t k, bint transposed,
    const Job* job, const Span* span,
) noexcept nogil:
    """out (rows, n) = a (rows, k) W or a Wᵀ, both from row span.first on; where threads
    share its columns, they wait for all rows of a and of out."""
    cdef Py_ssize_t w_row = 1 if transposed else n, w_column = k if transposed else 1
    cdef bint pieces = products.in_pieces(job.item_size, span.block, n, k)
    cdef bint wanted = is_wanted(job, span.step.watch, span.rows * n * k)
    cdef Range mine
    if not partitions_columns(job, span, n, k, pieces):
        if wanted:
            products.multiply(
                out, n, a, w, span.rows, n, k, k, 1, w_row, w_column, False, pieces)
        return
    mine = partition(n, products.PIECES_BLOCK, span.step.thread, job.n_threads)
    barrier_wait(job.barrier, job.n_threads)
    if wanted:
        products.multiply(
            out - span.first * n + mine.begin, n, a - span.first * k,
            w + mine.begin * w_column, span.block, mine.end - mine.begin, k, k, 1, w_row,
            w_column, False, pieces)
    barrier_wait(job.barrier, job.n_threads)


cdef inline void multiply_inputs(
    real* out, real* arena, const Job* job, const Span* span, Py_ssize_t l, const real* w
) noexcept nogil:
    """out (rows, n_out) = inputs (rows, n_in) w."""
    cdef const Layer* layer = &job.layers[l]
    if l == 0 and span.X.indptr != NULL:
        is_wanted(job, span.step.watch, span.rows * layer.n_out * SPARSE_ENTRIES)
        sparse.multiply(
            out, span.X, <const real*>span.X.data, span.first, span.rows, w, layer.n_out)
    else:
        multiply_weights(
            out, inputs_of(arena, span.X, job, l, span.first, is_training(span.step)), w,
            layer.n_out, layer.n_in, False, job, span)


cdef inline void multiply_deltas(
    real* grads, const Job* job, Py_ssize_t l, const real* inputs, const real* delta,
    Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end, bint accumulate,
) noexcept nogil:
    """Rows begin … end of layer l's W in grads: of Aᵀ δ (+ grads), A and δ of so many rows."""
    cdef const Layer* layer = &job.layers[l]
    products.multiply(
        weights_of(grads, job, l) + begin * layer.n_out, layer.n_out, inputs + begin, delta,
        end - begin, layer.n_out, rows, 1, layer.n_in, layer.n_out, 1, accumulate,
        products.in_pieces(job.item_size, layer.n_in, layer.n_out, rows))


cdef inline void weight_gradient(
    real* grads, real* arena, const Job* job, const Span* span, Py_ssize_t l,
    const real* deltas, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """∂J/∂W = Aᵀ δ of the span, rows begin … end of layer l's W; deltas are the block's."""
    cdef const Layer* layer = &job.layers[l]
    cdef const real* delta = deltas + span.first * layer.n_out
    if l == 0 and span.X.indptr != NULL:
        sparse.multiply_transposed(
            weights_of(grads, job, l) + begin * layer.n_out, span.X,
            <const real*>span.X.data, span.first, span.rows, delta,
            layer.n_out, begin, end, span.accumulate)
    else:
        multiply_deltas(
            grads, job, l, inputs_of(arena, span.X, job, l, span.first, is_training(span.step)),
            delta, span.rows, begin, end, span.accumulate)


cdef inline void bias_gradient(
    real* grads, real* arena, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """∂J/∂b = Σ δ over rows; a normalised layer's has been found with its δ, and what
    works on columns has none."""
    if job.layers[l].normalized < 0 and job.layers[l].n_tensors > 1:
        products.sum_columns(
            biases_of(grads, job, l), deltas_of(arena, job, l, span.first), span.rows,
            job.layers[l].n_out, span.accumulate)


cdef void outer_product(
    real* grads, real* arena, const Job* job, const Rows* X, Py_ssize_t l, Py_ssize_t row
) noexcept nogil:
    """a δᵀ and δ of one row of the block, a dense layer l's W and b in grads."""
    cdef Py_ssize_t i, j, p, at
    cdef Py_ssize_t n_in = job.layers[l].n_in, n_out = job.layers[l].n_out
    cdef const real* delta = deltas_of(arena, job, l, row)
    cdef real* w = weights_of(grads, job, l)
    cdef const real* a
    memcpy(biases_of(grads, job, l), delta, n_out * sizeof(real))
    if l == 0 and X.indptr != NULL:
        at = sparse.row_at(X, row)
        memset(w, 0, n_in * n_out * sizeof(real))
        for p in range(X.indptr[at], X.indptr[at + 1]):
            sparse.add_multiple(
                w + X.indices[p] * n_out, (<const real*>X.data)[p], delta, n_out)
        return
    a = inputs_of(arena, X, job, l, row, False)
    for i in range(n_in):
        for j in range(n_out):
            w[i * n_out + j] = a[i] * delta[j]
