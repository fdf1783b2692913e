// SPDX-License-Identifier: Apache-2.0
//
// Token refresh from end to end, against an endpoint that rotates tokens: what is due and what is asked for, each class
// of error as a key and an admin see it, and secrets, which are nowhere but where they belong.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/oauth.pb-c.h"
#include "ez/v1/system.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "tests/integration/support/listener.h"
#include "tests/integration/support/plane.h"
#include "tests/integration/support/token_endpoint.h"
#include "tests/support/redis.h"

static const char *const quick[] = {"EZ_TOKEN_REFRESH_RATE=200", "EZ_TOKEN_REFRESH_INTERVAL=1", "EZ_LEASE_SECONDS=2",
                                    NULL};

static ez_world w;
static ez_token_endpoint endpoint;
static ez_caller plane;
static int64_t codex;

static void begin(void) {
    given_token_endpoint(&endpoint, 0, quick);
    given_world(&w, endpoint.env);
    plane = caller_with(&w, given_plane(&w.admin, "dp")->token);
    codex = given_oauth_group(&w.admin, "codex")->id;
}

static void end(void) {
    end_world(&w);
    end_token_endpoint(&endpoint);
}

TestSuite(oauth, .init = begin, .fini = end, .timeout = 180);

static bool is_fresh(int64_t id) {
    return is_fresh_key(&w.admin, id);
}

static bool has_error(int64_t id, const char *part) {
    return has_oauth_error(&w.admin, id, part);
}

static const Ez__V1__TokenRefreshProvider *look(const char *type) {
    Ez__V1__TokenRefreshStatus *status = ask(&w.admin, "TokenRefresh/Get", "{}");
    for (size_t i = 0; i < status->n_providers; i++)
        if (strcmp(status->providers[i]->type, type) == 0)
            return status->providers[i];
    cr_assert_fail("there is no provider %s", type);
    return NULL;
}

static int64_t failing_of(const Ez__V1__TokenRefreshProvider *provider, const char *class) {
    for (size_t i = 0; i < provider->n_failing; i++)
        if (strcmp(provider->failing[i]->class_, class) == 0)
            return provider->failing[i]->keys;
    return 0;
}

static int64_t failing(const char *type, const char *class) {
    return failing_of(look(type), class);
}

static ez_status request(int64_t id, const char *seen, Ez__V1__RequestRefreshResponse **reply) {
    return request_refresh(&plane, id, seen, reply);
}

// ---- What is due

Test(oauth, a_key_whose_time_has_come_is_refreshed) {
    int64_t due = given_oauth_key(&w.admin, codex, "ok1", 60);
    int64_t later = given_oauth_key(&w.admin, codex, "ok2", 20 * 24 * 3600);
    int64_t dead = given_oauth_key(&w.admin, codex, "ok3", -60);
    ask(&w.admin, "ApiKeys/Update", "{'id':%" PRId64 ",'api_key':{'status':'disabled'},'update_mask':['status']}",
        dead);
    expect_soon(is_fresh(due));
    expect_soon(is_fresh(dead));
    cr_expect_eq(read_oauth_key(&w.admin, dead)->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED);
    cr_expect_eq(presented(&endpoint, "ok2 "), 0);
    cr_expect_not_null(read_oauth_key(&w.admin, later)->next_refresh_at);
    cr_expect_eq(presented(&endpoint, "ok1 "), 1);
    cr_expect_str_eq(read_oauth_key(&w.admin, due)->last_refresh_error, "");
    cr_expect_eq(look("codex")->keys, 3);
}

Test(oauth, every_provider_and_body_form) {
    static const char *const types[] = {"claude-code", "gemini-cli", "antigravity"};
    for (size_t i = 0; i < 3; i++) {
        int64_t group = given_oauth_group(&w.admin, types[i])->id;
        int64_t kept = given_oauth_key(&w.admin, group, i == 0 ? "keep-c" : i == 1 ? "keep-g" : "keep-a", 30);
        expect_soon(is_fresh(kept));
        if (i > 0)
            expect_soon(strcmp(read_oauth_key(&w.admin, kept)->project_id, "project-7") == 0);
    }
    int64_t packed = given_oauth_key(&w.admin, codex, "zip1", 30);
    expect_soon(is_fresh(packed));
}

