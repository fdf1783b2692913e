// SPDX-License-Identifier: Apache-2.0
//
// Troubles that the server sees itself: raised, told once, cleared; kept while the store is away; bounded. And what a
// report becomes: its fingerprint, its names, what is cut.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "server/domain/alerts/inside.h"
#include "tests/support/wait.h"
#include "tests/unit/access/support/world.h"

#define MAX 3 // alerts that are kept

static world *w;
static ez_alerts *alerts;
static ez_arena arena;      // of ops
static atomic_int failures; // of the store, to come; below 0: for ever
static atomic_int failure;  // their code; 0: UNAVAILABLE
static atomic_bool is_stuck;
static atomic_int calls; // of the store

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char told[4096]; // guarded: "created/quota_exceeded/2 …": event, severity

ez_status __real_ez_store_change_alerts(ez_store *store, ez_alert_batch *batches, size_t count,
                                        const ez_alert_rules *rules, int64_t now_ns, ez_error *error);
ez_status __wrap_ez_store_change_alerts(ez_store *store, ez_alert_batch *batches, size_t count,
                                        const ez_alert_rules *rules, int64_t now_ns, ez_error *error);

ez_status __wrap_ez_store_change_alerts(ez_store *store, ez_alert_batch *batches, size_t count,
                                        const ez_alert_rules *rules, int64_t now_ns, ez_error *error) {
    atomic_fetch_add(&calls, 1);
    while (atomic_load(&is_stuck))
        sched_yield();
    if (atomic_load(&failures) != 0) {
        atomic_fetch_sub(&failures, 1);
        if (atomic_load(&failure))
            return ez_error_set(error, (ez_status)atomic_load(&failure), "DISK_FULL", "it is full");
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "it is away");
    }
    return __real_ez_store_change_alerts(store, batches, count, rules, now_ns, error);
}

static void note(void *user, const Ez__V1__AlertEvent *event) {
    cr_assert_eq(user, &failures);
    pthread_mutex_lock(&lock);
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s:%s ", event->event, event->alert->title);
    pthread_mutex_unlock(&lock);
}

static bool is_told(const char *want) {
    pthread_mutex_lock(&lock);
    bool is = strcmp(told, want) == 0;
    pthread_mutex_unlock(&lock);
    return is;
}

static void begin_with(int64_t max) {
    ez_error error = EZ_ERROR_INIT;
    w = given_world();
    ez_arena_init(&arena, 1u << 20);
    ez_alerts_options options = {.store = w->store,
                                 .directory = w->directory,
                                 .queue = 8,
                                 .max_records = max,
                                 .noted = note,
                                 .noted_user = &failures};
    cr_assert_eq(ez_alerts_create(&options, &alerts, &error), EZ_OK, "%s", error.message);
}

static void begin(void) {
    begin_with(0);
}

static void begin_bounded(void) {
    begin_with(MAX);
}

static void end(void) {
    atomic_store(&is_stuck, false);
    ez_alerts_destroy(alerts);
    ez_arena_fini(&arena);
    end_world(w);
}

TestSuite(raise, .init = begin, .fini = end);
TestSuite(raise_bound, .init = begin_bounded, .fini = end);

static const ez_alert_report down = {
    .type = EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN, .title = "down", .related_type = "api_key", .related_id = 5};
static const ez_alert_subject down_subject = {
    .type = EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN, .related_type = "api_key", .related_id = 5};

Test(raise, a_trouble_is_told_once_and_cleared) {
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    cr_assert(ez_alerts_clear(alerts, &down_subject, 1, "detector"));
    cr_assert(ez_alerts_clear(alerts, &down_subject, 1, "detector"));
    ez_alerts_stop(alerts);
    cr_assert(is_told("created:down resolved:down "), "%s", told);
    cr_assert_eq(ez_alerts_dropped(alerts), 0);
    cr_assert_not(ez_alerts_raise(alerts, &down, 1, "detector"), "it is stopped");
    cr_assert_eq(ez_alerts_dropped(alerts), 1);
}

Test(raise, what_the_store_does_not_take_is_tried_again) {
    atomic_store(&failures, 2);
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    expect_soon(is_told("created:down "));
    cr_assert_eq(ez_alerts_dropped(alerts), 0);
}

