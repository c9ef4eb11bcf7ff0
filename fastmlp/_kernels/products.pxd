"""Row-major matrix products: our own tiles where they are the faster, else BLAS; large
ones of float32 on the processor's matrix unit, where it has one.

An operand is a pointer and two strides, so that a matrix, its transpose and a range
of its rows are all the same to the product. docs/laboratory.md shows why the tiles
are used for every shape that AVX2 or AVX-512 code is compiled for, and nowhere else.
"""
from libc.string cimport memset

from fastmlp._kernels cimport blas
from fastmlp._kernels.records cimport real

cdef extern from "tiles.h":
    bint TILES_PAY
    Py_ssize_t SLICE_ROWS "DEPTH"
    Py_ssize_t TILE_ROWS
    void tiles_multiply_float(
        float* c, Py_ssize_t c_row, const float* a, const float* b, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
        Py_ssize_t b_column, bint accumulate) nogil
    void tiles_multiply_double(
        double* c, Py_ssize_t c_row, const double* a, const double* b, Py_ssize_t m,
        Py_ssize_t n, Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
        Py_ssize_t b_column, bint accumulate) nogil

    ctypedef struct walk_t:
        Py_ssize_t n
        Py_ssize_t run
        Py_ssize_t step
        Py_ssize_t jump

    ctypedef struct images_t:
        Py_ssize_t n
        Py_ssize_t stride

cdef extern from "patches.h":
    void patches_multiply_float(
        float* c, Py_ssize_t n, const float* a, const walk_t* rows, const walk_t* terms,
        const images_t* images, const float* b, bint accumulate) nogil
    void patches_multiply_double(
        double* c, Py_ssize_t n, const double* a, const walk_t* rows, const walk_t* terms,
        const images_t* images, const double* b, bint accumulate) nogil

cdef extern from "pieces.h":
    bint PIECES_PAY
    Py_ssize_t PIECES_BLOCK
    void pieces_multiply(
        float* c, Py_ssize_t c_row, const float* a, const float* b, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
        Py_ssize_t b_column, bint accumulate) nogil

cdef enum:
    # Rows, columns and depth from which on the matrix unit is the faster: below, it
    # waits for numbers that are cut into pieces. A quarter more in whole blocks than
    # there is costs as much as it gains.
    PIECES_ROWS = 96
    PIECES_COLUMNS = 128
    PIECES_DEPTH = 32
    # Columns from which on an outer product is written row by row: fewer fill no vector.
    OUTER_COLUMNS = 16


cdef inline Py_ssize_t in_blocks(Py_ssize_t n) noexcept nogil:
    """n as the matrix unit has it: in whole blocks."""
    return (n + PIECES_BLOCK - 1) // PIECES_BLOCK * PIECES_BLOCK


cdef inline bint in_pieces(
    Py_ssize_t item_size, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """Whether a product of these sizes is worth the matrix unit. Of a product that is
    shared out the whole is asked for: its parts' bits must not depend on their sizes."""
    return (PIECES_PAY and item_size == sizeof(float) and m >= PIECES_ROWS
            and n >= PIECES_COLUMNS and k >= PIECES_DEPTH
            and 4 * in_blocks(m) * in_blocks(n) * in_blocks(k) <= 5 * m * n * k)


cdef inline bint is_outer(Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """Whether a product of k terms with n columns side by side is written row by row,
    each entry one multiply-add: added to what is there without rounding the product."""
    return TILES_PAY and k == 1 and n >= OUTER_COLUMNS


cdef inline void multiply_outer(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t a_row, bint accumulate,
) noexcept nogil:
    """c (m, n) = a bᵀ (+ c) of two vectors, b's entries side by side: one row's gradient."""
    cdef Py_ssize_t i, j
    cdef real* row
    cdef real factor
    for i in range(m):
        row, factor = c + i * c_row, a[i * a_row]
        if accumulate:
            for j in range(n):
                row[j] += factor * b[j]
        else:
            for j in range(n):
                row[j] = factor * b[j]


cdef inline void multiply_by_tiles(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, bint accumulate,
) noexcept nogil:
    if real is float:
        tiles_multiply_float(
            c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate)
    else:
        tiles_multiply_double(
            c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate)


cdef inline void multiply_by_pieces(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, bint accumulate,
) noexcept nogil:
    if real is float:
        pieces_multiply(
            c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate)


cdef inline void multiply(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, bint accumulate, bint pieces,
) noexcept nogil:
    """c (m, n) = a (m, k) b (k, n) (+ c), the rows of c c_row apart; in pieces where the
    whole is (in_pieces)."""
    cdef Py_ssize_t i
    if m == 0:
        return
    if k == 0:
        for i in range(0 if accumulate else m):
            memset(c + i * c_row, 0, n * sizeof(real))
        return
    if pieces:
        multiply_by_pieces(
            c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate)
    elif not TILES_PAY:
        blas.multiply(c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate)
    elif b_column == 1 and is_outer(k, n):
        multiply_outer(c, c_row, a, b, m, n, a_row, accumulate)
    elif n == c_row == 1 and a_column != 1:
        multiply_by_tiles(c, 1, b, a, 1, m, k, 0, b_row, a_column, a_row, accumulate)
    else:
        multiply_by_tiles(
            c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate)


cdef inline void multiply_patches(
    real* c, Py_ssize_t n, const real* a, const walk_t* rows, const walk_t* terms,
    const images_t* images, const real* b, bint accumulate,
) noexcept nogil:
    """c (rows, n) = A b (+ c), A the patches of images from a on (patches.h), b (images ×
    terms, n)."""
    if real is float:
        patches_multiply_float(c, n, a, rows, terms, images, b, accumulate)
    else:
        patches_multiply_double(c, n, a, rows, terms, images, b, accumulate)


cdef inline void multiply_nn(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    bint accumulate,
) noexcept nogil:
    """c (m, n) = a (m, k) b (k, n) (+ c)."""
    multiply(
        c, n, a, b, m, n, k, k, 1, n, 1, accumulate, in_pieces(sizeof(real), m, n, k))


cdef inline void multiply_nt(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    bint accumulate,
) noexcept nogil:
    """c (m, n) = a (m, k) bᵀ (+ c), with b (n, k)."""
    multiply(
        c, n, a, b, m, n, k, k, 1, 1, k, accumulate, in_pieces(sizeof(real), m, n, k))


cdef inline void multiply_tn(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    bint accumulate,
) noexcept nogil:
    """c (m, n) = aᵀ b (+ c), with a (k, m) and b (k, n)."""
    multiply(
        c, n, a, b, m, n, k, 1, m, n, 1, accumulate, in_pieces(sizeof(real), m, n, k))


cdef inline void sum_columns(
    real* out, const real* a, Py_ssize_t m, Py_ssize_t n, bint accumulate
) noexcept nogil:
    """out (n,) = column sums of a (m, n) (+ out)."""
    cdef Py_ssize_t i, j
    if not accumulate:
        memset(out, 0, n * sizeof(real))
    for i in range(m - m % 4, m):
        for j in range(n):
            out[j] += a[i * n + j]
    for i in range(m // 4):
        for j in range(n):
            out[j] += ((a[4 * i * n + j] + a[(4 * i + 1) * n + j])
                       + (a[(4 * i + 2) * n + j] + a[(4 * i + 3) * n + j]))
