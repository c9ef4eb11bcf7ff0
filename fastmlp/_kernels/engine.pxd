"""What an engine has for the calls (calls.pyx), which find the chosen one under this name:
Cython looks the functions up when they are imported, and compares their types.
"""
from fastmlp._kernels cimport products
from fastmlp._kernels.optimizers cimport Coefficients
from fastmlp._kernels.records cimport (
    CATEGORY_EMBEDDING, CONV, DENSE, MAX_POOL, PERIODIC_EMBEDDING, SCALE, Group, Layer,
    Objective, Rows, Rule, Scheduled, Tensor, real,
)

cdef extern from "threads.h":
    bint THREADS_WORK
    ctypedef struct barrier_t:
        pass
    int barrier_await(barrier_t* barrier, int seen) nogil
    void barrier_open(barrier_t* barrier) nogil
    void barrier_wait(barrier_t* barrier, int n) nogil
    ctypedef struct stop_t:
        pass
    void stop_behind(stop_t* stop, int phase) nogil
    bint stops_behind(stop_t* stop, int phase) nogil
    double seconds_now() nogil

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    NO_PHASE = 0x7FFFFFFF

include "layout.pxi"

# Whole jobs.
cdef void predict_rows(real* out, real* arena, const Job* job) noexcept nogil
cdef void differentiate_inputs(
    real* out, const real* V, real* arena, const Job* job) noexcept nogil
cdef void differentiate_parameters(real* out, real* arena, const Job* job) noexcept nogil
cdef void do_job(real* arena, Job* job, int thread) noexcept nogil

# What is asked of whole arrays before a job begins.
cdef double sum_weights(
    const real* sample_weight, const Py_ssize_t* order, Py_ssize_t rows) noexcept nogil
cdef bint are_rows(const Py_ssize_t* order, Py_ssize_t n, Py_ssize_t n_rows) noexcept nogil
cdef bint are_columns(const int* indices, Py_ssize_t n, Py_ssize_t n_columns) noexcept nogil
cdef bint are_in_order(const Py_ssize_t* ends, Py_ssize_t n) noexcept nogil
cdef bint are_classes(const real* y, Py_ssize_t n, Py_ssize_t n_classes) noexcept nogil

# The formulas one by one, as this engine has them.
cdef void exp(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void log(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void log1p(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void tanh(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void sigmoid(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void softplus(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void erf(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void reciprocal(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void cos_of_turns(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void sin_of_turns(real* out, const real* x, Py_ssize_t n) noexcept nogil
cdef void activate(
    real* a, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation, real param) noexcept nogil
cdef void add_bias_and_activate(
    real* a, const real* b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation,
    real param) noexcept nogil
cdef void multiply_slope(
    real* delta, const real* a, const real* z, Py_ssize_t n, Py_ssize_t activation,
    real param) noexcept nogil
cdef void multiply_jacobian(
    real* delta, const real* a, const real* z, Py_ssize_t rows, Py_ssize_t n,
    Py_ssize_t activation, real param) noexcept nogil
cdef void differentiate_slope(
    real* rdelta, const real* delta, const real* rz, const real* a, const real* z,
    Py_ssize_t n, Py_ssize_t activation, real param) noexcept nogil
cdef void evaluate_head(
    real* delta, real* losses, const real* z, const real* y, const real* scales,
    const real* numbers, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss,
    Py_ssize_t activation) noexcept nogil
cdef void differentiate_head(
    real* rdelta, const real* rz, const real* z, const real* y, const real* scales,
    const real* numbers, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss,
    Py_ssize_t activation) noexcept nogil
cdef void drop(
    real* a, double dropout, Py_ssize_t seed, Py_ssize_t t, Py_ssize_t layer,
    Py_ssize_t position, Py_ssize_t n) noexcept nogil
cdef void compute_moments(
    real* moments, const real* x, const real* scales, Py_ssize_t rows,
    Py_ssize_t width) noexcept nogil
cdef void normalize(
    real* x, const real* moments, Py_ssize_t rows, Py_ssize_t width) noexcept nogil
cdef void scale_and_shift(
    real* z, const real* x, const real* gammas, const real* biases, Py_ssize_t rows,
    Py_ssize_t width) noexcept nogil
cdef void normalize_deltas(
    real* delta, real* bias_grads, real* gamma_grads, const real* x, const real* scales,
    const real* gammas, const real* moments, Py_ssize_t rows, Py_ssize_t width) noexcept nogil
cdef void multiply(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, bint accumulate) noexcept nogil
cdef void sum_columns(
    real* out, const real* a, Py_ssize_t m, Py_ssize_t n, bint accumulate) noexcept nogil
cdef double sum_squares(const real* x, Py_ssize_t n) noexcept nogil
cdef double sum_magnitudes(const real* x, Py_ssize_t n) noexcept nogil
cdef void update(
    real* params, const real* grads, real* slots, Py_ssize_t slot_stride, Py_ssize_t n,
    const Rule* rule, double l1, double l2, double shrink, double scale) noexcept nogil
