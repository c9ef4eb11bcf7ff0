/* Products with vectors of VECTOR_BYTES of REAL; n is at least one vector. */
typedef REAL NAME(vector)
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));

typedef INDEX NAME(indices)
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(INDEX)), may_alias));

/* Some rows of A as tiles read them: `strip` entries from TILE_ROWS rows to the next. */
typedef struct {
    const REAL *first;
    Py_ssize_t row, column, strip;
} NAME(block);

#define LANES ((Py_ssize_t)(VECTOR_BYTES / sizeof(REAL)))

/* A vector is shorter than the longest only where n is less than two of them: tiles of
   more are compiled for the longest alone. */
#define ANY_WIDTH (VECTOR_BYTES == LONGEST)

/* Columns of a panel of B, and how many panels are gathered at a time. */
#define WIDTH (MOST_VECTORS * LANES)
#define PANELS (VECTOR_BYTES == LONGEST ? GATHERED / (MOST_VECTORS * VECTOR_BYTES) : 1)

/* Where vector v of a tile begins: side by side, but the last ends with the columns
   and overlaps its neighbour where they do not come out even. */
#define AT(v) ((v) == vectors - 1 ? last : (v) * LANES)

/* One tile: c (rows, vectors) = a b (+ c). Its entries are all read before any is
   written, so an overlap is computed twice but added once. */
static inline __attribute__((always_inline)) void NAME(tile)(
    const int rows, const int vectors, REAL *c, Py_ssize_t c_row, const REAL *a,
    Py_ssize_t a_row, Py_ssize_t a_column, const REAL *b, Py_ssize_t b_row,
    Py_ssize_t k, Py_ssize_t last, int accumulate)
{
    NAME(vector) sum[TILE_ROWS][ROW_VECTORS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vectors; v++)
            sum[i][v] = (NAME(vector)){0};
    if (c_row * sizeof(REAL) >= WORTH_FETCHING)
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int v = 0; v < vectors; v++)
                __builtin_prefetch(c + i * c_row + AT(v), 1);
    for (Py_ssize_t l = 0; l < k; l++) {
        NAME(vector) row[ROW_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++)
            row[v] = *(const NAME(vector) *)(b + l * b_row + AT(v));
        UNROLL for (int i = 0; i < rows; i++) {
            const NAME(vector) factor = a[i * a_row + l * a_column] - (NAME(vector)){0};
            UNROLL for (int v = 0; v < vectors; v++)
                MULTIPLY_ADD(sum[i][v], factor, row[v]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        if (accumulate)
            UNROLL for (int v = 0; v < vectors; v++)
                sum[i][v] += *(NAME(vector) *)(c + i * c_row + AT(v));
        UNROLL for (int v = 0; v < vectors; v++)
            *(NAME(vector) *)(c + i * c_row + AT(v)) = sum[i][v];
    }
}

#define TILES(ROWS, VECTORS) \
    for (; i + ROWS <= m; i += ROWS) \
        NAME(tile)(ROWS, VECTORS, c + i * c_row, c_row, \
                   a->first + i / TILE_ROWS * a->strip + i % TILE_ROWS * a->row, a->row, \
                   a->column, b, b_row, k, last, accumulate);
#define COLUMN_OF_TILES(VECTORS) \
    TILES(TILE_ROWS, VECTORS) TILES(4, VECTORS) TILES(2, VECTORS) TILES(1, VECTORS)

#define ROW(VECTORS) \
    case VECTORS: \
        NAME(tile)(1, VECTORS, c, 0, a->first, a->row, a->column, b, b_row, k, last, accumulate); \
        return;

/* A single row of a panel of `vectors` vectors. */
static __attribute__((noinline)) void NAME(row)(
    int vectors, REAL *c, const NAME(block) *a, const REAL *b, Py_ssize_t b_row,
    Py_ssize_t k, Py_ssize_t last, int accumulate)
{
    switch (vectors) {
        ROW(1) ROW(2)
#if ANY_WIDTH
        ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8)
#endif
    }
}

/* All rows of one panel of `vectors` vectors. */
static __attribute__((noinline)) void NAME(panel)(
    int vectors, REAL *c, Py_ssize_t c_row, const NAME(block) *a, const REAL *b,
    Py_ssize_t b_row, Py_ssize_t m, Py_ssize_t k, Py_ssize_t last, int accumulate)
{
    Py_ssize_t i = 0;
    if (vectors == 1) { COLUMN_OF_TILES(1) }
    else if (vectors == 2) { COLUMN_OF_TILES(2) }
#if ANY_WIDTH && MOST_VECTORS > 2
    else if (vectors == 3) { COLUMN_OF_TILES(3) }
    else { COLUMN_OF_TILES(4) }
#endif
}

