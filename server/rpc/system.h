// SPDX-License-Identifier: Apache-2.0
//
// ez_system: the server's own state: /status, /about, /readyz, metrics. Any thread.
#pragma once

#include "server/domain/oauth/oauth.h"
#include "server/domain/redis/redis.h"
#include "server/platform/publish/publish.h"
#include "server/rpc/rpc.h"

typedef struct ez_system ez_system;

typedef struct ez_system_options {
    const ez_directory *directory;
    const ez_feed *feed;
    ez_fleet *fleet;
    ez_store *store;
    const char *server_id;
    // Who does the background work, and under which token: ez_lease_look of server/jobs/lease.h. NULL: not told.
    void (*look_at_lease)(void *user, char holder[EZ_LEASE_HOLDER_MAX], uint64_t *token);
    void *lease;
    ez_redis *redis;        // NULL: none
    ez_oauth *oauth;        // NULL: none
    ez_publish *events;     // which events were published; NULL: none
    const char *events_url; // where events are pushed
    // Writes the metrics of alerts. NULL: there are none.
    void (*write_metrics)(void *user, ez_buf *out);
    void *metrics_user;
    bool insecure_listen;
} ez_system_options;

ez_status ez_system_create(const ez_system_options *options, ez_system **out, ez_error *error) EZ_MUST_CHECK;
void ez_system_destroy(ez_system *system);
// The socket it tells about; it is opened after its handlers' objects are made.
void ez_system_watch(ez_system *system, ez_rpc *rpc);
