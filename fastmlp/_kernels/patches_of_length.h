/* Products with patches (patches.h), by vectors of VECTOR_BYTES; n is at least one. */

/* One tile: c (rows, vectors) = Σ of a's entries times b's rows over all terms of all
   images (+ c). */
static inline __attribute__((always_inline)) void NAME(patch_tile)(
    const int rows, const int vectors, REAL *c, Py_ssize_t n, const REAL *const *a,
    const walk_t *terms, const images_t *images, const REAL *b, Py_ssize_t last,
    int accumulate)
{
    NAME(vector) sum[TILE_ROWS][MOST_VECTORS];
    const REAL *patch[TILE_ROWS];
    UNROLL for (int i = 0; i < rows; i++) {
        patch[i] = a[i];
        UNROLL for (int v = 0; v < vectors; v++)
            sum[i][v] = (NAME(vector)){0};
    }
    const Py_ssize_t run = terms->run, step = terms->step;
    const Py_ssize_t end = images->n * images->stride;
    for (Py_ssize_t image = 0; image < end; image += images->stride)
        for (Py_ssize_t l = 0, begin = image; l < terms->n; l += run, begin += terms->jump) {
            Py_ssize_t at = begin;
            for (Py_ssize_t k = 0; k < run; k++, at += step, b += n) {
                NAME(vector) row[MOST_VECTORS];
                UNROLL for (int v = 0; v < vectors; v++)
                    row[v] = *(const NAME(vector) *)(b + AT(v));
                UNROLL for (int i = 0; i < rows; i++) {
                    const NAME(vector) factor = patch[i][at] - (NAME(vector)){0};
                    UNROLL for (int v = 0; v < vectors; v++)
                        MULTIPLY_ADD(sum[i][v], factor, row[v]);
                }
            }
        }
    UNROLL for (int i = 0; i < rows; i++) {
        if (accumulate)
            UNROLL for (int v = 0; v < vectors; v++)
                sum[i][v] += *(NAME(vector) *)(c + i * n + AT(v));
        UNROLL for (int v = 0; v < vectors; v++)
            *(NAME(vector) *)(c + i * n + AT(v)) = sum[i][v];
    }
}

#define PATCH_TILE(ROWS, VECTORS) \
    case ROWS: \
        NAME(patch_tile)( \
            ROWS, VECTORS, c + begin * n, n, rows_of_tile, terms, images, b, last, accumulate); \
        break;
#define PATCH_TILES(VECTORS) \
    switch (end - begin) { \
        PATCH_TILE(1, VECTORS) PATCH_TILE(2, VECTORS) PATCH_TILE(3, VECTORS) \
        PATCH_TILE(4, VECTORS) PATCH_TILE(5, VECTORS) PATCH_TILE(6, VECTORS) \
    }

/* All rows of one panel of `vectors` vectors, in tiles as even as whole rows allow. */
static __attribute__((noinline)) void NAME(patch_panel)(
    int vectors, REAL *c, Py_ssize_t n, const REAL *a, const walk_t *rows,
    const walk_t *terms, const images_t *images, const REAL *b, Py_ssize_t last,
    int accumulate)
{
    const Py_ssize_t n_tiles = (rows->n + TILE_ROWS - 1) / TILE_ROWS;
    Py_ssize_t in_run = 0, run = 0;
    for (Py_ssize_t tile = 0; tile < n_tiles; tile++) {
        const Py_ssize_t begin = rows->n * tile / n_tiles;
        const Py_ssize_t end = rows->n * (tile + 1) / n_tiles;
        const REAL *rows_of_tile[TILE_ROWS];
        for (Py_ssize_t i = begin; i < end; i++) {
            rows_of_tile[i - begin] = a + run + in_run * rows->step;
            if (++in_run == rows->run) {
                in_run = 0;
                run += rows->jump;
            }
        }
        if (vectors == 1) { PATCH_TILES(1) }
        else if (vectors == 2) { PATCH_TILES(2) }
#if ANY_WIDTH && MOST_VECTORS > 2
        else if (vectors == 3) { PATCH_TILES(3) }
        else { PATCH_TILES(4) }
#endif
    }
}

static void NAME(patches)(
    REAL *c, Py_ssize_t n, const REAL *a, const walk_t *rows, const walk_t *terms,
    const images_t *images, const REAL *b, int accumulate)
{
    Py_ssize_t left = (n + LANES - 1) / LANES;
    for (Py_ssize_t j = 0; left > 0;) {
        const int vectors = left == MOST_VECTORS + 1 ? MOST_VECTORS - 1
            : left < MOST_VECTORS ? (int)left : MOST_VECTORS;
        const Py_ssize_t columns = left > vectors ? vectors * LANES : n - j;
        NAME(patch_panel)(
            vectors, c + j, n, a, rows, terms, images, b + j, columns - LANES, accumulate);
        left -= vectors;
        j += columns;
    }
}

#undef PATCH_TILE
#undef PATCH_TILES