// ---- What is asked for

Test(oauth, a_data_plane_asks_and_has_the_new_token) {
    int64_t id = given_oauth_key(&w.admin, codex, "ok1", 20 * 24 * 3600);
    Ez__V1__RequestRefreshResponse *reply;
    expect_ok(request(id, "at-ok1-0", &reply), &plane.error);
    cr_expect_eq(reply->outcome, EZ__V1__REFRESH_OUTCOME__REFRESH_OUTCOME_REFRESHED);
    cr_expect_str_eq(reply->secret->access_token, "at-ok1-1");
    cr_expect_str_eq(reply->secret->refresh_token, "rt-ok1-1");
    expect_ok(request(id, "at-ok1-0", &reply), &plane.error);
    cr_expect_eq(reply->outcome, EZ__V1__REFRESH_OUTCOME__REFRESH_OUTCOME_ALREADY, "a token that was replaced already");
    cr_expect_str_eq(reply->secret->access_token, "at-ok1-1");
    cr_expect_eq(presented(&endpoint, "ok1 "), 1, "makes no call");
    Ez__V1__RefreshApiKeyResponse *admin = ask(&w.admin, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id);
    cr_expect_eq(admin->outcome, EZ__V1__REFRESH_OUTCOME__REFRESH_OUTCOME_REFRESHED);
    cr_expect_eq(presented(&endpoint, "ok1 "), 2);
}

// The call was answered while its turn was not planned yet.
Test(oauth, a_refresh_says_when_the_next_one_is) {
    int64_t id = given_oauth_key(&w.admin, codex, "ok1", 20 * 24 * 3600);
    Ez__V1__RefreshApiKeyResponse *reply = ask(&w.admin, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id);
    Ez__V1__ApiKey *key;
    expect_soon((key = read_oauth_key(&w.admin, id))->next_refresh_at != NULL);
    cr_assert_not_null(reply->next_refresh_at);
    cr_expect_eq(reply->next_refresh_at->seconds, key->next_refresh_at->seconds);
    cr_expect_lt(reply->next_refresh_at->seconds, reply->expires_at->seconds);
}

Test(oauth, what_can_not_be_refreshed_is_refused) {
    Ez__V1__ProviderGroup *plain = given_group(&w.admin, "plain", "'m'");
    expect_refused(&w.admin, EZ_NOT_FOUND, NULL, "TokenRefresh/Refresh", "{'id':999}");
    Ez__V1__ApiKey *key = given_api_key(&w.admin, plain->id, "k", "sk-plain");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "NO_OAUTH_TOKENS", "TokenRefresh/Refresh", "{'id':%" PRId64 "}",
                   key->id);
    key = ask(&w.admin, "ApiKeys/Create", "{'api_key':{'group_id':%" PRId64 ",'access_token':'at-only'}}", codex);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NO_REFRESH_TOKEN", "TokenRefresh/Refresh", "{'id':%" PRId64 "}",
                   key->id);
    expect_refused(&plane, EZ_PERMISSION_DENIED, NULL, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", key->id);
    expect_refused(&w.admin, EZ_PERMISSION_DENIED, NULL, "Tokens/RequestRefresh", "{'api_key_id':%" PRId64 "}",
                   key->id);
    expect_refused(&plane, EZ_INVALID_ARGUMENT, "HASH_LENGTH", "Tokens/RequestRefresh",
                   "{'api_key_id':%" PRId64 ",'observed_access_token_sha256':'abcd'}", key->id);
}

// ---- A hundred at once

#define PLANES 100

typedef struct asking {
    pthread_mutex_t lock;
    pthread_cond_t over;
    unsigned answers, good;
} asking;

