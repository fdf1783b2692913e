// SPDX-License-Identifier: Apache-2.0
//
// ez_rcu: read sections and deferred freeing, by liburcu's bulletproof flavour (its threads register by themselves:
// nng's are not ours to register). The state folders alone use it, and pointers are published with C11 atomics, so that
// liburcu stays behind these few functions.
//
// The thread sanitizer does not see liburcu's grace periods; ez_rcu_leave and the freeing tell it, in its builds only.
#pragma once

// Embed one in what is to be freed by ez_rcu_defer. As large as liburcu's own, which stays in rcu.c.
typedef struct ez_rcu_head {
    void *space[2];
} ez_rcu_head;

// Sections nest; nothing inside may block.
void ez_rcu_enter(void);
void ez_rcu_leave(void);

// Calls release once every section that is open now has ended, on liburcu's own thread.
void ez_rcu_defer(ez_rcu_head *head, void (*release)(ez_rcu_head *head));
// What every release function calls first.
void ez_rcu_release_begin(void);

// Waits until everything deferred so far has been released. Not within a section.
void ez_rcu_barrier(void);
