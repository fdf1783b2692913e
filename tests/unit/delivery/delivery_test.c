// SPDX-License-Identifier: Apache-2.0
//
// Deliveries to a receiver on loopback. Pauses between attempts are passed over by ticking with a later time.
#include "server/state/delivery/delivery.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "tests/support/expect.h"
#include "tests/support/receiver.h"
#include "tests/support/wait.h"

#define OK_ANSWER                                                                                                      \
    { .data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }
#define BROKEN                                                                                                         \
    { .data = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n" }
#define SECRET  "0123456789abcdef"
#define HOUR_MS 3600000u

static ez_outbound *outbound;
static ez_deliverer *deliverer;

// The log, as the store would have it.
#define ROWS 512
static struct row {
    ez_delivery d;
    char kind[64], url[256], error[512];
} rows[ROWS];
static size_t row_count, put_count;
static bool is_store_broken;

static ez_status put(void *user, const ez_delivery *given, ez_error *error) {
    (void)user;
    if (is_store_broken) {
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNAVAILABLE", "the store is away");
    }
    size_t at = 0;
    while (at < row_count && rows[at].d.id != given->id) {
        at++;
    }
    cr_assert_lt(at, ROWS);
    row_count += at == row_count;
    rows[at].d = *given;
    snprintf(rows[at].kind, sizeof rows[at].kind, "%s", given->kind);
    snprintf(rows[at].url, sizeof rows[at].url, "%s", given->url);
    snprintf(rows[at].error, sizeof rows[at].error, "%s", given->error);
    put_count++;
    return EZ_OK;
}

static void drain(void) {
    while (ez_delivery_drain_to(deliverer, put, NULL)) {
    }
}

static const struct row *row_of(int64_t id) {
    drain();
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].d.id == id) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool is(int64_t id, ez_delivery_status status, int attempts) {
    const struct row *row = row_of(id);
    return row != NULL && row->d.status == status && row->d.attempts == attempts;
}

// What waits for its next attempt is due.
static void later(void) {
    ez_delivery_tick(deliverer, ez_clock_mono_ms() + HOUR_MS);
}

static void given_deliverer(const char *allow) {
    ez_error error = EZ_ERROR_INIT;
    ez_outbound_options options = {.allow = allow};
    expect_ok(ez_outbound_create(&options, &outbound, &error), &error);
    ez_deliverer_options own = {.outbound = outbound};
    expect_ok(ez_deliverer_create(&own, &deliverer, &error), &error);
}

static void begin(void) {
    given_deliverer("127.0.0.1");
}

static void end(void) {
    ez_outbound_stop(outbound);
    ez_delivery_stop(deliverer);
    drain();
    ez_deliverer_destroy(deliverer);
    ez_outbound_destroy(outbound);
}

TestSuite(delivery, .init = begin, .fini = end, .timeout = 60);

static int64_t send_message(const char *url, const char *body, const char *secret) {
    ez_error error = EZ_ERROR_INIT;
    int64_t id = 0;
    ez_delivery_message message = {.kind = "error_webhook",
                                   .url = url,
                                   .content_type = "application/json",
                                   .body = body,
                                   .body_len = strlen(body),
                                   .secret = secret};
    expect_ok(ez_delivery_send(deliverer, &message, &id, &error), &error);
    return id;
}

static void expect_signed(ez_test_receiver *receiver, size_t i, const char *body) {
    char text[256], want[7 + 2 * EZ_SHA256_LEN + 1] = "sha256=";
    uint8_t mac[EZ_SHA256_LEN];
    const char *timestamp = receiver_header(receiver, i, "X-EZ-Timestamp");
    cr_assert_not_null(timestamp);
    cr_assert_lt(llabs(strtoll(timestamp, NULL, 10) - ez_clock_wall_ns() / 1000000000), 120);
    snprintf(text, sizeof text, "%s.%s", timestamp, body);
    ez_hmac_sha256(SECRET, strlen(SECRET), text, strlen(text), mac);
    ez_hex(mac, sizeof mac, want + 7);
    cr_assert_str_eq(receiver_header(receiver, i, "X-EZ-Signature"), want);
}

