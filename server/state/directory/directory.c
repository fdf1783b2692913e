// SPDX-License-Identifier: Apache-2.0
//
// The directory: a radix tree by id for each kind, a table for each index, and the digest of what data planes get. It
// owns its entries; the writer hands them in, RCU hands them back to free.
//
// The order of a put matters to readers: group links first, then unique tables, then the tree, then what the old entry
// had and the new one has not. So whoever got an entry from the tree can go on in its groups, and a value that stays is
// found at every moment. A removal goes the other way round.
//
// Awkward: a put happens after the commit and can't be refused, so reserve makes all the memory it will need; families
// and leaves that are reserved but empty are held by a count until the put or the unreserve.
#include "server/state/directory/directory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/digest.h"
#include "proto/crypto/random.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/entry.h"
#include "server/state/directory/family.h"
#include "server/state/directory/idmap.h"
#include "server/state/directory/index.h"
#include "server/state/directory/kind.h"
#include "server/state/directory/table.h"

struct ez_directory {
    uint64_t epoch;
    const ez_sealer *sealer;
    ez_hash_seed seed;
    ez_idmap maps[EZ_KIND_COUNT];
    ez_table tables[EZ_INDEX_COUNT]; // of entries (unique indexes) or families (groups)
    size_t reserved[EZ_INDEX_COUNT]; // inserts that may still come
    uint8_t digest[EZ_DIGEST_LEN];
    uint64_t rows;
};

// A value that is looked for, as the tables' comparison gets it.
typedef struct wanted {
    ez_index index;
    ez_index_value value;
} wanted;

static bool entry_has(const void *item, const void *key) {
    const wanted *want = key;
    ez_index_value value;
    return ez_index_of_entry(want->index, item, &value) && ez_index_equal(&value, &want->value);
}

static bool family_has(const void *item, const void *key) {
    return ez_index_equal(&((const ez_family *)item)->value, &((const wanted *)key)->value);
}

static uint32_t hash_of(const ez_directory *directory, const wanted *want) {
    return ez_index_hash(&directory->seed, want->index, &want->value);
}

static ez_entry *find_unique(const ez_directory *directory, const wanted *want) {
    return ez_table_find(&directory->tables[want->index], hash_of(directory, want), entry_has, want);
}

static ez_family *find_family(const ez_directory *directory, const wanted *want) {
    return ez_table_find(&directory->tables[want->index], hash_of(directory, want), family_has, want);
}

// Whether the entry is in the index; what it has there is in *out.
static bool wanted_of(ez_index index, const ez_entry *entry, wanted *out) {
    out->index = index;
    return entry && ez_index_of_entry(index, entry, &out->value);
}

// ---- Life

ez_status ez_directory_create(uint64_t epoch, const ez_sealer *sealer, ez_directory **out, ez_error *error) {
    ez_directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the directory");
    if (ez_random(&directory->seed, sizeof directory->seed) != EZ_OK) {
        free(directory);
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    }
    directory->epoch = epoch;
    directory->sealer = sealer;
    for (int kind = 0; kind < EZ_KIND_COUNT; kind++)
        ez_idmap_init(&directory->maps[kind]);
    for (int index = 0; index < EZ_INDEX_COUNT; index++)
        ez_table_init(&directory->tables[index], true);
    *out = directory;
    return EZ_OK;
}

static void free_family(void *user, void *item) {
    (void)user;
    ez_family_destroy(item);
}

static void free_entries(ez_idmap *map) {
    ez_entry *entry = ez_idmap_after(map, -1);
    while (entry) {
        ez_entry *next = ez_idmap_after(map, entry->id);
        ez_entry_destroy(entry);
        entry = next;
    }
    ez_idmap_fini(map);
}

void ez_directory_destroy(ez_directory *directory) {
    if (!directory)
        return;
    ez_rcu_barrier();
    for (ez_index index = 0; index < EZ_INDEX_COUNT; index++) {
        if (!ez_index_find_spec(index)->is_unique)
            ez_table_each(&directory->tables[index], free_family, NULL);
        ez_table_fini(&directory->tables[index]);
    }
    for (int kind = 0; kind < EZ_KIND_COUNT; kind++)
        free_entries(&directory->maps[kind]);
    free(directory);
}