static void note_answer(void *user, const ez_call_result *result) {
    asking *it = user;
    Ez__V1__RequestRefreshResponse *reply =
        ez__v1__request_refresh_response__unpack(NULL, result->reply.len, result->reply.data);
    bool is_good =
        result->status == EZ_OK && reply && reply->secret && strcmp(reply->secret->access_token, "at-ok1-1") == 0;
    pthread_mutex_lock(&it->lock);
    it->answers++;
    it->good += is_good;
    pthread_cond_signal(&it->over);
    pthread_mutex_unlock(&it->lock);
    if (reply)
        ez__v1__request_refresh_response__free_unpacked(reply, NULL);
}

static void ask_as_all(asking *it, int64_t id, const char tokens[PLANES][80]) {
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__RequestRefreshRequest request = EZ__V1__REQUEST_REFRESH_REQUEST__INIT;
    uint8_t hash[EZ_SHA256_LEN];
    ez_sha256("at-ok1-0", 8, hash);
    request.api_key_id = id;
    request.observed_access_token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    const ez_method *method = ez_method_find("ez.v1.Tokens/RequestRefresh", 27);
    for (int i = 0; i < PLANES; i++) {
        ez_call_options options = {.authorization = tokens[i]};
        expect_ok(ez_client_start(w.client, method, &request.base, &options, note_answer, it, &error), &error);
    }
    pthread_mutex_lock(&it->lock);
    while (it->answers < PLANES)
        pthread_cond_wait(&it->over, &it->lock);
    pthread_mutex_unlock(&it->lock);
}

Test(oauth, a_hundred_data_planes_that_meet_a_401_have_the_new_token_together) {
    static char tokens[PLANES][80];
    asking it = {.lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < PLANES; i++) {
        char name[16];
        snprintf(name, sizeof name, "dp%d", i);
        snprintf(tokens[i], sizeof tokens[i], "%s", given_plane(&w.admin, name)->token);
    }
    int64_t id = given_oauth_key(&w.admin, codex, "ok1", 20 * 24 * 3600);
    uint64_t began = ez_clock_mono_ns();
    ask_as_all(&it, id, (const char(*)[80])tokens);
    fprintf(stderr, "oauth: a new token at %d data planes after %.1f ms, the endpoint's own time included\n", PLANES,
            (double)(ez_clock_mono_ns() - began) / 1e6);
    cr_expect_eq(it.good, PLANES);
    cr_expect_eq(presented(&endpoint, "ok1 "), 1, "one call for all");
}

// ---- By Redis

static ez_test_redis redis;

static void begin_with_redis(void) {
    char url[96];
    const char *const env[] = {quick[0], quick[1], url, NULL};
    given_redis(&redis, NULL);
    snprintf(url, sizeof url, "EZ_REDIS_URL=%s", redis.url);
    given_token_endpoint(&endpoint, 0, env);
    given_world(&w, endpoint.env);
    codex = given_oauth_group(&w.admin, "codex")->id;
}

static void end_with_redis(void) {
    end();
    end_redis(&redis);
}

TestSuite(oauth_redis, .init = begin_with_redis, .fini = end_with_redis, .timeout = 180);

Test(oauth_redis, the_queue_is_served_and_the_new_token_is_in_redis) {
    char hash[65];
    int64_t id = given_oauth_key(&w.admin, codex, "ok1", 20 * 24 * 3600);
    hash_of_token("at-ok1-0", hash);
    int64_t down = given_oauth_key(&w.admin, codex, "down1", 20 * 24 * 3600);
    for (int i = 0; i < 3; i++) // one that fails holds up nobody
        redis_says(&redis, "RPUSH token:refresh:queue {\"api_key_id\":%lld}", (long long)down);
    for (int i = 0; i < 3; i++)
        redis_says(&redis, "RPUSH token:refresh:queue {\"api_key_id\":%lld,\"observed_access_token_sha256\":\"%s\"}",
                   (long long)id, hash);
    redis_says(&redis, "RPUSH token:refresh:queue {\"api_key_id\":99999}");
    expect_soon(is_fresh(id));
    expect_soon(strstr(redis_says(&redis, "HGET config:providers %lld", (long long)id), "at-ok1-1") != NULL);
    expect_soon(strcmp(redis_says(&redis, "LLEN token:refresh:dead"), "1") == 0);
    expect_soon(strcmp(redis_says(&redis, "LLEN token:refresh:processing"), "0") == 0);
    cr_expect_eq(presented(&endpoint, "ok1 "), 1, "three asked for one and the same token");
}

