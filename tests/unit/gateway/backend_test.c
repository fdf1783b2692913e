// SPDX-License-Identifier: Apache-2.0
//
// The way to the core, against a REP socket in the same process: replies, deadlines, broken connections, bounds. The
// test plays the loop: it waits for the descriptor and runs what is done.
#include "gateway/backend.h"

#include <criterion/criterion.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"

#define WAIT_MS 10000

typedef struct outcome {
    int count;
    bool is_ok;
    char text[64];
    ez_error error;
} outcome;

static void on_done(void *arg, const void *frame, size_t len, const ez_error *error) {
    outcome *out = arg;
    out->count++;
    out->is_ok = !error;
    if (error)
        out->error = *error;
    else if (len < sizeof out->text)
        memcpy(out->text, frame, len);
}

static nng_socket core;
static char url[64];

static void given_core(int port) {
    cr_assert_eq(nng_rep0_open(&core), 0);
    if (port == 0) {
        nng_listener listener;
        int bound = 0;
        cr_assert_eq(nng_listen(core, "tcp://127.0.0.1:0", &listener, 0), 0);
        nng_sockaddr addr;
        cr_assert_eq(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &addr), 0);
        bound = addr.s_in.sa_port;
        port = (bound & 0xff) << 8 | bound >> 8; // network order
        (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    } else {
        cr_assert_eq(nng_listen(core, url, NULL, 0), 0);
    }
}

static ez_backend *given_backend(unsigned max_calls) {
    ez_backend *backend;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_backend_open(url, max_calls, &backend, &error), EZ_OK, "%s", error.message);
    return backend;
}

static void wait_connected(const ez_backend *backend, bool wanted) {
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    while (ez_backend_is_connected(backend) != wanted) {
        cr_assert_lt(ez_clock_mono_ms(), end, "the connection did not become %d", wanted);
        (void)poll(NULL, 0, 1);
    }
}

static void wait_done(ez_backend *backend, const outcome *out, int count) {
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    while (out->count < count) {
        struct pollfd one = {.fd = ez_backend_fd(backend), .events = POLLIN};
        cr_assert_lt(ez_clock_mono_ms(), end, "only %d of %d calls ended", out->count, count);
        if (poll(&one, 1, 100) > 0)
            ez_backend_run(backend);
    }
}

static nng_msg *core_gets(void) {
    nng_msg *msg;
    cr_assert_eq(nng_socket_set_ms(core, NNG_OPT_RECVTIMEO, WAIT_MS), 0);
    cr_assert_eq(nng_recvmsg(core, &msg, 0), 0);
    return msg;
}

static void core_answers(nng_msg *msg, const char *text) {
    nng_msg_clear(msg);
    cr_assert_eq(nng_msg_append(msg, text, strlen(text)), 0);
    cr_assert_eq(nng_sendmsg(core, msg, 0), 0);
}

static ez_status start(ez_backend *backend, bool is_safe, uint32_t timeout_ms, outcome *out) {
    return ez_backend_start(backend, "call", 4, is_safe, timeout_ms, on_done, out, &out->error);
}

Test(backend, carries_a_call) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(4);
    wait_connected(backend, true);
    for (int round = 1; round <= 3; round++) { // contexts are used again
        cr_assert_eq(start(backend, false, 5000, &out), EZ_OK, "%s", out.error.message);
        nng_msg *msg = core_gets();
        cr_assert_eq(nng_msg_len(msg), 4);
        cr_assert_arr_eq(nng_msg_body(msg), "call", 4);
        core_answers(msg, "reply");
        wait_done(backend, &out, round);
        cr_assert(out.is_ok);
        cr_assert_str_eq(out.text, "reply");
    }
    ez_backend_counts counts;
    ez_backend_count(backend, &counts);
    cr_assert_eq(counts.calls, 3);
    cr_assert_eq(counts.in_flight, 0);
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, says_soon_that_the_core_is_away_and_then_at_once) {
    outcome out = {0};
    given_core(0);
    nng_close(core);
    ez_backend *backend = given_backend(4);
    ez_status status;
    // While the first connection may still come, a call waits for it, though far shorter than its deadline.
    for (int waited = 1; (status = start(backend, true, 60000, &out)) == EZ_OK; waited++) {
        wait_done(backend, &out, waited);
        cr_assert_not(out.is_ok);
        cr_assert_str_eq(out.error.reason, "CORE_UNAVAILABLE");
    }
    cr_assert_eq(status, EZ_UNAVAILABLE);
    cr_assert_str_eq(out.error.reason, "CORE_UNAVAILABLE");
    ez_backend_close(backend);
}

