/* c (rows, n) = A b (+ c), A the patches of images (patches.h), b (images × terms, n). */
#define MULTIPLY_(T) patches_multiply_##T
#define MULTIPLY(T) MULTIPLY_(T)
static void MULTIPLY(REAL)(
    REAL *c, Py_ssize_t n, const REAL *a, const walk_t *rows, const walk_t *terms,
    const images_t *images, const REAL *b, int accumulate)
{
    const Py_ssize_t bytes = n * (Py_ssize_t)sizeof(REAL);
#define TRY(BYTES) \
    if (bytes >= BYTES) { \
        JOIN(patches, REAL, BYTES)(c, n, a, rows, terms, images, b, accumulate); \
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
    for (Py_ssize_t i = 0; i < rows->n; i++) { /* one column */
        const REAL *patch = a + walk_at(rows, i);
        REAL sum = 0;
        for (Py_ssize_t k = 0; k < images->n; k++, patch += images->stride)
            for (Py_ssize_t l = 0; l < terms->n; l++)
                sum += patch[walk_at(terms, l)] * b[k * terms->n + l];
        c[i] = accumulate ? c[i] + sum : sum;
    }
}
#undef MULTIPLY
#undef MULTIPLY_
