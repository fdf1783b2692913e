// SPDX-License-Identifier: Apache-2.0
//
// The way to the core, against nng's own REP socket in the same process: replies, deadlines, broken connections,
// bounds; and against a plain socket, for what nng would never send. The test turns the loop while it waits.
#include "gateway/backend.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/runtime/clock.h"
#include "tests/unit/gateway/caller.h"

static nng_socket core;
static char url[64];

TestSuite(backend, .init = make_base, .fini = free_base);

static void given_core(int port) {
    cr_assert_eq(nng_rep0_open(&core), 0);
    if (port == 0) {
        (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", listen_anywhere(core));
    } else {
        cr_assert_eq(nng_listen(core, url, NULL, 0), 0);
    }
}

static ez_backend *given_backend(unsigned max_calls) {
    ez_backend *backend;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_backend_open(base, url, max_calls, &backend, &error), EZ_OK, "%s", error.message);
    return backend;
}

static void wait_connected(const ez_backend *backend, bool wanted) {
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    while (ez_backend_is_connected(backend) != wanted) {
        cr_assert_lt(ez_clock_mono_ms(), end, "the connection did not become %d", wanted);
        turn();
    }
}

static void wait_done(const outcome *out, int count) {
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    while (out->count < count) {
        cr_assert_lt(ez_clock_mono_ms(), end, "only %d of %d calls ended", out->count, count);
        turn();
    }
}

static nng_msg *core_gets(void) {
    nng_msg *msg = NULL;
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    while (nng_recvmsg(core, &msg, NNG_FLAG_NONBLOCK) != 0) {
        cr_assert_lt(ez_clock_mono_ms(), end, "no call came");
        turn();
    }
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
    for (int round = 1; round <= 3; round++) { // slots are used again
        cr_assert_eq(start(backend, false, 5000, &out), EZ_OK, "%s", out.error.message);
        nng_msg *msg = core_gets();
        cr_assert_eq(nng_msg_len(msg), 4);
        cr_assert_arr_eq(nng_msg_body(msg), "call", 4);
        core_answers(msg, "reply");
        wait_done(&out, round);
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
        wait_done(&out, waited);
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
    wait_done(&out, 1);
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
        wait_done(&out, round);
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
    wait_done(&out, 1);
    cr_assert_eq(out.error.code, EZ_DEADLINE_EXCEEDED);
    nng_msg_free(core_gets());
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK); // the slot is good again
    core_answers(core_gets(), "late no more");
    wait_done(&out, 2);
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
    wait_done(&out, 1);
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
    wait_done(&out, 1);
    cr_assert_eq(out.error.code, EZ_UNAVAILABLE);
    cr_assert_str_eq(out.error.reason, "CORE_LOST");
    wait_connected(backend, true);
    cr_assert_eq(start(backend, false, 8000, &out), EZ_OK); // what arrives next is the next call, not the old one
    core_answers(core_gets(), "next");
    wait_done(&out, 2);
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
    wait_done(&out, 1);
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
    wait_done(&out, 1);
    cr_assert_eq(start(backend, false, 5000, &out), EZ_OK);
    ez_backend_close(backend); // with two in flight
    cr_assert_eq(out.count, 1);
    nng_close(core);
}

Test(backend, names_a_bad_url) {
    static const char *const urls[] = {"nonsense",    "tcp://",         "tcp://host",       "tcp://host:",
                                       "tcp://:7350", "tcp://host:0",   "tcp://host:65536", "tcp://host:7350/",
                                       "ipc:///x:1",  "tcp://::1:7350", "tls+tcp://host:1", "tcp://host:99999999999"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        ez_backend *backend;
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(ez_backend_open(base, urls[i], 1, &backend, &error), EZ_INVALID_ARGUMENT, "%s", urls[i]);
        cr_assert_not_null(strstr(error.message, "EZ_RPC_URL"));
    }
}