// ---- Errors

Test(oauth, a_token_that_was_refused_for_good_ends_when_its_access_token_does) {
    int64_t live = given_oauth_key(&w.admin, codex, "grant1", 3600);
    expect_soon(has_error(live, "invalid_grant"));
    Ez__V1__ApiKey *key = read_oauth_key(&w.admin, live);
    cr_expect_eq(key->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE, "its access token is good still");
    cr_expect_not_null(key->refresh_ended_at);
    expect_soon(failing("codex", "terminal") == 1); // counted after the commit that was seen above
    int64_t dead = given_oauth_key(&w.admin, codex, "grant2", -1);
    expect_soon(read_oauth_key(&w.admin, dead)->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED);
    Ez__V1__RequestRefreshResponse *reply;
    cr_expect_eq(request(live, "at-grant1-0", &reply), EZ_FAILED_PRECONDITION);
    cr_expect_str_eq(plane.error.reason, "REFRESH_TOKEN_ENDED");
    expect_soon(read_oauth_key(&w.admin, live)->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED);
    cr_expect_eq(presented(&endpoint, "grant1 "), 1);
    // New tokens, and it is as if nothing had been.
    ask(&w.admin, "ApiKeys/Update",
        "{'id':%" PRId64
        ",'api_key':{'access_token':'at-new','refresh_token':'rt-ok9-0'},'update_mask':['access_token',"
        "'refresh_token']}",
        live);
    expect_soon(is_fresh(live));
    key = read_oauth_key(&w.admin, live);
    cr_expect_eq(key->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE);
    cr_expect_null(key->refresh_ended_at);
    cr_expect_str_eq(key->last_refresh_error, "");
}

// A key without expires_at was taken for dead.
Test(oauth, an_end_that_is_not_told_is_not_an_end) {
    static const char *const tokens[] = {"at-plain", "e30.eyJleHAiOjQxMDI0NDQ4MDB9.s",
                                         "e30.eyJleHAiOjEwMDAwMDAwMDB9.s"};
    int64_t ids[3];
    for (int i = 0; i < 3; i++) {
        Ez__V1__ApiKey *key =
            ask(&w.admin, "ApiKeys/Create",
                "{'api_key':{'group_id':%" PRId64 ",'name':'k%d','access_token':'%s','refresh_token':'rt-grant%d-0'}}",
                codex, i, tokens[i], i);
        ids[i] = key->id;
        expect_soon(has_error(ids[i], "invalid_grant"));
    }
    cr_expect_eq(read_oauth_key(&w.admin, ids[0])->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE);
    cr_expect_null(read_oauth_key(&w.admin, ids[0])->next_refresh_at);
    Ez__V1__ApiKey *key = read_oauth_key(&w.admin, ids[1]);
    cr_expect_eq(key->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE);
    cr_assert_not_null(key->expires_at, "the token itself tells its end");
    cr_expect_eq(key->expires_at->seconds, 4102444800);
    cr_expect_eq(read_oauth_key(&w.admin, ids[2])->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED);
    Ez__V1__RequestRefreshResponse *reply;
    cr_expect_eq(request(ids[0], tokens[0], &reply), EZ_FAILED_PRECONDITION);
    expect_soon(read_oauth_key(&w.admin, ids[0])->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED);
    cr_expect_eq(presented(&endpoint, "grant0 "), 1);
}

static int64_t alert_about(int64_t id) {
    return open_alert_about(&w.admin, id);
}

