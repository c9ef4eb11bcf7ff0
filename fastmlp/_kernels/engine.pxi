# The engine: forward, head, backward, update, and whole epochs of them.
#
# (a) A step has two phases. Rows: forward, head and δ of every layer, each row for
#     itself. Parameters: the gradient of every layer over all rows, then the
#     update. δ therefore always goes through the weights of the forward pass, and
#     the threads of a team share each phase: rows in the first, rows of W in the
#     second, one barrier after either. Where a layer is normalised, the columns of its
#     product are shared, the gradient is clipped or found in two halves, what one
#     thread needs of another stands between more barriers.
# (b) The bits do not depend on the number of threads: an entry of a product is one
#     chain whoever computes it, and sums over threads are made of parts (units,
#     columns, halves) that the layer's shape alone decides, added up in one order.
# (c) Nothing here allocates or takes the GIL. Every buffer comes from the caller:
#     docs/contracts.md says what lies where, layout.pxi finds it. (What products gather
#     has a room of its own, once a thread.)
# (d) A formula never stands here; it stands in its room (activations.pxd,
#     losses.pxd, optimizers.pxd, regularizers.pxd, batch_norm.pxd, random.pxd).
from libc.math cimport INFINITY, sqrt
from libc.string cimport memcpy, memset

from fastmlp._kernels cimport (
    activations, batch_norm, math, optimizers, random, reductions, regularizers, sparse,
)
from fastmlp._kernels cimport losses as heads
from fastmlp._kernels.products cimport images_t, walk_t
from fastmlp._kernels.records cimport AVERAGE_POOL

include "interrupts.pxi"
include "ops/dense.pxi"
include "ops/conv.pxi"
include "ops/pool.pxi"
include "ops/scale.pxi"
include "ops/periodic_embedding.pxi"
include "ops/category_embedding.pxi"
include "ops/kinds.pxi"
include "ops/batch_norm.pxi"
include "ops/dropout.pxi"


# --- Rows: forward, head, backward.


cdef inline void forward_layer(
    real* out, real* arena, const Job* job, const Span* span, Py_ssize_t l,
    Py_ssize_t activation,
) noexcept nogil:
    """out (rows, n_out) = σ(inputs W + b), normalised where the layer is."""
    cdef const Layer* layer = &job.layers[l]
    cdef const real* params = <const real*>job.params
    if layer.n_tensors < 2:
        apply_weights(out, arena, job, span, l, weights_of(params, job, l))
    elif layer.normalized < 0:
        apply_weights(out, arena, job, span, l, weights_of(params, job, l))
        activations.add_bias_and_activate(
            out, biases_of(params, job, l), span.rows * positions_of(layer),
            layer.out_channels, activation, <real>layer.activation_param)
    else:
        normalize_layer(out, arena, job, span, l)
        activations.activate(
            out, span.rows, layer.n_out, activation, <real>layer.activation_param)


