// SPDX-License-Identifier: Apache-2.0
//
// Token refresh while servers are killed: no refresh token is presented twice, save where the process died with the
// request in flight, and then once more at most, which the audit says; and every key ends with a live token or in the
// state that says what to do. The endpoint's log is the witness. Three servers on PostgreSQL, one on SQLite.
// EZ_FAULT_ROUNDS: kills; past the default there are 1,000 keys.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/oauth.pb-c.h"
#include "proto/runtime/clock.h"
#include "tests/integration/support/token_endpoint.h"
#include "tests/unit/store/support.h"

#define ROUNDS   6
#define SERVERS  3
#define KEYS_MAX 1000
#define AT_ONCE  8 // EZ_TOKEN_REFRESH_CONCURRENCY

static const char *const settings[] = {"EZ_TOKEN_REFRESH_RATE=40",    "EZ_TOKEN_REFRESH_CONCURRENCY=8",
                                       "EZ_TOKEN_REFRESH_INTERVAL=1", "EZ_TOKEN_REFRESH_CLAIM=6",
                                       "EZ_LEASE_SECONDS=2",          NULL};

static ez_token_endpoint endpoint;
static ez_world worlds[SERVERS];
static size_t server_count;
static size_t key_count;
static int64_t ids[KEYS_MAX];
static unsigned random_state = 7;
static char *marked[4096]; // after each kill: the hashes that claims say were sent, one a line
static size_t marked_count;

static unsigned roll(unsigned below) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % below;
}

static void begin(void) {
    given_token_endpoint(&endpoint, 60, settings);
    given_world(&worlds[0], endpoint.env);
    server_count = worlds[0].server.is_postgres ? SERVERS : 1;
    for (size_t i = 1; i < server_count; i++) {
        worlds[i] = (ez_world){.kept = NULL};
        given_second_server(&worlds[i].server, &worlds[0].server);
        given_callers(&worlds[i]);
    }
}

static void end(void) {
    for (size_t i = server_count; i-- > 0;)
        end_world(&worlds[i]);
    while (marked_count > 0)
        free(marked[--marked_count]);
    end_token_endpoint(&endpoint);
}

TestSuite(oauth_kill, .init = begin, .fini = end, .timeout = 590);

// Every 50th key's login has ended.
static const char *account_of(size_t i, char out[32]) {
    snprintf(out, 32, "%s%zu", i % 50 == 49 ? "grant" : "ok", i);
    return out;
}

static void given_keys(size_t count) {
    char ends[EZ_CLOCK_TEXT_MAX], account[32];
    int64_t codex = given_oauth_group(&worlds[0].admin, "codex")->id;
    size_t room = count * 256 + 64;
    char *json = malloc(room);
    cr_assert_not_null(json);
    ez_clock_format(ez_clock_wall_ns() / 1000000000 - 60, 0, ends);
    size_t len = (size_t)snprintf(json, room, "{'items':[");
    for (size_t i = 0; i < count; i++) {
        account_of(i, account);
        len += (size_t)snprintf(json + len, room - len,
                                "%s{'create':{'group_id':%" PRId64 ",'name':'%s','access_token':'at-%s-0',"
                                "'refresh_token':'rt-%s-0','expires_at':'%s'}}",
                                i ? "," : "", codex, account, account, account, ends);
    }
    snprintf(json + len, room - len, "]}");
    Ez__V1__BatchApiKeysResponse *made = ask(&worlds[0].admin, "ApiKeys/Batch", "%s", json);
    cr_assert_eq(made->succeeded, (int)count);
    for (size_t i = 0; i < count; i++)
        ids[i] = made->results[i]->api_key->id;
    key_count = count;
    free(json);
}

