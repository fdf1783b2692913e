// SPDX-License-Identifier: Apache-2.0
//
// A transaction: the rules of changing, over an overlay that keeps the changes. A put packs the message once, straight
// into the entry that the directory will hold, after the sensitive fields were blanked in a copy of the message's
// struct; the caller's own message keeps them for the reply.
//
// Awkward: what an entry must not have in common with others is found in its packed bytes, so the entry is made first
// and thrown away where it may not be.
#include "server/state/directory/txn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/message.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/entry.h"
#include "server/state/directory/kind.h"
#include "server/state/directory/secret.h"
#include "server/state/directory/txn_begin.h"

ez_revision ez_txn_revision(const ez_txn *txn) {
    return (ez_revision){txn->epoch, txn->n};
}

int64_t ez_txn_now_ns(const ez_txn *txn) {
    return txn->now_ns;
}

ez_arena *ez_txn_arena(ez_txn *txn) {
    return &txn->call->arena;
}

bool ez_txn_is_rehearsal(const ez_txn *txn) {
    return txn->call->header.validate_only;
}

// ---- Reading

const ez_entry *ez_txn_get(ez_txn *txn, int kind, int64_t id) {
    return ez_overlay_get(txn->overlay, kind, id);
}

const ez_entry *ez_txn_find(ez_txn *txn, ez_index index, ez_index_key key) {
    ez_index_value value;
    return ez_index_of_key(index, key, &value) ? ez_overlay_find(txn->overlay, index, &value) : NULL;
}

const ez_entry *ez_txn_next(ez_txn *txn, int kind, int64_t after) {
    return ez_overlay_next(txn->overlay, kind, after);
}

const ez_entry *ez_txn_member(ez_txn *txn, ez_index index, ez_index_key key, int64_t after) {
    return ez_overlay_member(txn->overlay, index, key, after);
}

size_t ez_txn_member_count(ez_txn *txn, ez_index index, ez_index_key key) {
    return ez_overlay_member_count(txn->overlay, index, key);
}

static ez_status not_found(int kind, int64_t id, ez_error *error) {
    return ez_error_set(error, EZ_NOT_FOUND, "NOT_FOUND", "there is no %s %lld", ez_kind_word(kind), (long long)id);
}

static ez_status no_memory(int kind, ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for a change of a %s; try again",
                        ez_kind_word(kind));
}

static ez_status match(ez_txn *txn, int kind, int64_t id, uint64_t revision, ez_error *error) {
    uint64_t wanted = txn->call->header.if_match;
    if (txn->is_matched || wanted == 0)
        return EZ_OK;
    txn->is_matched = true;
    if (revision == wanted)
        return EZ_OK;
    return ez_error_set(error, EZ_ABORTED, "REVISION_MISMATCH",
                        "%s %lld is at revision %llu, not %llu: read it again and repeat the change",
                        ez_kind_word(kind), (long long)id, (unsigned long long)revision, (unsigned long long)wanted);
}

ez_status ez_txn_load(ez_txn *txn, int kind, int64_t id, ProtobufCMessage **out, ez_error *error) {
    const ez_entry *entry = ez_txn_get(txn, kind, id);
    if (!entry)
        return not_found(kind, id, error);
    ez_status status = match(txn, kind, id, entry->revision, error);
    if (status != EZ_OK)
        return status;
    ProtobufCMessage *message = ez_entry_unpack(entry, &txn->call->arena);
    if (!message)
        return no_memory(kind, error);
    *out = message;
    return EZ_OK;
}

ez_status ez_txn_unseal(ez_txn *txn, const ez_entry *entry, Ez__V1__ApiKeySecret **out, ez_error *error) {
    return ez_directory_unseal(ez_overlay_directory(txn->overlay), entry, &txn->call->arena, out, error);
}

// ---- Putting

// The fields every resource has, in a message of any kind.
typedef struct common {
    int64_t *id;
    uint64_t *revision;
    Google__Protobuf__Timestamp **created_at;
    Google__Protobuf__Timestamp **updated_at;
} common;

static common common_of(const ez_kind *kind, ProtobufCMessage *message) {
    char *at = (char *)message;
    return (common){(int64_t *)(void *)(at + kind->id), (uint64_t *)(void *)(at + kind->revision),
                    (Google__Protobuf__Timestamp **)(void *)(at + kind->created_at),
                    (Google__Protobuf__Timestamp **)(void *)(at + kind->updated_at)};
}

static Google__Protobuf__Timestamp *timestamp(ez_txn *txn) {
    Google__Protobuf__Timestamp *time = ez_arena_alloc(&txn->call->arena, sizeof *time);
    if (!time)
        return NULL;
    google__protobuf__timestamp__init(time);
    time->seconds = txn->now_ns / 1000000000;
    time->nanos = (int32_t)(txn->now_ns % 1000000000);
    return time;
}

