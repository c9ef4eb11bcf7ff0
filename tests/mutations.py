"""Break one formula or one step of logic at a time, and see some test go red.

``python -m tests.mutations [--jobs N] [--only NAME]`` copies the tree to a temporary
folder, breaks one thing there, builds what it touches and runs the fast tests. It ends
with an error if a mutation survives: then a test is missing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

# The first failure ends a run: the broken file's own tests come first, then those that
# find most, then all others.
NATIVE_FIRST = (
    "test_kernels.py",
    "test_math.py",
    "test_network.py",
    "test_second_order.py",
    "test_sparse.py",
    "test_torch.py",
    "test_threads.py",
    "test_allocation.py",
    "test_parity.py",
)
PYTHON_FIRST = (
    "test_network.py",
    "test_methods.py",
    "test_estimators.py",
    "test_stopping.py",
    "test_schedules.py",
    "test_fitting.py",
    "test_state.py",
    "test_attributes.py",
    "test_inputs.py",
    "test_conversion.py",
    "test_initialization.py",
    "test_second_order.py",
    "test_torch.py",
    "test_sparse.py",
    "test_parity.py",
)
NATIVE_ONLY = ("test_kernels.py", "test_math.py", "test_allocation.py")
# The last two look at what is not copied.
LEFT_OUT = (
    "test_mutations.py",
    "test_import.py",
    "test_reference.py",
    "test_house.py",
    "test_site.py",
)
SLOW_TESTS = (
    "test_parity.py::test_lbfgs[digits-(10,)]",
    "test_parity.py::test_lbfgs[digits-()]",
    "test_parity.py::test_all_digits_with_one_hidden_layer_of_100",
)

BUILD_SECONDS = 600
TEST_SECONDS = 900

NOT_COPIED = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.pyd")

# === file [engine], * name, - old text, + new text. The old text stands once in the
# file; it begins and ends anywhere in a line. Without new text it is taken out. The
# engine is v3 where plain would not run it: our own tiles, and with them threads.
TABLE = """
=== fastmlp/_kernels/math.pxd

* exp_power_in_one_factor
- half = round_to_integer(n * <real>0.5)
+ half = n
* exp_ln2_in_one_part
- return (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
+ return x - n * 0.6931471805599453
* exp_wrong_coefficient
- p * r + <real>(1. / 24)
+ p * r + <real>(1. / 25)
* exp_infinite_too_early
- x = <float>89 if x > <float>89 else x
+ x = <float>88 if x > <float>88 else x
* exp_without_subnormals
- x = -746. if x < -746. else x
+ x = -708. if x < -708. else x
* expm1_cancels
- return power * expm1_reduced(remainder(x, n)) + (power - <real>1)
+ return power * (expm1_reduced(remainder(x, n)) + 1) - <real>1
* expm1_ends_too_early
- x = <real>-60 if x < <real>-60 else x
+ x = <real>-30 if x < <real>-30 else x
* tanh_without_sign
- return with_sign_of(t / (t + <real>2), x)
+ return -t / (t + <real>2)
* tanh_of_half_x
- expm1_negative(<real>-2 * absolute(x))
+ expm1_negative(<real>-absolute(x))
* sigmoid_even
- (<real>1 if x >= 0 else e) / (<real>1 + e)
+ <real>1 / (<real>1 + e)
* sigmoid_of_negative_x_overflows
- cdef real e = exp(-absolute(x))
-     return (<real>1 if x >= 0 else e) / (<real>1 + e)
+ cdef real e = exp(x)
+     return e / (<real>1 + e)
* log_of_subnormals_unscaled
- log_normal(x * (scale if x < tiny else <real>1))
+ log_normal(x)
* log_of_subnormals_scaled_wrongly
- 2.**54, 37.4
+ 2.**53, 37.4
* log_finite_at_zero
- result = -<real>INFINITY if x == 0 else result
* log_of_negative_numbers
- return result if x >= 0 else <real>NAN
+ return result
* log_finite_at_infinity
- result = x if x == <real>INFINITY else result
* log_exponent_off_by_one
- return e - <float>8388735.0
+ return e - <float>8388734.0
* log_wrong_coefficient
- p * z + <real>(2. / 7)
+ p * z + <real>(2. / 8)
* log1p_keeps_rounding
- return log_normal(u) + (x - (u - <real>1)) / u
+ return log_normal(u)
* erf_wrong_coefficient
- p = p * z + -0.37612638903183493
+ p = p * z + -0.37612638903083493
* erf_wrong_coefficient_of_single
- p = p * z + <float>0.1128337657
+ p = p * z + <float>0.1128437657
* erf_tail_wrong_coefficient
- q = q * x + 0.10245576461594796
+ q = q * x + 0.10245576471594796
* erf_seam_too_late
- limit, seam = 6, 1.1875
+ limit, seam = 6, 2.0
* erf_ends_too_early
- limit, seam = 4, <float>0.75
+ limit, seam = 3, <float>0.75
* erf_hides_nan
- magnitude = limit if magnitude > limit else magnitude
+ magnitude = magnitude if magnitude < limit else limit
* erf_even
- erf_centre(magnitude) if magnitude < seam else erf_tail(magnitude), x)
+ erf_centre(magnitude) if magnitude < seam else erf_tail(magnitude), magnitude)
* reciprocal_of_infinity
- <real>1e30 if x > <real>1e30 else x
+ x
* reciprocal_squared_only
- r = r + r * (e + e * e)
-     return
+ r = r + r * e
+     return
* reciprocal_not_refined
- return r + r * (<real>1 - x * r)
+ return r
* softplus_overflows
- (<real>0 if x < 0 else x) + log1p(exp(-absolute(x)))
+ log(1 + exp(x))
* softplus_keeps_rounding
- log1p(exp(-absolute(x)))
+ log(1 + exp(-absolute(x)))
* softplus_without_x
- (<real>0 if x < 0 else x) + log1p
+ log1p

=== fastmlp/_kernels/activations.pxd

