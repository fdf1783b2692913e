// SPDX-License-Identifier: Apache-2.0
//
// The store's door for alerts. They are no configuration: a table of their own, no revision; but what becomes of one is
// audited, in the transaction that does it. Of one fingerprint at most one alert holds it, by a unique index: one that
// is open, or dismissed and reported ever since. A report is counted to the holder, or makes a new alert.
//
// Threads. One thread at a time for what changes alerts (ez_store_change_alerts, ez_store_trim_alerts), beside the
// writer's. PostgreSQL: a connection of its own, and one such transaction at a time across servers. Readers as in
// store.h.
#pragma once

#include "server/state/store/meter.h"

// The numbers of Ez__V1__AlertStatus. Open: ACTIVE and ACKNOWLEDGED.
typedef enum ez_alert_status {
    EZ_ALERT_ACTIVE = 1,
    EZ_ALERT_ACKNOWLEDGED = 2,
    EZ_ALERT_RESOLVED = 3,
    EZ_ALERT_DISMISSED = 4,
} ez_alert_status;
#define EZ_ALERT_STATUSES   5  // with the 0 that none has
#define EZ_ALERT_SEVERITIES 4  // likewise
#define EZ_ALERT_TYPES      12 // likewise

typedef struct ez_alert_row {
    int64_t id;
    int32_t type, severity; // Ez__V1__AlertType, …Severity
    int32_t status;         // ez_alert_status
    int64_t related_id;
    bool related_missing;
    int64_t count;
    int64_t first_seen_ns, last_seen_ns;
    int64_t acknowledged_ns, resolved_ns; // 0: was not
    // UTF-8 without NUL, none of them NULL.
    const char *title, *related_type, *related_name, *fingerprint, *acknowledged_by, *resolved_by, *note;
    const char *message, *metadata;
} ez_alert_row;

// A copy whose texts are in arena. False: no memory.
bool ez_alert_row_copy(const ez_alert_row *row, ez_arena *arena, ez_alert_row *out) EZ_MUST_CHECK;

// ---- Changing

typedef enum ez_alert_act {
    EZ_ALERT_REPORT, // counts one: row says what was seen
    EZ_ALERT_MOVE,   // row.id gets another status
    EZ_ALERT_CLEAR,  // whoever holds row.fingerprint is resolved; a dismissed one lets go of it (seen_before_ns)
    EZ_ALERT_NOTE,   // row.id gets another note
    EZ_ALERT_DELETE, // row.id goes
} ez_alert_act;

typedef enum ez_alert_outcome {
    EZ_ALERT_DONE,
    EZ_ALERT_NOT_FOUND,
    EZ_ALERT_WRONG_STATUS, // after says what it is
    EZ_ALERT_FULL,         // a report would make one more than there may be
} ez_alert_outcome;

// What is told of an alert.
typedef enum ez_alert_news {
    EZ_ALERT_NO_NEWS,
    EZ_ALERT_CREATED,
    EZ_ALERT_REPEATED, // reported after the cooldown, or worse than before
    EZ_ALERT_MOVED,    // to after.status
    EZ_ALERT_GONE,     // deleted while it was open
} ez_alert_news;

typedef struct ez_alert_op {
    ez_alert_act act;
    ez_alert_row row; // REPORT: type, severity, texts, related_*; the others: id, or fingerprint
    int32_t to;       // MOVE
    const char *by;   // MOVE, CLEAR: who
    // CLEAR: one that was last seen then or later is left alone, as if it was not there; 0: none is.
    int64_t seen_before_ns;
    const char *note;    // MOVE: NULL leaves the one it has; NOTE
    const char *request; // for the audit, as JSON
    bool wants_row;      // after is wanted in any case

    // Results.
    ez_alert_outcome outcome;
    ez_alert_news news;
    ez_alert_row after; // id always; all of it where there is news, and where it was wanted. In the batch's arena
    bool has_row;       // all of it
} ez_alert_op;

// What one call asks for; all of it is done, but for ops whose outcome says otherwise. One with FULL does nothing, but
// where it takes some: there the reports that meet FULL are left out, and the others are done.
typedef struct ez_alert_batch {
    ez_mark mark; // is not moved where the only op failed, or all was refused for a report that met FULL
    ez_alert_op *ops;
    size_t op_count;
    bool takes_some;
    const char *actor, *method, *request_id, *remote; // for the audit
    ez_arena *arena;
} ez_alert_batch;

typedef struct ez_alert_rules {
    int64_t cooldown_ns; // from last_seen_ns: reports within it are counted and not told
    int64_t max_alerts;  // 0: no bound
} ez_alert_rules;

// As ez_store_add_usage: ops in order, in one transaction, with marks, audit entries and counts. A repeated batch
// changes nothing, but its ops' rows are read where they are wanted. On an error nothing was done.
ez_status ez_store_change_alerts(ez_store *store, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                                 int64_t now_ns, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_alert_limits {
    int64_t before_ns; // closed, and last seen, before it: forgotten. 0: never
    // And the closed ones that were closed first, until there are one in a hundred fewer than so many: at least 1
    // fewer, at most 10,000. 0: no bound.
    int64_t max_alerts;
} ez_alert_limits;
// One bounded step of forgetting. *more: call again. ABORTED (LEASE_LOST): the fence is stale, nothing was done.
ez_status ez_store_trim_alerts(ez_store *store, uint64_t fence, const ez_alert_limits *limits, size_t max_rows,
                               bool *more, ez_error *error) EZ_MUST_CHECK;

// Whether a status may follow another one.
bool ez_alert_may_move(int32_t from, int32_t to);
static inline bool ez_alert_is_open(int32_t status) {
    return status == EZ_ALERT_ACTIVE || status == EZ_ALERT_ACKNOWLEDGED;
}

// ---- Queries, on a reader's thread

typedef struct ez_alert_filter {
    int64_t before_id;            // 0: from the newest
    int32_t status, type;         // 0: any
    uint32_t severities;          // a bit for each that is wanted; 0: any
    bool is_open;                 // active or acknowledged
    const char *related_type, *q; // NULL or "": any; q is plain text
    int64_t related_id;           // 0: any
    int64_t since_ns;             // last seen then or later; 0: any
    size_t limit;                 // alerts to give: at least 1, at most 10,000
    size_t look_max;              // alerts to look at: at least 1, at most 10,000
} ez_alert_filter;

typedef ez_status ez_alert_fn(void *user, const ez_alert_row *row, ez_error *error);
// Newest first. *at_id: the last one that was looked at, where *more says there are others behind it. INVALID_ARGUMENT
// (Q_TOO_LONG: 1,023 bytes).
ez_status ez_reader_each_alert(ez_reader *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                               bool *more, int64_t *at_id, ez_error *error) EZ_MUST_CHECK;
// each is called once, or not at all.
ez_status ez_reader_find_alert(ez_reader *reader, int64_t id, ez_alert_fn *each, void *user,
                               ez_error *error) EZ_MUST_CHECK;

typedef struct ez_alert_counts {
    int64_t n[EZ_ALERT_STATUSES][EZ_ALERT_SEVERITIES][EZ_ALERT_TYPES];
} ez_alert_counts;
ez_status ez_reader_count_alerts(ez_reader *reader, ez_alert_counts *out, ez_error *error) EZ_MUST_CHECK;
