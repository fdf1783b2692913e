// SPDX-License-Identifier: Apache-2.0
//
// The overlay: a log of records, and over it a table by resource, a table by unique value and one of groups, which show
// the log's newest state. Each record knows the one before it for the same resource, so undoing the last record is the
// exact reverse of making it: rolling back is undoing from the end.
//
// It owns records, groups and the entries of its records until somebody takes an entry. Awkward: a failure for want of
// memory must not leave half a record, so everything a record needs is reserved before anything is changed.
#include "server/state/directory/overlay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/directory/apply.h"
#include "server/state/directory/entry.h"
#include "server/state/directory/kind.h"
#include "server/state/directory/members.h"

#define CHUNK        256
#define KEEP_RECORDS 4096 // past this the memory goes back after the group
#define GROUPS_MAX   (EZ_KIND_GROUPS_MAX + 1)

struct ez_overlay {
    const ez_directory *directory;
    int64_t next_id[EZ_KIND_COUNT];
    ez_overlay_record **chunks; // of CHUNK records
    size_t chunk_count;
    size_t count;
    size_t bytes;
    size_t by_kind[EZ_KIND_COUNT]; // resources of a kind that have a record
    uint64_t generation;           // goes up with each rollback
    ez_table by_id;                // newest record of each resource
    ez_table uniques;              // entries of all records, by every unique value they have
    ez_table groups;               // ez_members
};

ez_status ez_overlay_create(const ez_directory *directory, ez_overlay **out, ez_error *error) {
    ez_overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for changes");
    overlay->directory = directory;
    overlay->generation = 1;
    ez_table_init(&overlay->by_id, false);
    ez_table_init(&overlay->uniques, false);
    ez_table_init(&overlay->groups, false);
    *out = overlay;
    return EZ_OK;
}

static void free_members(void *user, void *item) {
    (void)user;
    ez_members_destroy(item);
}

static void free_memory(ez_overlay *overlay) {
    for (size_t i = 0; i < overlay->chunk_count; i++)
        free(overlay->chunks[i]);
    free(overlay->chunks);
    overlay->chunks = NULL;
    overlay->chunk_count = 0;
    ez_table_fini(&overlay->by_id);
    ez_table_fini(&overlay->uniques);
}

void ez_overlay_clear(ez_overlay *overlay) {
    for (size_t i = 0; i < overlay->count; i++)
        ez_entry_destroy(ez_overlay_at(overlay, i)->entry);
    ez_table_each(&overlay->groups, free_members, NULL);
    ez_table_fini(&overlay->groups);
    // Not by rolling back: entries that were taken may be gone. Small tables are cheaper made anew than emptied.
    ez_table_fini(&overlay->by_id);
    ez_table_fini(&overlay->uniques);
    if (overlay->count > KEEP_RECORDS)
        free_memory(overlay);
    overlay->count = overlay->bytes = 0;
    memset(overlay->by_kind, 0, sizeof overlay->by_kind);
}

void ez_overlay_destroy(ez_overlay *overlay) {
    if (!overlay)
        return;
    ez_overlay_clear(overlay);
    free_memory(overlay);
    free(overlay);
}

void ez_overlay_begin(ez_overlay *overlay, const int64_t *next_id) {
    ez_overlay_clear(overlay);
    memcpy(overlay->next_id, next_id, sizeof overlay->next_id);
}

int64_t ez_overlay_next_id(const ez_overlay *overlay, int kind) {
    return overlay->next_id[kind];
}

const int64_t *ez_overlay_next_ids(const ez_overlay *overlay) {
    return overlay->next_id;
}

const ez_directory *ez_overlay_directory(const ez_overlay *overlay) {
    return overlay->directory;
}

size_t ez_overlay_count(const ez_overlay *overlay) {
    return overlay->count;
}

size_t ez_overlay_bytes(const ez_overlay *overlay) {
    return overlay->bytes;
}

ez_overlay_record *ez_overlay_at(const ez_overlay *overlay, size_t at) {
    assert(at < overlay->count);
    return &overlay->chunks[at / CHUNK][at % CHUNK];
}

// ---- Tables

typedef struct resource {
    int kind;
    int64_t id;
} resource;

static uint32_t resource_hash(const ez_overlay *overlay, int kind, int64_t id) {
    return ez_hash_fold(ez_directory_seed(overlay->directory), (uint64_t)id * EZ_KIND_COUNT + (unsigned)kind);
}

