# Where things lie: a job's buffers, and the blocks of its arena (docs/contracts.md).

cdef enum:
    # Parameters of a unit of update, about: with gradient and two slots 8 KiB of
    # float32, so the penalty's pass and the update's find them in the nearest cache.
    UNIT = 512
    # A cache line of float32: columns that threads are given whole multiples of, and
    # where the bulk of an update begins.
    LINE = 16
    # Rows of a block from which on a gradient may be found in halves: products of
    # fewer than half as many would lose what two threads gain.
    WORTH_HALVING = 128
    # Weights from which on threads may share a product's columns in place of its rows:
    # two barriers cost more than fewer would save.
    MANY_WEIGHTS = 1 << 16
    # Columns for each row of the block from which on they do: there are more weights
    # then than numbers to multiply them with. (In pieces, measured on another processor.)
    MANY_COLUMNS = 1
    MANY_COLUMNS_IN_PIECES = 2


    # Parameters from which on the whole gradient is found before any of them is written.
    MANY_PARAMS = 1 << 20
    # Entries that a sparse row may have, about.
    SPARSE_ENTRIES = 64


cdef enum:
    MOST_GROUPS = 64
    # Parts of a block's rows that a convolution's gradient is found in, and threads that
    # work on rows where there is one: each has some of the parts, and a scratch.
    PARTS = 8
    # Positions of a kernel that its gradient is summed over before it is written, about.
    POSITIONS = 128
    # Frequencies of a periodic embedding at most: their numbers stand on the stack.
    MOST_FREQUENCIES = 64


cdef enum Mode:
    EVALUATE  # running moments, nothing dropped, parameters as they are
    ACCUMULATE  # a batch's moments and masks, and its gradient
    TRAIN  # the same, and the step along it
    APPLY  # the step along a gradient that is there


cdef struct GroupRange:
    Py_ssize_t begin
    Py_ssize_t end
    Py_ssize_t group


cdef struct Job:
    # One call's buffers, all of one number type, and what to do with them.
    void* params
    void* stats
    void* grads
    void* slots
    void* moments  # of a batch
    void* outputs  # NULL: nobody asks for them
    void* arena
    Rows X
    const void* Y
    const void* sample_weight
    const void* numbers
    const Py_ssize_t* order
    const Layer* layers
    const Tensor* tensors
    const Group* groups
    const GroupRange* penalised  # tensors of one group, side by side
    Rule* rule
    const Scheduled* schedule  # of each step; NULL: the rule's numbers stay
    Mode mode
    const void* direction  # what the Hessian is multiplied with
    void* r_arena
    Objective objective
    Py_ssize_t item_size  # bytes of a number
    Py_ssize_t n_layers
    Py_ssize_t n_groups
    Py_ssize_t n_penalised
    Py_ssize_t n_params
    Py_ssize_t n_stats
    Py_ssize_t slot_stride  # entries from one slot to the next
    Py_ssize_t n_targets
    Py_ssize_t n_rows
    Py_ssize_t batch_size
    Py_ssize_t capacity
    Py_ssize_t first_row  # of the rows at work, in their batch
    double total_weight  # that a gradient by itself, or a step, is divided by
    double norm  # that a step by itself is clipped by; negative: the gradient's own
    double momentum  # of running moments in a step by itself
    Py_ssize_t n_units  # of update, in all layers
    Py_ssize_t inputs  # where the gathered inputs begin
    Py_ssize_t halves  # where the gradient of second halves would begin, were it whole
    Py_ssize_t parts  # where the parts of convolutions' gradients begin
    Py_ssize_t scratch  # where the threads' scratches begin
    Py_ssize_t scratch_size  # entries of one
    double result
    int n_threads
    barrier_t* barrier
    bint hears_signals  # thread 0 is Python's main thread
    stop_t* stop


cdef struct Watch:
    # What one thread knows of a job that the user may want to end.
    int phase  # of the job, from one place where threads may leave it to the next
    Py_ssize_t work  # multiply-adds since the thread last looked
    int thread


cdef struct Step:
    # One step of training, as one thread sees it.
    const Rule* rule
    Watch* watch
    Mode mode
    Coefficients groups[MOST_GROUPS]
    Py_ssize_t position  # of the block's first row in its batch
    int thread


cdef struct Span:
    # Rows of the block in the arena, to be worked on by one thread.
    const Rows* X
    const Step* step
    Py_ssize_t first
    Py_ssize_t rows
    Py_ssize_t block  # rows of all threads' spans together
    bint accumulate  # the gradients of earlier blocks are there


cdef struct Range:
    Py_ssize_t begin
    Py_ssize_t end


