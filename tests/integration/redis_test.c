// SPDX-License-Identifier: Apache-2.0
//
// Redis behind a real ezplaned: what admins see and may ask for, what a crash leaves, and that the password shows
// nowhere. What Redis itself can do wrong is in tests/unit/redis.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/sync.pb-c.h"
#include "ez/v1/system.pb-c.h"
#include "tests/integration/support/trail.h"
#include "tests/support/redis.h"

#define PASSWORD "fake-password-that-nobody-may-see"

static ez_world w;
static ez_test_redis redis;
static char url[128], text[64];

static void begin(void) {
    static const char *const args[] = {"--requirepass", PASSWORD, NULL};
    static const char *env[] = {url, "EZ_REDIS_PREFIX=t:", "EZ_SYNC_OUTBOX_INTERVAL=50ms",
                                "EZ_SYNC_OUTBOX_MAX_RETRIES=2", NULL};
    given_redis(&redis, args);
    snprintf(url, sizeof url, "EZ_REDIS_URL=redis://:%s@127.0.0.1:%u/0", PASSWORD, redis.port);
    given_world(&w, env);
}

static void end(void) {
    char *log = read_file(w.server.process.log);
    cr_assert(log && !strstr(log, PASSWORD), "the password is in the log");
    free(log);
    end_world(&w);
    end_redis(&redis);
}

TestSuite(redis, .init = begin, .fini = end);

#define says(...) redis_says(&redis, __VA_ARGS__)

static Ez__V1__SyncStatus *sync_status(void) {
    return ask(&w.admin, "Sync/Get", "{}");
}

static bool is_even(void) {
    snprintf(text, sizeof text, "%" PRIu64, revision_of(&w));
    return strcmp(says("HGET t:meta:ezplane revision"), text) == 0 && strcmp(sync_status()->state, "ok") == 0;
}

static const char *state_of_server(void) {
    Ez__V1__Status *status = ask(&w.admin, "System/GetStatus", "{}");
    return status->redis;
}

Test(redis, an_admin_sees_how_far_it_is) {
    given_master(&w.admin, "acme");
    expect_soon(is_even());
    Ez__V1__SyncStatus *status = sync_status();
    cr_assert_eq(status->depth, 0);
    cr_assert_eq(status->cursor->n, revision_of(&w));
    cr_assert_eq(status->cursor->epoch, status->head->epoch);
    cr_assert(status->is_writer);
    cr_assert_null(strstr(status->address, PASSWORD));
    cr_assert_str_eq(state_of_server(), "ok");
    kill_redis(&redis);
    expect_soon(strcmp(state_of_server(), "away") == 0);
    given_master(&w.admin, "meanwhile");
    status = sync_status();
    cr_assert_eq(status->depth, 1);
    cr_assert_not_null(status->oldest_at);
    cr_assert_neq(status->last_error[0], 0);
    cr_assert_null(strstr(status->last_error, PASSWORD));
    start_redis(&redis);
    expect_soon(is_even());
    cr_assert_str_eq(says("HGET t:auth:master:2 name"), "meanwhile");
    Ez__V1__Metrics *metrics = ask(&w.admin, "System/GetMetrics", "{}");
    cr_assert_not_null(strstr(metrics->text, "\nezplane_redis_up 1\n"));
    cr_assert_null(strstr(metrics->text, PASSWORD));
}

Test(redis, parked_and_tried_again_when_asked) {
    given_master(&w.admin, "acme");
    expect_soon(is_even());
    says("SET t:auth:master:1 nonsense");
    says("DEL t:auth:master:1");
    says("LPUSH t:auth:master:1 nonsense");
    ask(&w.admin, "Masters/Update", "{'id':1,'master':{'group':'vip'},'update_mask':['group']}");
    expect_soon(sync_status()->parked == 1);
    Ez__V1__SyncStatus *status = sync_status();
    cr_assert_eq(status->n_rows, 1);
    cr_assert_eq(status->rows[0]->kind, EZ__V1__KIND__KIND_MASTER);
    cr_assert_eq(status->rows[0]->id, 1);
    cr_assert_eq(status->rows[0]->tries, 2);
    cr_assert_eq(strncmp(status->rows[0]->error, "WRONGTYPE", 9), 0);
    cr_assert_str_eq(status->state, "behind");
    cr_assert_eq(status->depth, 1);
    says("DEL t:auth:master:1");
    restart_server(&w.server);
    await_answers(&w);
    expect_soon(sync_status()->parked == 1);
    ask(&w.admin, "Sync/Retry", "{}");
    expect_soon(is_even());
    cr_assert_str_eq(says("HGET t:auth:master:1 group"), "vip");
    says("DEL t:auth:master:1");
    ask(&w.admin, "Sync/Rebuild", "{}");
    expect_soon(strcmp(says("HGET t:auth:master:1 group"), "vip") == 0);
    ez_trail trail = given_trail(&w, 0, 0);
    size_t at = 0; // the detector may have told of the parked row by now
    while (at < trail.count && strcmp(trail.entries[at]->method, "ez.v1.Sync/Rebuild") != 0)
        at++;
    cr_assert_lt(at, trail.count, "the rebuild is in the audit");
    expect_not_in_trail(&trail, PASSWORD);
    end_trail(&trail);
}

// The cursor is written about once a second, so a kill right after a change nearly always falls between Redis and it.
Test(redis, fault_39_killed_between_redis_and_the_cursor) {
    Ez__V1__Master *master = given_master(&w.admin, "acme");
    for (int round = 0; round < 3; round++) {
        given_key(&w.admin, master->id, "web");
        expect_soon(is_even());
        snprintf(text, sizeof text, "%d", round);
        ask(&w.admin, "Masters/Update", "{'id':1,'master':{'group':'g%s'},'update_mask':['group']}", text);
        expect_soon(is_even());
        kill_server(&w.server);
        start_server(&w.server);
        await_answers(&w);
        expect_soon(is_even());
        snprintf(text, sizeof text, "g%d", round);
        cr_assert_str_eq(says("HGET t:auth:master:1 group"), text);
        const char *keys = says("KEYS t:auth:token:*");
        cr_assert_eq(strlen(keys), (size_t)(round + 1) * 78 - 1, "every key once: %s", keys);
    }
    Ez__V1__SyncStatus *status = sync_status();
    cr_assert_eq(status->depth, 0);
}

Test(redis_off, says_so) {
    given_world(&w, NULL);
    Ez__V1__SyncStatus *status = ask(&w.admin, "Sync/Get", "{}");
    cr_assert_str_eq(status->state, "off");
    cr_assert_str_eq(state_of_server(), "off");
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "REDIS_OFF", "Sync/Rebuild", "{}");
    end_world(&w);
}
