# Convolutions of images, channels last: z = K ⋆ x + b at every position of the kernel
# (cross-correlation); ∂J/∂x = δ ⋆ rot180(K), ∂J/∂K = x ⋆ δ, ∂J/∂b = Σ δ. A signal is an
# image of one row. Each image is worked on by itself: with a border of zeros it is copied
# into the thread's scratch, and its patches are read there (patches.h).
#
# The gradient of a block is found in parts of its rows, each by the thread whose rows
# they are while it still has them at hand; the parts are added up in order.


cdef inline bint has_border(const Layer* layer) noexcept nogil:
    """Whether the kernel sees anything but whole rows of the image."""
    return (seen_width(layer) != layer.width or seen_height(layer) > layer.height
            or layer.pad_left > 0 or layer.pad_top > 0)


cdef inline images_t images_with_borders(const Layer* layer, Py_ssize_t n) noexcept nogil:
    """So many images as the kernel sees them, side by side."""
    cdef images_t images
    images.n = n
    images.stride = padded_size(layer) if has_border(layer) else layer.n_in
    return images


cdef inline walk_t positions_walk(const Layer* layer) noexcept nogil:
    """The kernel's positions in an image with its border."""
    cdef walk_t walk
    walk.run, walk.n = layer.out_width, positions_of(layer)
    walk.step = layer.stride_width * layer.channels
    walk.jump = layer.stride_height * layer.channels * seen_width(layer)
    return walk


cdef inline walk_t kernel_walk(const Layer* layer) noexcept nogil:
    """The kernel's entries in an image with its border."""
    cdef walk_t walk
    walk.run, walk.step = layer.kernel_width * layer.channels, 1
    walk.n = layer.kernel_height * walk.run
    walk.jump = layer.channels * seen_width(layer)
    return walk


cdef const real* with_borders(
    real* scratch, const real* x, const Layer* layer, const images_t* images
) noexcept nogil:
    """The images with their borders; the images themselves where they need none."""
    cdef Py_ssize_t c = layer.channels, width = seen_width(layer), i, y
    cdef Py_ssize_t rows = min(layer.height, seen_height(layer) - layer.pad_top)
    cdef Py_ssize_t columns = min(layer.width, width - layer.pad_left)
    cdef real* first = scratch + (layer.pad_top * width + layer.pad_left) * c
    if not has_border(layer):
        return x
    memset(scratch, 0, images.n * images.stride * sizeof(real))
    for i in range(images.n):
        for y in range(rows):
            memcpy(
                first + i * images.stride + y * width * c,
                x + i * layer.n_in + y * layer.width * c, columns * c * sizeof(real))
    return scratch


cdef void spread_deltas(
    real* scratch, const real* delta, const Layer* layer
) noexcept nogil:
    """δ of an image with a border, its positions as far apart as the kernel's are."""
    cdef Py_ssize_t f = layer.out_channels, x, y
    cdef Py_ssize_t width = layer.width + layer.kernel_width - 1
    cdef real* row
    memset(scratch, 0, spread_size(layer) * sizeof(real))
    for y in range(layer.out_height):
        row = scratch + f * (
            (y * layer.stride_height + layer.kernel_height - 1 - layer.pad_top) * width
            + layer.kernel_width - 1 - layer.pad_left)
        if layer.stride_width == 1:
            memcpy(row, delta, layer.out_width * f * sizeof(real))
        else:
            for x in range(layer.out_width):
                memcpy(row + x * layer.stride_width * f, delta + x * f, f * sizeof(real))
        delta += layer.out_width * f


cdef void turn_kernel(real* turned, const real* w, const Layer* layer) noexcept nogil:
    """rot180(K), (height, width, filters, channels)."""
    cdef Py_ssize_t n = layer.kernel_height * layer.kernel_width, k, i, j
    cdef Py_ssize_t c = layer.channels, f = layer.out_channels
    for k in range(n):
        for i in range(c):
            for j in range(f):
                turned[((n - 1 - k) * f + j) * c + i] = w[(k * c + i) * f + j]


cdef void convolve(
    real* out, const real* x, const real* w, const Job* job, const Span* span,
    Py_ssize_t l, bint accumulate,
) noexcept nogil:
    """out = K ⋆ x (+ out) of the span's images."""
    cdef const Layer* layer = &job.layers[l]
    cdef real* scratch = scratch_of(<real*>job.arena, job, span.step.thread)
    cdef walk_t positions = positions_walk(layer), entries = kernel_walk(layer)
    cdef images_t image = images_with_borders(layer, 1)
    cdef Py_ssize_t i
    for i in range(span.rows):
        if is_wanted(job, span.step.watch, work_of_row(layer)):
            products.multiply_patches(
                out + i * layer.n_out, layer.out_channels,
                with_borders(scratch, x + i * layer.n_in, layer, &image), &positions,
                &entries, &image, w, accumulate)