// Fills in the common fields; for a resource that exists, old is what it was.
static ez_status stamp(ez_txn *txn, const common *fields, int kind, const ez_entry *old, ez_error *error) {
    Google__Protobuf__Timestamp *now = timestamp(txn);
    if (!now)
        return no_memory(kind, error);
    if (!old) {
        *fields->id = ez_overlay_next_id(txn->overlay, kind);
        *fields->created_at = now;
    }
    *fields->updated_at = now;
    *fields->revision = txn->n;
    return EZ_OK;
}

// An entry with the message's bytes, sensitive fields left out.
static ez_status pack(ez_txn *txn, int kind, const ProtobufCMessage *message, uint64_t secret_version, ez_slice sealed,
                      ez_entry **out, ez_error *error) {
    const ez_kind *known = ez_kind_find(kind);
    ProtobufCMessage *copy = ez_arena_memdup(&txn->call->arena, message, message->descriptor->sizeof_message);
    if (!copy)
        return no_memory(kind, error);
    ez_message_redact(ez_kind_rule(kind), copy);
    size_t size = protobuf_c_message_get_packed_size(copy);
    if (size > EZ_RESOURCE_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "RESOURCE_TOO_LARGE",
                            "the %s would have %zu bytes, at most %u can be kept: shorten its lists", known->word, size,
                            EZ_RESOURCE_MAX);
    int64_t id = *(const int64_t *)(const void *)((const char *)message + known->id);
    ez_entry *entry = ez_entry_create(kind, id, txn->n, secret_version, size, sealed);
    if (!entry)
        return no_memory(kind, error);
    protobuf_c_message_pack(copy, ez_entry_bytes(entry));
    *out = entry;
    return EZ_OK;
}

static ez_status taken(const ez_index_spec *spec, const ez_index_value *value, const ez_entry *other, ez_error *error) {
    const char *word = ez_kind_word(spec->kind);
    long long id = (long long)other->id;
    if (strcmp(spec->reason, "NAME_TAKEN") == 0)
        return ez_error_set(error, EZ_ALREADY_EXISTS, spec->reason,
                            "%s %lld has the name \"%.*s\" already: choose another", word, id, (int)value->a.len,
                            (const char *)value->a.data);
    if (strcmp(spec->reason, "BINDING_EXISTS") == 0)
        return ez_error_set(error, EZ_ALREADY_EXISTS, spec->reason,
                            "binding %lld binds this model of this namespace to this provider group already: change it",
                            id);
    return ez_error_set(error, EZ_ALREADY_EXISTS, spec->reason, "%s %lld has the same token already: use another", word,
                        id);
}

static ez_status check_unique(ez_txn *txn, const ez_entry *entry, ez_error *error) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    for (unsigned i = 0; i < kind->unique_count; i++) {
        ez_index_value value;
        if (!ez_index_of_entry(kind->uniques[i], entry, &value))
            continue;
        const ez_entry *other = ez_overlay_find(txn->overlay, kind->uniques[i], &value);
        if (other && other->id != entry->id)
            return taken(ez_index_find_spec(kind->uniques[i]), &value, other, error);
    }
    return EZ_OK;
}

static ez_status check_room(const ez_txn *txn, ez_error *error) {
    if (ez_overlay_count(txn->overlay) - txn->begin < EZ_TXN_CHANGES_MAX)
        return EZ_OK;
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "CHANGE_TOO_LARGE",
                        "one call may change at most %d resources: do it in smaller steps", EZ_TXN_CHANGES_MAX);
}

static void note_subject(ez_txn *txn, int kind, int64_t id) {
    if (txn->has_subject)
        return;
    txn->has_subject = true;
    txn->subject_at = ez_overlay_count(txn->overlay) - 1;
    txn->subject_kind = kind;
    txn->subject_id = id;
}

static ez_status keep(ez_txn *txn, int kind, const ProtobufCMessage *message, uint64_t secret_version, ez_slice sealed,
                      ez_error *error) {
    ez_entry *entry = NULL;
    ez_status status = pack(txn, kind, message, secret_version, sealed, &entry, error);
    if (status == EZ_OK)
        status = check_unique(txn, entry, error);
    if (status == EZ_OK)
        status = ez_overlay_put(txn->overlay, entry, txn->n, txn->now_ns, error);
    if (status != EZ_OK)
        ez_entry_destroy(entry);
    return status;
}

