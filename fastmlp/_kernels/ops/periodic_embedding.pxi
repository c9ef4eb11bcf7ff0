# Numbers as periodic functions of themselves: each x of the first columns becomes x and
# W₂ cos(2π(w x + b)) + b₂, the other columns stay as they are, behind them. The tensor has
# a row for each number: w and b of the frequencies, W₂ (outputs, frequencies), b₂.

cdef enum:
    # Rows worked on at a time, their numbers on the stack.
    EMBEDDED_ROWS = 32

# 2π
cdef double TURN = 6.283185307179586


cdef struct Periodic:
    # Sizes of such a layer.
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t n  # numbers
    Py_ssize_t outputs  # of each, besides itself
    Py_ssize_t frequencies
    Py_ssize_t columns  # of the tensor


cdef inline Periodic periodic_of(const Layer* layer) noexcept nogil:
    cdef Periodic it
    it.n_in, it.n_out = layer.n_in, layer.n_out
    it.n, it.columns = layer.kernel_height, layer.kernel_width
    it.outputs = (layer.n_out - layer.n_in) // it.n
    it.frequencies = (it.columns - it.outputs) // (2 + it.outputs)
    return it


cdef inline void find_cosines(
    real* out, const real* x, const real* params, const Periodic* it, Py_ssize_t rows
) noexcept nogil:
    """cos 2π(w x + b) of one number of so many rows, (frequencies, EMBEDDED_ROWS)."""
    cdef Py_ssize_t i, k
    cdef real w, b
    for k in range(it.frequencies):
        w, b = params[k], params[it.frequencies + k]
        for i in range(rows):
            out[k * EMBEDDED_ROWS + i] = math.cos_of_turns(w * x[i] + b)


cdef void embed_number(
    real* out, const real* x, const real* params, const Periodic* it, Py_ssize_t rows
) noexcept nogil:
    """Of one number of so many rows, at most EMBEDDED_ROWS, x and what it becomes."""
    cdef real numbers[EMBEDDED_ROWS]
    cdef real sums[EMBEDDED_ROWS]
    cdef real cosines[MOST_FREQUENCIES * EMBEDDED_ROWS]
    cdef const real* w
    cdef Py_ssize_t i, e, k, n = it.frequencies
    for i in range(rows):
        numbers[i] = out[i * it.n_out] = x[i * it.n_in]
    find_cosines(cosines, numbers, params, it, rows)
    for e in range(it.outputs):
        w = params + (2 + e) * n
        for i in range(rows):
            sums[i] = params[(2 + it.outputs) * n + e]
        for k in range(n):
            for i in range(rows):
                sums[i] += w[k] * cosines[k * EMBEDDED_ROWS + i]
        for i in range(rows):
            out[i * it.n_out + 1 + e] = sums[i]


cdef void embed_numbers(
    real* out, const real* x, const real* params, const Layer* layer, Py_ssize_t rows
) noexcept nogil:
    """What so many rows become."""
    cdef Periodic it = periodic_of(layer)
    cdef Py_ssize_t begin = 0, j, i, size
    while begin < rows:
        size = min(rows - begin, <Py_ssize_t>EMBEDDED_ROWS)
        for j in range(it.n):
            embed_number(
                out + begin * it.n_out + j * (1 + it.outputs), x + begin * it.n_in + j,
                params + j * it.columns, &it, size)
        begin += size
    for i in range(rows):
        memcpy(
            out + i * it.n_out + it.n * (1 + it.outputs), x + i * it.n_in + it.n,
            (it.n_in - it.n) * sizeof(real))


cdef inline void find_sines(
    real* sines, real* pulled, const real* x, const real* delta, const real* params,
    const Periodic* it,
) noexcept nogil:
    """Of one number, x, of one row: sin 2π(w x + b), and W₂ᵀ δ, of each frequency."""
    cdef Py_ssize_t k, e, n = it.frequencies
    for k in range(n):
        sines[k] = math.sin_of_turns(params[k] * x[0] + params[n + k])
        pulled[k] = 0
    for e in range(it.outputs):
        for k in range(n):
            pulled[k] += params[(2 + e) * n + k] * delta[1 + e]


