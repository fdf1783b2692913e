// SPDX-License-Identifier: Apache-2.0
//
// What data planes that read Redis find there, as text: docs/redis.md is the contract. Names, types and order are
// fixed; fields that are empty are left out where the contract says "?". Reads the directory within the caller's read
// section, blocks nowhere. Each fails with RESOURCE_EXHAUSTED where memory or a buffer's ceiling ends.
#pragma once

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "proto/runtime/buf.h"
#include "server/state/directory/directory.h"

// ---- provider.c

// A provider: an API key with what its group gives it. secret may be NULL. Holds secrets in plain.
ez_status ez_snapshot_provider(const Ez__V1__ApiKey *key, const Ez__V1__ApiKeySecret *secret,
                               const Ez__V1__ProviderGroup *group, int64_t now_ns, ez_buf *out) EZ_MUST_CHECK;
// Whether bindings offer this packed API key as an upstream.
bool ez_snapshot_in_service(ez_slice api_key);

// ---- binding.c

// All bindings of (namespace, public model) as one document. *found false where there are none: nothing is written.
ez_status ez_snapshot_binding(const ez_directory *directory, const char *name_space, const char *model, ez_arena *arena,
                              ez_buf *out, bool *found) EZ_MUST_CHECK;

// ---- record.c: hashes, as the fields of a command

typedef struct ez_field_text {
    const char *name;
    const char *value; // in the arena, or constant
} ez_field_text;

#define EZ_RECORD_FIELDS_MAX 24
typedef struct ez_record {
    ez_field_text fields[EZ_RECORD_FIELDS_MAX];
    size_t count;
} ez_record;

// A child key with what it inherits from its master filled in.
ez_status ez_record_key(const Ez__V1__Key *key, const Ez__V1__Master *master, int64_t now_ns, ez_arena *arena,
                        ez_record *out) EZ_MUST_CHECK;
ez_status ez_record_master(const Ez__V1__Master *master, ez_arena *arena, ez_record *out) EZ_MUST_CHECK;