void ez_directory_enter(void) {
    ez_rcu_enter();
}

void ez_directory_leave(void) {
    ez_rcu_leave();
}

const ez_hash_seed *ez_directory_seed(const ez_directory *directory) {
    return &directory->seed;
}

const ez_sealer *ez_directory_sealer(const ez_directory *directory) {
    return directory->sealer;
}

// ---- Reserving

static void drop_if_unused(ez_directory *directory, ez_family *family) {
    if (family->pins > 0 || atomic_load_explicit(&family->count, memory_order_relaxed) > 0)
        return;
    uint32_t hash = ez_index_hash(&directory->seed, family->index, &family->value);
    ez_table_remove(&directory->tables[family->index], hash, family);
    ez_family_defer_destroy(family);
}

// The family of a value, made where it is new, with one pin more.
static ez_status pin_family(ez_directory *directory, const wanted *want) {
    ez_family *family = find_family(directory, want);
    if (!family) {
        if (ez_table_reserve(&directory->tables[want->index], 1) != EZ_OK)
            return EZ_RESOURCE_EXHAUSTED;
        family = ez_family_create(want->index, &want->value);
        if (!family)
            return EZ_RESOURCE_EXHAUSTED;
        ez_table_insert(&directory->tables[want->index], hash_of(directory, want), family);
    }
    family->pins++;
    return EZ_OK;
}

static void unpin_family(ez_directory *directory, const wanted *want) {
    ez_family *family = find_family(directory, want);
    assert(family && family->pins > 0);
    family->pins--;
    drop_if_unused(directory, family);
}

// Takes back the reservations of the entry's first groups and, where count says all, those of its unique values.
static void unreserve_indexes(ez_directory *directory, const ez_entry *entry, unsigned groups, unsigned uniques) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    wanted want;
    for (unsigned i = 0; i < groups; i++) {
        if (wanted_of(kind->groups[i], entry, &want))
            unpin_family(directory, &want);
    }
    for (unsigned i = 0; i < uniques; i++) {
        if (wanted_of(kind->uniques[i], entry, &want))
            directory->reserved[want.index]--;
    }
}

static ez_status reserve_indexes(ez_directory *directory, const ez_entry *entry) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    unsigned groups = 0, uniques = 0;
    wanted want;
    for (; groups < kind->group_count; groups++) {
        if (wanted_of(kind->groups[groups], entry, &want) && pin_family(directory, &want) != EZ_OK)
            goto failed;
    }
    for (; uniques < kind->unique_count; uniques++) {
        if (!wanted_of(kind->uniques[uniques], entry, &want))
            continue;
        if (ez_table_reserve(&directory->tables[want.index], directory->reserved[want.index] + 1) != EZ_OK)
            goto failed;
        directory->reserved[want.index]++;
    }
    return EZ_OK;
failed:
    unreserve_indexes(directory, entry, groups, uniques);
    return EZ_RESOURCE_EXHAUSTED;
}

ez_status ez_directory_reserve(ez_directory *directory, const ez_entry *entry, ez_error *error) {
    ez_idmap *map = &directory->maps[entry->kind];
    ez_status status = ez_idmap_reserve(map, entry->id);
    if (status == EZ_OK) {
        status = reserve_indexes(directory, entry);
        if (status != EZ_OK)
            ez_idmap_unreserve(map, entry->id);
    }
    if (status == EZ_OK)
        return EZ_OK;
    return ez_error_set(error, status, status == EZ_INVALID_ARGUMENT ? "ID_INVALID" : "OUT_OF_MEMORY",
                        "no room for %s %lld in the directory", ez_kind_word((int)entry->kind), (long long)entry->id);
}

void ez_directory_unreserve(ez_directory *directory, const ez_entry *entry) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    unreserve_indexes(directory, entry, kind->group_count, kind->unique_count);
    ez_idmap_unreserve(&directory->maps[entry->kind], entry->id);
}

// ---- Applying

