"""How fast fastmlp is, against its bound and against its peers.

::

    python -m bench steps      training steps, every peer at its best thread count
    python -m bench growth     training steps by width, batch and depth
    python -m bench picture    docs/growth.png from bench/results
    python -m bench kernels    native kernels against their NumPy reference
    python -m bench fit        whole fits against scikit-learn
    python -m bench calls      what a call costs around the engine
    python -m bench lm         Levenberg–Marquardt on small regressions
    python -m bench memory     the memory that a fit needs
    python -m bench crowd      threads beside busy processes
    python -m bench tabular    tables out of the box, against trees and networks
    python -m bench table      the README's table from bench/results (--check)

Nothing is timed before it agrees: a peer's few first steps with a plain NumPy
network (`agreement`), a native kernel with its reference, a fitted model with
scikit-learn's. Everything is timed in a worker process of its own (`worker`),
one at a time, its threads fixed before any library is imported.
"""
