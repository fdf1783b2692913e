// SPDX-License-Identifier: Apache-2.0
//
// Peers that do not speak the protocol, or not to its end. Each test's name carries the number of the fault; each ends
// with the look that nobody else noticed.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fault/support/unhurt.h"

static ez_world w;

static void begin(void) {
    given_peace(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(wire, .init = begin, .fini = end);

static const char *socket_url(int which) {
    return which == 0 ? w.server.rpc_url : which == 1 ? w.server.config_url : w.server.events_url;
}

// The frame of a call that is answered OK.
static void good_frame(ez_buf *out) {
    raw_frame(out, "Masters/List", w.server.admin_token, "", 0);
}

static ez_status code_of(const uint8_t *answer, long len) {
    cr_assert_gt(len, 4);
    ez_arena arena;
    ez_arena_init(&arena, 8u << 20);
    Ez__V1__ReplyHeader *header;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_frame_read_reply(answer + 4, (size_t)len - 4, &arena, &header, &message, &error), &error);
    ez_status code = (ez_status)header->code;
    ez_arena_fini(&arena);
    return code;
}

static ez_status answer_on(int fd) {
    static uint8_t answer[EZ_CALL_MAX];
    long len = tcp_receive_sp(fd, answer, sizeof answer);
    cr_assert_gt(len, 0, "the connection was closed instead of answered");
    return code_of(answer, len);
}

static void expect_answered(int fd, uint32_t id) {
    ez_buf frame;
    good_frame(&frame);
    tcp_send_request(fd, id, frame.data, frame.len);
    cr_assert_eq(answer_on(fd), EZ_OK);
    ez_buf_fini(&frame);
}

Test(wire, fault_01_connect_and_close) {
    for (int i = 0; i < 300; i++)
        close(given_tcp(socket_url(i % 3)));
    expect_unhurt(&w);
}

Test(wire, fault_02_reset_within_the_greeting) {
    for (int i = 0; i < 300; i++) {
        int fd = given_tcp(socket_url(i % 3));
        tcp_send(fd, "\0SP\0\0\x30", (size_t)(i % 7));
        tcp_reset(fd);
    }
    expect_unhurt(&w);
}

Test(wire, fault_03_half_a_greeting) {
    int held[60];
    for (int i = 0; i < 60; i++) {
        held[i] = given_tcp(socket_url(i % 3));
        tcp_send(held[i], "\0SP\0\0\x30\0", (size_t)(i % 8));
    }
    expect_unhurt(&w);
    for (int i = 0; i < 60; i++)
        close(held[i]);
    expect_unhurt(&w);
}

Test(wire, fault_04_http) {
    static const char request[] = "POST /admin/masters HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    for (int i = 0; i < 3; i++) {
        int fd = given_tcp(socket_url(i));
        tcp_send(fd, request, sizeof request - 1);
        cr_assert(tcp_is_closed(fd));
        close(fd);
    }
    expect_unhurt(&w);
}

Test(wire, fault_05_another_protocol) {
    static const unsigned protocols[] = {EZ_SP_REP, EZ_SP_SUB, EZ_SP_PAIR, 0, 0xffff};
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        int fd = given_tcp(w.server.rpc_url);
        tcp_greet(fd, protocols[i]);
        cr_assert(tcp_is_closed(fd), "protocol %x", protocols[i]);
        close(fd);
        fd = given_tcp(w.server.config_url);
        tcp_greet(fd, protocols[i] == EZ_SP_SUB ? EZ_SP_REQ : protocols[i]);
        cr_assert(tcp_is_closed(fd), "protocol %x on the push socket", protocols[i]);
        close(fd);
    }
    expect_unhurt(&w);
}

Test(wire, fault_06_lengths_past_any_bound) {
    static const uint8_t lengths[][8] = {
        {0x80}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 1}, {0, 0, 0, 0, 0, 0x41, 0, 0}};
    size_t before = server_memory(&w);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int fd = given_peer(w.server.rpc_url);
        tcp_send(fd, lengths[i], 8);
        cr_assert(tcp_is_closed(fd), "length %zu", i);
        close(fd);
    }
    int fd = given_tcp(w.server.config_url);
    tcp_greet(fd, EZ_SP_SUB);
    cr_assert(tcp_greeted(fd));
    tcp_send(fd, lengths[0], 8);
    cr_assert(tcp_is_closed(fd));
    close(fd);
    cr_assert_lt(server_memory(&w), before + (64u << 20), "memory was given out by a peer's word");
    expect_unhurt(&w);
}