Test(delivery, arrives_signed_and_is_in_the_log) {
    static const ez_test_answer ok[] = {OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    int64_t id = send_message(receiver_url(receiver, "/hook-s3cret?key=s3cret"), "{\"a\":1}", SECRET);
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 1));
    const struct row *row = row_of(id);
    cr_assert_eq(row->d.http_status, 200);
    cr_assert_str_eq(row->kind, "error_webhook");
    cr_assert_null(strstr(row->url, "s3cret"));
    cr_assert_not_null(strstr(row->url, "127.0.0.1"));
    cr_assert_str_empty(row->error);
    cr_assert_geq(row->d.finished_ns, row->d.created_ns);
    cr_assert_str_eq(receiver_body(receiver, 0), "{\"a\":1}");
    cr_assert_str_eq(receiver_header(receiver, 0, "Content-Type"), "application/json");
    cr_assert_eq(strtoll(receiver_header(receiver, 0, "X-EZ-Delivery"), NULL, 10), id);
    expect_signed(receiver, 0, "{\"a\":1}");
    size_t puts = put_count;
    drain();
    cr_assert_eq(put_count, puts, "what is settled is written once");
    end_receiver(receiver);
}

Test(delivery, is_tried_again_under_the_same_id) {
    static const ez_test_answer answers[] = {
        BROKEN, {0}, {.data = "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n"}, OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(answers, 4);
    int64_t id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(is(id, EZ_DELIVERY_WAITING, 1));
    cr_assert_eq(row_of(id)->d.http_status, 500);
    cr_assert_not_null(strstr(row_of(id)->error, "500"));
    ez_delivery_tick(deliverer, ez_clock_mono_ms());
    cr_assert_eq(receiver_count(receiver), 1, "not before its pause is over");
    later();
    expect_soon(is(id, EZ_DELIVERY_WAITING, 2));
    cr_assert_eq(row_of(id)->d.http_status, 0);
    later();
    expect_soon(is(id, EZ_DELIVERY_WAITING, 3));
    later();
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 4));
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(strtoll(receiver_header(receiver, i, "X-EZ-Delivery"), NULL, 10), id);
        expect_signed(receiver, i, "{}");
    }
    end_receiver(receiver);
}

Test(delivery, is_given_up_after_its_attempts) {
    static const ez_test_answer broken[] = {BROKEN};
    ez_test_receiver *receiver = given_receiver(broken, 1);
    int64_t id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    for (int i = 1; i < EZ_DELIVERY_ATTEMPTS; i++) {
        expect_soon(is(id, EZ_DELIVERY_WAITING, i));
        later();
    }
    expect_soon(is(id, EZ_DELIVERY_FAILED, EZ_DELIVERY_ATTEMPTS));
    later();
    cr_assert_eq(receiver_count(receiver), EZ_DELIVERY_ATTEMPTS);
    cr_assert_neq(row_of(id)->d.finished_ns, 0);
    end_receiver(receiver);
}

Test(delivery, fault_50_what_repeating_can_not_heal_is_final) {
    static const ez_test_answer answers[] = {
        {.data = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"},
        {.data = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n"},
        {.data = "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"},
    };
    static const int status[] = {404, 302, 307};
    ez_test_receiver *receiver = given_receiver(answers, 3);
    for (size_t i = 0; i < 3; i++) {
        int64_t id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
        expect_soon(is(id, EZ_DELIVERY_FAILED, 1));
        cr_assert_eq(row_of(id)->d.http_status, status[i]);
    }
    cr_assert_eq(receiver_connections(receiver), 3);
    end_receiver(receiver);
}

Test(delivery, fault_53_the_status_line_decides_whatever_follows) {
    static const ez_test_answer answers[] = {
        {.data = "HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxx", .again = 16},
        {.data = "HTTP/1.1 202 OK\r\nContent-Length: 10\r\n\r\nx"},
        {.data = "HTTP/1.1 503 No\r\n\r\nxxxxxxxxxxxxxxxx", .again = 16},
    };
    ez_test_receiver *receiver = given_receiver(answers, 3);
    int64_t id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 1));
    id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 1));
    id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(is(id, EZ_DELIVERY_WAITING, 1));
    end_receiver(receiver);
}

