# Dropout behind a layer's activation (the mask: random.pxd). Each unit by itself.


cdef inline void drop_units(
    real* a, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """The step's mask of layer l on a (rows, n_out)."""
    cdef const Layer* layer = &job.layers[l]
    cdef const Rule* rule = span.step.rule
    random.drop(
        a, layer.dropout * rule.dropout_factor, rule.seed, rule.t, l,
        (job.first_row + span.step.position + span.first) * layer.n_out,
        span.rows * layer.n_out)
