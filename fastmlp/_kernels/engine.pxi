from libc.limits cimport INT_MAX
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from fastmlp._kernels cimport activations, blas, math, optimizers, regularizers
from fastmlp._kernels cimport losses as heads
from fastmlp._kernels.types cimport Layer, Rule, real

include "tables.pxi"


# The engine: forward, head, backward, update, and whole epochs of them.
#
# (a) A step has two phases. Rows: forward, head and δ of every layer, each row for
#     itself. Parameters: the gradient of every layer over all rows, then the
#     update. δ therefore always goes through the weights of the forward pass, and
#     each phase can be shared out among threads: rows in the first, tiles of
#     parameters in the second.
# (b) Nothing here allocates or takes the GIL. Every buffer comes from the caller:
#     docs/contracts.md says what lies where.
# (c) A formula never stands here; it stands in its room (activations.pxd,
#     losses.pxd, optimizers.pxd, regularizers.pxd).

# Parameters updated at a time: with gradient and two slots 16 KiB of float32, so
# the penalty's pass and the update's find them in the first-level cache.
cdef enum:
    CHUNK = 1024


cdef struct Arena:
    # Element offsets of the blocks of contracts.md, and the rows they hold.
    Py_ssize_t targets
    Py_ssize_t scales
    Py_ssize_t losses
    Py_ssize_t capacity


cdef inline Arena map_arena(
    const Layer* layers, Py_ssize_t n_layers, Py_ssize_t n_targets, Py_ssize_t capacity
) noexcept nogil:
    cdef Arena arena
    arena.capacity = capacity
    arena.targets = layers[0].n_in * capacity
    arena.scales = arena.targets + n_targets * capacity
    arena.losses = arena.scales + capacity
    return arena


cdef inline const real* layer_inputs(
    const real* arena, const real* inputs, const Layer* layers, Py_ssize_t layer, Py_ssize_t capacity
) noexcept nogil:
    if layer == 0:
        return inputs
    return arena + layers[layer - 1].outputs * capacity


cdef inline void forward_layer(
    real* out, const real* inputs, const real* params, const Layer* layer,
    Py_ssize_t rows, Py_ssize_t activation,
) noexcept nogil:
    """out (rows, n_out) = σ(inputs (rows, n_in) W + b)."""
    blas.multiply_nn(out, inputs, params + layer.weights, rows, layer.n_out, layer.n_in, <real>0)
    activations.add_bias_and_activate(out, params + layer.biases, rows, layer.n_out, activation)


cdef void forward(
    real* out, real* arena, const real* inputs, const real* params,
    const Layer* layers, Py_ssize_t n_layers, Py_ssize_t rows, Py_ssize_t capacity,
) noexcept nogil:
    """Hidden layers into the arena; z of the last layer, bias added, into out."""
    cdef Py_ssize_t l, last = n_layers - 1
    for l in range(last):
        forward_layer(
            arena + layers[l].outputs * capacity,
            layer_inputs(arena, inputs, layers, l, capacity),
            params, &layers[l], rows, layers[l].activation)
    forward_layer(
        out, layer_inputs(arena, inputs, layers, last, capacity),
        params, &layers[last], rows, activations.IDENTITY)


cdef void backward(
    real* arena, const real* params, const Layer* layers, Py_ssize_t n_layers,
    Py_ssize_t rows, Py_ssize_t capacity,
) noexcept nogil:
    """δ of every hidden layer from δ of the last: δˡ = (δˡ⁺¹ Wˡ⁺¹ᵀ) ⊙ σ'(zˡ)."""
    cdef Py_ssize_t l
    cdef real* delta
    for l in range(n_layers - 1, 0, -1):
        delta = arena + layers[l - 1].deltas * capacity
        blas.multiply_nt(
            delta, arena + layers[l].deltas * capacity, params + layers[l].weights,
            rows, layers[l].n_in, layers[l].n_out, <real>0)
        activations.multiply_slope(
            delta, arena + layers[l - 1].outputs * capacity,
            rows * layers[l].n_in, layers[l - 1].activation)


