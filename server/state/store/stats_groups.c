// SPDX-License-Identifier: Apache-2.0
//
// Groups live in an arena, the table holds pointers. It is never more than half full, so a search ends.
#include "server/state/store/stats_groups.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN  256
#define ARENA_MAX (512u << 20) // a million groups with models of 300 bytes

void ez_stats_groups_init(ez_stats_groups *groups) {
    *groups = (ez_stats_groups){0};
    ez_arena_init(&groups->arena, ARENA_MAX);
}

void ez_stats_groups_fini(ez_stats_groups *groups) {
    free(groups->slots);
    ez_arena_fini(&groups->arena);
}

static uint64_t hash_of(int64_t id, ez_slice model) {
    uint64_t hash = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i < model.len; i++)
        hash = (hash ^ model.data[i]) * UINT64_C(0x100000001B3);
    return hash ^ hash >> 32;
}

static ez_stats_row **find(ez_stats_row **slots, size_t room, int64_t id, ez_slice model) {
    for (size_t at = hash_of(id, model) & (room - 1);; at = (at + 1) & (room - 1)) {
        const ez_stats_row *row = slots[at];
        if (!row || (row->id == id && row->model.len == model.len &&
                     (!model.len || memcmp(row->model.data, model.data, model.len) == 0)))
            return &slots[at];
    }
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the groups of a query");
}

static ez_status grow(ez_stats_groups *groups, ez_error *error) {
    size_t room = groups->room ? groups->room * 2 : ROOM_MIN;
    ez_stats_row **slots = calloc(room, sizeof(ez_stats_row *));
    if (!slots)
        return no_memory(error);
    for (size_t i = 0; i < groups->room; i++) {
        if (groups->slots[i])
            *find(slots, room, groups->slots[i]->id, groups->slots[i]->model) = groups->slots[i];
    }
    free(groups->slots);
    groups->slots = slots;
    groups->room = room;
    return EZ_OK;
}

static ez_status make(ez_stats_groups *groups, int64_t id, ez_slice model, ez_stats_row **out, ez_error *error) {
    if (groups->count >= EZ_STATS_GROUPS_MAX)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "STATS_TOO_LARGE",
                            "more than %d groups: ask for a shorter range or with a filter", EZ_STATS_GROUPS_MAX);
    ez_stats_row *row = ez_arena_zalloc(&groups->arena, sizeof *row);
    const uint8_t *bytes = model.len ? ez_arena_memdup(&groups->arena, model.data, model.len) : NULL;
    if (!row || (model.len && !bytes))
        return no_memory(error);
    row->id = id;
    row->model = (ez_slice){.data = bytes, .len = model.len};
    groups->count++;
    *out = row;
    return EZ_OK;
}

ez_status ez_stats_groups_get(ez_stats_groups *groups, int64_t id, ez_slice model, ez_stats_row **out,
                              ez_error *error) {
    if (groups->count * 2 >= groups->room) {
        ez_status status = grow(groups, error);
        if (status)
            return status;
    }
    ez_stats_row **slot = find(groups->slots, groups->room, id, model);
    if (!*slot) {
        ez_status status = make(groups, id, model, slot, error);
        if (status)
            return status;
    }
    *out = *slot;
    return EZ_OK;
}

static int compare(const void *left, const void *right) {
    const ez_stats_row *a = *(ez_stats_row *const *)left, *b = *(ez_stats_row *const *)right;
    return a->id < b->id ? -1 : a->id > b->id;
}

ez_status ez_stats_groups_each(ez_stats_groups *groups, ez_stats_fn *each, void *user, ez_error *error) {
    size_t count = 0;
    for (size_t i = 0; i < groups->room; i++) {
        if (groups->slots[i])
            groups->slots[count++] = groups->slots[i];
    }
    // From here on it is a list, and no table any more.
    groups->room = 0;
    if (count)
        qsort(groups->slots, count, sizeof *groups->slots, compare);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = each(user, groups->slots[i], error);
    return status;
}
