/* What the processor and the system let us run, and where we run. */
#ifndef FASTMLP_CPU_H
#define FASTMLP_CPU_H

#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
#include <cpuid.h>

static int cpu_runs_v3(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("avx2")
        && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

static int cpu_runs_v4(void)
{
    return cpu_runs_v3() && __builtin_cpu_supports("avx512f")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#else
static int cpu_runs_v3(void) { return 0; }
static int cpu_runs_v4(void) { return 0; }
#endif

/* Every 64-bit ARM has its vectors. */
#if defined(__aarch64__) || defined(_M_ARM64)
static int cpu_runs_neon(void) { return 1; }
#else
static int cpu_runs_neon(void) { return 0; }
#endif

#ifdef __linux__
#include <sched.h>

static int cpu_current(void) { return sched_getcpu(); }

#else
static int cpu_current(void) { return -1; }
#endif

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* Linux keeps room for a process's tiles only where it has asked for it: once, for all
   of its threads (Documentation/arch/x86/xstate.rst). */
static int may_use_tiles(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static int cpu_runs_amx(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    unsigned a, b, c, d;
    return cpu_runs_v4() && __get_cpuid_count(7, 0, &a, &b, &c, &d)
        && (d & AMX_BF16) && (d & AMX_TILE) && may_use_tiles();
}

#else
static int cpu_runs_amx(void) { return 0; }
#endif
#endif
