// SPDX-License-Identifier: Apache-2.0
//
// Requests that must not be sent twice, what is known of those that failed, and proxies.
#include <stdio.h>
#include <string.h>

#include "given.h"
#include "tests/support/certificate.h"
#include "tests/support/folder.h"
#include "tests/support/port.h"

static const ez_test_answer silent[] = {{.data = NULL}};

static void post(ez_outbound *outbound, const char *url, const char *proxy, bool once, kept *reply) {
    call(outbound,
         (ez_outbound_request){.method = "POST",
                               .url = url,
                               .body = "rt=1",
                               .body_len = 4,
                               .once = once,
                               .proxy = proxy,
                               .timeout_ms = 3000},
         reply);
}

Test(once, what_was_received_and_not_answered_was_sent, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(silent, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    post(outbound, receiver_url(receiver, "/"), NULL, true, &reply);
    expect_failure(EZ_UNAVAILABLE, "REPLY_BROKEN", &reply);
    cr_expect(reply.was_sent);
    cr_expect_eq(receiver_count(receiver), 1, "and not a second time");
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

// On a connection that was used before, the library itself sends again what the peer closed without an answer.
Test(once, what_must_not_be_sent_twice_has_a_connection_of_its_own, .timeout = 60) {
    static const ez_test_answer kept_open[] = {
        {.data = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", .hangs = true}};
    ez_test_receiver *receiver = given_receiver(kept_open, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    post(outbound, receiver_url(receiver, "/"), NULL, false, &reply);
    cr_expect_eq(reply.http_status, 200, "%s", reply.error.message);
    forget(&reply);
    post(outbound, receiver_url(receiver, "/"), NULL, true, &reply);
    cr_expect_eq(reply.http_status, 200, "%s", reply.error.message);
    cr_expect_eq(receiver_connections(receiver), 2);
    cr_expect_eq(receiver_count(receiver), 2);
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

static void expect_unsent(const char *url, const char *reason) {
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    post(outbound, url, NULL, true, &reply);
    expect_failure(EZ_UNAVAILABLE, reason, &reply);
    cr_expect_not(reply.was_sent);
    forget(&reply);
    ez_outbound_destroy(outbound);
}

// A receiver whose certificate nobody has signed; the folder is the caller's to remove.
static ez_test_receiver *given_unknown_tls(char folder[EZ_TEST_PATH_MAX], char url[64]) {
    char certificate[EZ_TEST_PATH_MAX + 8], key[EZ_TEST_PATH_MAX + 8];
    given_folder(folder);
    snprintf(certificate, sizeof certificate, "%s/c", folder);
    snprintf(key, sizeof key, "%s/k", folder);
    given_certificate("IP:127.0.0.1", certificate, key);
    ez_test_receiver *receiver = given_tls_receiver(silent, 1, certificate, key);
    snprintf(url, 64, "https://127.0.0.1:%u/", receiver_port(receiver));
    return receiver;
}

Test(once, what_nobody_listened_to_was_not_sent, .timeout = 60) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", given_port());
    expect_unsent(url, "CONNECT_FAILED");
}

Test(once, a_certificate_that_is_refused_is_shown_nothing, .timeout = 60) {
    char folder[EZ_TEST_PATH_MAX], url[64];
    ez_test_receiver *receiver = given_unknown_tls(folder, url);
    expect_unsent(url, "CERTIFICATE_REFUSED");
    end_receiver(receiver);
    remove_folder(folder);
}

// A peer that refuses a stream of HTTP/2 is sent it again, by the library itself.
Test(once, what_must_not_be_sent_twice_goes_over_http_1, .timeout = 60) {
    char folder[EZ_TEST_PATH_MAX], url[64];
    ez_test_receiver *receiver = given_unknown_tls(folder, url);
    expect_unsent(url, "CERTIFICATE_REFUSED");
    cr_expect_eq(receiver_http2(receiver), 0);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    post(outbound, url, NULL, false, &reply);
    cr_expect_eq(receiver_http2(receiver), 1, "which others are offered");
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
    remove_folder(folder);
}

// ---- Proxies

Test(proxy, is_asked_to_connect_to_the_target, .timeout = 60) {
    static const ez_test_answer refusal[] = {{.data = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(refusal, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    post(outbound, "https://auth.example/token", receiver_url(receiver, ""), true, &reply);
    cr_expect_eq(reply.status, EZ_UNAVAILABLE, "%s", reply.error.message);
    cr_expect_not(reply.was_sent);
    cr_expect_eq(strncmp(receiver_request(receiver, 0), "CONNECT auth.example:443 HTTP/1.1", 33), 0, "%s",
                 receiver_request(receiver, 0));
    cr_expect_null(strstr(receiver_request(receiver, 0), "rt=1"));
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

static void expect_refused_request(ez_outbound *outbound, const char *url, const char *proxy, const char *reason) {
    ez_error error = EZ_ERROR_INIT;
    ez_outbound_request request = {.method = "POST", .url = url, .proxy = proxy};
    expect_reason(EZ_INVALID_ARGUMENT, reason, ez_outbound_submit(outbound, &request, &error), &error);
}

Test(proxy, is_judged_as_any_peer_is, .timeout = 60) {
    ez_outbound *outbound = given_outbound("");
    expect_refused_request(outbound, "https://auth.example/", "https://10.0.0.1:3128", "URL_NOT_ALLOWED");
    expect_refused_request(outbound, "https://auth.example/", "http://proxy.example:3128", "URL_NOT_HTTPS");
    expect_refused_request(outbound, "https://auth.example/", "socks5://proxy.example", "URL_INVALID");
    expect_refused_request(outbound, "https://10.0.0.1/", "https://proxy.example", "URL_NOT_ALLOWED");
    ez_outbound_destroy(outbound);
    outbound = given_outbound("127.0.0.1");
    expect_refused_request(outbound, "http://127.0.0.1/", "http://127.0.0.1:3128", "REQUEST_INVALID");
    ez_outbound_destroy(outbound);
}

Test(proxy, whose_name_leads_inside_is_not_connected_to, .timeout = 60) {
    ez_test_receiver *receiver = given_receiver(silent, 1);
    char entry[96], proxy[96];
    snprintf(entry, sizeof entry, "proxy.example:%u:127.0.0.1", receiver_port(receiver));
    snprintf(proxy, sizeof proxy, "https://proxy.example:%u", receiver_port(receiver));
    const char *const resolve[] = {entry, NULL};
    ez_outbound_options options = {.resolve = resolve};
    ez_outbound *outbound = given_outbound_with(&options);
    kept reply;
    post(outbound, "https://auth.example/token", proxy, true, &reply);
    expect_failure(EZ_PERMISSION_DENIED, "ADDRESS_REFUSED", &reply);
    cr_expect_eq(receiver_connections(receiver), 0);
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}