// Between the commit and the alert a server may die; nobody was told then.
Test(oauth, a_server_that_starts_tells_of_the_logins_that_ended) {
    int64_t id = given_oauth_key(&w.admin, codex, "grant1", 3600);
    expect_soon(alert_about(id) != 0);
    ask(&w.admin, "Alerts/Delete", "{'id':%" PRId64 "}", alert_about(id));
    kill_server(&w.server);
    start_server(&w.server);
    await_answers(&w);
    expect_soon(alert_about(id) != 0);
    cr_expect_eq(presented(&endpoint, "grant1 "), 1);
}

static void expect_client_refused(int64_t id) {
    const Ez__V1__TokenRefreshProvider *provider;
    expect_soon((provider = look("gemini-cli"))->paused_until != NULL);
    char met_by[64];
    snprintf(met_by, sizeof met_by, "invalid_client for API key %" PRId64 ": ", id);
    cr_expect(strncmp(provider->last_error, met_by, strlen(met_by)) == 0, "%s", provider->last_error);
    cr_expect(strstr(provider->last_error, "EZ_OAUTH_GEMINI_CLI_CLIENT_ID"), "%s", provider->last_error);
    cr_expect_eq(failing_of(provider, "setting"), 1);
    cr_expect_eq(read_oauth_key(&w.admin, id)->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE);
    expect_soon(is_fresh(id));
    cr_expect_null(look("gemini-cli")->paused_until);
}

// An answer that was lost is asked for once more.
typedef struct lost {
    int64_t unused; // and the token is good still
    int64_t used;   // and the token is used up
    int64_t never;  // each time
} lost;

static lost given_lost(void) {
    return (lost){.unused = given_oauth_key(&w.admin, codex, "unused1", 30),
                  .used = given_oauth_key(&w.admin, codex, "lost1", -1),
                  .never = given_oauth_key(&w.admin, codex, "never1", 3600)};
}

static void expect_given_up(int64_t never) {
    expect_soon(presented(&endpoint, "never1 0") == 2);
    expect_soon(has_error(never, "sent twice"));
    expect_soon(read_oauth_key(&w.admin, never)->next_refresh_at == NULL && look("codex")->running == 0);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "REFRESH_TOKEN_ENDED", "TokenRefresh/Refresh",
                   "{'id':%" PRId64 "}", never);
    cr_expect_eq(presented(&endpoint, "never1 0"), 2, "and no more by itself");
    Ez__V1__ListAuditResponse *audit =
        ask(&w.admin, "Audit/List", "{'actor':'system:oauth','resource':'api_key:%" PRId64 "'}", never);
    size_t once_more = 0;
    for (size_t i = 0; i < audit->n_items; i++)
        once_more += strstr(audit->items[i]->request, "presented once more") != NULL;
    cr_expect_eq(once_more, 1, "and the audit says so");
}

static void expect_lost(const lost *keys) {
    expect_soon(is_fresh(keys->unused));
    cr_expect_eq(presented(&endpoint, "unused1 0"), 2);
    expect_soon(read_oauth_key(&w.admin, keys->used)->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED);
    cr_expect_eq(presented(&endpoint, "lost1 0"), 2);
    expect_given_up(keys->never);
}

// What has to be waited for is waited for together; a client that is refused costs no key.
Test(oauth, trouble_passes) {
    lost keys = given_lost();
    int64_t group = given_oauth_group(&w.admin, "claude-code")->id;
    int64_t html = given_oauth_key(&w.admin, group, "html1", 30);
    int64_t flaky = given_oauth_key(&w.admin, group, "flaky1", 30);
    int64_t limited = given_oauth_key(&w.admin, group, "limit1", 30);
    int64_t refused = given_oauth_key(&w.admin, given_oauth_group(&w.admin, "gemini-cli")->id, "client1", 30);
    expect_client_refused(refused);
    expect_lost(&keys);
    expect_soon(is_fresh(html));
    expect_soon(is_fresh(flaky));
    expect_soon(is_fresh(limited));
    cr_expect_eq(presented(&endpoint, "limit1 "), 2);
    cr_expect_eq(presented(&endpoint, "flaky1 "), 3);
}

