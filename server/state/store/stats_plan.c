// SPDX-License-Identifier: Apache-2.0
//
// The plan goes from coarse to fine: the whole steps of a range, open ones up to their edge, are one or more segments;
// what is left at the ends and behind the edges is planned with the next finer step. An open step whose edge is within
// the range counts up to there, also where the range ends before the step does. Where there is no finer step any more,
// rows are taken as they are.
#include "server/state/store/stats_plan.h"

#include <assert.h>

#define TIME_MAX (INT64_C(1) << 40) // seconds; far outside of what a record's time in ns can say

static const int steps[] = {EZ_ROLLUP_MINUTE, EZ_ROLLUP_HOUR, EZ_ROLLUP_DAY};
enum { MINUTE, HOUR, DAY };

static int64_t ceil_to(int64_t time_s, int step) {
    return ez_rollup_floor(time_s + step - 1, step);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

void ez_stats_edges_add(ez_stats_edges *edges, const ez_open_step *open, int level) {
    ez_stats_ranges *all = open->step == EZ_ROLLUP_DAY ? &edges->days : &edges->hours;
    ez_stats_range *last = all->count ? &all->ranges[all->count - 1] : NULL;
    ez_stats_range range = {.from_s = ez_open_step_edge(open, level), .to_s = open->time_s + open->step};
    if (range.from_s >= range.to_s)
        return;
    if (last && (last->to_s >= range.from_s || all->count == EZ_STATS_RANGES))
        last->to_s = range.to_s;
    else
        all->ranges[all->count++] = range;
}

static void put(ez_stats_plan *plan, int unit, int64_t from_s, int64_t to_s) {
    if (from_s >= to_s)
        return;
    ez_stats_segment *last = plan->count ? &plan->segments[plan->count - 1] : NULL;
    if (last && last->step == steps[unit]) {
        assert(last->to_s == from_s);
        last->to_s = to_s;
        return;
    }
    assert(plan->count < EZ_STATS_SEGMENTS);
    plan->segments[plan->count++] = (ez_stats_segment){.step = steps[unit], .from_s = from_s, .to_s = to_s};
}

static void cover(ez_stats_plan *plan, const ez_stats_edges *edges, int unit, int64_t from_s, int64_t to_s) {
    if (from_s >= to_s)
        return;
    if (unit == MINUTE) {
        put(plan, MINUTE, from_s, to_s);
        return;
    }
    const ez_stats_ranges *open = unit == DAY ? &edges->days : &edges->hours;
    int64_t finer_from_s = unit == DAY ? edges->hours_from_s : edges->minutes_from_s;
    int64_t at = ceil_to(from_s, steps[unit]);
    at = at < to_s ? at : to_s;
    cover(plan, edges, unit - 1, from_s, at);
    for (size_t i = 0; i < open->count && open->ranges[i].from_s <= to_s; i++) {
        int64_t low = clamp(open->ranges[i].from_s, clamp(finer_from_s, at, to_s), to_s);
        int64_t high = clamp(open->ranges[i].to_s, low, to_s);
        if (high <= at)
            continue;
        put(plan, unit, at, low);
        cover(plan, edges, unit - 1, low, high);
        at = high;
    }
    int64_t end = ez_rollup_floor(to_s, steps[unit]);
    end = end > at ? end : at;
    put(plan, unit, at, end);
    cover(plan, edges, unit - 1, end, to_s);
}

// The finest step there is at a time.
static int kept_at(const ez_stats_edges *edges, int64_t time_s) {
    return time_s < edges->hours_from_s     ? EZ_ROLLUP_DAY
           : time_s < edges->minutes_from_s ? EZ_ROLLUP_HOUR
                                            : EZ_ROLLUP_MINUTE;
}

void ez_stats_plan_build(ez_stats_plan *plan, int64_t since_s, int64_t until_s, int coarsest,
                         const ez_stats_edges *edges) {
    plan->count = 0;
    since_s = clamp(since_s, -TIME_MAX, TIME_MAX);
    until_s = clamp(until_s, -TIME_MAX, TIME_MAX);
    if (since_s >= until_s)
        return;
    since_s = ez_rollup_floor(since_s, kept_at(edges, since_s));
    until_s = ceil_to(until_s, kept_at(edges, until_s - 1));
    if (coarsest == EZ_ROLLUP_DAY) {
        cover(plan, edges, DAY, since_s, until_s);
        return;
    }
    int64_t hours = clamp(edges->hours_from_s, since_s, until_s);
    int64_t minutes = clamp(edges->minutes_from_s, hours, until_s);
    cover(plan, edges, DAY, since_s, hours);
    cover(plan, edges, HOUR, hours, minutes);
    cover(plan, edges, coarsest == EZ_ROLLUP_HOUR ? HOUR : MINUTE, minutes, until_s);
}
