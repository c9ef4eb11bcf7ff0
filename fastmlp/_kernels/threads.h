/* A barrier for the threads of one fit, which spin briefly and then sleep.

   Between two barriers lie microseconds of work when every thread has a core, so
   spinning is the fastest way to wait; when one has lost its core, sleeping is the
   only way to let it go on. */
#ifndef FASTMLP_THREADS_H
#define FASTMLP_THREADS_H

#if defined(__GNUC__) && !defined(_WIN32) && !defined(__STDC_NO_ATOMICS__)
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#define THREADS_WORK 1

typedef struct {
    atomic_int arrived;
    atomic_int round;
} barrier_t;

enum { PAUSES = 2000, YIELDS = 200, SHORTEST_NAP = 20000, LONGEST_NAP = 500000 };

/* Naps grow, in nanoseconds, with the time that has been waited: who is not needed for
   long should not take a core from those who work. */
static inline void spin_once(int turn)
{
    if (turn < PAUSES) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    } else if (turn < PAUSES + YIELDS) {
        sched_yield();
    } else {
        long ns = SHORTEST_NAP + 2500L * (turn - PAUSES - YIELDS);
        const struct timespec nap = {0, ns < LONGEST_NAP ? ns : LONGEST_NAP};
        nanosleep(&nap, NULL);
    }
}

/* Wait until round is no longer `seen`; what others wrote before is then visible. */
static inline int barrier_await(barrier_t *barrier, int seen)
{
    int round, turn = 0;
    while ((round = atomic_load_explicit(&barrier->round, memory_order_acquire)) == seen)
        spin_once(turn++);
    return round;
}

static inline void barrier_open(barrier_t *barrier)
{
    atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&barrier->round, 1, memory_order_release);
}

/* Wait for all n threads. */
static inline void barrier_wait(barrier_t *barrier, int n)
{
    if (n == 1)
        return;
    int seen = atomic_load_explicit(&barrier->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) == n - 1)
        barrier_open(barrier);
    else
        barrier_await(barrier, seen);
}

/* Behind which barrier all threads end the job: one writes, all read. */
typedef struct {
    atomic_int phase;
} stop_t;

static inline void stop_behind(stop_t *stop, int phase)
{
    atomic_store_explicit(&stop->phase, phase, memory_order_release);
}

static inline int stops_behind(stop_t *stop, int phase)
{
    return atomic_load_explicit(&stop->phase, memory_order_acquire) <= phase;
}

#else
#define THREADS_WORK 0
typedef struct { int unused; } barrier_t;
static inline int barrier_await(barrier_t *barrier, int seen) { (void)barrier; return seen; }
static inline void barrier_open(barrier_t *barrier) { (void)barrier; }
static inline void barrier_wait(barrier_t *barrier, int n) { (void)barrier; (void)n; }
typedef struct { int phase; } stop_t;
static inline void stop_behind(stop_t *stop, int phase) { stop->phase = phase; }
static inline int stops_behind(stop_t *stop, int phase) { return stop->phase <= phase; }
#endif

#include <time.h>

/* The time of day: every platform's C has it. */
static inline double seconds_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
#endif
