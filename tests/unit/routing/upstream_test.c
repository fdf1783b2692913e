// SPDX-License-Identifier: Apache-2.0
//
// Base URLs and headers: http only where the host is private, addresses in disguise, and headers that carry credentials
// or belong to the connection.
#include "server/domain/routing/upstream.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_url(const char *url, const char *reason) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_upstream_check_url(url, &error);
    if (!reason)
        cr_assert_eq(status, EZ_OK, "%s: %s", url, error.message);
    else
        cr_assert(status == EZ_INVALID_ARGUMENT && strcmp(error.reason, reason) == 0, "%s: %s %s", url, error.reason,
                  error.message);
}

Test(upstream, https_anywhere) {
    expect_url("https://api.openai.com/v1", NULL);
    expect_url("https://8.8.8.8/v1", NULL);
    expect_url("HTTPS://api.openai.com", NULL);
}

Test(upstream, http_for_private_upstreams) {
    static const char *const taken[] = {
        "http://127.0.0.1:8080/v1", "http://10.1.2.3",        "http://172.16.0.1",      "http://172.31.255.1/",
        "http://192.168.1.1",       "http://localhost:11434", "http://vllm:8000/v1",    "http://llm.local",
        "http://llm.internal.",     "http://llm.prod.svc",    "http://[::1]:8000",      "http://[fd00::1]/v1",
        "http://[::ffff:10.0.0.1]", "http://a.localhost?x=1", "http://LLM.LOCAL:80/v1", "http://x.y.svc:9",
    };
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        expect_url(taken[i], NULL);
    static const char *const refused[] = {
        "http://api.openai.com",   "http://8.8.8.8",        "http://169.254.169.254/latest",
        "http://172.32.0.1",       "http://[fe80::1]",      "http://[2001:db8::1]",
        "http://[::ffff:8.8.8.8]", "http://local.evil.com", "http://10.0.0.1.evil.com",
        "http://svc.com",          "http://0.0.0.0",        "http://100.64.0.1",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_url(refused[i], "BASE_URL_INSECURE");
}

Test(upstream, addresses_in_disguise) {
    static const char *const refused[] = {
        "http://0x7f.1",
        "http://2130706433",
        "http://127.1",
        "https://0xa9fea9fe",
        "http://0177.0.0.1.",
        "http://256.1.1.1",
        "http://1.2.3.4.5",
        "https://2852039166/",
        "ftp://x",
        "http://",
        "http://[nonsense]",
        "http://:80",
        "http://a.com\\.local",
        "http://a.com%2f.local",
        "http://me@a.local",
        "https://a.com/v1?api_key=do-not-show",
        "https://a.com/v1?version=2&Access-Token=x#y",
        "https://a.com/v1?key",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_url(refused[i], "BASE_URL_INVALID");
}

static void expect_header(const char *name, const char *value, bool is_taken) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_upstream_check_header(name, value, &error);
    cr_assert_eq(status, is_taken ? EZ_OK : EZ_INVALID_ARGUMENT, "%s: %s", name, error.message);
    if (!is_taken) {
        cr_assert_str_eq(error.reason, "HEADER_REFUSED");
        cr_assert_null(strstr(error.message, "do-not-show"), "the value is in the error: %s", error.message);
    }
}

Test(upstream, headers) {
    expect_header("X-Team", "blue", true);
    expect_header("anthropic-beta", "a,\tb", true);
    expect_header("X-Empty", "", true);
    static const char *const refused[] = {
        "Connection",
        "keep-alive",
        "Proxy-Authorization",
        "proxy-anything",
        "TE",
        "Trailer",
        "UPGRADE",
        "Host",
        "Content-Length",
        "authorization",
        "Cookie",
        "Transfer-Encoding",
        "X-Api-Key",
        "api-key",
        "x-goog-api-key",
        "X-Auth-Token",
        "x-amz-security-token",
        "Set-Cookie",
        "X-Forwarded-Authorization",
        "Client-Secret",
        "",
        "a b",
        "a:b",
        "a\r\nb",
        "h\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_header(refused[i], "do-not-show", false);
    expect_header("X-Team", "do-not-show\r\nX-Evil: 1", false);
    expect_header("X-Team", "do-not-show\x01", false);
    expect_header("X-Team", "do-not-show\x7f", false);
}
