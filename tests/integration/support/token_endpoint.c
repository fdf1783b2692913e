// SPDX-License-Identifier: Apache-2.0
//
// The endpoint is a process, so that it is on no clock of the test's and dies with it.
#include "tests/integration/support/token_endpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/alert.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "tests/support/certificate.h"

static void add(ez_token_endpoint *endpoint, size_t *count, const char *format, ...) {
    va_list args;
    cr_assert_lt(*count, EZ_TEST_ENDPOINT_ENV);
    va_start(args, format);
    vsnprintf(endpoint->texts[*count], sizeof endpoint->texts[0], format, args);
    va_end(args);
    endpoint->env[*count] = endpoint->texts[*count];
    (*count)++;
}

static void fill_env(ez_token_endpoint *endpoint, unsigned port, const char *const *more) {
    static const char *const names[] = {"CODEX", "CLAUDE_CODE", "GEMINI_CLI", "ANTIGRAVITY"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        add(endpoint, &count, "EZ_OAUTH_%s_TOKEN_URL=https://127.0.0.1:%u/token", names[i], port);
        if (i < 2)
            continue;
        add(endpoint, &count, "EZ_OAUTH_%s_CLIENT_ID=id", names[i]);
        add(endpoint, &count, "EZ_OAUTH_%s_CLIENT_SECRET=client-secret-canary", names[i]);
        add(endpoint, &count, "EZ_OAUTH_%s_PROJECT_URL=https://127.0.0.1:%u/project", names[i], port);
    }
    add(endpoint, &count, "EZ_OUTBOUND_ALLOW=127.0.0.1");
    add(endpoint, &count, "EZ_CA_FILE=%s", endpoint->certificate);
    add(endpoint, &count, "EZ_TOKEN_REFRESH=true");
    for (; more && *more; more++)
        add(endpoint, &count, "%s", *more);
    endpoint->env[count] = NULL;
}

void given_token_endpoint(ez_token_endpoint *endpoint, unsigned delay_ms, const char *const *more) {
    char key[EZ_TEST_PATH_MAX + 16], log[EZ_TEST_PATH_MAX + 16], delay[16];
    unsigned port = 0;
    *endpoint = (ez_token_endpoint){.process = {.out = -1}};
    given_folder(endpoint->folder);
    snprintf(endpoint->certificate, sizeof endpoint->certificate, "%s/cert.pem", endpoint->folder);
    snprintf(endpoint->log, sizeof endpoint->log, "%s/presented", endpoint->folder);
    snprintf(key, sizeof key, "%s/key.pem", endpoint->folder);
    snprintf(log, sizeof log, "%s/stderr", endpoint->folder);
    snprintf(delay, sizeof delay, "%u", delay_ms);
    given_certificate("IP:127.0.0.1", endpoint->certificate, key);
    const char *const args[] = {
        EZ_TEST_SUPPORT "/token_endpoint.py", endpoint->certificate, key, endpoint->log, delay, NULL};
    static const char *const no_env[] = {NULL};
    start_process(&endpoint->process, EZ_TEST_PYTHON, args, no_env, log);
    cr_assert(wait_for_line(&endpoint->process, "ready "), "the token endpoint did not start: see %s", log);
    cr_assert_eq(sscanf(endpoint->process.line, "ready %u", &port), 1);
    fill_env(endpoint, port, more);
}

void end_token_endpoint(ez_token_endpoint *endpoint) {
    kill_process(&endpoint->process);
    remove_folder(endpoint->folder);
}

void release_answers(const ez_token_endpoint *endpoint) {
    char path[EZ_TEST_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s.release", endpoint->log);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
}

unsigned presented(const ez_token_endpoint *endpoint, const char *prefix) {
    char *text = read_file(endpoint->log);
    unsigned count = 0;
    for (const char *at = text; at && *at;) {
        count += strncmp(at, prefix, strlen(prefix)) == 0;
        const char *end = strchr(at, '\n');
        at = end ? end + 1 : NULL;
    }
    free(text);
    return count;
}

Ez__V1__ProviderGroup *given_oauth_group(ez_caller *admin, const char *type) {
    return ask(admin, "ProviderGroups/Create", "{'provider_group':{'name':'%s','type':'%s','models':['m']}}", type,
               type);
}

int64_t given_oauth_key(ez_caller *admin, int64_t group_id, const char *account, int64_t ends_in_s) {
    char ends[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(ez_clock_wall_ns() / 1000000000 + ends_in_s, 0, ends);
    Ez__V1__ApiKey *key = ask(admin, "ApiKeys/Create",
                              "{'api_key':{'group_id':%" PRId64 ",'name':'%s','access_token':'at-%s-0',"
                              "'refresh_token':'rt-%s-0','expires_at':'%s'}}",
                              group_id, account, account, account, ends);
    return key->id;
}

Ez__V1__ApiKey *read_oauth_key(ez_caller *admin, int64_t id) {
    return ask(admin, "ApiKeys/Get", "{'id':%" PRId64 "}", id);
}

bool is_fresh_key(ez_caller *admin, int64_t id) {
    Ez__V1__ApiKey *key = read_oauth_key(admin, id);
    return key->last_refresh_at && key->expires_at && key->expires_at->seconds > ez_clock_wall_ns() / 1000000000 + 60;
}

bool has_oauth_error(ez_caller *admin, int64_t id, const char *part) {
    return strstr(read_oauth_key(admin, id)->last_refresh_error, part) != NULL;
}

void hash_of_token(const char *token, char out[65]) {
    uint8_t hash[EZ_SHA256_LEN];
    ez_sha256(token, strlen(token), hash);
    ez_hex(hash, sizeof hash, out);
}

ez_status request_refresh(ez_caller *plane, int64_t id, const char *seen, Ez__V1__RequestRefreshResponse **reply) {
    char hash[65];
    void *got = NULL;
    hash_of_token(seen, hash);
    ez_status status =
        try_call(plane, &got, "Tokens/RequestRefresh",
                 "{'api_key_id':%" PRId64 ",'observed_access_token_sha256':'%s','reason':'401'}", id, hash);
    *reply = got;
    return status;
}

int64_t open_alert_about(ez_caller *admin, int64_t id) {
    Ez__V1__ListAlertsResponse *list = ask(admin, "Alerts/List", "{}");
    for (size_t i = 0; i < list->n_items; i++)
        if (list->items[i]->related_id == id && list->items[i]->status == EZ__V1__ALERT_STATUS__ALERT_STATUS_ACTIVE)
            return list->items[i]->id;
    return 0;
}

int64_t running_refreshes(ez_caller *admin, const char *type) {
    Ez__V1__TokenRefreshStatus *status = ask(admin, "TokenRefresh/Get", "{}");
    for (size_t i = 0; i < status->n_providers; i++)
        if (strcmp(status->providers[i]->type, type) == 0)
            return status->providers[i]->running;
    cr_assert_fail("there is no provider %s", type);
    return 0;
}