static void digest_row(ez_directory *directory, const ez_entry *entry, int64_t rows) {
    if (!ez_kind_is_config((int)entry->kind))
        return;
    uint8_t row[EZ_DIGEST_LEN];
    ez_slice data = ez_entry_data(entry);
    ez_digest_row(entry->kind, entry->id, data.data, data.len, entry->secret_version, row);
    ez_digest_xor(directory->digest, row);
    directory->rows += (uint64_t)rows;
}

static void join_group(ez_directory *directory, ez_index index, ez_entry *old, ez_entry *entry) {
    wanted now, before;
    if (!wanted_of(index, entry, &now))
        return;
    ez_family *family = find_family(directory, &now);
    if (wanted_of(index, old, &before) && ez_index_equal(&before.value, &now.value))
        ez_family_replace(family, old, entry);
    else
        ez_family_insert(family, entry);
    family->pins--;
}

// Takes old out of its group, unless entry has its place.
static void leave_group(ez_directory *directory, ez_index index, ez_entry *old, const ez_entry *entry) {
    wanted before, now;
    if (!wanted_of(index, old, &before))
        return;
    if (wanted_of(index, entry, &now) && ez_index_equal(&before.value, &now.value))
        return;
    ez_family *family = find_family(directory, &before);
    ez_family_remove(family, old);
    drop_if_unused(directory, family);
}

static void join_unique(ez_directory *directory, ez_index index, const ez_entry *old, ez_entry *entry) {
    wanted now, before;
    if (!wanted_of(index, entry, &now))
        return;
    directory->reserved[index]--;
    uint32_t hash = hash_of(directory, &now);
    if (wanted_of(index, old, &before) && ez_index_equal(&before.value, &now.value))
        ez_table_replace(&directory->tables[index], hash, old, entry);
    else
        ez_table_insert(&directory->tables[index], hash, entry);
}

static void leave_unique(ez_directory *directory, ez_index index, const ez_entry *old, const ez_entry *entry) {
    wanted before, now;
    if (!wanted_of(index, old, &before))
        return;
    if (wanted_of(index, entry, &now) && ez_index_equal(&before.value, &now.value))
        return;
    ez_table_remove(&directory->tables[index], hash_of(directory, &before), old);
}

static void leave_all(ez_directory *directory, const ez_kind *kind, ez_entry *old, const ez_entry *entry) {
    for (unsigned i = 0; i < kind->unique_count; i++)
        leave_unique(directory, kind->uniques[i], old, entry);
    for (unsigned i = 0; i < kind->group_count; i++)
        leave_group(directory, kind->groups[i], old, entry);
    digest_row(directory, old, -1);
    ez_entry_defer_destroy(old);
}

void ez_directory_put(ez_directory *directory, ez_entry *entry) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    ez_idmap *map = &directory->maps[entry->kind];
    ez_entry *old = ez_idmap_get(map, entry->id);
    for (unsigned i = 0; i < kind->group_count; i++)
        join_group(directory, kind->groups[i], old, entry);
    for (unsigned i = 0; i < kind->unique_count; i++)
        join_unique(directory, kind->uniques[i], old, entry);
    ez_idmap_set(map, entry->id, entry);
    digest_row(directory, entry, 1);
    if (old)
        leave_all(directory, kind, old, entry);
}

void ez_directory_remove(ez_directory *directory, int kind, int64_t id) {
    const ez_kind *known = ez_kind_find(kind);
    ez_entry *old = known ? ez_idmap_get(&directory->maps[kind], id) : NULL;
    if (!old)
        return;
    ez_idmap_remove(&directory->maps[kind], id);
    leave_all(directory, known, old, NULL);
}

// ---- Loading

static ez_status check_unique(ez_directory *directory, const ez_entry *entry, ez_error *error) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    wanted want;
    for (unsigned i = 0; i < kind->unique_count; i++) {
        const ez_entry *other = wanted_of(kind->uniques[i], entry, &want) ? find_unique(directory, &want) : NULL;
        if (other && other->id != entry->id)
            return ez_error_set(error, EZ_DATA_LOSS, "STORE_INCONSISTENT",
                                "the store has %s %lld and %lld with the same %s: restore a backup", kind->word,
                                (long long)other->id, (long long)entry->id,
                                strcmp(ez_index_find_spec(want.index)->reason, "TOKEN_TAKEN") == 0 ? "token" : "name");
    }
    return EZ_OK;
}