Test(delivery, fault_52_a_url_that_is_not_allowed_any_more_fails_in_the_log) {
    static const char *const urls[] = {"http://127.0.0.2/", "https://[::ffff:127.0.0.2]/",
                                       "https://169.254.169.254/?s3cret", "http://hooks.example/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        int64_t id = send_message(urls[i], "{}", SECRET);
        cr_assert(is(id, EZ_DELIVERY_FAILED, 1));
        cr_assert_not_null(strstr(row_of(id)->error, "EZ_OUTBOUND_ALLOW"));
        cr_assert_null(strstr(row_of(id)->error, "s3cret"));
    }
}

Test(delivery, fault_55_an_empty_secret_signs_nothing) {
    static const ez_test_answer ok[] = {OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    ez_error error = EZ_ERROR_INIT;
    ez_delivery_message message = {
        .kind = "k", .url = receiver_url(receiver, "/"), .content_type = "text/plain", .secret = ""};
    expect_reason(EZ_INVALID_ARGUMENT, "SECRET_EMPTY", ez_delivery_send(deliverer, &message, NULL, &error), &error);
    cr_assert_eq(receiver_connections(receiver), 0);
    // None at all is another thing: a receiver that wants no signature.
    const ez_outbound_field own[] = {{"Authorization", "Bearer x"}};
    message.secret = NULL;
    message.headers = own;
    message.header_count = 1;
    int64_t id;
    expect_ok(ez_delivery_send(deliverer, &message, &id, &error), &error);
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 1));
    cr_assert_null(receiver_header(receiver, 0, "X-EZ-Signature"));
    cr_assert_str_eq(receiver_header(receiver, 0, "Authorization"), "Bearer x");
    end_receiver(receiver);
}

Test(delivery, the_oldest_that_waits_makes_room) {
    static const ez_test_answer broken[] = {BROKEN, {.hangs = true}};
    ez_test_receiver *receiver = given_receiver(broken, 2);
    int64_t first = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(is(first, EZ_DELIVERY_WAITING, 1));
    for (int i = 0; i < EZ_DELIVERY_LANE_FLYING; i++) {
        (void)send_message(receiver_url(receiver, "/"), "{}", SECRET); // these hang
    }
    int64_t second = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    for (int i = 2; i < EZ_DELIVERY_WAITING_MAX; i++) {
        (void)send_message(receiver_url(receiver, "/"), "{}", SECRET);
    }
    cr_assert(is(first, EZ_DELIVERY_WAITING, 1));
    (void)send_message(receiver_url(receiver, "/"), "{}", SECRET);
    cr_assert(is(first, EZ_DELIVERY_FAILED, 1));
    cr_assert_not_null(strstr(row_of(first)->error, "dropped"));
    cr_assert(is(second, EZ_DELIVERY_WAITING, 0));
    cr_assert_leq(receiver_connections(receiver), 1 + EZ_DELIVERY_LANE_FLYING);
    ez_outbound_stop(outbound);
    end_receiver(receiver);
}

// ---- Lanes, and who is told

