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
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace;
#define GRACE_ENDS() __tsan_release(&grace)
#define GRACE_SEEN() __tsan_acquire(&grace)
#else
#define GRACE_ENDS() ((void)0)
#define GRACE_SEEN() ((void)0)
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
    call_rcu((struct rcu_head *)head, (void (*)(struct rcu_head *))(void (*)(void))release);
}

void ez_rcu_release_begin(void) {
    GRACE_SEEN();
}

void ez_rcu_barrier(void) {
    rcu_barrier();
    GRACE_SEEN();
}
