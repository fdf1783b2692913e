// SPDX-License-Identifier: Apache-2.0
//
// Peers that do not behave as libezplane does: frames made by hand over a REQ socket, and bytes over a TCP connection,
// with or without SP's greeting. A raw peer belongs to one thread.
#pragma once

#include <nng/nng.h>

#include "proto/runtime/frame.h"
#include "tests/support/expect.h"
#include "tests/support/wait.h"

// ---- A REQ socket of one's own, which never repeats a request

typedef struct ez_raw {
    nng_socket socket;
    ez_arena arena;
    Ez__V1__ReplyHeader *header; // of the last answer
    ez_slice message;            // likewise, in `answer`
    nng_msg *answer;
} ez_raw;

void given_raw(ez_raw *raw, const char *url);
void end_raw(ez_raw *raw);
// Sends these bytes as one request and waits for the answer; returns its code.
ez_status raw_ask(ez_raw *raw, const void *frame, size_t len);
// A frame: header, then message bytes as they are. method: "Keys/Get". token: NULL or "" for none.
void raw_frame(ez_buf *out, const char *method, const char *token, const void *message, size_t len);
// Both.
ez_status raw_call(ez_raw *raw, const char *method, const char *token, const void *message, size_t len);
#define expect_raw(want, got, raw)                                                                                     \
    do {                                                                                                               \
        ez_status got__ = (got);                                                                                       \
        cr_assert(got__ == (want), "expected %s, got %s %s: %s", ez_status_name(want), ez_status_name(got__),          \
                  (raw)->header->reason, (raw)->header->message);                                                      \
    } while (0)

// ---- TCP

// Connects to "tcp://127.0.0.1:PORT"; returns the socket.
int given_tcp(const char *url);
// The same, -1 where it can't.
int try_tcp(const char *url);
// SP's greeting as a REQ peer (protocol 0x30) or as another one.
#define EZ_SP_REQ  0x30
#define EZ_SP_REP  0x31
#define EZ_SP_SUB  0x21
#define EZ_SP_PAIR 0x10
void tcp_greet(int fd, unsigned protocol);
// Reads the peer's greeting. False where the connection ended instead.
bool tcp_greeted(int fd);
void tcp_send(int fd, const void *data, size_t len);
// An SP message: 8 bytes of length, then `len` bytes.
void tcp_send_sp(int fd, const void *data, size_t len);
// An SP message of REQ: the request id, then a frame.
void tcp_send_request(int fd, uint32_t id, const void *frame, size_t len);
// Reads one SP message; returns its length, or -1 where the connection ended. out holds size bytes.
long tcp_receive_sp(int fd, void *out, size_t size);
// Waits until the peer has closed the connection, reading what still comes.
bool tcp_is_closed(int fd);
// Closes it with RST.
void tcp_reset(int fd);
