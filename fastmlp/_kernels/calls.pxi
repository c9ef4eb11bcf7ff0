# What Python calls. Every buffer is checked here, so that no call can write outside:
# the engine itself trusts its job.


cdef Py_ssize_t N_ACTIVATIONS = len(ACTIVATIONS)
cdef Py_ssize_t N_LOSSES = len(LOSSES)
cdef Py_ssize_t N_OPTIMIZERS = len(OPTIMIZERS)


cdef bint outside(Py_ssize_t begin, Py_ssize_t n, Py_ssize_t size) noexcept:
    """Whether n entries from begin on are not all within size."""
    return begin < 0 or n > size or begin > size - n


cdef str parameters_fault(const Layer* layer, Py_ssize_t n_params, Py_ssize_t n_stats):
    """What is wrong with where a layer's parameters lie: None if all is inside."""
    if layer.n_in > n_params // layer.n_out:
        return "weights outside params"
    if outside(layer.weights, layer.n_in * layer.n_out, n_params):
        return "weights outside params"
    if outside(layer.biases, layer.n_out, n_params):
        return "biases outside params"
    if layer.normalized >= 0 and outside(layer.gammas, layer.n_out, n_params):
        return "gammas outside params"
    if layer.normalized >= 0 and outside(layer.running, 2 * layer.n_out, n_stats):
        return "running moments outside stats"
    return None


cdef str arena_fault(const Layer* layer, Py_ssize_t n_columns):
    """What is wrong with a layer's blocks: None if each lies inside the columns."""
    if layer.normalized >= 0 and outside(layer.normalized, layer.n_out, n_columns):
        return "normalized outside the arena"
    if outside(layer.z, layer.n_out, n_columns):
        return "z outside the arena"
    if outside(layer.a, layer.n_out, n_columns):
        return "a outside the arena"
    if outside(layer.outputs, layer.n_out, n_columns):
        return "outputs outside the arena"
    if outside(layer.deltas, layer.n_out, n_columns):
        return "deltas outside the arena"
    return None


cdef str layer_fault(
    const Layer* layer, Py_ssize_t n_params, Py_ssize_t n_stats, Py_ssize_t n_columns,
    Py_ssize_t n_in,
):
    """What is wrong with a layer: None if it is whole and inside its buffers."""
    if layer.n_in != n_in:
        return "its inputs do not match what it is given"
    if not (0 < layer.n_in <= INT_MAX and 0 < layer.n_out <= INT_MAX):
        return "impossible size"
    if not 0 <= layer.activation < N_ACTIVATIONS:
        return "no such activation"
    if not 0 <= layer.dropout < 1:
        return "dropout must be in [0, 1)"
    return (parameters_fault(layer, n_params, n_stats) or arena_fault(layer, n_columns))


cdef Job job_of_layers(layers) except *:
    """A job that knows its layers, and nothing else.

    The format of their records is not asked for: NumPy would take longer to spell it out
    than the engine takes for a row. What they hold is checked before it is used.
    """
    cdef Job job
    cdef Py_buffer view
    memset(&job, 0, sizeof(Job))
    PyObject_GetBuffer(layers, &view, PyBUF_SIMPLE)
    job.layers = <const Layer*>view.buf
    job.n_layers = view.len // <Py_ssize_t>sizeof(Layer)
    PyBuffer_Release(&view)
    if view.itemsize != sizeof(Layer):
        raise ValueError("layers must be a table of fastmlp.workspace.LAYER")
    if job.n_layers == 0:
        raise ValueError("a network needs at least one layer")
    return job