// nng drops the connection or the message; either way the next one is answered.
static void expect_dropped(const void *data, size_t len) {
    int fd = given_peer(w.server.rpc_url);
    tcp_send_sp(fd, data, len);
    ez_buf frame;
    good_frame(&frame);
    uint8_t head[12] = {[7] = (uint8_t)(frame.len + 4), [8] = 0x80};
    head[6] = (uint8_t)((frame.len + 4) >> 8);
    send(fd, head, sizeof head, MSG_NOSIGNAL);
    send(fd, frame.data, frame.len, MSG_NOSIGNAL);
    static uint8_t answer[EZ_CALL_MAX];
    long got = tcp_receive_sp(fd, answer, sizeof answer);
    if (got >= 0)
        cr_assert_eq(code_of(answer, got), EZ_OK, "what was dropped was answered");
    ez_buf_fini(&frame);
    close(fd);
}

Test(wire, fault_07_no_bytes) {
    expect_dropped("", 0);
    ez_raw raw;
    given_raw(&raw, w.server.rpc_url);
    expect_raw(EZ_INVALID_ARGUMENT, raw_ask(&raw, "", 0), &raw);
    cr_assert_str_eq(raw.header->reason, "FRAME_INVALID");
    end_raw(&raw);
    expect_unhurt(&w);
}

Test(wire, fault_08_too_few_bytes) {
    for (size_t len = 1; len < 4; len++)
        expect_dropped("\x80\0\0\1", len);
    ez_raw raw;
    given_raw(&raw, w.server.rpc_url);
    for (size_t len = 1; len < 4; len++)
        expect_raw(EZ_INVALID_ARGUMENT, raw_ask(&raw, "\1\x7f\x0a", len), &raw);
    expect_raw(EZ_UNIMPLEMENTED, raw_ask(&raw, "\2\0", 2), &raw);
    cr_assert_str_eq(raw.header->reason, "FRAME_VERSION");
    expect_raw(EZ_UNIMPLEMENTED, raw_call(&raw, "Nobody/Knows", NULL, "", 0), &raw);
    cr_assert_str_eq(raw.header->reason, "METHOD_UNKNOWN");
    expect_raw(EZ_OK, raw_call(&raw, "Masters/List", w.server.admin_token, "", 0), &raw);
    end_raw(&raw);
    expect_unhurt(&w);
}

// A request that has passed more devices than may be: words without the top bit before its id.
Test(wire, fault_09_too_many_hops) {
    uint8_t hops[4 * 300];
    memset(hops, 0, sizeof hops);
    expect_dropped(hops, 4);
    expect_dropped(hops, 4 * 20);
    expect_dropped(hops, sizeof hops);
    hops[4 * 299] = 0x80;
    expect_dropped(hops, sizeof hops);
    expect_unhurt(&w);
}

// A call whose answers are far more than the kernel's buffers hold, where enough of them are asked for.
static void given_a_large_list(ez_buf *frame) {
    char text[1001];
    memset(text, 'd', 1000);
    text[1000] = 0;
    for (int i = 0; i < 400; i++)
        ask(&w.admin, "Namespaces/Create", "{'namespace':{'name':'n%d','description':'%s'}}", i, text);
    Ez__V1__ListNamespacesRequest request = EZ__V1__LIST_NAMESPACES_REQUEST__INIT;
    request.page_size = 1000;
    uint8_t packed[16];
    size_t len = ez__v1__list_namespaces_request__pack(&request, packed);
    raw_frame(frame, "Namespaces/List", w.server.admin_token, packed, len);
}

// A peer that asks and never reads.
static int given_stalled_peer(const ez_buf *frame) {
    int fd = given_peer(w.server.rpc_url), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (uint32_t k = 0; k < 60; k++)
        tcp_send_request(fd, k, frame->data, frame->len);
    return fd;
}

// Its connection is closed; meanwhile nobody waits.
Test(wire, fault_10_a_peer_that_does_not_read) {
    ez_buf frame;
    given_a_large_list(&frame);
    unsigned before = connections(&w);
    int stalled[8];
    for (size_t i = 0; i < 8; i++)
        stalled[i] = given_stalled_peer(&frame);
    expect_unhurt(&w);
    expect_soon(connections(&w) == before); // its own side can't see it: what was sent before stands in the way
    for (size_t i = 0; i < 8; i++)
        close(stalled[i]);
    expect_unhurt(&w);
    ez_buf_fini(&frame);
}

