# The engine: forward, head, backward, update, and whole epochs of them.
#
# (a) A step has two phases. Rows: forward, head and δ of every layer, each row for
#     itself. Parameters: the gradient of every layer over all rows, then the
#     update. δ therefore always goes through the weights of the forward pass, and
#     the threads of a crew share each phase: rows in the first, rows of W in the
#     second, one barrier after either.
# (b) The bits do not depend on the number of threads: an entry of a product is one
#     chain whoever computes it, and sums over threads are made of parts (units) that
#     the layer's shape alone decides, added up by thread 0.
# (c) Nothing here allocates or takes the GIL. Every buffer comes from the caller:
#     docs/contracts.md says what lies where.
# (d) A formula never stands here; it stands in its room (activations.pxd,
#     losses.pxd, optimizers.pxd, regularizers.pxd).
from libc.limits cimport INT_MAX
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from fastmlp._kernels cimport activations, math, optimizers, products, regularizers
from fastmlp._kernels cimport losses as heads
from fastmlp._kernels cimport sparse
from fastmlp._kernels.types cimport Layer, Rows, Rule, real

include "tables.pxi"

cdef extern from "threads.h":
    bint THREADS_WORK
    ctypedef struct barrier_t:
        pass
    int barrier_await(barrier_t* barrier, int seen) nogil
    void barrier_open(barrier_t* barrier) nogil
    void barrier_wait(barrier_t* barrier, int n) nogil

cdef enum:
    # Parameters of a unit of update, about: with gradient and two slots 8 KiB of
    # float32, so the penalty's pass and the update's find them in the nearest cache.
    UNIT = 512
    # Rows that threads are given whole multiples of: the height of a tile.
    TILE_ROWS = 6


cdef struct Job:
    # One call's buffers, all of one number type, and what to do with them.
    void* params
    void* grads
    void* slots
    void* arena
    Rows X
    const void* Y
    const void* sample_weight
    const Py_ssize_t* order
    const Layer* layers
    Rule* rule
    Py_ssize_t n_layers
    Py_ssize_t n_params
    Py_ssize_t n_slots
    Py_ssize_t n_targets
    Py_ssize_t n_rows
    Py_ssize_t batch_size
    Py_ssize_t capacity
    Py_ssize_t loss
    double cap
    double result
    int n_threads
    barrier_t* barrier


cdef struct Step:
    # What is the same for every parameter of one step: η and α/m, in double.
    const Rule* rule
    double rate
    double l2


cdef struct Share:
    Py_ssize_t begin
    Py_ssize_t end


cdef inline Share share_out(Py_ssize_t n, Py_ssize_t unit, int thread, int n_threads) noexcept nogil:
    """Thread's part of 0 … n, in whole units but for the last; none of less than one."""
    cdef Share share
    cdef Py_ssize_t sharers = min(<Py_ssize_t>n_threads, max(<Py_ssize_t>1, n // unit))
    share.begin = n * thread // sharers // unit * unit
    share.end = n if thread == sharers - 1 else n * (thread + 1) // sharers // unit * unit
    if thread >= sharers:
        share.begin = share.end = n
    return share


# --- Where things lie.


cdef inline real* block(
    real* arena, const Job* job, Py_ssize_t column, Py_ssize_t width, Py_ssize_t row
) noexcept nogil:
    """Row `row` of the arena's block of `width` columns that begins at `column`."""
    return arena + column * job.capacity + row * width


cdef inline real* outputs_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].outputs, job.layers[l].n_out, row)


cdef inline real* deltas_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].deltas, job.layers[l].n_out, row)


