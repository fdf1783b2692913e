// SPDX-License-Identifier: Apache-2.0
//
// Rows in one sorted array: there are few, or there are so many that a rebuild takes their place.
#include "server/domain/redis/unsent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/random.h"

#define PAUSE_MAX_NS INT64_C(600000000000) // between two tries

void ez_unsent_init(ez_unsent *due, int64_t interval_ns, uint32_t max_tries) {
    *due = (ez_unsent){.interval_ns = interval_ns, .max_tries = max_tries};
}

void ez_unsent_fini(ez_unsent *due) {
    for (size_t i = 0; i < due->count; i++)
        free(due->rows[i]);
    free(due->rows);
    free(due->gone);
    *due = (ez_unsent){0};
}

static int compare(ez_unit a, ez_unit b) {
    if (a.kind != b.kind)
        return a.kind < b.kind ? -1 : 1;
    return a.id < b.id ? -1 : a.id > b.id;
}

// Where the unit is or would be.
static size_t place_of(const ez_unsent *due, ez_unit unit) {
    size_t first = 0, last = due->count;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (compare(due->rows[middle]->unit, unit) < 0)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

ez_unsent_row *ez_unsent_find(const ez_unsent *due, ez_unit unit) {
    size_t at = place_of(due, unit);
    return at < due->count && compare(due->rows[at]->unit, unit) == 0 ? due->rows[at] : NULL;
}

static ez_unsent_row *insert(ez_unsent *due, ez_unit unit) {
    if (due->count == EZ_UNSENT_MAX)
        return NULL;
    if (due->count == due->room) {
        size_t room = due->room ? due->room * 2 : 16;
        ez_unsent_row **rows = realloc(due->rows, room * sizeof(ez_unsent_row *));
        if (!rows)
            return NULL;
        due->rows = rows;
        due->room = room;
    }
    ez_unsent_row *row = calloc(1, sizeof *row);
    if (!row)
        return NULL;
    row->unit = unit;
    size_t at = place_of(due, unit);
    memmove(due->rows + at + 1, due->rows + at, (due->count - at) * sizeof(ez_unsent_row *));
    due->rows[at] = row;
    due->count++;
    return row;
}

// Doubled at each try, and up to a fifth more or less, so that many rows do not come at once.
static int64_t pause_after(const ez_unsent *due, uint32_t tries) {
    int64_t pause = due->interval_ns;
    for (uint32_t i = 1; i < tries && pause < PAUSE_MAX_NS; i++)
        pause *= 2;
    pause = pause < PAUSE_MAX_NS ? pause : PAUSE_MAX_NS;
    uint16_t dice = 0;
    if (ez_random(&dice, sizeof dice) != EZ_OK)
        dice = 0;
    return pause - pause / 5 + pause / 5 * 2 * dice / UINT16_MAX;
}

ez_status ez_unsent_fail(ez_unsent *due, ez_unit unit, const ez_was *was, uint64_t n, const char *why, int64_t now_ns,
                         bool *parked) {
    ez_unsent_row *row = ez_unsent_find(due, unit);
    *parked = false;
    if (!row) {
        row = insert(due, unit);
        if (!row)
            return EZ_RESOURCE_EXHAUSTED;
        row->since_ns = now_ns;
    }
    if (was->is_known)
        row->was = *was;
    row->n = n;
    row->tries++;
    row->next_ns = now_ns + pause_after(due, row->tries);
    *parked = !row->is_parked && row->tries >= due->max_tries;
    row->is_parked = row->tries >= due->max_tries;
    row->is_dirty = true;
    snprintf(row->error, sizeof row->error, "%.*s", EZ_SYNC_ERROR_MAX - 1, why);
    return EZ_OK;
}

void ez_unsent_settle(ez_unsent *due, ez_unit unit) {
    size_t at = place_of(due, unit);
    if (at == due->count || compare(due->rows[at]->unit, unit) != 0)
        return;
    if (due->gone_count == due->gone_room) {
        size_t room = due->gone_room ? due->gone_room * 2 : 16;
        ez_unit *gone = realloc(due->gone, room * sizeof *gone);
        if (!gone)
            return; // it stays, and is settled when it is tried again
        due->gone = gone;
        due->gone_room = room;
    }
    due->gone[due->gone_count++] = unit;
    free(due->rows[at]);
    due->count--;
    memmove(due->rows + at, due->rows + at + 1, (due->count - at) * sizeof(ez_unsent_row *));
}

void ez_unsent_clear(ez_unsent *due) {
    due->was_cleared = due->was_cleared || due->count > 0 || due->gone_count > 0;
    for (size_t i = 0; i < due->count; i++)
        free(due->rows[i]);
    due->count = 0;
    due->gone_count = 0;
}

size_t ez_unsent_unpark(ez_unsent *due, int64_t now_ns) {
    size_t count = 0;
    for (size_t i = 0; i < due->count; i++) {
        if (!due->rows[i]->is_parked)
            continue;
        count++;
        due->rows[i]->is_parked = false;
        due->rows[i]->tries = 0;
        due->rows[i]->next_ns = now_ns;
        due->rows[i]->is_dirty = true;
    }
    return count;
}

size_t ez_unsent_take(const ez_unsent *due, int64_t now_ns, ez_unit *out, size_t max) {
    size_t count = 0;
    for (size_t i = 0; i < due->count && count < max; i++)
        if (!due->rows[i]->is_parked && due->rows[i]->next_ns <= now_ns)
            out[count++] = due->rows[i]->unit;
    return count;
}

int64_t ez_unsent_next_ns(const ez_unsent *due) {
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < due->count; i++)
        if (!due->rows[i]->is_parked && due->rows[i]->next_ns < next)
            next = due->rows[i]->next_ns;
    return next;
}

