// SPDX-License-Identifier: Apache-2.0
//
// What the server may call: https, at addresses that are on the Internet, and what the admin of the machine has let
// through beside that (EZ_OUTBOUND_ALLOW). URLs are set by whoever has an admin token; without a guard such a token
// would also open the machine's own network, its loopback services and its cloud's metadata.
//
// A URL is judged twice: its text when it is set and before each call, and the address that is really connected to, in
// the socket's callback. Only the second is the guard, a name can resolve to anything; the first gives a clear error
// early. Pure functions over an object that is not changed once it is made; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/runtime/error.h"
#include "server/platform/outbound/address.h"

#define EZ_OUTBOUND_URL_MAX     2048
#define EZ_OUTBOUND_HOST_MAX    256
#define EZ_OUTBOUND_ALLOW_ITEMS 64

typedef struct ez_outbound_allow ez_outbound_allow;

// list: items with commas in between, NULL or "" for none. An item is a host, host:port, an address, address:port
// ([::1]:8080) or a range (10.0.0.0/8). A URL whose host is an item, or an address within one, may be http and may lead
// to any address; any URL's peer may be an address within one. INVALID_ARGUMENT names the item that is none.
ez_status ez_outbound_allow_create(const char *list, ez_outbound_allow **out, ez_error *error) EZ_MUST_CHECK;
void ez_outbound_allow_destroy(ez_outbound_allow *allow); // NULL is fine

// The parts of a URL that decide.
typedef struct ez_outbound_target {
    bool is_https;
    char host[EZ_OUTBOUND_HOST_MAX]; // lower case, without brackets and the dot at its end
    uint16_t port;
} ez_outbound_target;

// INVALID_ARGUMENT (URL_INVALID) where it is no plain http or https URL: credentials, fragments, blanks and characters
// that are not ASCII in its host are refused, since two programs might read them differently.
ez_status ez_outbound_read_url(const char *url, ez_outbound_target *out, ez_error *error) EZ_MUST_CHECK;

// For whoever takes a URL as a setting. INVALID_ARGUMENT: URL_INVALID, URL_NOT_HTTPS, URL_NOT_ALLOWED (the text alone
// tells that it leads inside). The message names the host at most. allow: NULL lets nothing more through.
ez_status ez_outbound_check_url(const ez_outbound_allow *allow, const char *url, ez_error *error) EZ_MUST_CHECK;
ez_status ez_outbound_check_target(const ez_outbound_allow *allow, const ez_outbound_target *target,
                                   ez_error *error) EZ_MUST_CHECK;

// NULL where a call to target may be connected to this address; else what that is (ez_address_kind).
const char *ez_outbound_peer_fault(const ez_outbound_allow *allow, const ez_outbound_target *target,
                                   const ez_address *address);

// A URL as it may be shown and kept: scheme, host and port, and "/…" for whatever follows, since with some receivers
// the path is the secret; without credentials; cut at size.
void ez_outbound_show_url(const char *url, char *out, size_t size);
