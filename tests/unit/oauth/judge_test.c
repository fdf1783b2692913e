// SPDX-License-Identifier: Apache-2.0
//
// The error table of docs/oauth.md, a test a row, and what is taken from a reply that is good.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "server/domain/oauth/judge.h"
#include "server/domain/oauth/providers/providers.h"

static ez_oauth_verdict verdict;
static ez_oauth_tokens tokens;

static ez_oauth_class judge(const ez_oauth_provider *provider, ez_oauth_answer answer) {
    ez_oauth_judge(provider, &answer, 1700000000, &verdict, &tokens);
    return verdict.class;
}

static ez_oauth_class replied(const ez_oauth_provider *provider, int http_status, const char *body) {
    return judge(
        provider,
        (ez_oauth_answer){.was_sent = true, .http_status = http_status, .body = {(const uint8_t *)body, strlen(body)}});
}

static ez_oauth_class failed(const ez_oauth_provider *provider, bool was_sent, int http_status) {
    return judge(provider, (ez_oauth_answer){.status = EZ_UNAVAILABLE,
                                             .message = "can't connect to auth.example:443",
                                             .was_sent = was_sent,
                                             .http_status = http_status});
}

#define expect_class(want, got)                                                                                        \
    do {                                                                                                               \
        ez_oauth_class got_ = (got);                                                                                   \
        cr_expect_eq(got_, want, "expected %s, got %s: %s", ez_oauth_class_word(want), ez_oauth_class_word(got_),      \
                     verdict.why);                                                                                     \
    } while (0)

// ---- Terminal for the key

Test(oauth_judge, invalid_grant_ends_the_token_in_all_three_forms) {
    expect_class(EZ_OAUTH_TERMINAL, replied(&ez_oauth_claude_code, 400,
                                            "{\"error\":\"invalid_grant\",\"error_description\":\"rt-canary\"}"));
    cr_expect_null(strstr(verdict.why, "canary"), "what an endpoint wrote is not shown: %s", verdict.why);
    expect_class(EZ_OAUTH_TERMINAL,
                 replied(&ez_oauth_codex, 401, "{\"error\":{\"code\":\"refresh_token_reused\",\"message\":\"x\"}}"));
    cr_expect_str_eq(verdict.code, "refresh_token_reused");
    expect_class(EZ_OAUTH_TERMINAL, replied(&ez_oauth_codex, 401, "{\"code\":\"refresh_token_expired\"}"));
    expect_class(EZ_OAUTH_TERMINAL, replied(&ez_oauth_gemini_cli, 400, "{\"error\":\"invalid_grant\"}"));
}

Test(oauth_judge, codex_has_terminal_codes_of_its_own) {
    static const char *const codes[] = {"refresh_token_expired", "refresh_token_reused",   "refresh_token_invalidated",
                                        "invalid_refresh_token", "app_session_terminated", "app_session_expired"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"%s\"}}", codes[i]);
        expect_class(EZ_OAUTH_TERMINAL, replied(&ez_oauth_codex, 400, body));
        expect_class(EZ_OAUTH_TERMINAL, replied(&ez_oauth_codex, 401, body));
        expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_codex, 503, body));
        expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_antigravity, 400, body));
    }
}

Test(oauth_judge, codes_are_compared_whole) {
    expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_codex, 400, "{\"error\":\"not_invalid_grant\"}"));
    expect_class(EZ_OAUTH_TRANSIENT,
                 replied(&ez_oauth_codex, 400, "{\"error\":\"x\",\"error_description\":\"invalid_grant\"}"));
    cr_expect_str_eq(verdict.code, "");
}

// ---- Terminal for the provider's setting

Test(oauth_judge, a_bad_client_is_no_keys_fault) {
    expect_class(EZ_OAUTH_SETTING, replied(&ez_oauth_codex, 401, "{\"error\":\"invalid_client\"}"));
    expect_class(EZ_OAUTH_SETTING, replied(&ez_oauth_gemini_cli, 403, "{\"error\":\"unauthorized_client\"}"));
    expect_class(EZ_OAUTH_SETTING, replied(&ez_oauth_claude_code, 400, "{\"error\":\"invalid_scope\"}"));
    cr_expect(strstr(verdict.why, "EZ_OAUTH_CLAUDE_CODE_CLIENT_ID"), "%s", verdict.why);
}

// ---- Transient

