# What Python calls, whatever the engine. Every buffer is checked here, so that no call can
# write outside: the engine itself trusts its job.
#
# This module is compiled once, for any processor, each engine for its own (decision 21). So
# what costs time is asked of the engine, and what of layout.pxi is used here must not
# depend on the instruction set.
import threading

from libc.limits cimport INT_MAX
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from fastmlp._kernels cimport activations, engine, optimizers
from fastmlp._kernels cimport losses as heads
from fastmlp._kernels.engine cimport (
    ACCUMULATE, APPLY, LINE, MOST_FREQUENCIES, MOST_GROUPS, NO_PHASE, PARTS, PY_SSIZE_T_MAX,
    TRAIN, GroupRange, Job, Range, barrier_await, barrier_open, barrier_t, count_columns,
    extras_of, halved_range, images_at_a_time, is_of_columns, last_layer, padded_size,
    parts_size, spread_size, stop_behind, stop_t, stops_behind, units_before, work_of_row,
)
from fastmlp._kernels.records cimport (
    AVERAGE_POOL, CATEGORY_EMBEDDING, CONV, DENSE, MAX_POOL, PERIODIC_EMBEDDING, SCALE, Group,
    Layer, Objective, Rows, Rule, Scheduled, Tensor, real,
)

from fastmlp._kernels.engine import THREADS

include "tables.pxi"

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()

cdef extern from *:
    """
    /* -1 where an exception is set: then Cython raises it. */
    static int raised(void) { return PyErr_Occurred() ? -1 : 0; }
    """
    int raised() except -1

cdef unsigned long MAIN_THREAD = threading.main_thread().ident

cdef Py_ssize_t N_ACTIVATIONS = len(ACTIVATIONS)
cdef Py_ssize_t N_LOSSES = len(LOSSES)
cdef Py_ssize_t N_OPTIMIZERS = len(OPTIMIZERS)

# By code, what the tables have by name.
cdef list SLOTS_OF_CODE = [0] * N_OPTIMIZERS
for _name, _code in OPTIMIZERS.items():
    SLOTS_OF_CODE[_code] = SLOTS[_name]
cdef frozenset HEAD_CODES = frozenset(
    (LOSSES[_loss], ACTIVATIONS[_output])
    for _loss, _outputs in HEADS.items() for _output in _outputs)


cdef bint outside(Py_ssize_t begin, Py_ssize_t n, Py_ssize_t size) noexcept:
    """Whether n entries from begin on are not all within size."""
    return begin < 0 or n > size or begin > size - n


cdef object own_records(records, dtype, str what):
    """A copy of a table of records, read-only."""
    if not isinstance(records, numpy.ndarray):
        raise TypeError(f"{what} must be an array of fastmlp._kernels.{what.upper()[:-1]}")
    if records.dtype != dtype or records.ndim != 1:
        raise ValueError(f"{what} must be an array of fastmlp._kernels.{what.upper()[:-1]}")
    if records.shape[0] == 0:
        raise ValueError(f"a network needs {what}")
    mine = numpy.array(records, dtype)
    mine.flags.writeable = False
    return mine


cdef int check_groups(const Group[::1] groups) except -1:
    cdef Py_ssize_t i
    cdef double least, most
    if groups.shape[0] > MOST_GROUPS:
        raise ValueError(f"there may be {MOST_GROUPS} groups, not {groups.shape[0]}")
    for i in range(groups.shape[0]):
        least = min(groups[i].rate_factor, groups[i].decay_factor, groups[i].penalty_factor)
        most = max(groups[i].rate_factor, groups[i].decay_factor, groups[i].penalty_factor)
        if not 0 <= least <= most < INFINITY:
            raise ValueError(f"group {i}: factors must be finite and not negative")
    return 0


cdef list penalised_ranges(const Tensor[::1] tensors, const Group[::1] groups, offsets):
    """Where in params tensors of one penalised group lie side by side, in order. Tensors
    that lap over each other, or leave a gap, are refused."""
    cdef Py_ssize_t i, place = 0
    cdef list ranges = [], last = [0, -1, -1]
    for i in numpy.argsort(offsets).tolist():
        if tensors[i].rows < 1 or tensors[i].columns < 1:
            raise ValueError(f"tensor {i}: impossible size")
        if tensors[i].rows > PY_SSIZE_T_MAX // 16 // tensors[i].columns:
            raise ValueError(f"tensor {i}: impossible size")
        if tensors[i].offset != place:
            raise ValueError(f"tensor {i}: begins at {tensors[i].offset}, not at {place}, "
                             "where the one before it ends")
        if not 0 <= tensors[i].group < groups.shape[0]:
            raise ValueError(f"tensor {i}: no such group")
        place += tensors[i].rows * tensors[i].columns
        if groups[tensors[i].group].penalty_factor == 0:
            continue
        if last[1:] == [tensors[i].offset, tensors[i].group]:
            last[1] = place
        else:
            last = [tensors[i].offset, place, tensors[i].group]
            ranges.append(last)
    return ranges


