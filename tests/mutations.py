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

# The first failure ends a run: the tests that find most come first, then all others.
NATIVE_FIRST = (
    "test_kernels.py",
    "test_math.py",
    "test_network.py",
    "test_sparse.py",
    "test_threads.py",
    "test_allocation.py",
    "test_parity.py",
)
PYTHON_FIRST = (
    "test_network.py",
    "test_estimators.py",
    "test_sparse.py",
    "test_parity.py",
)
NATIVE_ONLY = ("test_kernels.py", "test_math.py", "test_allocation.py")
LEFT_OUT = ("test_mutations.py", "test_import.py", "test_reference.py")
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
- return power * expm1_reduced(remainder(x, n)) + (power - 1)
+ return power * (expm1_reduced(remainder(x, n)) + 1) - 1
* expm1_ends_too_early
- x = <real>-60 if x < <real>-60 else x
+ x = <real>-30 if x < <real>-30 else x
* tanh_without_sign
- return with_sign_of(t / (t + 2), x)
+ return -t / (t + 2)
* tanh_of_half_x
- expm1_negative(-2 * absolute(x))
+ expm1_negative(-absolute(x))
* sigmoid_even
- (<real>1 if x >= 0 else e) / (1 + e)
+ <real>1 / (1 + e)
* sigmoid_of_negative_x_overflows
- cdef real e = exp(-absolute(x))
-     return (<real>1 if x >= 0 else e) / (1 + e)
+ cdef real e = exp(x)
+     return e / (1 + e)
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
- return log_normal(u) + (x - (u - 1)) / u
+ return log_normal(u)

=== fastmlp/_kernels/activations.pxd

* logistic_slope
- return a * (1 - a)
+ return a
* tanh_slope
- return 1 - a * a
+ return 1 - a
* relu_slope
- return <real>0 if a == 0 else <real>1
+ return <real>1
* relu_loses_nan
- return <real>0 if z < 0 else z
+ return z if z > 0 else <real>0
* exp_slope
- elif activation == EXP:
-         return a
+ elif activation == EXP:
+         return 1
* bias_left_out
- value(row[j] + b[j], activation)
+ value(row[j], activation)
* first_bias_for_all
- value(row[j] + b[j], activation)
+ value(row[j] + b[0], activation)
* slope_replaces_delta
- delta[i] = delta[i] * slope(a[i], activation)
+ delta[i] = slope(a[i], activation)
* softmax_overflows
- row[j] = row[j] - largest
+ row[j] = row[j]
* softmax_not_normalised
- total = 1 / total
+ total = 1

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
* product_not_accumulated
- cdef real beta = 1 if accumulate else 0
+ cdef real beta = 0
* one_row_times_transpose
- gemv(c, b, a, False, <int>n, <int>k
+ gemv(c, b, a, True, <int>n, <int>k
* one_column_from_wrong_side
- gemv(c, a, b, True, <int>k, <int>m
+ gemv(c, a, b, False, <int>k, <int>m

=== fastmlp/_kernels/products.pxd

* nt_as_nn
- multiply(c, a, b, m, n, k, k, 1, 1, k, False)
+ multiply(c, a, b, m, n, k, k, 1, n, 1, False)
* tn_not_accumulated
- multiply(c, a, b, m, n, k, 1, a_width, n, 1, accumulate)
+ multiply(c, a, b, m, n, k, 1, a_width, n, 1, False)
* column_sums_begin_anew
- if not accumulate:
+ if True:
* column_sums_miss_first_row
- for i in range(m):
-         for j in range(n):
-             out[j] +=
+ for i in range(1, m):
+         for j in range(n):
+             out[j] +=

=== fastmlp/_kernels/products.pxd v3

* tn_of_packed_rows
- multiply(c, a, b, m, n, k, 1, a_width, n, 1, accumulate)
+ multiply(c, a, b, m, n, k, 1, m, n, 1, accumulate)
* dot_tail_dropped
- for i in range(whole, k):
+ for i in range(whole + 1, k):
* dot_half_the_lanes
- lanes[j] += lanes[j + LANES // 2]
+ lanes[j] += 0
* dots_not_accumulated
- c[i * n + j] + value if accumulate else value
+ value
* dots_of_first_row
- dot(a + i * a_row, b
+ dot(a, b
* dots_of_first_column
- b + j * b_column, k)
+ b, k)
* one_column_by_wrong_strides
- 1, m, k, 0, b_row, a_column, a_row, accumulate)
+ 1, m, k, 0, b_row, a_row, a_column, accumulate)

=== fastmlp/_kernels/tiles_of_length.h v3

* tile_not_accumulated
- m, depth, columns - LANES, accumulate || l > 0);
+ m, depth, columns - LANES, accumulate);
* tile_always_accumulates
- m, depth, columns - LANES, accumulate || l > 0);
+ m, depth, columns - LANES, 1);
* tile_overlap_misplaced
- ((v) == vectors - 1 ? last : (v) * LANES)
+ ((v) * LANES)
* tile_last_rows_left_out
- TILES(6, VECTORS) TILES(2, VECTORS) TILES(1, VECTORS)
+ TILES(6, VECTORS) TILES(2, VECTORS)
* pack_strides_swapped
- packed[l * width + r] = b[r * b_column + l * b_row];
+ packed[l * width + r] = b[r * b_row + l * b_column];
* pack_first_eight_columns_again
- b[(r + q) * b_column + l * b_row]
+ b[q * b_column + l * b_row]
* panel_of_first_rows
- *panel = b + l * b_row + j * b_column
+ *panel = b + j * b_column
* panel_of_first_columns
- *panel = b + l * b_row + j * b_column
+ *panel = b + l * b_row
* inputs_of_first_depth
- c + j, n, a + l * a_column, a_row
+ c + j, n, a, a_row
* last_depth_too_deep
- depth = k - l < DEPTH ? k - l : DEPTH
+ depth = k < DEPTH ? k : DEPTH

