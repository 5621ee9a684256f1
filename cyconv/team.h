/* A team of threads that wait for the next call: small layers end before an OpenMP region has begun.
 *
 * A region of GNU OpenMP costs 0.4-1 us with two threads and 3-4 with sixteen; a call of the team 0.1 and 0.6. The caller
 * publishes a number; members spin on it for some hundred microseconds, then sleep; each says in a line of its own that
 * it is done. One call at a time has the team: others, and those that want OpenMP to bind its threads, are told so. */
#ifndef CYCONV_TEAM_H
#define CYCONV_TEAM_H

typedef void (*cyconv_work_t)(void *call, int thread);

#if defined(_OPENMP) && defined(__GNUC__) && !defined(_WIN32)

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>

enum {
    CYCONV_TEAM = 256,     /* threads at most */
    CYCONV_SPINS = 20000,  /* of a member before it sleeps, where each has a core: 0.3-1 ms */
    CYCONV_YIELD = 1000    /* of a caller before it lets others run: of 15-45 us */
};

struct cyconv_member {
    uint64_t done;  /* the last call that it has finished, or was started after */
    int asleep;
    pthread_cond_t wake;
} __attribute__((aligned(128)));  /* neighbouring lines are fetched in pairs */

static struct {
    /* All that a member reads, in one line. */
    uint64_t call;  /* how many there were, and in the last 16 bits the threads of this one */
    cyconv_work_t work;
    void *argument;
    int spins;
    int taken __attribute__((aligned(128)));
    int size;     /* threads that there are, with the caller's */
    int cores;    /* that they may use; 0: nobody has asked yet, -1: OpenMP binds its threads to some */
} cyconv_team __attribute__((aligned(128))) = {.size = 1};
static struct cyconv_member cyconv_members[CYCONV_TEAM];
static pthread_mutex_t cyconv_sleep = PTHREAD_MUTEX_INITIALIZER;

#if defined(__x86_64__)
#define cyconv_pause() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cyconv_pause() __asm__ volatile("isb")
#else
#define cyconv_pause() ((void)0)
#endif

static void *cyconv_wait_for_calls(void *number) {
    int thread = (int)(intptr_t)number, spins = 0;
    struct cyconv_member *me = &cyconv_members[thread];
    uint64_t seen = me->done, call;
    for (;;) {
        while ((call = __atomic_load_n(&cyconv_team.call, __ATOMIC_ACQUIRE)) == seen) {
            if (spins > 0) {
                spins--;
                cyconv_pause();
                continue;
            }
            pthread_mutex_lock(&cyconv_sleep);
            __atomic_store_n(&me->asleep, 1, __ATOMIC_SEQ_CST); /* then looks again; the caller does it the other way */
            while (__atomic_load_n(&cyconv_team.call, __ATOMIC_SEQ_CST) == seen)
                pthread_cond_wait(&me->wake, &cyconv_sleep);
            __atomic_store_n(&me->asleep, 0, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&cyconv_sleep);
        }
        seen = call;
        if (thread < (int)(call & 0xffff)) {
            spins = cyconv_team.spins;
            cyconv_team.work(cyconv_team.argument, thread);
            __atomic_store_n(&me->done, call, __ATOMIC_RELEASE);
        }
    }
    return NULL;
}

/* In a forked child there is none of them. */
static void cyconv_team_ends(void) {
    cyconv_team.size = 1;
    cyconv_team.taken = 0;
    pthread_mutex_init(&cyconv_sleep, NULL);
}

/* Start the members that are missing; as many as the system allows. */
static void cyconv_team_grows(int threads) {
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes)) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals are the interpreter's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (cyconv_team.size < threads) {
        pthread_t id;
        struct cyconv_member *next = &cyconv_members[cyconv_team.size];
        next->done = cyconv_team.call;
        next->asleep = 0;
        if (pthread_cond_init(&next->wake, NULL)) break;
        if (pthread_create(&id, &attributes, cyconv_wait_for_calls, (void *)(intptr_t)cyconv_team.size)) break;
        cyconv_team.size++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

/* Call work(call, thread) for each thread of [0, threads), or for the first of them where no more can be started, and
 * return 1; or 0, with nothing done, where the team is not to be had. */
static int cyconv_call_team(cyconv_work_t work, void *call, int threads) {
    uint64_t number;
    int i;
    if (threads > CYCONV_TEAM || __atomic_exchange_n(&cyconv_team.taken, 1, __ATOMIC_ACQUIRE)) return 0;
    if (cyconv_team.cores == 0) {
        cyconv_team.cores = omp_get_proc_bind() == omp_proc_bind_false ? omp_get_num_procs() : -1;
        pthread_atfork(NULL, NULL, cyconv_team_ends);
    }
    if (cyconv_team.cores < 0) {
        __atomic_store_n(&cyconv_team.taken, 0, __ATOMIC_RELEASE);
        return 0;
    }
    if (cyconv_team.size < threads) {
        cyconv_team_grows(threads);
        if (threads > cyconv_team.size) threads = cyconv_team.size;
    }
    cyconv_team.work = work;
    cyconv_team.argument = call;
    cyconv_team.spins = threads <= cyconv_team.cores ? CYCONV_SPINS : 0;
    number = ((cyconv_team.call >> 16) + 1) << 16 | (uint64_t)threads;
    __atomic_store_n(&cyconv_team.call, number, __ATOMIC_SEQ_CST);
    for (i = 1; i < threads; i++)
        if (__atomic_load_n(&cyconv_members[i].asleep, __ATOMIC_SEQ_CST)) {
            pthread_mutex_lock(&cyconv_sleep);
            pthread_cond_signal(&cyconv_members[i].wake);
            pthread_mutex_unlock(&cyconv_sleep);
        }
    work(call, 0);
    for (i = 1; i < threads; i++) {
        int spins = CYCONV_YIELD;
        while (__atomic_load_n(&cyconv_members[i].done, __ATOMIC_ACQUIRE) != number) {
            if (spins-- > 0)
                cyconv_pause();
            else
                sched_yield();
        }
    }
    __atomic_store_n(&cyconv_team.taken, 0, __ATOMIC_RELEASE);
    return 1;
}

#else

static int cyconv_call_team(cyconv_work_t work, void *call, int threads) {
    (void)work, (void)call, (void)threads;
    return 0;
}

#endif
#endif