// A clear that waited behind its raise was committed first, and the alert stayed open.
static void expect_a_clear_stays_behind(int code) {
    atomic_store(&failure, code);
    atomic_store(&is_stuck, true);
    atomic_store(&failures, 1);
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    expect_soon(atomic_load(&calls) == 1);
    cr_assert(ez_alerts_clear(alerts, &down_subject, 1, "detector"));
    atomic_store(&is_stuck, false);
    expect_soon(is_told("created:down resolved:down "));
    cr_assert_eq(ez_alerts_dropped(alerts), 0);
}

Test(raise, a_clear_does_not_overtake_its_raise) {
    expect_a_clear_stays_behind(EZ_UNAVAILABLE);
}

// A full disk made the server forget what it had seen.
Test(raise, a_full_disk_is_an_outage_too) {
    expect_a_clear_stays_behind(EZ_RESOURCE_EXHAUSTED);
}

Test(raise, what_comes_while_others_wait_goes_behind_them) {
    atomic_store(&failures, 1);
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    expect_soon(atomic_load(&failures) == 0);
    for (int i = 0; i < 20; i++) { // more than the queue holds
        cr_assert(ez_alerts_clear(alerts, &down_subject, 1, "detector"));
        cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    }
    char want[2048] = "";
    for (int i = 0; i <= 20; i++)
        strcat(want, i < 20 ? "created:down resolved:down " : "created:down ");
    expect_soon(is_told(want));
    cr_assert_eq(ez_alerts_dropped(alerts), 0);
}

Test(raise, what_is_wrong_is_not_tried_again) {
    atomic_store(&failure, EZ_INVALID_ARGUMENT);
    atomic_store(&failures, 1);
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    expect_soon(ez_alerts_dropped(alerts) == 1);
}

// ---- The bound

static const char *const titles[MAX + 2] = {"a", "b", "c", "d", "e"};

static ez_alert_report report_of(int i) {
    ez_alert_report report = down;
    report.title = titles[i];
    report.related_id = 10 + i;
    return report;
}

static void raise_all(void) {
    for (int i = 0; i < MAX; i++) {
        ez_alert_report report = report_of(i);
        cr_assert(ez_alerts_raise(alerts, &report, 1, "detector"));
    }
    expect_soon(is_told("created:a created:b created:c "));
}

// At the bound closed alerts made no room, and what was refused was neither logged nor counted.
Test(raise_bound, closed_alerts_make_room) {
    raise_all();
    for (int i = 0; i < MAX; i++) {
        ez_alert_subject subject = down_subject;
        subject.related_id = 10 + i;
        cr_assert(ez_alerts_clear(alerts, &subject, 1, "detector"));
    }
    ez_alert_report fourth = report_of(MAX);
    cr_assert(ez_alerts_raise(alerts, &fourth, 1, "detector"));
    expect_soon(is_told("created:a created:b created:c resolved:a resolved:b resolved:c created:d "));
    cr_assert_eq(ez_alerts_dropped(alerts), 0);
}

Test(raise_bound, one_too_many_leaves_the_others) {
    raise_all();
    ez_alert_report batch[] = {report_of(0), report_of(MAX), report_of(1)};
    batch[2].severity = EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL;
    cr_assert(ez_alerts_raise(alerts, batch, 3, "detector"));
    expect_soon(is_told("created:a created:b created:c repeated:b "));
    expect_soon(ez_alerts_dropped(alerts) == 1);
}

// Tried again behind its clear, it would stay open.
Test(raise_bound, what_is_over_is_not_tried_again) {
    raise_all();
    atomic_store(&calls, 0);
    atomic_store(&is_stuck, true);
    ez_alert_report fourth = report_of(MAX);
    ez_alert_subject subject = down_subject;
    subject.related_id = fourth.related_id;
    cr_assert(ez_alerts_raise(alerts, &fourth, 1, "detector"));
    expect_soon(atomic_load(&calls) == 1);
    cr_assert(ez_alerts_clear(alerts, &subject, 1, "detector"));
    atomic_store(&is_stuck, false);
    expect_soon(ez_alerts_dropped(alerts) == 1);
}

