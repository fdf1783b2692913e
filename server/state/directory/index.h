// SPDX-License-Identifier: Apache-2.0
//
// Values of indexes: where they stand in a resource's packed bytes, how they compare and hash. Nothing is stored beside
// the bytes: a look-up compares through them.
#pragma once

#include "server/state/directory/directory.h"
#include "server/state/directory/hash.h"

// What an index orders by. Parts that an index does not have are empty.
typedef struct ez_index_value {
    ez_slice a;
    ez_slice b;
    int64_t id;
} ez_index_value;

typedef struct ez_index_spec {
    int kind;
    bool is_unique;
    uint8_t group;                      // which of the kind's links; groups only
    uint8_t field_a, field_b, field_id; // field numbers; 0: the value has no such part
    const char *reason;                 // of ALREADY_EXISTS; unique ones only
} ez_index_spec;

const ez_index_spec *ez_index_find_spec(ez_index index);

// Of an entry; points into it. False where the entry has no value for it (an empty name, a reference to nothing): it is
// not in that index.
bool ez_index_of_entry(ez_index index, const ez_entry *entry, ez_index_value *out);
// Of a look-up. False where no entry can have it.
bool ez_index_of_key(ez_index index, ez_index_key key, ez_index_value *out);

bool ez_index_equal(const ez_index_value *x, const ez_index_value *y);
uint32_t ez_index_hash(const ez_hash_seed *seed, ez_index index, const ez_index_value *value);
