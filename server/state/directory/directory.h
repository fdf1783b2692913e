// SPDX-License-Identifier: Apache-2.0
//
// ez_directory: every resource in memory, as the bytes everybody gets, with its indexes. Derived from the store at
// start and kept by the commits. Reads never wait for writes.
//
// Threads and lifetimes. Readers: any thread, between ez_directory_enter and ez_directory_leave (RCU: no lock, no
// blocking inside; sections nest). An entry is immutable and lives until the section ends. Writing (apply) is for one
// thread, the writer's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/common.pb-c.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/schema.h"
#include "server/state/feed/feed.h"
#include "server/state/store/store.h"

typedef struct ez_directory ez_directory;
typedef struct ez_entry ez_entry; // one resource at one revision

// Indexes. Unique ones hold at most one entry per value; groups hold many, in the order of their ids.
typedef enum ez_index {
    EZ_INDEX_MASTER_NAME,          // unique, text
    EZ_INDEX_MASTER_TOKEN,         // unique, 32 bytes of SHA-256
    EZ_INDEX_KEY_TOKEN,            // unique, 32 bytes
    EZ_INDEX_KEY_BY_MASTER,        // group, id
    EZ_INDEX_NAMESPACE_NAME,       // unique, text
    EZ_INDEX_PROVIDER_GROUP_NAME,  // unique, text
    EZ_INDEX_API_KEY_BY_GROUP,     // group, id
    EZ_INDEX_BINDING_IDENTITY,     // unique: see ez_index_key_binding
    EZ_INDEX_BINDING_BY_GROUP,     // group, id
    EZ_INDEX_BINDING_BY_NAMESPACE, // group, text
    EZ_INDEX_BINDING_BY_MODEL,     // group: namespace, NUL, public model
    EZ_INDEX_ADMIN_TOKEN_NAME,     // unique, text
    EZ_INDEX_ADMIN_TOKEN_TOKEN,    // unique, 32 bytes
    EZ_INDEX_DATA_PLANE_NAME,      // unique, text
    EZ_INDEX_DATA_PLANE_TOKEN,     // unique, 32 bytes
    EZ_INDEX_SETTING_NAME,         // unique, text
    EZ_INDEX_MODEL_NAME,           // unique, text: namespace.public_model
    EZ_INDEX_COUNT,
} ez_index;

// A value to look up. Texts are compared as they are (they were trimmed when they came in).
typedef struct ez_index_key {
    const void *data;
    size_t len;
    int64_t id; // used where data is NULL
} ez_index_key;
static inline ez_index_key ez_index_id(int64_t id) {
    return (ez_index_key){.id = id};
}
ez_index_key ez_index_text(const char *text);
ez_index_key ez_index_bytes(const void *data, size_t len);
// namespace NUL model, and namespace NUL model NUL group id: made in arena (data NULL and id -1 where there is no
// memory: finds nothing).
ez_index_key ez_index_model(const char *name_space, const char *model, ez_arena *arena);
ez_index_key ez_index_binding(const char *name_space, const char *model, int64_t group_id, ez_arena *arena);

ez_status ez_directory_create(uint64_t epoch, const ez_sealer *sealer, ez_directory **out,
                              ez_error *error) EZ_MUST_CHECK;
void ez_directory_destroy(ez_directory *directory);

// Reads every resource from the store; before anything else runs.
ez_status ez_directory_load(ez_directory *directory, ez_store *store, ez_error *error) EZ_MUST_CHECK;

void ez_directory_enter(void);
void ez_directory_leave(void);

const ez_entry *ez_directory_get(const ez_directory *directory, int kind, int64_t id);              // NULL: none
const ez_entry *ez_directory_find(const ez_directory *directory, ez_index index, ez_index_key key); // unique indexes
// Next by id (after 0: the first), or before it where descending (before INT64_MAX: the last). NULL at the end.
const ez_entry *ez_directory_next(const ez_directory *directory, int kind, int64_t after, bool descending);
// Members of a group index, ids ascending from after (0: the first); NULL at the end. descending as above. Cost:
// constant where the entry "after" is still there, else a walk of the group.
const ez_entry *ez_directory_member(const ez_directory *directory, ez_index index, ez_index_key key, int64_t after,
                                    bool descending);
size_t ez_directory_member_count(const ez_directory *directory, ez_index index, ez_index_key key);
size_t ez_directory_count(const ez_directory *directory, int kind);

// XOR of all config resources' row digests (proto/crypto/digest.h), and how many there are. Writer's thread only;
// others ask the feed.
void ez_directory_digest(const ez_directory *directory, uint8_t out[32], uint64_t *rows);

// An entry's parts. Slices live as long as the entry.
int ez_entry_kind(const ez_entry *entry);
int64_t ez_entry_id(const ez_entry *entry);
uint64_t ez_entry_revision(const ez_entry *entry);
uint64_t ez_entry_secret_version(const ez_entry *entry);
ez_slice ez_entry_data(const ez_entry *entry);
ez_slice ez_entry_sealed(const ez_entry *entry);

// Unpacks into arena. NULL where there is no memory.
ProtobufCMessage *ez_entry_unpack(const ez_entry *entry, ez_arena *arena) EZ_MUST_CHECK;
// Opens an API key's secret into arena; *out NULL where it has none. DATA_LOSS where it can't be opened.
ez_status ez_directory_unseal(const ez_directory *directory, const ez_entry *entry, ez_arena *arena,
                              Ez__V1__ApiKeySecret **out, ez_error *error) EZ_MUST_CHECK;

// The rule of a kind's message, and its words: "key", "keys".
const ez_message_rule *ez_kind_rule(int kind);
const char *ez_kind_word(int kind);