cdef void forward_hidden(
    real* arena, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """z, σ(z) and outputs of a hidden layer, apart where the layer table says so."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t n = span.rows * layer.n_out
    cdef real* z = z_of(arena, job, l, span.first)
    cdef real* a = a_of(arena, job, l, span.first)
    if z == a:
        forward_layer(a, arena, job, span, l, layer.activation)
    else:
        forward_layer(z, arena, job, span, l, activations.IDENTITY)
        memcpy(a, z, n * sizeof(real))
        activations.activate(
            a, span.rows, layer.n_out, layer.activation, <real>layer.activation_param)
    if layer.dropout > 0 and is_training(span.step):
        memcpy(outputs_of(arena, job, l, span.first), a, n * sizeof(real))
        drop_units(outputs_of(arena, job, l, span.first), job, span, l)


cdef void forward(real* out, real* arena, const Job* job, const Span* span) noexcept nogil:
    """Hidden layers into the arena; z of the last layer into out."""
    cdef Py_ssize_t l, last = job.n_layers - 1
    for l in range(last):
        forward_hidden(arena, job, span, l)
    forward_layer(out, arena, job, span, last, activations.IDENTITY)


cdef void evaluate(
    real* arena, const real* targets, const Job* job, const Span* span
) noexcept nogil:
    """Forward and head: z, δ and losses of the last layer. targets begin at row first."""
    cdef Py_ssize_t last = job.n_layers - 1, first = span.first
    forward(outputs_of(arena, job, last, first), arena, job, span)
    heads.evaluate_head(
        deltas_of(arena, job, last, first), losses_of(arena, job, first),
        outputs_of(arena, job, last, first), targets, scales_of(arena, job, first),
        <const real*>job.numbers, span.rows, job.layers[last].n_out, job.objective.loss,
        job.layers[last].activation)


cdef inline bint is_chosen_from(const Job* job, const Span* span, Py_ssize_t l) noexcept nogil:
    """Whether the next layer picks numbers of this one's σ(z), which tell σ'(z): those
    that are picked have a δ, and it is the same before and behind the pooling."""
    cdef const Layer* layer = &job.layers[l]
    return (job.layers[l + 1].kind == MAX_POOL and layer.z == layer.a
            and not (layer.dropout > 0 and is_training(span.step)))


cdef inline void slope_deltas(
    real* arena, const Job* job, const Span* span, Py_ssize_t l, const Layer* activated
) noexcept nogil:
    """δ of layer l becomes δ ⊙ σ'(z), of the layer that it is activated in."""
    activations.multiply_slope(
        deltas_of(arena, job, l, span.first), a_of(arena, job, l, span.first),
        z_of(arena, job, l, span.first), span.rows * job.layers[l].n_out,
        activated.activation, <real>activated.activation_param)


cdef void backward(real* arena, const Job* job, const Span* span) noexcept nogil:
    """δ of every hidden layer from δ of the last: δˡ = (δˡ⁺¹ Wˡ⁺¹ᵀ) ⊙ σ'(zˡ); and of
    convolutions the gradient, while the thread has its rows at hand."""
    cdef Py_ssize_t l, first = span.first
    cdef const Layer* layer
    cdef real* delta
    for l in range(job.n_layers - 2, -1, -1):
        layer = &job.layers[l]
        delta = deltas_of(arena, job, l, first)
        if is_chosen_from(job, span, l):
            slope_deltas(arena, job, span, l + 1, layer)
        pull_back(
            delta, deltas_of(arena, job, l + 1, first), arena, job, span, l + 1,
            weights_of(<const real*>job.params, job, l + 1))
        if layer.dropout > 0 and is_training(span.step):
            drop_units(delta, job, span, l)
        if not is_chosen_from(job, span, l):
            slope_deltas(arena, job, span, l, layer)
        if layer.normalized >= 0:
            backward_normalized(delta, arena, job, span, l)
    if job.grads != NULL:
        find_parts(arena, job, span)


cdef double weighted_sum(
    const real* shares, const real* scales, Py_ssize_t rows, Py_ssize_t n, real cap
) noexcept nogil:
    """Σᵢ scales[i] Σₖ min(shares[i, k], cap); NaN stays NaN."""
    cdef Py_ssize_t i, begin = 0, size
    cdef real totals[reductions.BLOCK]
    cdef double total = 0
    while begin < rows:
        size = min(rows - begin, <Py_ssize_t>reductions.BLOCK)
        reductions.total_of_rows(totals, shares + begin * n, size, n, cap)
        for i in range(size):
            total += scales[begin + i] * totals[i]
        begin += size
    return total


cdef double sum_losses(real* arena, const Job* job, Py_ssize_t rows, double cap) noexcept nogil:
    """The data term of J of the rows in the arena."""
    return weighted_sum(
        losses_of(arena, job, 0), scales_of(arena, job, 0), rows, job.n_targets, <real>cap)


# --- Parameters: gradient and update.


cdef inline void update_piece(
    real* params, const Job* job, Py_ssize_t begin, Py_ssize_t n, const Coefficients* step
) noexcept nogil:
    """One step of n parameters from begin on."""
    optimizers.update(
        params + begin, <const real*>job.grads + begin, <real*>job.slots + begin,
        job.slot_stride, n, step)


cdef inline void update_range(
    real* params, const Job* job, Py_ssize_t begin, Py_ssize_t n, const Coefficients* step
) noexcept nogil:
    """One step of n parameters from begin on; those before the first whole cache line
    apart."""
    cdef Py_ssize_t head = min(n, (LINE - begin % LINE) % LINE)
    if head > 0:
        update_piece(params, job, begin, head, step)
    update_piece(params, job, begin + head, n - head, step)


cdef inline Range unit_range(const Tensor* tensor, Py_ssize_t unit) noexcept nogil:
    """Offsets in params of one of a tensor's units."""
    cdef Range span
    cdef Py_ssize_t size = unit_rows(tensor) * tensor.columns
    span.begin = tensor.offset + unit * size
    span.end = min(span.begin + size, tensor.offset + tensor.rows * tensor.columns)
    return span


cdef inline void add(real* out, const real* terms, Py_ssize_t n) noexcept nogil:
    """out += terms."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] += terms[i]


cdef inline Range partition_units(const Job* job, const Step* step, Py_ssize_t l) noexcept nogil:
    cdef Range mine = partition(bundles_of(job, l), 1, step.thread, job.n_threads)
    return units_of_bundles(job, l, mine.begin, mine.end)


cdef inline bint owns_others(const Job* job, Py_ssize_t l, Range units) noexcept nogil:
    """Whether who has these units works on layer l's other tensors: with the last of them."""
    return units.begin < units.end == units_of(job, l)


cdef void find_part(
    real* arena, const Job* job, const Span* span, Py_ssize_t l, Range units, bint second
) noexcept nogil:
    """∂J/∂W of some units of layer l over the span, with the last of them ∂J/∂b."""
    cdef const Tensor* tensor = tensor_of(job, l, 0)
    cdef Py_ssize_t begin = units.begin * unit_rows(tensor)
    cdef Py_ssize_t end = min(units.end * unit_rows(tensor), tensor.rows)
    cdef bint adds = second and adds_in_place(job)
    cdef Span part = span[0]
    if owns_others(job, l, units):
        bias_gradient(grads_of(arena, job, second), arena, job, span, l)
    part.accumulate = span.accumulate or adds
    if is_wanted(job, span.step.watch, span.rows * (end - begin) * tensor.columns) or (
            not waits_to_update(job, span.step)):
        tensor_gradient(
            grads_of(arena, job, second and not adds), arena, job, &part, l,
            deltas_of(arena, job, l, 0), begin, end)


cdef void find_gradient(real* arena, const Job* job, const Span* span, Py_ssize_t l) noexcept nogil:
    """∂J/∂W and ∂J/∂b of layer l, but of a convolution, over the block or over either half
    of it, this thread's part: of the units of the first half and, behind them, those of
    the second."""
    cdef Py_ssize_t n = bundles_of(job, l) if job.layers[l].kind != CONV else 0, half
    cdef Py_ssize_t n_halves = 2 if is_halved(job, l, span.block) else 1
    cdef Range mine = partition(n_halves * n, 1, span.step.thread, job.n_threads), rows, units
    cdef Span part = span[0]
    for half in range(n_halves):
        rows = partition(span.block, 1, <int>half, <int>n_halves)
        part.first, part.rows = rows.begin, rows.end - rows.begin
        units = units_of_bundles(job, l, mine.begin - half * n, mine.end - half * n)
        if units.begin < units.end:
            find_part(arena, job, &part, l, units, half > 0)


cdef void join_halves(real* arena, const Job* job, const Step* step, Py_ssize_t l) noexcept nogil:
    """Add the second half's gradient of layer l to the first's, this thread's units."""
    cdef const Tensor* tensor = tensor_of(job, l, 0)
    cdef Range units = partition_units(job, step, l)
    cdef Py_ssize_t begin, end
    cdef real* grads = grads_of(arena, job, False)
    cdef const real* others = grads_of(arena, job, True)
    if units.begin < units.end and not adds_in_place(job):
        begin = unit_range(tensor, units.begin).begin
        end = unit_range(tensor, units.end - 1).end
        add(grads + begin, others + begin, end - begin)
    if owns_others(job, l, units) and job.layers[l].normalized < 0:
        add(biases_of(grads, job, l), biases_of(others, job, l), tensor.columns)


cdef void update_layer(
    real* params, real* arena, const Job* job, const Step* step, Py_ssize_t l
) noexcept nogil:
    """One step of this thread's part of layer l; the penalty of its units before it."""
    cdef const Tensor* tensor = tensor_of(job, l, 0)
    cdef const Coefficients* group = &step.groups[tensor.group]
    cdef Range units = partition_units(job, step, l), part
    cdef Py_ssize_t unit, i, n
    cdef real* penalties = penalties_of(arena, job, l)
    for unit in range(units.begin, units.end):
        part = unit_range(tensor, unit)
        n = part.end - part.begin
        penalties[unit] = <real>regularizers.penalty(
            params + part.begin, n, group.l1, group.l2)
        update_range(params, job, part.begin, n, group)
    for i in range(1, job.layers[l].n_tensors if owns_others(job, l, units) else 1):
        tensor = tensor_of(job, l, i)
        group = &step.groups[tensor.group]
        n = tensor.rows * tensor.columns
        penalties[units.end - 1] += <real>regularizers.penalty(
            params + tensor.offset, n, group.l1, group.l2)
        update_range(params, job, tensor.offset, n, group)


cdef void measure_gradient(
    real* norms, const Job* job, const Step* step, Py_ssize_t l
) noexcept nogil:
    """Σ g² of this thread's units of layer l, and of its other tensors."""
    cdef const Tensor* tensor = tensor_of(job, l, 0)
    cdef const Coefficients* group = &step.groups[tensor.group]
    cdef const real* grads = <const real*>job.grads
    cdef const real* params = <const real*>job.params
    cdef Range units = partition_units(job, step, l), part
    cdef Py_ssize_t unit, i
    cdef double total = 0
    if job.layers[l].n_tensors == 0:
        norms[0] = 0
    for unit in range(units.begin, units.end):
        part = unit_range(tensor, unit)
        norms[unit] = <real>regularizers.sum_squared_gradient(
            grads + part.begin, params + part.begin, part.end - part.begin,
            <real>group.l1, <real>group.l2)
    if not owns_others(job, l, units):
        return
    for i in range(1, job.layers[l].n_tensors):
        tensor = tensor_of(job, l, i)
        group = &step.groups[tensor.group]
        total += regularizers.sum_squares_of(
            grads + tensor.offset, params + tensor.offset, tensor.rows * tensor.columns,
            <real>group.l1, <real>group.l2)
    norms[units.end] = <real>total


cdef inline double sum_entries(const real* entries, Py_ssize_t n) noexcept nogil:
    """Σ, in order."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += entries[i]
    return total


cdef double gradient_norm(real* arena, const Job* job, const Step* step) noexcept nogil:
    """‖g‖, found by all threads."""
    cdef Py_ssize_t l
    for l in range(job.n_layers):
        measure_gradient(norms_of(arena, job, l), job, step, l)
    barrier_wait(job.barrier, job.n_threads)
    return sqrt(sum_entries(norms_of(arena, job, 0), job.n_units + job.n_layers))


cdef void clip_gradient(const Job* job, Step* step, double norm) noexcept nogil:
    """Scale the step down where ‖g‖ > clip_norm (Pascanu, Mikolov, Bengio 2013)."""
    cdef Py_ssize_t i
    for i in range(job.n_groups if norm > step.rule.clip_norm else 0):
        step.groups[i].scale = step.rule.clip_norm / norm


cdef inline bint waits_to_update(const Job* job, const Step* step) noexcept nogil:
    """Whether no parameter is written before the whole gradient is there. A large one has
    left the caches before it is asked for anyway, and takes so long to find that the user
    may want to end the step."""
    return (step.mode != TRAIN or step.rule.clip_norm < INFINITY
            or job.n_params >= MANY_PARAMS)


cdef void complete_layer(
    real* arena, const Job* job, const Span* span, Py_ssize_t l, bint update
) noexcept nogil:
    """The gradient of layer l from its halves or parts, and the step along it."""
    if job.layers[l].kind == CONV:
        join_parts(<real*>job.grads, arena, job, span.step, l)
    elif is_halved(job, l, span.block):
        join_halves(arena, job, span.step, l)
    if update:
        update_layer(<real*>job.params, arena, job, span.step, l)


cdef void update_whole(real* arena, const Job* job, Step* step) noexcept nogil:
    """The step along a gradient that is there, of this thread's parameters."""
    cdef Py_ssize_t l
    if step.rule.clip_norm < INFINITY:
        clip_gradient(
            job, step, job.norm if job.norm >= 0 else gradient_norm(arena, job, step))
    for l in range(job.n_layers):
        update_layer(<real*>job.params, arena, job, step, l)


cdef void process_parameters(
    real* arena, const Job* job, const Span* span, Step* step, bint finish
) noexcept nogil:
    """Gradient of this thread's parameters over the block; to finish, all of it, and where
    something is learnt the step along it."""
    cdef Py_ssize_t l
    cdef bint waits_with_update = waits_to_update(job, step)
    cdef bint updates = not waits_with_update, waits = False
    for l in range(job.n_layers):
        find_gradient(arena, job, span, l)
        if is_split_over_threads(job, l, span.block):
            waits = True
        elif finish:
            complete_layer(arena, job, span, l, updates)
    if not finish:
        return
    if waits:
        barrier_wait(job.barrier, job.n_threads)
        for l in range(job.n_layers):
            if is_split_over_threads(job, l, span.block):
                complete_layer(arena, job, span, l, updates)
    if step.mode != TRAIN:
        return
    if waits_with_update:
        barrier_wait(job.barrier, job.n_threads)
        if ends_here(job, step.watch):
            return
        update_whole(arena, job, step)
    follow_moments(arena, job, span)


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


cdef void gather(real* arena, const Job* job, const Span* span, double weight) noexcept nogil:
    """Targets, scales and dense inputs of the span's rows into the arena."""
    cdef real* scales = scales_of(arena, job, span.first)
    cdef const real* sample_weight = <const real*>job.sample_weight
    cdef const Py_ssize_t* order = span.X.order + span.first
    if job.X.indptr == NULL:
        gather_rows(
            gathered_inputs(arena, job, span.first), <const real*>job.X.dense, order,
            span.rows, job.layers[0].n_in)
    gather_rows(
        targets_of(arena, job, span.first), <const real*>job.Y, order, span.rows,
        job.n_targets)
    if sample_weight != NULL:
        gather_rows(scales, sample_weight, order, span.rows, 1)
    set_scales(scales, scales if sample_weight != NULL else NULL, span.rows, weight)


cdef void process_rows(
    real* arena, const Job* job, const Span* span, double weight
) noexcept nogil:
    """Everything that a row of the block needs of itself."""
    gather(arena, job, span, weight)
    evaluate(arena, targets_of(arena, job, span.first), job, span)
    backward(arena, job, span)


cdef double take_step(
    real* arena, const Job* job, Step* step, const Py_ssize_t* order, Py_ssize_t size,
    double weight,
) noexcept nogil:
    """One batch, in blocks of the arena's capacity; thread 0 returns J before the step."""
    cdef double total = 0
    cdef Rows X = job.X
    cdef Span span
    X.dense = gathered_inputs(arena, job, 0)
    span.X, span.step = &X, step
    step.position = 0
    while step.position < size:
        X.order = order + step.position
        span.accumulate = step.position > 0
        partition_block(&span, job, size - step.position)
        process_rows(arena, job, &span, weight)
        barrier_wait(job.barrier, job.n_threads)
        if ends_here(job, step.watch):
            return total
        if step.thread == 0:
            total += sum_losses(arena, job, span.block, job.objective.cap)
        process_parameters(arena, job, &span, step, step.position + span.block == size)
        barrier_wait(job.barrier, job.n_threads)
        step.position += span.block
    if step.thread == 0 and step.mode == TRAIN and job.objective.alpha != 0:
        total += sum_entries(penalties_of(arena, job, 0), job.n_units)
    return total


cdef inline double strength_of(
    const Job* job, double weight, const Group* group
) noexcept nogil:
    """α/m of a group."""
    return job.objective.alpha / weight * group.penalty_factor


cdef void begin_step(Step* step, const Job* job, double weight) noexcept nogil:
    """The coefficients of the rule's next step, of a batch of that total weight."""
    cdef Py_ssize_t i
    cdef const Group* group
    cdef Coefficients* mine
    cdef double strength = job.objective.alpha / weight
    cdef double decay = step.rule.learning_rate * step.rule.weight_decay
    cdef Coefficients step_of_all = optimizers.begin_step(step.rule)
    step_of_all.l1 = strength * job.objective.l1_ratio
    step_of_all.l2 = strength * (1 - job.objective.l1_ratio)
    for i in range(job.n_groups):
        group, mine = &job.groups[i], &step.groups[i]
        mine[0] = step_of_all
        mine.rate *= group.rate_factor
        mine.l1 *= group.penalty_factor
        mine.l2 *= group.penalty_factor
        mine.shrink = 1 - decay * group.rate_factor * group.decay_factor


cdef inline void follow_schedule(Rule* rule, const Scheduled* numbers) noexcept nogil:
    """The numbers of one step in place of the rule's."""
    rule.learning_rate = numbers.learning_rate
    rule.decay_1 = numbers.decay_1
    rule.weight_decay = numbers.weight_decay
    rule.dropout_factor = numbers.dropout_factor


cdef void run_epoch(real* arena, Job* job, int thread) noexcept nogil:
    """Steps over successive batches of the order. Thread 0 leaves the number of the
    last step in job.rule and adds Σ of J × rows to job.result, batch by batch, so that
    the sum does not depend on how an epoch is cut into calls."""
    cdef Py_ssize_t batch, begin, size
    cdef double weight, result = job.result
    cdef Rule rule = job.rule[0]
    cdef Watch watch = watch_of(thread)
    cdef Step step
    step.rule, step.watch = &rule, &watch
    step.mode, step.thread = TRAIN, thread
    for batch in range((job.n_rows - 1) // job.batch_size + 1):
        begin = batch * job.batch_size
        size = min(job.batch_size, job.n_rows - begin)
        weight = sum_weights(<const real*>job.sample_weight, job.order + begin, size)
        if weight == 0:
            continue
        rule.t += 1
        if job.schedule != NULL:
            follow_schedule(&rule, job.schedule + batch)
        begin_step(&step, job, weight)
        result += size * take_step(arena, job, &step, job.order + begin, size, weight)
        if stops_behind(job.stop, watch.phase):
            rule.t -= 1
            break
    # The job lives until every thread has read it for the last time.
    barrier_wait(job.barrier, job.n_threads)
    if thread == 0:
        job.rule.t = rule.t
        job.result = result


# --- The two halves of a step, each by itself.


cdef void find_batch_gradient(real* arena, Job* job, int thread) noexcept nogil:
    """The gradient of the order's rows into job.grads, their moments into job.moments,
    their part of J's data term into job.result; of the rule's next step."""
    cdef Py_ssize_t l, n
    cdef Rule rule = job.rule[0]
    cdef Watch watch = watch_of(thread)
    cdef Step step
    cdef double total
    cdef real* moments = <real*>job.moments
    rule.t += 1
    step.rule, step.watch, step.mode, step.thread = &rule, &watch, ACCUMULATE, thread
    total = take_step(arena, job, &step, job.order, job.n_rows, job.total_weight)
    # The job lives until every thread has read it for the last time.
    barrier_wait(job.barrier, job.n_threads)
    if thread != 0:
        return
    job.result = total
    for l in range(job.n_layers):
        if job.layers[l].normalized >= 0:
            n = 2 * job.layers[l].out_channels
            memcpy(moments + job.layers[l].running, moments_of(arena, job, l), n * sizeof(real))


cdef void apply_gradient(real* arena, Job* job, int thread) noexcept nogil:
    """The rule's next step along job.grads; the penalty before it into job.result."""
    cdef Rule rule = job.rule[0]
    cdef Watch watch = watch_of(thread)
    cdef Step step
    rule.t += 1
    step.rule, step.watch, step.mode, step.thread = &rule, &watch, APPLY, thread
    begin_step(&step, job, job.total_weight)
    update_whole(arena, job, &step)
    # The job lives until every thread has read it for the last time.
    barrier_wait(job.barrier, job.n_threads)
    if thread != 0:
        return
    job.rule[0] = rule
    move_running_moments(<real*>job.stats, <const real*>job.moments, job)
    if job.objective.alpha != 0:
        job.result = sum_entries(penalties_of(arena, job, 0), job.n_units)


# --- All rows in place: prediction, objective and gradient. Nothing is learnt.


cdef inline Step evaluation_step(Watch* watch) noexcept nogil:
    """A step in which nothing is learnt."""
    cdef Step step
    memset(&step, 0, sizeof(Step))
    step.thread, step.watch = watch.thread, watch
    return step


cdef inline Span span_from(
    const real* arena, const Job* job, const Step* step, Rows* X, Py_ssize_t begin
) noexcept nogil:
    """The thread's part of the block of X's rows from begin on. The arena only says of
    which type they are."""
    cdef Span span
    X[0] = job.X
    X.begin = begin
    X.dense = <const real*>job.X.dense + begin * job.layers[0].n_in
    span.X, span.step, span.accumulate = X, step, begin > 0
    partition_block(&span, job, job.n_rows - begin)
    return span


cdef void evaluate_in_place(
    real* arena, const Job* job, const Span* span, Py_ssize_t begin, double weight
) noexcept nogil:
    """Forward and head of the span, whose block begins at row begin of X."""
    cdef Py_ssize_t row = begin + span.first
    cdef const real* weights = <const real*>job.sample_weight
    set_scales(
        scales_of(arena, job, span.first), weights + row if weights != NULL else NULL,
        span.rows, weight)
    evaluate(arena, <const real*>job.Y + row * job.n_targets, job, span)


cdef void copy_outputs(
    real* arena, const Job* job, const Span* span, Py_ssize_t begin
) noexcept nogil:
    """The network's output for the span, which has been evaluated, into job.outputs."""
    cdef const Layer* last = last_layer(job)
    cdef real* out = <real*>job.outputs + (begin + span.first) * last.n_out
    memcpy(
        out, outputs_of(arena, job, job.n_layers - 1, span.first),
        span.rows * last.n_out * sizeof(real))
    activations.activate(
        out, span.rows, last.n_out, last.activation, <real>last.activation_param)


cdef void compute_objective(real* arena, Job* job, int thread) noexcept nogil:
    """J over all rows into job.result; where the job has outputs or grads, these too."""
    cdef Py_ssize_t begin = 0
    cdef Rows X
    cdef Span span
    cdef Watch watch = watch_of(thread)
    cdef Step step = evaluation_step(&watch)
    cdef real* grads = <real*>job.grads
    cdef double total = 0, weight = sum_weights(<const real*>job.sample_weight, NULL, job.n_rows)
    while begin < job.n_rows and (weight != 0 or job.outputs != NULL):
        span = span_from(arena, job, &step, &X, begin)
        evaluate_in_place(arena, job, &span, begin, weight)
        if job.outputs != NULL:
            copy_outputs(arena, job, &span, begin)
        if grads != NULL:
            backward(arena, job, &span)
        barrier_wait(job.barrier, job.n_threads)
        if ends_here(job, &watch):
            break
        if thread == 0:
            total += sum_losses(arena, job, span.block, INFINITY)
        if grads != NULL:
            process_parameters(arena, job, &span, &step, begin + span.block == job.n_rows)
        barrier_wait(job.barrier, job.n_threads)
        begin += span.block
    # The job lives until every thread has read it for the last time.
    barrier_wait(job.barrier, job.n_threads)
    if thread == 0 and weight != 0:
        job.result = total + penalty(grads, <const real*>job.params, job, weight)
    elif thread == 0 and grads != NULL:
        memset(grads, 0, job.n_params * sizeof(real))


cdef double penalty(
    real* grads, const real* params, const Job* job, double weight
) noexcept nogil:
    """The penalty's part of J, and where there are grads its gradient added to them."""
    cdef Py_ssize_t i, n
    cdef const GroupRange* part
    cdef double strength, l1, l2, total = 0
    for i in range(job.n_penalised):
        part = &job.penalised[i]
        n = part.end - part.begin
        strength = strength_of(job, weight, &job.groups[part.group])
        l1 = strength * job.objective.l1_ratio
        l2 = strength - l1
        if grads != NULL and strength != 0:
            regularizers.add_penalty_gradient(
                grads + part.begin, params + part.begin, n, <real>l1, <real>l2)
        total += regularizers.penalty(params + part.begin, n, l1, l2)
    return total


cdef void predict_rows(real* out, real* arena, const Job* job) noexcept nogil:
    """The network's output for every row into out."""
    cdef Py_ssize_t begin = 0
    cdef const Layer* last = last_layer(job)
    cdef Rows X
    cdef Span span
    cdef Watch watch = watch_of(0)
    cdef Step step = evaluation_step(&watch)
    while begin < job.n_rows and not ends_here(job, &watch):
        span = span_from(arena, job, &step, &X, begin)
        forward(out + begin * last.n_out, arena, job, &span)
        activations.activate(
            out + begin * last.n_out, span.rows, last.n_out, last.activation,
            <real>last.activation_param)
        begin += span.rows


cdef void differentiate_inputs(
    real* out, const real* V, real* arena, const Job* job
) noexcept nogil:
    """out[i] = Σₖ V[i, k] ∂outputₖ/∂xᵢ for every row."""
    cdef Py_ssize_t begin = 0, n, last = job.n_layers - 1
    cdef const Layer* layer = &job.layers[last]
    # σ(z) takes z's place: no output activation needs z for its slope.
    cdef real* a = outputs_of(arena, job, last, 0)
    cdef real* delta = deltas_of(arena, job, last, 0)
    cdef Rows X
    cdef Span span
    cdef Watch watch = watch_of(0)
    cdef Step step = evaluation_step(&watch)
    while begin < job.n_rows and not ends_here(job, &watch):
        span = span_from(arena, job, &step, &X, begin)
        n = span.rows * layer.n_out
        forward(a, arena, job, &span)
        activations.activate(
            a, span.rows, layer.n_out, layer.activation, <real>layer.activation_param)
        memcpy(delta, V + begin * layer.n_out, n * sizeof(real))
        activations.multiply_jacobian(
            delta, a, a, span.rows, layer.n_out, layer.activation,
            <real>layer.activation_param)
        backward(arena, job, &span)
        pull_back(
            out + begin * job.layers[0].n_in, deltas_of(arena, job, 0, 0), arena, job, &span,
            0, weights_of(<const real*>job.params, job, 0))
        begin += span.rows


cdef void differentiate_parameters(real* out, real* arena, const Job* job) noexcept nogil:
    """out[i, k] = ∂outputₖ(xᵢ)/∂params for every row; no layer is normalised."""
    cdef Py_ssize_t begin = 0, i, k, l, n, last = job.n_layers - 1
    cdef const Layer* layer = &job.layers[last]
    # σ(z) takes z's place: no output activation needs z for its slope.
    cdef real* a = outputs_of(arena, job, last, 0)
    cdef real* delta = deltas_of(arena, job, last, 0)
    cdef Rows X
    cdef Span span
    cdef Watch watch = watch_of(0)
    cdef Step step = evaluation_step(&watch)
    while begin < job.n_rows and not ends_here(job, &watch):
        span = span_from(arena, job, &step, &X, begin)
        n = span.rows * layer.n_out
        forward(a, arena, job, &span)
        activations.activate(
            a, span.rows, layer.n_out, layer.activation, <real>layer.activation_param)
        for k in range(layer.n_out):
            memset(delta, 0, n * sizeof(real))
            for i in range(span.rows):
                delta[i * layer.n_out + k] = 1
            activations.multiply_jacobian(
                delta, a, a, span.rows, layer.n_out, layer.activation,
                <real>layer.activation_param)
            backward(arena, job, &span)
            for i in range(span.rows):
                for l in range(job.n_layers):
                    row_gradient(
                        out + ((begin + i) * layer.n_out + k) * job.n_params, arena, job,
                        &span, l, i)
        begin += span.rows


include "hessian.pxi"


cdef void do_job(real* arena, Job* job, int thread) noexcept nogil:
    """This thread's part of a job that threads share."""
    if job.mode == TRAIN:
        run_epoch(arena, job, thread)
    elif job.mode == ACCUMULATE:
        find_batch_gradient(arena, job, thread)
    elif job.mode == APPLY:
        apply_gradient(arena, job, thread)
    elif job.direction != NULL:
        multiply_direction(arena, job, thread)
    else:
        compute_objective(arena, job, thread)


include "entries.pxi"

THREADS = bool(THREADS_WORK and products.TILES_PAY)
