// SPDX-License-Identifier: Apache-2.0
//
// A list that is read while it changes. Entries belong to the directory; the family only links them. One that was taken
// out keeps its own links: a reader who stands on it goes on to what were its neighbours, and those live as long as his
// section, since they went later than he came.
#include "server/state/directory/family.h"

#include <stdlib.h>
#include <string.h>

ez_family *ez_family_create(ez_index index, const ez_index_value *value) {
    ez_family *family = calloc(1, sizeof *family + value->a.len + value->b.len);
    if (!family)
        return NULL;
    family->index = index;
    family->value = (ez_index_value){
        .a = {family->bytes, value->a.len}, .b = {family->bytes + value->a.len, value->b.len}, .id = value->id};
    if (value->a.len > 0)
        memcpy(family->bytes, value->a.data, value->a.len);
    if (value->b.len > 0)
        memcpy(family->bytes + value->a.len, value->b.data, value->b.len);
    return family;
}

void ez_family_destroy(ez_family *family) {
    free(family);
}

static void family_release(ez_rcu_head *head) {
    ez_rcu_release_begin();
    free(head); // the head is the first member
}

void ez_family_defer_destroy(ez_family *family) {
    ez_rcu_defer(&family->rcu, family_release);
}

static ez_entry_link *link_of(const ez_family *family, ez_entry *entry) {
    return &entry->links[ez_index_find_spec(family->index)->group];
}

static ez_entry *read(ez_entry *const _Atomic *place) {
    return atomic_load_explicit((ez_entry * _Atomic *)place, memory_order_acquire);
}

static void write(ez_entry *_Atomic *place, ez_entry *entry) {
    atomic_store_explicit(place, entry, memory_order_release);
}

ez_entry *ez_family_walk(const ez_family *family, int64_t after, bool descending) {
    ez_entry *far = read(descending ? &family->first : &family->last);
    if (!far || (descending ? far->id >= after : far->id <= after))
        return NULL;
    ez_entry *at = read(descending ? &family->last : &family->first);
    while (at && (descending ? at->id >= after : at->id <= after))
        at = read(descending ? &link_of(family, at)->previous : &link_of(family, at)->next);
    return at;
}

// Makes the neighbours, or the ends, of entry's place point to entry.
static void announce(ez_family *family, ez_entry *previous, ez_entry *next, ez_entry *toward_next,
                     ez_entry *toward_previous) {
    write(previous ? &link_of(family, previous)->next : &family->first, toward_next);
    write(next ? &link_of(family, next)->previous : &family->last, toward_previous);
}

void ez_family_insert(ez_family *family, ez_entry *entry) {
    ez_entry *previous = read(&family->last);
    ez_entry *next = NULL;
    while (previous && previous->id > entry->id) {
        next = previous;
        previous = read(&link_of(family, previous)->previous);
    }
    ez_entry_link *link = link_of(family, entry);
    write(&link->previous, previous);
    write(&link->next, next);
    announce(family, previous, next, entry, entry);
    atomic_fetch_add_explicit(&family->count, 1, memory_order_relaxed);
}

void ez_family_replace(ez_family *family, ez_entry *old, ez_entry *entry) {
    ez_entry_link *link = link_of(family, entry);
    ez_entry *previous = read(&link_of(family, old)->previous);
    ez_entry *next = read(&link_of(family, old)->next);
    write(&link->previous, previous);
    write(&link->next, next);
    announce(family, previous, next, entry, entry);
}

void ez_family_remove(ez_family *family, ez_entry *entry) {
    ez_entry *previous = read(&link_of(family, entry)->previous);
    ez_entry *next = read(&link_of(family, entry)->next);
    announce(family, previous, next, next, previous);
    atomic_fetch_sub_explicit(&family->count, 1, memory_order_relaxed);
}