Test(oauth_judge, trouble_on_the_way_is_transient) {
    expect_class(EZ_OAUTH_TRANSIENT, failed(&ez_oauth_codex, false, 0));
    cr_expect_str_eq(verdict.why, "can't connect to auth.example:443");
    static const int statuses[] = {301, 404, 408, 500, 502, 503, 504, 529};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_codex, statuses[i], "{\"error\":\"server_error\"}"));
}

Test(oauth_judge, a_403_without_a_known_code_is_transient) {
    expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_codex, 403, "<html>Attention Required!</html>"));
    expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_codex, 403, "{\"error\":\"something_new\"}"));
    cr_expect_str_eq(verdict.code, "", "a code that is not known here is not shown");
}

Test(oauth_judge, an_endless_body_of_an_error_is_transient) {
    expect_class(EZ_OAUTH_TRANSIENT, failed(&ez_oauth_codex, true, 403));
}

// ---- Rate limited

Test(oauth_judge, a_429_waits_as_it_is_told) {
    ez_oauth_answer answer = {.was_sent = true, .http_status = 429, .retry_after = "60"};
    expect_class(EZ_OAUTH_RATE_LIMITED, judge(&ez_oauth_codex, answer));
    cr_expect_eq(verdict.retry_after_ms, 60000);
    cr_expect_eq(ez_oauth_retry_after("0", 0), EZ_OAUTH_RETRY_MIN_MS);
    cr_expect_eq(ez_oauth_retry_after("99999999999", 0), EZ_OAUTH_RETRY_MAX_MS);
    cr_expect_eq(ez_oauth_retry_after(NULL, 0), EZ_OAUTH_RETRY_DEFAULT_MS);
    cr_expect_eq(ez_oauth_retry_after("soon", 0), EZ_OAUTH_RETRY_DEFAULT_MS);
    cr_expect_eq(ez_oauth_retry_after("Tue, 14 Nov 2023 22:14:20 GMT", 1700000000), 60000);
    cr_expect_eq(ez_oauth_retry_after("Tue, 14 Nov 2000 22:14:20 GMT", 1700000000), EZ_OAUTH_RETRY_MIN_MS);
}

// ---- Unknown outcome

Test(oauth_judge, sent_without_a_readable_answer_is_unknown_where_tokens_rotate) {
    expect_class(EZ_OAUTH_UNKNOWN, failed(&ez_oauth_codex, true, 0));
    expect_class(EZ_OAUTH_UNKNOWN, failed(&ez_oauth_claude_code, true, 200));
    expect_class(EZ_OAUTH_UNKNOWN, replied(&ez_oauth_codex, 200, "<html>welcome</html>"));
    expect_class(EZ_OAUTH_UNKNOWN, replied(&ez_oauth_codex, 200, "{}"));
    expect_class(EZ_OAUTH_UNKNOWN, replied(&ez_oauth_codex, 200, "{\"access_token\":\"a\\u0000b\"}"));
    expect_class(EZ_OAUTH_TRANSIENT, failed(&ez_oauth_gemini_cli, true, 0));
    expect_class(EZ_OAUTH_TRANSIENT, replied(&ez_oauth_antigravity, 200, "{}"));
}

// A reply whose two tokens are that long, and more of it.
static ez_oauth_class with_lengths(const ez_oauth_provider *provider, int access_len, int refresh_len,
                                   const char *more) {
    static char longest[EZ_OAUTH_ACCESS_MAX + 1], body[2 * EZ_OAUTH_ACCESS_MAX + 256];
    memset(longest, 'x', sizeof longest - 1);
    snprintf(body, sizeof body, "{\"access_token\":\"%.*s\",\"refresh_token\":\"%.*s\"%s}", access_len, longest,
             refresh_len, longest, more);
    return replied(provider, 200, body);
}

// The old refresh token was kept beside the new access token, as if the reply had named none.
Test(oauth_judge, a_token_that_is_too_long_is_no_readable_answer) {
    const int most = EZ_OAUTH_ACCESS_MAX - 1, most_refresh = EZ_OAUTH_REFRESH_MAX - 1;
    expect_class(EZ_OAUTH_REFRESHED, with_lengths(&ez_oauth_codex, most, most_refresh, ""));
    cr_expect_eq(strlen(tokens.access_token), most);
    cr_expect_eq(strlen(tokens.refresh_token), most_refresh);
    expect_class(EZ_OAUTH_UNKNOWN, with_lengths(&ez_oauth_codex, most, most_refresh + 1, ""));
    expect_class(EZ_OAUTH_UNKNOWN, with_lengths(&ez_oauth_codex, most + 1, most_refresh, ""));
    expect_class(EZ_OAUTH_UNKNOWN, with_lengths(&ez_oauth_claude_code, 9, most_refresh + 1, ",\"code\":\"ok\""));
    expect_class(EZ_OAUTH_TRANSIENT, with_lengths(&ez_oauth_gemini_cli, most + 1, 9, ""));
    expect_class(EZ_OAUTH_UNKNOWN,
                 replied(&ez_oauth_codex, 200, "{\"access_token\":\"at\",\"refresh_token\":\"a\\nb\"}"));
}

