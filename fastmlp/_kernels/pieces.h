/* Products of float32 on a matrix unit that multiplies bfloat16 (AMX).

   A float32 has 24 significant bits, a bfloat16 has eight: every number is the sum of
   three pieces, a = a₀ + a₁ + a₂, each the next eight bits. Of the nine products of
   pieces the six larger are summed, in float32: a₀b₀, a₀b₁, a₁b₀, a₁b₁, a₀b₂, a₂b₀. The
   three left out are on average no more than one sum rounds off (decision 9).

   The unit multiplies tiles: of A sixteen rows of 32 numbers, of B sixteen columns. A
   block of C is two by two tiles. Every entry of C is the same chain of sums, whichever
   block or thread computes it. What is not finite becomes NaN. */
#ifndef FASTMLP_PIECES_H
#define FASTMLP_PIECES_H
#include "tiles.h"

#if defined(__AMX_BF16__) && defined(__AVX512F__)
#define PIECES_PAY 1
#else
#define PIECES_PAY 0
#endif

/* Rows and columns of a block of C. */
enum { PIECES_BLOCK = 32 };

#if PIECES_PAY
#include <immintrin.h>
#include <stdint.h>

enum {
    SIDE = 16,             /* lines of a tile: rows of A, columns of B; floats of a vector */
    PAIRED = 2 * SIDE,     /* numbers of each line */
    TILE = SIDE * PAIRED,
    PIECE = 2 * TILE,      /* one piece of two tiles: 32 lines */
    GROUP = 3 * PIECE,     /* all of them */
    MOST_DEPTH = 512,      /* numbers of a line that are worked on at a time, */
    MOST_ROWS = 256,       /* and rows of A, */
    MOST_COLUMNS = 128,    /* and columns of B: pieces that fill half of a second cache */
};

typedef tiles_vector_float_64 numbers;
typedef uint32_t words __attribute__((vector_size(64)));

static const uint32_t UPPER = 0xffff0000;

