// SPDX-License-Identifier: Apache-2.0
//
// Turns, paces and pauses, by a clock that the test holds: nothing here waits.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/domain/oauth/facts.h"
#include "server/domain/oauth/pace.h"
#include "server/domain/oauth/schedule.h"

#define S 1000000000ll
#define H (3600 * S)

// ---- When a key's turn is

static ez_oauth_facts given_facts(int64_t life_ns) {
    return (ez_oauth_facts){.expires_ns = 1000 * H,
                            .last_refresh_ns = 1000 * H - life_ns,
                            .status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE,
                            .has_access = true,
                            .has_refresh = true};
}

static int64_t before(int64_t life_ns, int64_t before_s) {
    ez_oauth_facts facts = given_facts(life_ns);
    return 1000 * H - ez_oauth_due_ns(&facts, 1024, before_s);
}

Test(oauth_due, a_tenth_of_the_life_at_least_and_half_at_most) {
    cr_expect(before(8 * H, 1800) >= 48 * 60 * S && before(8 * H, 1800) <= 53 * 60 * S, "a tenth of eight hours");
    cr_expect(before(H, 600) >= 600 * S && before(H, 600) <= 660 * S, "ten minutes of one");
    cr_expect_eq(before(300 * S, 600), 150 * S, "a short life is not all refreshing");
    ez_oauth_facts facts = given_facts(0);
    facts.last_refresh_ns = 0;
    cr_expect_leq(ez_oauth_due_ns(&facts, 1, 600), 1000 * H - 600 * S);
}

Test(oauth_due, what_has_ended_is_not_refreshed) {
    ez_oauth_facts facts = given_facts(8 * H);
    facts.ended_ns = 5;
    cr_expect_eq(ez_oauth_due_ns(&facts, 1, 600), facts.expires_ns, "it expires then");
    facts.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED;
    cr_expect_eq(ez_oauth_due_ns(&facts, 1, 600), EZ_OAUTH_NEVER);
    facts = given_facts(8 * H);
    facts.has_access = false;
    cr_expect_eq(ez_oauth_due_ns(&facts, 1, 600), 0, "without an access token at once");
    facts.has_refresh = false;
    cr_expect_eq(ez_oauth_due_ns(&facts, 1, 600), EZ_OAUTH_NEVER);
}

Test(oauth_due, an_end_that_is_not_known_is_never_due) {
    ez_oauth_facts facts = given_facts(8 * H);
    facts.ended_ns = 5;
    facts.expires_ns = 0;
    cr_expect_eq(ez_oauth_due_ns(&facts, 1, 600), EZ_OAUTH_NEVER);
}

// A reply without a usable access token made the key due at once, again and again.
Test(oauth_due, what_was_refreshed_a_moment_ago_is_not_due_at_once) {
    ez_oauth_facts facts = given_facts(-H);
    int64_t last = facts.last_refresh_ns;
    cr_expect_eq(ez_oauth_not_before_ns(&facts, 0, 1000, last), last + 60 * S);
    cr_expect_eq(ez_oauth_not_before_ns(&facts, 0, 120000, last), last + 120 * S);
    cr_expect_eq(ez_oauth_not_before_ns(&facts, 0, 1000, last - H), last - H + 60 * S, "a clock that was set back");
    cr_expect_eq(ez_oauth_not_before_ns(&facts, last + H, 3600000, last), last + H, "a usable token keeps its turn");
    facts.last_refresh_ns = 0;
    cr_expect_eq(ez_oauth_not_before_ns(&facts, 0, 1000, last), 0, "never refreshed: at once");
}

// A clock that was set back by a day left keys that had failed alone for a day.
Test(oauth_due, a_failed_try_is_repeated_after_the_longest_pause_at_last) {
    int64_t now = 100 * H;
    cr_expect_eq(ez_oauth_retry_ns(now + 2 * S, 1000, now), now + 2 * S);
    cr_expect_leq(ez_oauth_retry_ns(now + 24 * H, 1000, now), now + 700 * S);
    cr_expect_geq(ez_oauth_retry_ns(now + 24 * H, 7200000, now), now + 2 * H, "an interval that is longer");
}

// ---- The heap against a plain array

Test(oauth_schedule, gives_the_earliest_whatever_happens) {
    enum { COUNT = 500 };
    static int64_t due[COUNT + 1]; // 0: not there
    ez_oauth_schedule schedule;
    ez_oauth_schedule_init(&schedule);
    srand(3);
    for (int step = 0; step < 20000; step++) {
        int64_t id = 1 + rand() % COUNT;
        if (rand() % 4 == 0) {
            ez_oauth_schedule_remove(&schedule, id);
            due[id] = 0;
        } else {
            due[id] = 1 + rand() % 1000;
            ez_oauth_schedule_move(&schedule, ez_oauth_schedule_put(&schedule, id, 2), due[id]);
        }
        int64_t least = INT64_MAX;
        size_t early = 0;
        for (int i = 1; i <= COUNT; i++) {
            least = due[i] && due[i] < least ? due[i] : least;
            early += due[i] && due[i] <= 500;
        }
        const ez_oauth_slot *first = ez_oauth_schedule_first(&schedule, 2);
        cr_assert_eq(first ? first->due_ns : INT64_MAX, least);
        cr_assert_eq(ez_oauth_schedule_due(&schedule, 2, 500), early);
    }
    ez_oauth_schedule_fini(&schedule);
}