// ---- Success

Test(oauth_judge, tokens_are_taken_as_they_are_given) {
    expect_class(EZ_OAUTH_REFRESHED,
                 replied(&ez_oauth_claude_code, 200,
                         "{\"access_token\":\"at-1\",\"refresh_token\":\"rt-1\",\"expires_in\":28800,\"scope\":\"a b\","
                         "\"account\":{\"uuid\":\"u-1\"},\"organization\":{\"uuid\":\"o-1\"}}"));
    cr_expect_str_eq(tokens.access_token, "at-1");
    cr_expect_str_eq(tokens.refresh_token, "rt-1");
    cr_expect_str_eq(tokens.scope, "a b");
    cr_expect_str_eq(tokens.account_id, "u-1");
    cr_expect_eq(tokens.expires_in_s, 28800);
    expect_class(EZ_OAUTH_REFRESHED,
                 replied(&ez_oauth_gemini_cli, 200, "{\"access_token\":\"at\",\"expires_in\":3599}"));
    cr_expect_str_eq(tokens.refresh_token, "", "none: the old one stays");
    expect_class(EZ_OAUTH_REFRESHED, replied(&ez_oauth_codex, 200, "{\"refresh_token\":\"rt-only\"}"));
}

// Header {}, claims as given in the texts beside.
#define JWT_EXP  "e30.eyJleHAiOjE4MDAwMDAwMDB9.c2ln" // {"exp":1800000000}
#define JWT_AUTH "e30.eyJodHRwczovL2FwaS5vcGVuYWkuY29tL2F1dGgiOnsiY2hhdGdwdF9hY2NvdW50X2lkIjoiYWNjLTkifX0.c2ln"

Test(oauth_judge, codex_says_its_end_in_the_token) {
    expect_class(EZ_OAUTH_REFRESHED,
                 replied(&ez_oauth_codex, 200,
                         "{\"access_token\":\"" JWT_EXP "\",\"id_token\":\"" JWT_AUTH "\",\"expires_in\":60}"));
    cr_expect_eq(tokens.expires_s, 1800000000);
    cr_expect_str_eq(tokens.account_id, "acc-9");
    expect_class(EZ_OAUTH_REFRESHED,
                 replied(&ez_oauth_codex, 200, "{\"access_token\":\"no.jwt\",\"id_token\":\"e30.e30\"}"));
    cr_expect_eq(tokens.expires_s, 0);
}

Test(oauth_judge, a_packed_reply_is_unpacked) {
    static const char body[] = "{\"access_token\":\"at-z\",\"refresh_token\":\"rt-z\"}";
    Bytef packed[256];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)body,
                       .avail_in = sizeof body - 1,
                       .next_out = packed,
                       .avail_out = sizeof packed};
    cr_assert_eq(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    ez_oauth_answer answer = {
        .was_sent = true, .http_status = 200, .body = {packed, stream.total_out}, .encoding = "gzip"};
    expect_class(EZ_OAUTH_REFRESHED, judge(&ez_oauth_codex, answer));
    cr_expect_str_eq(tokens.refresh_token, "rt-z");
    answer.body.len -= 9;
    expect_class(EZ_OAUTH_UNKNOWN, judge(&ez_oauth_codex, answer));
    deflateEnd(&stream);
}

Test(oauth_judge, a_packed_bomb_is_no_reply) {
    enum { ROOM = 1 << 20 };
    Bytef *zeros = calloc(1, ROOM), *packed = malloc(ROOM);
    uLongf len = ROOM;
    cr_assert_eq(compress(packed, &len, zeros, ROOM), Z_OK);
    expect_class(
        EZ_OAUTH_UNKNOWN,
        judge(&ez_oauth_codex,
              (ez_oauth_answer){.was_sent = true, .http_status = 200, .body = {packed, len}, .encoding = "deflate"}));
    free(zeros);
    free(packed);
}