// Somebody meets a 401 meanwhile; what comes of it does not matter here.
static void ask_at_random(void) {
    ez_caller *admin = &worlds[roll((unsigned)server_count)].admin;
    admin->next.timeout_ms = 150;
    admin->next.max_retries = -1;
    void *reply;
    (void)!try_call(admin, &reply, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", ids[roll((unsigned)key_count)]);
}

// What the claims say as the server died, before anybody goes on with it.
static void read_marks(void) {
    const ez_test_server *first = &worlds[0].server;
    place at = {.url = ""};
    const char *name = strrchr(first->database, '/');
    snprintf(at.path, sizeof at.path, "%.*s/ezplane.db", (int)sizeof at.path - 16, first->home);
    if (name)
        snprintf(at.database, sizeof at.database, "%.*s", (int)strcspn(name + 1, "?"), name + 1);
    cr_assert_lt(marked_count, sizeof marked / sizeof marked[0]);
    marked[marked_count++] = rows_of(
        &at, first->is_postgres ? "SELECT encode(sent_hash, 'hex') || ':' || sends FROM oauth_claims WHERE sends > 0"
                                : "SELECT lower(hex(sent_hash)) || ':' || sends FROM oauth_claims WHERE sends > 0");
}

// How often a claim said, at a kill, that this refresh token of the account had been sent.
static unsigned sends_at_a_kill(const char *account, unsigned n) {
    char token[48], hash[65];
    unsigned most = 0;
    snprintf(token, sizeof token, "rt-%s-%u", account, n);
    hash_of_token(token, hash);
    for (size_t i = 0; i < marked_count; i++) {
        const char *row = strstr(marked[i], hash);
        unsigned sends = row ? (unsigned)atoi(row + strlen(hash) + 1) : 0;
        most = sends > most ? sends : most;
    }
    return most;
}

static void kill_one(void) {
    ez_test_server *server = &worlds[roll((unsigned)server_count)].server;
    uint64_t until = ez_clock_mono_ms() + 100 + roll(600);
    while (ez_clock_mono_ms() < until)
        ask_at_random();
    kill_server(server);
    read_marks();
    start_server(server);
}

static bool is_over(int64_t id) {
    Ez__V1__ApiKey *key = read_oauth_key(&worlds[0].admin, id);
    return key->last_refresh_at || key->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED;
}

static unsigned audited(int64_t id) {
    Ez__V1__ListAuditResponse *audit =
        ask(&worlds[0].admin, "Audit/List", "{'actor':'system:oauth','resource':'api_key:%" PRId64 "'}", id);
    return (unsigned)audit->n_items;
}

// How many refresh tokens of the account were presented twice; none may have been more often, and each is one that was
// in flight as a server died.
static unsigned presented_twice(const char *account) {
    unsigned twice = 0, times = 1;
    for (unsigned n = 0; times > 0; n++) {
        char line[48];
        snprintf(line, sizeof line, "%s %u ", account, n);
        times = presented(&endpoint, line);
        cr_assert_leq(times, 2, "%s was presented %u times", line, times);
        cr_assert(times < 2 || sends_at_a_kill(account, n) > 0,
                  "%s was presented twice, and no claim said at a kill that it was sent", line);
        twice += times == 2;
    }
    return twice;
}

// Two kills found one of its tokens marked, each before anybody could know whether it had been sent.
static bool was_killed_twice(const char *account) {
    for (unsigned n = 0; n < 64; n++)
        if (sends_at_a_kill(account, n) >= 2)
            return true;
    return false;
}

static unsigned check_account(size_t i) {
    char account[32];
    unsigned twice = presented_twice(account_of(i, account));
    Ez__V1__ApiKey *key = read_oauth_key(&worlds[0].admin, ids[i]);
    bool is_live = key->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE && key->last_refresh_at;
    cr_assert(twice == 0 || audited(ids[i]) >= 2, "%s was presented again and the audit does not say so", account);
    if (account[0] == 'g')
        cr_assert_not(is_live, "%s", account);
    else
        cr_assert(is_live || (twice > 0 && strstr(key->last_refresh_error, "refresh_token_reused")) ||
                      (was_killed_twice(account) && strstr(key->last_refresh_error, "sent twice")),
                  "%s: %u of its tokens were presented twice and it ended as %d: %s", account, twice, key->status,
                  key->last_refresh_error);
    return twice;
}

Test(oauth_kill, no_refresh_token_is_burnt_by_a_race) {
    const char *given = getenv("EZ_FAULT_ROUNDS");
    unsigned rounds = given ? (unsigned)atoi(given) : ROUNDS, twice = 0;
    uint64_t began = ez_clock_mono_ms();
    given_keys(rounds > ROUNDS ? KEYS_MAX : 200);
    for (unsigned i = 0; i < rounds; i++)
        kill_one();
    for (size_t i = 0; i < server_count; i++)
        await_answers(&worlds[i]);
    for (size_t i = 0; i < key_count; i++)
        expect_soon(is_over(ids[i]));
    for (size_t i = 0; i < key_count; i++)
        twice += check_account(i);
    cr_expect_leq(twice, rounds * AT_ONCE, "%u were presented twice, and %u kills found %d in flight each at most",
                  twice, rounds, AT_ONCE);
    fprintf(stderr, "oauth_kill: %zu keys, %zu servers, %u kills in %llu ms; presented twice: %u\n", key_count,
            server_count, rounds, (unsigned long long)(ez_clock_mono_ms() - began), twice);
}
