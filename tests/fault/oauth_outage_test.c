// SPDX-License-Identifier: Apache-2.0
//
// Token refresh while PostgreSQL is away: no refresh token is presented, whether its key is due or somebody asks; what
// providers had answered is kept, and stored when the store is back. Each token is presented once.
#include <stdio.h>
#include <string.h>

#include "tests/fault/support/forwarder.h"
#include "tests/fault/support/own_postgres.h"
#include "tests/integration/support/token_endpoint.h"

#define KEYS 4 // of each kind

static const char *const settings[] = {"EZ_TOKEN_REFRESH_RATE=200",
                                       "EZ_TOKEN_REFRESH_CONCURRENCY=16",
                                       "EZ_TOKEN_REFRESH_INTERVAL=1",
                                       "EZ_TOKEN_REFRESH_CLAIM=60",
                                       "EZ_TOKEN_REFRESH_BEFORE=60s",
                                       "EZ_LEASE_SECONDS=2",
                                       NULL};

static ez_world w;
static ez_token_endpoint endpoint;
static ez_forwarder *line;
static int64_t codex;

static void begin(void) {
    char through[EZ_TEST_URL_MAX];
    given_token_endpoint(&endpoint, 0, settings);
    given_world(&w, endpoint.env);
    line = given_forwarder(w.server.database, through, sizeof through);
    stop_server(&w.server);
    snprintf(w.server.store, sizeof w.server.store, "%s", through);
    start_server(&w.server);
    await_answers(&w);
    codex = given_oauth_group(&w.admin, "codex")->id;
}

static void end(void) {
    end_world(&w);
    end_forwarder(line);
    end_token_endpoint(&endpoint);
}

static void given_keys(const char *kind, int64_t ends_in_s, int64_t ids[KEYS]) {
    char account[16];
    for (int i = 0; i < KEYS; i++) {
        snprintf(account, sizeof account, "%s%d", kind, i);
        ids[i] = given_oauth_key(&w.admin, codex, account, ends_in_s);
    }
}

static int64_t due(void) {
    Ez__V1__TokenRefreshStatus *status = ask(&w.admin, "TokenRefresh/Get", "{}");
    for (size_t i = 0; i < status->n_providers; i++)
        if (strcmp(status->providers[i]->type, "codex") == 0)
            return status->providers[i]->due;
    return 0;
}

static bool are_fresh(const int64_t ids[KEYS]) {
    for (int i = 0; i < KEYS; i++)
        if (!is_fresh_key(&w.admin, ids[i]))
            return false;
    return true;
}

static ez_status refresh(int64_t id) {
    w.admin.next = (ez_call_options){.timeout_ms = 3000, .max_retries = -1};
    return try_call(&w.admin, NULL, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id);
}

// Nothing of what the store has is known to be so: neither a claim nor a mark can be had.
static void expect_nothing_asked(const int64_t asked[KEYS]) {
    for (int i = 0; i < KEYS; i++) {
        ez_status status = refresh(asked[i]);
        cr_expect(status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED, "%s", ez_status_name(status));
    }
    unsigned before = presented(&endpoint, "soon");
    expect_soon(due() + 1 >= KEYS - before); // those that were not refreshed before; one may be tried just now
    cr_expect_eq(presented(&endpoint, "soon"), before);
    cr_expect_eq(presented(&endpoint, "asked"), 0);
    cr_expect_eq(presented(&endpoint, "hold"), KEYS, "and nothing again");
}

static void expect_each_once(const char *kind) {
    char line_of[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(line_of, sizeof line_of, "%s%d 0 ", kind, i);
        cr_expect_eq(presented(&endpoint, line_of), 1, "%s", line_of);
    }
}

Test(oauth_outage, nothing_is_asked_without_the_store_and_no_answer_is_lost, .timeout = 180) {
    int64_t held[KEYS], asked[KEYS], soon[KEYS];
    need_postgres();
    begin();
    given_keys("asked", 20 * 24 * 3600, asked);
    given_keys("soon", 75, soon); // due in ten seconds or so
    given_keys("hold", 30, held);
    expect_soon(presented(&endpoint, "hold") == KEYS);
    close_forwarder(line);
    release_answers(&endpoint);
    expect_soon(presented(&endpoint, "answered hold") == KEYS);
    expect_nothing_asked(asked);
    cr_expect_geq(running_refreshes(&w.admin, "codex"), KEYS, "what was answered is kept");
    cr_expect_not(is_fresh_key(&w.admin, held[0]));
    open_forwarder(line);
    expect_soon(are_fresh(held));
    expect_soon(are_fresh(soon));
    for (int i = 0; i < KEYS; i++)
        expect_soon(refresh(asked[i]) == EZ_OK);
    expect_each_once("hold");
    expect_each_once("asked");
    expect_each_once("soon");
    end();
}
