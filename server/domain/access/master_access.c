// SPDX-License-Identifier: Apache-2.0
//
// A master's namespaces, and what becomes of its keys when they shrink: a key must never name more than its master has.
// A change that would leave one so is refused and names it; SetAccess with propagate rewrites such keys in the same
// revision instead. A key that keeps none of its namespaces inherits the master's again.
#include <string.h>

#include "proto/runtime/message.h"
#include "server/domain/access/inside.h"

#define SCRATCH_MAX (1u << 20) // of one key; a key has at most 256 namespaces and 1,000 model limits of 255 bytes
enum { KEY_NAME = 3 };

static ez_status unpack_in(ez_arena *scratch, const ez_entry *entry, Ez__V1__Key **out, ez_error *error) {
    ez_arena_reset(scratch);
    *out = (Ez__V1__Key *)ez_entry_unpack(entry, scratch);
    return *out ? EZ_OK : ez_no_memory(error);
}

static void keep_allowed(const Ez__V1__Master *master, Ez__V1__Key *key) {
    size_t kept = 0;
    for (size_t i = 0; i < key->n_namespaces; i++)
        if (ez_allowed_has(master, key->namespaces[i]))
            key->namespaces[kept++] = key->namespaces[i];
    key->n_namespaces = kept;
    if (key->default_namespace[0] && !ez_allowed_has(master, key->default_namespace))
        key->default_namespace = (char *)"";
}

static ez_status rewrite(ez_txn *txn, const Ez__V1__Master *master, ez_error *error) {
    ez_auto(ez_arena) scratch;
    ez_arena_init(&scratch, SCRATCH_MAX);
    ez_index_key index = ez_index_id(master->id);
    int64_t id = 0;
    for (const ez_entry *entry; (entry = ez_txn_member(txn, EZ_INDEX_KEY_BY_MASTER, index, id));) {
        id = ez_entry_id(entry);
        if (!ez_allowed_key_exceeds(entry, master))
            continue;
        Ez__V1__Key *key;
        ez_status status = unpack_in(&scratch, entry, &key, error);
        if (status != EZ_OK)
            return status;
        keep_allowed(master, key);
        status = ez_txn_put(txn, KIND_KEY, &key->base, error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

static ez_status refuse(ez_txn *txn, const Ez__V1__Master *master, ez_error *error) {
    ez_index_key index = ez_index_id(master->id);
    ez_few few = {0};
    int64_t id = 0;
    for (const ez_entry *entry; (entry = ez_txn_member(txn, EZ_INDEX_KEY_BY_MASTER, index, id));) {
        id = ez_entry_id(entry);
        if (ez_allowed_key_exceeds(entry, master))
            ez_few_add_entry(&few, entry, KEY_NAME);
    }
    if (few.count == 0)
        return EZ_OK;
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "KEYS_USE_NAMESPACE",
                        "%zu keys of master %lld (%s) name a namespace it would no longer have: %s; change them first, "
                        "or set the master's access with propagate",
                        few.count, (long long)master->id, master->name, ez_few_text(&few));
}

// Whether a namespace of before is missing now.
static bool has_shrunk(const Ez__V1__Master *before, const Ez__V1__Master *now) {
    if (!ez_allowed_has(now, before->default_namespace))
        return true;
    for (size_t i = 0; i < before->n_namespaces; i++)
        if (!ez_allowed_has(now, before->namespaces[i]))
            return true;
    return false;
}

ez_status ez_master_follow(ez_txn *txn, ez_call *call, const Ez__V1__Master *master, bool propagate) {
    Ez__V1__Master *before;
    ez_status status = ez_master_read(txn, master->id, &before, &call->error);
    if (status != EZ_OK)
        return status;
    if (propagate)
        return rewrite(txn, master, &call->error);
    return has_shrunk(before, master) ? refuse(txn, master, &call->error) : EZ_OK;
}

static ez_status reply_access(ez_call *call, const Ez__V1__Master *master) {
    Ez__V1__Access access = EZ__V1__ACCESS__INIT;
    access.default_namespace = master->default_namespace;
    access.n_namespaces = master->n_namespaces;
    access.namespaces = master->namespaces;
    return ez_call_reply(call, &access.base);
}

ez_status ez_handle_masters_get_access(ez_access *self, ez_call *call, Ez__V1__GetMasterAccessRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_MASTER, request->id);
    const Ez__V1__Master *master = entry ? (const Ez__V1__Master *)ez_entry_unpack(entry, &call->arena) : NULL;
    ez_directory_leave();
    if (!entry)
        return ez_kind_missing(KIND_MASTER, request->id, &call->error);
    return master ? reply_access(call, master) : ez_no_memory(&call->error);
}

ez_status ez_handle_masters_set_access(ez_access *self, ez_call *call, ez_txn *txn,
                                       Ez__V1__SetMasterAccessRequest *request) {
    (void)self;
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_MASTER, request->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Master *master = (Ez__V1__Master *)loaded;
    Ez__V1__Access access = EZ__V1__ACCESS__INIT;
    access.default_namespace = master->default_namespace;
    access.n_namespaces = master->n_namespaces;
    access.namespaces = master->namespaces;
    status = ez_message_merge(ez_message_rule_find(&ez__v1__access__descriptor), &access.base, &request->access->base,
                              request->n_update_mask, request->update_mask, error);
    if (status != EZ_OK)
        return status;
    master->default_namespace = access.default_namespace;
    master->n_namespaces = access.n_namespaces;
    master->namespaces = access.namespaces;
    ez_txn_subject(txn, KIND_MASTER, request->id);
    status = ez_txn_fill(txn, KIND_MASTER, loaded, error); // a default namespace that was cleared
    if (status == EZ_OK)
        status = ez_allowed_check_master(txn, master, error);
    if (status == EZ_OK)
        status = ez_master_follow(txn, call, master, request->propagate);
    if (status == EZ_OK)
        status = ez_txn_put_changed(txn, KIND_MASTER, request->id, loaded, error);
    return status == EZ_OK ? reply_access(call, master) : status;
}
