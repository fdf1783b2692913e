// SPDX-License-Identifier: Apache-2.0
//
// What differs from kind to kind, as a const table: the message, where its common fields are, which indexes it has.
#pragma once

#include "server/state/directory/directory.h"

#define EZ_KIND_UNIQUES_MAX 2
#define EZ_KIND_GROUPS_MAX  3

typedef struct ez_kind {
    const ProtobufCMessageDescriptor *descriptor;
    const char *word;  // "key"
    size_t id;         // offset of int64_t
    size_t created_at; // offset of Google__Protobuf__Timestamp *
    size_t updated_at; // likewise
    size_t revision;   // offset of uint64_t
    unsigned unique_count;
    unsigned group_count;
    ez_index uniques[EZ_KIND_UNIQUES_MAX];
    ez_index groups[EZ_KIND_GROUPS_MAX];
} ez_kind;

// NULL where the number is no kind.
const ez_kind *ez_kind_find(int kind);
