// SPDX-License-Identifier: Apache-2.0
//
// Peers that mean no good, and names that lead where they should not.
#include <stdio.h>
#include <string.h>

#include "given.h"
#include "tests/support/port.h"

// Calls a receiver that answers so.
static void get_answer(const ez_test_answer *answer, ez_outbound_request request, kept *reply) {
    ez_test_receiver *receiver = given_receiver(answer, 1);
    ez_outbound *outbound = given_outbound("127.0.0.1");
    request.method = "GET";
    request.url = receiver_url(receiver, "/p4th?token=s3cret");
    call(outbound, request, reply);
    ez_outbound_destroy(outbound);
    cr_assert_eq(receiver_connections(receiver), 1, "nothing else was connected to");
    end_receiver(receiver);
    cr_assert_null(strstr(reply->error.message, "s3cret"));
    cr_assert_null(strstr(reply->error.message, "p4th"));
}

Test(peer, fault_50_a_redirect_is_a_reply_like_any_other, .timeout = 60) {
    static const ez_test_answer answers[] = {
        {.data = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n"},
        {.data = "HTTP/1.1 307 T\r\nLocation: http://127.0.0.1:7380/admin/keys\r\nContent-Length: 0\r\n\r\n"},
        {.data = "HTTP/1.1 301 M\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"},
    };
    static const int status[] = {302, 307, 301};
    for (size_t i = 0; i < 3; i++) {
        kept reply;
        get_answer(&answers[i], (ez_outbound_request){0}, &reply);
        expect_ok(reply.status, &reply.error);
        cr_assert_eq(reply.http_status, status[i]);
        cr_assert_eq(reply.body_len, 0);
        forget(&reply);
    }
}

Test(peer, fault_51_a_name_that_resolves_inside_is_not_connected_to, .timeout = 60) {
    static const ez_test_answer ok[] = {{.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    static const char *const inside[] = {
        "127.0.0.1", "[::1]",   "[::ffff:127.0.0.1]", "169.254.169.254", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
        "0.0.0.0",   "10.0.0.1"};
    char url[96];
    snprintf(url, sizeof url, "https://127.0.0.1.nip.example:%u/?token=s3cret", receiver_port(receiver));
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        char entry[96];
        snprintf(entry, sizeof entry, "127.0.0.1.nip.example:%u:%s", receiver_port(receiver), inside[i]);
        const char *const resolve[] = {entry, NULL};
        ez_outbound_options options = {.resolve = resolve};
        ez_outbound *outbound = given_outbound_with(&options);
        kept reply;
        get(outbound, url, &reply);
        expect_failure(EZ_PERMISSION_DENIED, "ADDRESS_REFUSED", &reply);
        cr_assert_not_null(strstr(reply.error.message, "127.0.0.1.nip.example is at "), "%s", reply.error.message);
        cr_assert_null(strstr(reply.error.message, "s3cret"));
        forget(&reply);
        ez_outbound_destroy(outbound);
    }
    cr_assert_eq(receiver_connections(receiver), 0);
    end_receiver(receiver);
}

// The same name, first outside, then inside: the second connection is judged anew. Nothing listens outside, so what is
// told is that it was tried.
Test(peer, fault_51_a_host_with_an_address_outside_and_one_inside_is_not_reached_inside, .timeout = 60) {
    static const ez_test_answer ok[] = {{.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    char entry[96], url[64];
    snprintf(entry, sizeof entry, "two.example:%u:127.0.0.2,127.0.0.1", receiver_port(receiver));
    snprintf(url, sizeof url, "https://two.example:%u/", receiver_port(receiver));
    const char *const resolve[] = {entry, NULL};
    ez_outbound_options options = {.allow = "127.0.0.2", .resolve = resolve};
    ez_outbound *outbound = given_outbound_with(&options);
    kept reply;
    get(outbound, url, &reply);
    expect_failure(EZ_UNAVAILABLE, "CONNECT_FAILED", &reply); // 127.0.0.2 was let through and refused us
    cr_assert_eq(receiver_connections(receiver), 0);
    forget(&reply);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
}

// Past the text's check (the host is on the list), libcurl reads these as 127.0.0.1, which is what is judged.
Test(peer, fault_52_the_spelling_of_an_address_does_not_matter, .timeout = 60) {
    static const ez_test_answer ok[] = {{.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    static const char *const forms[] = {"0x7f.1", "2130706433", "0177.0.0.1", "127.1", "localhost"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://%s:%u/", forms[i], receiver_port(receiver));
        ez_outbound *outbound = given_outbound("127.0.0.1,localhost");
        kept reply;
        get(outbound, url, &reply);
        expect_ok(reply.status, &reply.error);
        forget(&reply);
        ez_outbound_destroy(outbound);
    }
    end_receiver(receiver);
}

Test(peer, fault_53_a_body_without_end_is_cut, .timeout = 60) {
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n0123456789abcdef0123456789abcdef0123456789abcdef";
    static const ez_test_answer endless = {.data = head, .again = 48};
    kept reply;
    get_answer(&endless, (ez_outbound_request){.max_reply = 100000}, &reply);
    expect_failure(EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", &reply);
    cr_assert_eq(reply.http_status, 200);
    cr_assert_eq(reply.body_len, 100000);
    forget(&reply);
}

Test(peer, fault_53_a_body_of_just_the_bound_is_whole, .timeout = 60) {
    static const ez_test_answer four = {.data = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"};
    kept reply;
    get_answer(&four, (ez_outbound_request){.max_reply = 4}, &reply);
    expect_ok(reply.status, &reply.error);
    cr_assert_str_eq(reply.body, "abcd");
    forget(&reply);
    get_answer(&four, (ez_outbound_request){.max_reply = 3}, &reply);
    expect_failure(EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", &reply);
    cr_assert_str_eq(reply.body, "abc");
    forget(&reply);
}

Test(peer, fault_53_headers_without_end_are_cut, .timeout = 60) {
    static const ez_test_answer headers = {.data = "HTTP/1.1 200 OK\r\nX-A: bbbbbbbbbbbbbbbbbbbbbb\r\n", .again = 29};
    static const ez_test_answer interim = {.data = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", .again = 37};
    kept reply;
    get_answer(&headers, (ez_outbound_request){0}, &reply);
    expect_failure(EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", &reply);
    forget(&reply);
    get_answer(&interim, (ez_outbound_request){0}, &reply);
    cr_assert_neq(reply.status, EZ_OK);
    cr_assert_eq(reply.http_status, 0);
    forget(&reply);
}

// 10 MiB of zeros in 10 KiB: gzip's bytes come as they are.
Test(peer, fault_54_a_gzip_bomb_is_not_unpacked, .timeout = 60) {
    char answer[256];
    static const char gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x01\x0d\x00\x00\x00\xc2\xa0";
    int head = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", sizeof gzip - 1);
    memcpy(answer + head, gzip, sizeof gzip - 1);
    ez_test_answer bomb = {.data = answer, .len = (size_t)head + sizeof gzip - 1};
    kept reply;
    get_answer(&bomb, (ez_outbound_request){0}, &reply);
    expect_ok(reply.status, &reply.error);
    cr_assert_eq(reply.body_len, sizeof gzip - 1);
    cr_assert_arr_eq(reply.body, gzip, sizeof gzip - 1);
    forget(&reply);
}

Test(peer, a_peer_that_hangs_is_left, .timeout = 60) {
    static const ez_test_answer silent = {.hangs = true};
    static const ez_test_answer half = {.data = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", .hangs = true};
    kept reply;
    get_answer(&silent, (ez_outbound_request){.timeout_ms = 200}, &reply);
    expect_failure(EZ_DEADLINE_EXCEEDED, "TIMED_OUT", &reply);
    cr_assert_eq(reply.http_status, 0);
    forget(&reply);
    get_answer(&half, (ez_outbound_request){.timeout_ms = 200}, &reply);
    expect_failure(EZ_DEADLINE_EXCEEDED, "TIMED_OUT", &reply);
    cr_assert_eq(reply.http_status, 200);
    cr_assert_str_eq(reply.body, "abc");
    forget(&reply);
}

Test(peer, a_peer_that_leaves_early_is_told, .timeout = 60) {
    static const ez_test_answer early[] = {{0},
                                           {.data = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
                                           {.data = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
                                           {.data = "SSH-2.0-OpenSSH_9.2\r\n"}};
    for (size_t i = 0; i < sizeof early / sizeof early[0]; i++) {
        kept reply;
        get_answer(&early[i], (ez_outbound_request){0}, &reply);
        expect_failure(EZ_UNAVAILABLE, "REPLY_BROKEN", &reply);
        forget(&reply);
    }
}

Test(peer, nobody_there_is_told, .timeout = 60) {
    char url[64];
    ez_outbound *outbound = given_outbound("127.0.0.1");
    kept reply;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/?token=s3cret", given_port());
    get(outbound, url, &reply);
    expect_failure(EZ_UNAVAILABLE, "CONNECT_FAILED", &reply);
    cr_assert_null(strstr(reply.error.message, "s3cret"));
    forget(&reply);
    get(outbound, "https://nowhere.invalid/", &reply);
    expect_failure(EZ_UNAVAILABLE, "HOST_UNKNOWN", &reply);
    forget(&reply);
    ez_outbound_destroy(outbound);
}
