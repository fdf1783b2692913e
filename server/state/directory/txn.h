// SPDX-License-Identifier: Apache-2.0
//
// ez_txn: one configuration change while it is being made. Reads see the directory with this transaction's own writes
// laid over it; writes are kept until the writer makes them durable. Becomes exactly one revision, or nothing.
//
// Handlers of effect CHANGE get one, on the writer's thread, inside a directory read section. They read through it,
// never from the directory, put and delete through it, and never block. A handler may be run again from the start
// (another server was faster), so it keeps nothing outside the txn and the call.
#pragma once

#include "proto/runtime/call.h"
#include "server/state/directory/directory.h"

#define EZ_TXN_CHANGES_MAX 250000 // of one transaction; more: RESOURCE_EXHAUSTED (CHANGE_TOO_LARGE)

#define EZ_RESOURCE_MAX (3u << 20) // bytes of one packed resource; more: INVALID_ARGUMENT (RESOURCE_TOO_LARGE)

typedef struct ez_txn ez_txn;

ez_revision ez_txn_revision(const ez_txn *txn); // the one it will become
int64_t ez_txn_now_ns(const ez_txn *txn);       // wall clock, the same all through
ez_arena *ez_txn_arena(ez_txn *txn);            // the call's
bool ez_txn_is_rehearsal(const ez_txn *txn);    // validate_only: nothing of it will be kept

// Reading, as in directory.h.
const ez_entry *ez_txn_get(ez_txn *txn, int kind, int64_t id);
const ez_entry *ez_txn_find(ez_txn *txn, ez_index index, ez_index_key key);
const ez_entry *ez_txn_next(ez_txn *txn, int kind, int64_t after);
const ez_entry *ez_txn_member(ez_txn *txn, ez_index index, ez_index_key key, int64_t after);
size_t ez_txn_member_count(ez_txn *txn, ez_index index, ez_index_key key);

// Unpacks for changing. NOT_FOUND names kind and id. The first load of a call that carries if_match compares it with
// the entry's revision: ABORTED (REVISION_MISMATCH) where they differ.
ez_status ez_txn_load(ez_txn *txn, int kind, int64_t id, ProtobufCMessage **out, ez_error *error) EZ_MUST_CHECK;

// Puts a resource. Sets revision and updated_at, and, where its id is 0, gives it one and sets created_at. Sensitive
// fields are stripped from what is kept, the caller's message keeps them. ALREADY_EXISTS (NAME_TAKEN, TOKEN_TAKEN or
// BINDING_EXISTS) where a unique index has its value.
ez_status ez_txn_put(ez_txn *txn, int kind, ProtobufCMessage *message, ez_error *error) EZ_MUST_CHECK;
// The same for an API key whose secret changes: seals it, raises secret_version (in the message too). The secret it had
// is replaced.
ez_status ez_txn_put_secret(ez_txn *txn, Ez__V1__ApiKey *message, const Ez__V1__ApiKeySecret *secret,
                            ez_error *error) EZ_MUST_CHECK;
// Opens the secret an API key has now, as ez_directory_unseal.
ez_status ez_txn_unseal(ez_txn *txn, const ez_entry *entry, Ez__V1__ApiKeySecret **out, ez_error *error) EZ_MUST_CHECK;
// NOT_FOUND where it is not there.
ez_status ez_txn_delete(ez_txn *txn, int kind, int64_t id, ez_error *error) EZ_MUST_CHECK;

// What it has changed so far, in order; for what is derived from it.
typedef struct ez_txn_change {
    int kind;
    int64_t id;
    const ez_entry *before; // what this change found; NULL: it made the resource
    const ez_entry *after;  // NULL: it deleted it
} ez_txn_change;
size_t ez_txn_change_count(const ez_txn *txn);
ez_txn_change ez_txn_change_at(const ez_txn *txn, size_t at);

// For batches: what was written since the mark is undone, ids included.
size_t ez_txn_mark(const ez_txn *txn);
void ez_txn_rollback(ez_txn *txn, size_t mark);

// What the audit names as the resource; without it: the first one put or deleted.
void ez_txn_subject(ez_txn *txn, int kind, int64_t id);