cdef int check_layers(
    const Job* job, Py_ssize_t n_params, Py_ssize_t n_stats, Py_ssize_t arena_size
) except -1:
    cdef Py_ssize_t l, n_in
    cdef str fault
    if not 0 < job.capacity <= INT_MAX:
        raise ValueError("capacity must be positive and fit a C int")
    n_in = job.layers[0].n_in
    for l in range(job.n_layers):
        fault = layer_fault(
            &job.layers[l], n_params, n_stats, arena_size // job.capacity, n_in)
        if fault is not None:
            raise ValueError(f"layer {l}: {fault}")
        n_in = job.layers[l].n_out
    return 0


cdef int check_head(
    const Job* job, const Objective[::1] objective, Py_ssize_t n_numbers
) except -1:
    cdef const Layer* last = last_layer(job)
    if objective.shape[0] != 1 or not 0 <= objective[0].loss < N_LOSSES:
        raise ValueError("no such loss")
    if n_numbers != last.n_out:
        raise ValueError("numbers must have one entry an output")
    if last.normalized >= 0 or last.dropout > 0:
        raise ValueError("the last layer takes neither normalisation nor dropout")
    if not last.z == last.a == last.outputs:
        raise ValueError("the last layer's z, a and outputs must be one block")
    return 0


cdef int check_targets(
    const Job* job, const real[:, ::1] Y, const real[::1] sample_weight,
    Py_ssize_t arena_size,
) except -1:
    cdef Py_ssize_t i
    cdef const Layer* last = last_layer(job)
    cdef bint indices = last.activation == activations.SOFTMAX
    cdef bint inside = True
    if Y.shape[0] != job.n_rows:
        raise ValueError("X and Y have different numbers of rows")
    if Y.shape[1] != (1 if indices else last.n_out):
        raise ValueError("Y has the wrong number of columns")
    if sample_weight is not None and sample_weight.shape[0] != job.n_rows:
        raise ValueError("sample_weight must have one entry a row")
    if Y.shape[1] + 1 + last.n_out > arena_size // job.capacity:
        raise ValueError("the arena is too small")
    if indices:
        for i in range(job.n_rows):
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


cdef int check_normalised_batches(
    Py_ssize_t n_rows, Py_ssize_t batch_size, Py_ssize_t capacity
) except -1:
    if batch_size > capacity:
        raise ValueError("a normalised layer needs the whole batch in the arena")
    if n_rows > 0 and (batch_size == 1 or n_rows % batch_size == 1):
        raise ValueError("a normalised layer needs two rows or more in every batch")
    return 0


cdef int check_optimizer(
    const Rule[::1] rule, const real[:, :] slots, Py_ssize_t n_params, Py_ssize_t n_grads
) except -1:
    if n_grads != n_params:
        raise ValueError("grads and params have different sizes")
    if rule.shape[0] != 1 or not 0 <= rule[0].optimizer < N_OPTIMIZERS:
        raise ValueError("no such optimizer")
    if rule[0].seed < 0:
        raise ValueError("seed must not be negative")
    if slots.shape[0] != list(SLOTS.values())[rule[0].optimizer] or slots.shape[1] != n_params:
        raise ValueError("slots have the wrong shape")
    if slots.strides[1] != sizeof(real):
        raise ValueError("the entries of a slot must lie side by side")
    return 0


cdef inline const real* pointer(const real[::1] x) noexcept nogil:
    return NULL if x is None or x.shape[0] == 0 else &x[0]


cdef inline const real* matrix_pointer(const real[:, ::1] x) noexcept nogil:
    return NULL if x.shape[0] == 0 or x.shape[1] == 0 else &x[0, 0]


cdef Rows dense_rows(const real[:, ::1] X, Py_ssize_t n_in) except *:
    cdef Rows rows
    memset(&rows, 0, sizeof(Rows))
    if X.shape[1] != n_in:
        raise ValueError(f"X has {X.shape[1]} columns, the network takes {n_in}")
    rows.dense = <const void*>matrix_pointer(X)
    return rows


cdef Rows sparse_rows(
    const real[::1] data, const int[::1] indices, const Py_ssize_t[::1] indptr,
    Py_ssize_t n_in,
) except *:
    """Compressed sparse rows, every index checked."""
    cdef Rows rows
    cdef Py_ssize_t i, n_entries = data.shape[0]
    cdef bint inside = indices.shape[0] == n_entries and indptr.shape[0] > 0
    memset(&rows, 0, sizeof(Rows))
    if inside:
        inside = indptr[0] == 0 and indptr[indptr.shape[0] - 1] == n_entries
    for i in range(indptr.shape[0] - 1):
        inside &= indptr[i] <= indptr[i + 1]
    for i in range(n_entries if inside else 0):
        inside &= 0 <= indices[i] < n_in
    if not inside:
        raise ValueError("X is not a valid matrix of compressed sparse rows")
    rows.data = <const void*>&data[0] if n_entries > 0 else NULL
    rows.indices = &indices[0] if n_entries > 0 else NULL
    rows.indptr = &indptr[0]
    return rows


cdef Job describe(
    const real[::1] params, const real[::1] stats, const real[::1] arena, X, layers,
    Py_ssize_t capacity,
) except *:
    """What every job has, checked; the rest is nothing until it is set."""
    cdef Job job = job_of_layers(layers)
    cdef const real[:, ::1] dense
    cdef const real[::1] data
    cdef const int[::1] indices
    cdef const Py_ssize_t[::1] indptr
    job.capacity = capacity
    check_layers(&job, params.shape[0], stats.shape[0], arena.shape[0])
    if isinstance(X, tuple):
        data, indices, indptr = X
        job.X = sparse_rows(data, indices, indptr, job.layers[0].n_in)
        job.n_rows = indptr.shape[0] - 1
    else:
        dense = X
        job.X = dense_rows(dense, job.layers[0].n_in)
        job.n_rows = dense.shape[0]
    job.params = <void*>&params[0]
    job.stats = <void*>pointer(stats)
    job.arena = <void*>&arena[0]
    job.item_size = sizeof(real)
    job.n_params = params.shape[0]
    job.n_threads = 1
    job.n_units = units_before(&job, job.n_layers)
    job.inputs = count_columns(&job) * capacity + extras_of(&job)
    if arena.shape[0] < job.inputs:
        raise ValueError("the arena is too small")
    return job


cdef Job describe_supervised(
    const real[::1] params, const real[::1] stats, const real[::1] arena, X,
    const real[:, ::1] Y, const real[::1] sample_weight, layers, const Objective[::1] objective,
    const real[::1] numbers, Py_ssize_t capacity,
) except *:
    """A job with targets, its buffers checked."""
    cdef Job job = describe(params, stats, arena, X, layers, capacity)
    check_head(&job, objective, numbers.shape[0])
    check_targets(&job, Y, sample_weight, arena.shape[0])
    job.Y = <const void*>matrix_pointer(Y)
    job.n_targets = Y.shape[1]
    job.sample_weight = <const void*>pointer(sample_weight)
    job.objective = objective[0]
    job.numbers = <const void*>&numbers[0]
    return job


def count_extras(layers):
    """Entries that the arena needs behind its columns."""
    cdef Job job = job_of_layers(layers)
    return extras_of(&job)


def count_halves(layers, Py_ssize_t capacity):
    """Entries that training needs behind all others: the second halves' gradient, laid
    out like params from the first such layer on; none where no layer's is in halves."""
    cdef Job job = job_of_layers(layers)
    cdef Share span
    job.capacity = capacity
    span = halved_range(&job)
    return span.end - span.begin


cdef int check_outputs(const real[:, ::1] out, const Job* job) except -1:
    if out.shape[0] != job.n_rows or out.shape[1] != last_layer(job).n_out:
        raise ValueError("out has the wrong shape")
    return 0


def predict(
    real[:, ::1] out, real[::1] arena, X, const real[::1] params, const real[::1] stats, layers,
    Py_ssize_t capacity,
):
    """Write the network's output for every row of X into out (rows, n_out)."""
    cdef Job job = describe(params, stats, arena, X, layers, capacity)
    check_outputs(out, &job)
    if job.n_rows > 0:
        with nogil:
            predict_rows(&out[0, 0], &arena[0], &job)


def input_gradient(
    real[:, ::1] out, real[::1] arena, X, const real[:, ::1] V, const real[::1] params,
    const real[::1] stats, layers, Py_ssize_t capacity,
):
    """out[i] = Σₖ V[i, k] ∂outputₖ/∂xᵢ, out (rows, n_in) and V (rows, n_out)."""
    cdef Job job = describe(params, stats, arena, X, layers, capacity)
    if out.shape[0] != job.n_rows or out.shape[1] != job.layers[0].n_in:
        raise ValueError("out has the wrong shape")
    if V.shape[0] != job.n_rows or V.shape[1] != last_layer(&job).n_out:
        raise ValueError("V has the wrong shape")
    if job.n_rows > 0:
        with nogil:
            differentiate_inputs(&out[0, 0], &V[0, 0], &arena[0], &job)


cdef int place_halves(Job* job, Py_ssize_t n_gathered, Py_ssize_t arena_size) except -1:
    """Behind what is gathered: the gradient of second halves."""
    cdef Py_ssize_t n_behind = job.inputs + n_gathered * job.capacity
    cdef Share halves = halved_range(job)
    job.halves = n_behind - halves.begin
    if arena_size < n_behind + halves.end - halves.begin:
        raise ValueError("the arena is too small")
    return 0


cdef double do_in_threads(real* arena, Job* job, Crew crew) except? -1:
    """What the job results in, all threads of the crew, if there is one, having worked."""
    if crew is not None:
        crew.share(job, sizeof(real) == sizeof(double))
    with nogil:
        do_job(arena, job, 0)
    return job.result


def compute_loss(
    real[::1] arena, real[:, ::1] out, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const real[::1] stats,
    layers, const Objective[::1] objective, const real[::1] numbers,
    Py_ssize_t capacity, Crew crew=None,
):
    """J over all rows of X, and what predict writes into out, unless that is None.
    A crew shares the work, here and below."""
    cdef Job job = describe_supervised(
        params, stats, arena, X, Y, sample_weight, layers, objective, numbers, capacity)
    if out is not None:
        check_outputs(out, &job)
        job.outputs = <void*>matrix_pointer(out)
    return do_in_threads(&arena[0], &job, crew)


def compute_loss_and_gradient(
    real[::1] grads, real[::1] arena, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const real[::1] stats,
    layers, const Objective[::1] objective, const real[::1] numbers,
    Py_ssize_t capacity, Crew crew=None,
):
    """J over all rows of X, and ∂J/∂params into grads."""
    cdef Job job = describe_supervised(
        params, stats, arena, X, Y, sample_weight, layers, objective, numbers, capacity)
    if grads.shape[0] != params.shape[0]:
        raise ValueError("grads and params have different sizes")
    place_halves(&job, 0, arena.shape[0])
    job.grads = &grads[0]
    job.batch_size = job.n_rows
    return do_in_threads(&arena[0], &job, crew)


def multiply_hessian(
    real[::1] out, real[::1] arena, real[::1] r_arena, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const real[::1] direction,
    layers, const Objective[::1] objective, const real[::1] numbers,
    Py_ssize_t capacity, Crew crew=None,
):
    """out = H direction, H the Hessian of J over all rows of X."""
    cdef Py_ssize_t l
    cdef Job job = describe_supervised(
        params, params[:0], arena, X, Y, sample_weight, layers, objective, numbers, capacity)
    if out.shape[0] != params.shape[0] or direction.shape[0] != params.shape[0]:
        raise ValueError("out, params and direction have different sizes")
    if r_arena.shape[0] != arena.shape[0]:
        raise ValueError("arena and r_arena have different sizes")
    for l in range(job.n_layers - 1):
        if job.layers[l].z == job.layers[l].a:
            raise ValueError("every hidden layer must keep z and a apart")
    job.grads = &out[0]
    job.direction = &direction[0]
    job.r_arena = &r_arena[0]
    do_in_threads(&arena[0], &job, crew)


def train(
    real[::1] params, real[::1] stats, real[::1] grads, real[:, :] slots, Rule[::1] rule,
    real[::1] arena, X, const real[:, ::1] Y, const real[::1] sample_weight,
    const Py_ssize_t[::1] order, layers, const Objective[::1] objective,
    const real[::1] numbers, Py_ssize_t batch_size, Py_ssize_t capacity, Crew crew=None,
    double total=0.0,
):
    """One optimizer step for each batch of order; returns total + Σ of J × rows, with no
    share of a row's loss counted for more than the objective's cap. A crew shares the
    work."""
    cdef Job job = describe_supervised(
        params, stats, arena, X, Y, sample_weight, layers, objective, numbers, capacity)
    cdef Py_ssize_t l
    check_optimizer(rule, slots, params.shape[0], grads.shape[0])
    check_order(order, job.n_rows)
    if batch_size < 1:
        raise ValueError("batch_size must be positive")
    for l in range(job.n_layers):
        if job.layers[l].normalized >= 0:
            check_normalised_batches(order.shape[0], batch_size, capacity)
    place_halves(
        &job, 0 if job.X.indptr != NULL else job.layers[0].n_in, arena.shape[0])
    if order.shape[0] == 0:
        return total
    job.grads = &grads[0]
    job.slots = &slots[0, 0] if slots.shape[0] > 0 else NULL
    job.second_slot = slots.strides[0] // <Py_ssize_t>sizeof(real) if slots.shape[0] > 1 else 0
    job.rule = &rule[0]
    job.order = &order[0]
    job.n_rows = order.shape[0]
    job.batch_size = batch_size
    job.result = total
    return do_in_threads(&arena[0], &job, crew)


cdef class Crew:
    """Threads that share what is done over many rows.

    The caller's thread is number 0. The others call :meth:`assist`, which returns
    after :meth:`dismiss`.

    Parameters
    ----------
    n_threads : int
        How many there are, the caller's included.
    """

    cdef Job* job
    cdef barrier_t start
    cdef barrier_t inside
    cdef readonly int n_threads
    cdef bint is_double
    cdef bint dismissed

    def __init__(self, int n_threads):
        if n_threads < 1 or (n_threads > 1 and not (THREADS_WORK and products.TILES_PAY)):
            raise ValueError("this engine runs on one thread")
        self.n_threads = n_threads

    cdef void share(self, Job* job, bint is_double) noexcept:
        job.n_threads = self.n_threads
        job.barrier = &self.inside
        self.job = job
        self.is_double = is_double
        barrier_open(&self.start)

    def assist(self, int thread):
        """Work as that thread, from 1 to n_threads - 1, until dismissed."""
        cdef int seen = 0
        if not 0 < thread < self.n_threads:
            raise ValueError("no such thread")
        with nogil:
            while True:
                seen = barrier_await(&self.start, seen)
                if self.dismissed:
                    break
                if self.is_double:
                    do_job(<double*>self.job.arena, self.job, thread)
                else:
                    do_job(<float*>self.job.arena, self.job, thread)

    def dismiss(self):
        """Let the other threads return."""
        self.dismissed = True
        barrier_open(&self.start)


THREADS = bool(THREADS_WORK and products.TILES_PAY)