static bool is_resource(const void *item, const void *key) {
    const ez_overlay_record *record = item;
    const resource *wanted = key;
    return record->id == wanted->id && record->kind == wanted->kind;
}

static ez_overlay_record *newest(const ez_overlay *overlay, int kind, int64_t id) {
    if (overlay->by_kind[kind] == 0)
        return NULL;
    resource wanted = {kind, id};
    return ez_table_find(&overlay->by_id, resource_hash(overlay, kind, id), is_resource, &wanted);
}

typedef struct spot {
    int index; // ez_index, or EZ_INDEX_COUNT + kind
    ez_index_value value;
} spot;

static uint32_t place_hash(const ez_overlay *overlay, const spot *place) {
    return ez_index_hash(ez_directory_seed(overlay->directory), (ez_index)place->index, &place->value);
}

typedef struct unique {
    const ez_overlay *overlay;
    spot place;
} unique;

// Only the newest entry of a resource counts; older ones stay in the table, so that undoing has nothing to put back.
static bool has_value(const void *item, const void *key) {
    const ez_entry *entry = item;
    const unique *wanted = key;
    ez_index index = (ez_index)wanted->place.index;
    ez_index_value value;
    if ((int)entry->kind != ez_index_find_spec(index)->kind || !ez_index_of_entry(index, entry, &value) ||
        !ez_index_equal(&value, &wanted->place.value))
        return false;
    const ez_overlay_record *record = newest(wanted->overlay, (int)entry->kind, entry->id);
    return record && record->entry == entry;
}

static bool is_group(const void *item, const void *key) {
    const ez_members *members = item;
    const spot *wanted = key;
    return (int)members->index == wanted->index && ez_index_equal(&members->value, &wanted->value);
}

static ez_members *find_members(const ez_overlay *overlay, const spot *place) {
    return ez_table_find(&overlay->groups, place_hash(overlay, place), is_group, place);
}

// Where an entry belongs: its kind, then its groups.
static unsigned places_of(const ez_entry *entry, spot out[GROUPS_MAX]) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    unsigned count = 0;
    out[count++] = (spot){.index = EZ_INDEX_COUNT + (int)entry->kind};
    for (unsigned i = 0; i < kind->group_count; i++) {
        out[count].index = (int)kind->groups[i];
        if (ez_index_of_entry(kind->groups[i], entry, &out[count].value))
            count++;
    }
    return count;
}

// ---- Showing and hiding entries; what they need has been reserved

static void insert_uniques(ez_overlay *overlay, ez_entry *entry) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    for (unsigned i = 0; i < kind->unique_count; i++) {
        spot at = {.index = (int)kind->uniques[i]};
        if (ez_index_of_entry(kind->uniques[i], entry, &at.value))
            ez_table_insert(&overlay->uniques, place_hash(overlay, &at), entry);
    }
}

static void remove_uniques(ez_overlay *overlay, const ez_entry *entry) {
    const ez_kind *kind = ez_kind_find((int)entry->kind);
    for (unsigned i = 0; i < kind->unique_count; i++) {
        spot at = {.index = (int)kind->uniques[i]};
        if (ez_index_of_entry(kind->uniques[i], entry, &at.value))
            ez_table_remove(&overlay->uniques, place_hash(overlay, &at), entry);
    }
}

static void show(ez_overlay *overlay, ez_entry *entry) {
    spot places[GROUPS_MAX];
    unsigned count = places_of(entry, places);
    for (unsigned i = 0; i < count; i++) {
        ez_members *members = find_members(overlay, &places[i]);
        ez_members_insert(members, entry);
        members->delta++;
    }
}

static void unshow(ez_overlay *overlay, const ez_entry *entry) {
    spot places[GROUPS_MAX];
    unsigned count = places_of(entry, places);
    for (unsigned i = 0; i < count; i++) {
        ez_members *members = find_members(overlay, &places[i]);
        ez_members_remove(members, entry);
        members->delta--;
    }
}

// An entry of the directory is hidden by its first record (by -1), and comes back with that record's undoing (by 1).
static void count_base(ez_overlay *overlay, const ez_entry *base, long by) {
    spot places[GROUPS_MAX];
    unsigned count = places_of(base, places);
    for (unsigned i = 0; i < count; i++)
        find_members(overlay, &places[i])->delta += by;
}

