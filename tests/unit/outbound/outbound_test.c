// SPDX-License-Identifier: Apache-2.0
//
// What a caller gets: requests as they were meant, replies whole, bounds, TLS, a clean end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "given.h"
#include "tests/support/certificate.h"
#include "tests/support/folder.h"
#include "tests/support/port.h"

#define OK_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"7\"\r\nContent-Length: 2\r\n\r\n{}"

static const ez_test_answer ok[] = {{.data = OK_JSON}};
static const ez_test_answer hang[] = {{.hangs = true}};

Test(outbound, sends_what_it_was_given, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    const ez_outbound_field headers[] = {{"Content-Type", "application/json"}, {"X-EZ-Delivery", "7"}, {"X-Empty", ""}};
    kept reply;
    call(outbound,
         (ez_outbound_request){.method = "POST",
                               .url = receiver_url(receiver, "/hook?x=1"),
                               .headers = headers,
                               .header_count = 3,
                               .body = "{\"a\":1}",
                               .body_len = 7},
         &reply);
    expect_ok(reply.status, &reply.error);
    cr_assert_eq(reply.http_status, 200);
    cr_assert_str_eq(reply.body, "{}");
    cr_assert_str_eq(reply.etag, "\"7\"");
    cr_assert_str_eq(reply.content_type, "application/json");
    cr_assert_eq(strncmp(receiver_request(receiver, 0), "POST /hook?x=1 HTTP/1.1\r\n", 25), 0);
    cr_assert_str_eq(receiver_header(receiver, 0, "Content-Type"), "application/json");
    cr_assert_str_eq(receiver_header(receiver, 0, "X-EZ-Delivery"), "7");
    cr_assert_str_eq(receiver_header(receiver, 0, "X-Empty"), "");
    cr_assert_eq(strncmp(receiver_header(receiver, 0, "User-Agent"), "ezplane/", 8), 0);
    cr_assert_null(receiver_header(receiver, 0, "Expect"));
    cr_assert_null(receiver_header(receiver, 0, "Accept-Encoding"));
    cr_assert_str_eq(receiver_body(receiver, 0), "{\"a\":1}");
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

Test(outbound, an_empty_post_and_a_get_have_no_body_nor_type, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    for (size_t i = 0; i < 3; i++) {
        kept reply;
        call(outbound, (ez_outbound_request){.method = methods[i], .url = receiver_url(receiver, "/")}, &reply);
        expect_ok(reply.status, &reply.error);
        cr_assert_eq(strncmp(receiver_request(receiver, i), methods[i], strlen(methods[i])), 0);
        cr_assert_null(receiver_header(receiver, i, "Content-Type"));
        cr_assert_str_empty(receiver_body(receiver, i));
        forget(&reply);
    }
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

Test(outbound, takes_nothing_from_the_environment, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(ok, 1), *proxy = given_receiver(ok, 1);
    char where[64];
    snprintf(where, sizeof where, "http://127.0.0.1:%u", receiver_port(proxy));
    setenv("http_proxy", where, 1);
    setenv("all_proxy", where, 1);
    setenv("ALL_PROXY", where, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    get(outbound, receiver_url(receiver, "/"), &reply);
    expect_ok(reply.status, &reply.error);
    cr_assert_eq(receiver_count(receiver), 1);
    cr_assert_eq(receiver_connections(proxy), 0);
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(proxy);
    end_receiver(receiver);
}

static ez_status submit_bad(ez_outbound *outbound, ez_outbound_request request, ez_error *error) {
    request.done = NULL; // not called
    return ez_outbound_submit(outbound, &request, error);
}

Test(outbound, refuses_requests_that_are_none) {
    ez_outbound *outbound = given_outbound("127.0.0.1");
    const char *url = "http://127.0.0.1/";
    static const ez_outbound_field broken[] = {{"X-A", "b\r\nX-C: d"}}, named[] = {{"X A", "b"}},
                                   nameless[] = {{"", "b"}};
    static char large[EZ_OUTBOUND_HEADER_MAX + 1];
    memset(large, 'a', EZ_OUTBOUND_HEADER_MAX);
    const ez_outbound_field long_one[] = {{"X-A", large}};
    static ez_outbound_field many[EZ_OUTBOUND_HEADERS + 1];
    const ez_outbound_request bad[] = {
        {.method = "GET", .url = url, .headers = broken, .header_count = 1},
        {.method = "GET", .url = url, .headers = named, .header_count = 1},
        {.method = "GET", .url = url, .headers = nameless, .header_count = 1},
        {.method = "GET", .url = url, .headers = long_one, .header_count = 1},
        {.method = "GET", .url = url, .headers = many, .header_count = EZ_OUTBOUND_HEADERS + 1},
        {.method = "GET / HTTP/1.1\r\nX:", .url = url},
        {.method = "", .url = url},
        {.method = "POST", .url = url, .body = "", .body_len = EZ_OUTBOUND_BODY_MAX + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ez_error error = EZ_ERROR_INIT;
        expect_reason(EZ_INVALID_ARGUMENT, "REQUEST_INVALID", submit_bad(outbound, bad[i], &error), &error);
    }
    ez_error error = EZ_ERROR_INIT;
    ez_outbound_request inner = {.method = "GET", .url = "http://127.0.0.2/"};
    expect_reason(EZ_INVALID_ARGUMENT, "URL_NOT_ALLOWED", submit_bad(outbound, inner, &error), &error);
    ez_outbound_destroy(outbound);
}

Test(outbound, holds_as_many_as_it_may_and_refuses_the_next, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(hang, 1);
    ez_outbound_options options = {.allow = "127.0.0.1", .queue = 2, .concurrency = 1};
    ez_outbound *outbound = given_outbound_with(&options);
    ez_outbound_request request = {.method = "GET", .url = receiver_url(receiver, "/")};
    kept flying, waiting[2];
    submit(outbound, request, &flying);
    expect_soon(receiver_connections(receiver) == 1);
    submit(outbound, request, &waiting[0]);
    submit(outbound, request, &waiting[1]);
    ez_error error = EZ_ERROR_INIT;
    expect_reason(EZ_RESOURCE_EXHAUSTED, "OUTBOUND_QUEUE_FULL", submit_bad(outbound, request, &error), &error);
    cr_assert_eq(receiver_connections(receiver), 1);
    ez_outbound_destroy(outbound); // tells all of them
    expect_failure(EZ_CANCELLED, "STOPPING", &flying);
    expect_failure(EZ_CANCELLED, "STOPPING", &waiting[0]);
    expect_failure(EZ_CANCELLED, "STOPPING", &waiting[1]);
    cr_assert(flying.done == 1 && waiting[0].done == 1 && waiting[1].done == 1);
    forget(&flying);
    forget(&waiting[0]);
    forget(&waiting[1]);
    end_receiver(receiver);
}

Test(outbound, a_request_that_waits_is_told_when_its_time_is_over, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(hang, 1);
    ez_outbound_options options = {.allow = "127.0.0.1", .concurrency = 1};
    ez_outbound *outbound = given_outbound_with(&options);
    ez_outbound_request request = {.method = "GET", .url = receiver_url(receiver, "/"), .timeout_ms = 200000};
    kept flying, waiting;
    submit(outbound, request, &flying);
    expect_soon(receiver_connections(receiver) == 1);
    request.timeout_ms = 50;
    call(outbound, request, &waiting);
    expect_failure(EZ_DEADLINE_EXCEEDED, "TIMED_OUT", &waiting);
    cr_assert_eq(receiver_connections(receiver), 1);
    cr_assert_eq(flying.done, 0);
    ez_outbound_destroy(outbound);
    forget(&flying);
    forget(&waiting);
    end_receiver(receiver);
}

Test(outbound, runs_all_that_is_submitted, .timeout = 60) {
    enum { CALLS = 60 };
    ez_test_receiver *receiver = given_receiver(ok, 1);
    ez_outbound_options options = {.allow = "127.0.0.1", .concurrency = 3};
    ez_outbound *outbound = given_outbound_with(&options);
    static kept replies[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        submit(outbound, (ez_outbound_request){.method = "GET", .url = receiver_url(receiver, "/")}, &replies[i]);
    }
    for (size_t i = 0; i < CALLS; i++) {
        expect_soon(replies[i].done == 1);
        expect_ok(replies[i].status, &replies[i].error);
        forget(&replies[i]);
    }
    cr_assert_eq(receiver_count(receiver), CALLS);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

// ---- TLS

static char folder[EZ_TEST_PATH_MAX], certificate[EZ_TEST_PATH_MAX + 16], key[EZ_TEST_PATH_MAX + 16];

static void given_files(void) {
    given_folder(folder);
    snprintf(certificate, sizeof certificate, "%s/ca.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    given_certificate("DNS:hooks.example,IP:127.0.0.1", certificate, key);
}

static void remove_files(void) {
    remove_folder(folder);
}

Test(tls, trusts_what_ca_file_holds_and_checks_the_name, .init = given_files, .fini = remove_files, .timeout = 60) {
    ez_test_receiver *receiver = given_tls_receiver(ok, 1, certificate, key);
    char right[64], wrong[64], url[96];
    snprintf(right, sizeof right, "hooks.example:%u:127.0.0.1", receiver_port(receiver));
    snprintf(wrong, sizeof wrong, "other.example:%u:127.0.0.1", receiver_port(receiver));
    const char *const resolve[] = {right, wrong, NULL};
    ez_outbound_options options = {.allow = "127.0.0.0/8", .ca_file = certificate, .resolve = resolve};
    ez_outbound *outbound = given_outbound_with(&options);
    kept reply;
    snprintf(url, sizeof url, "https://hooks.example:%u/", receiver_port(receiver));
    get(outbound, url, &reply);
    expect_ok(reply.status, &reply.error);
    cr_assert_eq(reply.http_status, 200);
    forget(&reply);
    snprintf(url, sizeof url, "https://other.example:%u/", receiver_port(receiver));
    get(outbound, url, &reply);
    expect_failure(EZ_UNAVAILABLE, "CERTIFICATE_REFUSED", &reply);
    cr_assert_eq(receiver_count(receiver), 1);
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

Test(tls, does_not_trust_a_certificate_that_nobody_signed, .init = given_files, .fini = remove_files, .timeout = 60) {
    ez_test_receiver *receiver = given_tls_receiver(ok, 1, certificate, key);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    get(outbound, receiver_url(receiver, "/?token=s3cret"), &reply);
    expect_failure(EZ_UNAVAILABLE, "CERTIFICATE_REFUSED", &reply);
    cr_assert_null(strstr(reply.error.message, "s3cret"));
    cr_assert_eq(receiver_count(receiver), 0);
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

Test(tls, refuses_a_ca_file_without_certificates, .init = given_files, .fini = remove_files) {
    ez_outbound *outbound = NULL;
    ez_error error = EZ_ERROR_INIT;
    char none[EZ_TEST_PATH_MAX + 16];
    snprintf(none, sizeof none, "%s/none.pem", folder);
    ez_outbound_options options = {.ca_file = none};
    expect_reason(EZ_FAILED_PRECONDITION, "CA_FILE_INVALID", ez_outbound_create(&options, &outbound, &error), &error);
    write_file(none, "nothing\n", 8);
    expect_reason(EZ_FAILED_PRECONDITION, "CA_FILE_INVALID", ez_outbound_create(&options, &outbound, &error), &error);
    cr_assert_not_null(strstr(error.message, "EZ_CA_FILE"));
}
