// SPDX-License-Identifier: Apache-2.0
//
// ez_exchanger: one loop's requests, from evhttp's hand to the core and back. An exchange is one of them; its memory
// comes from a free list. On the loop's thread only.
#pragma once

#include "gateway/backend.h"
#include "gateway/connection.h"
#include "gateway/metrics.h"
#include "gateway/pages.h"
#include "gateway/router.h"
#include "gateway/streams.h"

typedef struct ez_exchanger ez_exchanger;

// What exchanges need; all of it outlives the exchanger.
typedef struct ez_exchange_parts {
    const ez_router *router;
    const ez_pages *pages;
    const char *cors_origins; // or NULL
    ez_backend *backend;
    ez_connections *connections;
    ez_streams *streams;
    ez_counters *counters;
    const ez_metrics *metrics;
} ez_exchange_parts;

ez_status ez_exchanger_create(const ez_exchange_parts *parts, ez_exchanger **out, ez_error *error) EZ_MUST_CHECK;
// Once the backend is closed: what was under way is dropped.
void ez_exchanger_destroy(ez_exchanger *exchanger);

// Takes a whole request; it is answered now or when the core has.
void ez_exchanger_take(ez_exchanger *exchanger, struct evhttp_request *req);

// From now on every response closes its connection.
void ez_exchanger_drain(ez_exchanger *exchanger);
unsigned ez_exchanger_count(const ez_exchanger *exchanger); // under way