size_t ez_unsent_parked(const ez_unsent *due) {
    size_t count = 0;
    for (size_t i = 0; i < due->count; i++)
        count += due->rows[i]->is_parked;
    return count;
}

int64_t ez_unsent_oldest_ns(const ez_unsent *due) {
    int64_t oldest = 0;
    for (size_t i = 0; i < due->count; i++)
        if (oldest == 0 || due->rows[i]->since_ns < oldest)
            oldest = due->rows[i]->since_ns;
    return oldest;
}

// ---- The store's copy

static ez_status load_row(void *user, const ez_sync_due *stored, ez_error *error) {
    ez_unsent_row *row = insert(user, (ez_unit){stored->kind, stored->id});
    if (!row)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for what is due in Redis");
    row->n = stored->n;
    row->tries = stored->tries;
    row->since_ns = stored->since_ns;
    row->next_ns = stored->next_ns;
    row->is_parked = stored->is_parked;
    if (stored->place.len > 0 && stored->place.len <= sizeof row->was.text) {
        row->was.is_known = true;
        row->was.len = (uint16_t)stored->place.len;
        memcpy(row->was.text, stored->place.data, stored->place.len);
    }
    snprintf(row->error, sizeof row->error, "%s", stored->error);
    return EZ_OK;
}

ez_status ez_unsent_load(ez_unsent *due, ez_store *store, ez_error *error) {
    ez_unsent_clear(due);
    due->was_cleared = false;
    return ez_store_each_sync_due(store, load_row, due, error);
}

ez_status ez_unsent_fill(const ez_unsent *due, ez_sync_write *write) {
    ez_sync_due *puts = calloc(due->count + 1, sizeof *puts);
    ez_sync_due *deletes = calloc(due->gone_count + 1, sizeof *deletes);
    if (!puts || !deletes) {
        free(puts);
        free(deletes);
        return EZ_RESOURCE_EXHAUSTED;
    }
    write->clears = due->was_cleared;
    write->put_count = 0;
    for (size_t i = 0; i < due->count; i++) {
        const ez_unsent_row *row = due->rows[i];
        if (!row->is_dirty && !due->was_cleared)
            continue;
        puts[write->put_count++] =
            (ez_sync_due){.kind = row->unit.kind,
                          .id = row->unit.id,
                          .n = row->n,
                          .place = {(const uint8_t *)row->was.text, row->was.is_known ? row->was.len : 0},
                          .tries = row->tries,
                          .since_ns = row->since_ns,
                          .next_ns = row->next_ns,
                          .is_parked = row->is_parked,
                          .error = row->error};
    }
    for (size_t i = 0; i < due->gone_count; i++)
        deletes[i] = (ez_sync_due){.kind = due->gone[i].kind, .id = due->gone[i].id};
    write->puts = puts;
    write->deletes = deletes;
    write->delete_count = due->gone_count;
    return EZ_OK;
}

void ez_unsent_written(ez_unsent *due) {
    for (size_t i = 0; i < due->count; i++)
        due->rows[i]->is_dirty = false;
    due->gone_count = 0;
    due->was_cleared = false;
}