static int64_t send_as(const char *kind, const char *url, int attempts, ez_delivery_settled_fn *settled, void *user) {
    ez_error error = EZ_ERROR_INIT;
    int64_t id = 0;
    ez_delivery_message message = {.kind = kind,
                                   .url = url,
                                   .content_type = "text/plain",
                                   .body = "x",
                                   .body_len = 1,
                                   .attempts = attempts,
                                   .settled = settled,
                                   .settled_user = user};
    expect_ok(ez_delivery_send(deliverer, &message, &id, &error), &error);
    return id;
}

Test(delivery, a_receiver_that_hangs_holds_up_its_own_lane) {
    static const ez_test_answer hang[] = {{.hangs = true}}, ok[] = {OK_ANSWER};
    ez_test_receiver *dead = given_receiver(hang, 1), *alive = given_receiver(ok, 1);
    for (int i = 0; i < EZ_DELIVERY_WAITING_MAX; i++) {
        (void)send_as("dead", receiver_url(dead, "/"), 0, NULL, NULL);
    }
    int64_t id = send_as("alive", receiver_url(alive, "/"), 0, NULL, NULL);
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 1));
    cr_assert_eq(receiver_connections(dead), EZ_DELIVERY_LANE_FLYING);
    ez_outbound_stop(outbound);
    end_receiver(dead);
    end_receiver(alive);
}

Test(delivery, room_is_made_in_the_fullest_lane) {
    static const ez_test_answer broken[] = {BROKEN}, hang[] = {{.hangs = true}};
    ez_test_receiver *few = given_receiver(broken, 1), *many = given_receiver(hang, 1);
    int64_t oldest = send_as("few", receiver_url(few, "/"), 0, NULL, NULL);
    expect_soon(is(oldest, EZ_DELIVERY_WAITING, 1));
    for (int i = 0; i < 2 * EZ_DELIVERY_WAITING_MAX; i++) {
        (void)send_as("many", receiver_url(many, "/"), 0, NULL, NULL);
    }
    cr_assert(is(oldest, EZ_DELIVERY_WAITING, 1));
    ez_outbound_stop(outbound);
    end_receiver(few);
    end_receiver(many);
}

typedef struct told {
    atomic_int count;
    int status, http_status;
    bool can_heal;
} told;

static void note(void *user, const ez_delivery *row, bool can_heal) {
    told *out = user;
    out->status = (int)row->status;
    out->http_status = row->http_status;
    out->can_heal = can_heal;
    atomic_fetch_add(&out->count, 1);
}

static void expect_told(const char *url, int attempts, int status, int http_status, bool can_heal) {
    told got = {.count = 0};
    (void)send_as("k", url, attempts, note, &got);
    expect_soon(atomic_load(&got.count) == 1);
    cr_assert_eq(got.status, status);
    cr_assert_eq(got.http_status, http_status);
    cr_assert_eq(got.can_heal, can_heal);
}

Test(delivery, who_sent_it_is_told_how_it_ended) {
    static const ez_test_answer answers[] = {
        OK_ANSWER, BROKEN, {.data = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}};
    ez_test_receiver *receiver = given_receiver(answers, 3);
    expect_told(receiver_url(receiver, "/"), 0, EZ_DELIVERY_DELIVERED, 200, false);
    expect_told(receiver_url(receiver, "/"), 1, EZ_DELIVERY_FAILED, 500, true);
    expect_told(receiver_url(receiver, "/"), 1, EZ_DELIVERY_FAILED, 404, false);
    expect_told("http://127.0.0.2/", 1, EZ_DELIVERY_FAILED, 0, false);
    end_receiver(receiver);
}

