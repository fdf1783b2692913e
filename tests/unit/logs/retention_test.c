// SPDX-License-Identifier: Apache-2.0
//
// The chore: what an admin changes is followed at once, not at the next hour, and frees the rows themselves.
#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/logs/logs.h"
#include "tests/unit/access/support/world.h"

#define DAY_NS INT64_C(86400000000000)

static world *w;
static ez_logs *logs;
static int64_t now_ns;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    w = given_world();
    ez_logs_options options = {.directory = w->directory,
                               .feed = w->feed,
                               .store = w->store,
                               .sealer = w->sealer,
                               .retention_days = 30,
                               .max_records = 1000};
    cr_assert_eq(ez_logs_create(&options, &logs, &error), EZ_OK);
    now_ns = ez_clock_wall_ns();
}

static void end(void) {
    ez_logs_destroy(logs);
    end_world(w);
}

TestSuite(retention, .init = begin, .fini = end);

static void given_records(int64_t days_ago, size_t count) {
    ez_log_row rows[200];
    ez_error error = EZ_ERROR_INIT;
    cr_assert_leq(count, 200);
    for (size_t i = 0; i < count; i++)
        rows[i] = (ez_log_row){.time_ns = now_ns - days_ago * DAY_NS - (int64_t)i, .received_ns = now_ns};
    ez_log_batch batch = {.rows = rows, .row_count = count};
    cr_assert_eq(ez_store_add_logs(w->store, &batch, 1, now_ns, &error), EZ_OK, "%s", error.message);
}

// Chores until there is nothing to do, as an appender without calls would.
static int64_t left_after_chores(void) {
    bool more = true;
    for (int i = 0; i < 1000 && more; i++)
        ez_logs_chore(logs, &more);
    cr_assert_not(more);
    int64_t records, oldest_ns;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_count_logs(w->store, &records, &oldest_ns, &error), EZ_OK);
    return records;
}

static void put_features(int32_t days, int64_t records) {
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    static int64_t id;
    features.log_retention_days = days;
    features.log_max_records = records;
    setting.id = id;
    setting.name = (char *)"features";
    setting.features = &features;
    given_stored(w, EZ__V1__KIND__KIND_SETTING, &setting.base);
    id = setting.id;
}

Test(retention, begins_with_the_server_and_then_waits_for_the_hour) {
    given_records(31, 20);
    given_records(1, 100);
    cr_assert_eq(left_after_chores(), 100);
    given_records(31, 20);
    cr_assert_eq(left_after_chores(), 120, "they wait for the next hour");
}

Test(retention, follows_what_an_admin_changes_at_once) {
    given_records(10, 50);
    given_records(3, 50);
    given_records(0, 100);
    cr_assert_eq(left_after_chores(), 200);
    put_features(5, 0);
    cr_assert_eq(left_after_chores(), 150);
    put_features(5, 145); // less than a tenth too many: only the change says so
    cr_assert_eq(left_after_chores(), 145);
    put_features(0, 0);
    given_records(10, 50);
    cr_assert_eq(left_after_chores(), 195, "and one that keeps more takes nothing");
}

static void put_purge(int64_t before_ns) {
    static int64_t id;
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    Google__Protobuf__Timestamp before = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    before.seconds = before_ns / INT64_C(1000000000);
    setting.id = id;
    setting.name = (char *)"log_purge";
    setting.log_purge_before = &before;
    given_stored(w, EZ__V1__KIND__KIND_SETTING, &setting.base);
    id = setting.id;
}

Test(retention, frees_what_was_deleted_at_once) {
    given_records(3, 50);
    given_records(0, 10);
    cr_assert_eq(left_after_chores(), 60);
    put_purge(now_ns - 2 * DAY_NS);
    cr_assert_eq(left_after_chores(), 10);
    given_records(1, 30);
    cr_assert_eq(left_after_chores(), 40);
    put_purge(now_ns - DAY_NS - 60 * INT64_C(1000000000));
    cr_assert_eq(left_after_chores(), 40);
    put_purge(now_ns - DAY_NS + 60 * INT64_C(1000000000)); // two minutes further: also a short way is followed
    cr_assert_eq(left_after_chores(), 10);
}