cdef inline void find_waves(
    real* sines, real* cosines, const real* x, const real* params, const Periodic* it,
    Py_ssize_t rows,
) noexcept nogil:
    """sin and cos 2π(w x + b) of one number of so many rows, (rows, frequencies)."""
    cdef real w[MOST_FREQUENCIES]
    cdef real b[MOST_FREQUENCIES]
    cdef Py_ssize_t i, k, n = it.frequencies
    cdef real turns
    memcpy(w, params, n * sizeof(real))
    memcpy(b, params + n, n * sizeof(real))
    for i in range(rows):
        for k in range(n):
            turns = w[k] * x[i * it.n_in] + b[k]
            sines[i * n + k] = math.sin_of_turns(turns)
            cosines[i * n + k] = math.cos_of_turns(turns)


cdef void number_gradient(
    real* grads, const real* x, const real* delta, const real* params,
    const Periodic* it, Py_ssize_t rows,
) noexcept nogil:
    """grads += ∂J/∂(w, b, W₂, b₂) of one number, over so many rows, at most
    EMBEDDED_ROWS."""
    cdef real slopes[MOST_FREQUENCIES * EMBEDDED_ROWS]
    cdef real pulled[MOST_FREQUENCIES * EMBEDDED_ROWS]
    cdef real cosines[MOST_FREQUENCIES * EMBEDDED_ROWS]
    cdef Py_ssize_t i, e, n = it.frequencies
    find_waves(slopes, cosines, x, params, it, rows)
    products.multiply(
        pulled, n, delta + 1, params + 2 * n, rows, n, it.outputs, it.n_out, 1, n, 1, False,
        False)
    for i in range(rows * n):
        slopes[i] *= <real>-TURN * pulled[i]
    products.multiply(grads, n, x, slopes, 1, n, rows, 0, it.n_in, n, 1, True, False)
    products.sum_columns(grads + n, slopes, rows, n, True)
    products.multiply(
        grads + 2 * n, n, delta + 1, cosines, it.outputs, n, rows, 1, it.n_out, n, 1, True,
        False)
    for i in range(rows):
        for e in range(it.outputs):
            grads[(2 + it.outputs) * n + e] += delta[i * it.n_out + 1 + e]


cdef void embedding_gradient(
    real* grads, const real* x, const real* delta, const real* params, const Layer* layer,
    Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """grads += that of numbers begin … end."""
    cdef Periodic it = periodic_of(layer)
    cdef Py_ssize_t j, first = 0, size
    while first < rows:
        size = min(rows - first, <Py_ssize_t>EMBEDDED_ROWS)
        for j in range(begin, end):
            number_gradient(
                grads + j * it.columns, x + first * it.n_in + j,
                delta + first * it.n_out + j * (1 + it.outputs), params + j * it.columns, &it,
                size)
        first += size


cdef void embed_numbers_back(
    real* out, const real* delta, const real* x, const real* params, const Layer* layer,
    Py_ssize_t rows,
) noexcept nogil:
    """∂J/∂x of so many rows."""
    cdef real sines[MOST_FREQUENCIES]
    cdef real pulled[MOST_FREQUENCIES]
    cdef Periodic it = periodic_of(layer)
    cdef const real* p
    cdef Py_ssize_t i, j, k
    for i in range(rows):
        p = params
        for j in range(it.n):
            find_sines(sines, pulled, x + j, delta, p, &it)
            out[j] = delta[0]
            for k in range(it.frequencies):
                out[j] += <real>-TURN * p[k] * sines[k] * pulled[k]
            p, delta = p + it.columns, delta + 1 + it.outputs
        memcpy(out + it.n, delta, (it.n_in - it.n) * sizeof(real))
        delta += it.n_in - it.n
        x, out = x + it.n_in, out + it.n_in
