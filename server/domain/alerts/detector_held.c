// SPDX-License-Identifier: Apache-2.0
//
// Sorted arrays: there are few, and most rounds change nothing.
#include "server/domain/alerts/detector_held.h"

#include <stdlib.h>
#include <string.h>

ez_status ez_held_init(ez_held *held, ez_error *error) {
    for (size_t i = 0; i < EZ_RULES; i++) {
        held->entries[i] = calloc(EZ_HELD_MAX, sizeof *held->entries[i]);
        if (!held->entries[i])
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for alerts");
    }
    return EZ_OK;
}

void ez_held_fini(ez_held *held) {
    for (size_t i = 0; i < EZ_RULES; i++)
        free(held->entries[i]);
    *held = (ez_held){0};
}

void ez_held_clear(ez_held *held) {
    memset(held->counts, 0, sizeof held->counts);
}

// Where the id is, or would be.
static size_t place_of(const ez_held *held, ez_rule rule, int64_t id) {
    size_t low = 0, high = held->counts[rule];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (held->entries[rule][middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const ez_held *held, ez_rule rule, size_t at, int64_t id) {
    return at < held->counts[rule] && held->entries[rule][at].id == id;
}

void ez_held_begin(ez_held *held) {
    for (size_t rule = 0; rule < EZ_RULES; rule++)
        for (size_t i = 0; i < held->counts[rule]; i++)
            held->entries[rule][i].is_seen = false;
}

bool ez_held_has(const ez_held *held, ez_rule rule, int64_t id) {
    return is_at(held, rule, place_of(held, rule, id), id);
}

bool ez_held_see(ez_held *held, ez_rule rule, int64_t id) {
    size_t at = place_of(held, rule, id);
    ez_held_entry *entries = held->entries[rule];
    if (!is_at(held, rule, at, id)) {
        if (held->counts[rule] == EZ_HELD_MAX)
            return false;
        memmove(&entries[at + 1], &entries[at], (held->counts[rule]++ - at) * sizeof *entries);
        entries[at].id = id;
    }
    entries[at].gone = 0;
    entries[at].is_seen = true;
    return true;
}

void ez_held_end(ez_held *held) {
    for (size_t rule = 0; rule < EZ_RULES; rule++) {
        for (size_t i = 0; i < held->counts[rule]; i++) {
            ez_held_entry *entry = &held->entries[rule][i];
            if (!entry->is_seen && entry->gone < EZ_HELD_GONE_AFTER)
                entry->gone++;
        }
    }
}

size_t ez_held_over(const ez_held *held, ez_rule rule, int64_t *ids, size_t room) {
    size_t count = 0;
    for (size_t i = 0; i < held->counts[rule] && count < room; i++)
        if (held->entries[rule][i].gone >= EZ_HELD_GONE_AFTER)
            ids[count++] = held->entries[rule][i].id;
    return count;
}

void ez_held_drop(ez_held *held, ez_rule rule, int64_t id) {
    size_t at = place_of(held, rule, id);
    ez_held_entry *entries = held->entries[rule];
    if (is_at(held, rule, at, id))
        memmove(&entries[at], &entries[at + 1], (--held->counts[rule] - at) * sizeof *entries);
}
