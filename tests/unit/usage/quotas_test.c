// SPDX-License-Identifier: Apache-2.0
//
// What quotas make of keys, over a whole server below its sockets. The counters are set by hand; the writer can be made
// to refuse.
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>

#include "proto/runtime/clock.h"
#include "server/domain/usage/quotas.h"
#include "server/state/directory/stamp.h"
#include "tests/support/wait.h"
#include "tests/unit/access/support/world.h"

#define KIND_KEY  EZ__V1__KIND__KIND_KEY
#define ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define DISABLED  EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED
#define EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED

static atomic_int refusals; // so many submits fail
static atomic_int refused;

ez_status __real_ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *error);
ez_status __wrap_ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *error);
ez_status __wrap_ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *error) {
    if (atomic_load(&refusals) > 0) {
        atomic_fetch_sub(&refusals, 1);
        atomic_fetch_add(&refused, 1);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL", "full");
    }
    return __real_ez_writer_submit(writer, write, error);
}

static _Atomic int64_t behind_ns; // the writer's clock is, by so much
static atomic_int asked_time;     // of it, so often

int64_t __real_ez_txn_now_ns(const ez_txn *txn);
int64_t __wrap_ez_txn_now_ns(const ez_txn *txn);
int64_t __wrap_ez_txn_now_ns(const ez_txn *txn) {
    int64_t now_ns = __real_ez_txn_now_ns(txn) - atomic_load(&behind_ns);
    atomic_fetch_add(&asked_time, 1);
    return now_ns;
}

static world *w;
static ez_quotas *quotas;
static int64_t master;

static void begin(void) {
    w = given_world();
    master = given_master(w, "acme")->id;
}

static void end(void) {
    ez_writer_destroy(w->writer);
    w->writer = NULL;
    ez_quotas_destroy(quotas);
    end_world(w);
}

TestSuite(quotas, .init = begin, .fini = end);

static void given_quotas(void) {
    ez_quotas_options options = {
        .directory = w->directory, .feed = w->feed, .writer = w->writer, .counters = w->counters};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_quotas_create(&options, &quotas, &error), EZ_OK);
}

static void step(void) {
    bool more = true;
    for (int i = 0; more && i < 1000; i++)
        ez_quotas_step(quotas, &more);
    cr_assert_not(more);
}

typedef struct asked {
    int count;
    Ez__V1__Key key;
    int64_t ids[4000];
} asked;

static ez_status put_keys(void *self, ez_call *c, void *txn, ProtobufCMessage *request) {
    (void)request;
    asked *a = self;
    for (int i = 0; i < a->count; i++) {
        uint8_t hash[32] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)ez_txn_revision(txn).n};
        Ez__V1__Key key = a->key;
        key.id = 0;
        key.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
        ez_status status = ez_txn_put(txn, KIND_KEY, &key.base, &c->error);
        if (status != EZ_OK)
            return status;
        a->ids[i] = key.id;
    }
    return EZ_OK;
}

// That many keys as key says, all in one change.
static const int64_t *given_keys(asked *a) {
    ez_call *c;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    a->key.master_id = master;
    a->key.name = (char *)"k";
    cr_assert_eq(ez_writer_run(w->writer, c, put_keys, a, NULL, &error), EZ_OK, "%s", error.message);
    ez_call_destroy_system(c);
    return a->ids;
}

static Ez__V1__Key with_limit(int64_t limit) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.status = ACTIVE;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = limit;
    key.quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS;
    key.quota_period = EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_NONE;
    return key;
}

static void count(int64_t id, int64_t used) {
    ez_usage_sums sums = {.quota_used = used};
    ez_counters_note(w->counters, EZ_USAGE_KEYS, id, &sums);
}

static void flush(int64_t id, int64_t used) {
    count(id, used);
    ez_quotas_counted(quotas, id);
}

// As data planes are told.
static Ez__V1__Key *stored(int64_t id) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(w->directory, KIND_KEY, id);
    Ez__V1__Key *key = entry ? (Ez__V1__Key *)ez_entry_unpack(entry, &w->arena) : NULL;
    ez_directory_leave();
    cr_assert_not_null(key);
    return key;
}

static int how_many(const asked *a, int status) {
    int found = 0;
    for (int i = 0; i < a->count; i++)
        found += (int)stored(a->ids[i])->status == status;
    return found;
}

