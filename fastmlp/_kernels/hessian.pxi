# Products of the Hessian of J with a direction v, exactly: Pearlmutter's operator
# R{f} = ∂f(params + r v)/∂r at r = 0, applied to every line of forward and backward pass
# (B. A. Pearlmutter, "Fast exact multiplication by the Hessian", 1994). A second arena
# holds R{·} of every block of the first.


cdef void multiply_inputs_r(
    real* rz, real* arena, real* r_arena, const Job* job, const Span* span,
    const real* direction, Py_ssize_t l,
) noexcept nogil:
    """R{z} = A V + R{A} W + v_b."""
    cdef const Layer* layer = &job.layers[l]
    if layer.kind != DENSE:
        apply_to_images_r(rz, arena, r_arena, job, span, direction, l)
    else:
        multiply_inputs(rz, arena, job, span, l, weights_of(direction, job, l))
    if layer.kind == DENSE and l > 0 and is_wanted(
            job, span.step.watch, span.rows * layer.n_out * layer.n_in):
        products.multiply_nn(
            rz, a_of(r_arena, job, l - 1, span.first),
            weights_of(<const real*>job.params, job, l), span.rows, layer.n_out, layer.n_in,
            True)
    if layer.n_tensors > 0:
        activations.add_bias_and_activate(
            rz, biases_of(direction, job, l), span.rows * positions_of(layer),
            layer.out_channels, activations.IDENTITY, <real>0)


cdef void apply_to_images_r(
    real* rz, real* arena, real* r_arena, const Job* job, const Span* span,
    const real* direction, Py_ssize_t l,
) noexcept nogil:
    """V ⋆ A + K ⋆ R{A} of a convolution, else the pooled R{A}; R{X} is 0."""
    cdef const real* x = inputs_of(arena, span.X, job, l, span.first, False)
    cdef bint is_conv = job.layers[l].kind == CONV
    if is_conv:
        convolve(rz, x, weights_of(direction, job, l), job, span, l, False)
    elif l == 0:
        memset(rz, 0, span.rows * job.layers[0].n_out * sizeof(real))
    if l > 0:
        apply_to_images(
            rz, a_of(r_arena, job, l - 1, span.first), x,
            weights_of(<const real*>job.params, job, l), job, span, l, is_conv)


cdef void forward_r(
    real* arena, real* r_arena, const Job* job, const Span* span, const real* direction
) noexcept nogil:
    """R{z} and R{σ(z)} of every layer, R{δ} of the last."""
    cdef Py_ssize_t l, n, first = span.first, last = job.n_layers - 1
    cdef const Layer* layer
    cdef real* rz
    cdef real* ra
    for l in range(last):
        layer = &job.layers[l]
        n = span.rows * layer.n_out
        rz, ra = z_of(r_arena, job, l, first), a_of(r_arena, job, l, first)
        multiply_inputs_r(rz, arena, r_arena, job, span, direction, l)
        memcpy(ra, rz, n * sizeof(real))
        activations.multiply_slope(
            ra, a_of(arena, job, l, first), z_of(arena, job, l, first), n,
            layer.activation, <real>layer.activation_param)
    multiply_inputs_r(
        z_of(r_arena, job, last, first), arena, r_arena, job, span, direction, last)


cdef void backward_r(
    real* arena, real* r_arena, const Job* job, const Span* span, const real* direction
) noexcept nogil:
    """δ and R{δ} of every hidden layer from those of the last."""
    cdef Py_ssize_t l, n, first = span.first
    cdef const Layer* layer
    cdef const Layer* above
    cdef const real* params = <const real*>job.params
    cdef const real* a
    cdef const real* z
    cdef const real* delta_above
    cdef real* delta
    cdef real* rdelta
    for l in range(job.n_layers - 2, -1, -1):
        layer, above = &job.layers[l], &job.layers[l + 1]
        n = span.rows * layer.n_out
        a, z = a_of(arena, job, l, first), z_of(arena, job, l, first)
        delta, rdelta = deltas_of(arena, job, l, first), deltas_of(r_arena, job, l, first)
        delta_above = deltas_of(arena, job, l + 1, first)
        if above.kind != DENSE:
            pull_back(
                delta, delta_above, arena, job, span, l + 1, weights_of(params, job, l + 1))
            pull_back(
                rdelta, deltas_of(r_arena, job, l + 1, first), arena, job, span, l + 1,
                weights_of(params, job, l + 1))
        elif is_wanted(job, span.step.watch, 3 * n * above.n_out):
            products.multiply_nt(
                delta, delta_above, weights_of(params, job, l + 1), span.rows, layer.n_out,
                above.n_out, False)
            products.multiply_nt(
                rdelta, deltas_of(r_arena, job, l + 1, first),
                weights_of(params, job, l + 1), span.rows, layer.n_out, above.n_out, False)
            products.multiply_nt(
                rdelta, delta_above, weights_of(direction, job, l + 1), span.rows,
                layer.n_out, above.n_out, True)
        if above.kind == CONV:
            convolve_back(
                rdelta, delta_above, weights_of(direction, job, l + 1), job, span, l + 1,
                True)
        activations.differentiate_slope(
            rdelta, delta, z_of(r_arena, job, l, first), a, z, n, layer.activation,
            <real>layer.activation_param)
        activations.multiply_slope(
            delta, a, z, n, layer.activation, <real>layer.activation_param)


