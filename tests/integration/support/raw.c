// SPDX-License-Identifier: Apache-2.0
//
// Raw peers. SP over TCP is a greeting of 8 bytes each way (0 'S' 'P' 0, protocol, 0 0) and then messages, each behind
// its length in 8 bytes big endian; a request begins with its id, whose top bit is set.
// Every read is bounded by patience.
#include "tests/integration/support/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/runtime/clock.h"

#define FRAME_MAX (8u << 20)

void given_raw(ez_raw *raw, const char *url) {
    *raw = (ez_raw){.answer = NULL};
    ez_arena_init(&raw->arena, 16u << 20);
    cr_assert_eq(nng_req0_open(&raw->socket), 0);
    cr_assert_eq(nng_socket_set_ms(raw->socket, NNG_OPT_REQ_RESENDTIME, -1), 0);
    cr_assert_eq(nng_socket_set_ms(raw->socket, NNG_OPT_RECVTIMEO, (nng_duration)ez_test_patience_ms()), 0);
    cr_assert_eq(nng_socket_set_ms(raw->socket, NNG_OPT_SENDTIMEO, (nng_duration)ez_test_patience_ms()), 0);
    cr_assert_eq(nng_socket_set_size(raw->socket, NNG_OPT_RECVMAXSZ, EZ_CALL_MAX), 0);
    int rv = nng_dial(raw->socket, url, NULL, 0);
    cr_assert_eq(rv, 0, "can't connect: %s", nng_strerror(rv));
}

void end_raw(ez_raw *raw) {
    nng_close(raw->socket);
    nng_msg_free(raw->answer);
    ez_arena_fini(&raw->arena);
}

ez_status raw_ask(ez_raw *raw, const void *frame, size_t len) {
    nng_msg *request;
    cr_assert_eq(nng_msg_alloc(&request, 0), 0);
    cr_assert_eq(nng_msg_append(request, frame, len), 0);
    int rv = nng_sendmsg(raw->socket, request, 0);
    cr_assert_eq(rv, 0, "can't send: %s", nng_strerror(rv));
    nng_msg_free(raw->answer);
    raw->answer = NULL;
    ez_arena_reset(&raw->arena);
    rv = nng_recvmsg(raw->socket, &raw->answer, 0);
    cr_assert_eq(rv, 0, "no answer: %s", nng_strerror(rv));
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_frame_read_reply(nng_msg_body(raw->answer), nng_msg_len(raw->answer), &raw->arena, &raw->header,
                                  &raw->message, &error),
              &error);
    return (ez_status)raw->header->code;
}

void raw_frame(ez_buf *out, const char *method, const char *token, const void *message, size_t len) {
    char name[96], authorization[320] = "";
    snprintf(name, sizeof name, "ez.v1.%s", method);
    if (token && token[0])
        snprintf(authorization, sizeof authorization, "Bearer %s", token);
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    header.method = name;
    header.authorization = authorization;
    ez_buf_init(out, FRAME_MAX);
    cr_assert_eq(ez_frame_write_call(out, &header), EZ_OK);
    cr_assert_eq(ez_buf_append(out, message, len), EZ_OK);
}

ez_status raw_call(ez_raw *raw, const char *method, const char *token, const void *message, size_t len) {
    ez_buf frame;
    raw_frame(&frame, method, token, message, len);
    ez_status status = raw_ask(raw, frame.data, frame.len);
    ez_buf_fini(&frame);
    return status;
}

// ---- TCP

int try_tcp(const char *url) {
    const char *colon = strrchr(url, ':');
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        fd = -1;
    }
    int now = 1; // a message goes out in two writes
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
    return fd;
}

int given_tcp(const char *url) {
    int fd = try_tcp(url);
    cr_assert_geq(fd, 0, "can't connect: %s", strerror(errno));
    return fd;
}

void tcp_send(int fd, const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        cr_assert(sent > 0 || errno == EINTR, "can't send: %s", strerror(errno));
        at += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
}

void tcp_greet(int fd, unsigned protocol) {
    const uint8_t greeting[8] = {0, 'S', 'P', 0, (uint8_t)(protocol >> 8), (uint8_t)protocol, 0, 0};
    tcp_send(fd, greeting, sizeof greeting);
}

// Reads exactly len bytes; false where the connection ended first.
static bool read_all(int fd, void *out, size_t len) {
    uint64_t deadline = ez_test_deadline();
    uint8_t *at = out;
    while (len > 0) {
        uint64_t now = ez_clock_mono_ms();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        cr_assert_lt(now, deadline, "the peer sent nothing");
        if (poll(&ready, 1, (int)(deadline - now)) <= 0)
            continue;
        ssize_t got = recv(fd, at, len, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        at += got > 0 ? got : 0;
        len -= got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool tcp_greeted(int fd) {
    uint8_t greeting[8];
    return read_all(fd, greeting, sizeof greeting) && memcmp(greeting, "\0SP", 4) == 0;
}

static void put_be64(uint8_t *out, uint64_t value) {
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

void tcp_send_sp(int fd, const void *data, size_t len) {
    uint8_t head[8];
    put_be64(head, len);
    tcp_send(fd, head, sizeof head);
    if (len > 0)
        tcp_send(fd, data, len);
}

void tcp_send_request(int fd, uint32_t id, const void *frame, size_t len) {
    uint8_t head[12];
    put_be64(head, len + 4);
    id |= 0x80000000u;
    for (int i = 0; i < 4; i++)
        head[8 + i] = (uint8_t)(id >> (24 - 8 * i));
    tcp_send(fd, head, sizeof head);
    tcp_send(fd, frame, len);
}

long tcp_receive_sp(int fd, void *out, size_t size) {
    uint8_t head[8];
    if (!read_all(fd, head, sizeof head))
        return -1;
    uint64_t len = 0;
    for (int i = 0; i < 8; i++)
        len = len << 8 | head[i];
    cr_assert_leq(len, size, "a message of %" PRIu64 " bytes came", len);
    return read_all(fd, out, (size_t)len) ? (long)len : -1;
}

bool tcp_is_closed(int fd) {
    uint64_t deadline = ez_test_deadline();
    char sink[4096];
    for (uint64_t now; (now = ez_clock_mono_ms()) < deadline;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, (int)(deadline - now)) <= 0)
            continue;
        ssize_t got = recv(fd, sink, sizeof sink, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return true;
    }
    return false;
}

void tcp_reset(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}