Test(quotas, keys_that_are_over_are_exhausted_a_thousand_at_a_time) {
    static asked a = {.count = 2500};
    a.key = with_limit(10);
    given_keys(&a);
    given_quotas();
    uint64_t before = head_of(w);
    for (int i = 0; i < a.count; i++)
        flush(a.ids[i], i % 5 ? 10 : 9);
    ez_quotas_kick(quotas);
    expect_soon(how_many(&a, EXHAUSTED) == 2000);
    cr_assert_eq(how_many(&a, ACTIVE), 500, "9 of 10 is not over");
    expect_soon(head_of(w) >= before + 2); // the directory has a change a moment before the feed
    cr_assert_eq(head_of(w), before + 2);
}

Test(quotas, one_change_however_often_it_is_counted) {
    static asked a = {.count = 1};
    a.key = with_limit(10);
    given_keys(&a);
    given_quotas();
    uint64_t before = head_of(w);
    for (int i = 0; i < 500; i++)
        flush(a.ids[0], 10 + i);
    ez_quotas_kick(quotas);
    step();
    expect_soon(how_many(&a, EXHAUSTED) == 1);
    flush(a.ids[0], 1000);
    expect_soon(head_of(w) >= before + 1);
    step();
    step();
    cr_assert_eq(head_of(w), before + 1);
}

Test(quotas, what_the_writer_refused_is_tried_again) {
    static asked a = {.count = 3};
    a.key = with_limit(0);
    given_keys(&a);
    given_quotas();
    atomic_store(&refusals, 2);
    for (int i = 0; i < 100; i++)
        ez_quotas_kick(quotas);
    step();
    cr_assert_eq(atomic_load(&refused), 1, "not by every flush");
    cr_assert_eq(how_many(&a, ACTIVE), 3);
    uint64_t deadline = ez_test_deadline();
    while (how_many(&a, EXHAUSTED) < 3 && ez_test_before(deadline))
        ez_quotas_kick(quotas);
    cr_assert_eq(how_many(&a, EXHAUSTED), 3);
    cr_assert_eq(atomic_load(&refused), 2);
}

Test(quotas, a_crash_between_the_count_and_the_change_is_made_good_at_start) {
    static asked a = {.count = 2};
    a.key = with_limit(10);
    given_keys(&a);
    count(a.ids[0], 10);
    count(a.ids[1], 3);
    given_quotas();
    step();
    expect_soon(how_many(&a, EXHAUSTED) == 1);
    cr_assert_eq(stored(a.ids[0])->status, EXHAUSTED);
}

Test(quotas, keys_that_are_not_active_or_have_no_limit_are_left_alone) {
    static asked unlimited = {.count = 1}, disabled = {.count = 1}, none = {.count = 1};
    unlimited.key = with_limit(-1);
    disabled.key = with_limit(1);
    disabled.key.status = DISABLED;
    none.key = with_limit(0);
    none.key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT__NOT_SET;
    given_keys(&unlimited);
    given_keys(&disabled);
    given_keys(&none);
    given_quotas();
    uint64_t before = head_of(w);
    flush(unlimited.ids[0], 1000);
    flush(disabled.ids[0], 1000);
    flush(none.ids[0], 1000);
    step();
    step();
    cr_assert_eq(head_of(w), before);
}

Test(quotas, what_a_change_of_the_feed_brings_is_judged_too) {
    given_quotas();
    static asked a = {.count = 5};
    a.key = with_limit(0);
    given_keys(&a);
    step();
    expect_soon(how_many(&a, EXHAUSTED) == 5);
}

static Ez__V1__Key with_period(Ez__V1__QuotaPeriod period, Google__Protobuf__Timestamp *reset_at, int64_t in_s) {
    Ez__V1__Key key = with_limit(10);
    key.quota_period = period;
    google__protobuf__timestamp__init(reset_at);
    reset_at->seconds = ez_clock_wall_ns() / 1000000000 + in_s;
    key.quota_reset_at = reset_at;
    return key;
}