Test(oauth_schedule, counts_failures_by_class) {
    ez_oauth_schedule schedule;
    ez_oauth_schedule_init(&schedule);
    ez_oauth_slot *slot = ez_oauth_schedule_put(&schedule, 7, 0);
    ez_oauth_schedule_note(&schedule, slot, EZ_OAUTH_TRANSIENT);
    ez_oauth_schedule_note(&schedule, slot, EZ_OAUTH_TRANSIENT);
    cr_expect_eq(slot->fails, 2);
    cr_expect_eq(schedule.heaps[0].failing[EZ_OAUTH_TRANSIENT], 1);
    slot->is_flying = true;
    slot = ez_oauth_schedule_put(&schedule, 7, 1); // its group became another type
    cr_expect_eq(schedule.heaps[0].failing[EZ_OAUTH_TRANSIENT], 0);
    cr_expect_eq(slot->fails, 0);
    cr_expect(slot->is_flying, "or a second flight of the key would begin");
    ez_oauth_schedule_remove(&schedule, 7);
    cr_expect_null(ez_oauth_schedule_first(&schedule, 1));
    ez_oauth_schedule_fini(&schedule);
}

// ---- The pace

Test(oauth_pace, ten_thousand_keys_due_in_one_hour_are_done_in_it) {
    // Two providers, 2 a second each, every call 800 ms: by the clock of the test.
    for (int provider = 0; provider < 2; provider++) {
        ez_oauth_pace pace;
        uint64_t lands[4];
        unsigned done = 0, flying = 0;
        ez_oauth_pace_init(&pace, 2, 4, 0);
        uint64_t now = 0;
        for (; done < 5000; now += 10) {
            for (unsigned i = 0; i < flying; i++)
                if (lands[i] <= now) {
                    lands[i--] = lands[--flying];
                    ez_oauth_pace_leave(&pace);
                    done++;
                }
            if (done + flying < 5000 && ez_oauth_pace_take(&pace, false, now))
                lands[flying++] = now + 800;
        }
        cr_expect_lt(now, 3600000, "%llu ms", (unsigned long long)now);
        cr_expect_geq(now, 2490000, "and no faster than 2 a second: %llu ms", (unsigned long long)now);
    }
}

// At 2 a second the bucket was full when there was just enough in it, so each moment that a turn was late for was lost.
Test(oauth_pace, a_turn_that_is_taken_late_costs_none) {
    ez_oauth_pace pace;
    uint64_t now = 0;
    ez_oauth_pace_init(&pace, 2, 4, 0);
    for (unsigned i = 0; i < 1000; i++) {
        now += ez_oauth_pace_wait_ms(&pace, false, now) + (i % 2 ? 5 : 400); // the store, or a place, was waited for
        cr_assert(ez_oauth_pace_take(&pace, false, now));
        ez_oauth_pace_leave(&pace);
    }
    cr_expect(now >= 499000 && now <= 501000, "%llu ms for 1,000", (unsigned long long)now);
}

Test(oauth_pace, what_is_asked_for_does_not_wait_behind_what_is_due) {
    ez_oauth_pace pace;
    ez_oauth_pace_init(&pace, 2, 4, 0);
    unsigned due = 0;
    for (uint64_t now = 0; now < 10000; now += 10)
        due += ez_oauth_pace_take(&pace, false, now);
    cr_expect_eq(due, 3, "one place is kept");
    cr_expect(ez_oauth_pace_take(&pace, true, 10000));
    cr_expect_not(ez_oauth_pace_take(&pace, true, 10000), "four at once");
}

Test(oauth_pace, a_pause_grows_and_ends) {
    ez_oauth_pace pace;
    ez_oauth_pace_init(&pace, 2, 4, 0);
    ez_oauth_pace_fail(&pace, 0, 0);
    uint64_t first = ez_oauth_pace_wait_ms(&pace, true, 0);
    ez_oauth_pace_fail(&pace, 0, 0);
    cr_expect_gt(ez_oauth_pace_wait_ms(&pace, true, 0), first);
    for (int i = 0; i < 40; i++)
        ez_oauth_pace_fail(&pace, 99999999, 0);
    cr_expect_leq(ez_oauth_pace_wait_ms(&pace, true, 0), EZ_OAUTH_BACKOFF_MAX_MS);
    ez_oauth_pace_recover(&pace);
    cr_expect(ez_oauth_pace_take(&pace, true, 0));
}

Test(oauth_pace, backoff_is_exponential_with_full_jitter) {
    cr_expect_eq(ez_oauth_backoff_ms(1, UINT64_MAX), 2000);
    cr_expect_eq(ez_oauth_backoff_ms(3, UINT64_MAX), 8000);
    cr_expect_eq(ez_oauth_backoff_ms(100, UINT64_MAX), 600000);
    cr_expect_eq(ez_oauth_backoff_ms(3, 0), 0);
    cr_expect_eq(ez_oauth_backoff_ms(3, 8000), 8000);
}