cdef void convolve_back(
    real* out, const real* delta, const real* w, const Job* job, const Span* span,
    Py_ssize_t l, bint accumulate,
) noexcept nogil:
    """out = δ ⋆ rot180(K) (+ out) of the span's images."""
    cdef const Layer* layer = &job.layers[l]
    cdef real* turned = scratch_of(<real*>job.arena, job, span.step.thread)
    cdef real* spread = turned + tensor_of(job, l, 0).rows * layer.out_channels
    cdef walk_t pixels, entries
    cdef images_t image
    cdef Py_ssize_t i
    cdef Py_ssize_t width = layer.width + layer.kernel_width - 1
    pixels.n, pixels.run = layer.height * layer.width, layer.width
    pixels.step, pixels.jump = layer.out_channels, width * layer.out_channels
    entries.run, entries.step = layer.kernel_width * layer.out_channels, 1
    entries.n, entries.jump = layer.kernel_height * entries.run, pixels.jump
    image.n, image.stride = 1, spread_size(layer)
    if span.rows > 0:
        turn_kernel(turned, w, layer)
    for i in range(span.rows):
        if is_wanted(job, span.step.watch, work_of_row(layer)):
            spread_deltas(spread, delta + i * layer.n_out, layer)
            products.multiply_patches(
                out + i * layer.n_in, layer.channels, spread, &pixels, &entries, &image,
                turned, accumulate)


cdef void kernel_gradient(
    real* grads, const real* x, const real* delta, const Job* job, const Step* step,
    Py_ssize_t l, Py_ssize_t rows, bint accumulate,
) noexcept nogil:
    """Σ x ⋆ δ of so many images (+ grads)."""
    cdef const Layer* layer = &job.layers[l]
    cdef real* scratch = scratch_of(<real*>job.arena, job, step.thread)
    cdef walk_t positions = positions_walk(layer), entries = kernel_walk(layer)
    cdef images_t images
    cdef Py_ssize_t i = 0
    while i < rows:
        images = images_with_borders(layer, min(images_at_a_time(layer), rows - i))
        if is_wanted(job, step.watch, images.n * work_of_row(layer)):
            products.multiply_patches(
                grads, layer.out_channels,
                with_borders(scratch, x + i * layer.n_in, layer, &images), &entries,
                &positions, &images, delta + i * layer.n_out, accumulate or i > 0)
        i += images.n


cdef void add_to_parts(
    real* arena, const Job* job, const Span* span, Py_ssize_t l, const real* x,
    const real* delta, bint accumulate,
) noexcept nogil:
    """Σ x ⋆ δ over each part of the span (+ what is there); both begin with the span."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t n = rows_of_part(job), i = 0
    while i < span.rows:
        kernel_gradient(
            part_of(arena, job, l, (span.first + i) // n), x + i * layer.n_in,
            delta + i * layer.n_out, job, span.step, l, min(n, span.rows - i), accumulate)
        i += n


cdef void add_biases_to_parts(
    real* arena, const Job* job, const Span* span, Py_ssize_t l, const real* delta
) noexcept nogil:
    """Σ δ over each part of the span (+ what is there)."""
    cdef const Layer* layer = &job.layers[l]
    cdef Py_ssize_t n_weights = tensor_of(job, l, 0).rows * layer.out_channels
    cdef Py_ssize_t n = rows_of_part(job), i = 0
    while i < span.rows:
        products.sum_columns(
            part_of(arena, job, l, (span.first + i) // n) + n_weights,
            delta + i * layer.n_out, min(n, span.rows - i) * positions_of(layer),
            layer.out_channels, span.accumulate)
        i += n


cdef void find_parts(real* arena, const Job* job, const Span* span) noexcept nogil:
    """Convolutions' gradients over the parts of the span."""
    cdef Py_ssize_t l
    for l in range(job.n_layers):
        if job.layers[l].kind != CONV:
            continue
        clear_parts(arena, job, span, l)
        add_to_parts(
            arena, job, span, l,
            inputs_of(arena, span.X, job, l, span.first, is_training(span.step)),
            deltas_of(arena, job, l, span.first), span.accumulate)
        if job.layers[l].normalized < 0:
            add_biases_to_parts(
                arena, job, span, l, deltas_of(arena, job, l, span.first))


cdef void clear_parts(
    real* arena, const Job* job, const Span* span, Py_ssize_t l
) noexcept nogil:
    """Those that no row of a batch's first block, its longest, belongs to."""
    cdef Py_ssize_t part
    if span.accumulate or span.step.thread != 0:
        return
    for part in range((span.block - 1) // rows_of_part(job) + 1, PARTS):
        memset(part_of(arena, job, l, part), 0, part_size(job, l) * sizeof(real))


cdef void join_parts(
    real* grads, real* arena, const Job* job, const Step* step, Py_ssize_t l
) noexcept nogil:
    """Add up the parts of layer l's gradient, this thread's units."""
    cdef const Tensor* tensor = tensor_of(job, l, 0)
    cdef Range units = partition_units(job, step, l)
    cdef Py_ssize_t begin = units.begin * unit_rows(tensor) * tensor.columns
    cdef Py_ssize_t end = min(units.end * unit_rows(tensor), tensor.rows) * tensor.columns
    cdef Py_ssize_t n_weights = tensor.rows * tensor.columns, part
    cdef bint adds_biases = owns_others(job, l, units) and job.layers[l].normalized < 0
    for part in range(PARTS if begin < end else 0):
        join(weights_of(grads, job, l) + begin, part_of(arena, job, l, part) + begin,
             end - begin, part > 0)
        if adds_biases:
            join(biases_of(grads, job, l), part_of(arena, job, l, part) + n_weights,
                 tensor.columns, part > 0)


cdef inline void join(real* out, const real* terms, Py_ssize_t n, bint accumulate) noexcept nogil:
    """out = terms (+ out)."""
    if accumulate:
        add(out, terms, n)
    else:
        memcpy(out, terms, n * sizeof(real))
