/* Products with vectors of VECTOR_BYTES of REAL; n is at least one vector. */
typedef REAL NAME(vector)
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));

#define LANES ((Py_ssize_t)(VECTOR_BYTES / sizeof(REAL)))

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
    NAME(vector) sum[6][MOST_VECTORS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = (NAME(vector)){0};
    for (Py_ssize_t l = 0; l < k; l++) {
        NAME(vector) row[MOST_VECTORS];
        for (int v = 0; v < vectors; v++)
            row[v] = *(const NAME(vector) *)(b + l * b_row + AT(v));
        for (int i = 0; i < rows; i++) {
            const REAL factor = a[i * a_row + l * a_column];
            for (int v = 0; v < vectors; v++)
                sum[i][v] += factor * row[v];
        }
    }
    for (int i = 0; i < rows; i++) {
        if (accumulate)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += *(NAME(vector) *)(c + i * c_row + AT(v));
        for (int v = 0; v < vectors; v++)
            *(NAME(vector) *)(c + i * c_row + AT(v)) = sum[i][v];
    }
}

#define TILES(ROWS, VECTORS) \
    for (; i + ROWS <= m; i += ROWS) \
        NAME(tile)(ROWS, VECTORS, c + i * c_row, c_row, a + i * a_row, a_row, a_column, \
                   b, b_row, k, last, accumulate);
#define COLUMN_OF_TILES(VECTORS) TILES(6, VECTORS) TILES(2, VECTORS) TILES(1, VECTORS)

/* All rows of one panel of `vectors` vectors. */
static __attribute__((noinline)) void NAME(panel)(
    int vectors, REAL *c, Py_ssize_t c_row, const REAL *a, Py_ssize_t a_row,
    Py_ssize_t a_column, const REAL *b, Py_ssize_t b_row, Py_ssize_t m, Py_ssize_t k,
    Py_ssize_t last, int accumulate)
{
    Py_ssize_t i = 0;
    if (vectors == 1) { COLUMN_OF_TILES(1) }
    else if (vectors == 2) { COLUMN_OF_TILES(2) }
#if MOST_VECTORS > 2
    else if (vectors == 3) { COLUMN_OF_TILES(3) }
    else { COLUMN_OF_TILES(4) }
#endif
}

/* A panel of B side by side: (depth, columns) with rows `width` apart. */
static inline void NAME(pack)(
    REAL *packed, const REAL *b, Py_ssize_t b_row, Py_ssize_t b_column,
    Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t width)
{
    Py_ssize_t r = 0;
    if (b_column == 1) {
        for (Py_ssize_t l = 0; l < depth; l++)
            memcpy(packed + l * width, b + l * b_row, columns * sizeof(REAL));
        return;
    }
    for (; r + 8 <= columns; r += 8)
        for (Py_ssize_t l = 0; l < depth; l++)
            for (int q = 0; q < 8; q++)
                packed[l * width + r + q] = b[(r + q) * b_column + l * b_row];
    for (; r < columns; r++)
        for (Py_ssize_t l = 0; l < depth; l++)
            packed[l * width + r] = b[r * b_column + l * b_row];
}

/* Rows of B farther apart than this are gathered into a panel first: each would cost
   an entry of the address cache. */
#define FAR_APART ((Py_ssize_t)(4096 / sizeof(REAL)))

static void NAME(multiply)(
    REAL *c, const REAL *a, const REAL *b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row, Py_ssize_t b_column,
    int accumulate)
{
    REAL packed[DEPTH * MOST_VECTORS * LANES] __attribute__((aligned(64)));
    const int must_pack = b_column != 1 || b_row >= FAR_APART;
    for (Py_ssize_t l = 0; l < k; l += DEPTH) {
        const Py_ssize_t depth = k - l < DEPTH ? k - l : DEPTH;
        Py_ssize_t left = (n + LANES - 1) / LANES;
        for (Py_ssize_t j = 0; left > 0;) {
            /* Never a last panel of one vector, which could begin before its panel. */
            const int vectors = left == MOST_VECTORS + 1 ? MOST_VECTORS - 1
                : left < MOST_VECTORS ? (int)left : MOST_VECTORS;
            left -= vectors;
            const Py_ssize_t columns = left ? vectors * LANES : n - j;
            const REAL *panel = b + l * b_row + j * b_column;
            if (must_pack)
                NAME(pack)(packed, panel, b_row, b_column, depth, columns, MOST_VECTORS * LANES);
            NAME(panel)(
                vectors, c + j, n, a + l * a_column, a_row, a_column,
                must_pack ? packed : panel, must_pack ? MOST_VECTORS * LANES : b_row,
                m, depth, columns - LANES, accumulate || l > 0);
            j += columns;
        }
    }
}

#undef LANES
#undef AT
#undef TILES
#undef COLUMN_OF_TILES
#undef FAR_APART