* hardsigmoid_shifted
- cdef real c = z + <real>3
+ cdef real c = z + <real>2
* hardswish_slope_at_its_end
- <real>0 if z < -3 else (<real>1 if z > 3
+ <real>0 if z < -3 else (<real>1 if z > 2
* activation_param_ignored
- return param * z if z < 0
+ return <real>0.01 * z if z < 0
* logistic_slope
- return a * (<real>1 - a)
-     elif activation == TANH:
+ return a
+     elif activation == TANH:
* tanh_slope
- return <real>1 - a * a
+ return <real>1 - a
* relu_slope
- return <real>0 if a == 0 else <real>1
+ return <real>1
* relu_loses_nan
- return <real>0 if z < 0 else z
+ return z if z > 0 else <real>0
* exp_slope
- return a
-     elif activation == IDENTITY:
+ return 1
+     elif activation == IDENTITY:
* bias_left_out
- value(row[j] + b[j], activation, param)
+ value(row[j], activation, param)
* first_bias_for_all
- value(row[j] + b[j], activation, param)
+ value(row[j] + b[0], activation, param)
* slope_replaces_delta
- delta[i] = delta[i] * slope(a[i], z[i], activation, param)
+ delta[i] = slope(a[i], z[i], activation, param)
* softmax_overflows
- e[i * n + j] = z[i * n + j] - largest[i]
+ e[i * n + j] = z[i * n + j]
* softmax_not_normalised
- factor = <real>1 / totals[i]
+ factor = <real>1
* softmax_of_first_block
- exponentiate_rows(a + begin * n, largest, totals, a + begin * n, size, n)
+ exponentiate_rows(a + begin * n, largest, totals, a, size, n)
* bias_left_out_of_costly_ones
- map_biased_value(a, b, rows, n, IDENTITY, param)
+ pass
* leaky_relu_leaks_a_tenth
- return param * z if z < 0 else z
+ return <real>0.1 * z if z < 0 else z
* leaky_relu_flat_below_zero
- <real>1 if a > 0 else param
+ <real>1 if a > 0 else <real>0
* leaky_relu_slope_at_zero
- <real>1 if a > 0 else param
+ <real>1 if a >= 0 else param
* elu_above_zero
- return math.expm1_negative(z) if z < 0 else z
+ return math.expm1_negative(-math.absolute(z))
* elu_slope
- return <real>1 if a > 0 else a + <real>1
+ return <real>1 if a > 0 else a
* elu_curvature
- ELU:
-         return <real>0 if a > 0 else a + <real>1
-     elif
+ ELU:
+         return <real>0 if a > 0 else a
+     elif
* elu_curvature_at_zero
- ELU:
-         return <real>0 if a > 0 else a + <real>1
-     elif
+ ELU:
+         return <real>0 if a >= 0 else a + <real>1
+     elif
* selu_without_scale
- else <real>1.0507009873554805 * z)
+ else z)
* selu_without_scale_below_zero
- (<real>1.7580993408473766 * math
+ (<real>1.6732632423543772 * math
* selu_slope
- return <real>1.0507009873554805 if a > 0 else a
+ return <real>1 if a > 0 else a
* selu_slope_below_zero
- <real>1.0507009873554805 if a > 0 else a +
+ <real>1.0507009873554805 if a > 0 else
* selu_slope_at_zero
- return <real>1.0507009873554805 if a > 0 else
+ return <real>1.0507009873554805 if a >= 0 else
* selu_curvature
- <real>0 if a > 0 else a + <real>1.7580993408473766
+ <real>0 if a > 0 else a
* softplus_slope
- return -math.expm1_negative(-a)
+ return 1 + math.expm1_negative(-a)
* softplus_curvature
- return s * (<real>1 - s)
-     elif activation == SILU:
+ return s
+     elif activation == SILU:
* silu_without_z
- return z * math.sigmoid(z)
+ return math.sigmoid(z)
* silu_slope
- return s * (<real>1 + z * (<real>1 - s))
+ return s * (<real>1 + z)
* silu_curvature
- (<real>2 + z * (<real>1 - <real>2 * s))
+ (1 + z * (<real>1 - <real>2 * s))
* gelu_by_its_approximation
- return z * normal_distribution(z)
+ return <real>0.5 * z * (1 + math.tanh(gelu_argument(z)))
* gelu_slope
- return normal_distribution(z) + z * normal_density(z)
+ return normal_distribution(z)
* gelu_curvature
- return normal_density(s) * (<real>2 - s * s)
+ return normal_density(s) * (1 - s * s)
* normal_density_of_z
- math.exp(<real>-0.5 * z * z)
+ math.exp(-z * z)
* normal_distribution_of_z
- math.erf(z * <real>0.7071067811865476)
+ math.erf(z)
* gelu_tanh_without_cube
- (<real>1 + <real>0.044715 * z * z)
+ <real>1
* gelu_tanh_of_z
- (<real>1 + math.tanh(gelu_argument(within(z, 10))))
+ (<real>1 + math.tanh(z))
* gelu_tanh_slope
- c * (<real>1 - t * t) * gelu_argument_slope(c)
+ c * (<real>1 - t) * gelu_argument_slope(c)
* gelu_tanh_slope_overflows
- cdef real c = within(z, 10)
-     cdef real t = math.tanh(gelu_argument(c))
-     return
+ cdef real c = z
+     cdef real t = math.tanh(gelu_argument(c))
+     return
* gelu_tanh_slope_of_argument
- (<real>1 + <real>0.134145 * z * z)
+ (<real>1 + <real>0.044715 * z * z)
* gelu_tanh_curvature_of_argument
- u + c * c * <real>(0.7978845608028654 * 0.134145) - c
+ u - c
* gelu_tanh_curvature_of_tanh
- - c * t * u * u)
+ )
* mish_gate
- cdef real d = <real>2 * e * e if z >= 0 else <real>2
+ cdef real d = <real>2 * e * e if z >= 0 else 1
* mish_gate_above_zero
- cdef real n = <real>1 + <real>2 * e if z >= 0
+ cdef real n = <real>1 + e if z >= 0
* mish_overflows
- cdef real e = math.exp(-math.absolute(z))
-     cdef real n
+ cdef real e = math.exp(-z)
+     cdef real n
* mish_gate_slope
- complement[0] = d / (n + d) * (<real>1 + t)
+ complement[0] = d / (n + d)
* mish_slope
- return t + z * complement * math.sigmoid(z)
+ return t + z * complement
* mish_curvature
- return complement * s * (<real>2 + z
+ return complement * s * (1 + z
* mish_curvature_of_gate
- (<real>1 - s - <real>2 * t * s)
+ (<real>1 - s - t * s)
* logistic_curvature
- return a * (<real>1 - a) * (<real>1 - <real>2 * a)
+ return a * (<real>1 - a)
* tanh_curvature
- return <real>-2 * a * (<real>1 - a * a)
+ return <real>-a * (<real>1 - a * a)
* exp_curvature
- return a
-     elif activation == IDENTITY or
+ return 0
+     elif activation == IDENTITY or
* curvature_without_slope
- rdelta[i] = (rdelta[i] * slope(a[i], z[i], activation, param)
+ rdelta[i] = (rdelta[i]
* curvature_without_rz
- * curvature(a[i], z[i], activation) * rz[i])
+ * curvature(a[i], z[i], activation))
* curvature_without_delta
- + delta[i] * curvature
+ + curvature
* jacobian_mean_without_p
- mean += v[i * n + j] * p[i * n + j]
+ mean += v[i * n + j]
* jacobian_without_mean
- p[i * n + j] * (v[i * n + j] - mean)
+ p[i * n + j] * v[i * n + j]
* rest_of_the_values_lost
- memcpy(a + n - rest, filled, rest * sizeof(real))
+ pass
* rest_of_the_slopes_lost
- memcpy(delta + n - rest, filled_d, rest * sizeof(real))
+ pass

=== fastmlp/_kernels/blas.pxd

* gemm_operands_swapped
- <double*>b, &b_width, <double*>a, &a_width, &beta
+ <double*>a, &a_width, <double*>b, &b_width, &beta
* gemm_transposes_swapped
- sgemm(op_b, op_a,
+ sgemm(op_a, op_b,
* gemv_transpose_swapped
- op = b"N" if transpose else b"T"
+ op = b"T" if transpose else b"N"
* product_beside_its_columns
- gemm(c, <int>c_row, a
+ gemm(c, <int>n, a
* product_not_accumulated
- cdef real beta = 1 if accumulate else 0
+ cdef real beta = 0
* one_row_times_transpose
- gemv(c, b, a, False, <int>n, <int>k
+ gemv(c, b, a, True, <int>n, <int>k
* one_column_from_wrong_side
- gemv(c, a, b, True, <int>k, <int>m
+ gemv(c, a, b, False, <int>k, <int>m

=== fastmlp/_kernels/reductions.pxd

* cap_hides_nan
- lanes[j] += cap if x[i * LANES + j] > cap else x[i * LANES + j]
+ lanes[j] += x[i * LANES + j] if x[i * LANES + j] <= cap else cap
* cap_hides_nan_at_the_end
- result += cap if x[i] > cap else x[i]
+ result += x[i] if x[i] <= cap else cap
* total_without_the_end
- for i in range(n - n % LANES, n):
-         result +=
+ for i in range(n - n % LANES, n - 1):
+         result +=
* total_of_first_lanes
- for i in range(n // LANES):
-         for j in range(LANES):
-             lanes[j] +=
+ for i in range(1):
+         for j in range(LANES):
+             lanes[j] +=
* largest_of_first_lanes
- for i in range(1, n // LANES):
+ for i in range(1, 1):
* largest_without_the_end
- for i in range(n - n % LANES, n):
-         result = larger
+ for i in range(n, n):
+         result = larger

* largest_of_short_rows_without_first
- out[i] = x[i * n]
+ out[i] = 0
* largest_of_short_rows_without_last
- for j in range(1, n):
+ for j in range(1, n - 1):
* largest_of_first_long_row
- out[i] = largest(x + i * n, n)
+ out[i] = largest(x, n)
* total_of_first_long_row
- out[i] = total(x + i * n, n, cap)
+ out[i] = total(x, n, cap)
* total_of_short_rows_without_last
- for j in range(n):
-         for i in range(rows):
-             out[i] += cap
+ for j in range(n - 1):
+         for i in range(rows):
+             out[i] += cap
* cap_hides_nan_in_short_rows
- out[i] += cap if x[i * n + j] > cap else x[i * n + j]
+ out[i] += x[i * n + j] if x[i * n + j] <= cap else cap

=== fastmlp/_kernels/products.pxd

* nt_as_nn
- k, 1, 1, k, accumulate, in_pieces(sizeof(real), m, n, k))
+ k, 1, n, 1, accumulate, in_pieces(sizeof(real), m, n, k))
* tn_not_accumulated
- 1, m, n, 1, accumulate, in_pieces(sizeof(real), m, n, k))
+ 1, m, n, 1, False, in_pieces(sizeof(real), m, n, k))
* column_sums_begin_anew
- if not accumulate:
-         memset(out
+ if True:
+         memset(out
* column_sums_miss_first_row
- for i in range(m // 4):
+ for i in range(1, m // 4):
* column_sums_miss_last_rows
- for i in range(m - m % 4, m):
+ for i in range(m, m):
* column_sums_of_one_row_twice
- a[(4 * i + 1) * n + j]
+ a[4 * i * n + j]
* nt_not_accumulated
- k, 1, 1, k, accumulate, in_pieces(sizeof(real), m, n, k))
+ k, 1, 1, k, False, in_pieces(sizeof(real), m, n, k))
* nn_not_accumulated
- k, 1, n, 1, accumulate, in_pieces(sizeof(real), m, n, k))
+ k, 1, n, 1, False, in_pieces(sizeof(real), m, n, k))

=== fastmlp/_kernels/products.pxd v3

* product_over_nothing_not_zero
- memset(c + i * c_row, 0, n * sizeof(real))
+ pass
* outer_product_not_accumulated
- row[j] += factor * b[j]
+ row[j] = factor * b[j]
* outer_product_always_accumulates
- row[j] = factor * b[j]
+ row[j] += factor * b[j]
* outer_product_of_one_factor
- a[i * a_row]
+ a[0]
* outer_product_in_one_row
- c + i * c_row, a[i
+ c, a[i
* outer_product_rows_side_by_side
- c + i * c_row, a[i
+ c + i * n, a[i
* one_column_by_wrong_strides
- 1, m, k, 0, b_row, a_column, a_row, accumulate)
+ 1, m, k, 0, b_row, a_row, a_column, accumulate)

=== fastmlp/_kernels/pieces.h amx

* first_piece_cut_off
- first_even = (words)even + 0x8000, first_odd = (words)odd + 0x8000;
+ first_even = (words)even, first_odd = (words)odd;
* second_pieces_of_the_first
- store_pairs(out + PIECE, (words)even, (words)odd);
+ store_pairs(out + PIECE, first_even, first_odd);
* no_third_pieces
- store_pairs(out + 2 * PIECE, (words)even, (words)odd);
+ store_pairs(out + 2 * PIECE, (words)even & 0, (words)odd & 0);
* pairs_with_rests
- even >> 16 | (odd & UPPER);
+ even >> 16 | odd;
* no_products_of_second_pieces
- LOAD_A(1) LOAD_B(1) ADD_PRODUCTS
+
* no_products_of_third_pieces_of_a
- LOAD_A(2) ADD_PRODUCTS
+
* no_products_of_third_pieces_of_b
- LOAD_B(2) ADD_PRODUCTS
+ LOAD_B(2)
* rows_beyond_read
- i < rows ? lanes : 0
+ lanes
* columns_beyond_read
- return n >= SIDE ? 0xffff : n <= 0
+ return n > 0 ? 0xffff : n <= 0
* tiles_never_turned
- if ((step == 1) != in_rows) {
+ if (0) {
* tile_of_few_numbers_read_whole
- load_rows(odd, source + SIDE, line, lines, depth - SIDE);
+ load_rows(odd, source + SIDE, line, lines, depth);
* tile_of_few_rows_read_whole
- load_rows(odd, source + SIDE * step, step, depth - SIDE, lines);
+ load_rows(odd, source + SIDE * step, step, depth, lines);
* second_side_as_the_first
- source + side * line, line, step, lines - side, depth,
+ source, line, step, lines - side, depth,
* second_side_in_place_of_the_first
- pack_tile(out + side * PAIRED,
+ pack_tile(out,
* groups_of_first_lines
- source + i * line + l, line
+ source + l, line
* groups_of_first_columns
- source + i + l * step, 1
+ source + l * step, 1
* groups_of_first_numbers
- source + i + l * step, 1
+ source + i, 1
* block_in_wrong_order
- _tile_stored(1, c + SIDE, bytes);
+ _tile_stored(2, c + SIDE, bytes);
* block_not_begun_anew
- _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
+ _tile_zero(1); _tile_zero(2); _tile_zero(3);
* first_group_only
- l < groups; l++, a += GROUP, b += GROUP
+ l < 1; l++, a += GROUP, b += GROUP
* block_written_whole
- i < rows && i < PIECES_BLOCK; i++)
+ i < PIECES_BLOCK; i++)
* block_not_added
- sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(lanes, out));
+ sums = _mm512_add_ps(sums, _mm512_setzero_ps());
* small_block_written_whole
- if (rows >= PIECES_BLOCK && columns >= PIECES_BLOCK && !accumulate) {
+ if (rows >= PIECES_BLOCK && !accumulate) {
* whole_block_not_added
- if (rows >= PIECES_BLOCK && columns >= PIECES_BLOCK && !accumulate) {
+ if (rows >= PIECES_BLOCK && columns >= PIECES_BLOCK) {
* panel_of_first_rows_pieces
- c + i * c_row + j, c_row, a + i / PIECES_BLOCK * of_lines,
+ c + i * c_row + j, c_row, a,
* panel_of_first_columns_pieces
- b + j / PIECES_BLOCK * of_lines, groups
+ b, groups
* pieces_of_first_rows
- a + i * a_row + l * a_column, a_row
+ a + l * a_column, a_row
* pieces_of_first_depth
- b + l * b_row + j * b_column, b_row
+ b + j * b_column, b_row
* later_depths_not_added
- groups, accumulate || l > 0);
+ groups, accumulate);

=== fastmlp/_kernels/products.pxd amx

* float64_in_pieces_never_asked
- item_size == sizeof(float) and
+ True and

=== fastmlp/_kernels/engine.pxi amx

* pieces_by_share_of_rows
- products.in_pieces(job.item_size, span.block, n, k)
+ products.in_pieces(job.item_size, span.rows, n, k)
* pieces_by_share_of_weights
- products.in_pieces(job.item_size, layer.n_in, layer.n_out, rows))
+ products.in_pieces(job.item_size, end - begin, layer.n_out, rows))

=== fastmlp/_kernels/layout.pxi amx

* bundles_overlap
- units.begin = max(begin, 0) * size
+ units.begin = max(begin, 0) * (size - 1)
* bundles_without_their_end
- units.end = min(end * size, n)
+ units.end = min(end * size, n - 1)

=== fastmlp/_kernels/tiles_of_length.h v3

* tile_not_accumulated
- accumulate || l > 0);
+ accumulate);
* tile_always_accumulates
- accumulate || l > 0);
+ 1);
* tile_overlap_misplaced
- ((v) == vectors - 1 ? last : (v) * LANES)
+ ((v) * LANES)
* tile_last_rows_left_out
- TILES(TILE_ROWS, VECTORS) TILES(4, VECTORS) TILES(2, VECTORS) TILES(1, VECTORS)
+ TILES(TILE_ROWS, VECTORS) TILES(4, VECTORS) TILES(2, VECTORS)
* last_rows_of_first_strip
- a->first + i / TILE_ROWS * a->strip
+ a->first
* last_rows_of_their_strip_are_its_first
- + i % TILE_ROWS * a->row, a->row
+ , a->row
* transpose_blocks_stay
- x[i + size] = __builtin_shuffle(upper, lower, left + size);
+ x[i + size] = lower;
* transpose_same_block_twice
- __builtin_shuffle(upper, lower, left + size)
+ __builtin_shuffle(upper, lower, left)
* transpose_shallow_not_turned
- packed[l * width + r] = b[r * b_column + l];
+ packed[l * width + r] = b[l * b_column + r];
* transpose_last_columns_beside
- column = r < columns - LANES ? r : columns - LANES
+ column = r < columns - LANES ? r : 0
* transpose_last_rows_beside
- row = l < depth - LANES ? l : depth - LANES
+ row = l < depth - LANES ? l : 0
* pack_first_row_only
- source + i * stride, columns
+ source, columns
* panel_of_first_columns
- *panel = b + j * b_column
+ *panel = b
* slice_of_first_rows_of_b
- b + l * b_row, rows, n
+ b, rows, n
* block_of_first_rows
- a + i * a_row + l * a_column, a_row
+ a + l * a_column, a_row
* inputs_of_first_depth
- a + i * a_row + l * a_column, a_row
+ a + i * a_row, a_row
* strips_without_their_last_rows
- i = whole; i < rows
+ i = whole; i < whole
* last_rows_beside_their_strip
- out[i - whole] = column[i]
+ out[i] = column[i]
* strips_overlap
- strip = TILE_ROWS * depth + GAP
+ strip = TILE_ROWS * depth - GAP
* strips_read_as_columns
- return (NAME(block)){packed, 1, TILE_ROWS, strip}
+ return (NAME(block)){packed, 1, a_column, strip}
* rows_packed_as_not_packed
- packed, depth + GAP, 1, TILE_ROWS * (depth + GAP)
+ packed, a_row, 1, TILE_ROWS * (depth + GAP)
* rows_not_packed_in_strips_of_a_row
- {a, a_row, a_column, TILE_ROWS * a_row}
+ {a, a_row, a_column, a_row}
* slice_beside_its_block
- c + i * c_row, c_row, &block
+ c + i * n, c_row, &block
* panels_packed_side_by_side
- vectors, c + j, c_row, a
+ vectors, c + j, n, a
* row_panels_overlap
- ROW(5) ROW(6)
+ ROW(5)
* row_not_accumulated
- vectors, c + j, a, panel, b_row, depth, columns - LANES, accumulate)
+ vectors, c + j, a, panel, b_row, depth, columns - LANES, 0)
* row_by_wrong_column
- NAME(tile)(1, VECTORS, c, 0, a->first, a->row, a->column
+ NAME(tile)(1, VECTORS, c, 0, a->first, a->row, 1
* same_panel_again
- packed += DEPTH * WIDTH
+ packed += 0
* panels_gathered_from_one
- b + l * b_row + p * WIDTH
+ b + l * b_row
* panels_beyond_the_columns
- (n - j) / WIDTH)
+ n / WIDTH)
* more_panels_than_gathered
- if (whole > PANELS)
-         whole = PANELS;
-     for
+ for
* last_depth_too_deep
- depth = k - l < DEPTH ? k - l : DEPTH
+ depth = k < DEPTH ? k : DEPTH
* last_block_too_tall
- rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS
+ rows = BLOCK_ROWS

=== fastmlp/_kernels/tiles_of_type.h v3

* narrow_begins_anew
- if (accumulate)
-             JOIN(turn
+ if (0)
+             JOIN(turn
* narrow_of_first_slice
- k - l < DEPTH ? k - l : DEPTH, a_column
+ k < DEPTH ? k : DEPTH, a_column
* narrow_of_last_slice
- accumulate || l > 0);
+ accumulate);
* narrow_of_first_block
- a + i + l * a_column
+ a + l * a_column
* narrow_into_first_block
- (c + i * c_row, c_row, turned, rows, n, rows)
+ (c, c_row, turned, rows, n, rows)
* dot_tail_dropped
- for (; l < k; l++)
+ for (l++; l < k; l++)
* dot_of_first_vector_in_its_tail
- sum[0] += *(const vector *)(a + l) * *(const vector *)(b + l);
+ sum[0] += *(const vector *)(a + l) * *(const vector *)b;
* dot_of_two_sums
- (sum[0] + sum[1]) + (sum[2] + sum[3])
+ sum[0] + sum[1]
* dot_half_the_lanes
- sum[0][i] += sum[0][i + half];
+ sum[0][i] += half < LANES / 2 ? sum[0][i + half] : 0;
* dots_not_accumulated
- accumulate ? c[i * c_row + j] + dot : dot
+ dot
* dots_of_first_row
- (a + i * a_row, b + j
+ (a, b + j
* dots_of_first_column
- b + j * b_column, k)
+ b, k)
* narrow_not_turned
- out[j * out_row + i] = in[i * in_row + j]
+ out[i * out_row + j] = in[i * in_row + j]

=== fastmlp/_kernels/losses.pxd

* gamma_of_the_logarithm
- delta[i] = <real>1 - ratio
+ delta[i] = ratio - <real>1
* tweedie_power_of_first_output
- one, two = <real>1 - powers[j], <real>2 - powers[j]
+ one, two = <real>1 - powers[0], <real>2 - powers[0]
* tweedie_without_constant
- + constant / (one * two)
* log_cosh_cancels
- if size > 1 else math.log1p(less))
+ if size > 1e-9 else math.log1p(less))
* squared_error_uphill
- delta[i] = a[i] - y[i]
+ delta[i] = y[i] - a[i]
* squared_error_doubled
- losses[i] = <real>0.5 * (a[i] - y[i])
+ losses[i] = (a[i] - y[i])
* squared_error_without_slope
- activations.multiply_slope(delta, a, z, n, activation, <real>0)
* log_loss_sign_of_yz
- - z[i] * y[i]
+ + z[i] * y[i]
* log_loss_z_for_absolute_z
- math.exp(-math.absolute(z[i]))
+ math.exp(-z[i])
* log_loss_delta_without_y
- delta[i] = math.sigmoid(z[i]) - y[i]
+ delta[i] = math.sigmoid(z[i])
* poisson_without_y
- losses[i] = mean - y[i] * z[i]
+ losses[i] = mean - z[i]
* poisson_constant
- y[i] * math.log(y[i]) - y[i] if
+ y[i] * math.log(y[i]) if
* poisson_log_of_zero
- if y[i] > 0 else <real>0)
+ if y[i] >= 0 else <real>0)
* softmax_loss_sign_of_target
- logs[i] + (largest[i] - z[at])
+ logs[i] - (largest[i] - z[at])
* softmax_loss_sign_of_log
- logs[i] + (largest[i] - z[at])
+ (largest[i] - z[at]) - logs[i]
* softmax_delta_without_one_hot
- delta[at] -= <real>1
+ pass
* softmax_losses_of_first_block
- delta + begin * n, losses + begin, z
+ delta + begin * n, losses, z
* softmax_targets_of_first_block
- z + begin * n, y + begin, size, n)
+ z + begin * n, y, size, n)
* delta_not_scaled
- scale_rows(delta, scales, rows, n)
* delta_scaled_by_first_row
- delta[i * n + j] * scales[i]
+ delta[i * n + j] * scales[0]
* absolute_error_signed
- losses[i] = math.absolute(r)
+ losses[i] = r
* absolute_error_as_squared
- <real>1 if r > 0 else (<real>-1 if r < 0 else r)
+ r
* absolute_error_slope_at_zero
- (<real>-1 if r < 0 else r)
+ <real>-1
* huber_parabola_doubled
- <real>0.5 * clipped * clipped
+ clipped * clipped
* huber_line_of_slope_one
- kappas[j] * (size - clipped)
+ (size - clipped)
* huber_slope_unclipped
- math.with_sign_of(clipped, r)
+ r
* huber_kappa_of_first_output
- clipped = kappas[j] if size > kappas[j] else size
+ clipped = kappas[0] if size > kappas[0] else size
* quantile_negative_below
- (levels[j] if r > 0 else levels[j] - <real>1)
+ levels[j]
* quantile_of_first_output
- (levels[j] if r > 0 else levels[j] - <real>1)
+ (levels[0] if r > 0 else levels[0] - <real>1)
* quantile_slope_sign
- delta[at] = -levels[j] if r > 0
+ delta[at] = levels[j] if r > 0
* quantile_slope_at_zero
- (<real>1 - levels[j] if r < 0 else r)
+ <real>1 - levels[j]
* poisson_slope_without_y
- delta[i] = mean - y[i]
+ delta[i] = mean
* squared_error_without_curvature
- slope * slope + (a - y[i]) * activations.curvature(a, z[i], activation))
+ slope * slope)
* squared_error_slope_once
- slope * slope + (a
+ slope + (a
* squared_error_curvature_sign
- + (a - y[i]) * activations.curvature
+ + (y[i] - a) * activations.curvature
* huber_curved_everywhere
- rz[i] if math.absolute(z[i] - y[i]) <= numbers[i % n] else <real>0
+ rz[i]
* huber_flat_at_its_kink
- <= numbers[i % n]
+ < numbers[i % n]
* huber_curvature_of_first_output
- <= numbers[i % n]
+ <= numbers[0]
* poisson_curvature
- rdelta[i] = math.exp(z[i]) * rz[i]
+ rdelta[i] = rz[i]
* log_loss_curvature
- rdelta[i] = p * (<real>1 - p) * rz[i]
+ rdelta[i] = p * rz[i]
* linear_losses_curved
- rdelta[i] = 0
+ rdelta[i] = rz[i]
* curvature_not_scaled
- scale_rows(rdelta, scales, rows, n)

=== fastmlp/_kernels/optimizers.pxd

* nadam_does_not_look_ahead
- (1 - pow(rule.decay_1, rule.t + 1))
+ (1 - pow(rule.decay_1, rule.t))
* lion_by_the_new_moment
- -rate if c > 0 else (rate if c < 0 else c)
+ -rate if v[0] > 0 else (rate if v[0] < 0 else c)
* lion_forgets_by_the_first_decay
- v[0] = beta_2 * v[0] + gain_2 * g
+ v[0] = beta_1 * v[0] + gain_1 * g
* sgd_uphill
- return -rate * g
+ return rate * g
* momentum_undamped
- v[0] = mu * v[0] - rate * g
-     return v[0]
+ v[0] = v[0] - rate * g
+     return v[0]
* momentum_one_step_late
- v[0] = mu * v[0] - rate * g
-     return v[0]
+ cdef real late = v[0]
+     v[0] = mu * v[0] - rate * g
+     return late
* nesterov_as_momentum
- return mu * v[0] - rate * g
+ return v[0]
* adagrad_forgets
- s[0] += g * g
+ s[0] = g * g
* adagrad_epsilon_outside_root
- s[0] += g * g
-     return math.divide(-rate * g, square_root(s[0] + epsilon))
+ s[0] += g * g
+     return math.divide(-rate * g, square_root(s[0]) + epsilon)
* rmsprop_without_gain
- s[0] = rho * s[0] + gain * g * g
+ s[0] = rho * s[0] + g * g
* rmsprop_epsilon_outside_root
- s[0] = rho * s[0] + gain * g * g
-     return math.divide(-rate * g, square_root(s[0] + epsilon))
+ s[0] = rho * s[0] + gain * g * g
+     return math.divide(-rate * g, square_root(s[0]) + epsilon)
* rmsprop_other_decay
- rmsprop(v + i, g, rate, decay_2, gain_2, epsilon)
+ rmsprop(v + i, g, rate, decay_1, gain_1, epsilon)
* adam_epsilon_inside_root
- math.divide(-rate * v[0], square_root(s[0]) + epsilon)
+ math.divide(-rate * v[0], square_root(s[0] + epsilon))
* adam_gradient_for_moment
- math.divide(-rate * v[0], square
+ math.divide(-rate * g, square
* adam_second_moment_late
- s[0] = beta_2 * s[0] + gain_2 * g * g
-     return math.divide(-rate * v[0], square_root(s[0]) + epsilon)
+ cdef real late = s[0]
+     s[0] = beta_2 * s[0] + gain_2 * g * g
+     return math.divide(-rate * v[0], square_root(late) + epsilon)
* adam_second_moment_uncorrected
- rule.learning_rate * correction / (
+ rule.learning_rate / (
* adam_first_moment_uncorrected
- step.rate = rule.learning_rate * correction / (1 - pow(rule.decay_1, rule.t))
+ step.rate = rule.learning_rate * correction
* adam_step_off_by_one
- step.rate = rule.learning_rate * correction / (1 - pow(rule.decay_1, rule.t))
+ step.rate = rule.learning_rate * correction / (1 - pow(rule.decay_1, rule.t + 1))
* adam_moments_in_one_slot
-             w[i] = shrink * w[i] + adam(
-                 v + i, s + i, g
+             w[i] = shrink * w[i] + adam(
+                 v + i, v + i, g
* gain_of_other_decay
- gain_2 = 1 - step.decay_2
+ gain_2 = 1 - step.decay_1
* momentum_of_other_decay
- momentum(v + i, g, rate, decay_1)
+ momentum(v + i, g, rate, decay_2)
* nesterov_of_other_decay
- nesterov(v + i, g, rate, decay_1)
+ nesterov(v + i, g, rate, decay_2)
* adamw_epsilon_as_adams
- (1 if rule.optimizer == ADAM else correction)
+ 1
* adams_epsilon_as_adamw
- (1 if rule.optimizer == ADAM else correction)
+ correction
* adamw_moments_uncorrected
- rule.optimizer == ADAM or rule.optimizer == ADAMW
+ rule.optimizer == ADAM
* update_without_penalty
- move(w, grads, slots, slot_stride, n, step, l2)
+ move(w, grads, slots, slot_stride, n, step, 0)
* gradient_not_scaled
- scale * penalised(grads[begin + i], w[begin + i], l1, l2)
+ penalised(grads[begin + i], w[begin + i], l1, l2)
* penalty_not_scaled
- scale * penalised(grads[begin + i], w[begin + i], l1, l2)
+ penalised(scale * grads[begin + i], w[begin + i], l1, l2)
* penalty_of_first_chunk
- penalised(grads[begin + i], w[begin + i], l1, l2)
+ penalised(grads[begin + i], w[i], l1, l2)
* penalty_twice
- slot_stride, size, step, <real>0)
+ slot_stride, size, step, l2)
* chunk_by_first_slots
- g, slots + begin, slot_stride
+ g, slots, slot_stride
* unscaled_in_spite_of_l1
- if l1 == 0 and scale == 1:
+ if scale == 1:
* unscaled_in_spite_of_scale
- if l1 == 0 and scale == 1:
+ if l1 == 0:
* sgd_without_decay
- shrink * w[i] + sgd(
+ w[i] + sgd(
* momentum_without_decay
- shrink * w[i] + momentum(
+ w[i] + momentum(
* adagrad_without_decay
- shrink * w[i] + adagrad(
+ w[i] + adagrad(
* adam_without_decay
- shrink * w[i] + adam(
+ w[i] + adam(

=== fastmlp/_kernels/regularizers.pxd

* squares_tail_dropped
- for i in range(whole, n):
+ for i in range(whole + 1, n):
* squares_first_lanes_dropped
- for i in range(n // LANES):
+ for i in range(1, n // LANES):
* squares_last_lane_dropped
- for j in range(LANES):
-         total +=
+ for j in range(LANES - 1):
+         total +=
* penalty_gradient_sign
- return g + l2 * w +
+ return g - l2 * w +
* l1_gradient_sign
- (l1 if w > 0 else (-l1 if
+ (-l1 if w > 0 else (l1 if
* l1_gradient_at_zero
- (-l1 if w < 0 else <real>0)
+ -l1
* magnitudes_signed
- total += magnitude(x[i])
+ total += x[i]
* l2_penalty_doubled
- total += 0.5 * l2 * sum_squares(x, n)
+ total += l2 * sum_squares(x, n)
* l1_penalty_of_strength_one
- total += l1 * sum_magnitudes(x, n)
+ total += sum_magnitudes(x, n)
* norm_without_penalty
-     g = penalised(grads[i], params[i], l1, l2)
+     g = grads[i]

=== fastmlp/_kernels/batch_norm.pxd

* mean_unweighted
- mean[j] += scales[i] * x[i * width + j]
+ mean[j] += x[i * width + j] / rows
* variance_unweighted
- variance[j] += scales[i] * difference
+ variance[j] += difference / rows
* variance_about_zero
- difference = x[i * width + j] - mean[j]
+ difference = x[i * width + j]
* epsilon_too_large
- variance + 1e-5
+ variance + 1e-3
* normalized_without_mean
- (row[j] - mean[first + j])
+ row[j]
* running_moments_replaced
- running[j] += momentum * (
+ running[j] += (
* short_batches_move_moments_as_whole_ones
- 0.1 * (<double>rows / batch_size)
+ 0.1
* gamma_left_out
- = gammas[j] * x[i * width + j] + biases[j]
+ = x[i * width + j] + biases[j]
* shift_left_out
- = gammas[j] * x[i * width + j] + biases[j]
+ = gammas[j] * x[i * width + j]
* gamma_gradient_without_x
- gamma_grads[j] += delta[i * width + j] * x[i * width + j]
+ gamma_grads[j] += delta[i * width + j]
* gamma_gradient_missing
- gamma_grads[j] += delta[i * width + j] * x[i * width + j]
+ pass
* normalized_gradients_begin_anew
- if not accumulate:
+ if True:
* normalized_by_first_columns
- inverse_deviation(variance[first + j])
+ inverse_deviation(variance[j])
* normalized_without_other_columns
- row = x + i * width + first
+ row = x + i * width
* slopes_without_gamma
- = gammas[j] * inverse_deviation(variance[j])
+ = inverse_deviation(variance[j])
* slopes_without_deviation
- = gammas[j] * inverse_deviation(variance[j])
+ = gammas[j]
* slope_of_running_moments_of_first_columns
- delta[i * width + first + j] *= slopes[j]
+ delta[i * width + j] *= slopes[j]
* slope_of_running_moments_left_out
- delta[i * width + first + j] *= slopes[j]
+ pass
* slope_of_batch_of_first_columns
- at = i * width + first
+ at = i * width
* slope_of_batch_without_deltas_mean
- bias_grads[first + j] + x[at + j] * gamma_grads[first + j]
+ x[at + j] * gamma_grads[first + j]
* slope_of_batch_without_gamma_gradient
- bias_grads[first + j] + x[at + j] * gamma_grads[first + j]
+ bias_grads[first + j]
* slope_of_batch_unweighted
- - scales[i] * (
+ - (1.0 / rows) * (
* slope_of_batch_without_slopes
- = slopes[j] * (delta
+ = (delta

=== fastmlp/_kernels/random.pxd

* mask_of_every_seed
- mix64(<uint64>seed)
+ mix64(<uint64>0)
* mask_of_every_step
- + <uint64>t)
+ )
* mask_of_every_layer
- + <uint64>layer)
+ )
* mask_of_every_position
- <uint32>position + <uint32>key
+ <uint32>key
* mask_of_half_a_key
- mix32(mix32(first + i) + high)
+ mix32(mix32(first + i))
* mask_wrong_shift
- x ^ (x >> 13)
+ x ^ (x >> 12)
* key_wrong_shift
- x ^ (x >> 30)
+ x ^ (x >> 31)
* kept_units_not_rescaled
- <real>(1 / (1 - dropout))
+ <real>1
* kept_for_dropped
- >= threshold
+ < threshold

=== fastmlp/_kernels/sparse.pxd

* sparse_order_ignored
- rows.order[i] if rows.order != NULL else rows.begin + i
+ rows.begin + i
* sparse_entry_of_value_one
- out[j] += factor * row[j]
+ out[j] += row[j]
* sparse_product_keeps_old_output
- memset(c, 0, m * n * sizeof(real))
+ pass
* sparse_gradient_begins_anew
- if not accumulate:
-         memset(c, 0, (end
+ if True:
+         memset(c, 0, (end
* sparse_gradient_of_first_delta
- data[p], delta + i * n, n)
+ data[p], delta, n)

=== fastmlp/_kernels/sparse.pxd v3

* sparse_gradient_of_another_share
- c + (column - begin) * n
+ c + column * n
* sparse_rows_of_first_block
- row = row_at(rows, first + i)
-         for p in range(rows.indptr[row], rows.indptr[row + 1]):
-             add
+ row = row_at(rows, i)
+         for p in range(rows.indptr[row], rows.indptr[row + 1]):
+             add

=== fastmlp/_kernels/layout.pxi

* losses_overwrite_scales
- job.n_targets + 1, job.n_targets, row)
+ job.n_targets, job.n_targets, row)
* norms_not_counted
- n += 2 * units_of(job, l)
+ n += units_of(job, l)
* moments_not_counted
- n += 2 * job.layers[l].n_out
+ n += 0
* scales_overwrite_targets
- return block(arena, job, job.n_targets, 1, row)
+ return block(arena, job, 0, 1, row)
* layer_reads_deltas_below
- return outputs_of(arena, job, l - 1, row)
+ return deltas_of(arena, job, l - 1, row)
* training_reads_all_units
- if training:
+ if False:
* prediction_reads_dropped_units
- return a_of(arena, job, l - 1, row)
+ return outputs_of(arena, job, l - 1, row)
* z_in_the_block_of_a
- job.layers[l].z, job.layers[l].n_out, row
+ job.layers[l].a, job.layers[l].n_out, row
* outputs_in_the_block_of_a
- job.layers[l].outputs, job.layers[l].n_out, row
+ job.layers[l].a, job.layers[l].n_out, row
* normalized_in_the_block_of_z
- job.layers[l].normalized, job.layers[l].n_out, row
+ job.layers[l].z, job.layers[l].n_out, row
* last_rows_of_unit_left_out
- (tensor.rows - 1) // unit_rows(tensor) + 1
+ max(<Py_ssize_t>1, tensor.rows // unit_rows(tensor))
* last_rows_of_batch_left_out
- if thread == sharers - 1:
-         share.end = n
+ if thread == sharers:
+         share.end = n
* units_of_all_layers_in_one_place
- return block(arena, job, count_columns(job), 0, 0) + units_before(job, l)
+ return block(arena, job, count_columns(job), 0, 0)
* norm_of_biases_overwritten
- + units_before(job, l) + l
+ + units_before(job, l)
* moments_of_all_layers_in_one_place
- moments += 2 * job.layers[below].n_out
+ moments += 0
* inputs_gathered_over_the_units
- return arena + job.inputs
+ return penalties_of(arena, job, 0)

=== fastmlp/_kernels/layout.pxi v3

* halves_join_in_other_order
- return job.batch_size <= job.capacity
+ return job.batch_size <= job.n_rows
* two_rows_halved
- and not (block == 2 and
+ and not (block == 1 and
* halves_of_many_slices_in_place
- and job.capacity <= 2 * products.SLICE_ROWS
+ and job.capacity <= 64 * products.SLICE_ROWS
* halves_in_one_hand
- return job.n_threads > 1 and is_halved(job, l, block)
+ return False

* other_thread_reads_first_inputs
- return <const real*>X.dense + row * job.layers[0].n_in
+ return <const real*>X.dense

=== fastmlp/_kernels/engine.pxi

* half_by_itself_is_of_the_step_before
- rule.t += 1
-     step.rule, step.mode, step.thread = &rule, ACCUMULATE, thread
+ step.rule, step.mode, step.thread = &rule, ACCUMULATE, thread
* moments_stay_inside
- memcpy(moments + job.layers[l].running, moments_of(arena, job, l), n * sizeof(real))
+ pass
* rate_of_group_ignored
- mine.rate *= group.rate_factor
+ pass
* penalty_of_group_ignored
- job.objective.alpha / weight * group.penalty_factor
+ job.objective.alpha / weight
* bias_of_wrong_offset
- out, biases_of(params, job, l), span.rows
+ out, weights_of(params, job, l), span.rows
* hidden_activation_left_out
- forward_layer(a, arena, job, span, l, layer.activation)
+ forward_layer(a, arena, job, span, l, activations.IDENTITY)
* output_activated_twice
- forward_layer(out, arena, job, span, last, activations.IDENTITY)
+ forward_layer(out, arena, job, span, last, job.layers[last].activation)
* head_of_other_activation
- span.rows, job.layers[last].n_out, job.objective.loss,
-         job.layers[last].activation)
+ span.rows, job.layers[last].n_out, job.objective.loss,
+         job.layers[0].activation)
* slope_left_out
- activations.multiply_slope(
-             delta, a_of(arena, job, l, first), z_of(arena, job, l, first),
-             span.rows * layer.n_out, layer.activation, <real>layer.activation_param)
* slope_of_wrong_layer
- span.rows * layer.n_out, layer.activation, <real>
+ span.rows * layer.n_out, job.layers[l + 1].activation, <real>
* slope_misses_last_row
- span.rows * layer.n_out, layer.activation, <real>
+ (span.rows - 1) * layer.n_out, layer.activation, <real>
* backward_stops_early
- for l in range(job.n_layers - 2, -1, -1):
+ for l in range(job.n_layers - 2, 0, -1):
* delta_through_updated_weights
- for l in range(job.n_layers):
-         find_gradient(
+ for l in range(job.n_layers - 1, -1, -1):
+         backward(arena, job, span)
+         find_gradient(
* cap_ignored
- reductions.total_of_rows(totals, shares + begin * n, size, n, cap)
+ reductions.total_of_rows(totals, shares + begin * n, size, n, <real>INFINITY)
* loss_without_weights
- total += scales[begin + i] * totals[i]
+ total += 1. / rows * totals[i]
* loss_weighted_as_first_block
- total += scales[begin + i] * totals[i]
+ total += scales[i] * totals[i]
* loss_of_first_block
- reductions.total_of_rows(totals, shares + begin * n, size, n, cap)
+ reductions.total_of_rows(totals, shares, size, n, cap)
* bias_gradient_of_last_block_only
- job.layers[l].n_out, span.accumulate)
+ job.layers[l].n_out, False)
* bias_gradient_keeps_last_batch
- job.layers[l].n_out, span.accumulate)
+ job.layers[l].n_out, True)
* weight_gradient_of_last_block_only
- delta, span.rows, begin, end, span.accumulate)
+ delta, span.rows, begin, end, False)
* sparse_weight_gradient_of_last_block_only
- layer.n_out, begin, end, span.accumulate)
+ layer.n_out, begin, end, False)
* weight_gradient_keeps_last_batch
- delta, span.rows, begin, end, span.accumulate)
+ delta, span.rows, begin, end, True)
* second_slot_on_the_first
-         job.slot_stride, n, step)
+         0, n, step)
* parameters_before_a_line_left_out
- if head > 0:
-         update_piece(params, job, begin, head, step)
* parameters_behind_a_line_left_out
- update_piece(params, job, begin + head, n - head, step)
+ update_piece(params, job, begin + head, n - LINE if head > 0 else n, step)
* every_unit_on_the_first_slots
- <real*>job.slots + begin
+ <real*>job.slots
* penalty_after_its_step
- penalties[unit] = <real>regularizers.penalty(
-             params + part.begin, n, group.l1, group.l2)
-         update_range(params, job, part.begin, n, group)
+ update_range(params, job, part.begin, n, group)
+         penalties[unit] = <real>regularizers.penalty(
+             params + part.begin, n, group.l1, group.l2)
* last_unit_overruns_its_layer
- span.end = min(span.begin + size, tensor.offset + tensor.rows * tensor.columns)
+ span.end = span.begin + size
* weights_not_updated
- update_range(params, job, part.begin, n, group)
* biases_not_updated
- update_range(params, job, tensor.offset, n, group)
+ pass
* biases_penalised
-         tensor = tensor_of(job, l, i)
-         group = &step.groups[tensor.group]
-         n =
+         tensor = tensor_of(job, l, i)
+         n =
* penalty_of_first_layer_only
- total += sum_entries(penalties_of(arena, job, 0), job.n_units)
+ total += sum_entries(penalties_of(arena, job, 0), units_before(job, 1))
* weights_of_other_rows
- sample_weight[order[i]] if order != NULL else sample_weight[i]
+ sample_weight[i]
* no_division_by_m
- (weights[i] if weights != NULL else 1) / total
+ (weights[i] if weights != NULL else 1)
* weights_ignored
- (weights[i] if weights != NULL else 1) / total
+ 1 / total
* columns_not_gathered
- out[i] = source[order[i]]
-         return
+ out[i] = source[i]
+         return
* rows_not_gathered
- source + order[i] * n, n * sizeof(real)
+ source + i * n, n * sizeof(real)
* backward_after_the_gradient
- evaluate(arena, targets_of(arena, job, span.first), job, span)
-     backward(arena, job, span)
+ backward(arena, job, span)
+     evaluate(arena, targets_of(arena, job, span.first), job, span)
* a_step_allocates
- while step.position < size:
+ with gil:
+         bytearray(4096)
+     while step.position < size:
* first_block_for_all
- X.order = order + step.position
+ X.order = order
* a_step_for_every_block
- step.position + span.block == size)
+ True)
* gradient_of_last_block_only
- span.accumulate = step.position > 0
+ span.accumulate = False
* rate_of_the_step_before
- rule.t += 1
-         begin_step(&step, job, weight)
+ begin_step(&step, job, weight)
+         rule.t += 1
* short_last_batch_dropped
- range((job.n_rows - 1) // job.batch_size + 1)
+ range(job.n_rows // job.batch_size)
* short_last_batch_divided_by_full_size
- weight = sum_weights(<const real*>job.sample_weight, job.order + begin, size)
+ weight = sum_weights(<const real*>job.sample_weight, job.order + begin, job.batch_size)
* weightless_batch_steps
- if weight == 0:
-             continue
* t_counts_double
-         rule.t += 1
-         begin_step
+         rule.t += 2
+         begin_step
* t_not_handed_back
-         job.rule[0] = rule
-         job.result = result
+         job.result = result
* reported_loss_of_short_batch_in_full
- result += size * take_step
+ result += job.batch_size * take_step
* objective_reads_first_inputs
- X.dense = <const real*>job.X.dense + begin * job.layers[0].n_in
+ X.dense = <const real*>job.X.dense
* objective_reads_first_sparse_rows
- X.begin = begin
+ X.begin = 0
* objective_reads_first_targets
- <const real*>job.Y + row * job.n_targets
+ <const real*>job.Y + span.first * job.n_targets
* objective_reads_first_weights
- weights + row if weights != NULL else NULL
+ weights
* objective_capped
- sum_losses(arena, job, span.block, INFINITY)
+ sum_losses(arena, job, span.block, 1.0)
* objective_penalises_biases
- part.end - part.begin
-         strength =
+ job.n_params - part.begin
+         strength =
* weightless_gradient_unwritten
- memset(grads, 0, job.n_params * sizeof(real))
+ pass
* batch_moments_in_prediction
- if is_training(span.step):
-         batch_norm.compute_moments(
+ if True:
+         batch_norm.compute_moments(
* running_moments_in_training
- if is_training(span.step):
-         batch_norm.compute_moments(
+ if False:
+         batch_norm.compute_moments(
* running_means_stand_still
- batch_norm.update_running(running, moments, <real>momentum, mine.begin, mine.end)
+ pass
* running_variances_stand_still
- batch_norm.update_running(
-             running + n, moments + n, <real>momentum, mine.begin, mine.end)
+ pass
* moments_of_uneven_rows_ignored
- moments, moments + n, normalized_of(arena, job, l, 0), scales_of(arena, job, 0),
+ moments, moments + n, normalized_of(arena, job, l, 0), targets_of(arena, job, 0),
* shift_for_gamma
- z, x, gammas_of(params, job, l), biases
+ z, x, biases_of(params, job, l), biases
* normalized_layer_not_activated
- activations.activate(
-             out, span.rows, layer.n_out, activation, <real>layer.activation_param)
+ pass
* activation_into_z
- forward_layer(z, arena, job, span, l, activations.IDENTITY)
+ forward_layer(z, arena, job, span, l, layer.activation)
* mask_of_no_seed
- span.step.rule.seed, span.step.rule.t, l
+ 0, span.step.rule.t, l
* mask_of_first_step
- span.step.rule.seed, span.step.rule.t, l
+ span.step.rule.seed, 1, l
* mask_of_first_layer
- span.step.rule.seed, span.step.rule.t, l
+ span.step.rule.seed, span.step.rule.t, 0
* mask_of_first_block
- (job.first_row + span.step.position + span.first)
+ span.first
* outputs_not_dropped
- drop_units(outputs_of(arena, job, l, span.first), job, span, l)
+ pass
* deltas_not_dropped
- drop_units(delta, job, span, l)
+ pass
* slope_of_dropped_units
- delta, a_of(arena, job, l, first), z_of
+ delta, outputs_of(arena, job, l, first), z_of
* slope_at_a
- delta, a_of(arena, job, l, first), z_of
+ delta, a_of(arena, job, l, first), a_of
* normalization_has_no_slope
- backward_normalized(delta, arena, job, span, l)
+ pass
* running_slope_in_training
- if is_training(span.step):
-         batch_norm.multiply_slope_of_batch(
+ if False:
+         batch_norm.multiply_slope_of_batch(
* bias_gradient_twice
- if job.layers[l].normalized < 0:
+ if True:
* weights_not_penalised
- mine.l2 *= group.penalty_factor
+ mine.l2 = 0
* gammas_not_updated
- range(1, job.layers[l].n_tensors if owns_others(job, l, units) else 1)
+ range(1, 2 if owns_others(job, l, units) else 1)
* norm_without_biases
- norms[units.end] = <real>total
+ norms[units.end] = 0
* norm_without_gammas
- for i in range(1, job.layers[l].n_tensors):
+ for i in range(1, 2):
* norm_without_last_biases
- job.n_units + job.n_layers)
+ job.n_units + job.n_layers - 1)
* norm_squared
- return sqrt(sum_entries(norms_of(arena, job, 0), job.n_units + job.n_layers))
+ return sum_entries(norms_of(arena, job, 0), job.n_units + job.n_layers)
* short_gradients_stretched
- job.n_groups if norm > step.rule.clip_norm
+ job.n_groups if norm < step.rule.clip_norm
* clipped_the_wrong_way
- step.rule.clip_norm / norm
+ norm / step.rule.clip_norm
* biases_not_clipped
- step.groups[i].scale = step.rule
+ step.groups[0].scale = step.rule
* weights_not_clipped
- step.groups[i].scale = step.rule
+ step.groups[job.n_groups - 1].scale = step.rule
* never_clipped
- clips = step.mode == TRAIN and step.rule.clip_norm < INFINITY
+ clips = False
* l2_not_divided_by_m
- step_of_all.l2 = strength *
+ step_of_all.l2 = job.objective.alpha *
* l1_not_divided_by_m
- step_of_all.l1 = strength *
+ step_of_all.l1 = job.objective.alpha *
* decay_ignored
- decay * group.rate_factor * group.decay_factor
+ 0
* decay_without_rate
- decay = step.rule.learning_rate * step
+ decay = step
* decay_of_corrected_rate
- decay * group.rate_factor * group.decay_factor
+ mine.rate * step.rule.weight_decay * group.decay_factor
* decay_of_biases
- decay * group.rate_factor * group.decay_factor
+ decay * group.rate_factor
* objective_gradient_of_last_block_only
- X, step, begin > 0
+ X, step, False
* objective_l2_in_full
- l2 = strength - l1
+ l2 = strength
* objective_l2_not_divided_by_m
- l2 = strength - l1
+ l2 = job.objective.alpha - l1
* objective_gradient_without_penalty
- regularizers.add_penalty_gradient(
-                 grads + part.begin, params + part.begin, n, <real>l1, <real>l2)
+ pass
* predicts_z
- activations.activate(
-             out + begin * last.n_out, span.rows, last.n_out, last.activation,
-             <real>last.activation_param)
* predicts_into_first_block
- forward(out + begin * last.n_out, arena, job, &span)
+ forward(out, arena, job, &span)
* input_gradient_without_output_activation
- activations.multiply_jacobian(
-             delta, a, a, span.rows, layer.n_out, layer.activation,
-             <real>layer.activation_param)
* input_gradient_of_first_cotangents
- memcpy(delta, V + begin * layer.n_out, n * sizeof(real))
+ memcpy(delta, V, n * sizeof(real))
* input_gradient_into_first_block
- out + begin * job.layers[0].n_in, deltas_of
+ out, deltas_of
* input_gradient_stops_at_the_output
- backward(arena, job, &span)
-         products
+ products
* second_half_of_first_rows
- part.first, part.rows = rows.begin, rows.end - rows.begin
+ part.first, part.rows = 0, rows.end - rows.begin
* first_half_alone
- join_halves(arena, job, span.step, l)
+ pass
* biases_of_first_half
- add(biases_of(grads, job, l), biases_of(others, job, l), tensor.columns)
+ pass
* biases_of_normalized_layers_joined
- owns_others(job, l, units) and job.layers[l].normalized < 0
+ owns_others(job, l, units)
* second_half_in_place_of_first
- part.accumulate = span.accumulate or adds
+ part.accumulate = span.accumulate
* total_begins_anew
- result = job.result
+ result = 0
* outputs_without_activation
- activations.activate(
-         out, span.rows, last.n_out, last.activation, <real>last.activation_param)
+ pass
* outputs_of_the_first_block_again
- <real*>job.outputs + (begin + span.first) * last.n_out
+ <real*>job.outputs + span.first * last.n_out
* no_outputs_without_weight
- (weight != 0 or job.outputs != NULL)
+ weight != 0

=== fastmlp/_kernels/engine.pxi v3

* halves_not_joined
- add(grads + begin, others + begin, end - begin)
+ pass
* halves_joined_before_they_are_found
- barrier_wait(job.barrier, job.n_threads)
-         for l in range(job.n_layers):
-             if is_in
+ for l in range(job.n_layers):
+             if is_in
* other_thread_gathers_first_rows
- gathered_inputs(arena, job, span.first), <const real*>job.X.dense, order,
+ gathered_inputs(arena, job, span.first), <const real*>job.X.dense, span.X.order,
* other_thread_takes_first_targets
- <const real*>job.Y, order, span.rows
+ <const real*>job.Y, span.X.order, span.rows
* other_thread_takes_first_weights
- gather_rows(scales, sample_weight, order, span.rows
+ gather_rows(scales, sample_weight, span.X.order, span.rows
* other_thread_multiplies_first_inputs
- out, layer.n_out, inputs + begin, delta
+ out, layer.n_out, inputs, delta
* other_thread_writes_first_gradient
- weights_of(grads, job, l) + begin * layer.n_out, layer.n_out
+ weights_of(grads, job, l), layer.n_out
* every_thread_updates_biases
- return units.begin < units.end == units_of(job, l)
+ return True
* loss_summed_by_last_thread
- if step.thread == 0:
-             total +=
+ if step.thread == job.n_threads - 1:
+             total +=
* moments_of_first_columns
- mine = share_out(n, LINE, span.step.thread, job.n_threads)
-     cdef Py_ssize_t size
+ mine = share_out(n, LINE, 0, job.n_threads)
+     cdef Py_ssize_t size
* shared_columns_of_first_weights
- a - span.first * k, w + mine.begin * w_column,
+ a - span.first * k, w,
* shared_columns_of_own_rows
- n, a - span.first * k, w
+ n, a, w
* shared_columns_into_own_rows
- out - span.first * n + mine.begin
+ out + mine.begin
* shared_columns_before_their_inputs
- barrier_wait(job.barrier, job.n_threads)
-     products.multiply(
-         out - span
+ products.multiply(
+         out - span
* shared_columns_used_before_they_are_found
- 1, w_row, w_column, False, pieces)
-     barrier_wait(job.barrier, job.n_threads)
+ 1, w_row, w_column, False, pieces)
* first_thread_finds_its_columns_only
- mine = share_out(n, products.PIECES_BLOCK, span.step.thread, job.n_threads)
-     barrier_wait(job.barrier, job.n_threads)
-     products
+ mine = share_out(n, products.PIECES_BLOCK, 0, job.n_threads)
+     barrier_wait(job.barrier, job.n_threads)
+     products
* other_thread_hands_out_over_the_first
- <real*>job.outputs + (begin + span.first) * last.n_out
+ <real*>job.outputs + begin * last.n_out
* other_thread_takes_first_masks
- (job.first_row + span.step.position + span.first)
+ span.step.position

=== fastmlp/_kernels/hessian.pxi

* r_forward_without_inputs
- multiply_inputs(rz, arena, job, span, l, weights_of(direction, job, l))
+ memset(rz, 0, span.rows * layer.n_out * sizeof(real))
* r_forward_without_r_inputs
- if l > 0:
-         products.multiply_nn
+ if False:
+         products.multiply_nn
* r_forward_without_biases
- activations.add_bias_and_activate(
-         rz, biases_of(direction, job, l), span.rows, layer.n_out, activations.IDENTITY,
-         <real>0)
* r_forward_without_slope
- activations.multiply_slope(
-             ra, a_of(arena, job, l, first), z_of(arena, job, l, first), n,
-             layer.activation, <real>layer.activation_param)
* r_backward_without_r_deltas
- products.multiply_nt(
-             rdelta, deltas_of(r_arena, job, l + 1, first), weights_of(params, job, l + 1),
-             span.rows, layer.n_out, above.n_out, False)
+ memset(rdelta, 0, n * sizeof(real))
* r_backward_without_direction
- products.multiply_nt(
-             rdelta, delta_above, weights_of(direction, job, l + 1), span.rows, layer.n_out,
-             above.n_out, True)
* r_backward_by_updated_direction
- rdelta, delta_above, weights_of(direction, job, l + 1)
+ rdelta, deltas_of(r_arena, job, l + 1, first), weights_of(direction, job, l + 1)
* r_backward_of_z_for_rz
- rdelta, delta, z_of(r_arena, job, l, first), a, z
+ rdelta, delta, a_of(r_arena, job, l, first), a, z
* r_backward_leaves_delta_without_slope
- activations.multiply_slope(
-             delta, a, z, n, layer.activation, <real>layer.activation_param)
* r_gradient_of_deltas
- deltas_of(r_arena, job, l, 0), begin, end)
+ deltas_of(arena, job, l, 0), begin, end)
* r_gradient_without_r_inputs
- if l > 0:
-             multiply_deltas(
+ if False:
+             multiply_deltas(
* r_gradient_of_biases_by_deltas
- biases_of(out, job, l), deltas_of(r_arena
+ biases_of(out, job, l), deltas_of(arena
* r_gradient_of_biases_of_last_block_only
- tensor.columns, span.accumulate)
+ tensor.columns, False)
* hessian_of_first_targets
- <const real*>job.Y + (begin + first) * job.n_targets
+ <const real*>job.Y + first * job.n_targets
* hessian_penalty_not_divided_by_m
- strength_of(job, weight, &job.groups
+ strength_of(job, 1, &job.groups
* hessian_penalty_with_l1
- * (1 - job.objective.l1_ratio))
+ )
* hessian_penalises_biases
- direction + part.begin, part.end - part.begin, <real>0
+ direction + part.begin, job.n_params - part.begin, <real>0
* weightless_hessian_unwritten
- memset(out, 0, job.n_params * sizeof(real))
+ pass

=== fastmlp/_kernels/hessian.pxi v3

* r_gradient_of_own_rows
- span.first, span.rows = 0, span.block
+ pass
* r_gradient_of_first_r_inputs
- span.rows, begin, end, True)
+ span.rows, 0, end - begin, True)

=== fastmlp/_kernels/calls.pxi

* tensors_lap_unchecked
- if tensors[i].offset != place:
+ if False:
* blocks_lap_unchecked
- if block[0] < end:
+ if False:
* head_unchecked
- if (loss, activation) not in HEAD_CODES:
+ if False:
* overlap_unchecked
- and (written or regions.each[i].written)):
+ and False):
* boundary_unchecked
- if mine.begin % item_size != 0:
+ if False:
* norm_of_caller_ignored
- job.norm = -1 if norm is None else norm
+ job.norm = -1
* gaps_in_slots_unchecked
- if slots.strides[1] != sizeof(real):
+ if False:
* slots_taken_for_adjacent
- slots.strides[0] // <Py_ssize_t>sizeof(real)
+ params.shape[0]
* order_checked_off_by_one
- inside &= 0 <= order[i] < n_rows
+ inside &= 0 <= order[i] <= n_rows
* classes_checked_off_by_one
- return (0 <= y) & (y < n_classes)
+ return (0 <= y) & (y <= n_classes)
* classes_checked_without_fractions
- inside &= is_class_index(y[i], last.n_out)
+ inside &= 0 <= y[i] < last.n_out
* arena_checked_without_units
- if arena_size < n_behind + halves.end - halves.begin:
+ if arena_size < (count_columns(job) + n_gathered) * job.capacity:
* arena_checked_without_gathered_inputs
- if arena_size < n_behind + halves.end - halves.begin:
+ if False:
* arena_checked_without_halves
- if arena_size < n_behind + halves.end - halves.begin:
+ if arena_size < n_behind:
* sparse_columns_checked_off_by_one
- inside &= 0 <= indices[i] < n_in
+ inside &= 0 <= indices[i] <= n_in
* sparse_rows_may_run_backwards
- inside &= indptr[i] <= indptr[i + 1]
+ inside &= indptr[0] <= indptr[i + 1]
* end_of_block_unchecked
- begin < 0 or n > size or begin > size - n
+ begin < 0 or n > size
* end_of_block_off_by_one
- begin > size - n
+ begin > size - n + 1
* normalized_block_unchecked
- if layer.normalized >= 0 and outside(layer.normalized, layer.n_out, n_columns):
+ if False:
* running_variances_unchecked
- layers[l].running + 2 * layers[l].n_out
+ layers[l].running + layers[l].n_out
* last_layer_normalized
- if last.normalized >= 0 or last.dropout > 0:
+ if last.dropout > 0:
* last_layer_dropped
- if last.normalized >= 0 or last.dropout > 0:
+ if last.normalized >= 0:
* blocks_of_last_layer_unchecked
- if not last.z == last.a == last.outputs:
+ if False:
* arena_checked_without_extras
- if arena.shape[0] < job.inputs:
+ if arena.shape[0] < count_columns(&job) * capacity:
* negative_seed_accepted
- if rule[0].seed < 0:
+ if False:
* shape_of_cotangents_unchecked
- if V.shape[0] != job.n_rows or V.shape[1] != last_layer(&job).n_out:
+ if False:
* shape_of_input_gradient_unchecked
- if out.shape[0] != job.n_rows or out.shape[1] != job.layers[0].n_in:
+ if False:
* r_arena_unchecked
- if r_arena.shape[0] != arena.shape[0]:
+ if False:
* records_of_another_size_taken
- if records.dtype != dtype or records.ndim != 1:
+ if False:
* table_without_layers_taken
- if records.shape[0] == 0:
+ if False:
* hessian_of_shared_blocks
- if job.layers[l].z == job.layers[l].a:
+ if False:

=== fastmlp/initialization.py

* logistic_initialised_as_others
- factor = 2.0 if
+ factor = 6.0 if
* bound_of_inputs_only
- np.sqrt(factor / (n_in + n_out))
+ np.sqrt(factor / n_in)
* biases_begin_at_zero
- random_state.uniform(-bound, bound, n_out)
+ np.zeros(n_out)
* he_as_lecun
- return np.sqrt(2.0 / n_in)
+ return np.sqrt(1.0 / n_in)
* lecun_as_he
- return np.sqrt(1.0 / n_in)
+ return np.sqrt(2.0 / n_in)
* glorot_of_variance_one_half
- return np.sqrt(2.0 / (n_in + n_out))
+ return np.sqrt(1.0 / (n_in + n_out))
* uniform_bound_is_the_deviation
- limit = np.sqrt(3.0) * deviation
+ limit = deviation
* he_uniform_is_normal
- "he_uniform": _uniform(_he)
+ "he_uniform": _normal(_he)
* every_layer_by_first_activation
- activations[min(layer, len(activations) - 1)]
+ activations[0]

=== fastmlp/memory.py

* freed_memory_given_back
- keep.append(self._block)
+ pass
* kept_without_limit
- keep.popleft()
+ break
* kept_block_handed_out_twice
- _free.remove(block)
+ pass
* kept_block_of_another_size
- if block.raw.nbytes == n_bytes:
+ if True:
* kept_memory_not_released
- _free.clear()
+ pass
* not_aligned
- raw, -address % _ALIGNMENT, strides)
+ raw, 8 - address % 8, strides)
* second_row_not_aligned
- -(-size * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
+ size * dtype.itemsize

=== fastmlp/workspace.py

* deltas_overwrite_outputs
- layer["deltas"] = column + n_out
+ layer["deltas"] = column
* z_overwritten_by_a
- column += n_out if z_apart else 0
+ column += 0
* a_overwritten_by_outputs
- column += n_out if layer["dropout"] > 0 else 0
+ column += 0
* normalized_overwritten_by_z
- layer["normalized"] = column
-             column += n_out
+ layer["normalized"] = column
* running_variances_overlap_means
- running += 2 * layer["n_out"]
+ running += layer["n_out"]
* no_unit_dropped
- "dropout": rate,
+ "dropout": 0.0,
* arena_without_room_for_halves
- return n_gathered + _kernels.count_halves(plan, capacity)
+ return n_gathered

=== fastmlp/settings.py

* huber_delta_ignored
- [check_between(public, value, low, high) for value in values]
+ [_kernels.LOSS_PARAMS[loss][1] for value in values]
* quantile_of_first_output_for_all
- np.broadcast_to(np.array(checked, dtype), n_outputs)
+ np.full(n_outputs, checked[0], dtype)
* entries_for_layers_uncounted
- if len(values) != n_hidden:
+ if False:

=== fastmlp/network.py

* slope_of_leaky_relu_not_handed_on
- activation_params(names, negative_slope=self.negative_slope)
+ activation_params(names, negative_slope=0.01)
* last_head_is_default
- output_activation or _kernels.HEADS[loss][0]
+ output_activation or _kernels.HEADS[loss][-1]
* copy_shares_parameters
- twin._bind(aligned_copy(self.params), aligned_copy(self.stats))
+ twin._bind(self.params, aligned_copy(self.stats))
* assigned_vectors_replace
- copy_into(self._params, values, "params")
+ self._params = np.asarray(values, self.dtype)
* assigned_layers_ignored
- copy_into(self[operator.index(layer)], values, f"layer {layer}")
+ pass
* assigned_arrays_broadcast
- if np.shape(values) != array.shape:
+ if False:
* weights_not_initialised_by_seed
- random_state = np.random.RandomState(random_state)
+ random_state = np.random.RandomState(0)
* copy_shares_stats
- twin._bind(aligned_copy(self.params), aligned_copy(self.stats))
+ twin._bind(aligned_copy(self.params), self.stats)
* l1_ratio_forgotten
- record["alpha"], record["l1_ratio"] = self.alpha, self.l1_ratio
+ record["alpha"] = self.alpha
* gammas_begin_at_zero
- self.params[...] = 1
+ self.params[...] = 0
* running_variances_begin_at_zero
- means[...], variances[...] = 0, 1
+ means[...], variances[...] = 0, 0
* logits_after_the_output_activation
- self.with_output_activation("identity")
+ self
* shift_of_folded_means_forgotten
- biases[number] += scaled[-1]
+ pass
* gammas_not_folded
- scaled *= gammas
+ pass
* losses_of_other_outputs_computed
- _kernels.HEADS[self.loss_name],
-         )
-         record
+ _kernels.ACTIVATIONS,
+         )
+         record
* hidden_layers_of_the_inputs
- below = X if number == 0 else outputs[-1]
+ below = X
* gradient_of_first_output_for_all
- unit[:, k] = 1
+ unit[:, 0] = 1
* l1_penalty_is_quadratic
- and self.alpha * self.l1_ratio == 0
+ and True
* every_output_is_quadratic
- and self.output_activation == "identity"
+ and True
* hidden_layer_is_quadratic
- len(self.layer_sizes) == 2
+ True
* stored_parameters_not_read
- self.params, self.stats = state["params"], state["stats"]
+ self.stats = state["stats"]
* stored_moments_not_read
- self.params, self.stats = state["params"], state["stats"]
+ self.params = state["params"]
* stored_settings_not_read
- self._configure(**state["settings"])
+ self._configure()
* copy_keeps_settings
- twin._configure(**{**self.settings, **settings})
+ twin._configure(**self.settings)
* changed_dropout_not_told_to_the_kernels
- self.dropout = [dropout] * len(self.dropout)
+ pass

=== fastmlp/evaluation.py

* data_loss_penalised
- objective["alpha"] = 0
+ pass
* validation_loss_penalised
- self._compute_loss(self._unpenalised, outputs), outputs
+ self._compute_loss(self._objective, outputs), outputs
* arena_without_halves
- count_training_entries(plan, self._capacity, gathers=False)
+ 0
* hessian_of_a_normalised_network
- if (self._layers["normalized"] >= 0).any():
+ if False:
* hessian_by_shared_blocks
- plan = self._spread()
+ plan = self._model[2]

=== fastmlp/optimizers.py

* short_batch_applied_as_whole
- gradient.n_rows / (batch_size or gradient.n_rows)
+ 1
* parts_of_other_weight_added
- if other.total_weight != self.total_weight:
+ if False:
* rho_in_the_wrong_place
- "rmsprop": (None, "rho")
+ "rmsprop": ("rho", None)
* copied_optimizer_shares_slots
- twin.slots = aligned_copy(self.slots)
+ pass
* other_optimizer_goes_on
- earlier is not None and earlier.name == name
+ earlier is not None and len(earlier.slots) == _kernels.SLOTS[name]
* earlier_slots_written_to
- self.slots = aligned_copy(earlier.slots)
+ self.slots = earlier.slots
* steps_forgotten
- self.rule["t"] = earlier.rule["t"]
+ pass
* weight_decay_not_set
- self.rule["weight_decay"] = weight_decay
+ pass
* clip_norm_not_set
- np.inf if clip_norm is None else clip_norm
+ np.inf
* seed_not_set
- self.rule["seed"] = seed
+ pass

=== fastmlp/schedules.py

* inverse_scaling_from_zero
- (n_samples_seen + 1) ** self.power
+ max(n_samples_seen, 1) ** self.power
* adaptive_divides_by_two
- learning_rate / 5.0
+ learning_rate / 2.0
* adaptive_ends_early
- learning_rate <= 1e-6
+ learning_rate <= 1e-5
* cosine_ends_at_zero
- min(epoch, self.period - 1)
+ min(epoch, self.period)
* cosine_never_restarts
- epoch % self.period if self.restarts
+ epoch if self.restarts
* annealing_upwards
- (1 + math.cos(math.pi * progress))
+ (1 - math.cos(math.pi * progress))
* one_cycle_begins_too_high
- start = self.initial / 25
+ start = self.initial / 10
* one_cycle_ends_where_it_began
- start / 1e4, (e - top)
+ start, (e - top)
* one_cycle_turns_late
- top, end = 0.3 * self.horizon - 1
+ top, end = 0.3 * self.horizon
* warmup_ends_early
- (epoch + 1) / (self.epochs + 1)
+ (epoch + 1) / self.epochs
* warmup_counts_as_epochs
- max(0, epoch - self.epochs), learning_rate
+ epoch, learning_rate
* cosine_never_over
- not self.restarts and epoch >= self.period
+ False
* restarts_are_over
- not self.restarts and epoch >= self.period
+ epoch >= self.period
* one_cycle_never_over
- return epoch >= self.horizon
+ return False
* warmup_is_part_of_the_horizon
- self.schedule.is_over(max(0, epoch - self.epochs))
+ self.schedule.is_over(epoch)
* rate_of_zero_accepted
- if not 0 < rate < math.inf:
+ if not 0 <= rate < math.inf:
* exponential_in_steps
- self.decay ** (epoch / self.epochs)
+ self.decay ** (epoch // self.epochs)
* step_without_steps
- self.decay ** (epoch // self.epochs)
+ self.decay ** (epoch / self.epochs)
* warmup_lengthens_the_horizon
- max(1, self.max_iter - self.warmup_epochs)
+ self.max_iter
* warmup_not_handed_on
- return Warmup(schedule, self.warmup_epochs) if self.warmup_epochs else schedule
+ return schedule
* progress_in_epochs
- argument = min(1.0, epoch / horizon) if is_of_progress else epoch
+ argument = epoch
* any_value_of_a_function_accepted
- if not low <= number < high:
+ if False:
* changed_rate_ignored
- *(self.schedule, self.optimizer, self.initial),
+ *(self.schedule, self.optimizer, new.initial),
* changed_schedule_keeps_the_rate
- *(self.schedule, self.optimizer, self.initial),
+ *(new.schedule, self.optimizer, self.initial),
* another_optimizer_keeps_the_rate
- *(self.schedule, self.optimizer, self.initial),
+ *(self.schedule, optimizer, self.initial),
* changed_schedule_keeps_its_epochs
- is_other = new.schedule != self.schedule
+ is_other = False
* every_fit_begins_the_schedule
- (anew and self.is_over)
+ anew
* epochs_seen_forgotten
- new.n_epochs = self.n_epochs
+ pass
* samples_of_the_schedule_forgotten
- new.n_samples = self.n_samples
+ pass
* rate_in_force_forgotten
- new.value = self.value
+ pass
* scheduled_rate_not_set
- self.value = self._schedule.rate(self.n_epochs, self.value, self.n_samples)
+ pass
* whole_rate_in_a_warmup
- return self.value * self._schedule.factor(self.n_epochs)
+ return self.value
* factor_of_the_rate_stays
- return self.value * self._schedule.factor(self.n_epochs)
+ self.value *= self._schedule.factor(self.n_epochs)
+         return self.value
* warmup_counts_its_samples
- if self._schedule.factor(self.n_epochs) == 1:
+ if True:
* epochs_not_counted
- self.n_epochs += 1
+ pass
* end_of_the_schedule_unseen
- self.is_over = self._schedule.is_over(self.n_epochs)
+ pass
* lower_rate_not_set
- self.value = lower
+ pass
* rate_after_fit_not_set
- self.value = self._schedule.after(self.value, self.n_samples)
+ pass

=== fastmlp/stopping.py

* overfitting_does_not_stop
- stops=recipe.stop_on_overfit
+ stops=False
* param_tol_not_handed_on
- rules.append(StopAtParamTol(recipe.param_tol))
+ pass
* max_seconds_not_handed_on
- rules.append(StopAtTime(recipe.max_seconds))
+ rules.append(StopAtTime(9.0))
* ties_are_best
- is_best = value > self.best
+ is_best = value >= self.best
* divergence_if_all_are_infinite
- np.isfinite(numbers).all()
+ np.isfinite(numbers).any()
* overfitting_seen_again
- if self.epoch is None and late
+ if late
* numpys_true_goes_on
- isinstance(answer, bool | np.bool_)
+ isinstance(answer, bool)
* divergence_dated_at_the_end
- int(np.argmax(astray)) + 1
+ len(losses)
* every_rise_is_divergence
- limit, last = 10 * first,
+ limit, last = first,
* peaks_are_divergence
- last > limit and last == np.nanmax(losses):
+ np.nanmax(losses) > limit:
* tol_of_the_wrong_sign
- value >= self.best + tol
+ value >= self.best - tol
* count_not_reset
- self.n_stalled = 0 if value
+ self.n_stalled = self.n_stalled if value
* nan_is_better
- 0 if value >= self.best + tol else self.n_stalled + 1
+ self.n_stalled + 1 if value < self.best + tol else 0
* best_of_something_else_kept
- self.best, self.n_stalled = -math.inf, 0
+ pass
* divergence_goes_on
- return StopReason.DIVERGED
+ return None
* patience_one_short
- plateau.n_stalled <= self.patience
+ plateau.n_stalled < self.patience
* plateau_not_reset
- plateau.n_stalled = 0
+ pass
* overfitting_since_nan
- > patience and self.best_epoch > 0
+ > patience
* overfitting_while_loss_rises
- late and loss < self.loss_at_best - tol
+ late
* overfitting_of_any_smaller_loss
- loss < self.loss_at_best - tol
+ loss < self.loss_at_best
* any_better_score_counts
- score >= self.best_score + tol
+ score >= self.best_score
* overfitting_one_epoch_early
- late = epoch - self.best_epoch > patience
+ late = epoch - self.best_epoch >= patience
* overfitting_since_it_was_seen
- self.epoch = self.best_epoch
+ self.epoch = epoch
* loss_at_best_forgotten
- self.best_score, self.best_epoch, self.loss_at_best = score, epoch, loss
+ self.best_score, self.best_epoch = score, epoch
* overfitting_always_stops
- if self.stops and seen.epoch is not None
+ if seen.epoch is not None
* one_still_parameter_is_enough
- np.abs(params - self._before).max()
+ np.abs(params - self._before).min()
* parameters_before_go_on_moving
- self._before = fit.state.network.params.copy()
+ self._before = fit.state.network.params
* moved_since_the_beginning
- self._before[:] = params
+ pass
* time_is_always_over
- return StopReason.MAX_SECONDS if over else None
+ return StopReason.MAX_SECONDS
* any_answer_asks_to_stop
- isinstance(answer, bool | np.bool_) and bool(answer)
+ bool(answer)

=== fastmlp/threads.py v3

* rows_shared_within_blocks
- n_blocks * i // n_threads * block_rows
+ n_rows * i // n_threads
* thread_behind_its_starter
- self._processors - {_kernels.current_processor()}
+ self._processors
* thread_never_let_go
- _restrict(None, self._processors)
+ pass
* fault_of_the_system_raised
- with suppress(OSError):
+ with suppress(KeyError):
* threads_for_short_fits
- if worth <= 1:
-         return 1
-     return min(worth, count_threads(layers, n_rows))
+ return count_threads(layers, n_rows)
* all_threads_or_none
- worth = work // LEAST_WORK_OF_A_NEW_THREAD
-     if
+ worth = 64 if work >= 2 * LEAST_WORK_OF_A_NEW_THREAD else 1
+     if
* threads_for_any_work
- min(worth, count_usable() // (1 + company.count_others()))
+ count_usable() // (1 + company.count_others())
* every_processor_for_little_work
- worth = 1 + _work_of_a_step(layers, batch_size) // LEAST_WORK
+ worth = 64 if _work_of_a_step(layers, batch_size) >= LEAST_WORK else 1
* one_slow_slice_believed
- N_REMEMBERED = 3
+ N_REMEMBERED = 1
* trial_won_against_slow_slices
- mine[-1] > min(others)
+ mine[-1] > median(others)
* trial_told_by_slices_before_it
- mine[-1] > min(others)
+ median(mine) > min(others)
* pace_never_tries
- self._tries, self._left = True, self.N_REMEMBERED
-             self._chosen = 1 - self._chosen
+ self._left = self._while
* slower_kept
- elif is_slower:
-             self._while = self.FIRST_WHILE
-             self._keep_to(1 - self._chosen)
+ elif is_slower:
+             self._while = self.FIRST_WHILE
+             self._keep_to(self._chosen)
* winner_of_a_trial_not_kept
- self._keep_to(self._chosen)
+ self._keep_to(1 - self._chosen)
* short_slices_believed
- if self._seconds < self.LEAST_SECONDS:
+ if self._seconds < 0:
* trials_as_often_for_ever
- self._while = min(2 * self._while, self.LONGEST_WHILE)
+ pass
* tried_late_after_a_change
- elif is_slower:
-             self._while = self.FIRST_WHILE
+ elif is_slower:
+             pass
* update_is_no_work
- (batch_size + ROWS_OF_AN_UPDATE) *
+ batch_size *
* fits_of_other_threads_not_seen
- count_usable() // (1 + company.count_others()))
+ count_usable())
* slices_of_one_thread_taken_for_the_team
- if self._choices[0] is None or self._is_crowded:
+ if self._choices[0] is None:
* few_threads_for_much_work
- worth = work // LEAST_WORK_OF_A_NEW_THREAD
-     if
+ worth = work // (9 * LEAST_WORK_OF_A_NEW_THREAD)
+     if
* blocks_of_predictions_uneven
- return -(-n_rows // (n_blocks * WHOLE_ROWS)) * WHOLE_ROWS
+ return PREDICTED_ROWS
* few_rows_in_one_block
- n_blocks = max(2, n_blocks)
+ pass
* faults_of_other_threads_lost
- raise worker.error
+ pass
* team_stays_if_a_thread_cannot_be_started
- dismiss()
-         for worker in workers:
-             worker.join()
+ if len(workers) == len(works):
+             dismiss()
* team_works_in_a_crowd
- return fair <= 1 or 2 * fair < team.n_threads
+ return False

=== fastmlp/limits.py v3

* variables_ignored
- for name in VARIABLES:
+ for name in ():
* quota_ignored
- if quota is not None:
+ if False:
* quota_rounded_down
- math.ceil(min(shares))
+ math.floor(min(shares))
* outer_groups_ignored
- folders[: folders.index(mount) + 1]
+ folders[:1]
* worker_of_dask_ignored
- if worker_threads is not None:
+ if False:
* blas_keeps_its_threads
- limits=1, user_api
+ limits=2, user_api
* first_to_leave_frees_blas
- if self._n_holders == 0:
-                     self._limiter
+ if True:
+                     self._limiter
* own_limit_counts
- self._n_before if self._n_holders else self._count()
+ self._count()
* fit_is_its_own_company
- - (threading.get_ident() in self._depths)
+ - 0
* parents_threads_live_on
- {me: self._depths[me]} if me in self._depths else {}
+ self._depths

=== fastmlp/rows.py

* dates_are_numbers
- array.dtype.kind not in "biuf"
+ array.dtype.kind not in "biufmMSU"
* overflow_to_infinity
- np.errstate(over="raise")
+ np.errstate(over="ignore")
* rows_of_sparse_inputs_begin_where_they_did
- indptr[rows.start : rows.stop + 1] - indptr[rows.start]
+ indptr[rows.start : rows.stop + 1]
* sparse_indices_of_the_transpose
- X.tocsr() if sparse
+ X.tocsc() if sparse
* width_unchecked
- matrix.ndim != 2 or matrix.shape[1] != n_inputs
+ matrix.ndim != 2
* negative_weights_accepted
- not np.isfinite(weights).all() or (weights < 0).any()
+ not np.isfinite(weights).all()
* streams_taken_by_full_batch_solvers
- if not isinstance(rows, ArrayRows):
+ if False:
* order_never_shuffled
- stream.shuffle(rows)
+ stream.shuffle(rows.copy())
* one_shuffle_replayed
- for _ in range(times):
+ for _ in range(1):
* replay_of_all_rows
- self._rows[:] = self.base
+ pass
* shuffles_not_counted
- self.shuffles[-1][1] += 1
+ pass
* copied_order_counts_for_both
- shuffles=[[*s] for s in self.shuffles]
+ shuffles=self.shuffles
* copied_order_shuffles_both
- rows = None if self._rows is None else self._rows.copy()
+ rows = self._rows
* order_kept_in_memory
- self.base = self._rows = None
+ self.base = None
* order_of_a_users_stream_goes_on
- return RowOrder(self.n_rows)
+ return self.copy()
* changed_fraction_keeps_the_split
- return n_rows == self.n_rows and n_held_out == math.ceil(fraction * n_rows)
+ return n_rows == self.n_rows
* split_of_other_rows_kept
- return n_rows == self.n_rows and n_held_out == math.ceil(fraction * n_rows)
+ return fraction == self.fraction

=== fastmlp/random_streams.py

* copied_stream_begins_anew
- stream.set_state(state)
+ pass
* every_generator_is_the_usual_one
- if state["bit_generator"] == "MT19937":
+ if True:

=== fastmlp/trainer.py

* slices_cut_batches
- self._slice_batches * batch_size
+ self._slice_batches * batch_size + 1
* loss_per_batch_not_row
- return total / n_done
+ return total / self.batch_size
* loss_of_last_slice
- *terms, total)
+ *terms, 0.0)
* saturated_loss_not_capped
- if network.loss_name == "log_loss":
+ if network.loss_name == "none":
* cap_of_double_for_single
- np.finfo(network.dtype).eps
+ np.finfo(np.float64).eps
* gradient_norm_squared
- math.sqrt(_kernels.sum_squares(self._grads))
+ _kernels.sum_squares(self._grads)
* normalised_batches_cut
- n_rows if self.network.batch_norm else min(n_rows, BLOCK_ROWS)
+ min(n_rows, BLOCK_ROWS)
* single_row_left_over
- return batch_size + 1 if n_rows % batch_size == 1 else 0
+ return 0
* rows_of_weight_zero_normalised
- rows = rows[sample_weight[rows] != 0]
+ pass
* slices_of_the_last_chunk_told
- on_slice(n_done)
+ on_slice(len(some))

=== fastmlp/validation.py v3

* validation_by_one_thread
- self.evaluator.team = team
+ pass

=== fastmlp/scores.py

* accuracy_of_any_label
- ((outputs > 0.5) == Y).all(axis=1)
+ ((outputs > 0.5) == Y).any(axis=1)
* accuracy_of_the_wrong
- np.count_nonzero(right)
+ np.count_nonzero(~right)
* accuracy_unweighted
- np.average(right, weights=sample_weight)
+ np.average(right)
* accuracy_of_nan
- if not np.isfinite(outputs).all():
-         return float("nan")
-     if exclusive
+ if exclusive
* r2_unweighted
- weights = np.ones(len(Y)) if sample_weight is None else sample_weight
+ weights = np.ones(len(Y))
* r2_mean_unweighted
- np.average(Y, axis=0, weights=sample_weight)
+ np.average(Y, axis=0)
* r2_of_constant_target
- np.where(residual == 0, 1.0, 0.0)
+ np.where(residual == 0, 0.0, 0.0)
* constants_unweighted
- shares = np.cumsum(weights[order])
+ shares = np.cumsum(np.ones(len(y)))
* median_for_every_level
- level * shares[-1]
+ 0.5 * shares[-1]
* huber_location_is_the_mean
- np.clip(r, -kappa, kappa)
+ r
* log_cosh_location_is_the_median
- _location(y, weights, np.tanh)
+ _location(y, weights, np.sign)
* tweedie_scored_by_first_power
- one, two = 1 - power, 2 - power
+ one, two = 1 - power[0], 2 - power[0]
* tweedie_of_zero_nan
- positive = np.where(is_zero, 1, y)
+ positive = y
* gamma_of_the_inverse
- excess = (y - p) / p
+ excess = (p - y) / y
* d2_unweighted
-     self._weights = sample_weight.astype(np.float64)
+     pass
* accuracy_of_first_column
- Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
+ Y[:, 0]
* labels_exclude_each_other
- if exclusive and outputs.shape[1] > 1:
+ if outputs.shape[1] > 1:

=== fastmlp/head.py

* poisson_takes_negative_targets
- if (y < least).any() or (
+ if (
* gamma_takes_zero
- (not is_taken and (y == least).any())
+ False

=== fastmlp/recipe.py

* negative_slope_not_handed_on
- "negative_slope": self.negative_slope
+ "negative_slope": 0.01
* l1_ratio_not_handed_on
- "l1_ratio": self.l1_ratio
+ "l1_ratio": 0.0
* dropout_not_handed_on
- "dropout": self.dropout_at(0)
+ "dropout": 0.0
* batch_norm_not_handed_on
- "batch_norm": self.batch_norm
+ "batch_norm": False
* init_not_handed_on
- init=self.init
+ init="glorot_uniform"
* nesterov_and_momentum_swapped
- return "nesterov" if self.optimizer.nesterovs_momentum else "momentum"
+ return "momentum" if self.optimizer.nesterovs_momentum else "nesterov"
* weight_decay_not_handed_on
- weight_decay=self.weight_decay_at(0)
+ weight_decay=0.0
* clip_norm_not_handed_on
- clip_norm=self.optimizer.grad_clip_norm
+ clip_norm=None
* seed_of_masks_not_handed_on
- seed=seed,
+ seed=0,
* adamw_without_decay
- {"adamw": 0.01}
+ {"adamw": 0.0}
* full_batch_of_200
-             return n_rows
+             return 200
* automatic_batch_of_100
- min(200 if self.batch_size == "auto"
+ min(100 if self.batch_size == "auto"

=== fastmlp/state.py

* snapshots_share_the_stream
- twin.random_state = copy_stream(self.random_state)
+ pass
* snapshots_share_the_optimizer
- twin.optimizer = self.optimizer and self.optimizer.copy()
+ pass
* snapshots_share_the_parameters
- twin.network = self.network.copy()
+ pass
* snapshots_share_the_rate
- twin.learning_rate = copy.copy(self.learning_rate)
+ pass
* seeded_stream_shared
- copy_stream(self.random_state) if random_state is None
+ self.random_state if random_state is None
* published_order_written_to
- order = order.copy() if random_state is None
+ order = order if random_state is None
* samples_seen_forgotten
- self.n_samples_seen,
-             self.split,
+ 0,
+             self.split,
* split_forgotten
- self.n_samples_seen,
-             self.split,
+ self.n_samples_seen,
+             None,
* same_masks_for_every_seed
- int(self.random_state.randint(1, 2**31 - 1))
+ 1
* masks_drawn_without_dropout
- if any(self.network.dropout) and self.dropout_seed == 0:
+ if self.dropout_seed == 0:
* masks_begin_anew
- if any(self.network.dropout) and self.dropout_seed == 0:
+ if any(self.network.dropout):
* what_is_over_goes_on
- anew=not incremental
+ anew=False
* partial_fit_begins_anew
- anew=not incremental
+ anew=True
* rate_outlives_its_optimizer
- rate = replace(rate, value=settings.learning_rate_init)
+ pass
* optimizer_begins_anew
- self.network, self.dropout_seed, self.optimizer
+ self.network, self.dropout_seed, None
* diverged_optimizer_goes_on
- self.optimizer = recipe.make_optimizer(self.network, self.dropout_seed)
+ pass
* best_parameters_go_on_moving
- Snapshot(aligned_copy(network.params), network.stats.copy())
+ Snapshot(network.params, network.stats.copy())
* best_stats_go_on_moving
- Snapshot(aligned_copy(network.params), network.stats.copy())
+ Snapshot(aligned_copy(network.params), network.stats)
* first_loss_is_the_last
- self.loss = logs["loss"]
+ self.loss = self.history["loss"][0]
* last_parameters_never_stay
- unscored = self.plateau.best == -math.inf
+ unscored = False
* unscored_divergence_stays
- if not (unscored and np.isfinite(last).all()):
+ if not unscored:
* best_parameters_not_restored
- self.network.params[:], self.network.stats[:] = self.best
+ pass
* best_stats_not_restored
- self.network.params[:], self.network.stats[:] = self.best
+ self.network.params[:] = self.best.params
* learning_rate_not_stored
- "learning_rate": self.learning_rate and self.learning_rate.to_dict()
+ "learning_rate": None
* optimizers_numbers_not_stored
- "numbers": optimizer.numbers
+ "numbers": {}
* seed_of_masks_not_stored
- "dropout_seed": self.dropout_seed
+ "dropout_seed": 0
* plateau_not_stored
- "plateau": vars(self.plateau)
+ "plateau": vars(Plateau())
* samples_seen_not_stored
- "n_samples_seen": self.n_samples_seen
+ "n_samples_seen": 0
* split_not_stored
- "split": self.split and vars(self.split)
+ "split": None
* order_not_stored
- "order": self.order and self.order.to_dict()
+ "order": None
* history_not_stored
- "history": history
+ "history": {}
* overfitting_not_stored
- "overfitting": vars(self.overfitting)
+ "overfitting": vars(Overfitting())
* best_parameters_not_stored
- "best": best and best._asdict()
+ "best": None
* reason_not_stored
- "stop_reason": self.stop_reason
+ "stop_reason": None
* message_not_stored
- "message": self.message
+ "message": ""
* other_versions_read
- if facts["version"] != VERSION:
+ if False:
* stored_stream_begins_anew
- stream_from(facts["random_state"])
+ np.random.RandomState(0)
* stored_steps_not_read
- optimizer.n_steps = facts["n_steps"]
+ pass
* stored_slots_not_read
- copy_into(slot, values, "a slot of the optimizer")
+ slot[:] = 0

=== fastmlp/listeners.py

* callbacks_cannot_stop
- return any(asks_to_stop(answer) for answer in answers)
+ return False
* callbacks_share_their_logs
- function(epoch, dict(logs))
+ function(epoch, logs)

=== fastmlp/fitting.py

* best_kept_without_early_stopping
- if is_best and self.recipe.early_stopping:
+ if is_best:
* larger_loss_is_better
- sign = 1 if self.recipe.early_stopping else -1
+ sign = 1
* callback_is_no_reason
- self.stop_reason = self.stop_reason or StopReason.CALLBACK
+ pass
* callback_is_the_first_reason
- self.stop_reason = self.stop_reason or StopReason.CALLBACK
+ self.stop_reason = StopReason.CALLBACK
* seconds_not_measured
- logs["seconds"] = time.perf_counter() - self._started
+ logs["seconds"] = 0.0
* interrupt_not_caught
- except KeyboardInterrupt:
+ except ZeroDivisionError:
* interrupt_of_the_first_epoch_kept
- if state.n_epochs == 0:
+ if False:
* divergence_unseen
- raise_if_diverged(state.network.params)
+ pass
* epochs_are_no_work
- n_steps = recipe.n_epochs * -(-order.n_rows // batch_size)
+ n_steps = -(-order.n_rows // batch_size)
* whole_batches_are_the_only_work
- -(-order.n_rows // batch_size)
+ (order.n_rows // batch_size)
* shuffle_always
- if recipe.shuffle:
+ if True:
* samples_not_counted
- state.n_samples_seen += order.n_rows
+ state.n_samples_seen += 1
* momentum_of_the_first_epoch
- optimizer.change("momentum", recipe.momentum_at(epoch))
+ pass
* decay_of_the_first_epoch
- optimizer.change("weight_decay", recipe.weight_decay_at(epoch))
+ pass
* dropout_of_the_first_epoch
- state.network.set_dropout(recipe.dropout_at(epoch))
+ pass

=== fastmlp/full_batch.py

* blas_has_all_threads
- with one_thread_for_blas(), thread_team
+ with thread_team
* exact_step_too_long
- float(gradient @ gradient / curvature)
+ float(1.5 * gradient @ gradient / curvature)
* every_objective_is_quadratic
- exact = run.network.is_quadratic
+ exact = True
* gtol_not_handed_on
- "gtol": run.recipe.tol
+ "gtol": 1e-12
* maxfun_not_handed_on
- "maxfun": run.recipe.max_fun
+ "maxfun": 15000
* limit_counts_as_convergence
- 1: StopReason.MAX_ITER,
+ 1: StopReason.TOL,
* full_batch_divergence_unseen
- raise_if_diverged(np.append(network.params, fit.state.loss))
+ pass
* interrupt_keeps_the_last
- descent.point = descent.best
+ pass
* rate_of_gd_not_handed_on
- run.recipe.schedule.learning_rate_init
+ 0.001
* lbfgs_goes_on_when_asked_to_stop
- if run.fit.stop_reason is not None:
+ if False:

=== fastmlp/descent.py

* moved_by_rounding
- least = self.eps * np.linalg.norm(self.point.params)
+ least = 0.0
* full_batch_callbacks_cannot_stop
- if self.fit.stop_reason is not None:
+ if False:

=== fastmlp/second_order.py

* radius_for_a_quadratic
- radius = math.inf if quadratic else FIRST_RADIUS
+ radius = FIRST_RADIUS
* every_step_accepted
- run.finish_iteration(trial if ratio >= REFUSED else point)
+ run.finish_iteration(trial)
* negative_curvature_unseen
- square / curvature if curvature > 0 else math.inf
+ square / abs(curvature)
* boundary_from_the_centre
- c / (b + math.sqrt(b * b + a * c))
+ c / math.sqrt(a * c)
* misled_by_rounding
- if predicted <= LOST_UNITS * eps * abs(point.loss):
+ if predicted <= 0:
* minima_with_flat_directions
- zero = units * float(
+ zero = -units * float(
* every_point_is_stationary
- stationary = np.abs(gradient).max() <= gtol
+ stationary = True

=== fastmlp/sklearn_private.py

* first_and_second_moments_swapped
- made.ms, made.vs = slots
+ made.vs, made.ms = slots
* steps_of_adam_not_written
- made.t = int(optimizer.rule["t"][0])
+ made.t = 1
* steps_of_adam_not_read
- optimizer.rule["t"] = found.t
+ pass
* rate_in_force_not_written
- made.learning_rate = rate.value
+ pass
* rate_in_force_not_read
- slots, rate.value = (found.velocities,), found.learning_rate
+ slots = (found.velocities,)
* rate_in_force_not_shown
- optimizer.learning_rate = rate.value
+ pass
* velocities_not_written
- made.velocities = slots[0] if slots else made.velocities
+ pass
* stalled_epochs_not_read
- return getattr(theirs, "_no_improvement_count", 0)
+ return 0
* optimizer_set_for_all_copies
- self._state = replace(self._state, optimizer=optimizer)
+ self._state.optimizer = optimizer

=== fastmlp/estimators/_base.py

* changed_activation_goes_on
- if before != now:
+ if before[0] != now[0]:
* fits_on_the_estimator_itself
- new, held_out = trial.twin, None
+ new, held_out = self, None
* earlier_alpha_kept
- network = fitted.copy(**settings)
+ network = fitted.copy()
* moments_of_other_layers_kept
- if earlier is not None and earlier.network.layer_sizes != layer_sizes:
+ if False:
* partial_fit_runs_every_epoch
- n_epochs=1 if incremental else self.max_iter
+ n_epochs=self.max_iter
* class_weight_not_handed_on
- network.as_data(data.X, data.Y, data.training_weight)
+ network.as_data(data.X, data.Y, data.sample_weight)
* callbacks_not_handed_on
- *listeners_of(new, view),
* tasks_not_handed_on
- *tasks,

=== fastmlp/estimators/_publication.py

* a_reader_sees_half
- self._estimator.__dict__ = attributes
+ mine.update(attributes)
* readers_see_later_fits
- return view
+ return estimator
* failure_leaves_traces
- estimator.__dict__ = before
-         raise
+ raise
* removed_attributes_stay
- attributes.pop(name, None)
+ pass
* what_a_callback_has_set_is_lost
- attributes = mine.copy()
+ attributes = {n: v for n, v in mine.items() if n in before}
* two_fits_at_once
- if other is not mine and other() is not None:
+ if False:

=== fastmlp/estimators/_fitted.py

* overfitting_not_told
- estimator.overfit_epoch_ = state.overfitting.epoch
+ estimator.overfit_epoch_ = None
* best_loss_of_the_wrong_sign
- None if early_stopping else -state.plateau.best
+ None if early_stopping else state.plateau.best
* worst_validation_score
- max((s for s in scores if not math.isnan(s))
+ min((s for s in scores if not math.isnan(s))
* best_score_is_nan
- max((s for s in scores if not math.isnan(s)), default=math.nan)
+ max(scores, default=math.nan)
* curves_of_another_kind_of_solver_stay
- estimator.__dict__.pop(name, None)
+ pass
* loss_curve_restarts
- earlier = getattr(estimator, attribute, None) if goes_on else None
+ earlier = None
* view_of_the_end_without_the_best
- now.take_best()
+ pass
* set_samples_seen_ignored
- attributes.get("t_", state.n_samples_seen) - state.n_samples_seen
+ 0
* set_samples_seen_not_scheduled
- scheduled = state.learning_rate.n_samples + unseen
+ scheduled = state.learning_rate.n_samples
* set_best_loss_ignored
- state.plateau.best = state.plateau.best if loss is None else -loss
+ pass

=== fastmlp/estimators/_held_out.py

* validation_rows_ignored
- held_out = given
+ held_out = None
* held_out_rows_drawn_anew
- if state.split is None or not state.split.holds(n_rows, fraction):
+ if True:
* split_replayed_from_where_the_stream_is
- stream = stream_from(state.split.stream)
+ stream = state.random_state
* held_out_rows_trained_on
- rows = rows[~np.isin(rows, state.split.moved)]
+ pass
* split_not_stratified
- stratify=stratify,
+ stratify=None,
* best_of_other_rows_kept
- return "held_out", scoring, n_trained_on, len(held_out.Y)
+ return ("held_out",)
* validation_loss_unweighted
- network.as_data(data.X, data.Y, data.sample_weight)
+ network.as_data(data.X, data.Y, None)
* scorer_ignored
- if estimator.scoring is None:
+ if True:
* scorer_unweighted
- settings["sample_weight"] = data.sample_weight
+ pass
* weights_for_every_scorer
- data.sample_weight is not None and _takes_weights(scorer)
+ data.sample_weight is not None

=== fastmlp/estimators/_listeners.py

* hooks_are_shown_the_best
- estimator = self._view(fit.state)
+ estimator = self._view(fit.state, ended=True)
* hooks_cannot_stop
- return any(asks_to_stop(answer) for answer in answers)
+ return False
* tasks_cannot_stop
- return self._task.call_on_fit_task_end(
+ self._task.call_on_fit_task_end(
* tasks_are_shown_the_last
- self._view(fit.state, ended=True)
+ self._view(fit.state)

=== fastmlp/estimators/_validation.py

* validation_skipped_of_no_rows
- and X.size > 0
* validation_skipped_of_other_types
- and X.dtype in dtypes
* validation_skipped_of_a_vector
- and X.ndim == 2
* validation_skipped_of_a_subclass
- type(X) is np.ndarray
+ isinstance(X, np.ndarray)
* validation_skipped_of_fewer_targets
- and y.shape == (n_rows,)
+ and y.ndim == 1
* validation_skipped_of_objects
- and y.dtype.kind in "biuf"
+ and y.dtype.kind in "biufO"
* validation_skipped_of_nan
- return bool(np.isfinite(array.sum()))
+ return True
* negative_sample_weights_fitted
- if (weights < 0).any():
+ if (weights < 0).all():
* dtype_ignored
- return [check_dtype(estimator.dtype)]
+ pass
* validation_skipped_with_names
- and "feature_names_in_" not in attributes
* validation_skipped_of_other_columns
- X.shape[1] == attributes.get("n_features_in_")
+ True
* names_of_an_earlier_fit_kept
- estimator.__dict__.pop("feature_names_in_", None)
* columns_of_an_earlier_fit_kept
- estimator.n_features_in_ = X.shape[1]
* validation_weights_not_handed_on
- checked_sample_weight(sample_weight_val, X, "sample_weight_val")
+ None

=== fastmlp/estimators/_classifier.py

* probabilities_swapped
- np.hstack([1 - outputs, outputs])
+ np.hstack([outputs, 1 - outputs])
* validation_accuracy_unweighted
- accuracy(outputs, data.Y, data.sample_weight, exclusive)
+ accuracy(outputs, data.Y, None, exclusive)
* classes_not_told
- told._kwargs = {"labels": self.classes_, **told._kwargs}
+ pass
* last_row_of_a_class_held_out
- if len(candidates) > 1:
+ if len(candidates) > 0:
* several_classes_logistic
- if self._labels.kind != "multiclass" and self.loss == "log_loss":
+ if self.loss == "log_loss":
* two_classes_not_stratified
- return np.where(data.Y[:, 0] == 1, "True", "False")
+ return None
* unknown_classes_accepted
- if not set(classes) <= set(self.classes_):
+ if False:
* class_weight_ignored
- weights = self._class_weights(data.y)
+ weights = np.ones(len(data.y))
* class_weight_replaces_sample_weight
- weights = weights * data.sample_weight
+ pass
* probabilities_not_normalised
- np.divide(outputs, totals, out=even, where=totals > 0)
+ outputs
* probabilities_not_cut_off
- outputs = outputs.clip(0, 1)
+ pass
* gradients_of_classes_swapped
- np.concatenate([-gradients, gradients], axis=1)
+ np.concatenate([gradients, -gradients], axis=1)
* gradients_not_normalised
- gradients - shared, totals
+ gradients, totals
* gradients_not_cut_off
- gradients[(outputs < 0) | (outputs > 1)] = 0
+ pass
* other_probabilities_converted
- if name not in ("softmax", "logistic") or self._normalises(network):
+ if name not in ("softmax", "logistic"):
* set_outputs_read_as_probabilities
- return network.output_activation == state.network.output_activation
+ return True

=== fastmlp/estimators/_regressor.py

* scores_unweighted
- getattr(self, name, default), Y, sample_weight)
+ getattr(self, name, default), Y, None)
* huber_scored_at_the_level
- getattr(self, name, default)
+ default
* every_loss_judged_by_r2
- if self.loss == "squared_error":
+ if self.loss:
* validation_r2_unweighted
- r2(outputs, data.Y, data.sample_weight)
+ r2(outputs, data.Y, None)
* levels_not_handed_on
- pick(Head, self)
+ pick(Head, self, quantile=0.5)
* huber_delta_not_handed_on
- pick(Head, self)
+ pick(Head, self, huber_delta=1.0)
* tweedie_power_not_handed_on
- pick(Head, self)
+ pick(Head, self, tweedie_power=1.5)
* output_activation_not_handed_on
- pick(Head, self)
+ pick(Head, self, output_activation=None)

=== fastmlp/estimators/_labels.py

* unknown_keys_accepted
- if missing and len(classes) - len(missing) != len(class_weight):
+ if False:
* class_weights_taken_for_numbers
- if not isinstance(weight, Real):
+ if False:
* changed_binarizers_decode_as_usual
- type(binarizer) is LabelBinarizer
+ True
* other_thresholds_decode_as_usual
- and (binarizer.neg_label, binarizer.pos_label) == (0, 1)
* unsorted_classes_encode_as_usual
- return bool((self.classes_[1:] > self.classes_[:-1]).all())
+ return True
* rows_of_labels_in_another_order
- return np.ascontiguousarray(Y, dtype=dtype)
+ return np.asfortranarray(Y, dtype=dtype)
* two_classes_are_many
- len(np.unique(y)) <= 2
+ len(np.unique(y)) < 2
* three_classes_are_two
- len(np.unique(y)) <= 2
+ len(np.unique(y)) <= 3
* floats_are_classes
- y.dtype.kind in "biu"
+ y.dtype.kind in "biuf"
* two_classes_decoded_the_wrong_way
- (outputs[:, 0] > 0.5)
+ (outputs[:, 0] < 0.5)
* least_likely_class
- outputs.argmax(axis=1)
+ outputs.argmin(axis=1)
* labels_are_whole_numbers
- return np.unique(y) if _are_whole_numbers(y) else unique_labels(y)
+ return np.unique(y)
* labels_columns_first
- np.ascontiguousarray(Y, dtype=dtype)
+ Y.astype(dtype)

=== fastmlp/estimators/_attributes.py

* whole_numbers_become_float32
- np.result_type(*weights, *biases, np.float32)
+ np.dtype(np.float32)
* layers_beyond_are_read
- weights = [W.toarray() if issparse(W) else np.asarray(W) for W in coefs[:n_read]]
+ weights = [W.toarray() if issparse(W) else np.asarray(W) for W in coefs]
* set_coefficients_ignored
- return len(mine) == len(public) and all(map(operator.is_, mine, public))
+ return len(mine) == len(public)
* set_output_activation_ignored
- attributes["out_activation_"] == network.output_activation
+ True
* set_number_of_layers_ignored
- and attributes["n_layers_"] == len(network.layer_sizes)
* set_number_of_outputs_ignored
- and attributes["n_outputs_"] == network.layer_sizes[-1]

=== fastmlp/estimators/_conversion.py

* classes_of_softmax_swapped
- weights[-1] = weights[-1][:, 1:] - weights[-1][:, :1]
+ weights[-1] = weights[-1][:, :1] - weights[-1][:, 1:]
* losses_not_averaged
- scaled = name in LOSSES and value is not None and factor != 1
+ scaled = False
* ignored_schedule_followed
- if estimator.solver != "sgd":
+ if False:
* set_output_activation_not_converted
- ours.out_activation_ = theirs.out_activation_
+ pass
* moments_of_normalised_layers_converted
- return sizes == network.layer_sizes and not network.batch_norm
+ return sizes == network.layer_sizes
* random_state_shared
- random_state = copy.deepcopy(state.random_state)
+ random_state = state.random_state

=== fastmlp/estimators/_pickling.py

* set_coefficients_not_stored
- if holds_views(estimator, state.network):
+ if True:

=== fastmlp/estimators/_warnings.py

* streams_diverge
- first = math.inf if incremental else
+ first = 0 if incremental else
"""  # noqa: E501


class Mutation(NamedTuple):
    """One thing that is broken."""

    name: str
    file: str
    engine: str
    old: str
    new: str

    @property
    def is_native(self) -> bool:
        """Whether the engine must be built again to see it."""
        return not self.file.endswith(".py")

    def apply(self, folder: Path) -> None:
        """Break the copy in that folder."""
        path = folder / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


class Result(NamedTuple):
    """What became of one mutation: caught, SURVIVED, TOO SLOW or BROKEN."""

    name: str
    outcome: str
    detail: str
    seconds: float


def read_table(table: str = TABLE) -> list[Mutation]:
    """The mutations of the table."""
    mutations = []
    for section in table.split("=== ")[1:]:
        heading, *entries = re.split(r"^\* ", section, flags=re.MULTILINE)
        file, engine, *_ = [*heading.split(), "plain"]
        for entry in entries:
            name, *lines = entry.splitlines()
            old, new = (
                "\n".join(line[2:] for line in lines if line.startswith(mark))
                for mark in "-+"
            )
            mutations.append(Mutation(name, file, engine, old, new))
    return mutations


def find_faults(mutations: list[Mutation], root: Path = ROOT) -> list[str]:
    """Why the list cannot be run as it stands; empty if it can."""
    faults = []
    for name, times in Counter(m.name for m in mutations).items():
        if times > 1:
            faults.append(f"{name}: {times} mutations of that name")
    for name, file, _, old, new in mutations:
        path = root / file
        times = path.read_text().count(old) if path.exists() else 0
        if times != 1 or not old:
            faults.append(f"{name}: its text occurs {times} times in {file}")
        if old == new:
            faults.append(f"{name}: changes nothing")
    return faults


def choose_tests(folder: Path, file: str) -> list[str]:
    """The test files to run where that file is broken, the likeliest to fail first."""
    is_python = file.endswith(".py")
    own = f"test_{Path(file).stem.lstrip('_')}.py"
    first = dict.fromkeys((own, *(PYTHON_FIRST if is_python else NATIVE_FIRST)))
    left_out = LEFT_OUT + NATIVE_ONLY if is_python else LEFT_OUT
    found = {path.name for path in (folder / "tests").glob("test_*.py")} - {*left_out}
    return [name for name in first if name in found] + sorted(found - {*first})


def child_environment(folder: Path, engine: str) -> dict[str, str]:
    """The copy is imported, one thread each, BLAS as it finds itself."""
    chosen = ("FASTMLP_", "OPENBLAS_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(chosen)}
    return {
        **kept,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FASTMLP_ISA": engine,
        "OPENBLAS_NUM_THREADS": "1",
    }


def run_python(
    folder: Path, engine: str, arguments: list[str], seconds: float, **environment: str
) -> subprocess.CompletedProcess:
    """Python in that folder, its output in one text."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**child_environment(folder, engine), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def build(folder: Path, engines: list[str]) -> None:
    """Build those engines in place, anew.

    Raises
    ------
    RuntimeError
        If one does not compile.
    """
    for name in ("engine", *(f"engine_{engine}" for engine in engines)):
        for path in (folder / "fastmlp/_kernels").glob(f"{name}.*"):
            if path.suffix not in (".pyx", ".pxi"):
                path.unlink()
    command = ["setup.py", "-q", "build_ext", "--inplace"]
    chosen = ",".join(engines)
    done = run_python(folder, "", command, BUILD_SECONDS, FASTMLP_BUILD=chosen)
    if done.returncode:
        raise RuntimeError(f"does not build: {last_line(done.stdout)}")


def check_import(folder: Path, engine: str) -> None:
    """Raise RuntimeError unless the copy is what the tests would import."""
    code = "import fastmlp, fastmlp._kernels as k; print(fastmlp.__file__, k.__file__)"
    code = f"{code}; print(k.engine.__file__)"
    done = run_python(folder, engine, ["-c", code], TEST_SECONDS)
    files = done.stdout.split()
    inside = all(Path(file).is_relative_to(folder) for file in files)
    if done.returncode or len(files) != 3 or not inside:
        raise RuntimeError(f"the copy is not imported: {last_line(done.stdout)}")


def run_tests(folder: Path, engine: str, tests: list[str]) -> tuple[str, str]:
    """Outcome, and the first test that failed."""
    command = ["-m", "pytest", "-x", "-q", "--tb=no", "--color=no"]
    command += ["-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)]
    command += [f"--deselect=tests/{test}" for test in SLOW_TESTS]
    try:
        done = run_python(folder, engine, command, TEST_SECONDS)
    except subprocess.TimeoutExpired:
        return "TOO SLOW", f"still running after {TEST_SECONDS} s"
    if done.returncode < 0:
        return "caught", f"killed by signal {-done.returncode}"
    if done.returncode == 0:
        return "SURVIVED", last_line(done.stdout)
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    if failed is None:
        return "BROKEN", last_line(done.stdout)
    return "caught", failed[1]


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def make_baseline(folder: Path, engines: list[str]) -> None:
    """A copy of the tree, built; quicker to compile, the results the same."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for path in (folder / "fastmlp/_kernels").glob("*.c"):
        path.unlink()
    setup = folder / "setup.py"
    setup.write_text(setup.read_text().replace('"-O3"', '"-O1"'))
    build(folder, engines)
    for engine in engines:
        check_import(folder, engine)


def check_baseline(folder: Path, engine: str) -> Result:
    """What the tests say of an engine that nobody broke."""
    began = time.perf_counter()
    outcome, detail = run_tests(folder, engine, choose_tests(folder, "engine.pxi"))
    outcome = "passes" if outcome == "SURVIVED" else "FAILS"
    seconds = time.perf_counter() - began
    return Result(f"unbroken, {engine} engine", outcome, detail, seconds)


def try_mutation(mutation: Mutation, baseline: Path) -> Result:
    """Break a copy of the baseline and run the tests on it."""
    began = time.perf_counter()
    engine = mutation.engine
    with tempfile.TemporaryDirectory(dir=baseline.parent) as parent:
        folder = Path(parent, "tree")
        shutil.copytree(baseline, folder)
        mutation.apply(folder)
        try:
            if mutation.is_native:
                build(folder, [engine])
            check_import(folder, engine)
            tests = choose_tests(folder, mutation.file)
            outcome, detail = run_tests(folder, engine, tests)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            outcome, detail = "BROKEN", str(error)
    return Result(mutation.name, outcome, detail, time.perf_counter() - began)


def try_all(mutations: list[Mutation], baseline: Path, jobs: int) -> Iterator[Result]:
    """Results as they come. Threads suffice: the work is done in child processes."""
    with ThreadPoolExecutor(jobs) as pool:
        tasks = [pool.submit(try_mutation, m, baseline) for m in mutations]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def report(count: str, result: Result) -> None:
    """One line."""
    name, outcome, detail, seconds = result
    print(f"{count:>9} {outcome:8} {seconds:5.1f} s  {name}: {detail}", flush=True)


def run(mutations: list[Mutation], jobs: int, folder: Path) -> list[Result]:
    """Those that were not caught; the unbroken tree if its tests fail."""
    baseline = folder / "baseline"
    engines = sorted({m.engine for m in mutations})
    make_baseline(baseline, engines)
    with ThreadPoolExecutor(jobs) as pool:
        unbroken = list(pool.map(lambda e: check_baseline(baseline, e), engines))
    for result in unbroken:
        report("", result)
    failures = [result for result in unbroken if result.outcome != "passes"]
    if failures:
        return failures
    for n, result in enumerate(try_all(mutations, baseline, jobs), 1):
        report(f"[{n}/{len(mutations)}]", result)
        if result.outcome != "caught":
            failures.append(result)
    return failures


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--jobs", type=int, default=2, help="mutations at a time")
    parser.add_argument("--only", action="append", metavar="NAME", help="just these")
    return parser.parse_args()


def main() -> int:
    """Run the list; 1 if anything but caught mutations came out."""
    arguments = parse_arguments()
    mutations = read_table()
    chosen = [m for m in mutations if not arguments.only or m.name in arguments.only]
    faults = find_faults(mutations)
    if faults or not chosen:
        print("\n".join(faults) or "no mutation of that name")
        return 1
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        failures = run(chosen, arguments.jobs, Path(folder).resolve())
    seconds = time.perf_counter() - began
    print(f"{len(chosen)} mutations, {len(failures)} failures, {seconds:.0f} s")
    for result in failures:
        report("", result)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