Test(quotas, a_period_that_has_passed_begins_anew_and_skips_those_that_were_missed) {
    static asked a = {.count = 1500};
    static Google__Protobuf__Timestamp at;
    a.key = with_period(EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_MONTH, &at, -200 * 86400);
    a.key.status = EXHAUSTED;
    a.key.quota_used = 4;
    a.key.quota_carried = 3;
    given_keys(&a);
    for (int i = 0; i < a.count; i++)
        count(a.ids[i], 100);
    given_quotas();
    uint64_t before = head_of(w);
    step();
    expect_soon(how_many(&a, ACTIVE) == a.count);
    Ez__V1__Key *now = stored(a.ids[7]);
    cr_assert_eq(now->quota_carried, -100);
    cr_assert_eq(now->quota_used, 0);
    cr_assert_eq(read_key(w, a.ids[7])->quota_used, 0);
    int64_t now_s = ez_clock_wall_ns() / 1000000000;
    cr_assert(now->quota_reset_at->seconds > now_s && now->quota_reset_at->seconds <= now_s + 31 * 86400);
    expect_soon(head_of(w) >= before + 2);
    step();
    step();
    cr_assert_eq(head_of(w), before + 2, "once");
}

Test(quotas, a_period_ends_when_its_time_comes) {
    given_quotas();
    static asked soon = {.count = 1}, later = {.count = 1};
    static Google__Protobuf__Timestamp at[2];
    soon.key = with_period(EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY, &at[0], 1);
    later.key = with_period(EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY, &at[1], 1000);
    given_keys(&soon);
    given_keys(&later);
    count(soon.ids[0], 5);
    count(later.ids[0], 5);
    step();
    cr_assert_eq(stored(soon.ids[0])->quota_carried, 0);
    uint64_t deadline = ez_test_deadline();
    while (stored(soon.ids[0])->quota_carried == 0 && ez_test_before(deadline))
        step();
    cr_assert_eq(stored(soon.ids[0])->quota_carried, -5);
    cr_assert_eq(stored(later.ids[0])->quota_carried, 0);
}

Test(quotas, a_period_that_the_writer_finds_too_early_to_end_ends_later) {
    static asked a = {.count = 1};
    static Google__Protobuf__Timestamp at;
    a.key = with_period(EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY, &at, 0);
    given_keys(&a);
    count(a.ids[0], 5);
    given_quotas();
    atomic_store(&behind_ns, INT64_C(20000000000));
    atomic_store(&asked_time, 0);
    step();
    expect_soon(atomic_load(&asked_time) > 0);
    atomic_store(&behind_ns, 0);
    uint64_t deadline = ez_test_deadline();
    while (stored(a.ids[0])->quota_carried == 0 && ez_test_before(deadline))
        step();
    cr_assert_eq(stored(a.ids[0])->quota_carried, -5);
}

Test(quotas, a_key_without_any_quota_has_periods_and_stays_exhausted) {
    static asked a = {.count = 1};
    static Google__Protobuf__Timestamp at;
    a.key = with_period(EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY, &at, -5);
    a.key.status = EXHAUSTED;
    a.key.quota_limit = 0;
    given_keys(&a);
    count(a.ids[0], 50);
    given_quotas();
    uint64_t before = head_of(w);
    step();
    expect_soon(stored(a.ids[0])->quota_carried == -50);
    cr_assert_eq(stored(a.ids[0])->status, EXHAUSTED, "active is what data planes would be told");
    expect_soon(head_of(w) >= before + 1);
    step();
    step();
    cr_assert_eq(head_of(w), before + 1);
}

Test(quotas, a_disabled_key_has_periods_and_stays_disabled) {
    static asked a = {.count = 1};
    static Google__Protobuf__Timestamp at;
    a.key = with_period(EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_WEEK, &at, -5);
    a.key.status = DISABLED;
    given_keys(&a);
    count(a.ids[0], 50);
    given_quotas();
    step();
    expect_soon(stored(a.ids[0])->quota_carried == -50);
    cr_assert_eq(stored(a.ids[0])->status, DISABLED);
}

Test(quotas, a_period_without_a_time_is_given_one_and_what_was_used_stays) {
    static asked a = {.count = 1};
    a.key = with_limit(100);
    a.key.quota_period = EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY;
    given_keys(&a);
    count(a.ids[0], 50);
    given_quotas();
    step();
    expect_soon(stored(a.ids[0])->quota_reset_at != NULL);
    cr_assert_eq(stored(a.ids[0])->quota_carried, 0);
}

Test(quotas, where_the_feed_has_forgotten_all_keys_are_looked_at_again) {
    given_quotas();
    static asked a = {.count = 1};
    a.key = with_limit(0);
    given_keys(&a);
    ez_feed_skip(w->feed, head_of(w), NULL, ez_clock_wall_ns());
    step();
    expect_soon(how_many(&a, EXHAUSTED) == 1);
}
