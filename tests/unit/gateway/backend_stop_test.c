// SPDX-License-Identifier: Apache-2.0
//
// A core that stops, where there is another: what it refuses goes to the other one, what it has begun it may end. Both
// are raw REP sockets of nng, which can leave a call without an answer; the test turns the loop while it waits.
#include <criterion/criterion.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <string.h>

#include "gateway/backend.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"
#include "tests/unit/gateway/caller.h"

static nng_socket cores[2];
static ez_backend *backend;

#define wait_for(condition)                                                                                            \
    do {                                                                                                               \
        for (uint64_t end = ez_clock_mono_ms() + WAIT_MS; !(condition); turn())                                        \
            cr_assert_lt(ez_clock_mono_ms(), end, "this did not become true: " #condition);                            \
    } while (0)

static void begin(void) {
    char urls[128] = "";
    ez_error error = EZ_ERROR_INIT;
    make_base();
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(nng_rep0_open_raw(&cores[i]), 0);
        size_t len = strlen(urls);
        (void)snprintf(urls + len, sizeof urls - len, "%stcp://127.0.0.1:%d", i ? "," : "", listen_anywhere(cores[i]));
    }
    cr_assert_eq(ez_backend_open(base, urls, 8, &backend, &error), EZ_OK, "%s", error.message);
    wait_for(ez_backend_is_connected(backend));
}

static void end(void) {
    ez_backend_close(backend);
    for (int i = 0; i < 2; i++)
        nng_close(cores[i]);
    free_base();
}

TestSuite(backend_stop, .init = begin, .fini = end);

static void start(const char *call, bool is_safe, outcome *out) {
    cr_assert_eq(ez_backend_start(backend, call, strlen(call), is_safe, 5000, on_done, out, &out->error), EZ_OK);
}

// The gateway also asks a quiet core whether it is there: that is passed over.
static nng_msg *core_gets(int core, const char *call) {
    nng_msg *msg = NULL;
    for (uint64_t until = ez_clock_mono_ms() + WAIT_MS; !msg; turn()) {
        cr_assert_lt(ez_clock_mono_ms(), until, "%s did not come", call);
        if (nng_recvmsg(cores[core], &msg, NNG_FLAG_NONBLOCK) == 0 &&
            (nng_msg_len(msg) != strlen(call) || memcmp(nng_msg_body(msg), call, strlen(call)) != 0)) {
            nng_msg_free(msg);
            msg = NULL;
        }
    }
    return msg;
}

static void core_answers(int core, nng_msg *msg, const void *body, size_t len) {
    nng_msg_clear(msg);
    cr_assert_eq(nng_msg_append(msg, body, len), 0);
    cr_assert_eq(nng_sendmsg(cores[core], msg, 0), 0);
}

static void core_refuses(int core, nng_msg *msg) {
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    ez_buf frame;
    header.code = EZ__V1__CODE__CODE_UNAVAILABLE;
    header.reason = (char *)"STOPPING";
    ez_buf_init(&frame, 512);
    cr_assert_eq(ez_frame_write_reply(&frame, &header), EZ_OK);
    core_answers(core, msg, frame.data, frame.len);
    ez_buf_fini(&frame);
}

// The first core has begun this call and holds it, and refuses the next: it stops.
static nng_msg *given_stopping_core(bool is_safe, outcome *begun, outcome *refused) {
    start("begun", is_safe, begun);
    nng_msg *held = core_gets(0, "begun");
    start("refused", false, refused);
    core_refuses(0, core_gets(0, "refused"));
    return held;
}

Test(backend_stop, what_has_begun_may_end) {
    outcome begun = {0}, refused = {0};
    nng_msg *held = given_stopping_core(false, &begun, &refused);
    for (int i = 0; i < 10; i++)
        turn();
    cr_assert_eq(begun.count + refused.count, 0);
    core_answers(0, held, "done", 4);
    wait_for(begun.count == 1);
    cr_assert(begun.is_ok, "%s", begun.error.message);
    cr_assert_str_eq(begun.text, "done");
    core_answers(1, core_gets(1, "refused"), "elsewhere", 9);
    wait_for(refused.count == 1);
    cr_assert_str_eq(refused.text, "elsewhere");
}

Test(backend_stop, what_has_begun_is_not_waited_for_for_long) {
    outcome begun = {0}, refused = {0};
    nng_msg *held = given_stopping_core(false, &begun, &refused);
    core_answers(1, core_gets(1, "refused"), "elsewhere", 9);
    wait_for(refused.count == 1 && begun.count == 1);
    cr_assert_str_eq(refused.text, "elsewhere");
    cr_assert_not(begun.is_ok);
    cr_assert_str_eq(begun.error.reason, "CORE_LOST");
    nng_msg_free(held);
}

Test(backend_stop, what_may_be_sent_again_is_not_waited_for) {
    outcome begun = {0}, refused = {0};
    nng_msg *held = given_stopping_core(true, &begun, &refused);
    core_answers(1, core_gets(1, "begun"), "again", 5);
    wait_for(begun.count == 1);
    cr_assert_str_eq(begun.text, "again");
    nng_msg_free(held);
}