cdef double evaluate_rows(
    real* arena, const real* inputs, const real* targets, const real* params,
    const Layer* layers, Py_ssize_t n_layers, Py_ssize_t loss, double cap,
    Py_ssize_t rows, Arena* blocks,
) noexcept nogil:
    """Forward and head: δ of the last layer, and Σ scales ⊙ ℓ of these rows."""
    cdef const Layer* last = &layers[n_layers - 1]
    cdef real* z = arena + last.outputs * blocks.capacity
    forward(z, arena, inputs, params, layers, n_layers, rows, blocks.capacity)
    heads.evaluate_head(
        arena + last.deltas * blocks.capacity, arena + blocks.losses, z, targets,
        arena + blocks.scales, rows, last.n_out, loss, last.activation)
    return weighted_sum(arena + blocks.losses, arena + blocks.scales, rows, last.n_out, <real>cap)


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


cdef void accumulate_gradient(
    real* grads, const real* arena, const real* inputs, const Layer* layers,
    Py_ssize_t n_layers, Py_ssize_t rows, Py_ssize_t capacity, real beta,
) noexcept nogil:
    """∂J/∂W = Aᵀ δ and ∂J/∂b = Σ δ of every layer, plus beta times what is there."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    for l in range(n_layers):
        layer = &layers[l]
        blas.multiply_tn(
            grads + layer.weights, layer_inputs(arena, inputs, layers, l, capacity),
            arena + layer.deltas * capacity, layer.n_in, layer.n_out, rows, beta)
        blas.sum_columns(
            grads + layer.biases, arena + layer.deltas * capacity, rows, layer.n_out, beta)


cdef double update_range(
    real* params, const real* grads, real* slots, Py_ssize_t n_params,
    Py_ssize_t begin, Py_ssize_t end, const Rule* rule, Py_ssize_t n_slots, double l2,
) noexcept nogil:
    """One step of params[begin:end]; returns their Σ w² of before it, if penalised."""
    cdef Py_ssize_t i = begin, n
    cdef double squares = 0
    cdef real* second = slots + (n_params if n_slots > 1 else 0)
    while i < end:
        n = min(<Py_ssize_t>CHUNK, end - i)
        if l2 != 0:
            squares += regularizers.sum_squares(params + i, n)
        optimizers.update(params + i, grads + i, slots + i, second + i, n, rule, <real>l2)
        i += n
    return squares


cdef void set_scales(
    real* scales, const real* weights, Py_ssize_t rows, double total
) noexcept nogil:
    """scales[i] = wᵢ / m; weights may be scales itself, or NULL for ones."""
    cdef Py_ssize_t i
    for i in range(rows):
        scales[i] = <real>((weights[i] if weights != NULL else 1) / total)


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


cdef double batch_gradient(
    real* grads, real* arena, const real* X, const real* Y, const real* sample_weight,
    const Py_ssize_t* order, Py_ssize_t size, double weight, const real* params,
    const Layer* layers, Py_ssize_t n_layers, Py_ssize_t loss, double cap, Arena* blocks,
    Py_ssize_t n_targets,
) noexcept nogil:
    """Data gradient of one batch of the rows in order, and its data loss."""
    cdef Py_ssize_t begin = 0, rows
    cdef Py_ssize_t capacity = blocks.capacity
    cdef real* scales = arena + blocks.scales
    cdef double total = 0
    while begin < size:
        rows = min(capacity, size - begin)
        gather_rows(arena, X, order + begin, rows, layers[0].n_in)
        gather_rows(arena + blocks.targets, Y, order + begin, rows, n_targets)
        if sample_weight != NULL:
            gather_rows(scales, sample_weight, order + begin, rows, 1)
        set_scales(scales, scales if sample_weight != NULL else NULL, rows, weight)
        total += evaluate_rows(
            arena, arena, arena + blocks.targets, params, layers, n_layers, loss, cap, rows, blocks)
        backward(arena, params, layers, n_layers, rows, capacity)
        accumulate_gradient(
            grads, arena, arena, layers, n_layers, rows, capacity,
            <real>(0 if begin == 0 else 1))
        begin += rows
    return total


cdef Py_ssize_t count_weights(const Layer* layers, Py_ssize_t n_layers) noexcept nogil:
    """Weights stand before biases: the penalised prefix of the parameters."""
    return layers[0].biases


cdef double train_epoch(
    real* params, real* grads, real* slots, Py_ssize_t n_params, Py_ssize_t n_slots, Rule* rule,
    real* arena, const real* X, const real* Y, const real* sample_weight,
    const Py_ssize_t* order, Py_ssize_t n_rows, const Layer* layers, Py_ssize_t n_layers,
    Py_ssize_t loss, double cap, Py_ssize_t batch_size, Arena* blocks, Py_ssize_t n_targets,
) noexcept nogil:
    """One step for each batch of order; Σ of J × rows, each J before its step."""
    cdef Py_ssize_t begin, size, batch
    cdef Py_ssize_t n_weights = count_weights(layers, n_layers)
    cdef double weight, objective, l2, total = 0
    for batch in range((n_rows - 1) // batch_size + 1):
        begin = batch * batch_size
        size = min(batch_size, n_rows - begin)
        weight = sum_weights(sample_weight, order + begin, size)
        if weight == 0:
            continue
        objective = batch_gradient(
            grads, arena, X, Y, sample_weight, order + begin, size, weight,
            params, layers, n_layers, loss, cap, blocks, n_targets)
        l2 = rule.alpha / weight
        rule.t += 1
        objective += 0.5 * l2 * update_range(
            params, grads, slots, n_params, 0, n_weights, rule, n_slots, l2)
        update_range(params, grads, slots, n_params, n_weights, n_params, rule, n_slots, 0)
        total += objective * size
    return total


cdef double objective(
    real* grads, real* arena, const real* X, const real* Y, const real* sample_weight,
    Py_ssize_t n_rows, const real* params, Py_ssize_t n_params, const Layer* layers,
    Py_ssize_t n_layers, Py_ssize_t loss, double alpha, Arena* blocks, Py_ssize_t n_targets,
) noexcept nogil:
    """J over all rows, read in place; with grads also ∂J/∂params, penalty included."""
    cdef Py_ssize_t begin = 0, rows
    cdef Py_ssize_t n_weights = count_weights(layers, n_layers)
    cdef double weight = sum_weights(sample_weight, NULL, n_rows)
    cdef double total = 0
    cdef const real* inputs
    if weight == 0:
        if grads != NULL:
            memset(grads, 0, n_params * sizeof(real))
        return 0
    while begin < n_rows:
        rows = min(blocks.capacity, n_rows - begin)
        inputs = X + begin * layers[0].n_in
        set_scales(
            arena + blocks.scales, NULL if sample_weight == NULL else sample_weight + begin,
            rows, weight)
        total += evaluate_rows(
            arena, inputs, Y + begin * n_targets, params, layers, n_layers, loss, INFINITY, rows,
            blocks)
        if grads != NULL:
            backward(arena, params, layers, n_layers, rows, blocks.capacity)
            accumulate_gradient(
                grads, arena, inputs, layers, n_layers, rows, blocks.capacity,
                <real>(0 if begin == 0 else 1))
        begin += rows
    if alpha != 0:
        total += 0.5 * alpha / weight * regularizers.sum_squares(params, n_weights)
        if grads != NULL:
            regularizers.add_penalty_gradient(grads, params, n_weights, <real>(alpha / weight))
    return total


# --- What Python calls. Buffers are checked here, so that no call can write outside.


cdef Py_ssize_t N_ACTIVATIONS = len(ACTIVATIONS)
cdef Py_ssize_t N_LOSSES = len(LOSSES)
cdef Py_ssize_t N_OPTIMIZERS = len(OPTIMIZERS)


cdef str layer_fault(
    const Layer* layer, Py_ssize_t n_params, Py_ssize_t n_columns, Py_ssize_t n_in
):
    """What is wrong with a layer: None if every offset lies inside its buffer."""
    if layer.n_in != n_in:
        return "its inputs do not match what it is given"
    if not (0 < layer.n_in <= INT_MAX and 0 < layer.n_out <= INT_MAX):
        return "impossible size"
    if not (0 <= layer.weights <= n_params and layer.n_in <= (n_params - layer.weights) // layer.n_out):
        return "weights outside params"
    if not 0 <= layer.biases <= n_params - layer.n_out:
        return "biases outside params"
    if not 0 <= layer.outputs <= n_columns - layer.n_out:
        return "outputs outside the arena"
    if not 0 <= layer.deltas <= n_columns - layer.n_out:
        return "deltas outside the arena"
    if not 0 <= layer.activation < N_ACTIVATIONS:
        return "no such activation"
    return None


cdef int check_layers(
    const Layer[::1] layers, Py_ssize_t n_params, Py_ssize_t arena_size,
    Py_ssize_t n_features, Py_ssize_t capacity,
) except -1:
    cdef Py_ssize_t l, n_in = n_features
    cdef str fault
    if layers.shape[0] == 0:
        raise ValueError("a network needs at least one layer")
    if not 0 < capacity <= INT_MAX:
        raise ValueError("capacity must be positive and fit a C int")
    for l in range(layers.shape[0]):
        fault = layer_fault(&layers[l], n_params, arena_size // capacity, n_in)
        if fault is not None:
            raise ValueError(f"layer {l}: {fault}")
        n_in = layers[l].n_out
    return 0


cdef int check_targets(
    const real[:, ::1] Y, const real[::1] sample_weight, Py_ssize_t n_rows,
    const Layer[::1] layers, Py_ssize_t loss, Py_ssize_t arena_size, Py_ssize_t capacity,
) except -1:
    cdef Py_ssize_t i
    cdef const Layer* last = &layers[layers.shape[0] - 1]
    cdef bint indices = last.activation == activations.SOFTMAX
    cdef bint inside = True
    if not 0 <= loss < N_LOSSES:
        raise ValueError("no such loss")
    if Y.shape[0] != n_rows:
        raise ValueError("X and Y have different numbers of rows")
    if Y.shape[1] != (1 if indices else last.n_out):
        raise ValueError("Y has the wrong number of columns")
    if sample_weight is not None and sample_weight.shape[0] != n_rows:
        raise ValueError("sample_weight must have one entry a row")
    if layers[0].n_in + Y.shape[1] + 1 + last.n_out > arena_size // capacity:
        raise ValueError("the arena is too small")
    if indices:
        for i in range(n_rows):
            inside &= 0 <= Y[i, 0] < last.n_out
        if not inside:
            raise ValueError("class indices must be in 0 ... n_classes - 1")
    return 0


cdef int check_order(const Py_ssize_t[::1] order, Py_ssize_t n_rows) except -1:
    cdef Py_ssize_t i
    cdef bint inside = True
    for i in range(order.shape[0]):
        inside &= 0 <= order[i] < n_rows
    if not inside:
        raise ValueError("order names rows that X does not have")
    return 0


cdef int check_optimizer(
    const Rule[::1] rule, const real[:, ::1] slots, Py_ssize_t n_params, Py_ssize_t n_grads
) except -1:
    if n_grads != n_params:
        raise ValueError("grads and params have different sizes")
    if rule.shape[0] != 1 or not 0 <= rule[0].optimizer < N_OPTIMIZERS:
        raise ValueError("no such optimizer")
    if slots.shape[0] != list(SLOTS.values())[rule[0].optimizer] or slots.shape[1] != n_params:
        raise ValueError("slots have the wrong shape")
    return 0


cdef inline const real* pointer(const real[::1] x) noexcept nogil:
    return NULL if x is None or x.shape[0] == 0 else &x[0]


cdef inline const real* matrix_pointer(const real[:, ::1] x) noexcept nogil:
    return NULL if x.shape[0] == 0 or x.shape[1] == 0 else &x[0, 0]


def predict(
    real[:, ::1] out, real[::1] arena, const real[:, ::1] X, const real[::1] params,
    const Layer[::1] layers, Py_ssize_t capacity,
):
    """Write the network's output for every row of X into out (rows, n_out)."""
    cdef Py_ssize_t begin = 0, rows, n_rows = X.shape[0], n_layers = layers.shape[0]
    check_layers(layers, params.shape[0], arena.shape[0], X.shape[1], capacity)
    cdef const Layer* last = &layers[n_layers - 1]
    if out.shape[0] != n_rows or out.shape[1] != last.n_out:
        raise ValueError("out has the wrong shape")
    with nogil:
        while begin < n_rows:
            rows = min(capacity, n_rows - begin)
            forward(&out[begin, 0], &arena[0], &X[begin, 0], &params[0],
                    &layers[0], n_layers, rows, capacity)
            activations.activate(&out[begin, 0], rows, last.n_out, last.activation)
            begin += rows


