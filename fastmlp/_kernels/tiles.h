/* Matrix products in registers, for the instruction set this file is compiled for.

   C = A B is cut into tiles of up to TILE_ROWS rows by MOST_VECTORS vectors that stay in
   registers while k runs. tiles_of_length.h holds the code once; it is instantiated
   here for each number type and for ever shorter vectors, so that a matrix of ten
   columns does not pay for sixteen.

   Every entry of C is the same chain of multiply-adds in the order of k, whichever
   tile or thread computes it: the bits do not depend on how the work is shared out. */
#ifndef FASTMLP_TILES_H
#define FASTMLP_TILES_H
#include <Python.h>
#include <string.h>

#if defined(__GNUC__) && (defined(__AVX2__) || defined(FASTMLP_NEON))
#define TILES_PAY 1
#else
#define TILES_PAY 0 /* BLAS knows this processor better than we do. */
#endif

/* Bytes of the longest vector, and how many of them a tile is wide. */
#if defined(__AVX512F__)
#define LONGEST 64
#define MOST_VECTORS 4 /* 24 sums, 4 entries of B: 28 of 32 registers */
#elif defined(FASTMLP_NEON)
#define LONGEST 16
#define MOST_VECTORS 4 /* the same */
#else
#define LONGEST 32
#define MOST_VECTORS 2 /* 12 sums, 2 entries of B: 14 of 16 registers */
#endif
#define TILE_ROWS 6
/* A single row has as many sums at a time as multiply-adds are under way. */
#define ROW_VECTORS 8

/* Rows of B that are worked on at a time. MOST_VECTORS vectors a row are more than a
   nearest cache holds, but half as many would have C read and written twice as often. */
#define DEPTH 256

/* Rows of A that are worked on at a time: 44 tiles, so that packing a panel of B for
   them is little beside using it. */
#define BLOCK_ROWS 264

/* Bytes between rows of B from which on they are gathered into a panel first: each would
   cost an entry of the address cache, and lines that share their place in the nearest.
   A panel is used once for every tile: for fewer than four it does not pay. */
#define FAR_APART 1024
#define WORTH_GATHERING 24

/* Bytes of a row of B that are gathered at a time, in as many panels as that is: a row may
   be on a page of its own. */
#define GATHERED 256

/* Bytes of a row of C from which on A is gathered in strips where its columns are not
   side by side: a tile then reads it in the order in which it lies. */
#define WORTH_STRIPS 1024

/* Bytes between rows of A from which on they are gathered, where there are as many
   columns of C to read them for: each is on its own page. */
#define PAGE 4096
#define WORTH_PACKING 512

/* Entries between what is gathered of A, lest it share few places of the caches. */
#define GAP 16

/* Depth from which on a product of few columns is worth turning on its side. */
#define WORTH_TURNING 16

/* Depth from which on a single row of A Bᵀ is dot products: B would be packed for it alone. */
#define WORTH_DOTS 32

/* Bytes between rows of C from which on a tile of it is fetched while its sums are on
   their way. */
#define WORTH_FETCHING 2048

/* An index that walks over an image: n entries in runs, those of a run `step` apart, one
   run `jump` behind the other. */
typedef struct {
    Py_ssize_t n, run, step, jump;
} walk_t;

/* Images side by side, `stride` apart, each walked over in turn. */
typedef struct {
    Py_ssize_t n, stride;
} images_t;

static inline Py_ssize_t walk_at(const walk_t *walk, Py_ssize_t i)
{
    return i / walk->run * walk->jump + i % walk->run * walk->step;
}

#if TILES_PAY

/* What clang does by itself, GCC is told: to unroll the loops over a tile, and on x86 to
   add sum += a b in the register where it is; of the three forms of that instruction it
   takes others too, and then moves the sums about. ARM has one form. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#if defined(__clang__) || defined(FASTMLP_NEON)
#define MULTIPLY_ADD(sum, a, b) (sum) += (a) * (b)
#else
#define MULTIPLY_ADD(sum, a, b) \
    __asm__("vfmadd231" SUFFIX " %1, %2, %0" : "+v"(sum) : "v"(a), "v"(b))
#endif

#define REAL float
#define INDEX int
#define SUFFIX "ps"
#define SHORTEST 8
#include "tiles_of_type.h"
#undef REAL
#undef INDEX
#undef SUFFIX
#undef SHORTEST

#define REAL double
#define INDEX long long
#define SUFFIX "pd"
#define SHORTEST 16
#include "tiles_of_type.h"
#undef REAL
#undef INDEX
#undef SUFFIX
#undef SHORTEST

#else
#define tiles_multiply_float(...) ((void)0)
#define tiles_multiply_double(...) ((void)0)
#endif
#endif
