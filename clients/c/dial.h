// SPDX-License-Identifier: Apache-2.0
//
// ez_dial: one outgoing nng connection, with every bound set before it starts: message size, keepalive, reconnect
// times, TLS. Internal to libezplane.
#pragma once

#include <nng/nng.h>

#include "clients/c/client.h"

#define EZ_URL_MAX 256

// Checks scheme and length. INVALID_ARGUMENT (URL_INVALID) says what it may be.
ez_status ez_dial_check_url(const char *url, ez_error *error) EZ_MUST_CHECK;

// Whether the URL's connection is encrypted.
bool ez_dial_is_tls(const char *url);

// Starts to connect in the background, and again whenever the connection is lost. recv_max: most bytes of one message.
// INVALID_ARGUMENT for an URL or TLS file that can't be used, UNAVAILABLE where nng has no more room.
ez_status ez_dial(nng_socket socket, const char *url, const ez_client_tls *tls, size_t recv_max, nng_dialer *out,
                  ez_error *error) EZ_MUST_CHECK;