Test(oauth, who_asks_again_too_soon_is_told_so) {
    int64_t id = given_oauth_key(&w.admin, codex, "down1", 20 * 24 * 3600);
    Ez__V1__RequestRefreshResponse *reply;
    cr_expect_eq(request(id, "at-down1-0", &reply), EZ_ABORTED);
    cr_expect_str_eq(plane.error.reason, "REFRESH_FAILED");
    for (int i = 0; i < 20; i++)
        cr_expect_eq(request(id, "at-down1-0", &reply), EZ_ABORTED);
    cr_expect_leq(presented(&endpoint, "down1 "), 6);
}

// The access token was stored with the refresh token that it had replaced, which was then presented as if it were good.
Test(oauth, a_token_that_is_too_long_is_no_answer) {
    int64_t id = given_oauth_key(&w.admin, codex, "wide1", -1);
    expect_soon(read_oauth_key(&w.admin, id)->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED);
    cr_expect_null(read_oauth_key(&w.admin, id)->last_refresh_at, "nothing of it is stored");
    cr_expect_eq(presented(&endpoint, "wide1 0"), 2);
}

Test(oauth, an_endless_body_is_no_answer) {
    int64_t id = given_oauth_key(&w.admin, codex, "endless1", 30);
    expect_soon(has_error(id, "may be used up"));
}

// ---- Secrets

static void expect_absent(const char *where, const char *text, const char *secret) {
    cr_assert_null(strstr(text, secret), "%s is in %s", secret, where);
}

Test(oauth, secrets_are_nowhere_to_be_read) {
    static const char *const secrets[] = {"rt-canary1", "at-canary1",          "rt-ok", "at-ok", "rt-grant",
                                          "at-grant",   "client-secret-canary"};
    ez_listener config, events;
    given_listener(&config, w.server.config_url);
    given_silent_listener(&events, w.server.events_url);
    int64_t bad = given_oauth_key(&w.admin, codex, "canary1", -1);
    int64_t good = given_oauth_key(&w.admin, codex, "ok1", -1);
    int64_t google = given_oauth_key(&w.admin, given_oauth_group(&w.admin, "gemini-cli")->id, "ok2", -1);
    int64_t gone = given_oauth_key(&w.admin, codex, "grant1", -1);
    expect_soon(is_fresh(good));
    expect_soon(is_fresh(google));
    expect_soon(failing("codex", "transient") == 1);
    expect_soon(has_error(gone, "invalid_grant"));
    expect_soon(listener_has(&config, "grant1", 6) && listener_has(&events, "Login ended", 11));
    Ez__V1__RequestRefreshResponse *reply;
    cr_expect_eq(request(bad, "at-canary1-0", &reply), EZ_ABORTED);
    char *log = read_file(w.server.process.log);
    Ez__V1__ListAuditResponse *audit = ask(&w.admin, "Audit/List", "{'page_size':100}");
    Ez__V1__Metrics *metrics = ask(&w.admin, "System/GetMetrics", "{}");
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        cr_assert_not(listener_has(&config, secrets[i], strlen(secrets[i])), "%s was pushed", secrets[i]);
        cr_assert_not(listener_has(&events, secrets[i], strlen(secrets[i])), "%s was published", secrets[i]);
        expect_absent("the log", log, secrets[i]);
        expect_absent("an error", plane.error.message, secrets[i]);
        expect_absent("a key", read_oauth_key(&w.admin, bad)->last_refresh_error, secrets[i]);
        expect_absent("the metrics", metrics->text, secrets[i]);
        for (size_t j = 0; j < audit->n_items; j++)
            expect_absent("the audit", audit->items[j]->request, secrets[i]);
    }
    free(log);
    end_listener(&events);
    end_listener(&config);
}
