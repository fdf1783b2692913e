// SPDX-License-Identifier: Apache-2.0
//
// A whole server below its sockets, for tests of the domain: a SQLite store in a temporary folder, directory, feed
// without anybody to push to, writer, and the domain's objects. Calls are written as JSON with ' for ", and go the way
// rpc sends them: parsed, packed, decoded, checked, then handled. Helpers fail the test themselves. Replies live as
// long as the world.
#pragma once

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/audit.pb-c.h"
#include "ez/v1/binding.pb-c.h"
#include "ez/v1/change.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/model.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "ez/v1/route.pb-c.h"
#include "ez/v1/self.pb-c.h"
#include "ez/v1/token.pb-c.h"
#include "server/domain/access/access.h"
#include "server/domain/audit/audit.h"
#include "server/domain/routing/models/models.h"
#include "server/domain/routing/routing.h"
#include "server/state/directory/writer.h"

typedef struct world {
    char folder[64];
    ez_store *store;
    ez_sealer *sealer;
    ez_directory *directory;
    ez_feed *feed;
    ez_writer *writer;
    ez_counters *counters; // empty; a test notes what it wants
    ez_access *access;
    ez_routing *routing;
    ez_model_deriver *deriver;
    ez_models *models;
    ez_model_sync *sync; // NULL; a test's own, which it ends
    ez_audit *audit;
    ez_arena arena;     // replies
    ez_error error;     // of the last call
    int64_t time_ns;    // what reads call now; 0: the clock
    int64_t tenant;     // not 0: calls come from this master
    uint64_t if_match;  // of the next call
    bool validate_only; // of the next call
    char first_token[EZ_TOKEN_TEXT_MAX];
} world;

// With the namespace default and the first admin token.
world *given_world(void);
// The same without the first start.
world *given_empty_world(void);
void end_world(world *w);

// Calls method ("Keys/Create") and returns its status; *reply (may be NULL) is the reply's message.
ez_status call(world *w, const char *method, ProtobufCMessage **reply, const char *json, ...) EZ_PRINTF(4, 5);
// The same with a request that is a message already; it is changed by the checks.
ez_status call_message(world *w, const char *method, ProtobufCMessage **reply, const ProtobufCMessage *request);
// Must succeed; returns the reply.
void *expect_ok(world *w, const char *method, const char *json, ...) EZ_PRINTF(3, 4);
// Must fail with this code and reason, and the message must hold part.
void expect_error(world *w, ez_status code, const char *reason, const char *part, const char *method, const char *json,
                  ...) EZ_PRINTF(6, 7);

// Changes that did not come by a handler: as an import makes them.
void given_stored(world *w, int kind, ProtobufCMessage *message);
uint64_t head_of(const world *w);

Ez__V1__Master *given_master(world *w, const char *name);
Ez__V1__Key *given_key(world *w, int64_t master_id, const char *name);
void given_namespace(world *w, const char *name);
// models: "'a','b'".
Ez__V1__ProviderGroup *given_group(world *w, const char *name, const char *models);
Ez__V1__ApiKey *given_api_key(world *w, int64_t group_id, const char *name);
Ez__V1__Binding *given_binding(world *w, const char *model, int64_t group_id);

Ez__V1__Key *read_key(world *w, int64_t id);
Ez__V1__Master *read_master(world *w, int64_t id);
Ez__V1__ApiKey *read_api_key(world *w, int64_t id);
Ez__V1__Binding *read_binding(world *w, int64_t id);
// Gives Models/Sync and Models/GetMeta a sync.
void give_sync(world *w, ez_model_sync *sync);
