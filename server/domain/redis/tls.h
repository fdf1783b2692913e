// SPDX-License-Identifier: Apache-2.0
//
// ez_redis_tls: TLS over a connected, non-blocking socket, by OpenSSL: the hiredis of Debian 12 has none. TLS 1.2 or
// newer; the peer's certificate must name the host and be signed by somebody trusted. One thread.
#pragma once

#include <sys/types.h>

#include "proto/runtime/error.h"

typedef struct ez_redis_tls ez_redis_tls;

// ca_file: PEM, NULL: the system's. host: a name or an address. The socket stays the caller's.
ez_status ez_redis_tls_create(int fd, const char *host, const char *ca_file, ez_redis_tls **out,
                              ez_error *error) EZ_MUST_CHECK;
void ez_redis_tls_destroy(ez_redis_tls *tls); // NULL is fine

// Each does what it can without waiting. Bytes moved; 0: the end; -1: wait for *events (poll.h) and call it again;
// -2: broken, error says how. The handshake comes with the first of them.
ssize_t ez_redis_tls_read(ez_redis_tls *tls, void *out, size_t len, short *events, ez_error *error);
ssize_t ez_redis_tls_write(ez_redis_tls *tls, const void *data, size_t len, short *events, ez_error *error);
