// SPDX-License-Identifier: Apache-2.0
//
// The kinds of resources that stand in Redis: how one becomes commands. A new kind is a row in kinds.c.
#pragma once

#include "server/domain/redis/batch.h"

// Beside the contract's keys: a hash that says what stands for a resource in Redis, so that it can be found when the
// resource is gone or has another token. Field: the kind's letter, ":" and the id; one more, made_at, keeps it from
// being empty, which Redis can't tell from gone.
#define EZ_REDIS_INDEX "meta:ezplane:index"

typedef struct ez_redis_kind {
    int kind;
    char letter;       // of its fields in the index; 0: it has none
    const char *table; // the hash it is a field of, which a rebuild makes anew and renames; NULL: keys of its own
    // Appends what makes Redis have the resource as the entry says. RESOURCE_EXHAUSTED, DATA_LOSS: this one can't be
    // written.
    ez_status (*put)(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error);
    // The same for one that is gone.
    ez_status (*drop)(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error);
} ez_redis_kind;

extern const ez_redis_kind ez_redis_kinds[];
extern const size_t ez_redis_kind_count;

// NULL: nothing of this kind stands in Redis.
const ez_redis_kind *ez_redis_kind_find(int kind);

#define EZ_REDIS_FIELD_MAX 28
// The field of the index: out holds EZ_REDIS_FIELD_MAX bytes.
void ez_redis_index_field(const ez_redis_kind *kind, int64_t id, char *out);
