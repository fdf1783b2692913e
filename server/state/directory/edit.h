// SPDX-License-Identifier: Apache-2.0
//
// What the handlers of every kind do around a put: merging what an Update names, leaving alone what did not change,
// naming or deleting what points to a resource that is deleted, and saying what is not there. On top of txn.h; threads
// as there.
#pragma once

#include "server/state/directory/few.h"
#include "server/state/directory/txn.h"

// Merges patch into message as the mask says, gives fields that became empty their defaults again, and checks that what
// the schema requires is still there. The message then points into patch: both must live as long.
ez_status ez_txn_merge(ez_txn *txn, int kind, ProtobufCMessage *message, const ProtobufCMessage *patch,
                       size_t mask_count, char *const *mask, ez_error *error) EZ_MUST_CHECK;

// The resource with that id, merged as above: the first half of an Update.
ez_status ez_txn_load_merged(ez_txn *txn, int kind, int64_t id, const ProtobufCMessage *patch, size_t mask_count,
                             char *const *mask, ProtobufCMessage **out, ez_error *error) EZ_MUST_CHECK;

// Fills in the defaults of a resource that is being made.
ez_status ez_txn_fill(ez_txn *txn, int kind, ProtobufCMessage *message, ez_error *error) EZ_MUST_CHECK;

// Puts it unless it packs to what is there already: a call that changes nothing makes no revision.
ez_status ez_txn_put_changed(ez_txn *txn, int kind, int64_t id, ProtobufCMessage *message,
                             ez_error *error) EZ_MUST_CHECK;

// The members of a group index as a refusal names them: the first few, by the text in that field, and how many there
// are.
ez_few ez_txn_few_members(ez_txn *txn, ez_index index, ez_index_key key, uint32_t name_field);
void ez_few_add_entry(ez_few *few, const ez_entry *entry, uint32_t name_field);
// Deletes them all: what a deletion with cascade takes along. Name the subject of the change first.
ez_status ez_txn_delete_members(ez_txn *txn, ez_index index, ez_index_key key, ez_error *error) EZ_MUST_CHECK;

// For changes whose work grows with what is there already: DEADLINE_EXCEEDED once nobody waits for the call any more,
// so that one call can't hold up the others for long. Between steps; what was done so far is given up with the call.
ez_status ez_txn_check_deadline(const ez_txn *txn, ez_error *error) EZ_MUST_CHECK;

// For calls that change many resources: INVALID_ARGUMENT (IF_MATCH_UNSUPPORTED) where the call carries an if_match,
// which names the revision of one.
ez_status ez_txn_refuse_match(const ez_txn *txn, ez_error *error) EZ_MUST_CHECK;

// NOT_FOUND: "there is no key 42".
ez_status ez_kind_missing(int kind, int64_t id, ez_error *error);

// RESOURCE_EXHAUSTED: the call's memory is used up.
ez_status ez_no_memory(ez_error *error);