/* As many of sixteen lanes, from the first on. */
static inline __mmask16 first_lanes(Py_ssize_t n)
{
    return n >= SIDE ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

/* The upper halves of two vectors' entries, in pairs: 32 numbers of bfloat16. */
static inline void store_pairs(uint16_t *out, words even, words odd)
{
    *(words *)out = even >> 16 | (odd & UPPER);
}

/* The three pieces of 32 numbers. The first is the nearest; what it leaves has either
   sign, so that the second may simply be cut off and the third is exact. */
static inline void split(uint16_t *out, numbers even, numbers odd)
{
    const words first_even = (words)even + 0x8000, first_odd = (words)odd + 0x8000;
    store_pairs(out, first_even, first_odd);
    even -= (numbers)(first_even & UPPER);
    odd -= (numbers)(first_odd & UPPER);
    store_pairs(out + PIECE, (words)even, (words)odd);
    even -= (numbers)((words)even & UPPER);
    odd -= (numbers)((words)odd & UPPER);
    store_pairs(out + 2 * PIECE, (words)even, (words)odd);
}

/* Up to sixteen entries of up to sixteen rows, with zeros beyond. */
static inline __attribute__((always_inline)) void load_rows(
    numbers *out, const float *source, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns)
{
    const __mmask16 lanes = first_lanes(columns);
    UNROLL for (int i = 0; i < SIDE; i++)
        out[i] = _mm512_maskz_loadu_ps(i < rows ? lanes : 0, source + i * stride);
}

/* A tile's pieces of numbers `step` apart in lines `line` apart, one of which is 1: a line
   to a row of the tile (of A), or a column (of B). Numbers 16 apart are a pair. */
static inline __attribute__((always_inline)) void pack_tile(
    uint16_t *out, const float *source, Py_ssize_t line, Py_ssize_t step, Py_ssize_t lines,
    Py_ssize_t depth, const int in_rows)
{
    numbers even[SIDE], odd[SIDE];
    if (step == 1) {
        load_rows(even, source, line, lines, depth);
        load_rows(odd, source + SIDE, line, lines, depth - SIDE);
    } else {
        load_rows(even, source, step, depth, lines);
        load_rows(odd, source + SIDE * step, step, depth - SIDE, lines);
    }
    if ((step == 1) != in_rows) {
        tiles_turn_float_64(even);
        tiles_turn_float_64(odd);
    }
    UNROLL for (int i = 0; i < SIDE; i++)
        split(out + i * PAIRED, even[i], odd[i]);
}

static inline __attribute__((always_inline)) void pack_group(
    uint16_t *out, const float *source, Py_ssize_t line, Py_ssize_t step, Py_ssize_t lines,
    Py_ssize_t depth, const int in_rows)
{
    for (Py_ssize_t side = 0; side < PIECES_BLOCK && side < lines; side += SIDE)
        pack_tile(out + side * PAIRED, source + side * line, line, step, lines - side, depth,
                  in_rows);
}

/* Groups of 32 lines, of each the numbers by 32; read in the order in which they lie. */
static inline __attribute__((always_inline)) void pack_groups(
    uint16_t *out, const float *source, Py_ssize_t line, Py_ssize_t step, Py_ssize_t lines,
    Py_ssize_t depth, const int in_rows)
{
    const Py_ssize_t of_lines = (depth + PAIRED - 1) / PAIRED * GROUP;
    if (step == 1)
        for (Py_ssize_t i = 0; i < lines; i += PIECES_BLOCK)
            for (Py_ssize_t l = 0; l < depth; l += PAIRED)
                pack_group(out + i / PIECES_BLOCK * of_lines + l / PAIRED * GROUP,
                           source + i * line + l, line, 1, lines - i, depth - l, in_rows);
    else
        for (Py_ssize_t l = 0; l < depth; l += PAIRED)
            for (Py_ssize_t i = 0; i < lines; i += PIECES_BLOCK)
                pack_group(out + i / PIECES_BLOCK * of_lines + l / PAIRED * GROUP,
                           source + i + l * step, 1, step, lines - i, depth - l, in_rows);
}

static __attribute__((noinline)) void pack_rows(
    uint16_t *out, const float *a, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t rows,
    Py_ssize_t depth)
{
    pack_groups(out, a, a_row, a_column, rows, depth, 1);
}

static __attribute__((noinline)) void pack_columns(
    uint16_t *out, const float *b, Py_ssize_t b_row, Py_ssize_t b_column, Py_ssize_t columns,
    Py_ssize_t depth)
{
    pack_groups(out, b, b_column, b_row, columns, depth, 0);
}

/* The unit has eight registers of a tile: 0 to 3 for the block of C, 4 and 5 for a piece
   of A, 6 and 7 for one of B. */
#define LOAD_A(P) \
    _tile_loadd(4, a + P * PIECE, 64); _tile_loadd(5, a + P * PIECE + TILE, 64);
#define LOAD_B(P) \
    _tile_loadd(6, b + P * PIECE, 64); _tile_loadd(7, b + P * PIECE + TILE, 64);
#define ADD_PRODUCTS \
    _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7); \
    _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7);

/* c (32, 32) = a b, of `groups` groups of either. */
static inline void multiply_groups(
    float *c, Py_ssize_t c_row, const uint16_t *a, const uint16_t *b, Py_ssize_t groups)
{
    const Py_ssize_t bytes = c_row * (Py_ssize_t)sizeof(float);
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (Py_ssize_t l = 0; l < groups; l++, a += GROUP, b += GROUP) {
        LOAD_A(1) LOAD_B(1) ADD_PRODUCTS
        LOAD_A(0) ADD_PRODUCTS
        LOAD_B(2) ADD_PRODUCTS
        LOAD_B(0) ADD_PRODUCTS
        LOAD_A(1) ADD_PRODUCTS
        LOAD_A(2) ADD_PRODUCTS
    }
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + SIDE, bytes);
    _tile_stored(2, c + SIDE * c_row, bytes);
    _tile_stored(3, c + SIDE * c_row + SIDE, bytes);
}