/* Rows of x become columns: blocks of 1, 2, 4 … entries change places. */
static inline __attribute__((always_inline)) void NAME(turn)(NAME(vector) *x)
{
#ifdef __clang__ /* has no shuffle by a vector of indices */
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < i; j++) {
            const REAL entry = x[i][j];
            x[i][j] = x[j][i];
            x[j][i] = entry;
        }
#else
    const NAME(indices) lane = *(const NAME(indices) *)JOIN(lane, REAL, numbers);
    UNROLL for (int size = 1; size < LANES; size *= 2) {
        const NAME(indices) left = lane + (((lane & size) != 0) & (INDEX)(LANES - size));
        UNROLL for (int i = 0; i < LANES; i++)
            if (!(i & size)) {
                const NAME(vector) upper = x[i], lower = x[i + size];
                x[i] = __builtin_shuffle(upper, lower, left);
                x[i + size] = __builtin_shuffle(upper, lower, left + size);
            }
    }
#endif
}

/* out (LANES, LANES) = inᵀ. */
static inline __attribute__((always_inline)) void NAME(transpose)(
    REAL *out, Py_ssize_t out_row, const REAL *in, Py_ssize_t in_row)
{
    NAME(vector) x[LANES];
    UNROLL for (int i = 0; i < LANES; i++)
        x[i] = *(const NAME(vector) *)(in + i * in_row);
    NAME(turn)(x);
    UNROLL for (int i = 0; i < LANES; i++)
        *(NAME(vector) *)(out + i * out_row) = x[i];
}

/* packed (depth, columns) = bᵀ, its rows `width` apart, b's `b_column`. The last block
   of either side ends with it and overlaps its neighbour. */
static void NAME(pack_transposed)(
    REAL *packed, Py_ssize_t width, const REAL *b, Py_ssize_t b_column,
    Py_ssize_t depth, Py_ssize_t columns)
{
    if (depth < LANES) {
        for (Py_ssize_t l = 0; l < depth; l++)
            for (Py_ssize_t r = 0; r < columns; r++)
                packed[l * width + r] = b[r * b_column + l];
        return;
    }
    for (Py_ssize_t r = 0; r < columns; r += LANES) {
        const Py_ssize_t column = r < columns - LANES ? r : columns - LANES;
        for (Py_ssize_t l = 0; l < depth; l += LANES) {
            const Py_ssize_t row = l < depth - LANES ? l : depth - LANES;
            NAME(transpose)(packed + row * width + column, width,
                            b + column * b_column + row, b_column);
        }
    }
}

/* packed (rows, columns), its rows `width` apart, from rows `stride` apart. */
static inline void NAME(pack)(
    REAL *packed, Py_ssize_t width, const REAL *source, Py_ssize_t stride,
    Py_ssize_t rows, Py_ssize_t columns)
{
    for (Py_ssize_t i = 0; i < rows; i++)
        memcpy(packed + i * width, source + i * stride, columns * sizeof(REAL));
}

/* Panels of b (depth, …) one behind the other, DEPTH rows apart: as many whole ones as
   there are, up to PANELS, or where there is none that of the last columns. How many. */
static Py_ssize_t NAME(pack_panels)(
    REAL *packed, const REAL *b, Py_ssize_t b_row, Py_ssize_t depth, Py_ssize_t columns,
    Py_ssize_t whole)
{
    if (whole < 2 || PANELS == 1) {
        NAME(pack)(packed, WIDTH, b, b_row, depth, columns);
        return 1;
    }
    if (whole > PANELS)
        whole = PANELS;
    for (Py_ssize_t l = 0; l < depth; l++)
        for (Py_ssize_t p = 0; p < whole; p++)
            memcpy(packed + (p * DEPTH + l) * WIDTH, b + l * b_row + p * WIDTH,
                   WIDTH * sizeof(REAL));
    return whole;
}

/* packed = a (rows, depth) in strips of TILE_ROWS rows, each column by column; of a its
   columns are contiguous. */
