// SPDX-License-Identifier: Apache-2.0
//
// ez_core: everything that holds and changes configuration, opened in order: home, key, store, feed, directory, writer.
// "ezplaned" puts sockets in front of it; "ezplaned import" uses it bare.
#pragma once

#include "proto/runtime/settings.h"
#include "server/domain/access/access.h"
#include "server/domain/routing/models/derive.h"
#include "server/home.h"
#include "server/jobs/lease.h"
#include "server/state/directory/writer.h"
#include "server/state/metering/counters.h"
#include "server/state/metering/realtime.h"

typedef struct ez_core {
    ez_home *home;
    ez_sealer *sealer;
    ez_store *store;
    ez_store_head head; // as it was at the start
    ez_lease *lease;    // NULL without sockets
    ez_publish *config; // NULL without sockets
    ez_feed *feed;
    ez_directory *directory;
    ez_model_deriver *deriver; // what the writer derives models with
    ez_writer *writer;
    ez_counters *counters;
    ez_realtime *realtime;
    ez_access *access;
} ez_core;

// server_id: NULL opens no push socket. *running_url as in ez_home_open. On error everything is closed again.
ez_status ez_core_open(ez_core *core, const ez_settings *settings, const char *server_id, char **running_url,
                       ez_error *error) EZ_MUST_CHECK;
// Opens the push socket that a setting names; what goes wrong names the setting too.
ez_status ez_core_open_publish(const ez_settings *settings, const char *name, const char *server_id, ez_publish **out,
                               ez_error *error) EZ_MUST_CHECK;
// Ends the writer's thread, when all it was given is done, gives the lease up, and ends the store's readers; all refuse
// from then on. What is in memory stays until close: calls that were given up may still come to it.
void ez_core_stop(ez_core *core);
void ez_core_close(ez_core *core);
