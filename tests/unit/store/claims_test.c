// SPDX-License-Identifier: Apache-2.0
//
// Claims of token refreshes: one owner at a time, a mark that outlives its owner, and a count of how often a refresh
// token was presented without anybody learning what came of it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/store/claims.h"
#include "tests/unit/store/fixture.h"

static ez_error error;
static ez_claim claim;
static int64_t wait_ms;
static const uint8_t one[EZ_SHA256_LEN] = {1}, two[EZ_SHA256_LEN] = {2};

TestSuite(store_claims, .init = given_store, .fini = drop_store);

static bool takes(const char *owner, uint32_t ttl_ms) {
    bool taken = false;
    cr_assert_eq(ez_store_claim(store, 7, owner, ttl_ms, &claim, &taken, &wait_ms, &error), EZ_OK, "%s", error.message);
    return taken;
}

static void marks(const char *owner, const uint8_t *hash) {
    cr_assert_eq(ez_store_mark_sent(store, &claim, owner, hash, 60000, &error), EZ_OK, "%s", error.message);
}

static void ends(const char *owner, ez_claim_end end) {
    cr_assert_eq(ez_store_end_claim(store, &claim, owner, end, &error), EZ_OK, "%s", error.message);
}

Test(store_claims, a_row_has_one_owner_and_a_token_that_grows) {
    cr_assert(takes("a", 60000));
    uint64_t token = claim.token;
    cr_assert_eq(claim.sends, 0);
    cr_assert(takes("a", 60000), "its owner may take it again");
    cr_assert_gt(claim.token, token);
    ez_claim of_a = claim;
    if (is_postgres()) {
        cr_assert_not(takes("b", 60000));
        cr_assert(wait_ms > 50000 && wait_ms <= 60000, "%lld", (long long)wait_ms);
    } else {
        cr_assert(takes("b", 60000), "another owner of a store that is one server's is gone");
        expect_error(ez_store_mark_sent(store, &of_a, "a", one, 60000, &error), &error, EZ_ABORTED, "CLAIM_LOST",
                     "another server");
    }
}

static void wait_out(uint64_t ms) {
    uint64_t until = ez_clock_mono_ms() + ms;
    while (ez_clock_mono_ms() < until) {
    }
}

// An owner could not keep it while the store was away, and then called it lost.
Test(store_claims, one_that_ran_out_and_nobody_took_is_its_owners) {
    cr_assert(takes("a", 1));
    wait_out(20);
    marks("a", one);
    if (is_postgres())
        cr_expect_not(takes("b", 60000));
    ez_claim of_a = claim;
    ends("a", EZ_CLAIM_OPEN);
    expect_error(ez_store_mark_sent(store, &of_a, "a", one, 60000, &error), &error, EZ_ABORTED, "CLAIM_LOST",
                 "another");
}

Test(store_claims, one_that_ran_out_and_was_taken_is_lost) {
    cr_assert(takes("a", 1));
    ez_claim of_a = claim;
    wait_out(20);
    cr_assert(takes("b", 60000));
    expect_error(ez_store_mark_sent(store, &of_a, "a", one, 60000, &error), &error, EZ_ABORTED, "CLAIM_LOST",
                 "another");
    cr_assert_gt(claim.token, of_a.token);
    ez_claim of_b = claim;
    claim = of_a;
    ends("a", EZ_CLAIM_SETTLED); // changes nothing
    claim = of_b;
    marks("b", one);
}

Test(store_claims, a_mark_stays_until_its_outcome_is_known) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    marks("a", one); // a statement that was repeated
    ends("a", EZ_CLAIM_OPEN);
    cr_assert(takes("b", 60000));
    cr_assert_eq(claim.sends, 1);
    cr_assert_eq(memcmp(claim.sent_hash, one, sizeof one), 0);
    cr_assert(claim.sent_ago_ms >= 0 && claim.sent_ago_ms < 30000, "%lld", (long long)claim.sent_ago_ms);
    marks("b", one);
    ends("b", EZ_CLAIM_OPEN);
    cr_assert(takes("c", 60000));
    cr_assert_eq(claim.sends, 2);
    ends("c", EZ_CLAIM_SETTLED);
    cr_assert(takes("c", 60000));
    cr_assert_eq(claim.sends, 0);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 1);
}

// The clock was set back: the key was left alone until it had caught up.
Test(store_claims, a_mark_of_a_time_to_come_is_of_now) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_OPEN);
    cr_assert_gt(number_of(&at, "UPDATE oauth_claims SET sent_ms = sent_ms + 86400000 RETURNING sent_ms"), 0);
    cr_assert(takes("a", 60000));
    cr_assert_eq(claim.sends, 1);
    cr_expect(claim.sent_ago_ms >= 0 && claim.sent_ago_ms < 30000, "%lld", (long long)claim.sent_ago_ms);
    wait_out(20);
    cr_assert(takes("a", 60000));
    cr_expect_geq(claim.sent_ago_ms, 15);
}

