# Categories as rows of a table: each index of the last columns becomes that row of the
# tensor, the other columns stay as they are, before them. What is no index of a row, a
# missing value say, becomes zeros. Only rows that occur have a gradient.


cdef inline Py_ssize_t count_indices(const Layer* layer) noexcept nogil:
    """How many of the columns are indices."""
    return (layer.n_out - layer.n_in) // (layer.kernel_width - 1)


cdef inline Py_ssize_t index_of(real x, Py_ssize_t n) noexcept nogil:
    """A row of a table of n; n where there is none."""
    return <Py_ssize_t>x if (0 <= x) & (x < n) else n


cdef void look_up(
    real* out, const real* x, const real* table, const Layer* layer, Py_ssize_t rows
) noexcept nogil:
    """What so many rows become."""
    cdef Py_ssize_t n = layer.kernel_height, width = layer.kernel_width
    cdef Py_ssize_t n_others = layer.n_in - count_indices(layer), i, j, at
    for i in range(rows):
        memcpy(out, x, n_others * sizeof(real))
        out += n_others
        for j in range(n_others, layer.n_in):
            at = index_of(x[j], n)
            if at < n:
                memcpy(out, table + at * width, width * sizeof(real))
            else:
                memset(out, 0, width * sizeof(real))
            out += width
        x += layer.n_in


cdef void table_gradient(
    real* grads, const real* x, const real* delta, const Layer* layer, Py_ssize_t rows,
    Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """grads += δ at the rows that occur, of rows begin … end of the table."""
    cdef Py_ssize_t n = layer.kernel_height, width = layer.kernel_width
    cdef Py_ssize_t n_others = layer.n_in - count_indices(layer), i, j, at
    for i in range(rows):
        delta += n_others
        for j in range(n_others, layer.n_in):
            at = index_of(x[j], n)
            if begin <= at < end:
                add(grads + at * width, delta, width)
            delta += width
        x += layer.n_in


cdef void look_up_back(
    real* out, const real* delta, const Layer* layer, Py_ssize_t rows
) noexcept nogil:
    """∂J/∂x of so many rows: of an index 0."""
    cdef Py_ssize_t n_indices = count_indices(layer), n_others = layer.n_in - n_indices, i
    for i in range(rows):
        memcpy(out, delta, n_others * sizeof(real))
        memset(out + n_others, 0, n_indices * sizeof(real))
        out, delta = out + layer.n_in, delta + layer.n_out
