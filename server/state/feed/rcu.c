// SPDX-License-Identifier: Apache-2.0
//
// The one file that includes liburcu's functions. Awkward: under the thread sanitizer the order "the last reader left,
// then it was freed" is real but invisible, since liburcu makes it with a system call; a pair of annotations on one
// address says it.
#include "server/state/feed/rcu.h"

#include <assert.h>
#include <urcu-bp.h>

static_assert(sizeof(ez_rcu_head) >= sizeof(struct rcu_head), "ez_rcu_head has room for liburcu's head");

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_TSAN
#include <stdatomic.h>
#include <time.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace;
#define GRACE_ENDS() __tsan_release(&grace)
#define GRACE_SEEN() __tsan_acquire(&grace)
// rcu_barrier counts its own threads in ways the sanitizer takes for races: here we count what was deferred instead.
static atomic_long deferred;
#define DEFERRED(n) ((void)atomic_fetch_add(&deferred, (n)))
#else
#define GRACE_ENDS() ((void)0)
#define GRACE_SEEN() ((void)0)
#define DEFERRED(n)  ((void)0)
#endif

void ez_rcu_enter(void) {
    rcu_read_lock();
}

void ez_rcu_leave(void) {
    GRACE_ENDS();
    rcu_read_unlock();
}

void ez_rcu_defer(ez_rcu_head *head, void (*release)(ez_rcu_head *head)) {
    GRACE_ENDS(); // what the deferring thread wrote, too
    DEFERRED(1);
    call_rcu((struct rcu_head *)head, (void (*)(struct rcu_head *))(void (*)(void))release);
}

void ez_rcu_release_begin(void) {
    GRACE_SEEN();
    DEFERRED(-1);
}

void ez_rcu_barrier(void) {
#ifdef HAS_TSAN
    while (atomic_load(&deferred) > 0) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
#else
    rcu_barrier();
#endif
    GRACE_SEEN();
}