// secret NULL: the one that is there stays.
static ez_status put(ez_txn *txn, int kind, ProtobufCMessage *message, const Ez__V1__ApiKeySecret *secret,
                     ez_error *error) {
    common fields = common_of(ez_kind_find(kind), message);
    int64_t id = *fields.id;
    const ez_entry *old = id ? ez_txn_get(txn, kind, id) : NULL;
    if (id && !old)
        return not_found(kind, id, error);
    ez_status status = check_room(txn, error);
    if (status == EZ_OK)
        status = stamp(txn, &fields, kind, old, error);
    if (status != EZ_OK)
        return status;
    uint64_t version = old ? old->secret_version : 0;
    ez_slice sealed = old ? ez_entry_sealed(old) : (ez_slice){NULL, 0};
    ez_buf fresh;
    ez_buf_init(&fresh, EZ_SECRET_PLAIN_MAX + EZ_SEAL_OVERHEAD);
    if (secret) {
        version++;
        status = ez_secret_seal(ez_directory_sealer(ez_overlay_directory(txn->overlay)), *fields.id, version, secret,
                                &fresh, error);
        sealed = (ez_slice){fresh.data, fresh.len};
    }
    if (kind == EZ__V1__KIND__KIND_API_KEY)
        ((Ez__V1__ApiKey *)message)->secret_version = version;
    if (status == EZ_OK)
        status = keep(txn, kind, message, version, sealed, error);
    ez_buf_fini(&fresh);
    if (status == EZ_OK)
        note_subject(txn, kind, *fields.id);
    else
        *fields.id = id; // an id that was not given
    return status;
}

ez_status ez_txn_put(ez_txn *txn, int kind, ProtobufCMessage *message, ez_error *error) {
    return put(txn, kind, message, NULL, error);
}

ez_status ez_txn_put_secret(ez_txn *txn, Ez__V1__ApiKey *message, const Ez__V1__ApiKeySecret *secret, ez_error *error) {
    return put(txn, EZ__V1__KIND__KIND_API_KEY, &message->base, secret, error);
}

ez_status ez_txn_delete(ez_txn *txn, int kind, int64_t id, ez_error *error) {
    if (!ez_txn_get(txn, kind, id))
        return not_found(kind, id, error);
    ez_status status = check_room(txn, error);
    if (status == EZ_OK)
        status = ez_overlay_delete(txn->overlay, kind, id, txn->n, txn->now_ns, error);
    if (status == EZ_OK)
        note_subject(txn, kind, id);
    return status;
}

// ---- What was changed

size_t ez_txn_change_count(const ez_txn *txn) {
    return ez_overlay_count(txn->overlay) - txn->begin;
}

ez_txn_change ez_txn_change_at(const ez_txn *txn, size_t at) {
    const ez_overlay_record *record = ez_overlay_at(txn->overlay, txn->begin + at);
    return (ez_txn_change){.kind = record->kind,
                           .id = record->id,
                           .before = record->previous ? record->previous->entry : record->base,
                           .after = record->entry};
}

// ---- Marks, subject

size_t ez_txn_mark(const ez_txn *txn) {
    return ez_overlay_count(txn->overlay);
}

void ez_txn_rollback(ez_txn *txn, size_t mark) {
    ez_overlay_rollback(txn->overlay, mark < txn->begin ? txn->begin : mark);
    if (txn->has_subject && txn->subject_at != SIZE_MAX && txn->subject_at >= mark)
        txn->has_subject = false; // it was undone
}

void ez_txn_subject(ez_txn *txn, int kind, int64_t id) {
    txn->has_subject = true;
    txn->subject_at = SIZE_MAX;
    txn->subject_kind = kind;
    txn->subject_id = id;
}

// "API key" is "api_key" there: a word without blanks, in lower case.
void ez_txn_subject_text(const ez_txn *txn, char *out) {
    if (!txn->has_subject) {
        out[0] = 0;
        return;
    }
    int len = snprintf(out, EZ_SUBJECT_MAX, "%s:%lld", ez_kind_word(txn->subject_kind), (long long)txn->subject_id);
    for (int i = 0; i < len && out[i]; i++) {
        if (out[i] == ' ')
            out[i] = '_';
        else if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] - 'A' + 'a');
    }
}

ez_status ez_txn_check_match(ez_txn *txn, ez_error *error) {
    if (txn->is_matched || txn->call->header.if_match == 0 || !txn->has_subject)
        return EZ_OK;
    for (size_t at = txn->begin; at < ez_overlay_count(txn->overlay); at++) {
        const ez_overlay_record *record = ez_overlay_at(txn->overlay, at);
        if (record->kind != txn->subject_kind || record->id != txn->subject_id)
            continue;
        const ez_entry *before = record->previous ? record->previous->entry : record->base;
        return match(txn, record->kind, record->id, before ? before->revision : 0, error);
    }
    return EZ_OK;
}
