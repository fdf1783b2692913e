// SPDX-License-Identifier: Apache-2.0
//
// ez_backend: one loop's way to the core: calls are started, sent over one connection however many there are, sent
// again where that is safe, and ended by a reply, a deadline or a loss.
//
// Threads: the loop's, for everything but what says otherwise.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"

struct event_base;

typedef struct ez_backend ez_backend;

// From the loop, never from within ez_backend_start. error is NULL where there is a reply; frame lives until the
// return.
typedef void ez_backend_done(void *arg, const void *frame, size_t len, const ez_error *error);

// Dials in the background and keeps at it: the core need not be there. urls: tcp://HOST:PORT, several cores of one
// store with commas; one of them is used, the next one when it is gone, stops, or is silent for more than a second.
// max_calls: in flight at once, at most 65,536. INVALID_ARGUMENT for other URLs.
ez_status ez_backend_open(struct event_base *base, const char *urls, unsigned max_calls, ez_backend **out,
                          ez_error *error) EZ_MUST_CHECK;

// Forgets what is in flight (its done is not called). Before the base is freed.
void ez_backend_close(ez_backend *backend);

// Calls moved whenever another core is used than before, with which one it is, from 0.
void ez_backend_watch(ez_backend *backend, void (*moved)(void *arg, unsigned core), void *arg);

// Any thread.
bool ez_backend_is_connected(const ez_backend *backend);

// Sends a frame, which the caller keeps until done is called. is_safe: it may be sent again when a connection is lost.
// The reply must come within timeout_ms. UNAVAILABLE at once, and done is never called, where no core is connected
// (CORE_UNAVAILABLE) or too much is in flight (GATEWAY_BUSY).
ez_status ez_backend_start(ez_backend *backend, const void *frame, size_t len, bool is_safe, uint32_t timeout_ms,
                           ez_backend_done *done, void *arg, ez_error *error) EZ_MUST_CHECK;

// For metrics; any thread.
typedef struct ez_backend_counts {
    uint64_t calls, retries, failures;
    unsigned in_flight;
} ez_backend_counts;
void ez_backend_count(const ez_backend *backend, ez_backend_counts *out);
