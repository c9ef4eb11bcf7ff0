"""Which instruction sets the processor runs, and which processor it is."""

cdef extern from "cpu.h":
    bint cpu_runs_v3()
    bint cpu_runs_v4()
    bint cpu_runs_amx()
    bint cpu_runs_neon()
    int cpu_current()


def runnable():
    """Names of the instruction sets that run here, the fastest first."""
    found = {
        "amx": cpu_runs_amx(),
        "v4": cpu_runs_v4(),
        "v3": cpu_runs_v3(),
        "neon": cpu_runs_neon(),
        "plain": True,
    }
    return [name for name, runs in found.items() if runs]


def current_processor():
    """Number of the processor that this thread runs on; −1 where nobody says."""
    return cpu_current()
