# Ctrl-C. Python runs a signal's handler in its main thread, between byte codes, and a call
# of the kernels may last for seconds. So thread 0, where it is the main thread, lets
# Python run handlers now and then, and if one has raised, tells the others. From there
# on they leave out products, whose results nobody will see, but no barrier, and behind
# the next one all leave the job together. What writes parameters is never left out.


cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept

cdef enum:
    # Multiply-adds after which a thread looks: a millisecond's on a slow engine.
    LOOK_WORK = 1 << 22

# Python is asked this often: who waits for its lock may wait for some milliseconds.
cdef double LOOK_SECONDS = 0.04

cdef double last_look = 0  # the main thread's


cdef bint handler_raises() noexcept nogil:
    with gil:
        return PyErr_CheckSignals() != 0


cdef void look_for_signals(const Job* job, const Watch* watch) noexcept nogil:
    global last_look
    cdef double now = seconds_now()
    if 0 <= now - last_look < LOOK_SECONDS:
        return
    last_look = now
    if handler_raises():
        stop_behind(job.stop, watch.phase + 1)


cdef inline bint is_wanted(const Job* job, Watch* watch, Py_ssize_t work) noexcept nogil:
    """Whether what so many multiply-adds will find is still wanted."""
    watch.work += work
    if watch.work < LOOK_WORK:
        return True
    watch.work = 0
    if watch.thread == 0 and job.hears_signals:
        look_for_signals(job, watch)
    return not stops_behind(job.stop, watch.phase + 1)


cdef inline bint ends_here(const Job* job, Watch* watch) noexcept nogil:
    """Whether all threads, which have just met at a barrier, leave the job."""
    watch.phase += 1
    return stops_behind(job.stop, watch.phase)


cdef inline Watch watch_of(int thread) noexcept nogil:
    cdef Watch watch
    watch.phase, watch.work, watch.thread = 0, 0, thread
    return watch