cdef str tensors_fault(const Layer* layer, const Tensor[::1] tensors):
    """What is wrong with a layer's tensors: None if they are there and of its sizes."""
    cdef Py_ssize_t i
    cdef Py_ssize_t n_terms = layer.kernel_height * layer.kernel_width * layer.channels
    if layer.kind in (MAX_POOL, AVERAGE_POOL):
        return None if layer.tensors == layer.n_tensors == 0 else "has no tensors"
    if is_of_columns(layer):
        return table_fault(layer, tensors)
    if layer.n_tensors != (3 if layer.normalized >= 0 else 2):
        return "has W and b, and where it is normalised γ"
    if outside(layer.tensors, layer.n_tensors, tensors.shape[0]):
        return "no such tensors"
    for i in range(layer.n_tensors):
        if (tensors[layer.tensors + i].rows != (n_terms if i == 0 else 1)
                or tensors[layer.tensors + i].columns != layer.out_channels):
            return f"tensor {layer.tensors + i} has another shape"
    return None


cdef str table_fault(const Layer* layer, const Tensor[::1] tensors):
    """The same of what works on columns."""
    if layer.n_tensors != 1:
        return "has W and no other tensor"
    if outside(layer.tensors, 1, tensors.shape[0]):
        return "no such tensors"
    if (tensors[layer.tensors].rows != layer.kernel_height
            or tensors[layer.tensors].columns != layer.kernel_width):
        return f"tensor {layer.tensors} has another shape"
    return None


cdef str columns_fault(const Layer* layer):
    """What is wrong with the sizes of a layer that works on columns."""
    cdef Py_ssize_t rows = layer.kernel_height, width = layer.kernel_width
    cdef Py_ssize_t more = layer.n_out - layer.n_in, outputs
    if not (0 < rows <= INT_MAX and 0 < width <= INT_MAX):
        return "W must have rows and columns"
    if layer.channels != layer.n_in or layer.out_channels != layer.n_out:
        return "its inputs and outputs are the channels of one pixel"
    if layer.normalized >= 0 or layer.activation != activations.IDENTITY or layer.dropout > 0:
        return "works on columns, and does nothing else"
    if layer.kind == SCALE:
        return None if more == 0 and rows == layer.n_in and width == 1 else (
            "has a number for each column")
    if layer.kind == CATEGORY_EMBEDDING:
        if width < 2 or more < 1 or more % (width - 1) or more // (width - 1) > layer.n_in:
            return "makes rows of W of the last columns"
        return None
    outputs = more // rows
    if rows > layer.n_in or outputs < 1 or more % rows or (width - outputs) % (2 + outputs):
        return "makes W's functions of the first columns"
    if not 0 < (width - outputs) // (2 + outputs) <= MOST_FREQUENCIES:
        return f"may have 1 to {MOST_FREQUENCIES} frequencies"
    return None


cdef bint are_images(
    Py_ssize_t n, Py_ssize_t height, Py_ssize_t width, Py_ssize_t channels
) noexcept:
    """Whether n numbers, which fit a C int, are such images."""
    return (0 < height <= n and 0 < width <= n and 0 < channels <= n
            and height * width <= n and height * width * channels == n)


cdef str windows_fault(
    Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad,
    Py_ssize_t out_size, bint pads,
):
    """What is wrong with a kernel's positions along one side of an image."""
    if not (0 < kernel <= INT_MAX and 0 < stride <= INT_MAX):
        return "kernel and stride must be positive"
    if not 0 <= pad < (kernel if pads else 1):
        return "impossible border"
    if (out_size - 1) * stride + kernel > size + (pad + kernel - 1 if pads else 0):
        return "its windows reach over the border"
    return None


cdef str geometry_fault(const Layer* layer):
    """What is wrong with a layer's images, and where its kernel stands in them."""
    cdef double most
    if layer.kind not in KINDS.values():
        return "no such kind"
    if not are_images(layer.n_in, layer.height, layer.width, layer.channels):
        return "its inputs are not such images"
    if not are_images(layer.n_out, layer.out_height, layer.out_width, layer.out_channels):
        return "its outputs are not such images"
    if is_of_columns(layer):
        return columns_fault(layer)
    fault = windows_fault(
        layer.height, layer.kernel_height, layer.stride_height, layer.pad_top,
        layer.out_height, layer.kind == CONV) or windows_fault(
        layer.width, layer.kernel_width, layer.stride_width, layer.pad_left,
        layer.out_width, layer.kind == CONV)
    if fault is not None:
        return fault
    # What is computed of these sizes fits: an image with its border, δ, the kernel.
    most = max(layer.channels, layer.out_channels)
    most *= <double>(layer.height + layer.kernel_height) * (layer.width + layer.kernel_width)
    if most > INT_MAX:
        return "impossible size"
    if layer.kind == DENSE and max(
            layer.height, layer.width, layer.kernel_height, layer.kernel_width) > 1:
        return "a dense layer's inputs are the channels of one pixel"
    if layer.kind in (MAX_POOL, AVERAGE_POOL) and (
            layer.channels != layer.out_channels or layer.normalized >= 0
            or layer.activation != activations.IDENTITY):
        return "pools each channel, and does nothing else"
    return None


cdef str blocks_fault(const Layer* layer, Py_ssize_t n_columns):
    """What is wrong with a layer's blocks: None if each lies inside the columns."""
    for name, column in [
        ("z", layer.z), ("a", layer.a), ("outputs", layer.outputs), ("deltas", layer.deltas)
    ]:
        if outside(column, layer.n_out, n_columns):
            return f"{name} outside the arena"
    if layer.normalized >= 0 and outside(layer.normalized, layer.n_out, n_columns):
        return "normalized outside the arena"
    return None


