// SPDX-License-Identifier: Apache-2.0
//
// Stopped and started again, or killed: the server is the same. The digest says so for all configuration at once;
// epoch, revision, secrets and credentials are looked at besides.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/trail.h"

static ez_world w;

static void begin(void) {
    given_world(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(restart, .init = begin, .fini = end);

static ez_caller tenant, plane;

static void given_everything(void) {
    given_namespace(&w.admin, "team");
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    tenant = caller_with(&w, acme->master_key);
    plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
    for (int i = 0; i < 20; i++) {
        Ez__V1__Key *key = given_key(&w.admin, acme->id, "k");
        if (i % 4 == 0)
            ask(&w.admin, "Keys/Disable", "{'id':%" PRId64 "}", key->id);
        if (i % 5 == 0)
            ask(&w.admin, "Keys/Delete", "{'id':%" PRId64 "}", key->id);
    }
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'gpt-4o'");
    given_api_key(&w.admin, group->id, "second", "a-secret-that-survives");
    given_binding(&w.admin, "team", "gpt-4o", group->id);
}

static const char *secret_now(void) {
    Ez__V1__GetSecretsResponse *reply = ask(&plane, "Config/Secrets", "{'api_key_ids':[2]}");
    cr_assert_eq(reply->n_changes, 1);
    return reply->changes[0]->secret->api_key;
}

static void expect_same_after(void (*again)(ez_test_server *server)) {
    char before[65], after[65];
    int64_t rows_before, rows_after;
    uint64_t revision_before, revision_after;
    digest_of(&w, before, &rows_before, &revision_before);
    uint64_t epoch = w.admin.info.epoch;
    again(&w.server);
    await_answers(&w);
    digest_of(&w, after, &rows_after, &revision_after);
    cr_assert_str_eq(after, before);
    cr_assert_eq(rows_after, rows_before);
    cr_assert_eq(revision_after, revision_before, "a restart takes no revision");
    cr_assert_eq(w.admin.info.epoch, epoch);
    cr_assert_str_eq(secret_now(), "a-secret-that-survives");
    ask(&tenant, "Self/Get", "{}");
    expect_contiguous_changes(&w, 0);
    Ez__V1__FetchConfigResponse *delta = ask(&plane, "Config/Fetch", "{'revision':{'epoch':%" PRIu64 ",'n':1}}", epoch);
    cr_assert_eq(delta->mode, EZ__V1__FETCH_MODE__FETCH_MODE_DELTA, "the change log survives too");
    cr_assert_eq(delta->to->n, revision_after);
}

static void kill_and_start(ez_test_server *server) {
    kill_server(server);
    start_server(server);
}

Test(restart, a_stop_changes_nothing) {
    given_everything();
    expect_same_after(restart_server);
    uint64_t at = revision_of(&w);
    given_namespace(&w.admin, "after");
    cr_assert_eq(w.admin.info.revision, at + 1, "it goes on where it stopped");
    expect_same_after(restart_server);
}

Test(restart, a_kill_changes_nothing) {
    given_everything();
    expect_same_after(kill_and_start);
    given_namespace(&w.admin, "after");
    expect_same_after(kill_and_start);
}
