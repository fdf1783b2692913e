// SPDX-License-Identifier: Apache-2.0
//
// Rollups: what log records add up to. Each batch of records is merged in memory into rows of one minute and one level,
// which are added to the table in the transaction that stores the records; hours and days are folded from minutes later
// (docs/adr/0009). A level says what its rows tell apart, so that every question is answered from as few rows as can
// be.
//
// What readers rely on, so that each record counts once (log_head's edges, table rollup_stale):
// - minutes_from_s, a multiple of 3600: every record from there on is in a row of its minute; what is older is added to
//   its hour. hours_from_s, a multiple of 86400 and never later: likewise hours and days. Only trimming moves an edge
//   forward, when nothing before it is stale any more, and deletes the rows before it then or later: they are not to be
//   looked at. (The first records of a store place both.) ez_store_add_logs reads them in its own transaction, with
//   next_id in one UPDATE, and places by them, not by its clock, because servers' clocks differ.
// - (3600, h) in rollup_stale: the rows of hour h may lack what its minutes have. (86400, d): likewise a day and its
//   hours, stale ones included. Whoever adds to minutes marks hour and day, whoever adds to hours marks the day;
//   folding puts a step's rows in place of the old ones (the finer rows are all there: an edge has not passed them),
//   one level after the other ("folded" of them are done), and removes the mark with the last, in one transaction; a
//   day when none of its hours is marked. A mark that was touched starts again. What is not yet over, or was touched
//   within the last minute, is left for later, so that nothing is folded for each late record.
#pragma once

#include "server/state/store/meter.h"

typedef enum ez_rollup_level {
    EZ_ROLLUP_TOTAL = 1,
    EZ_ROLLUP_MODEL = 2,         // model
    EZ_ROLLUP_MASTER = 3,        // a: master
    EZ_ROLLUP_KEY = 4,           // a: master, b: key
    EZ_ROLLUP_KEY_MODEL = 5,     // a: master, b: key, model
    EZ_ROLLUP_GROUP = 6,         // a: group
    EZ_ROLLUP_API_KEY = 7,       // a: group, b: API key
    EZ_ROLLUP_API_KEY_MODEL = 8, // a: group, b: API key, model
    EZ_ROLLUP_LEVELS = 9,
} ez_rollup_level;

// The level whose rows have a step's answer for a level: of minutes, keys and API keys are kept by model only, which is
// a quarter less to write with each batch; a, b mean the same there.
static inline ez_rollup_level ez_rollup_kept(int step, ez_rollup_level level) {
    if (step != 60)
        return level;
    return level == EZ_ROLLUP_KEY ? EZ_ROLLUP_KEY_MODEL : level == EZ_ROLLUP_API_KEY ? EZ_ROLLUP_API_KEY_MODEL : level;
}

#define EZ_ROLLUP_MINUTE 60
#define EZ_ROLLUP_HOUR   3600
#define EZ_ROLLUP_DAY    86400

#define EZ_ROLLUP_MINUTES_KEEP_S (48 * 3600)
#define EZ_ROLLUP_HOURS_KEEP_S   (92 * 86400)

// As above: from when on there are minutes, and hours. Unix seconds.
typedef struct ez_rollup_edges {
    int64_t minutes_from_s, hours_from_s;
} ez_rollup_edges;

// Where they are to be by the clock; never before 1970-01-02, for in log_head 0 stands for none.
ez_rollup_edges ez_rollup_edges_at(int64_t now_ns);

typedef struct ez_rollup_row {
    int step; // seconds
    int level;
    int64_t time_s; // unix, a multiple of step
    int64_t a, b;
    ez_slice model;
    ez_rollup_sums sums;
} ez_rollup_row;

// That the rows of one step at one time lack something: a row of rollup_stale.
typedef struct ez_rollup_mark {
    int step; // EZ_ROLLUP_HOUR or EZ_ROLLUP_DAY
    int64_t time_s;
} ez_rollup_mark;

#define EZ_ROLLUP_ROWS_MAX 100000u // where one is full; the record that makes it so may go past it
#define EZ_ROLLUP_QUIET_S  60      // a mark is folded when its time is over, and nothing touched it, for so long

typedef struct ez_rollup ez_rollup;

// Rows that are merged by their key, as those of a batch. Owned by one thread. Empties itself with ez_rollup_clear and
// keeps its memory.
ez_status ez_rollup_create(ez_rollup **out, ez_error *error) EZ_MUST_CHECK;
void ez_rollup_destroy(ez_rollup *rollup);
void ez_rollup_clear(ez_rollup *rollup);
// Write what it has, and clear it.
bool ez_rollup_is_full(const ez_rollup *rollup);
// The edges as above: which step its rows are of.
ez_status ez_rollup_add(ez_rollup *rollup, const ez_log_row *record, const ez_rollup_edges *edges,
                        ez_error *error) EZ_MUST_CHECK;
// Adds a row to the one with its key.
ez_status ez_rollup_put(ez_rollup *rollup, const ez_rollup_row *row, ez_error *error) EZ_MUST_CHECK;
// Sorted by the table's key. Nothing may be added after it. Valid until the next call.
const ez_rollup_row *ez_rollup_rows(ez_rollup *rollup, size_t *count);
// What the rows make stale, each once, sorted. Valid until the next call.
ez_status ez_rollup_marks(ez_rollup *rollup, const ez_rollup_mark **out, size_t *count, ez_error *error) EZ_MUST_CHECK;

// Of a row's key; the same in every process.
uint64_t ez_rollup_hash(const ez_rollup_row *row);

// The begin of the step a time is in.
int64_t ez_rollup_floor(int64_t time_s, int step);