Test(store_claims, another_token_begins_its_own_count) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_OPEN);
    cr_assert(takes("a", 60000));
    marks("a", two);
    ends("a", EZ_CLAIM_OPEN);
    cr_assert(takes("a", 60000));
    cr_assert_eq(claim.sends, 1);
    cr_assert_eq(claim.sent_hash[0], 2);
}

Test(store_claims, what_was_not_sent_after_all_does_not_count) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_UNSENT);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 0);
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_OPEN);
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_UNSENT);
    cr_assert(takes("a", 60000));
    cr_assert_eq(claim.sends, 1);
}

Test(store_claims, a_mark_is_there_after_the_store_was_opened_again) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    reopen();
    if (is_postgres())
        cr_assert_not(takes("b", 60000), "whoever marked it may still be at it");
    else
        cr_assert(takes("b", 60000));
}

static bool marks_for(int64_t api_key_id, const uint8_t *hash) {
    ez_claim of_other;
    bool taken = false;
    cr_assert_eq(ez_store_claim(store, api_key_id, "a", 60000, &of_other, &taken, &wait_ms, &error), EZ_OK);
    cr_assert(taken);
    ez_status status = ez_store_mark_sent(store, &of_other, "a", hash, 60000, &error);
    if (status == EZ_OK)
        return true;
    cr_expect_eq(status, EZ_ALREADY_EXISTS);
    cr_expect_str_eq(error.reason, "REFRESH_TOKEN_SHARED");
    cr_expect(strstr(error.message, "API key 7"), "%s", error.message);
    return false;
}

Test(store_claims, a_token_is_presented_for_one_key_only) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    cr_expect_not(marks_for(8, one), "while it is in flight");
    ends("a", EZ_CLAIM_OPEN);
    cr_expect_not(marks_for(8, one), "while nobody knows");
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_SPENT);
    cr_expect_not(marks_for(8, one), "once it is used up");
    cr_expect(marks_for(8, two));
    cr_assert(takes("a", 60000));
    cr_expect_eq(claim.sends, 0);
    marks("a", one);
    ends("a", EZ_CLAIM_UNSENT);
    cr_expect_not(marks_for(9, one), "as it was before");
}

Test(store_claims, a_token_that_was_refused_for_now_is_nobodys) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_SETTLED);
    cr_expect(marks_for(8, one));
}

// ---- Forgetting

#define DAY_MS INT64_C(86400000)

static const char *no_bytes(void) {
    return is_postgres() ? "''" : "x''";
}

static void given_row(int64_t api_key_id, int64_t sent_days_ago, bool is_held, bool has_key) {
    int64_t now_ms = ez_clock_wall_ns() / 1000000;
    char text[256];
    snprintf(text, sizeof text,
             "INSERT INTO oauth_claims VALUES (%lld, 'a', 1, %lld, %s, 0, %lld, 0) RETURNING api_key_id",
             (long long)api_key_id, (long long)(is_held ? now_ms + 60000 : 0), no_bytes(),
             (long long)(sent_days_ago ? now_ms - sent_days_ago * DAY_MS : 0));
    cr_assert_eq(number_of(&at, text), api_key_id);
    if (!has_key)
        return;
    snprintf(text, sizeof text, "INSERT INTO api_keys VALUES (%lld, 1, 0, %s, %s) RETURNING id", (long long)api_key_id,
             no_bytes(), no_bytes());
    cr_assert_eq(number_of(&at, text), api_key_id);
}

static unsigned trim_all(size_t max_rows) {
    int64_t after = 0;
    unsigned steps = 0;
    do {
        cr_assert_eq(ez_store_trim_claims(store, 90 * DAY_MS, max_rows, &after, &error), EZ_OK, "%s", error.message);
        cr_assert_lt(steps++, 20);
    } while (after);
    return steps;
}

// One row for each key ever refreshed stayed for ever.
Test(store_claims, a_row_whose_key_is_gone_is_forgotten_in_time) {
    given_row(1, 91, false, false); // goes
    given_row(2, 89, false, false);
    given_row(3, 91, true, false);
    given_row(4, 91, false, true);
    given_row(5, 0, false, false); // goes: it never presented anything
    given_row(6, 0, false, true);
    given_row(7, 91, false, false); // goes
    cr_expect_eq(trim_all(3), 4, "three rows each, and then none");
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 4);
    cr_expect_eq(number_of(&at, "SELECT sum(api_key_id) FROM oauth_claims"), 2 + 3 + 4 + 6);
}

Test(store_claims, what_is_kept_of_a_key_that_is_gone_guards_its_token) {
    cr_assert(takes("a", 60000));
    marks("a", one);
    ends("a", EZ_CLAIM_SPENT);
    trim_all(100);
    cr_expect_not(marks_for(8, one));
}