Test(backend, waits_for_its_first_connection) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(4);
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK, "%s", out.error.message);
    core_answers(core_gets(), "reply");
    wait_done(backend, &out, 1);
    cr_assert(out.is_ok);
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, finds_a_core_that_comes_later_and_again) {
    outcome out = {0};
    given_core(0);
    nng_close(core);
    ez_backend *backend = given_backend(4);
    for (int round = 1; round <= 2; round++) {
        given_core(1);
        wait_connected(backend, true);
        cr_assert_eq(start(backend, false, 5000, &out), EZ_OK);
        core_answers(core_gets(), "reply");
        wait_done(backend, &out, round);
        cr_assert(out.is_ok);
        nng_close(core);
        wait_connected(backend, false);
    }
    ez_backend_close(backend);
}

Test(backend, gives_up_at_the_deadline) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(4);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, false, 50, &out), EZ_OK);
    wait_done(backend, &out, 1);
    cr_assert_eq(out.error.code, EZ_DEADLINE_EXCEEDED);
    nng_msg_free(core_gets());
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK); // the context is good again
    core_answers(core_gets(), "late no more");
    wait_done(backend, &out, 2);
    cr_assert(out.is_ok);
    ez_backend_close(backend);
    nng_close(core);
}

static void core_breaks(void) {
    nng_msg *msg = core_gets();
    (void)nng_pipe_close(nng_msg_get_pipe(msg));
    nng_msg_free(msg);
}

Test(backend, tries_again_what_is_safe) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(4);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, true, 8000, &out), EZ_OK);
    core_breaks();
    core_answers(core_gets(), "second");
    wait_done(backend, &out, 1);
    cr_assert(out.is_ok, "%s", out.error.message);
    cr_assert_str_eq(out.text, "second");
    ez_backend_counts counts;
    ez_backend_count(backend, &counts);
    cr_assert_eq(counts.retries, 1);
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, never_sends_twice_what_is_not_safe) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(4);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, false, 8000, &out), EZ_OK);
    core_breaks();
    wait_done(backend, &out, 1);
    cr_assert_eq(out.error.code, EZ_UNAVAILABLE);
    cr_assert_str_eq(out.error.reason, "CORE_LOST");
    wait_connected(backend, true);
    cr_assert_eq(start(backend, false, 8000, &out), EZ_OK); // what arrives next is the next call, not the old one
    core_answers(core_gets(), "next");
    wait_done(backend, &out, 2);
    cr_assert_str_eq(out.text, "next");
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, gives_up_after_a_few_tries) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(4);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, true, 9000, &out), EZ_OK);
    for (int i = 0; i < 3; i++)
        core_breaks();
    wait_done(backend, &out, 1);
    cr_assert_eq(out.error.code, EZ_UNAVAILABLE);
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, is_bounded) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(2);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK);
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK);
    cr_assert_eq(start(backend, false, 5000, &out), EZ_UNAVAILABLE);
    cr_assert_str_eq(out.error.reason, "GATEWAY_BUSY");
    core_answers(core_gets(), "one");
    wait_done(backend, &out, 1);
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK);
    ez_backend_close(backend); // with two in flight
    cr_assert_eq(out.count, 1);
    nng_close(core);
}

Test(backend, names_a_bad_url) {
    ez_backend *backend;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_backend_open("nonsense", 1, &backend, &error), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "EZ_RPC_URL"));
}

// nng 1.5: an aio that has slept reports a later timeout as success.
Test(backend, times_out_after_a_pause) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(1);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, true, 8000, &out), EZ_OK);
    core_breaks();
    core_answers(core_gets(), "second");
    wait_done(backend, &out, 1);
    cr_assert_eq(start(backend, true, 50, &out), EZ_OK);
    wait_done(backend, &out, 2);
    cr_assert_not(out.is_ok);
    cr_assert_eq(out.error.code, EZ_DEADLINE_EXCEEDED);
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, waits_for_a_reconnect_after_a_loss) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(2);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, false, 8000, &out), EZ_OK);
    core_breaks();
    wait_done(backend, &out, 1);
    cr_assert_str_eq(out.error.reason, "CORE_LOST");
    cr_assert_eq(start(backend, false, 8000, &out), EZ_OK); // connected again or not yet
    core_answers(core_gets(), "next");
    wait_done(backend, &out, 2);
    cr_assert_str_eq(out.text, "next");
    ez_backend_close(backend);
    nng_close(core);
}
