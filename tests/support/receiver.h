// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP server on 127.0.0.1 that answers as a script says, also wrongly, and keeps what it was sent. One request
// a connection.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define EZ_TEST_RECEIVED_MAX 64 // requests kept

// One answer, in raw bytes: status line, headers, body.
typedef struct ez_test_answer {
    const void *data; // NULL: the connection is closed without a word
    size_t len;       // 0: strlen(data)
    size_t again;     // bytes at the end of data that are sent again and again, until the peer closes
    bool hangs;       // it is not closed until the peer does
} ez_test_answer;

typedef struct ez_test_receiver ez_test_receiver;

// answers: in order, one a request, the last one for all that follow; must live as long. With a certificate and key
// (PEM files) it speaks TLS. Fails the test where it can't.
ez_test_receiver *given_receiver(const ez_test_answer *answers, size_t count);
ez_test_receiver *given_tls_receiver(const ez_test_answer *answers, size_t count, const char *certificate,
                                     const char *key);
void end_receiver(ez_test_receiver *receiver);

unsigned receiver_port(const ez_test_receiver *receiver);
// "http://127.0.0.1:PORT" and the path; valid until the next call.
const char *receiver_url(ez_test_receiver *receiver, const char *path);

// Connections so far, and whole requests.
size_t receiver_connections(ez_test_receiver *receiver);
size_t receiver_count(ez_test_receiver *receiver);
// Connections over TLS that would have spoken HTTP/2.
size_t receiver_http2(ez_test_receiver *receiver);
// The i-th request as it came, NUL-terminated. Fails the test where there is none.
const char *receiver_request(ez_test_receiver *receiver, size_t i);
// A header's value in that request, or NULL: valid until the next call. Its body.
const char *receiver_header(ez_test_receiver *receiver, size_t i, const char *name);
const char *receiver_body(ez_test_receiver *receiver, size_t i);
