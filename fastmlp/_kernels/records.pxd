"""What every room shares: the number type, and the records that Python hands in.

NumPy's dtypes of the records are derived from these structs (tables.pxi): a field is
written here and nowhere else.
"""

ctypedef fused real:
    float
    double

# Kinds of layers.
cdef enum Kind:
    DENSE = 0
    CONV = 1
    MAX_POOL = 2
    AVERAGE_POOL = 3
    SCALE = 4
    PERIODIC_EMBEDDING = 5
    CATEGORY_EMBEDDING = 6

# Parameters that are stepped alike: what multiplies the rule's η, its decoupled decay
# and the objective's penalty.
cdef struct Group:
    double rate_factor
    double decay_factor
    double penalty_factor

# A matrix in the parameters, or in a vector laid out like them; rows side by side.
cdef struct Tensor:
    Py_ssize_t offset
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t group

# Offsets, not pointers: the table is the same for both number types, for the
# parameters, the gradients and every optimizer slot. −1: the layer has none. Its tensors
# are W, b and, where it is normalised, γ: n_tensors from number `tensors` on. A layer that
# pools has none, and `tensors` is 0; one that works on columns has W only.
# Images are (height, width, channels), their pixels side by side, row by row. To a dense
# layer its inputs are the channels of one pixel, and so are its outputs. Where columns
# are worked on they are too, and the kernel's sides are those of W.
cdef struct Layer:
    Py_ssize_t kind
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t tensors
    Py_ssize_t n_tensors
    Py_ssize_t running
    Py_ssize_t normalized
    Py_ssize_t z
    Py_ssize_t a
    Py_ssize_t outputs
    Py_ssize_t deltas
    Py_ssize_t activation
    double activation_param
    double dropout
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t kernel_height
    Py_ssize_t kernel_width
    Py_ssize_t stride_height
    Py_ssize_t stride_width
    Py_ssize_t pad_top
    Py_ssize_t pad_left
    Py_ssize_t out_height
    Py_ssize_t out_width
    Py_ssize_t out_channels

cdef struct Rule:
    Py_ssize_t optimizer
    Py_ssize_t t
    Py_ssize_t seed
    double learning_rate
    double decay_1
    double decay_2
    double epsilon
    double weight_decay
    double clip_norm
    double dropout_factor

# What one step of a call has in place of the rule's own.
cdef struct Scheduled:
    double learning_rate
    double decay_1
    double weight_decay
    double dropout_factor

cdef struct Objective:
    Py_ssize_t loss
    double alpha
    double l1_ratio
    double cap


# Rows of X to work on: dense and side by side, or, where `indptr` is set, the
# compressed sparse rows of `order`, or without it those from `begin` on.
cdef struct Rows:
    const void* dense
    const void* data
    const int* indices
    const Py_ssize_t* indptr
    const Py_ssize_t* order
    Py_ssize_t begin