ez_status ez_directory_put_row(ez_directory *directory, int kind, const ez_store_row *row, ez_error *error) {
    ez_entry *entry = ez_entry_create(kind, row->id, row->revision, row->secret_version, row->data.len, row->sealed);
    if (!entry)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for %s %lld", ez_kind_word(kind),
                            (long long)row->id);
    if (row->data.len > 0)
        memcpy(ez_entry_bytes(entry), row->data.data, row->data.len);
    ez_status status = check_unique(directory, entry, error);
    if (status == EZ_OK)
        status = ez_directory_reserve(directory, entry, error);
    if (status == EZ_OK)
        ez_directory_put(directory, entry);
    else
        ez_entry_destroy(entry);
    return status;
}

typedef struct loading {
    ez_directory *directory;
    int kind;
} loading;

static ez_status load_row(void *user, const ez_store_row *row, ez_error *error) {
    const loading *at = user;
    return ez_directory_put_row(at->directory, at->kind, row, error);
}

ez_status ez_directory_load(ez_directory *directory, ez_store *store, ez_error *error) {
    ez_status status = EZ_OK;
    for (int kind = 1; status == EZ_OK && kind < EZ_KIND_COUNT; kind++) {
        loading at = {directory, kind};
        status = ez_store_each_row(store, kind, load_row, &at, error);
    }
    return status;
}

void ez_directory_digest(const ez_directory *directory, uint8_t out[32], uint64_t *rows) {
    memcpy(out, directory->digest, EZ_DIGEST_LEN);
    *rows = directory->rows;
}

// ---- Reading

const ez_entry *ez_directory_get(const ez_directory *directory, int kind, int64_t id) {
    return ez_kind_find(kind) ? ez_idmap_get(&directory->maps[kind], id) : NULL;
}

const ez_entry *ez_directory_next(const ez_directory *directory, int kind, int64_t after, bool descending) {
    if (!ez_kind_find(kind))
        return NULL;
    return descending ? ez_idmap_before(&directory->maps[kind], after) : ez_idmap_after(&directory->maps[kind], after);
}

size_t ez_directory_count(const ez_directory *directory, int kind) {
    return ez_kind_find(kind) ? ez_idmap_count(&directory->maps[kind]) : 0;
}

const ez_entry *ez_directory_find(const ez_directory *directory, ez_index index, ez_index_key key) {
    assert(ez_index_find_spec(index)->is_unique);
    wanted want = {.index = index};
    return ez_index_of_key(index, key, &want.value) ? find_unique(directory, &want) : NULL;
}

const ez_entry *ez_directory_find_value(const ez_directory *directory, ez_index index, const ez_index_value *value) {
    wanted want = {index, *value};
    return find_unique(directory, &want);
}

const ez_entry *ez_directory_member(const ez_directory *directory, ez_index index, ez_index_key key, int64_t after,
                                    bool descending) {
    const ez_index_spec *spec = ez_index_find_spec(index);
    assert(!spec->is_unique);
    wanted want = {.index = index}, there;
    if (!ez_index_of_key(index, key, &want.value))
        return NULL;
    const ez_entry *from = ez_idmap_get(&directory->maps[spec->kind], after);
    if (from && wanted_of(index, from, &there) && ez_index_equal(&there.value, &want.value)) {
        const ez_entry_link *link = &from->links[spec->group];
        return atomic_load_explicit(descending ? &link->previous : &link->next, memory_order_acquire);
    }
    const ez_family *family = find_family(directory, &want);
    return family ? ez_family_walk(family, after, descending) : NULL;
}

size_t ez_directory_member_count(const ez_directory *directory, ez_index index, ez_index_key key) {
    assert(!ez_index_find_spec(index)->is_unique);
    wanted want = {.index = index};
    if (!ez_index_of_key(index, key, &want.value))
        return 0;
    const ez_family *family = find_family(directory, &want);
    return family ? atomic_load_explicit(&family->count, memory_order_relaxed) : 0;
}