// The groups of an entry, with room for one member more.
static ez_status reserve_groups(ez_overlay *overlay, const ez_entry *entry) {
    spot places[GROUPS_MAX];
    unsigned count = places_of(entry, places);
    for (unsigned i = 0; i < count; i++) {
        ez_members *members = find_members(overlay, &places[i]);
        if (!members) {
            if (ez_table_reserve(&overlay->groups, 1) != EZ_OK)
                return EZ_RESOURCE_EXHAUSTED;
            members = ez_members_create(places[i].index, &places[i].value);
            if (!members)
                return EZ_RESOURCE_EXHAUSTED;
            ez_table_insert(&overlay->groups, place_hash(overlay, &places[i]), members);
        }
        if (ez_members_reserve(members) != EZ_OK)
            return EZ_RESOURCE_EXHAUSTED;
    }
    return EZ_OK;
}

static ez_status reserve_chunk(ez_overlay *overlay) {
    if (overlay->count < overlay->chunk_count * CHUNK)
        return EZ_OK;
    ez_overlay_record **chunks = realloc(overlay->chunks, (overlay->chunk_count + 1) * sizeof *chunks);
    if (!chunks)
        return EZ_RESOURCE_EXHAUSTED;
    overlay->chunks = chunks;
    chunks[overlay->chunk_count] = malloc(CHUNK * sizeof **chunks);
    if (!chunks[overlay->chunk_count])
        return EZ_RESOURCE_EXHAUSTED;
    overlay->chunk_count++;
    return EZ_OK;
}

// All a record needs.
static ez_status reserve(ez_overlay *overlay, const ez_overlay_record *record) {
    ez_status status = reserve_chunk(overlay);
    if (status == EZ_OK)
        status = ez_table_reserve(&overlay->by_id, 1);
    if (status == EZ_OK && record->entry)
        status = ez_table_reserve(&overlay->uniques, EZ_KIND_UNIQUES_MAX);
    if (status == EZ_OK && record->entry)
        status = reserve_groups(overlay, record->entry);
    if (status == EZ_OK && record->base)
        status = reserve_groups(overlay, record->base);
    return status;
}

static ez_status add(ez_overlay *overlay, ez_overlay_record made, ez_error *error) {
    made.previous = newest(overlay, made.kind, made.id);
    made.base = ez_directory_get(overlay->directory, made.kind, made.id);
    if (reserve(overlay, &made) != EZ_OK)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the change of %s %lld",
                            ez_kind_word(made.kind), (long long)made.id);
    ez_overlay_record *record = &overlay->chunks[overlay->count / CHUNK][overlay->count % CHUNK];
    *record = made;
    overlay->count++;
    overlay->bytes += sizeof *record + (made.entry ? made.entry->data_len + made.entry->sealed_len : 0);
    uint32_t hash = resource_hash(overlay, made.kind, made.id);
    if (made.previous) {
        if (made.previous->entry)
            unshow(overlay, made.previous->entry);
        ez_table_replace(&overlay->by_id, hash, made.previous, record);
    } else {
        if (made.base)
            count_base(overlay, made.base, -1);
        ez_table_insert(&overlay->by_id, hash, record);
        overlay->by_kind[made.kind]++;
    }
    if (made.entry) {
        insert_uniques(overlay, made.entry);
        show(overlay, made.entry);
    }
    return EZ_OK;
}

ez_status ez_overlay_put(ez_overlay *overlay, ez_entry *entry, uint64_t n, int64_t time_ns, ez_error *error) {
    int kind = (int)entry->kind;
    bool is_minted = entry->id == overlay->next_id[kind];
    ez_status status = add(overlay,
                           (ez_overlay_record){.kind = kind,
                                               .op = EZ__V1__OP__OP_PUT,
                                               .id = entry->id,
                                               .n = n,
                                               .time_ns = time_ns,
                                               .is_minted = is_minted,
                                               .entry = entry},
                           error);
    if (status == EZ_OK && is_minted)
        overlay->next_id[kind]++;
    return status;
}

ez_status ez_overlay_delete(ez_overlay *overlay, int kind, int64_t id, uint64_t n, int64_t time_ns, ez_error *error) {
    assert(ez_overlay_get(overlay, kind, id));
    return add(overlay,
               (ez_overlay_record){.kind = kind, .op = EZ__V1__OP__OP_DELETE, .id = id, .n = n, .time_ns = time_ns},
               error);
}

