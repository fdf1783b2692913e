// SPDX-License-Identifier: Apache-2.0
//
// The common part of Update and Delete. Nothing is kept here. The awkward case: a mask may name a field without giving
// a value, which clears it; a cleared field goes back to its default, and one that is required is refused.
#include "server/state/directory/edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "proto/runtime/wire.h"
#include "server/state/directory/txn_begin.h"

ez_status ez_no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for this call; try again");
}

ez_status ez_kind_missing(int kind, int64_t id, ez_error *error) {
    return ez_error_set(error, EZ_NOT_FOUND, "NOT_FOUND", "there is no %s %" PRId64, ez_kind_word(kind), id);
}

ez_status ez_txn_check_deadline(const ez_txn *txn, ez_error *error) {
    uint64_t deadline_ns = txn->call->deadline_ns; // 0: the server's own calls have none
    if (deadline_ns == 0 || ez_clock_mono_ns() < deadline_ns)
        return EZ_OK;
    return ez_error_set(
        error, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
        "the change was not done by its deadline and was given up: give it more time, or do less at once");
}

ez_status ez_txn_fill(ez_txn *txn, int kind, ProtobufCMessage *message, ez_error *error) {
    if (ez_message_defaults(ez_kind_rule(kind), message, ez_txn_arena(txn)) != EZ_OK)
        return ez_no_memory(error);
    return EZ_OK;
}

ez_status ez_txn_refuse_match(const ez_txn *txn, ez_error *error) {
    if (txn->call->header.if_match == 0)
        return EZ_OK;
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "IF_MATCH_UNSUPPORTED",
                        "If-Match names one resource's revision and this call changes many: leave it out, or change "
                        "them one by one");
}

static ez_status check_required(const ez_message_rule *rule, const ProtobufCMessage *message, ez_error *error) {
    ez_status status = EZ_OK;
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        if ((field->flags & EZ_FIELD_REQUIRED) && ez_message_field_is_empty(field, message))
            status = ez_error_violation(error, field->name, "must not be empty");
    }
    return status;
}

ez_status ez_txn_merge(ez_txn *txn, int kind, ProtobufCMessage *message, const ProtobufCMessage *patch,
                       size_t mask_count, char *const *mask, ez_error *error) {
    const ez_message_rule *rule = ez_kind_rule(kind);
    ez_status status = ez_message_merge(rule, message, patch, mask_count, mask, error);
    if (status == EZ_OK)
        status = ez_txn_fill(txn, kind, message, error);
    return status == EZ_OK ? check_required(rule, message, error) : status;
}

ez_status ez_txn_load_merged(ez_txn *txn, int kind, int64_t id, const ProtobufCMessage *patch, size_t mask_count,
                             char *const *mask, ProtobufCMessage **out, ez_error *error) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, kind, id, &loaded, error);
    if (status == EZ_OK)
        status = ez_txn_merge(txn, kind, loaded, patch, mask_count, mask, error);
    if (status == EZ_OK)
        *out = loaded;
    return status;
}

ez_status ez_txn_put_changed(ez_txn *txn, int kind, int64_t id, ProtobufCMessage *message, ez_error *error) {
    const ez_entry *entry = ez_txn_get(txn, kind, id);
    ez_slice now = entry ? ez_entry_data(entry) : (ez_slice){NULL, 0};
    if (now.len > 0 && protobuf_c_message_get_packed_size(message) == now.len) {
        ez_autofree uint8_t *packed = malloc(now.len);
        if (!packed)
            return ez_no_memory(error);
        protobuf_c_message_pack(message, packed);
        if (memcmp(packed, now.data, now.len) == 0)
            return EZ_OK;
    }
    return ez_txn_put(txn, kind, message, error);
}

// ---- What points to a resource

void ez_few_add_entry(ez_few *few, const ez_entry *entry, uint32_t name_field) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field name = {.number = 0};
    ez_wire_find(data.data, data.len, name_field, &name);
    ez_few_add(few, ez_entry_id(entry), (const char *)name.bytes.data, name.bytes.len);
}

ez_few ez_txn_few_members(ez_txn *txn, ez_index index, ez_index_key key, uint32_t name_field) {
    ez_few few = {0};
    const ez_entry *entry = ez_txn_member(txn, index, key, 0);
    for (; entry && few.count < EZ_FEW_MAX; entry = ez_txn_member(txn, index, key, ez_entry_id(entry)))
        ez_few_add_entry(&few, entry, name_field);
    few.count = ez_txn_member_count(txn, index, key);
    return few;
}

ez_status ez_txn_delete_members(ez_txn *txn, ez_index index, ez_index_key key, ez_error *error) {
    ez_status status = EZ_OK;
    const ez_entry *entry;
    while (status == EZ_OK && (entry = ez_txn_member(txn, index, key, 0)))
        status = ez_txn_delete(txn, ez_entry_kind(entry), ez_entry_id(entry), error);
    return status;
}