Test(backend, finds_a_core_by_name) {
    given_core(0);
    (void)memcpy(strstr(url, "127.0.0.1"), "localhost", 9);
    ez_backend *backend = given_backend(1);
    wait_connected(backend, true);
    ez_backend_close(backend);
    nng_close(core);
}

Test(backend, times_out_after_a_pause) {
    outcome out = {0};
    given_core(0);
    ez_backend *backend = given_backend(1);
    wait_connected(backend, true);
    cr_assert_eq(start(backend, true, 8000, &out), EZ_OK);
    core_breaks();
    core_answers(core_gets(), "second");
    wait_done(&out, 1);
    cr_assert_eq(start(backend, true, 50, &out), EZ_OK);
    wait_done(&out, 2);
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
    wait_done(&out, 1);
    cr_assert_str_eq(out.error.reason, "CORE_LOST");
    cr_assert_eq(start(backend, false, 8000, &out), EZ_OK); // connected again or not yet
    core_answers(core_gets(), "next");
    wait_done(&out, 2);
    cr_assert_str_eq(out.text, "next");
    ez_backend_close(backend);
    nng_close(core);
}

// ---- A core that is none: a plain socket

static int listener;

static void given_plain_core(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(listener, 4), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
}

static int accepted(void) {
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0) {
        cr_assert_lt(ez_clock_mono_ms(), end, "nobody dialled");
        turn();
    }
    return fd;
}

static void plain_reads(int fd, uint8_t *out, size_t len) {
    uint64_t end = ez_clock_mono_ms() + WAIT_MS;
    for (size_t got = 0; got < len;) {
        ssize_t more = read(fd, out + got, len - got);
        cr_assert_lt(ez_clock_mono_ms(), end, "%zu of %zu bytes came", got, len);
        if (more > 0)
            got += (size_t)more;
        else
            turn();
    }
}

static int greeted(ez_backend *backend) {
    static const uint8_t greeting[] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
    uint8_t theirs[8];
    int fd = accepted();
    plain_reads(fd, theirs, sizeof theirs);
    cr_assert_arr_eq(theirs, "\0SP\0\0\x30\0\0", sizeof theirs);
    cr_assert_eq(write(fd, greeting, sizeof greeting), (ssize_t)sizeof greeting);
    wait_connected(backend, true);
    return fd;
}

// Length, id and body of a reply; wrong: what the length says too much.
static void plain_answers(int fd, const uint8_t *id, const char *text, uint64_t wrong) {
    uint8_t frame[64] = {0};
    size_t len = strlen(text) + 4;
    for (int i = 0; i < 8; i++)
        frame[7 - i] = (uint8_t)((len + wrong) >> (8 * i));
    memcpy(frame + 8, id, 4);
    memcpy(frame + 12, text, len - 4);
    for (size_t i = 0; i < 8 + len; i++) { // byte by byte: what arrives in parts is put together
        ssize_t sent = send(fd, frame + i, 1, MSG_NOSIGNAL);
        cr_assert(sent == 1 || wrong); // who gets a wrong length may hang up before the rest
        turn();
    }
}

Test(backend, drops_a_reply_nobody_waits_for) {
    outcome out = {0};
    uint8_t call[16], id[4];
    given_plain_core();
    ez_backend *backend = given_backend(1);
    int fd = greeted(backend);
    cr_assert_eq(start(backend, true, 1, &out), EZ_OK);
    plain_reads(fd, call, sizeof call);
    cr_assert_arr_eq(call, "\0\0\0\0\0\0\0\x08", 8);
    cr_assert_arr_eq(call + 12, "call", 4);
    cr_assert(call[8] & 0x80);
    memcpy(id, call + 8, sizeof id);
    wait_done(&out, 1);
    cr_assert_eq(out.error.code, EZ_DEADLINE_EXCEEDED);
    cr_assert_eq(start(backend, true, 5000, &out), EZ_OK); // the same slot
    plain_reads(fd, call, sizeof call);
    cr_assert_neq(memcmp(id, call + 8, sizeof id), 0);
    plain_answers(fd, id, "of the first", 0);
    plain_answers(fd, (const uint8_t *)"\xff\xff\xff\xff", "of nobody", 0);
    plain_answers(fd, (const uint8_t *)"\0\0\0\0", "without the bit", 0);
    plain_answers(fd, call + 8, "of the second", 0);
    plain_answers(fd, call + 8, "once more", 0);
    wait_done(&out, 2);
    cr_assert(out.is_ok);
    cr_assert_str_eq(out.text, "of the second");
    cr_assert_eq(out.count, 2);
    ez_backend_close(backend);
    close(fd);
    close(listener);
}