=== fastmlp/_kernels/losses.pxd

* squared_error_uphill
- delta[i] = a[i] - y[i]
+ delta[i] = y[i] - a[i]
* squared_error_doubled
- losses[i] = <real>0.5 * (a[i] - y[i])
+ losses[i] = (a[i] - y[i])
* squared_error_without_slope
- activations.multiply_slope(delta, a, n, activation)
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
- = -delta[i * n + target]
+ = delta[i * n + target]
* softmax_loss_sign_of_log
- += math.log(total)
+ -= math.log(total)
* softmax_delta_without_one_hot
- delta[i * n + target] -= 1
* softmax_other_shares_unwritten
- losses[i * n + j] = 0
* delta_not_scaled
- scale_rows(delta, scales, rows, n)
* delta_scaled_by_first_row
- delta[i * n + j] * scales[i]
+ delta[i * n + j] * scales[0]

=== fastmlp/_kernels/optimizers.pxd

* sgd_uphill
- w[0] -= rate * g
-
+ w[0] += rate * g
+
* sgd_without_penalty
- sgd(w + i, grads[i] + l2 * w[i], rate)
+ sgd(w + i, grads[i], rate)
* momentum_undamped
- v[0] = mu * v[0] - rate * g
-     w[0] += v[0]
+ v[0] = v[0] - rate * g
+     w[0] += v[0]
* momentum_one_step_late
- v[0] = mu * v[0] - rate * g
-     w[0] += v[0]
+ w[0] += v[0]
+     v[0] = mu * v[0] - rate * g
* momentum_without_penalty
-  momentum(w + i, v + i, grads[i] + l2 * w[i],
+  momentum(w + i, v + i, grads[i],
* nesterov_as_momentum
- w[0] += mu * v[0] - rate * g
+ w[0] += v[0]
* nesterov_penalty_sign
- nesterov(w + i, v + i, grads[i] + l2
+ nesterov(w + i, v + i, grads[i] - l2
* adagrad_forgets
- s[0] += g * g
+ s[0] = g * g
* adagrad_epsilon_outside_root
- s[0] += g * g
-     w[0] -= rate * g / square_root(s[0] + epsilon)
+ s[0] += g * g
+     w[0] -= rate * g / (square_root(s[0]) + epsilon)
* adagrad_penalty_sign
- adagrad(w + i, v + i, grads[i] + l2
+ adagrad(w + i, v + i, grads[i] - l2
* rmsprop_without_gain
- s[0] = rho * s[0] + gain * g * g
+ s[0] = rho * s[0] + g * g
* rmsprop_epsilon_outside_root
- s[0] = rho * s[0] + gain * g * g
-     w[0] -= rate * g / square_root(s[0] + epsilon)
+ s[0] = rho * s[0] + gain * g * g
+     w[0] -= rate * g / (square_root(s[0]) + epsilon)
* rmsprop_other_decay
- rate, decay_2, gain_2, epsilon)
-     elif
+ rate, decay_1, gain_1, epsilon)
+     elif
* adam_epsilon_inside_root
- rate * v[0] / (square_root(s[0]) + epsilon)
+ rate * v[0] / square_root(s[0] + epsilon)
* adam_gradient_for_moment
- rate * v[0] / (
+ rate * g / (
* adam_second_moment_late
- s[0] = beta_2 * s[0] + gain_2 * g * g
-     w[0] -= rate * v[0] / (square_root(s[0]) + epsilon)
+ w[0] -= rate * v[0] / (square_root(s[0]) + epsilon)
+     s[0] = beta_2 * s[0] + gain_2 * g * g
* adam_second_moment_uncorrected
- rule.learning_rate * sqrt(1 - pow(rule.decay_2, rule.t))
+ rule.learning_rate
* adam_first_moment_uncorrected
- / (1 - pow(rule.decay_1, rule.t))
* adam_step_off_by_one
- pow(rule.decay_1, rule.t)
+ pow(rule.decay_1, rule.t + 1)
* adam_moments_in_one_slot
- adam(w + i, v + i, s + i,
+ adam(w + i, v + i, v + i,
* gain_of_other_decay
- gain_2 = 1 - rule.decay_2
+ gain_2 = 1 - rule.decay_1

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
- grads[i] += l2 * params[i]
+ grads[i] -= l2 * params[i]

=== fastmlp/_kernels/sparse.pxd

* sparse_order_ignored
- rows.order[i] if rows.order != NULL else rows.begin + i
+ rows.begin + i
* sparse_entry_of_value_one
- out[j] += factor * row[j]
+ out[j] += row[j]
* sparse_rows_of_first_block
- row = row_at(rows, first + i)
+ row = row_at(rows, i)
* sparse_product_keeps_old_output
- memset(c, 0, m * n * sizeof(real))
* sparse_gradient_begins_anew
- if not accumulate:
+ if True:
* sparse_gradient_of_first_delta
- data[p], delta + i * n, n)
+ data[p], delta, n)

=== fastmlp/_kernels/sparse.pxd v3

* sparse_gradient_of_another_share
- c + (column - begin) * n
+ c + column * n

=== fastmlp/_kernels/engine.pxi

* losses_overwrite_scales
- job.n_targets + 1, n_out, row)
+ job.n_targets, n_out, row)
* scales_overwrite_targets
- return block(arena, job, job.n_targets, 1, row)
+ return block(arena, job, 0, 1, row)
* layer_reads_deltas_below
- return outputs_of(arena, job, l - 1, row)
+ return deltas_of(arena, job, l - 1, row)
* last_rows_of_unit_left_out
- (layer.n_in - 1) // unit_rows(layer) + 1
+ max(<Py_ssize_t>1, layer.n_in // unit_rows(layer))
* penalty_over_biases
- return job.layers[0].biases
+ return job.layers[job.n_layers - 1].biases
* last_rows_of_batch_left_out
- share.end = n if thread == sharers - 1 else n * (thread + 1)
+ share.end = n * (thread + 1)
* bias_of_wrong_offset
- out, <const real*>job.params + layer.biases, rows
+ out, <const real*>job.params + layer.weights, rows
* hidden_activation_left_out
- outputs_of(arena, job, l, first), arena, X, job, l, first, rows,
-             job.layers[l].activation)
+ outputs_of(arena, job, l, first), arena, X, job, l, first, rows,
+             activations.IDENTITY)
* output_activated_twice
- forward_layer(out, arena, X, job, last, first, rows, activations.IDENTITY)
+ forward_layer(out, arena, X, job, last, first, rows, job.layers[last].activation)
* head_of_other_activation
- job.loss, job.layers[last].activation)
+ job.loss, job.layers[0].activation)
* slope_left_out
- activations.multiply_slope(
-             delta, outputs_of(arena, job, l - 1, first),
-             rows * layer.n_in, job.layers[l - 1].activation)
* slope_of_wrong_layer
- rows * layer.n_in, job.layers[l - 1].activation)
+ rows * layer.n_in, job.layers[l].activation)
* slope_misses_last_row
- rows * layer.n_in, job.layers[l - 1].activation)
+ (rows - 1) * layer.n_in, job.layers[l - 1].activation)
* backward_stops_early
- for l in range(job.n_layers - 1, 0, -1):
+ for l in range(job.n_layers - 1, 1, -1):
* delta_through_updated_weights
- for l in range(job.n_layers):
-         layer = &job.layers[l]
-         units
+ for l in range(job.n_layers - 1, -1, -1):
+         backward(arena, job, 0, rows)
+         layer = &job.layers[l]
+         units
* cap_ignored
- row += cap if share > cap else share
+ row += share
* cap_hides_nan
- row += cap if share > cap else share
+ row += share if share <= cap else cap
* loss_without_weights
- total += scales[i] * row
+ total += row / rows
* bias_gradient_of_last_block_only
- rows, job.layers[l].n_out, accumulate)
+ rows, job.layers[l].n_out, False)
* bias_gradient_keeps_last_batch
- rows, job.layers[l].n_out, accumulate)
+ rows, job.layers[l].n_out, True)
* weight_gradient_of_last_block_only
- end - begin, layer.n_out, rows, layer.n_in, accumulate)
+ end - begin, layer.n_out, rows, layer.n_in, False)
* weight_gradient_keeps_last_batch
- end - begin, layer.n_out, rows, layer.n_in, accumulate)
+ end - begin, layer.n_out, rows, layer.n_in, True)
* second_slot_on_the_first
- (job.n_params if job.n_slots > 1 else 0)
+ 0
* every_unit_on_the_first_slots
- <real*>job.slots + begin
+ <real*>job.slots
* penalty_after_its_step
- if step.l2 != 0:
-             squares[unit] = <real>regularizers.sum_squares(params + begin, end - begin)
-         update_range(params, job, begin, end - begin, step, step.l2)
+ update_range(params, job, begin, end - begin, step, step.l2)
+         if step.l2 != 0:
+             squares[unit] = <real>regularizers.sum_squares(params + begin, end - begin)
* last_unit_overruns_its_layer
- end = min(begin + size, layer.weights + layer.n_in * layer.n_out)
+ end = begin + size
* units_of_all_layers_in_one_place
- <real*>job.params, squares_of(arena, job, l), job, l, units, step)
+ <real*>job.params, squares_of(arena, job, 0), job, l, units, step)
* inputs_gathered_over_the_squares
- return squares_of(arena, job, job.n_layers) + row
+ return squares_of(arena, job, 0) + row
* weights_not_updated
- update_range(params, job, begin, end - begin, step, step.l2)
* biases_not_updated
- update_range(<real*>job.params, job, layer.biases, layer.n_out, step, 0)
+ pass
* biases_penalised
- job, layer.biases, layer.n_out, step, 0)
+ job, layer.biases, layer.n_out, step, step.l2)
* penalty_of_first_layer_only
- for unit in range(units_before(job, job.n_layers)):
+ for unit in range(units_before(job, 1)):
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
- evaluate(arena, X, targets_of(arena, job, first), job, first, rows)
-     backward(arena, job, first, rows)
+ backward(arena, job, first, rows)
+     evaluate(arena, X, targets_of(arena, job, first), job, first, rows)
* a_step_allocates
- while begin < size:
-         rows = min(
+ with gil:
+         bytearray(4096)
+     while begin < size:
+         rows = min(
* first_block_for_all
- X.order = order + begin
+ X.order = order
* a_step_for_every_block
- begin > 0, begin + rows == size, thread)
+ begin > 0, True, thread)
* gradient_of_last_block_only
- begin > 0, begin + rows == size, thread)
+ False, begin + rows == size, thread)
* penalty_not_divided_by_m
- step.l2 = rule.alpha / weight
+ step.l2 = rule.alpha
* rate_of_the_step_before
- rule.t += 1
-         step.rate = optimizers.step_rate(&rule)
+ step.rate = optimizers.step_rate(&rule)
+         rule.t += 1
* penalty_doubled
- total += 0.5 * step.l2 * sum_units
+ total += step.l2 * sum_units
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
- rule.t += 1
+ rule.t += 2
* t_not_handed_back
- job.rule[0] = rule
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
- <const real*>job.Y + begin * job.n_targets
+ <const real*>job.Y
* objective_reads_first_weights
- weights + begin if weights != NULL else NULL
+ weights
* objective_capped
- sum_losses(arena, job, rows, INFINITY)
+ sum_losses(arena, job, rows, 1.0)
* objective_weights_of_last_block_only
- 0, job.layers[l].n_in, rows, begin > 0)
+ 0, job.layers[l].n_in, rows, False)
* objective_penalty_not_divided_by_m
- count_weights(job), alpha / weight)
+ count_weights(job), alpha)
* objective_penalises_biases
- count_weights(job), alpha / weight)
+ job.n_params, alpha / weight)
* objective_penalty_doubled
- return 0.5 * l2 * regularizers
+ return l2 * regularizers
* weightless_gradient_unwritten
- memset(grads, 0, job.n_params * sizeof(real))
+ pass

