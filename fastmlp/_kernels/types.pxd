"""What every room shares: the number type, and the records that Python hands in."""

ctypedef fused real:
    float
    double

# Offsets, not pointers: the table is the same for both number types, for the
# parameters, the gradients and every optimizer slot. −1: the layer has none.
cdef struct Layer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t weights
    Py_ssize_t biases
    Py_ssize_t gammas
    Py_ssize_t running
    Py_ssize_t normalized
    Py_ssize_t z
    Py_ssize_t a
    Py_ssize_t outputs
    Py_ssize_t deltas
    Py_ssize_t activation
    double dropout

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