Test(delivery, only_one_that_waits_is_withdrawn) {
    static const ez_test_answer answers[] = {BROKEN, OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(answers, 2);
    told got = {.count = 0};
    int64_t id = send_as("k", receiver_url(receiver, "/"), 0, note, &got);
    expect_soon(is(id, EZ_DELIVERY_WAITING, 1));
    cr_assert(ez_delivery_withdraw(deliverer, id, "another one says more"));
    cr_assert(is(id, EZ_DELIVERY_FAILED, 1));
    cr_assert_not(ez_delivery_withdraw(deliverer, id, "again"));
    later();
    cr_assert_eq(receiver_count(receiver), 1);
    cr_assert_eq(atomic_load(&got.count), 0, "whoever withdrew it knows");
    end_receiver(receiver);
}

Test(delivery, a_stop_tells_too) {
    static const ez_test_answer answers[] = {BROKEN};
    ez_test_receiver *receiver = given_receiver(answers, 1);
    told got = {.count = 0};
    int64_t id = send_as("k", receiver_url(receiver, "/"), 0, note, &got);
    expect_soon(is(id, EZ_DELIVERY_WAITING, 1));
    ez_delivery_await(deliverer, 60000);
    ez_delivery_stop(deliverer);
    cr_assert_eq(atomic_load(&got.count), 1);
    cr_assert(got.can_heal);
    end_receiver(receiver);
}

Test(delivery, a_stop_marks_what_it_leaves) {
    static const ez_test_answer answers[] = {BROKEN, {.hangs = true}};
    ez_test_receiver *receiver = given_receiver(answers, 2);
    int64_t waiting = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(is(waiting, EZ_DELIVERY_WAITING, 1));
    int64_t flying = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(receiver_count(receiver) == 2);
    ez_outbound_stop(outbound);
    ez_delivery_stop(deliverer);
    cr_assert(is(waiting, EZ_DELIVERY_FAILED, 1));
    cr_assert_not_null(strstr(row_of(waiting)->error, "stopped"));
    cr_assert_not_null(strstr(row_of(waiting)->error, "500"));
    cr_assert(is(flying, EZ_DELIVERY_FAILED, 1));
    cr_assert_not_null(strstr(row_of(flying)->error, "stopped"));
    ez_error error = EZ_ERROR_INIT;
    ez_delivery_message message = {.kind = "k", .url = "http://127.0.0.1/", .content_type = "text/plain"};
    expect_reason(EZ_UNAVAILABLE, "STOPPING", ez_delivery_send(deliverer, &message, NULL, &error), &error);
    end_receiver(receiver);
}

Test(delivery, outcomes_wait_for_a_store_that_is_away) {
    static const ez_test_answer ok[] = {OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(ok, 1);
    is_store_broken = true;
    int64_t id = send_message(receiver_url(receiver, "/"), "{}", SECRET);
    expect_soon(receiver_count(receiver) == 1);
    drain();
    cr_assert_eq(row_count, 0);
    is_store_broken = false;
    expect_soon(is(id, EZ_DELIVERY_DELIVERED, 1));
    end_receiver(receiver);
}

Test(delivery, outcomes_that_the_store_never_takes_are_bounded) {
    is_store_broken = true;
    for (int i = 0; i < 3 * EZ_DELIVERY_KEPT_MAX; i++) {
        (void)send_message("http://127.0.0.2/", "{}", SECRET); // fails at once
    }
    is_store_broken = false;
    drain();
    cr_assert_eq(row_count, EZ_DELIVERY_KEPT_MAX);
}

Test(delivery, ids_go_up) {
    int64_t before = 0;
    for (int i = 0; i < 50; i++) {
        int64_t id = send_message("http://127.0.0.2/", "{}", NULL);
        cr_assert_gt(id, before);
        before = id;
    }
}

Test(delivery, one_that_waits_since_long_ago_was_lost) {
    ez_delivery row = {.created_ns = 1000, .status = EZ_DELIVERY_WAITING, .error = ""};
    ez_delivery_shown(&row, 1000 + EZ_DELIVERY_SPAN_NS);
    cr_assert_eq(row.status, EZ_DELIVERY_WAITING);
    ez_delivery_shown(&row, 1001 + EZ_DELIVERY_SPAN_NS);
    cr_assert_eq(row.status, EZ_DELIVERY_FAILED);
    cr_assert_not_null(strstr(row.error, "ended"));
}