=== fastmlp/_kernels/calls.pxi

* predicts_z
- activations.activate(&out[begin, 0], rows, last.n_out, last.activation)
* bias_offset_unchecked
- if not 0 <= layer.biases <= n_params - layer.n_out:
+ if not 0 <= layer.biases <= n_params:
* order_checked_off_by_one
- inside &= 0 <= order[i] < n_rows
+ inside &= 0 <= order[i] <= n_rows
* classes_checked_off_by_one
- inside &= 0 <= Y[i, 0] < last.n_out
+ inside &= 0 <= Y[i, 0] <= last.n_out
* arena_checked_without_units
- (count_columns(&job) + n_gathered) * capacity + count_units(layers):
+ (count_columns(&job) + n_gathered) * capacity:
* arena_checked_without_gathered_inputs
- (count_columns(&job) + n_gathered) * capacity + count_units(layers):
+ count_columns(&job) * capacity + count_units(layers):
* sparse_columns_checked_off_by_one
- inside &= 0 <= indices[i] < layers[0].n_in
+ inside &= 0 <= indices[i] <= layers[0].n_in
* sparse_rows_may_run_backwards
- inside &= indptr[i] <= indptr[i + 1]
+ inside &= indptr[0] <= indptr[i + 1]

=== fastmlp/_kernels/engine.pxi v3