cdef inline Range partition(Py_ssize_t n, Py_ssize_t unit, int thread, int n_threads) noexcept nogil:
    """Thread's part of 0 … n, as even as whole units allow; what is no unit goes to the
    last, which has at least half of one. Some have nothing where there are few units."""
    cdef Range part
    cdef Py_ssize_t half = unit // 2
    cdef Py_ssize_t n_parts = min(<Py_ssize_t>n_threads, max(<Py_ssize_t>1, n // unit))
    part.begin = (n * thread // n_parts + half) // unit * unit
    part.end = (n * (thread + 1) // n_parts + half) // unit * unit
    if thread == n_parts - 1:
        part.end = n
    if thread >= n_parts:
        part.begin = part.end = n
    return part


cdef inline bint is_training(const Step* step) noexcept nogil:
    return step.mode != EVALUATE


cdef inline Py_ssize_t positions_of(const Layer* layer) noexcept nogil:
    """Pixels of a layer's outputs."""
    return layer.out_height * layer.out_width


cdef inline bint is_of_columns(const Layer* layer) noexcept nogil:
    """Whether a layer works on single columns, with one tensor and no bias."""
    return layer.kind in (SCALE, PERIODIC_EMBEDDING, CATEGORY_EMBEDDING)


cdef inline Py_ssize_t work_of_row(const Layer* layer) noexcept nogil:
    """Multiply-adds of one row."""
    if is_of_columns(layer):
        return layer.n_out
    return (positions_of(layer) * layer.kernel_height * layer.kernel_width
            * layer.channels * layer.out_channels)


cdef inline bint has_convolutions(const Job* job) noexcept nogil:
    cdef Py_ssize_t l
    for l in range(job.n_layers):
        if job.layers[l].kind == CONV:
            return True
    return False


cdef inline Py_ssize_t rows_of_part(const Job* job) noexcept nogil:
    return (job.capacity - 1) // PARTS + 1


cdef inline Py_ssize_t row_unit(const Job* job, Py_ssize_t block) noexcept nogil:
    """Rows that threads are given whole multiples of: what products work on at a time, or
    the parts that convolutions' gradients are found in."""
    cdef Py_ssize_t l
    if has_convolutions(job):
        return rows_of_part(job)
    for l in range(job.n_layers):
        if products.in_pieces(
                job.item_size, block, job.layers[l].n_out, job.layers[l].n_in):
            return products.PIECES_BLOCK
    return products.TILE_ROWS


cdef inline void partition_block(Span* span, const Job* job, Py_ssize_t rows_left) noexcept nogil:
    """The next block of so many rows, and of it the thread's part."""
    cdef Range mine
    span.block = min(job.capacity, rows_left)
    mine = partition(span.block, row_unit(job, span.block), span.step.thread, job.n_threads)
    span.first, span.rows = mine.begin, mine.end - mine.begin


cdef inline bint is_halved_layer(const Layer* layer, Py_ssize_t capacity) noexcept nogil:
    """Whether a layer's gradient is found in two halves of a block, and they are added.

    Of two threads each then has its own rows' δ and inputs at hand, and what changes
    sides is a gradient that is no larger than δ (decision 7). The shape alone decides:
    the sum's order is part of the result.
    """
    return layer.kind == DENSE and capacity >= WORTH_HALVING and layer.n_in <= capacity


cdef inline bint is_one_slice(const Job* job) noexcept nogil:
    """Whether a batch is one block, of which either half is one slice of products."""
    return job.batch_size <= job.capacity and job.capacity <= 2 * products.SLICE_ROWS


cdef inline bint is_halved(const Job* job, Py_ssize_t l, Py_ssize_t block) noexcept nogil:
    """Whether the gradient of layer l over a block of so many rows is. Two rows are not
    where one thread would fuse the second's product into the first's."""
    return (is_halved_layer(&job.layers[l], job.capacity)
            and (l > 0 or job.X.indptr == NULL)
            and not (block == 2 and is_one_slice(job)
                     and products.is_outer(1, job.layers[l].n_out)))


cdef inline bint adds_in_place(const Job* job) noexcept nogil:
    """Whether one thread may add the second half's product to the first's as it goes: of
    one slice in one block, it is the same sum."""
    return job.n_threads == 1 and is_one_slice(job)


cdef inline bint is_split_over_threads(
    const Job* job, Py_ssize_t l, Py_ssize_t block
) noexcept nogil:
    """Whether other threads find the other half of layer l's gradient."""
    return job.n_threads > 1 and is_halved(job, l, block)


cdef inline bint partitions_columns(
    const Job* job, const Span* span, Py_ssize_t n, Py_ssize_t k, bint pieces
) noexcept nogil:
    """Whether threads share the n columns of a product with n k weights, not its rows:
    each then reads all rows and its part of the weights, in place of the reverse."""
    cdef Py_ssize_t least = MANY_COLUMNS_IN_PIECES if pieces else MANY_COLUMNS
    return job.n_threads > 1 and n >= least * span.block and n * k >= MANY_WEIGHTS


cdef inline const Layer* last_layer(const Job* job) noexcept nogil:
    return &job.layers[job.n_layers - 1]


cdef inline const Tensor* tensor_of(const Job* job, Py_ssize_t l, Py_ssize_t i) noexcept nogil:
    """The i-th tensor of layer l."""
    return &job.tensors[job.layers[l].tensors + i]


# W, b and γ of layer l, in params or in a vector laid out like them.


cdef inline real* weights_of(const real* params, const Job* job, Py_ssize_t l) noexcept nogil:
    return <real*>params + tensor_of(job, l, 0).offset


cdef inline real* biases_of(const real* params, const Job* job, Py_ssize_t l) noexcept nogil:
    return <real*>params + tensor_of(job, l, 1).offset


cdef inline real* gammas_of(const real* params, const Job* job, Py_ssize_t l) noexcept nogil:
    return <real*>params + tensor_of(job, l, 2).offset


cdef inline real* block(
    real* arena, const Job* job, Py_ssize_t column, Py_ssize_t width, Py_ssize_t row
) noexcept nogil:
    """Row `row` of the arena's block of `width` columns that begins at `column`."""
    return arena + column * job.capacity + row * width


cdef inline real* normalized_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].normalized, job.layers[l].n_out, row)


cdef inline real* z_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].z, job.layers[l].n_out, row)


