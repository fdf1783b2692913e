// SPDX-License-Identifier: Apache-2.0
//
// The error webhook from end to end: an admin sets it, a data plane ships errors, a receiver on loopback is told, and
// the delivery log says what became of it.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "tests/integration/support/world.h"
#include "tests/support/receiver.h"

#define SECRET "a secret of 16 bytes and more"

static const char *const let_loopback[] = {"EZ_OUTBOUND_ALLOW=127.0.0.1", NULL};
static ez_world w;
static ez_caller plane;

static void begin_with(const char *const *env) {
    given_world(&w, env);
    plane = caller_with(&w, given_plane(&w.admin, "dp")->token);
}

static void begin(void) {
    begin_with(let_loopback);
}

static void begin_guarded(void) {
    begin_with(NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(webhook, .init = begin, .fini = end, .timeout = 120);
TestSuite(webhook_guarded, .init = begin_guarded, .fini = end, .timeout = 120);

static void given_webhook(const char *url, int threshold) {
    ask(&w.admin, "Settings/SetErrorWebhook",
        "{'webhook':{'enabled':true,'url':'%s','secret':'" SECRET "','threshold':%d,'cooldown_seconds':3600}}", url,
        threshold);
}

static void ship(int status_code, const char *message) {
    char now[EZ_CLOCK_TEXT_MAX];
    int64_t ns = ez_clock_wall_ns();
    ez_clock_format(ns / 1000000000, (int32_t)(ns % 1000000000), now);
    ask(&plane, "Logs/Ingest", "{'records':[{'time':'%s','status_code':%d,'model':'gpt','error_message':'%s'}]}", now,
        status_code, message);
}

// The newest delivery, or NULL.
static Ez__V1__Delivery *newest(void) {
    Ez__V1__ListDeliveriesResponse *list = ask(&w.admin, "Settings/ListDeliveries", "{'page_size':1}");
    return list->n_items > 0 ? list->items[0] : NULL;
}

static bool has_become(const char *status) {
    Ez__V1__Delivery *delivery = newest();
    return delivery != NULL && strcmp(delivery->status, status) == 0;
}

static void expect_signed(ez_test_receiver *receiver) {
    char text[8192], want[7 + 2 * EZ_SHA256_LEN + 1] = "sha256=";
    uint8_t mac[EZ_SHA256_LEN];
    snprintf(text, sizeof text, "%s.%s", receiver_header(receiver, 0, "X-EZ-Timestamp"), receiver_body(receiver, 0));
    ez_hmac_sha256(SECRET, strlen(SECRET), text, strlen(text), mac);
    ez_hex(mac, sizeof mac, want + 7);
    cr_assert_str_eq(receiver_header(receiver, 0, "X-EZ-Signature"), want);
}

static void expect_no_secret_in_log(void) {
    char *log = read_file(w.server.process.log);
    cr_assert_not_null(log);
    cr_assert_null(strstr(log, SECRET));
    cr_assert_null(strstr(log, "t0ken"));
    free(log);
}

Test(webhook, tells_a_receiver_when_errors_pile_up) {
    static const ez_test_answer ok[] = {{.data = "HTTP/1.1 204 No Content\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_webhook(receiver_url(receiver, "/hook?key=t0ken"), 3);
    Ez__V1__ErrorWebhook *shown = ask(&w.admin, "Settings/GetErrorWebhook", "{}");
    cr_assert(shown->has_secret);
    cr_assert_str_empty(shown->secret);
    ship(200, "");
    ship(500, "upstream down");
    ship(404, "not there"); // below the threshold of status codes
    ship(503, "upstream down");
    cr_assert_eq(receiver_connections(receiver), 0);
    ship(0, "no answer at all");
    expect_soon(receiver_count(receiver) == 1);
    cr_assert_not_null(strstr(receiver_body(receiver, 0), "\"count\":3"));
    cr_assert_not_null(strstr(receiver_body(receiver, 0), "no answer at all"));
    expect_signed(receiver);
    expect_soon(has_become("delivered"));
    Ez__V1__Delivery *delivery = newest();
    cr_assert_eq(delivery->http_status, 204);
    cr_assert_eq(delivery->attempts, 1);
    cr_assert_str_eq(delivery->kind, "error_webhook");
    cr_assert_null(strstr(delivery->url, "t0ken"));
    cr_assert_null(strstr(delivery->url, "hook"), "with some receivers the path is the secret");
    ship(500, "still down"); // within the cooldown
    ask(&w.admin, "Settings/SetErrorWebhook", "{'webhook':{'enabled':false}}");
    cr_assert_eq(receiver_count(receiver), 1);
    end_receiver(receiver);
    expect_no_secret_in_log();
}

Test(webhook, survives_a_restart_with_its_secret) {
    static const ez_test_answer ok[] = {{.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_webhook(receiver_url(receiver, "/"), 1);
    restart_server(&w.server);
    await_answers(&w);
    ship(500, "after a restart");
    expect_soon(receiver_count(receiver) == 1);
    expect_signed(receiver);
    expect_soon(has_become("delivered"));
    end_receiver(receiver);
}

Test(webhook, fault_50_a_redirect_is_not_followed) {
    static const ez_test_answer redirect[] = {
        {.data = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(redirect, 1);
    given_webhook(receiver_url(receiver, "/"), 1);
    ship(500, "");
    expect_soon(has_become("failed"));
    cr_assert_eq(newest()->http_status, 302);
    cr_assert_eq(newest()->attempts, 1);
    end_receiver(receiver);
}

Test(webhook, a_stop_marks_what_it_leaves) {
    static const ez_test_answer broken[] = {{.data = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"},
                                            {.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(broken, 2);
    given_webhook(receiver_url(receiver, "/"), 1);
    ship(500, "");
    expect_soon(has_become("waiting") && newest()->attempts == 1);
    restart_server(&w.server);
    await_answers(&w);
    cr_assert_str_eq(newest()->status, "failed");
    cr_assert_not_null(strstr(newest()->error, "stopped"));
    cr_assert_eq(receiver_count(receiver), 1);
    end_receiver(receiver);
}

Test(webhook, fault_53_a_receiver_that_never_ends_holds_nobody_up) {
    static const ez_test_answer endless[] = {{.data = "HTTP/1.1 500 No\r\n\r\nxxxxxxxxxxxxxxxx", .again = 16}};
    ez_test_receiver *receiver = given_receiver(endless, 1);
    given_webhook(receiver_url(receiver, "/"), 1);
    ship(500, "");
    expect_soon(has_become("waiting") && newest()->attempts == 1);
    ship(500, "others go on");
    end_receiver(receiver);
}

Test(webhook, fault_55_without_a_secret_it_can_not_be_enabled) {
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Settings/SetErrorWebhook",
                   "{'webhook':{'enabled':true,'url':'https://hooks.example/'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Settings/SetErrorWebhook",
                   "{'webhook':{'enabled':true,'url':'https://hooks.example/','secret':'short'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Settings/SetErrorWebhook",
                   "{'webhook':{'enabled':true,'url':'https://hooks.example/','secret':''},"
                   "'update_mask':['enabled','url','secret']}");
    cr_assert_not(((Ez__V1__ErrorWebhook *)ask(&w.admin, "Settings/GetErrorWebhook", "{}"))->enabled);
}

Test(webhook_guarded, fault_52_urls_that_lead_inside_are_refused) {
    static const char *const urls[] = {
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/",
        "https://localhost/",
        "https://user:pw@hooks.example/",
        "http://hooks.example/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://10.0.0.1/",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Settings/SetErrorWebhook",
                       "{'webhook':{'enabled':true,'url':'%s','secret':'" SECRET "'}}", urls[i]);
    }
    given_webhook("https://hooks.example/", 1);
}

// This machine's own name, where its hosts file says that it is on loopback.
static bool is_on_loopback(char name[256]) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (gethostname(name, 256) != 0 || strcmp(name, "localhost") == 0 || getaddrinfo(name, NULL, &hints, &found) != 0) {
        return false;
    }
    struct sockaddr_in in;
    memcpy(&in, found->ai_addr, sizeof in);
    freeaddrinfo(found);
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

Test(webhook_guarded, fault_51_a_name_that_resolves_to_loopback_is_not_connected_to) {
    static const ez_test_answer ok[] = {{.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    char name[256], url[300];
    if (!is_on_loopback(name)) {
        cr_skip_test("this machine's name is not on loopback");
    }
    ez_test_receiver *receiver = given_receiver(ok, 1);
    snprintf(url, sizeof url, "https://%s:%u/?key=t0ken", name, receiver_port(receiver));
    given_webhook(url, 1);
    ship(500, "");
    expect_soon(has_become("failed"));
    cr_assert_not_null(strstr(newest()->error, "EZ_OUTBOUND_ALLOW"), "%s", newest()->error);
    cr_assert_null(strstr(newest()->error, "t0ken"));
    cr_assert_eq(newest()->attempts, 1);
    cr_assert_eq(receiver_connections(receiver), 0);
    end_receiver(receiver);
    expect_no_secret_in_log();
}