def compute_loss(
    real[::1] arena, const real[:, ::1] X, const real[:, ::1] Y, const real[::1] sample_weight,
    const real[::1] params, const Layer[::1] layers,
    Py_ssize_t loss, double alpha, Py_ssize_t capacity,
):
    """J over all rows of X."""
    cdef Py_ssize_t n_layers = layers.shape[0]
    check_layers(layers, params.shape[0], arena.shape[0], X.shape[1], capacity)
    check_targets(Y, sample_weight, X.shape[0], layers, loss, arena.shape[0], capacity)
    cdef Arena blocks = map_arena(&layers[0], n_layers, Y.shape[1], capacity)
    cdef double result
    with nogil:
        result = objective(
            <real*>NULL, &arena[0], matrix_pointer(X), matrix_pointer(Y), pointer(sample_weight),
            X.shape[0], &params[0], params.shape[0], &layers[0], n_layers, loss, alpha,
            &blocks, Y.shape[1])
    return result


def compute_loss_and_gradient(
    real[::1] grads, real[::1] arena, const real[:, ::1] X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const Layer[::1] layers,
    Py_ssize_t loss, double alpha, Py_ssize_t capacity,
):
    """J over all rows of X, and ∂J/∂params into grads."""
    cdef Py_ssize_t n_layers = layers.shape[0]
    check_layers(layers, params.shape[0], arena.shape[0], X.shape[1], capacity)
    check_targets(Y, sample_weight, X.shape[0], layers, loss, arena.shape[0], capacity)
    if grads.shape[0] != params.shape[0]:
        raise ValueError("grads and params have different sizes")
    cdef Arena blocks = map_arena(&layers[0], n_layers, Y.shape[1], capacity)
    cdef double result
    with nogil:
        result = objective(
            &grads[0], &arena[0], matrix_pointer(X), matrix_pointer(Y), pointer(sample_weight),
            X.shape[0], &params[0], params.shape[0], &layers[0], n_layers, loss, alpha,
            &blocks, Y.shape[1])
    return result


