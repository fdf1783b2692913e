// SPDX-License-Identifier: Apache-2.0
//
// Which namespaces may be used. A master's are its default one and those it lists; a key without any inherits them, a
// key with some has these and must stay within its master's. The awkward case: lists are looked at in packed entries
// too (a namespace's deletion looks at every key), which is why the field numbers of both messages stand here.
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"

// Field numbers: default_namespace, namespaces.
enum { MASTER_DEFAULT = 4, MASTER_LIST = 5, KEY_DEFAULT = 9, KEY_LIST = 10 };

static bool list_has(size_t count, char *const *names, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

// Keeps the first of each; empty texts are dropped. Into a new array: the old one is the request's, which the audit
// shows.
static ez_status drop_repeats(ez_txn *txn, size_t *count, char ***names, ez_error *error) {
    if (*count == 0)
        return EZ_OK;
    char **kept = ez_arena_alloc(ez_txn_arena(txn), *count * sizeof *kept);
    if (!kept)
        return ez_no_memory(error);
    size_t n = 0;
    for (size_t i = 0; i < *count; i++)
        if ((*names)[i][0] && !list_has(n, kept, (*names)[i]))
            kept[n++] = (*names)[i];
    *count = n;
    *names = kept;
    return EZ_OK;
}

static ez_status check_exists(ez_txn *txn, const char *name, ez_error *error) {
    if (!name[0] || ez_txn_find(txn, EZ_INDEX_NAMESPACE_NAME, ez_index_text(name)))
        return EZ_OK;
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN",
                        "there is no namespace \"%s\": create it first", name);
}

bool ez_allowed_has(const Ez__V1__Master *master, const char *name) {
    return strcmp(master->default_namespace, name) == 0 || list_has(master->n_namespaces, master->namespaces, name);
}

ez_status ez_allowed_check_master(ez_txn *txn, Ez__V1__Master *master, ez_error *error) {
    ez_status status = drop_repeats(txn, &master->n_namespaces, &master->namespaces, error);
    if (status == EZ_OK)
        status = check_exists(txn, master->default_namespace, error);
    for (size_t i = 0; status == EZ_OK && i < master->n_namespaces; i++)
        status = check_exists(txn, master->namespaces[i], error);
    return status;
}

static ez_status check_within(const Ez__V1__Master *master, const char *name, ez_error *error) {
    if (ez_allowed_has(master, name))
        return EZ_OK;
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED",
                        "namespace \"%s\" is not among those of master %lld (%s): give it to the master first", name,
                        (long long)master->id, master->name);
}

ez_status ez_allowed_check_key(ez_txn *txn, const Ez__V1__Master *master, Ez__V1__Key *key, ez_error *error) {
    ez_status status = drop_repeats(txn, &key->n_namespaces, &key->namespaces, error);
    for (size_t i = 0; status == EZ_OK && i < key->n_namespaces; i++) {
        status = check_exists(txn, key->namespaces[i], error);
        if (status == EZ_OK)
            status = check_within(master, key->namespaces[i], error);
    }
    const char *own = key->default_namespace;
    if (status != EZ_OK || !own[0])
        return status;
    status = check_exists(txn, own, error);
    if (status == EZ_OK)
        status = check_within(master, own, error);
    if (status == EZ_OK && key->n_namespaces > 0 && !list_has(key->n_namespaces, key->namespaces, own))
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED",
                            "default_namespace \"%s\" is not among the key's own namespaces: add it to them", own);
    return status;
}

static bool is_name(const ez_entry *entry, uint32_t number) {
    if (ez_entry_kind(entry) == KIND_MASTER)
        return number == MASTER_DEFAULT || number == MASTER_LIST;
    return number == KEY_DEFAULT || number == KEY_LIST;
}

bool ez_allowed_entry_names(const ez_entry *entry, const char *name) {
    ez_slice data = ez_entry_data(entry);
    size_t len = strlen(name), at = 0;
    ez_wire_field field;
    while (ez_wire_next(data.data, data.len, &at, &field))
        if (is_name(entry, field.number) && field.type == 2 && field.bytes.len == len &&
            memcmp(field.bytes.data, name, len) == 0)
            return true;
    return false;
}

static bool slice_is(ez_slice slice, const char *text) {
    return slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

static bool master_has_slice(const Ez__V1__Master *master, ez_slice name) {
    if (slice_is(name, master->default_namespace))
        return true;
    for (size_t i = 0; i < master->n_namespaces; i++)
        if (slice_is(name, master->namespaces[i]))
            return true;
    return false;
}

bool ez_allowed_key_exceeds(const ez_entry *key, const Ez__V1__Master *master) {
    ez_slice data = ez_entry_data(key);
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(data.data, data.len, &at, &field))
        if (is_name(key, field.number) && field.type == 2 && !master_has_slice(master, field.bytes))
            return true;
    return false;
}
