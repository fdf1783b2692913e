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

// ---- Many of them

enum { MANY = EZ_COUNTS_DIRECT_MAX + 1000 };

// All in one revision: a commit each would take minutes.
static ez_status put_many(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    (void)request;
    const int64_t *master_id = self;
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t hash[32] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1};
        Ez__V1__Key key = EZ__V1__KEY__INIT;
        key.master_id = *master_id;
        key.name = (char *)"k";
        key.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
        key.status = i % 2 ? EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE : EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED;
        ez_status status = ez_txn_put(scene, EZ__V1__KIND__KIND_KEY, &key.base, &c->error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

static int64_t keys_counted(void) {
    ez_counts_values values;
    ez_counts_read(counts, ez_clock_wall_ns(), &values);
    return values.keys.total;
}

Test(counts, many_are_counted_in_steps_and_again_when_something_changed) {
    Ez__V1__Master *acme = given_master(w, "acme");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'max_child_keys':100}}", (long long)acme->id);
    ez_call *c;
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    c->arena.max = 512u << 20;
    cr_assert_eq(ez_writer_run(w->writer, c, put_many, &acme->id, &nothing.base, &error), EZ_OK, "%s", error.message);
    ez_call_destroy_system(c);
    cr_assert_eq(keys_counted(), MANY, "before the first pass has ended it is counted at once");
    unsigned steps = 1;
    while (ez_counts_tick(counts, ez_clock_wall_ns()))
        steps++;
    cr_assert_geq(steps, MANY / EZ_COUNTS_STEP);
    ez_counts_values values;
    ez_counts_read(counts, ez_clock_wall_ns(), &values);
    cr_assert_eq(values.masters.active, 1);
    cr_assert_eq(values.keys.total, MANY);
    cr_assert_eq(values.keys.disabled, MANY / 2);
    cr_assert_not(ez_counts_tick(counts, ez_clock_wall_ns()), "nothing has changed, and no pass is due");
    expect_ok(w, "Keys/Delete", "{'id':1}");
    cr_assert_eq(keys_counted(), MANY, "the last whole count is shown");
    uint64_t deadline_ms = ez_clock_mono_ms() + 30000;
    while (keys_counted() == MANY && ez_clock_mono_ms() < deadline_ms)
        ez_counts_tick(counts, ez_clock_wall_ns());
    cr_assert_eq(keys_counted(), MANY - 1);
}
