// SPDX-License-Identifier: Apache-2.0
//
// ez_publish: one PUB socket. Numbers each topic's events, and sends without waiting: a subscriber that is slow loses
// events and sees it by the numbers.
//
// Locking: one lock per socket around numbering and sending, so that events leave in the order of their numbers. Any
// thread, nng callbacks included.
#pragma once

#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

typedef struct ez_publish ez_publish;

typedef struct ez_publish_event {
    const char *topic; // a constant: "config"
    uint64_t epoch;
    uint64_t from, to; // revisions, where the topic has them
    int64_t time_ns;   // wall clock of what it tells (for config: of the commit)
    bool ack_now;
    bool fetch;
    const char *origin;  // the server where it happened, where another one publishes it; NULL: this one
    const void *message; // packed
    size_t len;
} ez_publish_event;

#define EZ_PUBLISH_TOPICS_MAX 16 // of one socket
#define EZ_PUBLISH_TOPIC_MAX  32 // bytes of a topic

typedef struct ez_publish_topic {
    char name[EZ_PUBLISH_TOPIC_MAX + 1];
    uint64_t sequence; // of its last event
} ez_publish_topic;

// url: tcp://…. server_id: at most 32 characters, new at each start.
ez_status ez_publish_open(const char *url, const char *server_id, ez_publish **out, ez_error *error) EZ_MUST_CHECK;
void ez_publish_close(ez_publish *publish);

// RESOURCE_EXHAUSTED (EVENT_TOO_LARGE) past EZ_EVENT_MAX.
ez_status ez_publish_send(ez_publish *publish, const ez_publish_event *event, ez_error *error) EZ_MUST_CHECK;

// Copies what topics had events, and how far they are; returns how many.
unsigned ez_publish_topics(ez_publish *publish, ez_publish_topic out[EZ_PUBLISH_TOPICS_MAX]);
