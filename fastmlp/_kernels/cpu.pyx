"""Which of the engine's instruction sets this processor runs."""

cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
    static int cpu_runs_v2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    }
    static int cpu_runs_v3(void) {
        return cpu_runs_v2() && __builtin_cpu_supports("avx2")
            && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    }
    static int cpu_runs_v4(void) {
        return cpu_runs_v3() && __builtin_cpu_supports("avx512f")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int cpu_runs_v2(void) { return 0; }
    static int cpu_runs_v3(void) { return 0; }
    static int cpu_runs_v4(void) { return 0; }
    #endif
    """
    bint cpu_runs_v2()
    bint cpu_runs_v3()
    bint cpu_runs_v4()


def runnable():
    """Names of the instruction sets that run here, the fastest first."""
    found = {"v4": cpu_runs_v4(), "v3": cpu_runs_v3(), "v2": cpu_runs_v2(), "plain": True}
    return [name for name, runs in found.items() if runs]
