// SPDX-License-Identifier: Apache-2.0
//
// How many there are by status: counted at once where there are few, in steps where there are many.
#include "server/domain/logs/counts.h"

#include <criterion/criterion.h>

#include "proto/runtime/clock.h"
#include "tests/unit/access/support/world.h"

#define DAY_NS INT64_C(86400000000000)

static world *w;
static ez_counts *counts;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    w = given_world();
    cr_assert_eq(ez_counts_create(w->directory, w->feed, &counts, &error), EZ_OK);
}

static void end(void) {
    ez_counts_destroy(counts);
    end_world(w);
}

TestSuite(counts, .init = begin, .fini = end);

Test(counts, statuses_are_told_apart) {
    int64_t now_ns = ez_clock_wall_ns();
    Ez__V1__Master *acme = given_master(w, "acme");
    Ez__V1__Master *gone = given_master(w, "gone");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'status':'suspended'}}", (long long)gone->id);
    given_key(w, acme->id, "active");
    Ez__V1__Key *disabled = given_key(w, acme->id, "disabled");
    expect_ok(w, "Keys/Disable", "{'id':%lld}", (long long)disabled->id);
    Ez__V1__Key *brief = given_key(w, acme->id, "brief");
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'expires_at':'2100-01-01T00:00:00Z'}}", (long long)brief->id);
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    given_api_key(w, group->id, "active");
    Ez__V1__ApiKey *banned = given_api_key(w, group->id, "banned");
    expect_ok(w, "ApiKeys/Ban", "{'id':%lld,'until':'2100-01-01T00:00:00Z'}", (long long)banned->id);
    Ez__V1__ApiKey *token = given_api_key(w, group->id, "token");
    expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'expires_at':'2100-01-01T00:00:00Z'}}", (long long)token->id);
    ez_counts_values now;
    ez_counts_read(counts, now_ns, &now);
    cr_assert_eq(now.masters.total, 2);
    cr_assert_eq(now.masters.active, 1);
    cr_assert_eq(now.masters.disabled, 1);
    cr_assert_eq(now.keys.total, 3);
    cr_assert_eq(now.keys.active, 2);
    cr_assert_eq(now.keys.disabled, 1);
    cr_assert_eq(now.api_keys.total, 3);
    cr_assert_eq(now.api_keys.active, 2);
    cr_assert_eq(now.api_keys.banned, 1);
    ez_counts_values later;
    ez_counts_read(counts, now_ns + 130 * 366 * DAY_NS, &later);
    cr_assert_eq(later.keys.expired, 1, "time makes a key expire");
    cr_assert_eq(later.api_keys.expired, 1);
    cr_assert_eq(later.api_keys.banned, 0, "and a ban end");
    cr_assert_eq(later.api_keys.active, 2);
    cr_assert_not(ez_counts_tick(counts, now_ns), "few are not counted in steps");
}