Test(wire, fault_10_what_such_a_peer_asks_from_then_on_is_dropped) {
    ez_buf frame, change;
    given_a_large_list(&frame);
    unsigned before = connections(&w);
    int stalled = given_stalled_peer(&frame);
    expect_soon(is_in_log(&w, "does not read its answers"));
    Ez__V1__Namespace made = EZ__V1__NAMESPACE__INIT;
    Ez__V1__CreateNamespaceRequest request = EZ__V1__CREATE_NAMESPACE_REQUEST__INIT;
    made.name = (char *)(uintptr_t) "dropped";
    request.namespace_ = &made;
    uint8_t packed[64];
    size_t len = ez__v1__create_namespace_request__pack(&request, packed);
    raw_frame(&change, "Namespaces/Create", w.server.admin_token, packed, len);
    tcp_send_request(stalled, 60, change.data, change.len);
    expect_soon(connections(&w) == before);
    ask(&w.admin, "Namespaces/Create", "{'namespace':{'name':'dropped'}}"); // there is none yet
    close(stalled);
    expect_unhurt(&w);
    ez_buf_fini(&frame);
    ez_buf_fini(&change);
}

// A byte, then somebody else's call, then the next byte: thirty requests that take as long as they like.
Test(wire, fault_11_a_byte_at_a_time) {
    enum { SLOW = 30 };
    int fds[SLOW];
    ez_buf frame;
    good_frame(&frame);
    ez_buf bytes;
    ez_buf_init(&bytes, 4096);
    uint8_t head[12] = {[6] = (uint8_t)((frame.len + 4) >> 8), [7] = (uint8_t)(frame.len + 4), [8] = 0x80, [11] = 1};
    cr_assert_eq(ez_buf_append(&bytes, head, sizeof head), EZ_OK);
    cr_assert_eq(ez_buf_append(&bytes, frame.data, frame.len), EZ_OK);
    for (size_t i = 0; i < SLOW; i++)
        fds[i] = given_peer(w.server.rpc_url);
    for (size_t at = 0; at < bytes.len; at++) {
        for (size_t i = 0; i < SLOW; i++)
            tcp_send(fds[i], bytes.data + at, 1);
        ask(&w.admin, "Masters/Get", "{'id':1}");
    }
    for (size_t i = 0; i < SLOW; i++) {
        cr_assert_eq(answer_on(fds[i]), EZ_OK);
        close(fds[i]);
    }
    ez_buf_fini(&bytes);
    ez_buf_fini(&frame);
    expect_unhurt(&w);
}

// Several requests on one connection, some rubbish among them: each is answered for itself.
Test(wire, fault_11_rubbish_between_good_requests) {
    int fd = given_peer(w.server.rpc_url);
    for (uint32_t i = 0; i < 20; i++) {
        tcp_send_request(fd, 1000 + i, "\1\xff\xff\xff\xff\xff", 6);
        cr_assert_eq(answer_on(fd), EZ_INVALID_ARGUMENT);
        expect_answered(fd, i);
    }
    close(fd);
    expect_unhurt(&w);
}

// Who a data plane is follows from its token, whatever it says it is called.
Test(wire, fault_14_another_data_planes_name_in_the_body) {
    Ez__V1__DataPlane *edge = given_plane(&w.admin, "edge"), *far = given_plane(&w.admin, "far");
    ez_caller liar = caller_with(&w, edge->token);
    Ez__V1__HelloResponse *hello = ask(&liar, "DataPlanes/Hello", "{'name':'far','process_epoch':1}");
    cr_assert_eq(hello->id, edge->id);
    ask(&liar, "Config/Ack", "{'revision':{'epoch':%" PRIu64 ",'n':1}}", liar.info.epoch);
    Ez__V1__DataPlane *seen = ask(&w.admin, "DataPlanes/Get", "{'id':%" PRId64 "}", far->id);
    cr_assert_eq(seen->state, EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_NEVER_SEEN);
    ez_raw raw;
    given_raw(&raw, w.server.rpc_url);
    uint8_t body[] = {0x78, (uint8_t)far->id}; // field 15, as an id might be slipped in
    raw_call(&raw, "DataPlanes/Heartbeat", edge->token, body, sizeof body);
    raw_call(&raw, "DataPlanes/Goodbye", edge->token, body, sizeof body);
    end_raw(&raw);
    seen = ask(&w.admin, "DataPlanes/Get", "{'id':%" PRId64 "}", far->id);
    cr_assert_eq(seen->state, EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_NEVER_SEEN);
    expect_unhurt(&w);
}
