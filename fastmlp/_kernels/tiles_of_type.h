/* Products of one number type, REAL; the vector's length is chosen by the columns. */
#define JOIN_(a, b, c) tiles_##a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define NAME(x) JOIN(x, REAL, VECTOR_BYTES)

/* Counts the lanes of the longest vector. */
static const INDEX JOIN(lane, REAL, numbers)[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Room for a gathered block of A, once a thread: too much for the stacks of some
   systems' threads. */
static _Thread_local REAL JOIN(room, REAL, of_block)[BLOCK_ROWS * (DEPTH + GAP)]
    __attribute__((aligned(64)));

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#include "tiles_of_length.h"
#undef VECTOR_BYTES
#endif
#if LONGEST >= 32
#define VECTOR_BYTES 32
#include "tiles_of_length.h"
#undef VECTOR_BYTES
#endif
#define VECTOR_BYTES 16
#include "tiles_of_length.h"
#undef VECTOR_BYTES
#if SHORTEST == 8
#define VECTOR_BYTES 8
#include "tiles_of_length.h"
#undef VECTOR_BYTES
#endif

/* out (columns, rows) = inᵀ. */
static inline void JOIN(turn, REAL, matrix)(
    REAL *out, Py_ssize_t out_row, const REAL *in, Py_ssize_t in_row, Py_ssize_t rows,
    Py_ssize_t columns)
{
    for (Py_ssize_t j = 0; j < columns; j++)
        for (Py_ssize_t i = 0; i < rows; i++)
            out[j * out_row + i] = in[i * in_row + j];
}

/* c = a b of fewer columns than a vector has lanes, on its side: cᵀ = bᵀ aᵀ has long
   rows, and those of aᵀ are as they lie. */
static void JOIN(multiply, REAL, narrow)(
    REAL *c, Py_ssize_t c_row, const REAL *a, const REAL *b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_column, Py_ssize_t b_row, Py_ssize_t b_column, int accumulate)
{
    REAL turned[LONGEST / sizeof(REAL) * BLOCK_ROWS] __attribute__((aligned(64)));
    for (Py_ssize_t i = 0; i < m;) {
        /* Two of the last are better than a last of less than a vector. */
        const Py_ssize_t left = m - i;
        const Py_ssize_t rows = left <= BLOCK_ROWS ? left
            : left < 2 * BLOCK_ROWS ? left / 2 : BLOCK_ROWS;
        if (accumulate)
            JOIN(turn, REAL, matrix)(turned, rows, c + i * c_row, c_row, rows, n);
        for (Py_ssize_t l = 0; l < k; l += DEPTH) {
            const JOIN(block, REAL, LONGEST) block = {
                b + l * b_row, b_column, b_row, TILE_ROWS * b_column};
            JOIN(multiply_slice, REAL, LONGEST)(
                turned, rows, &block, a + i + l * a_column, n, rows,
                k - l < DEPTH ? k - l : DEPTH, a_column, 1, accumulate || l > 0);
        }
        JOIN(turn, REAL, matrix)(c + i * c_row, c_row, turned, rows, n, rows);
        i += rows;
    }
}

/* Σ a b of k entries. */
static REAL JOIN(dot, REAL, LONGEST)(const REAL *a, const REAL *b, Py_ssize_t k)
{
    enum { LANES = LONGEST / sizeof(REAL), SUMS = 4 };
    typedef JOIN(vector, REAL, LONGEST) vector;
    vector sum[SUMS] = {{0}};
    Py_ssize_t l = 0;
    for (; l + SUMS * LANES <= k; l += SUMS * LANES)
        UNROLL for (int v = 0; v < SUMS; v++)
            sum[v] += *(const vector *)(a + l + v * LANES) * *(const vector *)(b + l + v * LANES);
    for (; l + LANES <= k; l += LANES)
        sum[0] += *(const vector *)(a + l) * *(const vector *)(b + l);
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    REAL total = 0;
    UNROLL for (int half = LANES / 2; half > 0; half /= 2)
        UNROLL for (int i = 0; i < half; i++)
            sum[0][i] += sum[0][i + half];
    for (; l < k; l++)
        total += a[l] * b[l];
    return sum[0][0] + total;
}

/* c (m, n) = a b (+ c), an entry at a time: both operands lie along k. */
static void JOIN(multiply, REAL, by_dots)(
    REAL *c, Py_ssize_t c_row, const REAL *a, const REAL *b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t b_column, int accumulate)
{
    for (Py_ssize_t i = 0; i < m; i++)
        for (Py_ssize_t j = 0; j < n; j++) {
            const REAL dot = JOIN(dot, REAL, LONGEST)(a + i * a_row, b + j * b_column, k);
            c[i * c_row + j] = accumulate ? c[i * c_row + j] + dot : dot;
        }
}

/* c (m, n) = a b (+ c); strides in entries. */
#define MULTIPLY_(T) tiles_multiply_##T
#define MULTIPLY(T) MULTIPLY_(T)
static void MULTIPLY(REAL)(
    REAL *c, Py_ssize_t c_row, const REAL *a, const REAL *b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, int accumulate)
{
    const Py_ssize_t bytes = n * (Py_ssize_t)sizeof(REAL);
    if (a_column == 1 && b_row == 1 && (n == 1 || (m == 1 && k >= WORTH_DOTS))) {
        JOIN(multiply, REAL, by_dots)(c, c_row, a, b, m, n, k, a_row, b_column, accumulate);
        return;
    }
    if (bytes < LONGEST && a_row == 1 && k >= WORTH_TURNING
        && m * (Py_ssize_t)sizeof(REAL) >= LONGEST) {
        JOIN(multiply, REAL, narrow)(
            c, c_row, a, b, m, n, k, a_column, b_row, b_column, accumulate);
        return;
    }
#define TRY(BYTES) \
    if (bytes >= BYTES) { \
        JOIN(multiply, REAL, BYTES)( \
            c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate); \
        return; \
    }
#if defined(__AVX512F__)
    TRY(64)
#endif
#if LONGEST >= 32
    TRY(32)
#endif
    TRY(16)
#if SHORTEST == 8
    TRY(8)
#endif
#undef TRY
    for (Py_ssize_t i = 0; i < m; i++) /* one column */
        for (Py_ssize_t l = 0; l < k; l += DEPTH) {
            const Py_ssize_t end = k - l < DEPTH ? k : l + DEPTH;
            REAL sum = 0;
            for (Py_ssize_t p = l; p < end; p++)
                sum += a[i * a_row + p * a_column] * b[p * b_row];
            c[i * c_row] = accumulate || l > 0 ? c[i * c_row] + sum : sum;
        }
}

#undef MULTIPLY
#undef MULTIPLY_

#include "patches_of_type.h"

#undef NAME
#undef JOIN
#undef JOIN_
