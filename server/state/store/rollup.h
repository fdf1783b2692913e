// SPDX-License-Identifier: Apache-2.0
//
// Rollups: what log records add up to. Each batch of records is merged in memory into rows of one minute and one level,
// which are added to the table in the transaction that stores the records; hours and days are folded from minutes later
// (docs/adr/0009). A level says what its rows tell apart, so that every question is answered from as few rows as can
// be.
//
// What readers rely on, so that each record counts once (log_head's edges, table rollup_open):
// - minutes_from_s, a multiple of 3600: every record from there on is in a row of its minute; what is older is added to
//   its hour. hours_from_s, a multiple of 86400 and never later: likewise hours and days. Only trimming moves an edge
//   forward, when nothing before it is open any more, and deletes the rows before it then or later: they are not to be
//   looked at. (The first records of a store place both.) ez_store_add_logs reads them in its own transaction, with
//   next_id, and places by them, not by its clock, because servers' clocks differ.
// - An hour that is not in rollup_open has in its rows all that its minutes have; one that is there only what is before
//   its edge (open_steps.h). Likewise a day and its hours. So whoever adds to a minute that is before the edge of its
//   hour adds to the hour, too, and to the day where the hour is before the day's edge. Folding adds the finer rows of
//   a piece behind the edge, one level after the other, and moves the edge in the same transaction; a first piece is
//   put in place of what was there. A day takes hours that are closed.
// - Adding and folding run one at a time (PostgreSQL: log_head's row is locked).
#pragma once

#include "server/state/store/meter.h"
#include "server/state/store/open_steps.h"
#include "server/state/store/retention.h"

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

// What records are placed by.
typedef struct ez_rollup_places {
    ez_rollup_edges edges;
    ez_open_steps open; // all that are; new ones are put to them
    int64_t now_s;
} ez_rollup_places;

#define EZ_ROLLUP_ROWS_MAX 100000u // where one is full; the record that makes it so may go past it

typedef struct ez_rollup ez_rollup;

// Rows that are merged by their key, as those of a batch. Owned by one thread. Empties itself with ez_rollup_clear and
// keeps its memory.
ez_status ez_rollup_create(ez_rollup **out, ez_error *error) EZ_MUST_CHECK;
void ez_rollup_destroy(ez_rollup *rollup);
void ez_rollup_clear(ez_rollup *rollup);
// Write what it has, and clear it.
bool ez_rollup_is_full(const ez_rollup *rollup);
// Adds a record to its row at every level: of its minute, and of the hour and the day that have it already. Opens the
// hour and the day that it begins.
ez_status ez_rollup_add(ez_rollup *rollup, const ez_log_row *record, ez_rollup_places *places,
                        ez_error *error) EZ_MUST_CHECK;
// Adds a row to the one with its key.
ez_status ez_rollup_put(ez_rollup *rollup, const ez_rollup_row *row, ez_error *error) EZ_MUST_CHECK;
// Sorted by the table's key. Nothing may be added after it. Valid until the next call.
const ez_rollup_row *ez_rollup_rows(ez_rollup *rollup, size_t *count);
// Days that records were added of, ascending, and how many. Valid until the next call.
const ez_log_day *ez_rollup_days(const ez_rollup *rollup, size_t *count);

// Of a row's key; the same in every process.
uint64_t ez_rollup_hash(const ez_rollup_row *row);

// The begin of the step a time is in.
int64_t ez_rollup_floor(int64_t time_s, int step);
