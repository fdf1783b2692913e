// SPDX-License-Identifier: Apache-2.0
//
// Binary heaps whose slots know their place, so that a change of one key costs the depth of the heap.
#include "server/domain/oauth/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "server/domain/oauth/facts.h"

void ez_oauth_schedule_init(ez_oauth_schedule *schedule) {
    memset(schedule, 0, sizeof *schedule);
    ez_idmap_init(&schedule->by_id);
}

void ez_oauth_schedule_fini(ez_oauth_schedule *schedule) {
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++) {
        for (size_t at = 0; at < schedule->heaps[i].count; at++)
            free(schedule->heaps[i].slots[at]);
        free(schedule->heaps[i].slots);
    }
    ez_idmap_fini(&schedule->by_id);
}

// ---- One heap

static void set(ez_oauth_heap *heap, size_t at, ez_oauth_slot *slot) {
    heap->slots[at] = slot;
    slot->at = (uint32_t)at;
}

static void sift_up(ez_oauth_heap *heap, ez_oauth_slot *slot) {
    size_t at = slot->at;
    while (at > 0 && heap->slots[(at - 1) / 2]->due_ns > slot->due_ns) {
        set(heap, at, heap->slots[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    set(heap, at, slot);
}

static void sift_down(ez_oauth_heap *heap, ez_oauth_slot *slot) {
    size_t at = slot->at;
    for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && heap->slots[child + 1]->due_ns < heap->slots[child]->due_ns)
            child++;
        if (heap->slots[child]->due_ns >= slot->due_ns)
            break;
        set(heap, at, heap->slots[child]);
    }
    set(heap, at, slot);
}

static bool add(ez_oauth_heap *heap, ez_oauth_slot *slot) {
    if (heap->count == heap->room) {
        size_t room = heap->room ? 2 * heap->room : 64;
        ez_oauth_slot **grown = room < UINT32_MAX ? realloc(heap->slots, room * sizeof *grown) : NULL;
        if (!grown)
            return false;
        heap->slots = grown;
        heap->room = room;
    }
    set(heap, heap->count++, slot);
    sift_up(heap, slot);
    heap->failing[slot->class]++;
    return true;
}

static void drop(ez_oauth_heap *heap, ez_oauth_slot *slot) {
    ez_oauth_slot *last = heap->slots[--heap->count];
    heap->failing[slot->class]--;
    if (last == slot)
        return;
    set(heap, slot->at, last);
    sift_up(heap, last);
    sift_down(heap, last);
}

// ---- All

ez_oauth_slot *ez_oauth_schedule_get(const ez_oauth_schedule *schedule, int64_t id) {
    return ez_idmap_get(&schedule->by_id, id);
}

static ez_oauth_slot *make(ez_oauth_schedule *schedule, int64_t id, int provider) {
    ez_oauth_slot *slot = calloc(1, sizeof *slot);
    if (!slot || ez_idmap_reserve(&schedule->by_id, id) != EZ_OK) {
        free(slot);
        return NULL;
    }
    *slot = (ez_oauth_slot){.id = id, .due_ns = EZ_OAUTH_NEVER, .provider = (uint8_t)provider};
    if (!add(&schedule->heaps[provider], slot)) {
        ez_idmap_unreserve(&schedule->by_id, id);
        free(slot);
        return NULL;
    }
    ez_idmap_set(&schedule->by_id, id, slot);
    return slot;
}

ez_oauth_slot *ez_oauth_schedule_put(ez_oauth_schedule *schedule, int64_t id, int provider) {
    ez_oauth_slot *slot = ez_oauth_schedule_get(schedule, id);
    if (slot && slot->provider == provider)
        return slot;
    const ez_oauth_slot before = slot ? *slot : (ez_oauth_slot){.id = id};
    if (slot)
        ez_oauth_schedule_remove(schedule, id);
    slot = make(schedule, id, provider);
    if (slot) {
        slot->is_flying = before.is_flying;
        slot->is_raised = before.is_raised;
        slot->noted_ns = before.noted_ns;
        slot->is_clear = before.is_clear;
    }
    return slot;
}

void ez_oauth_schedule_move(ez_oauth_schedule *schedule, ez_oauth_slot *slot, int64_t due_ns) {
    ez_oauth_heap *heap = &schedule->heaps[slot->provider];
    slot->due_ns = due_ns;
    sift_up(heap, slot);
    sift_down(heap, slot);
}

void ez_oauth_schedule_note(ez_oauth_schedule *schedule, ez_oauth_slot *slot, ez_oauth_class class) {
    ez_oauth_heap *heap = &schedule->heaps[slot->provider];
    heap->failing[slot->class]--;
    slot->class = (uint8_t) class;
    heap->failing[slot->class]++;
    slot->fails = class == EZ_OAUTH_REFRESHED ? 0 : slot->fails + 1;
    slot->vain = class == EZ_OAUTH_REFRESHED ? 0 : slot->vain;
    slot->owes_note = slot->owes_note && class != EZ_OAUTH_REFRESHED;
}

void ez_oauth_schedule_remove(ez_oauth_schedule *schedule, int64_t id) {
    ez_oauth_slot *slot = ez_oauth_schedule_get(schedule, id);
    if (!slot)
        return;
    drop(&schedule->heaps[slot->provider], slot);
    ez_idmap_remove(&schedule->by_id, id);
    free(slot);
}

ez_oauth_slot *ez_oauth_schedule_first(const ez_oauth_schedule *schedule, int provider) {
    const ez_oauth_heap *heap = &schedule->heaps[provider];
    return heap->count ? heap->slots[0] : NULL;
}

static size_t count_due(const ez_oauth_heap *heap, size_t at, int64_t now_ns) {
    if (at >= heap->count || heap->slots[at]->due_ns > now_ns)
        return 0;
    return 1 + count_due(heap, 2 * at + 1, now_ns) + count_due(heap, 2 * at + 2, now_ns);
}

size_t ez_oauth_schedule_due(const ez_oauth_schedule *schedule, int provider, int64_t now_ns) {
    return count_due(&schedule->heaps[provider], 0, now_ns);
}
