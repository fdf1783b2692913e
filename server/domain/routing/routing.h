// SPDX-License-Identifier: Apache-2.0
//
// ez_routing: provider groups, API keys, bindings, and what a data plane would choose. The handlers are in
// ez/handlers.h; they keep no state beyond the directory and the counters, so one object serves every thread.
#pragma once

#include "server/platform/outbound/guard.h"
#include "server/state/directory/writer.h"
#include "server/state/metering/counters.h"

typedef struct ez_routing ez_routing;

typedef struct ez_routing_options {
    const ez_directory *directory;  // all must outlive the object
    const ez_counters *counters;    // NULL: all are zero
    const ez_outbound_allow *allow; // what a proxy_url is judged by beside the rule; NULL: nothing is let through
} ez_routing_options;

ez_status ez_routing_create(const ez_routing_options *options, ez_routing **out, ez_error *error) EZ_MUST_CHECK;
void ez_routing_destroy(ez_routing *routing);

// Who knows when an API key's tokens are refreshed next, in wall-clock nanoseconds (0: not at all); reads show it.
// Before the first call is taken. next: any thread, must not block.
void ez_routing_show_refresh(ez_routing *routing, int64_t (*next)(void *user, int64_t api_key_id), void *user);

// Within a transaction that put an API key which came into service or left it: compiles the bindings of its group where
// that decides them. self: the ez_routing.
ez_status ez_routing_follow_key(void *self, ez_txn *txn, int64_t group_id, int64_t api_key_id,
                                ez_error *error) EZ_MUST_CHECK;

// Bans that have an end: how many have passed at now_ns and are still kept as banned. Looks at every API key; any
// thread.
size_t ez_routing_passed_bans(const ez_routing *routing, int64_t now_ns);
// An ez_handler for the writer (ez_writer_submit with a system call, from the leader's timer): makes API keys whose ban
// has passed active again and recompiles the bindings of their groups, all in one revision. self: the ez_routing;
// request: an Empty. Reads show such a key as active before this has run; a binding without an upstream model follows
// by it.
ez_status ez_routing_lift_bans(void *self, ez_call *call, void *txn, ProtobufCMessage *request);

// API keys to be banned because their requests fail.
#define EZ_AUTO_BAN_MAX 1000
typedef struct ez_auto_ban_item {
    int64_t api_key_id;
    int64_t requests, errors; // what condemned it
    int32_t window_minutes;
    int64_t judged_ns; // when; wall clock
    int64_t until_ns;  // result: when the ban ends; 0: it was not banned
} ez_auto_ban_item;
typedef struct ez_auto_ban {
    int64_t seconds; // how long
    size_t count;
    ez_auto_ban_item items[EZ_AUTO_BAN_MAX];
} ez_auto_ban;
// An ez_handler for the writer, likewise; self: an ez_auto_ban. Bans those that have auto_ban and are active, and whose
// last ban did not end after they were judged, all in one revision; also a group's last one.
ez_status ez_routing_auto_ban(void *self, ez_call *call, void *txn, ProtobufCMessage *request);
