// SPDX-License-Identifier: Apache-2.0
//
// ez_listener: one address, listened on by several sockets.
#pragma once

#include <sys/socket.h>

#include "proto/runtime/error.h"

typedef struct ez_listener {
    struct sockaddr_storage addr;
    socklen_t len;
} ez_listener;

// "127.0.0.1:7380", "[::1]:7380", "localhost:7380", ":7380" (all IPv4 addresses). INVALID_ARGUMENT names EZ_HTTP_ADDR.
ez_status ez_listener_parse(const char *text, ez_listener *out, ez_error *error) EZ_MUST_CHECK;

// A listening, non-blocking socket. Port 0 becomes a port at the first one; later ones share it. UNAVAILABLE names the
// address.
ez_status ez_listener_bind(ez_listener *listener, int *fd, ez_error *error) EZ_MUST_CHECK;

// "127.0.0.1:7380".
void ez_listener_text(const ez_listener *listener, char *out, size_t size);