static void NAME(pack_strips)(
    REAL *packed, Py_ssize_t strip, const REAL *a, Py_ssize_t a_column, Py_ssize_t rows,
    Py_ssize_t depth)
{
    const Py_ssize_t whole = rows - rows % TILE_ROWS;
    for (Py_ssize_t l = 0; l < depth; l++) {
        const REAL *column = a + l * a_column;
        REAL *out = packed + l * TILE_ROWS;
        for (Py_ssize_t i = 0; i < whole; i += TILE_ROWS, out += strip)
            memcpy(out, column + i, TILE_ROWS * sizeof(REAL));
        for (Py_ssize_t i = whole; i < rows; i++)
            out[i - whole] = column[i];
    }
}

/* A block of a (rows, depth), gathered where that pays for n columns of C. */
static NAME(block) NAME(gather)(
    const REAL *a, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t rows,
    Py_ssize_t depth, Py_ssize_t n)
{
    const int in_strips = a_row == 1 && a_column != 1 && n * sizeof(REAL) >= WORTH_STRIPS;
    const int in_rows = a_row * sizeof(REAL) >= PAGE && n >= WORTH_PACKING;
    if (!in_strips && !in_rows)
        return (NAME(block)){a, a_row, a_column, TILE_ROWS * a_row};
    REAL *packed = JOIN(room, REAL, of_block);
    if (in_strips) {
        const Py_ssize_t strip = TILE_ROWS * depth + GAP;
        NAME(pack_strips)(packed, strip, a, a_column, rows, depth);
        return (NAME(block)){packed, 1, TILE_ROWS, strip};
    }
    NAME(pack)(packed, depth + GAP, a, a_row, rows, depth);
    return (NAME(block)){packed, depth + GAP, 1, TILE_ROWS * (depth + GAP)};
}

/* c (m, n) = a b (+ c) of one slice of k: `depth` columns of a and rows of b. */
static void NAME(multiply_slice)(
    REAL *c, Py_ssize_t c_row, const NAME(block) *a, const REAL *b, Py_ssize_t m,
    Py_ssize_t n, Py_ssize_t depth, Py_ssize_t b_row, Py_ssize_t b_column, int accumulate)
{
    REAL room[PANELS * DEPTH * WIDTH] __attribute__((aligned(64)));
    const int far_apart = b_row * sizeof(REAL) >= FAR_APART;
    const int must_pack = b_column != 1 || (far_apart && m >= WORTH_GATHERING);
    const int is_row = m == 1 && !must_pack;
    const int most = is_row ? ROW_VECTORS : MOST_VECTORS;
    Py_ssize_t left = (n + LANES - 1) / LANES, gathered = 0;
    const REAL *packed = room;
    for (Py_ssize_t j = 0; left > 0; gathered--) {
        /* Never a last panel of one vector, which could begin before its panel. */
        const int vectors = left == most + 1 ? most - 1 : left < most ? (int)left : most;
        const Py_ssize_t columns = left > vectors ? vectors * LANES : n - j;
        const REAL *panel = b + j * b_column;
        if (gathered > 0)
            packed += DEPTH * WIDTH;
        else if (must_pack) {
            packed = room;
            if (b_column != 1)
                NAME(pack_transposed)(room, WIDTH, panel, b_column, depth, columns);
            else
                gathered = NAME(pack_panels)(
                    room, panel, b_row, depth, columns, (n - j) / WIDTH);
        }
        left -= vectors;
        if (is_row)
            NAME(row)(
                vectors, c + j, a, panel, b_row, depth, columns - LANES, accumulate);
        else
            NAME(panel)(
                vectors, c + j, c_row, a, must_pack ? packed : panel,
                must_pack ? WIDTH : b_row, m, depth, columns - LANES, accumulate);
        j += columns;
    }
}

/* One stride of either operand is 1. */
static void NAME(multiply)(
    REAL *c, Py_ssize_t c_row, const REAL *a, const REAL *b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, int accumulate)
{
    for (Py_ssize_t l = 0; l < k; l += DEPTH) {
        const Py_ssize_t depth = k - l < DEPTH ? k - l : DEPTH;
        for (Py_ssize_t i = 0; i < m; i += BLOCK_ROWS) {
            const Py_ssize_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
            const NAME(block) block = NAME(gather)(
                a + i * a_row + l * a_column, a_row, a_column, rows, depth, n);
            NAME(multiply_slice)(
                c + i * c_row, c_row, &block, b + l * b_row, rows, n, depth, b_row,
                b_column, accumulate || l > 0);
        }
    }
}

#include "patches_of_length.h"

#undef LANES
#undef ANY_WIDTH
#undef WIDTH
#undef PANELS
#undef AT
#undef TILES
#undef COLUMN_OF_TILES
#undef ROW