/* c (rows, columns) = block (+ c), of at most 32 either way. */
static inline void write_block(
    float *c, Py_ssize_t c_row, const float *block, Py_ssize_t rows, Py_ssize_t columns,
    int accumulate)
{
    for (Py_ssize_t i = 0; i < rows && i < PIECES_BLOCK; i++)
        for (Py_ssize_t j = 0; j < PIECES_BLOCK; j += SIDE) {
            const __mmask16 lanes = first_lanes(columns - j);
            float *const out = c + i * c_row + j;
            __m512 sums = _mm512_load_ps(block + i * PIECES_BLOCK + j);
            if (accumulate)
                sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(lanes, out));
            _mm512_mask_storeu_ps(out, lanes, sums);
        }
}

static inline void multiply_block(
    float *c, Py_ssize_t c_row, const uint16_t *a, const uint16_t *b, Py_ssize_t groups,
    Py_ssize_t rows, Py_ssize_t columns, int accumulate)
{
    float block[PIECES_BLOCK * PIECES_BLOCK] __attribute__((aligned(64)));
    if (rows >= PIECES_BLOCK && columns >= PIECES_BLOCK && !accumulate) {
        multiply_groups(c, c_row, a, b, groups);
        return;
    }
    multiply_groups(block, PIECES_BLOCK, a, b, groups);
    write_block(c, c_row, block, rows, columns, accumulate);
}

static void multiply_panel(
    float *c, Py_ssize_t c_row, const uint16_t *a, const uint16_t *b, Py_ssize_t rows,
    Py_ssize_t columns, Py_ssize_t groups, int accumulate)
{
    const Py_ssize_t of_lines = groups * GROUP;
    __asm__ volatile("" ::: "memory"); /* The compiler does not see what the unit reads. */
    for (Py_ssize_t j = 0; j < columns; j += PIECES_BLOCK)
        for (Py_ssize_t i = 0; i < rows; i += PIECES_BLOCK)
            multiply_block(c + i * c_row + j, c_row, a + i / PIECES_BLOCK * of_lines,
                           b + j / PIECES_BLOCK * of_lines, groups, rows - i, columns - j,
                           accumulate);
}

/* All eight registers hold whole tiles. */
static inline void begin_tiles(void)
{
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; }
        shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = PAIRED * sizeof(uint16_t);
        shape.rows[i] = SIDE;
    }
    _tile_loadconfig(&shape);
}

/* c (m, n) = a b (+ c); strides in entries, one of either operand's is 1. */
static void pieces_multiply(
    float *c, Py_ssize_t c_row, const float *a, const float *b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, int accumulate)
{
    /* Too much for the stacks of some systems' threads. */
    static _Thread_local uint16_t a_pieces[3 * MOST_ROWS * MOST_DEPTH]
        __attribute__((aligned(64)));
    static _Thread_local uint16_t b_pieces[3 * MOST_COLUMNS * MOST_DEPTH]
        __attribute__((aligned(64)));
    begin_tiles();
    for (Py_ssize_t l = 0; l < k; l += MOST_DEPTH) {
        const Py_ssize_t depth = k - l < MOST_DEPTH ? k - l : MOST_DEPTH;
        const Py_ssize_t groups = (depth + PAIRED - 1) / PAIRED;
        for (Py_ssize_t i = 0; i < m; i += MOST_ROWS) {
            const Py_ssize_t rows = m - i < MOST_ROWS ? m - i : MOST_ROWS;
            pack_rows(a_pieces, a + i * a_row + l * a_column, a_row, a_column, rows, depth);
            for (Py_ssize_t j = 0; j < n; j += MOST_COLUMNS) {
                const Py_ssize_t columns = n - j < MOST_COLUMNS ? n - j : MOST_COLUMNS;
                pack_columns(b_pieces, b + l * b_row + j * b_column, b_row, b_column, columns,
                             depth);
                multiply_panel(c + i * c_row + j, c_row, a_pieces, b_pieces, rows, columns,
                               groups, accumulate || l > 0);
            }
        }
    }
    _tile_release();
}

#undef LOAD_A
#undef LOAD_B
#undef ADD_PRODUCTS

#else
#define pieces_multiply(...) ((void)0)
#endif
#endif