static void undo_last(ez_overlay *overlay) {
    ez_overlay_record *record = ez_overlay_at(overlay, overlay->count - 1);
    uint32_t hash = resource_hash(overlay, record->kind, record->id);
    if (record->entry) {
        remove_uniques(overlay, record->entry);
        unshow(overlay, record->entry);
    }
    if (record->previous) {
        ez_table_replace(&overlay->by_id, hash, record, record->previous);
        if (record->previous->entry)
            show(overlay, record->previous->entry);
    } else {
        if (record->base)
            count_base(overlay, record->base, 1);
        ez_table_remove(&overlay->by_id, hash, record);
        overlay->by_kind[record->kind]--;
    }
    if (record->is_minted)
        overlay->next_id[record->kind] = record->id;
    overlay->bytes -= sizeof *record + (record->entry ? record->entry->data_len + record->entry->sealed_len : 0);
    ez_entry_destroy(record->entry);
    overlay->count--;
}

void ez_overlay_rollback(ez_overlay *overlay, size_t mark) {
    assert(mark <= overlay->count);
    overlay->generation++;
    while (overlay->count > mark)
        undo_last(overlay);
}

// ---- Reading

const ez_entry *ez_overlay_get(const ez_overlay *overlay, int kind, int64_t id) {
    if (!ez_kind_find(kind))
        return NULL;
    const ez_overlay_record *record = newest(overlay, kind, id);
    return record ? record->entry : ez_directory_get(overlay->directory, kind, id);
}

const ez_entry *ez_overlay_find(const ez_overlay *overlay, ez_index index, const ez_index_value *value) {
    unique wanted = {overlay, {.index = (int)index, .value = *value}};
    const ez_entry *entry = ez_table_find(&overlay->uniques, place_hash(overlay, &wanted.place), has_value, &wanted);
    if (entry)
        return entry;
    entry = ez_directory_find_value(overlay->directory, index, value);
    return entry && newest(overlay, (int)entry->kind, entry->id) ? NULL : entry;
}

// Walks the directory's side of a group; index EZ_INDEX_COUNT + kind is the whole kind.
static const ez_entry *base_after(const ez_overlay *overlay, const spot *place, ez_index_key key, int64_t after) {
    if (place->index >= EZ_INDEX_COUNT)
        return ez_directory_next(overlay->directory, place->index - EZ_INDEX_COUNT, after, false);
    return ez_directory_member(overlay->directory, (ez_index)place->index, key, after, false);
}

static const ez_entry *next_in(ez_overlay *overlay, const spot *place, ez_index_key key, int64_t after) {
    ez_members *members = find_members(overlay, place);
    if (!members)
        return base_after(overlay, place, key, after);
    bool is_known = members->hidden_generation == overlay->generation;
    int64_t from = is_known && after < members->hidden_to ? members->hidden_to : after;
    bool is_prefix = after <= 0 || (is_known && after <= members->hidden_to);
    const ez_entry *base = base_after(overlay, place, key, from);
    while (base && newest(overlay, (int)base->kind, base->id)) {
        if (is_prefix) {
            members->hidden_to = base->id;
            members->hidden_generation = overlay->generation;
        }
        base = base_after(overlay, place, key, base->id);
    }
    const ez_entry *own = ez_members_after(members, after);
    if (!own || !base)
        return own ? own : base;
    return own->id < base->id ? own : base;
}

const ez_entry *ez_overlay_next(ez_overlay *overlay, int kind, int64_t after) {
    spot whole = {.index = EZ_INDEX_COUNT + kind};
    return ez_kind_find(kind) ? next_in(overlay, &whole, (ez_index_key){0}, after) : NULL;
}

const ez_entry *ez_overlay_member(ez_overlay *overlay, ez_index index, ez_index_key key, int64_t after) {
    spot group = {.index = (int)index};
    return ez_index_of_key(index, key, &group.value) ? next_in(overlay, &group, key, after) : NULL;
}

size_t ez_overlay_member_count(const ez_overlay *overlay, ez_index index, ez_index_key key) {
    spot group = {.index = (int)index};
    if (!ez_index_of_key(index, key, &group.value))
        return 0;
    const ez_members *members = find_members(overlay, &group);
    size_t base = ez_directory_member_count(overlay->directory, index, key);
    return members ? (size_t)((long)base + members->delta) : base;
}
