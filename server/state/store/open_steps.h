// SPDX-License-Identifier: Apache-2.0
//
// ez_open_steps: the hours and days whose rollups do not have all yet (rows of rollup_open; rollup.h has the rules),
// and what follows from them: where a record is added, and what is folded next. Pure, no I/O; owned by one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"

#define EZ_FOLD_LAG_S     15   // a minute is folded, or an hour, so long after its end: most of it has come then
#define EZ_FOLD_MINUTES_S 300  // of an hour, folded in one go at most
#define EZ_FOLD_HOURS_S   3600 // of a day

// An hour or a day. Its rows have all that the finer rows before an edge have, and nothing from there on: the edge is
// from_s, or until_s at the levels up to folded.
typedef struct ez_open_step {
    int step; // seconds: EZ_ROLLUP_HOUR or EZ_ROLLUP_DAY
    int64_t time_s;
    int64_t from_s, until_s;
    int folded;  // levels; 0: until_s says nothing
    bool is_new; // not in the store yet
} ez_open_step;

// Of one level, from 1.
int64_t ez_open_step_edge(const ez_open_step *open, int level);

typedef struct ez_open_steps {
    ez_open_step *items; // by step, then time
    size_t count, room;
} ez_open_steps;

void ez_open_steps_fini(ez_open_steps *steps);
void ez_open_steps_clear(ez_open_steps *steps);
// RESOURCE_EXHAUSTED (NO_MEMORY).
ez_status ez_open_steps_put(ez_open_steps *steps, const ez_open_step *open, ez_error *error) EZ_MUST_CHECK;
// A step for who is about to add to it; where it is not open, one whose edge is INT64_MAX: it has everything. Opens a
// step that is not over by the clock, and an hour's day with it. An hour of which its day has rows already stays
// closed, because the day would not get what comes. RESOURCE_EXHAUSTED (NO_MEMORY).
ez_status ez_open_steps_use(ez_open_steps *steps, int step, int64_t time_s, int64_t now_s, ez_open_step *out,
                            ez_error *error) EZ_MUST_CHECK;

// One level of one step, to be folded up to until_s.
typedef struct ez_fold {
    ez_open_step open;
    int level;
    int64_t until_s;
} ez_fold;

// The step its rows are made of.
int ez_fold_finer_step(const ez_fold *fold);
// The first piece of its step: put in place of what is there.
bool ez_fold_is_first(const ez_fold *fold);

// What is to be folded now; false: nothing. Hours go first, a day takes those that are closed.
bool ez_open_steps_next(const ez_open_steps *steps, int64_t now_s, ez_fold *out);
// The step as it is when that was done. is_whole: at every level, because there was nothing to fold.
ez_open_step ez_fold_done(const ez_fold *fold, bool is_whole);
bool ez_open_step_is_closed(const ez_open_step *open);