cdef void find_parts_r(
    real* arena, real* r_arena, const Job* job, const Span* span
) noexcept nogil:
    """A ⋆ R{δ} + R{A} ⋆ δ and Σ R{δ} of convolutions, over the parts of the span."""
    cdef Py_ssize_t l, first = span.first
    for l in range(job.n_layers):
        if job.layers[l].kind != CONV:
            continue
        clear_parts(arena, job, span, l)
        add_to_parts(
            arena, job, span, l, inputs_of(arena, span.X, job, l, first, False),
            deltas_of(r_arena, job, l, first), span.accumulate)
        if l > 0:
            add_to_parts(
                arena, job, span, l, a_of(r_arena, job, l - 1, first),
                deltas_of(arena, job, l, first), True)
        add_biases_to_parts(arena, job, span, l, deltas_of(r_arena, job, l, first))


cdef void gradient_r(
    real* out, real* arena, real* r_arena, const Job* job, const Span* span, bint finish
) noexcept nogil:
    """R{∂J/∂W} = Aᵀ R{δ} + R{A}ᵀ δ, R{∂J/∂b} = Σ R{δ} of this thread's units, added up over
    blocks; of the span all rows. To finish, the sum of convolutions' parts."""
    cdef Py_ssize_t l, begin, end
    cdef const Tensor* tensor
    cdef Range units
    for l in range(job.n_layers):
        if job.layers[l].kind != DENSE:
            if finish and job.layers[l].kind == CONV:
                join_parts(out, arena, job, span.step, l)
            continue
        tensor = tensor_of(job, l, 0)
        units = partition_units(job, span.step, l)
        begin = units.begin * unit_rows(tensor)
        end = min(units.end * unit_rows(tensor), tensor.rows)
        if begin >= end or not is_wanted(
                job, span.step.watch, 2 * span.rows * (end - begin) * tensor.columns):
            continue
        weight_gradient(
            out, arena, job, span, l, deltas_of(r_arena, job, l, 0), begin, end)
        if l > 0:
            multiply_deltas(
                out, job, l, a_of(r_arena, job, l - 1, 0), deltas_of(arena, job, l, 0),
                span.rows, begin, end, True)
        if owns_others(job, l, units):
            products.sum_columns(
                biases_of(out, job, l), deltas_of(r_arena, job, l, 0), span.rows,
                tensor.columns, span.accumulate)


cdef void evaluate_r(
    real* arena, real* r_arena, const Job* job, const Span* span, Py_ssize_t begin,
    double weight,
) noexcept nogil:
    """Everything that rows of the span need of themselves; its block begins at row begin
    of X."""
    cdef Py_ssize_t first = span.first, last = job.n_layers - 1
    cdef const real* direction = <const real*>job.direction
    evaluate_in_place(arena, job, span, begin, weight)
    forward_r(arena, r_arena, job, span, direction)
    heads.differentiate_head(
        deltas_of(r_arena, job, last, first), z_of(r_arena, job, last, first),
        z_of(arena, job, last, first),
        <const real*>job.Y + (begin + first) * job.n_targets, scales_of(arena, job, first),
        <const real*>job.numbers, span.rows, job.layers[last].n_out, job.objective.loss,
        job.layers[last].activation)
    backward_r(arena, r_arena, job, span, direction)
    find_parts_r(arena, r_arena, job, span)


cdef void add_penalty_curvature(
    real* out, const real* direction, const Job* job, double weight
) noexcept nogil:
    """out += l2 direction."""
    cdef Py_ssize_t i
    cdef const GroupRange* part
    for i in range(job.n_penalised):
        part = &job.penalised[i]
        regularizers.add_penalty_gradient(
            out + part.begin, direction + part.begin, part.end - part.begin, <real>0,
            <real>(strength_of(job, weight, &job.groups[part.group])
                   * (1 - job.objective.l1_ratio)))


cdef void multiply_direction(real* arena, const Job* job, int thread) noexcept nogil:
    """H direction over all rows into job.grads, the penalty's l2 direction included."""
    cdef Py_ssize_t begin = 0
    cdef Rows X
    cdef Span span
    cdef Watch watch = watch_of(thread)
    cdef Step step = evaluation_step(&watch)
    cdef real* out = <real*>job.grads
    cdef real* r_arena = <real*>job.r_arena
    cdef double weight = sum_weights(<const real*>job.sample_weight, NULL, job.n_rows)
    while begin < job.n_rows and weight != 0:
        span = span_from(arena, job, &step, &X, begin)
        evaluate_r(arena, r_arena, job, &span, begin, weight)
        barrier_wait(job.barrier, job.n_threads)
        if ends_here(job, &watch):
            break
        span.first, span.rows = 0, span.block
        gradient_r(
            out, arena, r_arena, job, &span, begin + span.block == job.n_rows)
        barrier_wait(job.barrier, job.n_threads)
        begin += span.block
    # The job lives until every thread has read it for the last time.
    barrier_wait(job.barrier, job.n_threads)
    if thread == 0 and weight == 0:
        memset(out, 0, job.n_params * sizeof(real))
    elif thread == 0:
        add_penalty_curvature(out, <const real*>job.direction, job, weight)
