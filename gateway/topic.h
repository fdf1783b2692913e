// SPDX-License-Identifier: Apache-2.0
//
// ez_topics: what is published on the events socket and can be watched over HTTP. const; any thread.
#pragma once

#include <stddef.h>

#include "proto/runtime/schema.h"

#define EZ_TOPIC_COUNT 5
#define EZ_TOPIC_ALL   ((1u << EZ_TOPIC_COUNT) - 1)

typedef struct ez_topic {
    const char *name;                             // as on the wire and in the query
    char letter;                                  // in event ids; unique, and never another's later
    const ProtobufCMessageDescriptor *descriptor; // of its message; NULL: shown without it
} ez_topic;

extern const ez_topic ez_topics[EZ_TOPIC_COUNT];

// Index into ez_topics; -1 for another topic.
int ez_topic_find(const char *name);
int ez_topic_of_letter(char letter);
