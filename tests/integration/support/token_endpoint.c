// SPDX-License-Identifier: Apache-2.0
//
// The endpoint is a process, so that it is on no clock of the test's and dies with it.
#include "tests/integration/support/token_endpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