cdef str layer_fault(
    const Layer* layer, const Tensor[::1] tensors, Py_ssize_t n_columns, Py_ssize_t n_in
):
    """What is wrong with a layer: None if it is whole."""
    if layer.n_in != n_in:
        return "its inputs do not match what it is given"
    if not (0 < layer.n_in <= INT_MAX and 0 < layer.n_out <= INT_MAX):
        return "impossible size"
    if not 0 <= layer.activation < N_ACTIVATIONS:
        return "no such activation"
    if not -INFINITY < layer.activation_param < INFINITY:
        return "activation_param must be finite"
    if not 0 <= layer.dropout < 1:
        return "dropout must be in [0, 1)"
    fault = geometry_fault(layer)
    if fault is not None:
        return fault
    if layer.normalized >= 0 and outside(
            layer.running, 2 * layer.out_channels, PY_SSIZE_T_MAX // 16):
        return "running moments outside stats"
    return tensors_fault(layer, tensors) or blocks_fault(layer, n_columns)


cdef int check_blocks(const Layer[::1] layers) except -1:
    """No two blocks of the arena lap over each other; a layer may keep z, a and outputs
    in one."""
    cdef Py_ssize_t l, end = 0
    blocks = set()
    for l in range(layers.shape[0]):
        columns = {layers[l].z, layers[l].a, layers[l].outputs}
        blocks |= {(column, column + layers[l].n_out, l, "a") for column in columns}
        blocks.add((layers[l].deltas, layers[l].deltas + layers[l].n_out, l, "deltas"))
        if layers[l].normalized >= 0:
            column = layers[l].normalized
            blocks.add((column, column + layers[l].n_out, l, "normalized"))
    for block in sorted(blocks):
        if block[0] < end:
            raise ValueError(f"layer {block[2]}: a block laps over another")
        end = block[1]
    return 0


cdef Py_ssize_t scratch_of_layer(const Layer* layer) noexcept:
    """Entries, in whole cache lines, of images with their borders, or of the turned kernel
    and δ with its border."""
    cdef Py_ssize_t n_weights = (
        layer.kernel_height * layer.kernel_width * layer.channels * layer.out_channels)
    cdef Py_ssize_t n = max(
        images_at_a_time(layer) * padded_size(layer), n_weights + spread_size(layer))
    return (n + LINE - 1) // LINE * LINE


cdef class Plan:
    """What a network computes, and where its parameters and blocks lie: checked once.

    Parameters
    ----------
    layers : ndarray of LAYER
        The layers, the inputs' first.
    tensors : ndarray of TENSOR
        Where the parameters' matrices lie; together they fill the vector.
    groups : ndarray of GROUP
        What of a step differs from tensor to tensor.

    Attributes
    ----------
    layers, tensors, groups : ndarray
        Read-only copies.
    n_params, n_stats : int
        Lengths of the parameters and of the running moments.
    multiply_adds : int
        Products of an input and a weight that a row takes.
    has_images : bool
        Whether there is a layer that is not dense.
    """

    cdef readonly object layers, tensors, groups
    cdef readonly Py_ssize_t multiply_adds
    cdef readonly bint has_images
    cdef object penalised
    cdef Job job
    cdef Py_ssize_t first_column

    def __init__(self, layers, tensors, groups):
        cdef const Layer[::1] my_layers
        cdef const Tensor[::1] my_tensors
        cdef const Group[::1] my_groups
        cdef const Py_ssize_t[:, ::1] my_ranges
        self.layers = own_records(layers, LAYER, "layers")
        self.tensors = own_records(tensors, TENSOR, "tensors")
        self.groups = own_records(groups, GROUP, "groups")
        my_layers, my_tensors, my_groups = self.layers, self.tensors, self.groups
        check_groups(my_groups)
        ranges = penalised_ranges(my_tensors, my_groups, self.tensors["offset"])
        self.penalised = numpy.array(ranges or [[0, 0, 0]], numpy.intp)
        my_ranges = self.penalised
        memset(&self.job, 0, sizeof(Job))
        self.check_layers(my_layers, my_tensors)
        self.job.layers, self.job.n_layers = &my_layers[0], my_layers.shape[0]
        self.job.tensors = &my_tensors[0]
        self.job.groups, self.job.n_groups = &my_groups[0], my_groups.shape[0]
        self.job.penalised = <const GroupRange*>&my_ranges[0, 0]
        self.job.n_penalised = len(ranges)
        self.job.n_params = (self.tensors["rows"] * self.tensors["columns"]).sum()
        self.job.n_units = units_before(&self.job, self.job.n_layers)
        self.first_column = min(
            self.layers[0][name] for name in ("z", "normalized") if self.layers[0][name] >= 0)

    cdef int check_layers(self, const Layer[::1] layers, const Tensor[::1] tensors) except -1:
        cdef Py_ssize_t l, n_in = layers[0].n_in
        cdef const Layer* last = &layers[layers.shape[0] - 1]
        cdef str fault
        if not (0 <= last.deltas <= INT_MAX and 0 < last.n_out <= INT_MAX):
            raise ValueError(f"layer {layers.shape[0] - 1}: deltas outside the arena")
        for l in range(layers.shape[0]):
            fault = layer_fault(&layers[l], tensors, last.deltas + last.n_out, n_in)
            if fault is not None:
                raise ValueError(f"layer {l}: {fault}")
            n_in = layers[l].n_out
            if layers[l].normalized >= 0:
                self.job.n_stats = max(
                    self.job.n_stats, layers[l].running + 2 * layers[l].out_channels)
            self.has_images |= layers[l].kind != DENSE
            if layers[l].n_tensors > 0:
                self.multiply_adds += work_of_row(&layers[l])
            if layers[l].kind == CONV:
                self.job.scratch_size = max(self.job.scratch_size, scratch_of_layer(&layers[l]))
        check_blocks(layers)
        return 0

    @property
    def n_params(self):
        """Length of the vector of parameters."""
        return self.job.n_params

    @property
    def n_stats(self):
        """Length of the vector of running moments."""
        return self.job.n_stats


cdef struct Region:
    # Memory that a call reads or writes.
    size_t begin
    size_t end
    bint written


cdef struct Regions:
    Region each[16]
    int n


cdef int add_region(
    Regions* regions, const void* begin, Py_ssize_t size, Py_ssize_t item_size, bint written
) except -1:
    """Note that so many items are read or written; they must lie on their boundaries,
    and apart from what has been noted, if either is written."""
    cdef int i
    cdef Region mine
    if begin == NULL or size == 0:
        return 0
    mine.begin, mine.written = <size_t>begin, written
    mine.end = mine.begin + size * item_size
    if mine.begin % item_size != 0:
        raise ValueError("an array does not lie on a boundary of its type")
    for i in range(regions.n):
        if (mine.begin < regions.each[i].end and regions.each[i].begin < mine.end
                and (written or regions.each[i].written)):
            raise ValueError("what is written laps over another array")
    regions.each[regions.n] = mine
    regions.n += 1
    return 0


cdef int check_head_codes(Py_ssize_t loss, Py_ssize_t activation) except -1:
    if not 0 <= loss < N_LOSSES:
        raise ValueError("no such loss")
    if (loss, activation) not in HEAD_CODES:
        raise ValueError("the loss does not go with this output activation")
    return 0


cdef int check_head(
    const Job* job, const Objective[::1] objective, Py_ssize_t n_numbers
) except -1:
    cdef const Layer* last = last_layer(job)
    if objective.shape[0] != 1:
        raise ValueError("there must be one objective")
    check_head_codes(objective[0].loss, last.activation)
    if n_numbers != last.n_out:
        raise ValueError("numbers must have one entry an output")
    if last.kind != DENSE:
        raise ValueError("the last layer must be dense")
    if last.normalized >= 0 or last.dropout > 0:
        raise ValueError("the last layer takes neither normalisation nor dropout")
    if not last.z == last.a == last.outputs:
        raise ValueError("the last layer's z, a and outputs must be one block")
    return 0


cdef inline bint takes_indices(Py_ssize_t loss, Py_ssize_t activation) noexcept:
    """Whether a target is the index of a class, and not a number an output."""
    return loss == heads.LOG_LOSS and activation == activations.SOFTMAX


cdef int check_targets(
    const Job* job, const real[:, ::1] Y, const real[::1] sample_weight,
    Py_ssize_t first_column,
) except -1:
    cdef const Layer* last = last_layer(job)
    cdef bint indices = takes_indices(job.objective.loss, last.activation)
    if Y.shape[0] != job.n_rows:
        raise ValueError("X and Y have different numbers of rows")
    if Y.shape[1] != (1 if indices else last.n_out):
        raise ValueError("Y has the wrong number of columns")
    if sample_weight is not None and sample_weight.shape[0] != job.n_rows:
        raise ValueError("sample_weight must have one entry a row")
    if 2 * Y.shape[1] + 1 > first_column:
        raise ValueError("targets, scales and losses lap over a layer's blocks")
    if indices and not engine.are_classes(matrix_pointer(Y), job.n_rows, last.n_out):
        raise ValueError("class indices must be whole numbers in 0 ... n_classes - 1")
    return 0


cdef int check_order(const Py_ssize_t[::1] order, Py_ssize_t n_rows) except -1:
    if order.shape[0] > 0 and not engine.are_rows(&order[0], order.shape[0], n_rows):
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


cdef int check_rule(const Rule[::1] rule) except -1:
    if rule.shape[0] != 1 or not 0 <= rule[0].optimizer < N_OPTIMIZERS:
        raise ValueError("no such optimizer")
    if rule[0].seed < 0:
        raise ValueError("seed must not be negative")
    return 0


cdef int check_dropout(const Job* job, double factor) except -1:
    """Dropout times that factor is a share of units, in every layer."""
    cdef Py_ssize_t l
    for l in range(job.n_layers):
        if not 0 <= job.layers[l].dropout * factor < 1:
            raise ValueError(f"layer {l}: dropout times dropout_factor must be in [0, 1)")
    return 0


cdef const Scheduled* checked_schedule(
    schedule, const Job* job, Py_ssize_t n_rows, Py_ssize_t batch_size
) except? NULL:
    """The numbers of each step of so many rows; NULL: there are none."""
    cdef Py_ssize_t i, n_steps = (n_rows + batch_size - 1) // batch_size
    cdef const Scheduled[::1] numbers
    if schedule is None:
        return NULL
    if not isinstance(schedule, numpy.ndarray) or schedule.dtype != SCHEDULED:
        raise TypeError("schedule must be an array of fastmlp._kernels.SCHEDULED")
    numbers = schedule
    if numbers.shape[0] != n_steps:
        raise ValueError(
            f"schedule has {numbers.shape[0]} entries, it must have one for each of "
            f"{n_steps} steps")
    for i in range(n_steps):
        check_dropout(job, numbers[i].dropout_factor)
    return &numbers[0] if n_steps > 0 else NULL


cdef int check_weight(double total_weight) except -1:
    if not 0 < total_weight < INFINITY:
        raise ValueError("total_weight must be positive and finite")
    return 0


cdef int check_weight_of_rows(double weight, double total_weight) except -1:
    """Moments are weighted by what rows count for in the objective: parts of 1."""
    if not -1e-6 < weight / total_weight - 1 < 1e-6:
        raise ValueError("the rows of a normalised layer's batch must weigh total_weight")
    return 0


cdef int check_optimizer(
    const Rule[::1] rule, const real[:, :] slots, Py_ssize_t n_params, Py_ssize_t n_grads
) except -1:
    if n_grads != n_params:
        raise ValueError("grads and params have different sizes")
    check_rule(rule)
    if slots.shape[0] != SLOTS_OF_CODE[rule[0].optimizer] or slots.shape[1] != n_params:
        raise ValueError("slots have the wrong shape")
    if slots.strides[1] != sizeof(real):
        raise ValueError("the entries of a slot must lie side by side")
    if slots.shape[0] > 1 and (
            slots.strides[0] % <Py_ssize_t>sizeof(real) != 0
            or slots.strides[0] < n_params * <Py_ssize_t>sizeof(real)):
        raise ValueError("one slot must lie behind the other")
    return 0


cdef inline real* slots_pointer(real[:, :] slots) noexcept:
    return &slots[0, 0] if slots.shape[0] > 0 else NULL


cdef inline Py_ssize_t slot_stride(real[:, :] slots) noexcept:
    """Entries from one slot to the next; 0: there is none."""
    return slots.strides[0] // <Py_ssize_t>sizeof(real) if slots.shape[0] > 1 else 0


cdef Py_ssize_t slots_size(real[:, :] slots) noexcept:
    """Entries from the first slot's first to the last slot's last."""
    if slots.shape[0] == 0:
        return 0
    return (slots.shape[0] - 1) * slot_stride(slots) + slots.shape[1]


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
    cdef Py_ssize_t n_entries = data.shape[0]
    cdef bint inside = indices.shape[0] == n_entries and indptr.shape[0] > 0
    memset(&rows, 0, sizeof(Rows))
    if inside:
        inside = indptr[0] == 0 and indptr[indptr.shape[0] - 1] == n_entries
    if inside:
        inside = engine.are_in_order(&indptr[0], indptr.shape[0] - 1)
    if inside and n_entries > 0:
        inside = engine.are_columns(&indices[0], n_entries, n_in)
    if not inside:
        raise ValueError("X is not a valid matrix of compressed sparse rows")
    rows.data = <const void*>&data[0] if n_entries > 0 else NULL
    rows.indices = &indices[0] if n_entries > 0 else NULL
    rows.indptr = &indptr[0]
    return rows


cdef Job describe_model(
    Regions* regions, const real[::1] params, const real[::1] stats, const real[::1] arena,
    Plan plan, Py_ssize_t capacity, bint written,
) except *:
    """What every job has, checked; the rest is nothing until it is set. Whether params
    and stats are written is for what else they may not lap over."""
    cdef Job job
    if plan is None:
        raise TypeError("plan must be a Plan")
    job = plan.job
    regions.n = 0
    if not 0 < capacity <= INT_MAX:
        raise ValueError("capacity must be positive and fit a C int")
    if params.shape[0] != job.n_params:
        raise ValueError(f"params has {params.shape[0]} entries, the plan {job.n_params}")
    if stats.shape[0] < job.n_stats:
        raise ValueError("running moments outside stats")
    job.capacity = capacity
    job.item_size = sizeof(real)
    if arena.shape[0] // capacity < count_columns(&job):
        raise ValueError("the arena is too small")
    job.inputs = count_columns(&job) * capacity + extras_of(&job)
    job.scratch = job.inputs - PARTS * job.scratch_size
    if arena.shape[0] < job.inputs:
        raise ValueError("the arena is too small")
    job.params = <void*>&params[0]
    job.stats = <void*>pointer(stats)
    job.arena = <void*>&arena[0]
    job.n_threads = 1
    job.norm = -1
    add_region(regions, job.params, params.shape[0], sizeof(real), written)
    add_region(regions, job.stats, stats.shape[0], sizeof(real), written)
    add_region(regions, job.arena, arena.shape[0], sizeof(real), True)
    return job


cdef Job describe(
    Regions* regions, const real[::1] params, const real[::1] stats, const real[::1] arena,
    X, Plan plan, Py_ssize_t capacity, bint written=False,
) except *:
    """The same with rows of X."""
    cdef Job job = describe_model(regions, params, stats, arena, plan, capacity, written)
    cdef const real[:, ::1] dense
    cdef const real[::1] data
    cdef const int[::1] indices
    cdef const Py_ssize_t[::1] indptr
    if isinstance(X, tuple):
        data, indices, indptr = X
        if job.layers[0].kind != DENSE:
            raise ValueError("only a dense layer takes compressed sparse rows")
        job.X = sparse_rows(data, indices, indptr, job.layers[0].n_in)
        job.n_rows = indptr.shape[0] - 1
        add_region(regions, job.X.data, data.shape[0], sizeof(real), False)
    else:
        dense = X
        job.X = dense_rows(dense, job.layers[0].n_in)
        job.n_rows = dense.shape[0]
        add_region(regions, job.X.dense, dense.shape[0] * dense.shape[1], sizeof(real), False)
    return job


cdef Job describe_supervised(
    Regions* regions, const real[::1] params, const real[::1] stats, const real[::1] arena,
    X, const real[:, ::1] Y, const real[::1] sample_weight, Plan plan,
    const Objective[::1] objective, const real[::1] numbers, Py_ssize_t capacity,
    bint written=False,
) except *:
    """A job with targets, its buffers checked."""
    cdef Job job = describe(regions, params, stats, arena, X, plan, capacity, written)
    check_head(&job, objective, numbers.shape[0])
    job.objective = objective[0]
    check_targets(&job, Y, sample_weight, plan.first_column)
    job.Y = <const void*>matrix_pointer(Y)
    job.n_targets = Y.shape[1]
    job.sample_weight = <const void*>pointer(sample_weight)
    job.numbers = <const void*>&numbers[0]
    add_region(regions, job.Y, Y.shape[0] * Y.shape[1], sizeof(real), False)
    if sample_weight is not None:
        add_region(regions, job.sample_weight, sample_weight.shape[0], sizeof(real), False)
    add_region(regions, job.numbers, numbers.shape[0], sizeof(real), False)
    return job


def count_block_columns(Plan plan not None):
    """Entries of the arena for each of its rows."""
    return count_columns(&plan.job)


def count_extras(Plan plan not None):
    """Entries that the arena needs behind its columns."""
    return extras_of(&plan.job)


def count_partials(Plan plan not None, Py_ssize_t capacity):
    """Entries that training needs behind all others: the parts of convolutions' gradients,
    and the second halves' gradient of others, laid out like params from the first such
    layer on; none where no layer's is in halves."""
    cdef Job job = plan.job
    cdef Range span
    job.capacity = capacity
    span = halved_range(&job)
    return parts_size(&job, job.n_layers) + span.end - span.begin


cdef int check_outputs(const real[:, ::1] out, const Job* job) except -1:
    if out.shape[0] != job.n_rows or out.shape[1] != last_layer(job).n_out:
        raise ValueError("out has the wrong shape")
    return 0


def predict(
    real[:, ::1] out, real[::1] arena, X, const real[::1] params, const real[::1] stats,
    Plan plan, Py_ssize_t capacity,
):
    """Write the network's output for every row of X into out (rows, n_out)."""
    cdef Regions regions
    cdef stop_t stop
    cdef Job job = describe(&regions, params, stats, arena, X, plan, capacity)
    check_outputs(out, &job)
    add_region(&regions, matrix_pointer(out), out.shape[0] * out.shape[1], sizeof(real), True)
    prepare_to_stop(&job, &stop)
    if job.n_rows > 0:
        with nogil:
            engine.predict_rows(&out[0, 0], &arena[0], &job)
    raise_if_stopped(&job)


def input_gradient(
    real[:, ::1] out, real[::1] arena, X, const real[:, ::1] V, const real[::1] params,
    const real[::1] stats, Plan plan, Py_ssize_t capacity,
):
    """out[i] = Σₖ V[i, k] ∂outputₖ/∂xᵢ, out (rows, n_in) and V (rows, n_out)."""
    cdef Regions regions
    cdef stop_t stop
    cdef Job job = describe(&regions, params, stats, arena, X, plan, capacity)
    if out.shape[0] != job.n_rows or out.shape[1] != job.layers[0].n_in:
        raise ValueError("out has the wrong shape")
    if V.shape[0] != job.n_rows or V.shape[1] != last_layer(&job).n_out:
        raise ValueError("V has the wrong shape")
    add_region(&regions, matrix_pointer(V), V.shape[0] * V.shape[1], sizeof(real), False)
    add_region(&regions, matrix_pointer(out), out.shape[0] * out.shape[1], sizeof(real), True)
    prepare_to_stop(&job, &stop)
    if job.n_rows > 0:
        with nogil:
            engine.differentiate_inputs(&out[0, 0], &V[0, 0], &arena[0], &job)
    raise_if_stopped(&job)


def jacobian(
    real[:, :, ::1] out, real[::1] arena, X, const real[::1] params, const real[::1] stats,
    Plan plan, Py_ssize_t capacity,
):
    """out[i, k] = ∂outputₖ(xᵢ)/∂params, out (rows, n_out, n_params)."""
    cdef Regions regions
    cdef stop_t stop
    cdef Job job = describe(&regions, params, stats, arena, X, plan, capacity)
    if job.n_stats > 0:
        raise ValueError("no layer may be normalised")
    if (out.shape[0] != job.n_rows or out.shape[1] != last_layer(&job).n_out
            or out.shape[2] != job.n_params):
        raise ValueError("out has the wrong shape")
    prepare_to_stop(&job, &stop)
    if job.n_rows > 0:
        add_region(
            &regions, &out[0, 0, 0], out.shape[0] * out.shape[1] * out.shape[2],
            sizeof(real), True)
        with nogil:
            engine.differentiate_parameters(&out[0, 0, 0], &arena[0], &job)
    raise_if_stopped(&job)


cdef int place_partials(Job* job, Py_ssize_t n_gathered, Py_ssize_t arena_size) except -1:
    """Behind what is gathered: parts of gradients, then the gradient of second halves."""
    cdef Py_ssize_t n_behind
    cdef Range halves = halved_range(job)
    job.parts = job.inputs + n_gathered * job.capacity
    n_behind = job.parts + parts_size(job, job.n_layers)
    job.halves = n_behind - halves.begin
    if arena_size < n_behind + halves.end - halves.begin:
        raise ValueError("the arena is too small")
    return 0


cdef void prepare_to_stop(Job* job, stop_t* stop) noexcept:
    stop_behind(stop, NO_PHASE)
    job.stop = stop
    job.hears_signals = PyThread_get_thread_ident() == MAIN_THREAD


cdef int raise_if_stopped(const Job* job) except -1:
    """What a signal's handler has raised while the job was done."""
    if stops_behind(job.stop, NO_PHASE - 1):
        raised()
    return 0


cdef double do_in_threads(real* arena, Job* job, Team team) except? -1:
    """What the job results in, all threads of the team, if there is one, having worked."""
    cdef stop_t stop
    prepare_to_stop(job, &stop)
    if team is not None:
        team.begin(job, sizeof(real) == sizeof(double))
    with nogil:
        engine.do_job(arena, job, 0)
    raise_if_stopped(job)
    return job.result


def compute_loss(
    real[::1] arena, real[:, ::1] out, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const real[::1] stats,
    Plan plan, const Objective[::1] objective, const real[::1] numbers,
    Py_ssize_t capacity, Team team=None,
):
    """J over all rows of X, and what predict writes into out, unless that is None.
    A team shares the work, here and below."""
    cdef Regions regions
    cdef Job job = describe_supervised(
        &regions, params, stats, arena, X, Y, sample_weight, plan, objective, numbers, capacity)
    if out is not None:
        check_outputs(out, &job)
        job.outputs = <void*>matrix_pointer(out)
        add_region(&regions, job.outputs, out.shape[0] * out.shape[1], sizeof(real), True)
    return do_in_threads(&arena[0], &job, team)


def compute_loss_and_gradient(
    real[::1] grads, real[::1] arena, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const real[::1] stats,
    Plan plan, const Objective[::1] objective, const real[::1] numbers,
    Py_ssize_t capacity, Team team=None,
):
    """J over all rows of X, and ∂J/∂params into grads."""
    cdef Regions regions
    cdef Job job = describe_supervised(
        &regions, params, stats, arena, X, Y, sample_weight, plan, objective, numbers, capacity)
    if grads.shape[0] != params.shape[0]:
        raise ValueError("grads and params have different sizes")
    add_region(&regions, &grads[0], grads.shape[0], sizeof(real), True)
    place_partials(&job, 0, arena.shape[0])
    job.grads = &grads[0]
    job.batch_size = job.n_rows
    return do_in_threads(&arena[0], &job, team)


def multiply_hessian(
    real[::1] out, real[::1] arena, real[::1] r_arena, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const real[::1] direction,
    Plan plan, const Objective[::1] objective, const real[::1] numbers,
    Py_ssize_t capacity, Team team=None,
):
    """out = H direction, H the Hessian of J over all rows of X."""
    cdef Py_ssize_t l
    cdef Regions regions
    cdef Job job = describe_supervised(
        &regions, params, params[:0], arena, X, Y, sample_weight, plan, objective, numbers,
        capacity)
    if out.shape[0] != params.shape[0] or direction.shape[0] != params.shape[0]:
        raise ValueError("out, params and direction have different sizes")
    if r_arena.shape[0] != arena.shape[0]:
        raise ValueError("arena and r_arena have different sizes")
    for l in range(job.n_layers - 1):
        if is_of_columns(&job.layers[l]):
            raise ValueError("what works on columns knows no products with the Hessian")
        if job.layers[l].z == job.layers[l].a:
            raise ValueError("every hidden layer must keep z and a apart")
    place_partials(&job, 0, arena.shape[0])
    add_region(&regions, &direction[0], direction.shape[0], sizeof(real), False)
    add_region(&regions, &r_arena[0], r_arena.shape[0], sizeof(real), True)
    add_region(&regions, &out[0], out.shape[0], sizeof(real), True)
    job.grads = &out[0]
    job.direction = &direction[0]
    job.r_arena = &r_arena[0]
    do_in_threads(&arena[0], &job, team)


cdef int add_regions_of_step(
    Regions* regions, const real[::1] grads, real[:, :] slots, const Rule[::1] rule
) except -1:
    """What a step writes besides the model."""
    add_region(regions, &grads[0], grads.shape[0], sizeof(real), True)
    add_region(regions, slots_pointer(slots), slots_size(slots), sizeof(real), True)
    add_region(
        regions, &rule[0], sizeof(Rule) // sizeof(double), sizeof(double), True)
    return 0


def train(
    real[::1] params, real[::1] stats, real[::1] grads, real[:, :] slots, Rule[::1] rule,
    real[::1] arena, X, const real[:, ::1] Y, const real[::1] sample_weight,
    const Py_ssize_t[::1] order, Plan plan, const Objective[::1] objective,
    const real[::1] numbers, Py_ssize_t batch_size, Py_ssize_t capacity, Team team=None,
    double total=0.0, schedule=None,
):
    """One optimizer step for each batch of order; returns total + Σ of J × rows, with no
    share of a row's loss counted for more than the objective's cap. A schedule has an
    entry for each step, of numbers in place of the rule's. A team shares the work."""
    cdef Regions regions
    cdef Job job = describe_supervised(
        &regions, params, stats, arena, X, Y, sample_weight, plan, objective, numbers,
        capacity, True)
    cdef Py_ssize_t l
    check_optimizer(rule, slots, params.shape[0], grads.shape[0])
    add_regions_of_step(&regions, grads, slots, rule)
    check_order(order, job.n_rows)
    if batch_size < 1:
        raise ValueError("batch_size must be positive")
    check_dropout(&job, rule[0].dropout_factor)
    job.schedule = checked_schedule(schedule, &job, order.shape[0], batch_size)
    for l in range(job.n_layers):
        if job.layers[l].normalized >= 0:
            check_normalised_batches(order.shape[0], batch_size, capacity)
    place_partials(
        &job, 0 if job.X.indptr != NULL else job.layers[0].n_in, arena.shape[0])
    if order.shape[0] == 0:
        return total
    job.grads = &grads[0]
    job.slots = slots_pointer(slots)
    job.slot_stride = slot_stride(slots)
    job.rule = &rule[0]
    job.mode = TRAIN
    job.order = &order[0]
    job.n_rows = order.shape[0]
    job.batch_size = batch_size
    job.result = total
    return do_in_threads(&arena[0], &job, team)


def compute_batch_gradient(
    real[::1] grads, real[::1] moments, real[::1] arena, X, const real[:, ::1] Y,
    const real[::1] sample_weight, const real[::1] params, const Rule[::1] rule,
    const Py_ssize_t[::1] rows, Plan plan, const Objective[::1] objective,
    const real[::1] numbers, double total_weight, Py_ssize_t first_row,
    Py_ssize_t batch_size, Py_ssize_t capacity, Team team=None,
):
    """The first half of a step: grads = the gradient of (1/total_weight) Σ wᵢ ℓᵢ over
    those rows of X as training sees them; returns the sum. moments become the rows'."""
    cdef Regions regions
    cdef Job job = describe_supervised(
        &regions, params, moments, arena, X, Y, sample_weight, plan, objective, numbers,
        capacity, True)
    cdef Rule mine
    check_rule(rule)
    check_dropout(&job, rule[0].dropout_factor)
    check_order(rows, job.n_rows)
    check_weight(total_weight)
    if grads.shape[0] != params.shape[0]:
        raise ValueError("grads and params have different sizes")
    if rows.shape[0] < 1 or batch_size < 1 or first_row < 0:
        raise ValueError("there must be rows, batch_size positive, first_row not negative")
    if job.n_stats > 0:
        check_normalised_batches(rows.shape[0], rows.shape[0], capacity)
        check_weight_of_rows(
            engine.sum_weights(pointer(sample_weight), &rows[0], rows.shape[0]), total_weight)
    add_region(&regions, &grads[0], grads.shape[0], sizeof(real), True)
    place_partials(
        &job, 0 if job.X.indptr != NULL else job.layers[0].n_in, arena.shape[0])
    mine = rule[0]
    job.mode = ACCUMULATE
    job.grads, job.moments, job.rule, job.order = &grads[0], job.stats, &mine, &rows[0]
    job.n_rows, job.batch_size = rows.shape[0], batch_size
    job.first_row, job.total_weight = first_row, total_weight
    return do_in_threads(&arena[0], &job, team)


def apply(
    real[::1] params, real[::1] stats, const real[::1] grads, real[:, :] slots,
    Rule[::1] rule, real[::1] arena, const real[::1] moments, double momentum, Plan plan,
    const Objective[::1] objective, double total_weight, Py_ssize_t capacity, norm=None,
    Team team=None,
):
    """The second half: the rule's next step along grads and the penalty's gradient, and
    running moments moved that part of the way to moments. norm is what the gradient is
    clipped by, unless None in place of its own. Returns the penalty before the step."""
    cdef Regions regions
    cdef Job job = describe_model(&regions, params, stats, arena, plan, capacity, True)
    check_optimizer(rule, slots, params.shape[0], grads.shape[0])
    check_weight(total_weight)
    if objective.shape[0] != 1:
        raise ValueError("there must be one objective")
    if moments.shape[0] < job.n_stats:
        raise ValueError("moments and stats have different sizes")
    if not 0 <= momentum <= 1:
        raise ValueError("momentum must be in [0, 1]")
    job.norm = -1 if norm is None else norm
    if norm is not None and not job.norm >= 0:
        raise ValueError("norm must not be negative")
    add_region(&regions, pointer(moments), moments.shape[0], sizeof(real), False)
    add_regions_of_step(&regions, grads, slots, rule)
    job.mode = APPLY
    job.grads, job.moments, job.rule = <void*>&grads[0], <void*>pointer(moments), &rule[0]
    job.slots, job.slot_stride = slots_pointer(slots), slot_stride(slots)
    job.objective, job.total_weight, job.momentum = objective[0], total_weight, momentum
    return do_in_threads(&arena[0], &job, team)


cdef class Team:
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
        if n_threads < 1 or (n_threads > 1 and not THREADS):
            raise ValueError("this engine runs on one thread")
        self.n_threads = n_threads

    cdef void begin(self, Job* job, bint is_double) noexcept:
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
                    engine.do_job(<double*>self.job.arena, self.job, thread)
                else:
                    engine.do_job(<float*>self.job.arena, self.job, thread)

    def dismiss(self):
        """Let the other threads return."""
        self.dismissed = True
        barrier_open(&self.start)


include "rooms.pxi"