cdef inline real* a_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].a, job.layers[l].n_out, row)


cdef inline real* outputs_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].outputs, job.layers[l].n_out, row)


cdef inline real* deltas_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.layers[l].deltas, job.layers[l].n_out, row)


cdef inline real* targets_of(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    return block(arena, job, 0, job.n_targets, row)


cdef inline real* scales_of(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.n_targets, 1, row)


cdef inline real* losses_of(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    return block(arena, job, job.n_targets + 1, job.n_targets, row)


cdef inline const real* inputs_of(
    real* arena, const Rows* X, const Job* job, Py_ssize_t l, Py_ssize_t row, bint training
) noexcept nogil:
    """What layer l is given: the batch's dense inputs, or the outputs of the layer below,
    from which nothing is dropped but in training."""
    if l == 0:
        return <const real*>X.dense + row * job.layers[0].n_in
    if training:
        return outputs_of(arena, job, l - 1, row)
    return a_of(arena, job, l - 1, row)


cdef inline Py_ssize_t count_columns(const Job* job) noexcept nogil:
    return last_layer(job).deltas + last_layer(job).n_out


# A layer's first tensor is worked on in units, which threads share; the others whole, by
# who has the last of them.


cdef inline Py_ssize_t unit_rows(const Tensor* tensor) noexcept nogil:
    """Rows of a unit of update."""
    return max(<Py_ssize_t>1, UNIT // tensor.columns)


cdef inline Py_ssize_t count_units(const Tensor* tensor) noexcept nogil:
    return (tensor.rows - 1) // unit_rows(tensor) + 1


cdef inline Py_ssize_t units_of(const Job* job, Py_ssize_t l) noexcept nogil:
    """How many units layer l has."""
    return count_units(tensor_of(job, l, 0)) if job.layers[l].n_tensors > 0 else 0


cdef inline Py_ssize_t bundle_units(const Job* job, Py_ssize_t l) noexcept nogil:
    """Units that threads are given together: of as many rows of W as products work on."""
    cdef const Tensor* tensor = tensor_of(job, l, 0)
    if job.layers[l].kind == DENSE and products.in_pieces(job.item_size, tensor.rows, tensor.columns, job.capacity):
        return (products.PIECES_BLOCK - 1) // unit_rows(tensor) + 1
    return 1


cdef inline Py_ssize_t bundles_of(const Job* job, Py_ssize_t l) noexcept nogil:
    cdef Py_ssize_t size = bundle_units(job, l)
    return (units_of(job, l) + size - 1) // size


cdef inline Range units_of_bundles(
    const Job* job, Py_ssize_t l, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """The units of those of layer l's bundles that there are."""
    cdef Range units
    cdef Py_ssize_t size = bundle_units(job, l), n = units_of(job, l)
    units.begin = max(begin, 0) * size
    units.end = min(end * size, n)
    return units


cdef inline Py_ssize_t units_before(const Job* job, Py_ssize_t l) noexcept nogil:
    cdef Py_ssize_t below, n = 0
    for below in range(l):
        n += units_of(job, below)
    return n


cdef inline real* penalties_of(real* arena, const Job* job, Py_ssize_t l) noexcept nogil:
    """The penalty of each of layer l's units."""
    return block(arena, job, count_columns(job), 0, 0) + units_before(job, l)


cdef inline real* norms_of(real* arena, const Job* job, Py_ssize_t l) noexcept nogil:
    """Σ g² of each of layer l's units, then that of its other tensors."""
    return penalties_of(arena, job, 0) + job.n_units + units_before(job, l) + l


cdef inline real* moments_of(real* arena, const Job* job, Py_ssize_t l) noexcept nogil:
    """Means, then variances, of a normalised layer's units, or of its channels."""
    cdef Py_ssize_t below
    cdef real* moments = penalties_of(arena, job, 0) + 2 * job.n_units + job.n_layers
    for below in range(l):
        if job.layers[below].normalized >= 0:
            moments += 2 * job.layers[below].out_channels
    return moments


cdef inline real* gathered_inputs(real* arena, const Job* job, Py_ssize_t row) noexcept nogil:
    """The dense rows of a training batch, side by side."""
    return arena + job.inputs + row * job.layers[0].n_in


cdef inline real* grads_of(real* arena, const Job* job, bint second) noexcept nogil:
    """The gradient, or where it is found in halves, that of the first or second."""
    return arena + job.halves if second else <real*>job.grads


cdef inline Py_ssize_t extras_of(const Job* job) noexcept nogil:
    """Entries behind the arena's columns: two for each unit of update, one a layer, the
    moments of normalised layers, and the threads' scratches."""
    cdef Py_ssize_t l, n = job.n_layers
    for l in range(job.n_layers):
        n += 2 * units_of(job, l)
        if job.layers[l].normalized >= 0:
            n += 2 * job.layers[l].out_channels
    return n + PARTS * job.scratch_size


cdef inline Py_ssize_t seen_height(const Layer* layer) noexcept nogil:
    """Rows of pixels that a kernel sees, those of the border too."""
    return (layer.out_height - 1) * layer.stride_height + layer.kernel_height


cdef inline Py_ssize_t seen_width(const Layer* layer) noexcept nogil:
    return (layer.out_width - 1) * layer.stride_width + layer.kernel_width


cdef inline Py_ssize_t padded_size(const Layer* layer) noexcept nogil:
    """Entries of an image with its border: what the kernel sees."""
    return seen_height(layer) * seen_width(layer) * layer.channels


cdef inline Py_ssize_t images_at_a_time(const Layer* layer) noexcept nogil:
    """Images whose gradients are found together."""
    return max(<Py_ssize_t>1, POSITIONS // positions_of(layer))


cdef inline Py_ssize_t spread_size(const Layer* layer) noexcept nogil:
    """Entries of δ as the turned kernel sees it."""
    return ((layer.height + layer.kernel_height - 1)
            * (layer.width + layer.kernel_width - 1) * layer.out_channels)


cdef inline real* scratch_of(real* arena, const Job* job, int thread) noexcept nogil:
    """Where a thread that has rows keeps an image, and a kernel."""
    return arena + job.scratch + thread * job.scratch_size


cdef inline Py_ssize_t part_size(const Job* job, Py_ssize_t l) noexcept nogil:
    """Entries of a convolution's W and b."""
    return (tensor_of(job, l, 0).rows + 1) * job.layers[l].out_channels


cdef inline Py_ssize_t parts_size(const Job* job, Py_ssize_t n_layers) noexcept nogil:
    """Entries of all parts of the convolutions' gradients of so many layers."""
    cdef Py_ssize_t l, n = 0
    for l in range(n_layers):
        if job.layers[l].kind == CONV:
            n += PARTS * part_size(job, l)
    return n


cdef inline real* part_of(real* arena, const Job* job, Py_ssize_t l, Py_ssize_t part) noexcept nogil:
    """A part of layer l's gradient: of W, then of b."""
    return arena + job.parts + parts_size(job, l) + part * part_size(job, l)


cdef inline Range halved_range(const Job* job) noexcept nogil:
    """Where in params those begin and end whose gradient may be found in halves."""
    cdef Py_ssize_t l, i
    cdef const Tensor* tensor
    cdef Range span
    span.begin, span.end = PY_SSIZE_T_MAX, 0
    for l in range(job.n_layers):
        for i in range(2 if is_halved_layer(&job.layers[l], job.capacity) else 0):
            tensor = tensor_of(job, l, i)
            span.begin = min(span.begin, tensor.offset)
            span.end = max(span.end, tensor.offset + tensor.rows * tensor.columns)
    span.begin = min(span.begin, span.end)
    return span