cdef inline real* targets_of(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    return block(arena, job, 0, job.n_targets, row)


cdef inline real* scales_of(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.n_targets, 1, row)


cdef inline real* losses_of(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t n_out = job.layers[job.n_layers - 1].n_out
    return block(arena, job, job.n_targets + 1, n_out, row)


cdef inline const real* inputs_of(
    real* arena, const Rows* X, const Job* job, Py_ssize_t l, Py_ssize_t row
) noexcept nogil:
    """What layer l is given: the batch's dense inputs, or the outputs of the layer below."""
    if l == 0:
        return <const real*>X.dense + row * job.layers[0].n_in
    return outputs_of(arena, job, l - 1, row)


cdef inline Py_ssize_t count_columns(const Job* job) noexcept nogil:
    return job.layers[job.n_layers - 1].deltas + job.layers[job.n_layers - 1].n_out


cdef inline Py_ssize_t unit_rows(const Layer* layer) noexcept nogil:
    """Rows of W in a unit of update."""
    return max(<Py_ssize_t>1, UNIT // layer.n_out)


cdef inline Py_ssize_t units_of(const Layer* layer) noexcept nogil:
    return (layer.n_in - 1) // unit_rows(layer) + 1


cdef inline Py_ssize_t units_before(const Job* job, Py_ssize_t l) noexcept nogil:
    cdef Py_ssize_t below, n = 0
    for below in range(l):
        n += units_of(&job.layers[below])
    return n


cdef inline real* squares_of(real* arena, const Job* job, Py_ssize_t l) noexcept nogil:
    """Σ w² of each of layer l's units."""
    return block(arena, job, count_columns(job), 0, 0) + units_before(job, l)


cdef inline real* gathered_inputs(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    """The dense rows of a training batch, side by side."""
    return squares_of(arena, job, job.n_layers) + row * job.layers[0].n_in


cdef inline Py_ssize_t count_weights(const Job* job) noexcept nogil:
    """Weights stand before biases: the penalised prefix of the parameters."""
    return job.layers[0].biases


# --- Rows: forward, head, backward. `first` is the first row, `rows` how many.


cdef inline void forward_layer(
    real* out, real* arena, const Rows* X, const Job* job, Py_ssize_t l,
    Py_ssize_t first, Py_ssize_t rows, Py_ssize_t activation,
) noexcept nogil:
    """out (rows, n_out) = σ(inputs (rows, n_in) W + b)."""
    cdef const Layer* layer = &job.layers[l]
    cdef const real* w = <const real*>job.params + layer.weights
    if l == 0 and X.indptr != NULL:
        sparse.multiply(out, X, <const real*>X.data, first, rows, w, layer.n_out)
    else:
        products.multiply_nn(
            out, inputs_of(arena, X, job, l, first), w, rows, layer.n_out, layer.n_in)
    activations.add_bias_and_activate(
        out, <const real*>job.params + layer.biases, rows, layer.n_out, activation)


cdef void forward(
    real* out, real* arena, const Rows* X, const Job* job, Py_ssize_t first, Py_ssize_t rows
) noexcept nogil:
    """Hidden layers into the arena; z of the last layer, bias added, into out."""
    cdef Py_ssize_t l, last = job.n_layers - 1
    for l in range(last):
        forward_layer(
            outputs_of(arena, job, l, first), arena, X, job, l, first, rows,
            job.layers[l].activation)
    forward_layer(out, arena, X, job, last, first, rows, activations.IDENTITY)


cdef void evaluate(
    real* arena, const Rows* X, const real* targets, const Job* job,
    Py_ssize_t first, Py_ssize_t rows,
) noexcept nogil:
    """Forward and head: z, δ and losses of the last layer. targets begin at row first."""
    cdef Py_ssize_t last = job.n_layers - 1
    forward(outputs_of(arena, job, last, first), arena, X, job, first, rows)
    heads.evaluate_head(
        deltas_of(arena, job, last, first), losses_of(arena, job, first),
        outputs_of(arena, job, last, first), targets, scales_of(arena, job, first),
        rows, job.layers[last].n_out, job.loss, job.layers[last].activation)


cdef void backward(real* arena, const Job* job, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """δ of every hidden layer from δ of the last: δˡ = (δˡ⁺¹ Wˡ⁺¹ᵀ) ⊙ σ'(zˡ)."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    cdef real* delta
    for l in range(job.n_layers - 1, 0, -1):
        layer = &job.layers[l]
        delta = deltas_of(arena, job, l - 1, first)
        products.multiply_nt(
            delta, deltas_of(arena, job, l, first), <const real*>job.params + layer.weights,
            rows, layer.n_in, layer.n_out)
        activations.multiply_slope(
            delta, outputs_of(arena, job, l - 1, first),
            rows * layer.n_in, job.layers[l - 1].activation)


cdef double weighted_sum(
    const real* shares, const real* scales, Py_ssize_t rows, Py_ssize_t n, real cap
) noexcept nogil:
    """Σᵢ scales[i] Σₖ min(shares[i, k], cap); NaN stays NaN."""
    cdef Py_ssize_t i, k
    cdef double total = 0
    cdef real row, share
    for i in range(rows):
        row = 0
        for k in range(n):
            share = shares[i * n + k]
            row += cap if share > cap else share
        total += scales[i] * row
    return total


cdef double sum_losses(real* arena, const Job* job, Py_ssize_t rows, double cap) noexcept nogil:
    """The data term of J of the rows in the arena."""
    return weighted_sum(
        losses_of(arena, job, 0), scales_of(arena, job, 0), rows,
        job.layers[job.n_layers - 1].n_out, <real>cap)


# --- Parameters: gradient and update.


cdef inline void weight_gradient(
    real* grads, real* arena, const Rows* X, const Job* job, Py_ssize_t l,
    Py_ssize_t begin, Py_ssize_t end, Py_ssize_t rows, bint accumulate,
) noexcept nogil:
    """∂J/∂W = Aᵀ δ, rows begin … end of layer l's W."""
    cdef const Layer* layer = &job.layers[l]
    cdef real* out = grads + layer.weights + begin * layer.n_out
    cdef const real* delta = deltas_of(arena, job, l, 0)
    if l == 0 and X.indptr != NULL:
        sparse.multiply_transposed(
            out, X, <const real*>X.data, rows, delta, layer.n_out, begin, end, accumulate)
    else:
        products.multiply_tn(
            out, inputs_of(arena, X, job, l, 0) + begin, delta,
            end - begin, layer.n_out, rows, layer.n_in, accumulate)


cdef inline void bias_gradient(
    real* grads, real* arena, const Job* job, Py_ssize_t l, Py_ssize_t rows, bint accumulate
) noexcept nogil:
    """∂J/∂b = Σ δ over rows."""
    products.sum_columns(
        grads + job.layers[l].biases, deltas_of(arena, job, l, 0),
        rows, job.layers[l].n_out, accumulate)


cdef inline void update_range(
    real* params, const Job* job, Py_ssize_t begin, Py_ssize_t n, const Step* step, double l2
) noexcept nogil:
    """One step of n parameters from begin on."""
    cdef real* slots = <real*>job.slots + begin
    cdef real* second = slots + (job.n_params if job.n_slots > 1 else 0)
    optimizers.update(
        params + begin, <const real*>job.grads + begin, slots, second, n, step.rule,
        <real>step.rate, <real>l2)


cdef void update_weights(
    real* params, real* squares, const Job* job, Py_ssize_t l, Share units, const Step* step
) noexcept nogil:
    """One step of some of layer l's units; squares[u] = Σ w² of unit u before it."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t unit, begin, end, size = unit_rows(layer) * layer.n_out
    for unit in range(units.begin, units.end):
        begin = layer.weights + unit * size
        end = min(begin + size, layer.weights + layer.n_in * layer.n_out)
        if step.l2 != 0:
            squares[unit] = <real>regularizers.sum_squares(params + begin, end - begin)
        update_range(params, job, begin, end - begin, step, step.l2)


cdef void process_parameters(
    real* arena, const Rows* X, const Job* job, const Step* step, Py_ssize_t rows,
    bint accumulate, bint finish, int thread,
) noexcept nogil:
    """Gradient of this thread's parameters over the block, and their step to finish."""
    cdef Py_ssize_t l, begin, end
    cdef Share units
    cdef const Layer* layer
    cdef real* grads = <real*>job.grads
    for l in range(job.n_layers):
        layer = &job.layers[l]
        units = share_out(units_of(layer), 1, thread, job.n_threads)
        begin = units.begin * unit_rows(layer)
        end = min(units.end * unit_rows(layer), layer.n_in)
        if begin < end:
            weight_gradient(grads, arena, X, job, l, begin, end, rows, accumulate)
            if finish:
                update_weights(
                    <real*>job.params, squares_of(arena, job, l), job, l, units, step)
        if l % job.n_threads == thread:
            bias_gradient(grads, arena, job, l, rows, accumulate)
            if finish:
                update_range(<real*>job.params, job, layer.biases, layer.n_out, step, 0)


cdef double sum_units(real* arena, const Job* job) noexcept nogil:
    """Σ w² of all weights before the step, from its units."""
    cdef Py_ssize_t unit
    cdef const real* squares = squares_of(arena, job, 0)
    cdef double total = 0
    for unit in range(units_before(job, job.n_layers)):
        total += squares[unit]
    return total


# --- Steps and epochs.


cdef double sum_weights(
    const real* sample_weight, const Py_ssize_t* order, Py_ssize_t rows
) noexcept nogil:
    """m, the batch's total weight."""
    cdef Py_ssize_t i
    cdef double total = 0
    if sample_weight == NULL:
        return rows
    for i in range(rows):
        total += sample_weight[order[i]] if order != NULL else sample_weight[i]
    return total


cdef void set_scales(
    real* scales, const real* weights, Py_ssize_t rows, double total
) noexcept nogil:
    """scales[i] = wᵢ / m; weights may be scales itself, or NULL for ones."""
    cdef Py_ssize_t i
    for i in range(rows):
        scales[i] = <real>((weights[i] if weights != NULL else 1) / total)


cdef void gather_rows(
    real* out, const real* source, const Py_ssize_t* order, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """out[i] = source[order[i]], rows of n numbers."""
    cdef Py_ssize_t i
    if n == 1:
        for i in range(rows):
            out[i] = source[order[i]]
        return
    for i in range(rows):
        memcpy(out + i * n, source + order[i] * n, n * sizeof(real))


cdef void gather(
    real* arena, const Job* job, const Py_ssize_t* order, Py_ssize_t first, Py_ssize_t rows,
    double weight,
) noexcept nogil:
    """Targets, scales and dense inputs of rows order[first:first + rows] into the arena."""
    cdef real* scales = scales_of(arena, job, first)
    cdef const real* sample_weight = <const real*>job.sample_weight
    cdef Py_ssize_t n_in = job.layers[0].n_in
    if job.X.indptr == NULL:
        gather_rows(
            gathered_inputs(arena, job, first), <const real*>job.X.dense, order + first,
            rows, n_in)
    gather_rows(
        targets_of(arena, job, first), <const real*>job.Y, order + first, rows, job.n_targets)
    if sample_weight != NULL:
        gather_rows(scales, sample_weight, order + first, rows, 1)
    set_scales(scales, scales if sample_weight != NULL else NULL, rows, weight)


cdef void process_rows(
    real* arena, const Rows* X, const Job* job, Py_ssize_t first, Py_ssize_t rows, double weight
) noexcept nogil:
    """Everything that a row of the block needs of itself alone."""
    gather(arena, job, X.order, first, rows, weight)
    evaluate(arena, X, targets_of(arena, job, first), job, first, rows)
    backward(arena, job, first, rows)


cdef double take_step(
    real* arena, const Job* job, const Step* step, const Py_ssize_t* order, Py_ssize_t size,
    double weight, int thread,
) noexcept nogil:
    """One batch, in blocks of the arena's capacity; thread 0 returns J before the step."""
    cdef Py_ssize_t begin = 0, rows
    cdef double total = 0
    cdef Share mine
    cdef Rows X = job.X
    X.dense = gathered_inputs(arena, job, 0)
    while begin < size:
        rows = min(job.capacity, size - begin)
        X.order = order + begin
        mine = share_out(rows, TILE_ROWS, thread, job.n_threads)
        if mine.begin < mine.end:
            process_rows(arena, &X, job, mine.begin, mine.end - mine.begin, weight)
        barrier_wait(job.barrier, job.n_threads)
        if thread == 0:
            total += sum_losses(arena, job, rows, job.cap)
        process_parameters(
            arena, &X, job, step, rows, begin > 0, begin + rows == size, thread)
        barrier_wait(job.barrier, job.n_threads)
        begin += rows
    if thread == 0 and step.l2 != 0:
        total += 0.5 * step.l2 * sum_units(arena, job)
    return total


cdef void run_epoch(real* arena, Job* job, int thread) noexcept nogil:
    """This thread's part of one step for each batch of the order."""
    cdef Py_ssize_t batch, begin, size
    cdef double weight, result = 0
    cdef Rule rule = job.rule[0]
    cdef Step step
    step.rule = &rule
    for batch in range((job.n_rows - 1) // job.batch_size + 1):
        begin = batch * job.batch_size
        size = min(job.batch_size, job.n_rows - begin)
        weight = sum_weights(<const real*>job.sample_weight, job.order + begin, size)
        if weight == 0:
            continue
        rule.t += 1
        step.rate = optimizers.step_rate(&rule)
        step.l2 = rule.alpha / weight
        result += size * take_step(arena, job, &step, job.order + begin, size, weight, thread)
    # The job lives until every thread has read it for the last time.
    barrier_wait(job.barrier, job.n_threads)
    if thread == 0:
        job.rule[0] = rule
        job.result = result


cdef inline Rows rows_from(const real* arena, const Job* job, Py_ssize_t begin) noexcept nogil:
    """X's rows from begin on, in place. The arena only says of which type they are."""
    cdef Rows X = job.X
    X.begin = begin
    X.dense = <const real*>job.X.dense + begin * job.layers[0].n_in
    return X


cdef double objective(real* grads, real* arena, const Job* job, double alpha) noexcept nogil:
    """J over all rows, read in place; with grads also ∂J/∂params, penalty included."""
    cdef Py_ssize_t begin = 0, rows, l
    cdef const real* weights = <const real*>job.sample_weight
    cdef Rows X
    cdef double total = 0, weight = sum_weights(weights, NULL, job.n_rows)
    if weight == 0:
        if grads != NULL:
            memset(grads, 0, job.n_params * sizeof(real))
        return 0
    while begin < job.n_rows:
        rows = min(job.capacity, job.n_rows - begin)
        X = rows_from(arena, job, begin)
        set_scales(
            scales_of(arena, job, 0), weights + begin if weights != NULL else NULL, rows, weight)
        evaluate(arena, &X, <const real*>job.Y + begin * job.n_targets, job, 0, rows)
        total += sum_losses(arena, job, rows, INFINITY)
        if grads != NULL:
            backward(arena, job, 0, rows)
            for l in range(job.n_layers):
                weight_gradient(
                    grads, arena, &X, job, l, 0, job.layers[l].n_in, rows, begin > 0)
                bias_gradient(grads, arena, job, l, rows, begin > 0)
        begin += rows
    return total + penalty(grads, <const real*>job.params, count_weights(job), alpha / weight)


cdef double penalty(real* grads, const real* params, Py_ssize_t n, double l2) noexcept nogil:
    """½ l2 ‖W‖², and with grads its gradient added to them."""
    if l2 == 0:
        return 0
    if grads != NULL:
        regularizers.add_penalty_gradient(grads, params, n, <real>l2)
    return 0.5 * l2 * regularizers.sum_squares(params, n)


include "calls.pxi"
include "rooms.pxi"
