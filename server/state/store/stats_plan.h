// SPDX-License-Identifier: Apache-2.0
//
// Which rollup rows answer a range of time, so that every record counts once and as few rows as can be are read: whole
// days from rows of days, whole hours from rows of hours, the rest from rows of minutes; of what is open, the part
// behind its edge from the next finer step (rollup.h has the rules). Pure: what the database says comes in, segments
// come out.
#pragma once

#include "server/state/store/rollup.h"

#define EZ_STATS_RANGES   16 // ranges behind an edge that are told apart, of each step
#define EZ_STATS_SEGMENTS (8 + 4 * EZ_STATS_RANGES)

typedef struct ez_stats_range {
    int64_t from_s, to_s; // from ≤ time < to
} ez_stats_range;

typedef struct ez_stats_ranges {
    size_t count;
    ez_stats_range ranges[EZ_STATS_RANGES]; // ascending, not adjacent
} ez_stats_ranges;

typedef struct ez_stats_edges {
    int64_t minutes_from_s, hours_from_s; // log_head's edges
    ez_stats_ranges hours, days;          // each from the edge of what is open to its end: its rows lack that
} ez_stats_edges;

// Takes an open hour or day, as one level sees it; those of one step come with time ascending. Where there are more
// ranges than are told apart, the last one grows over what lies between: reading the finer step is never wrong.
void ez_stats_edges_add(ez_stats_edges *edges, const ez_open_step *open, int level);

typedef struct ez_stats_segment {
    int step;             // EZ_ROLLUP_MINUTE, _HOUR or _DAY
    int64_t from_s, to_s; // to_s may be an edge: within the last step
} ez_stats_segment;

typedef struct ez_stats_plan {
    size_t count;                                 // 0: an empty range
    ez_stats_segment segments[EZ_STATS_SEGMENTS]; // ascending, adjacent, no two neighbours of one step
} ez_stats_plan;

// coarsest: the longest step that still tells the groups apart; where that is not kept any more, a longer one is taken,
// and the range's ends are widened to it.
void ez_stats_plan_build(ez_stats_plan *plan, int64_t since_s, int64_t until_s, int coarsest,
                         const ez_stats_edges *edges);