// ----

Test(raise, what_was_never_taken_is_counted) {
    atomic_store(&failures, -1);
    for (int i = 0; i < 3; i++)
        cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"));
    expect_soon(atomic_load(&failures) < -3);
    ez_alerts_stop(alerts);
    cr_assert(is_told(""));
}

// Those who can wait filled the queue, and what the store did not take then was more than waits for it.
Test(raise, who_can_wait_is_told_to) {
    atomic_store(&is_stuck, true);
    int taken = 0;
    for (; ez_alerts_has_room(alerts); taken++)
        cr_assert(ez_alerts_raise(alerts, &down, 1, "oauth"));
    cr_expect_eq(taken, 4, "half of the queue");
    cr_assert(ez_alerts_raise(alerts, &down, 1, "detector"), "others have room still");
    atomic_store(&failures, 2);
    atomic_store(&is_stuck, false);
    expect_soon(ez_alerts_has_room(alerts));
    cr_expect(is_told("created:down "), "%s", told);
    cr_expect_eq(ez_alerts_dropped(alerts), 0);
}

Test(raise, the_queue_has_a_bound) {
    atomic_store(&is_stuck, true);
    int taken = 0;
    while (ez_alerts_raise(alerts, &down, 1, "detector"))
        cr_assert_lt(taken++, 100);
    cr_assert_geq(taken, 8);
    cr_assert_eq(ez_alerts_dropped(alerts), 1);
    atomic_store(&is_stuck, false);
    expect_soon(is_told("created:down "));
}

// ---- What a report becomes

static ez_alert_op op_of(const ez_alert_report *report) {
    ez_alert_op op;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_alert_op_fill(alerts, report, &arena, &op, &error), EZ_OK, "%s", error.message);
    return op;
}

static void expect_print(const ez_alert_report *report, const char *of) {
    uint8_t hash[EZ_SHA256_LEN];
    char hex[2 * EZ_SHA256_LEN + 1];
    const ez_sha256_part part = {of, strlen(of)};
    ez_sha256_parts(&part, 1, hash);
    ez_hex(hash, sizeof hash, hex);
    cr_assert_str_eq(op_of(report).row.fingerprint, hex, "%s", of);
}

Test(raise, a_fingerprint_is_of_what_the_trouble_is_about) {
    ez_alert_report report = down;
    expect_print(&report, "provider_down|api_key|5");
    report.title = "another";
    expect_print(&report, "provider_down|api_key|5");
    report = (ez_alert_report){.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_SYNC_FAILED};
    expect_print(&report, "sync_failed||0");
    report = (ez_alert_report){.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM, .title = "disk"};
    expect_print(&report, "custom||0|disk");
    report.related_type = "disk";
    expect_print(&report, "custom|disk|0");
    report.fingerprint = "mine";
    cr_assert_str_eq(op_of(&report).row.fingerprint, "mine");
}

Test(raise, what_is_missing_is_filled_and_what_is_too_long_is_cut) {
    static char title[400], name[400];
    memset(title, 'a', 254);
    strcpy(title + 254, "\xC3\xA9\xC3\xA9"); // the character at the edge goes whole
    memset(name, 'b', sizeof name - 1);
    ez_alert_report report = {.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM,
                              .title = title,
                              .related_type = "key",
                              .related_id = 77,
                              .related_name = name,
                              .metadata = "{no"};
    ez_alert_op op = op_of(&report);
    cr_assert_eq(strlen(op.row.title), 254);
    cr_assert_eq(strlen(op.row.related_name), 255);
    cr_assert_str_eq(op.row.metadata, "");
    cr_assert(op.row.related_missing);
    cr_assert_eq(op.row.severity, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING);
    report = (ez_alert_report){.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED, .metadata = "{\"a\":1}"};
    op = op_of(&report);
    cr_assert_str_eq(op.row.title, "Key expired");
    cr_assert_str_eq(op.row.metadata, "{\"a\":1}");
    cr_assert_not_null(strstr(op.request, "\"type\":\"key_expired\""));
}
