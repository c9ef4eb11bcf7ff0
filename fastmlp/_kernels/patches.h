/* Products with patches of an image, without a copy of them: a convolution's z, what its
   δ is to its inputs, and its gradient.

   The matrix A of patches is not there. Its entry (i, l) is the image's entry
   at(rows, i) + at(terms, l): both indices walk over the image, in runs of entries that
   are `step` apart, one run `jump` behind the other. Of z the rows are the positions of the
   kernel and the terms its entries; of the gradient it is the other way about, and its
   terms go on over several images: sums then stay in registers for longer. */
#ifndef FASTMLP_PATCHES_H
#define FASTMLP_PATCHES_H
#include "tiles.h"

#if !TILES_PAY
#define PATCHES_MULTIPLY(REAL) \
    static void patches_multiply_##REAL( \
        REAL *c, Py_ssize_t n, const REAL *a, const walk_t *rows, const walk_t *terms, \
        const images_t *images, const REAL *b, int accumulate) \
    { \
        for (Py_ssize_t i = 0; i < rows->n; i++) { \
            REAL *sums = c + i * n; \
            const REAL *patch = a + walk_at(rows, i), *row = b; \
            if (!accumulate) \
                memset(sums, 0, n * sizeof(REAL)); \
            for (Py_ssize_t k = 0; k < images->n; k++, patch += images->stride) \
                for (Py_ssize_t l = 0; l < terms->n; l++, row += n) { \
                    const REAL factor = patch[walk_at(terms, l)]; \
                    for (Py_ssize_t j = 0; j < n; j++) \
                        sums[j] += factor * row[j]; \
                } \
        } \
    }
PATCHES_MULTIPLY(float)
PATCHES_MULTIPLY(double)
#undef PATCHES_MULTIPLY
#endif
#endif
