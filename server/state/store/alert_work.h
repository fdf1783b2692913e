// SPDX-License-Identifier: Apache-2.0
//
// ez_alert_work: what a transaction over alerts does, whatever the database: reports merged by fingerprint, statuses
// judged, audit entries and counts gathered. The backend opens the transaction, gives the statements as a table, and
// writes what was gathered before it commits. Owned by one thread; an attempt that starts again resets it first.
#pragma once

#include "server/state/store/alerts.h"
#include "server/state/store/marks.h"

// Reports of one fingerprint.
typedef struct ez_alert_merged {
    const ez_alert_row *row; // the worst of them
    int64_t id;              // that it gets if it is new
    int64_t count;
    size_t from, to; // its ops in work->reports
} ez_alert_merged;

typedef struct ez_alert_report_at {
    ez_alert_batch *batch;
    ez_alert_op *op;
    size_t order;
} ez_alert_report_at;

typedef struct ez_alert_work {
    ez_alert_batch *batches;
    size_t count;
    const ez_alert_rules *rules;
    int64_t now_ns;
    ez_marks marks;
    int64_t next_id, total; // of the table's head: the backend reads them before, and writes them back
    int64_t had_next_id, had_total;
    ez_store_audit *audits; // gathered; those of rows that are told are in the batches' arenas
    size_t audit_count, audit_size;
    ez_alert_counts deltas;
    ez_alert_report_at *reports; // waiting to be merged
    size_t report_count, report_size;
    ez_alert_merged *merged;
    size_t merged_count, merged_size;
} ez_alert_work;

// What the upsert of a merged report came to. row is gone when this returns. gap_ns: how long it had not been seen.
// raised_from: its severity before, where that is lower now; else 0.
typedef ez_status ez_alert_upserted_fn(ez_alert_work *work, const ez_alert_merged *merged, const ez_alert_row *row,
                                       int64_t gap_ns, int32_t raised_from, ez_error *error);

// Whether an alert holds its fingerprint.
typedef enum ez_alert_hold { EZ_ALERT_LETS_GO = 0, EZ_ALERT_HOLDS = 1, EZ_ALERT_AS_BEFORE = 2 } ez_alert_hold;

typedef struct ez_alert_table {
    // Lets dismissed holders go that were not reported within the cooldown, then counts or makes; calls done for each.
    ez_status (*upsert)(void *tx, ez_alert_work *work, const ez_alert_merged *merged, size_t count,
                        ez_alert_upserted_fn *done, ez_error *error);
    // By id, or, where that is 0, the holder of a fingerprint. Copied into arena.
    ez_status (*find)(void *tx, int64_t id, const char *fingerprint, ez_arena *arena, ez_alert_row *out, bool *found,
                      ez_error *error);
    // Status, who and when, note.
    ez_status (*put)(void *tx, const ez_alert_row *row, ez_alert_hold hold, ez_error *error);
    ez_status (*remove)(void *tx, int64_t id, ez_error *error);
} ez_alert_table;

ez_status ez_alert_work_init(ez_alert_work *work, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                             int64_t now_ns, ez_error *error) EZ_MUST_CHECK;
void ez_alert_work_fini(ez_alert_work *work);
// Before each attempt: next_id and total are then to be read, and the marks.
void ez_alert_work_reset(ez_alert_work *work);
// Everything but the marks', the audit's, the counts' and the head's tables.
ez_status ez_alert_work_run(ez_alert_work *work, const ez_alert_table *table, void *tx, ez_error *error) EZ_MUST_CHECK;
