"""Dropout: masks from a counter-based random stream.

Whether a unit is kept is a function of seed, step, layer and position alone, so that
the mask is the same for any number of threads and for a run that was interrupted, and
is made again in the backward pass instead of being stored.
"""
from fastmlp._kernels.records cimport real

ctypedef unsigned int uint32
ctypedef unsigned long long uint64


cdef inline uint64 mix64(uint64 x) noexcept nogil:
    """One output of splitmix64 from state x (Steele, Lea, Flood 2014)."""
    x = x + 0x9E3779B97F4A7C15u
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu
    return x ^ (x >> 31)


cdef inline uint32 mix32(uint32 x) noexcept nogil:
    """The finalizer of MurmurHash3 (Appleby 2011)."""
    x = (x ^ (x >> 16)) * 0x85EBCA6Bu
    x = (x ^ (x >> 13)) * 0xC2B2AE35u
    return x ^ (x >> 16)


cdef inline void drop(
    real* a, double dropout, Py_ssize_t seed, Py_ssize_t t, Py_ssize_t layer,
    Py_ssize_t position, Py_ssize_t n,
) noexcept nogil:
    """a becomes a ⊙ mask/(1 − p): n entries, the first at that position of the batch."""
    cdef uint64 key = mix64(mix64(mix64(<uint64>seed) + <uint64>t) + <uint64>layer)
    cdef uint32 first = <uint32>position + <uint32>key, high = <uint32>(key >> 32)
    cdef uint32 threshold = <uint32>(dropout * 4294967296.0)
    cdef real kept = <real>(1 / (1 - dropout))
    cdef uint32 i
    for i in range(<uint32>n):
        a[i] = a[i] * (kept if mix32(mix32(first + i) + high) >= threshold else <real>0)
