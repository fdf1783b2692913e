// SPDX-License-Identifier: Apache-2.0
//
// Settings of providers, and what is sent by them.
#include <string.h>

#include "server/domain/oauth/providers/providers.h"
#include "server/domain/oauth/request.h"
#include "tests/support/expect.h"

static ez_outbound_allow *allow;
static ez_oauth_source source;
static ez_error error;

static void begin(void) {
    ez_error_clear(&error);
    cr_assert_eq(ez_outbound_allow_create("127.0.0.1", &allow, &error), EZ_OK);
}

static void end(void) {
    ez_oauth_source_fini(&source);
    ez_outbound_allow_destroy(allow);
}

TestSuite(oauth_source, .init = begin, .fini = end);

static ez_status make(const ez_oauth_provider *provider, ez_oauth_setting setting) {
    ez_oauth_source_fini(&source);
    return ez_oauth_source_init(&source, provider, &setting, allow, &error);
}

static const char *body_of(const char *refresh_token, const char *scope) {
    static char text[1024];
    ez_oauth_request request;
    cr_assert_eq(ez_oauth_request_refresh(&request, &source, refresh_token, scope), EZ_OK);
    snprintf(text, sizeof text, "%s", ez_buf_cstr(&request.body));
    ez_oauth_request_fini(&request);
    return text;
}

Test(oauth_source, defaults_make_codex_and_claude_code_work) {
    expect_ok(make(&ez_oauth_codex, (ez_oauth_setting){.token_url = ""}), &error);
    cr_expect(ez_oauth_source_is_set(&source));
    cr_expect_str_eq(source.token_url, "https://auth.openai.com/oauth/token");
    cr_expect_str_eq(body_of("rt\"1", "ignored"), "{\"grant_type\":\"refresh_token\",\"refresh_token\":\"rt\\\"1\","
                                                  "\"client_id\":\"app_EMoamEEZ73f0CkXaXp7hrann\"}");
    expect_ok(make(&ez_oauth_claude_code, (ez_oauth_setting){.token_url = NULL}), &error);
    cr_expect(strstr(body_of("rt", "user:inference"), "\"scope\":\"user:inference\""));
    cr_expect_null(strstr(body_of("rt", ""), "scope"));
}

Test(oauth_source, google_wants_a_client_and_gets_a_form) {
    expect_ok(make(&ez_oauth_gemini_cli, (ez_oauth_setting){.client_id = "id"}), &error);
    cr_expect_not(ez_oauth_source_is_set(&source), "without a secret nobody is asked");
    expect_ok(make(&ez_oauth_gemini_cli, (ez_oauth_setting){.client_id = "id", .client_secret = "s&t"}), &error);
    cr_expect(ez_oauth_source_is_set(&source));
    cr_expect_str_eq(body_of("1//a b", "x"),
                     "grant_type=refresh_token&refresh_token=1%2F%2Fa%20b&client_id=id&client_secret=s%26t");
    cr_expect_not_null(source.project_url);
}

Test(oauth_source, headers_are_json) {
    expect_ok(make(&ez_oauth_codex, (ez_oauth_setting){.headers = "{\"X-One\":\"1\",\"User-Agent\":\"mine; x\"}"}),
              &error);
    cr_expect_eq(source.header_count, 2);
    ez_oauth_request request;
    cr_assert_eq(ez_oauth_request_refresh(&request, &source, "rt", ""), EZ_OK);
    cr_expect_eq(request.header_count, 4);
    ez_oauth_request_fini(&request);
    static const char *const bad[] = {
        "X: 1", "[]", "{\"X\":1}", "{\"Host\":\"x\"}", "{\"a b\":\"x\"}", "{\"X\":\"a\\nb\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_reason(EZ_INVALID_ARGUMENT, "OAUTH_HEADERS_INVALID",
                      make(&ez_oauth_codex, (ez_oauth_setting){.headers = bad[i]}), &error);
}

Test(oauth_source, urls_are_guarded) {
    expect_reason(EZ_INVALID_ARGUMENT, "URL_NOT_ALLOWED",
                  make(&ez_oauth_codex, (ez_oauth_setting){.token_url = "https://10.0.0.1/t"}), &error);
    cr_expect(strstr(error.message, "EZ_OAUTH_CODEX_TOKEN_URL"), "%s", error.message);
    expect_ok(make(&ez_oauth_codex, (ez_oauth_setting){.token_url = "https://127.0.0.1:9/t"}), &error);
}

Test(oauth_source, before_is_for_all_or_for_each) {
    ez_oauth_source all[EZ_OAUTH_PROVIDERS] = {0};
    expect_ok(ez_oauth_read_before("codex=2h,antigravity=90s", all, &error), &error);
    cr_expect_eq(all[0].before_s, 7200);
    cr_expect_eq(all[1].before_s, 0);
    cr_expect_eq(all[3].before_s, 90);
    expect_ok(ez_oauth_read_before("5m", all, &error), &error);
    cr_expect_eq(all[0].before_s, 300);
    expect_ok(ez_oauth_read_before(NULL, all, &error), &error);
    static const char *const bad[] = {"0", "x", "codex", "codex=", "openai=1h", "1d", "31536000", "5m,,", "99999999h"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(ez_oauth_read_before(bad[i], all, &error), EZ_INVALID_ARGUMENT, "%s", bad[i]);
}

Test(oauth_source, a_project_is_a_text_or_an_object) {
    char project[EZ_OAUTH_TEXT_MAX] = "";
    static const char text[] = "{\"cloudaicompanionProject\":\"p-1\"}",
                      object[] = "{\"cloudaicompanionProject\":{\"id\":\"p-2\"}}", none[] = "{\"x\":1}";
    cr_expect(ez_oauth_read_project((ez_slice){(const uint8_t *)text, sizeof text - 1}, NULL, project));
    cr_expect_str_eq(project, "p-1");
    cr_expect(ez_oauth_read_project((ez_slice){(const uint8_t *)object, sizeof object - 1}, NULL, project));
    cr_expect_str_eq(project, "p-2");
    cr_expect_not(ez_oauth_read_project((ez_slice){(const uint8_t *)none, sizeof none - 1}, NULL, project));
}
