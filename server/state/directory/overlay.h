// SPDX-License-Identifier: Apache-2.0
//
// ez_overlay: changes that are not durable yet, laid over the directory. One overlay serves a whole commit group: the
// transactions of the group write one behind the other, each seeing what those before it did; the one that fails is
// rolled back to where it began.
//
// One thread, the writer's. The directory must not change while an overlay is in use.
#pragma once

#include "server/state/directory/directory.h"
#include "server/state/directory/index.h"
#include "server/state/directory/table.h"

typedef struct ez_overlay ez_overlay;

// One change.
typedef struct ez_overlay_record ez_overlay_record;
struct ez_overlay_record {
    int kind;
    int op; // Ez__V1__Op
    int64_t id;
    uint64_t n; // the revision it will be part of
    int64_t time_ns;
    bool is_minted;              // this change gave the id
    ez_entry *entry;             // of a PUT; the overlay's until it is taken
    const ez_entry *base;        // what the directory has, or NULL
    ez_overlay_record *previous; // the change of the same resource before this one, or NULL
};

ez_status ez_overlay_create(const ez_directory *directory, ez_overlay **out, ez_error *error) EZ_MUST_CHECK;
void ez_overlay_destroy(ez_overlay *overlay);

// Starts empty, at these next ids (EZ_KIND_COUNT of them, copied).
void ez_overlay_begin(ez_overlay *overlay, const int64_t *next_id);
// The next id of a kind: taken by the put of an entry that has it.
int64_t ez_overlay_next_id(const ez_overlay *overlay, int kind);
const int64_t *ez_overlay_next_ids(const ez_overlay *overlay);

const ez_directory *ez_overlay_directory(const ez_overlay *overlay);

// Takes entry, on success only. time_ns: of the change record.
ez_status ez_overlay_put(ez_overlay *overlay, ez_entry *entry, uint64_t n, int64_t time_ns,
                         ez_error *error) EZ_MUST_CHECK;
// The resource must be there (asserted).
ez_status ez_overlay_delete(ez_overlay *overlay, int kind, int64_t id, uint64_t n, int64_t time_ns,
                            ez_error *error) EZ_MUST_CHECK;

size_t ez_overlay_count(const ez_overlay *overlay); // changes
size_t ez_overlay_bytes(const ez_overlay *overlay); // of all changes, about
ez_overlay_record *ez_overlay_at(const ez_overlay *overlay, size_t at);
// Undoes all changes from mark on, ids included.
void ez_overlay_rollback(ez_overlay *overlay, size_t mark);
// Forgets all changes. Entries that were taken (entry set to NULL) live on, others are freed.
void ez_overlay_clear(ez_overlay *overlay);

// Reading, as in directory.h.
const ez_entry *ez_overlay_get(const ez_overlay *overlay, int kind, int64_t id);
const ez_entry *ez_overlay_find(const ez_overlay *overlay, ez_index index, const ez_index_value *value);
const ez_entry *ez_overlay_next(ez_overlay *overlay, int kind, int64_t after);
const ez_entry *ez_overlay_member(ez_overlay *overlay, ez_index index, ez_index_key key, int64_t after);
size_t ez_overlay_member_count(const ez_overlay *overlay, ez_index index, ez_index_key key);