* other_thread_reads_first_inputs
- return <const real*>X.dense + row * job.layers[0].n_in
+ return <const real*>X.dense
* other_thread_gathers_first_rows
- <const real*>job.X.dense, order + first,
+ <const real*>job.X.dense, order,
* other_thread_takes_first_targets
- <const real*>job.Y, order + first, rows
+ <const real*>job.Y, order, rows
* other_thread_takes_first_weights
- gather_rows(scales, sample_weight, order + first
+ gather_rows(scales, sample_weight, order
* other_thread_multiplies_first_inputs
- out, inputs_of(arena, X, job, l, 0) + begin, delta
+ out, inputs_of(arena, X, job, l, 0), delta
* other_thread_writes_first_gradient
- out = grads + layer.weights + begin * layer.n_out
+ out = grads + layer.weights
* every_thread_updates_biases
- if l % job.n_threads == thread:
+ if True:
* loss_summed_by_last_thread
- if thread == 0:
-             total +=
+ if thread == job.n_threads - 1:
+             total +=

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

=== fastmlp/workspace.py

* deltas_overwrite_outputs
- layer["deltas"] = column + layer["n_out"]
+ layer["deltas"] = column
* not_aligned
- begin = -raw.ctypes.data % _ALIGNMENT
+ begin = 8 - raw.ctypes.data % 8

=== fastmlp/inputs.py

* sparse_indices_of_the_transpose
- X.tocsr() if sparse
+ X.tocsc() if sparse
* width_unchecked
- matrix.ndim != 2 or matrix.shape[1] != n_inputs
+ matrix.ndim != 2

=== fastmlp/network.py

* last_head_is_default
- output_activation or _kernels.HEADS[loss][0]
+ output_activation or _kernels.HEADS[loss][-1]
* copy_shares_parameters
- twin._bind(aligned_copy(self.params))
+ twin._bind(self.params)
* unpickled_views_missing
- self._bind(state["params"])
+ pass
* weights_not_initialised_by_seed
- random_state = np.random.RandomState(random_state)
+ random_state = np.random.RandomState(0)
* negative_weights_accepted
- not np.isfinite(weights).all() or (weights < 0).any()
+ not np.isfinite(weights).all()

=== fastmlp/optimizers.py

* rho_in_the_wrong_place
- "rmsprop": (None, "rho")
+ "rmsprop": ("rho", None)
* copied_optimizer_shares_slots
- twin.slots = aligned_copy(self.slots)
+ pass
* other_optimizer_goes_on
- if earlier.name != self.name:
+ if len(earlier.slots) != len(self.slots):
* steps_forgotten
- self.rule["t"] = earlier.rule["t"]
* changed_rate_ignored
- if earlier.initial_learning_rate == self.initial_learning_rate:
+ if True:

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

=== fastmlp/stopping.py

* tol_of_the_wrong_sign
- value < self.best + self.tol
+ value < self.best - self.tol
* patience_one_short
- self.count > self.patience
+ self.count >= self.patience
* ties_are_best
- is_best = value > self.best
+ is_best = value >= self.best
* count_not_reset
- if value < self.best + self.tol else 0
+ if value < self.best + self.tol else self.count
* divergence_if_all_are_infinite
- np.isfinite(numbers).all()
+ np.isfinite(numbers).any()

=== fastmlp/threads.py v3

* threads_for_any_work
- work < LEAST_WORK
+ work < 0
* limits_ignored
- for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
+ for name in ():

=== fastmlp/training.py

* alpha_not_handed_on
- optimizer.rule["alpha"] = network.alpha
+ pass
* slices_cut_batches
- self._slice_batches * self.batch_size
+ self._slice_batches * self.batch_size + 1
* loss_per_batch_not_row
- return total / len(order)
+ return total / self.batch_size
* saturated_loss_not_capped
- if network.loss_name == "log_loss":
+ if network.loss_name == "none":
* cap_of_double_for_single
- np.finfo(network.dtype).eps
+ np.finfo(np.float64).eps
* best_parameters_go_on_moving
- run.best_params = network.params.copy()
+ run.best_params = network.params
* best_parameters_not_restored
- trainer.network.params[:] = run.best_params
+ pass
* divergence_unseen
- raise_if_diverged(trainer.network.params)
+ pass
* shuffled_rows_not_the_training_rows
- return rows[permutation]
+ return permutation
* samples_not_counted
- loop.n_samples_seen += len(rows)
+ loop.n_samples_seen += 1
* larger_loss_is_better
- loop.plateau.update(-run.loss_curve[-1])
+ loop.plateau.update(run.loss_curve[-1])
* plateau_not_reset
- loop.plateau.count = 0
+ pass
* lower_rate_not_set
- optimizer.learning_rate = lower
+ pass
* scheduled_rate_not_set
- optimizer.learning_rate = rate
+ pass
* interrupt_not_caught
- except KeyboardInterrupt:
+ except ZeroDivisionError:

=== fastmlp/scores.py

* accuracy_of_any_label
- ((outputs > 0.5) == Y).all(axis=1)
+ ((outputs > 0.5) == Y).any(axis=1)
* accuracy_unweighted
- np.average(right, weights=sample_weight)
+ np.average(right)
* accuracy_of_nan
- if not np.isfinite(outputs).all():
-         return float("nan")
-     if Y
+ if Y
* r2_unweighted
- weights = np.ones(len(Y)) if sample_weight is None else sample_weight
+ weights = np.ones(len(Y))
* r2_mean_unweighted
- np.average(Y, axis=0, weights=sample_weight)
+ np.average(Y, axis=0)
* r2_of_constant_target
- np.where(residual == 0, 1.0, 0.0)
+ np.where(residual == 0, 0.0, 0.0)

=== fastmlp/second_order.py

* gtol_not_handed_on
- "gtol": gtol
+ "gtol": 1e-12
* maxfun_not_handed_on
- "maxfun": max_fun
+ "maxfun": 15000
* result_thrown_away
- network.params[:] = result.x
+ network.params[:] = network.params
* limit_counts_as_convergence
- result.status == 0
+ result.status <= 1
* full_batch_divergence_unseen
- raise_if_diverged(np.append(network.params, result.fun))
+ pass
* full_batch_ignores_weights
- network.loss_and_grad(X, Y, sample_weight)
+ network.loss_and_grad(X, Y)

=== fastmlp/estimators/_base.py

* nesterov_and_momentum_swapped
- name = "nesterov" if self.nesterovs_momentum else "momentum"
+ name = "momentum" if self.nesterovs_momentum else "nesterov"
* automatic_batch_of_100
- return min(200, n_samples)
+ return min(100, n_samples)
* best_score_taken_for_a_loss
- if model.best_is_score != self.early_stopping:
+ if False:
* order_of_rows_forgotten
- model.order = None if self.early_stopping else run.order
+ model.order = None
* failure_leaves_traces
- self.__dict__.update(before)
-             raise
+ raise
* copied_model_shares_network
- twin.network = self.network.copy()
+ twin.network = self.network
* copied_model_shares_optimizer
- twin.optimizer = self.optimizer and self.optimizer.copy()
+ pass
* changed_alpha_ignored
- model.network.alpha = self.alpha
+ pass
* seeded_stream_shared
- model.random_state = copy.deepcopy(model.random_state)
+ pass
* set_coefficients_ignored
- if all(a is b for a, b in zip(mine, public, strict=True)):
+ if len(mine) == len(public):
* partial_fit_runs_every_epoch
- max_iter=1 if incremental else self.max_iter
+ max_iter=self.max_iter
* shuffle_always
- shuffle=self.shuffle
+ shuffle=True
* samples_seen_forgotten
- n_samples_seen=model.n_samples_seen,
+ n_samples_seen=0,
* validation_weights_of_other_rows
- outputs, validation.Y, validation.sample_weight
+ outputs, validation.Y, None
* split_not_stratified
- stratify=self._stratify_by(data.Y)
+ stratify=None
* loss_curve_restarts
- earlier = getattr(self, "loss_curve_", []) if goes_on else []
+ earlier = []
* changed_activation_goes_on
- (network.layer_sizes, network.activation, network.loss_name)
+ (network.layer_sizes, self.activation, network.loss_name)
* optimizer_begins_anew
- optimizer.go_on_from(model.optimizer)
+ pass
* best_loss_of_the_wrong_sign
- self.best_loss_ = -model.best
+ self.best_loss_ = model.best
* negative_sample_weights_fitted
- if (weights < 0).any():
+ if (weights < 0).all():

=== fastmlp/estimators/_classifier.py

* probabilities_swapped
- np.hstack([1 - outputs, outputs])
+ np.hstack([outputs, 1 - outputs])
* several_classes_logistic
- "softmax" if several else "logistic"
+ "logistic"
* two_classes_not_stratified
- return np.where(Y[:, 0] == 1, "True", "False")
+ return None

=== fastmlp/estimators/_labels.py

* two_classes_decoded_the_wrong_way
- (outputs[:, 0] > 0.5)
+ (outputs[:, 0] < 0.5)
* least_likely_class
- outputs.argmax(axis=1)
+ outputs.argmin(axis=1)

=== fastmlp/estimators/_regressor.py

* poisson_takes_negative_targets
- if self.loss == "poisson" and (y < 0).any():
+ if self.loss == "poisson" and (y < 0).all():
* poisson_without_exp
- "exp" if self.loss == "poisson" else "identity"
+ "identity"
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


def choose_tests(folder: Path, is_native: bool) -> list[str]:
    """The test files to run, those first that are likeliest to fail."""
    first = NATIVE_FIRST if is_native else PYTHON_FIRST
    left_out = LEFT_OUT if is_native else LEFT_OUT + NATIVE_ONLY
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
    for engine in engines:
        for path in (folder / "fastmlp/_kernels").glob(f"engine_{engine}.*"):
            if path.suffix != ".pyx":
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
    outcome, detail = run_tests(folder, engine, choose_tests(folder, is_native=True))
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
            tests = choose_tests(folder, mutation.is_native)
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
