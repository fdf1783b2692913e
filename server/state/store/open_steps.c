// SPDX-License-Identifier: Apache-2.0
//
// A sorted array: of a store with traffic an hour and a day are open, some more around midnight and where clocks
// differ.
#include "server/state/store/open_steps.h"

#include <stdlib.h>
#include <string.h>

#include "server/state/store/rollup.h"

int64_t ez_open_step_edge(const ez_open_step *open, int level) {
    return level <= open->folded ? open->until_s : open->from_s;
}

// The furthest of its levels' edges.
static int64_t furthest(const ez_open_step *open) {
    return ez_open_step_edge(open, EZ_ROLLUP_TOTAL);
}

bool ez_open_step_is_closed(const ez_open_step *open) {
    return open->folded == 0 && open->from_s >= open->time_s + open->step;
}

void ez_open_steps_fini(ez_open_steps *steps) {
    free(steps->items);
    *steps = (ez_open_steps){0};
}

void ez_open_steps_clear(ez_open_steps *steps) {
    steps->count = 0;
}

static bool is_before(const ez_open_step *a, int step, int64_t time_s) {
    return a->step != step ? a->step < step : a->time_s < time_s;
}

// Where it is, or would be.
static size_t place_of(const ez_open_steps *steps, int step, int64_t time_s) {
    size_t low = 0, high = steps->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(&steps->items[middle], step, time_s))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ez_status ez_open_steps_put(ez_open_steps *steps, const ez_open_step *open, ez_error *error) {
    if (steps->count == steps->room) {
        size_t room = steps->room ? steps->room * 2 : 16;
        ez_open_step *items = realloc(steps->items, room * sizeof *items);
        if (!items)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the rollups of log records");
        steps->items = items;
        steps->room = room;
    }
    size_t at = place_of(steps, open->step, open->time_s);
    memmove(&steps->items[at + 1], &steps->items[at], (steps->count - at) * sizeof *steps->items);
    steps->items[at] = *open;
    steps->count++;
    return EZ_OK;
}

static const ez_open_step *find(const ez_open_steps *steps, int step, int64_t time_s) {
    size_t at = place_of(steps, step, time_s);
    const ez_open_step *open = at < steps->count ? &steps->items[at] : NULL;
    return open && open->step == step && open->time_s == time_s ? open : NULL;
}

ez_status ez_open_steps_use(ez_open_steps *steps, int step, int64_t time_s, int64_t now_s, ez_open_step *out,
                            ez_error *error) {
    const ez_open_step *there = find(steps, step, time_s);
    *out = there ? *there : (ez_open_step){.step = step, .time_s = time_s, .from_s = INT64_MAX};
    if (there || time_s + step <= now_s)
        return EZ_OK;
    if (step == EZ_ROLLUP_HOUR) {
        ez_open_step day;
        ez_status status =
            ez_open_steps_use(steps, EZ_ROLLUP_DAY, ez_rollup_floor(time_s, EZ_ROLLUP_DAY), now_s, &day, error);
        if (status || furthest(&day) > time_s)
            return status;
    }
    *out = (ez_open_step){.step = step, .time_s = time_s, .from_s = time_s, .until_s = time_s, .is_new = true};
    return ez_open_steps_put(steps, out, error);
}

// ---- Folding

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// The first hour of the day that is open, or the day's end.
static int64_t closed_until(const ez_open_steps *steps, const ez_open_step *day) {
    int64_t end_s = day->time_s + day->step;
    size_t at = place_of(steps, EZ_ROLLUP_HOUR, day->time_s);
    if (at < steps->count && steps->items[at].step == EZ_ROLLUP_HOUR)
        return least(end_s, steps->items[at].time_s);
    return end_s;
}

static int64_t target_of(const ez_open_steps *steps, const ez_open_step *open, int64_t now_s) {
    int64_t over_s = now_s - EZ_FOLD_LAG_S, end_s = open->time_s + open->step;
    if (open->step == EZ_ROLLUP_HOUR)
        return least(least(ez_rollup_floor(over_s, EZ_ROLLUP_MINUTE), end_s), open->from_s + EZ_FOLD_MINUTES_S);
    int64_t hours_s = least(ez_rollup_floor(over_s, EZ_ROLLUP_HOUR), closed_until(steps, open));
    return least(hours_s, open->from_s + EZ_FOLD_HOURS_S);
}

bool ez_open_steps_next(const ez_open_steps *steps, int64_t now_s, ez_fold *out) {
    for (size_t i = 0; i < steps->count; i++) {
        const ez_open_step *open = &steps->items[i];
        *out = (ez_fold){.open = *open, .level = open->folded + 1, .until_s = open->until_s};
        if (open->folded == 0)
            out->until_s = target_of(steps, open, now_s);
        if (open->folded > 0 || out->until_s > open->from_s)
            return true;
    }
    return false;
}

int ez_fold_finer_step(const ez_fold *fold) {
    return fold->open.step == EZ_ROLLUP_HOUR ? EZ_ROLLUP_MINUTE : EZ_ROLLUP_HOUR;
}

bool ez_fold_is_first(const ez_fold *fold) {
    return fold->open.from_s == fold->open.time_s;
}

ez_open_step ez_fold_done(const ez_fold *fold, bool is_whole) {
    ez_open_step open = fold->open;
    open.until_s = fold->until_s;
    open.folded = fold->level;
    if (is_whole || fold->level + 1 == EZ_ROLLUP_LEVELS) {
        open.from_s = fold->until_s;
        open.folded = 0;
    }
    return open;
}
