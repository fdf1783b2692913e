// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>

#include "server/rpc/peers.h"

#define T0 UINT64_C(1000)

static ez_peers *peers;
static uint32_t ids[2];
static size_t stuck;

static void begin(void) {
    peers = ez_peers_create(3, 2);
    for (uint32_t id = 1; id <= 3; id++)
        cr_assert(ez_peers_add(peers, id, "127.0.0.1"));
}

static void end(void) {
    ez_peers_destroy(peers);
}

TestSuite(rpc_peers, .init = begin, .fini = end);

static size_t due(uint64_t now_ms) {
    return ez_peers_due(peers, now_ms, ids, 2, &stuck);
}

Test(rpc_peers, no_more_than_so_many) {
    cr_assert_not(ez_peers_add(peers, 4, "127.0.0.1"));
    ez_peers_remove(peers, 2);
    cr_assert_eq(ez_peers_count(peers), 2);
    cr_assert(ez_peers_add(peers, 4, "127.0.0.1"));
    cr_assert(ez_peers_begin(peers, 4) && ez_peers_begin(peers, 4));
    cr_assert_not(ez_peers_begin(peers, 4), "two in flight are what one may have");
    ez_peers_end(peers, 4);
    cr_assert(ez_peers_begin(peers, 4));
}

Test(rpc_peers, one_that_does_not_read_is_closed_after_the_grace_and_once) {
    cr_assert_eq(due(T0), 0);
    cr_assert(ez_peers_doom(peers, 2, T0));
    cr_assert_not(ez_peers_doom(peers, 2, T0 + 500), "it is known");
    cr_assert_not(ez_peers_doom(peers, 9, T0), "it is gone");
    cr_assert(ez_peers_is_doomed(peers, 2));
    cr_assert_not(ez_peers_is_doomed(peers, 1));
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS - 1), 0);
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS), 1);
    cr_assert_eq(ids[0], 2);
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS), 0);
    ez_peers_remove(peers, 2);
    cr_assert_not(ez_peers_is_doomed(peers, 2));
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS + EZ_PEERS_STUCK_MS), 0);
    cr_assert_eq(stuck, 0);
}

Test(rpc_peers, one_whose_answers_still_leave_is_not_closed_meanwhile) {
    ez_peers_moved(peers, 2, T0); // it is not doomed: nothing to note
    cr_assert(ez_peers_doom(peers, 2, T0));
    ez_peers_moved(peers, 2, T0 + 1500);
    ez_peers_moved(peers, 9, T0 + 1500);
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS), 0);
    cr_assert_eq(due(T0 + 1500 + EZ_PEERS_GRACE_MS), 1);
}

Test(rpc_peers, one_that_was_doomed_after_the_clock_was_read_is_not_closed_at_once) {
    cr_assert(ez_peers_doom(peers, 2, T0 + 1));
    cr_assert_eq(due(T0), 0);
}

Test(rpc_peers, more_than_are_asked_for_come_next_time) {
    for (uint32_t id = 1; id <= 3; id++)
        cr_assert(ez_peers_doom(peers, id, T0));
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS), 2);
    cr_assert_eq(due(T0 + EZ_PEERS_GRACE_MS), 1);
}

Test(rpc_peers, one_that_is_closed_and_never_ends_is_told) {
    uint64_t late = T0 + 5 * EZ_PEERS_GRACE_MS;
    cr_assert(ez_peers_doom(peers, 1, T0));
    cr_assert_eq(due(late), 1);
    cr_assert_eq(due(late + EZ_PEERS_STUCK_MS - 1), 0);
    cr_assert_eq(stuck, 0);
    cr_assert_eq(due(late + EZ_PEERS_STUCK_MS), 0);
    cr_assert_eq(stuck, 1);
}
