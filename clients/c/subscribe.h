// SPDX-License-Identifier: Apache-2.0
//
// ez_subscriber: follows one topic of a PUB socket (docs/protocol.md, section 4) and keeps what came until it is taken.
// PUB drops silently and so does a full inbox: whoever follows compares the headers' sequences and revisions.
//
// Threads: every function may be called from any thread, save ez_subscriber_close, which must be the last and is the
// only one that blocks. Never fork after ez_subscriber_open.
#pragma once

#include "clients/c/client.h"
#include "proto/runtime/buf.h"

#define EZ_SUBSCRIBER_EVENTS_MAX 1024        // events kept
#define EZ_SUBSCRIBER_BYTES_MAX  (16u << 20) // and their bytes
#define EZ_SUBSCRIBER_TOPIC_MAX  63

typedef struct ez_subscriber ez_subscriber;

// Connects in the background, and again whenever the connection is lost: a server that is away is no error here.
// topic: all of it ("config" does not take "configuration"), at most EZ_SUBSCRIBER_TOPIC_MAX bytes; NULL: every topic.
// tls may be NULL.
// INVALID_ARGUMENT for a topic, URL or TLS file that can't be used, UNAVAILABLE where there is no room for a socket.
ez_status ez_subscriber_open(const char *url, const char *topic, const ez_client_tls *tls, ez_subscriber **out,
                             ez_error *error) EZ_MUST_CHECK;
// Blocks for up to 1.5 s where a server is connected: until its next event, so that none is cut in two. NULL is fine.
void ez_subscriber_close(ez_subscriber *subscriber);

// Begins to close: connections end behind their next events. For closing many at once; then ez_subscriber_close each.
void ez_subscriber_hush(ez_subscriber *subscriber);

// For poll(2): readable while something is new, which is an event or a connection that came or went. Stays readable
// until ez_subscriber_take has said that nothing waits. Owned by the subscriber.
int ez_subscriber_fd(const ez_subscriber *subscriber);

// Puts the oldest event's bytes in out, which is cleared first, and forgets it. False where none waits. An event that
// is larger than out's ceiling is dropped and counted.
bool ez_subscriber_take(ez_subscriber *subscriber, ez_buf *out);

bool ez_subscriber_is_connected(ez_subscriber *subscriber);
// Events that came and were dropped since opening.
uint64_t ez_subscriber_dropped(ez_subscriber *subscriber);
