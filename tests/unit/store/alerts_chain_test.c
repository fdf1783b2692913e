// SPDX-License-Identifier: Apache-2.0
//
// One audit chain, written by two connections at once: configuration's, which here loses to another server again and
// again, and the alerts'.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "server/state/store/alerts.h"
#include "tests/unit/store/fixture.h"

#define ALERTS  800
#define COMMITS 400
#define NOW     (INT64_C(1700000000) * 1000000000)

static _Atomic bool are_done;

TestSuite(store_alerts_chain, .init = given_store, .fini = drop_store, .timeout = 100);

static void make_alert(int number) {
    char fingerprint[24];
    ez_arena arena;
    ez_error error = EZ_ERROR_INIT;
    snprintf(fingerprint, sizeof fingerprint, "print-%d", number);
    ez_alert_op op = {.act = EZ_ALERT_REPORT,
                      .request = "{}",
                      .row = {.type = 11,
                              .severity = 1,
                              .title = "trouble",
                              .message = "",
                              .related_type = "",
                              .related_name = "",
                              .fingerprint = fingerprint,
                              .metadata = ""}};
    ez_arena_init(&arena, 1 << 20);
    ez_alert_batch batch = {.ops = &op,
                            .op_count = 1,
                            .actor = "data-plane:1:edge",
                            .method = "ez.v1.Alerts/Report",
                            .request_id = "r-1",
                            .remote = "127.0.0.1",
                            .arena = &arena};
    ez_alert_rules rules = {.cooldown_ns = 1};
    cr_assert_eq(ez_store_change_alerts(store, &batch, 1, &rules, NOW, &error), EZ_OK, "%s", error.message);
    ez_arena_fini(&arena);
}

static void *make_alerts(void *user) {
    (void)user;
    for (int i = 0; i < ALERTS; i++)
        make_alert(i);
    are_done = true;
    return NULL;
}

// The writer's thread: groups that were built on another head, and now and then one that is good.
static void commit_again_and_again(void) {
    ez_store_head head = head_of(store);
    for (int done = 0; done < COMMITS || !are_done; done++) {
        group one;
        ez_error error = EZ_ERROR_INIT;
        bool is_good = done % 400 == 399;
        if (is_good)
            head = head_of(store);
        group_start(&one, &head);
        one.group.from += is_good ? 0 : 7;
        one.group.to += is_good ? 0 : 7;
        group_put(&one, EZ__V1__KIND__KIND_MASTER, 1, "master");
        group_audit(&one, "admin:1:first", "ez.v1.Masters/Update", "master:1");
        ez_status status = ez_store_commit(store, &one.group, &error);
        cr_assert(status == EZ_OK || strcmp(error.reason, "HEAD_MOVED") == 0, "%s", error.message);
    }
}

static void expect_one_chain(void) {
    cr_assert_eq(number_of(&at, "SELECT min(id) FROM audit"), 1);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM audit"), number_of(&at, "SELECT max(id) FROM audit"));
    cr_assert_eq(number_of(&at, "SELECT next_audit_id FROM feed_head"),
                 1 + number_of(&at, "SELECT max(id) FROM audit"));
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM audit AS a JOIN audit AS b ON b.id = a.id + 1 AND "
                                "b.previous_hash <> a.hash"),
                 0);
    cr_assert_eq(
        number_of(&at, "SELECT count(*) FROM audit JOIN feed_head ON audit_hash = hash AND next_audit_id = id + 1"), 1);
}

Test(store_alerts_chain, is_one_whoever_fails_meanwhile) {
    pthread_t thread;
    pthread_create(&thread, NULL, make_alerts, NULL);
    commit_again_and_again();
    pthread_join(thread, NULL);
    cr_assert_geq(number_of(&at, "SELECT count(*) FROM audit"), ALERTS + 1);
    expect_one_chain();
    // And goes on.
    make_alert(ALERTS);
    commit_put(store, EZ__V1__KIND__KIND_MASTER, 2, "another");
    expect_one_chain();
}
