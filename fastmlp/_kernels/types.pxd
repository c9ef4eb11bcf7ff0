"""What every room shares: the number type, and the records that Python hands in."""

ctypedef fused real:
    float
    double

# Offsets, not pointers: the table is the same for both number types, for the
# parameters, the gradients and every optimizer slot.
cdef struct Layer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t weights
    Py_ssize_t biases
    Py_ssize_t outputs
    Py_ssize_t deltas
    Py_ssize_t activation

cdef struct Rule:
    Py_ssize_t optimizer
    Py_ssize_t t
    double learning_rate
    double decay_1
    double decay_2
    double epsilon
    double alpha


# Rows of X to work on: dense and side by side, or, where `indptr` is set, the
# compressed sparse rows of `order`, or without it those from `begin` on.
cdef struct Rows:
    const void* dense
    const void* data
    const int* indices
    const Py_ssize_t* indptr
    const Py_ssize_t* order
    Py_ssize_t begin