def train(
    real[::1] params, real[::1] grads, real[:, ::1] slots, Rule[::1] rule, real[::1] arena,
    const real[:, ::1] X, const real[:, ::1] Y, const real[::1] sample_weight,
    const Py_ssize_t[::1] order, const Layer[::1] layers,
    Py_ssize_t loss, double cap, Py_ssize_t batch_size, Py_ssize_t capacity,
):
    """One optimizer step for each batch of order; returns Σ of J × rows, with no
    share of a row's loss counted for more than cap."""
    cdef Py_ssize_t n_layers = layers.shape[0], n_params = params.shape[0]
    check_layers(layers, n_params, arena.shape[0], X.shape[1], capacity)
    check_targets(Y, sample_weight, X.shape[0], layers, loss, arena.shape[0], capacity)
    check_optimizer(rule, slots, n_params, grads.shape[0])
    check_order(order, X.shape[0])
    if batch_size < 1:
        raise ValueError("batch_size must be positive")
    if order.shape[0] == 0:
        return 0.0
    cdef Arena blocks = map_arena(&layers[0], n_layers, Y.shape[1], capacity)
    cdef real* state = &slots[0, 0] if slots.shape[0] > 0 else NULL
    cdef double result
    with nogil:
        result = train_epoch(
            &params[0], &grads[0], state, n_params, slots.shape[0], &rule[0], &arena[0],
            &X[0, 0], &Y[0, 0], pointer(sample_weight), &order[0], order.shape[0],
            &layers[0], n_layers, loss, cap, batch_size, &blocks, Y.shape[1])
    return result


include "rooms.pxi"