Test(backend, ends_a_connection_that_sends_nonsense) {
    static const uint64_t lengths[] = {UINT64_MAX - 8, 1u << 30}; // below four, and far above what a reply may have
    outcome out = {0};
    uint8_t call[16];
    given_plain_core();
    ez_backend *backend = given_backend(1);
    for (int i = 0; i < 2; i++) {
        int fd = greeted(backend);
        cr_assert_eq(start(backend, false, 5000, &out), EZ_OK);
        plain_reads(fd, call, sizeof call);
        plain_answers(fd, call + 8, "reply", lengths[i]);
        wait_done(&out, i + 1);
        cr_assert_not(out.is_ok);
        cr_assert_str_eq(out.error.reason, "CORE_LOST");
        close(fd);
    }
    ez_backend_close(backend);
    close(listener);
}

Test(backend, does_not_talk_to_who_greets_otherwise) {
    static const char *const greetings[] = {"HTTP/1.1", "\0SP\0\0\x11\0"}; // the second is a PUB
    given_plain_core();
    ez_backend *backend = given_backend(1);
    for (int i = 0; i < 2; i++) {
        uint8_t greeting[8], end;
        int fd = accepted();
        plain_reads(fd, greeting, sizeof greeting);
        cr_assert_eq(write(fd, greetings[i], 8), 8);
        uint64_t until = ez_clock_mono_ms() + WAIT_MS;
        while (read(fd, &end, 1) != 0) {
            cr_assert_lt(ez_clock_mono_ms(), until, "the connection stands");
            turn();
        }
        cr_assert_not(ez_backend_is_connected(backend));
        close(fd);
    }
    close(greeted(backend)); // and keeps at it
    ez_backend_close(backend);
    close(listener);
}

// More than the connection takes at once: what has not left may be sent again whatever it is.
Test(backend, sends_again_what_never_left) {
    enum { CALLS = 64, SIZE = 1 << 20 };
    static char big[SIZE];
    static outcome outs[CALLS];
    given_plain_core();
    ez_backend *backend = given_backend(CALLS);
    int fd = greeted(backend), ended = 0;
    for (int i = 0; i < CALLS; i++) {
        memset(&outs[i], 0, sizeof outs[i]);
        cr_assert_eq(ez_backend_start(backend, big, SIZE, false, 8000, on_done, &outs[i], &outs[i].error), EZ_OK);
    }
    for (int i = 0; i < 20; i++)
        turn(); // the system's buffers are full
    close(fd);
    wait_connected(backend, false);
    fd = greeted(backend);
    uint8_t *frame = malloc(SIZE + 12);
    for (int i = 0; i < CALLS; i++)
        ended += outs[i].count;
    cr_assert_gt(ended, 0, "some had left, and are lost");
    cr_assert_lt(ended, CALLS);
    for (int i = ended; i < CALLS; i++) {
        plain_reads(fd, frame, SIZE + 12);
        plain_answers(fd, frame + 8, "reply", 0);
    }
    for (int i = 0; i < CALLS; i++) {
        wait_done(&outs[i], 1);
        cr_assert_eq(outs[i].is_ok, i >= ended, "%d", i);
    }
    free(frame);
    ez_backend_close(backend);
    close(fd);
    close(listener);
}
