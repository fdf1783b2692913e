// SPDX-License-Identifier: Apache-2.0
//
// The SQL over alerts that both databases take, and that of a page of them: bounded by what is looked at
// (look.h). Pure.
#pragma once

#include "server/state/store/alerts.h"
#include "server/state/store/look.h"

#define EZ_SQL_ALERT_COLUMNS                                                                                           \
    "id, type, severity, status, related_id, related_missing, count, first_seen_ns, last_seen_ns, acknowledged_ns, "   \
    "resolved_ns, title, related_type, related_name, fingerprint, acknowledged_by, resolved_by, note, message, "       \
    "metadata"
enum { EZ_SQL_ALERT_NUMBERS = 11, EZ_SQL_ALERT_TEXTS = 9 };

// Dismissed ones that were last seen before a time let go of their fingerprint. before: its parameter; which: what
// follows the word fingerprint.
#define EZ_SQL_ALERT_LET_GO(before, which)                                                                             \
    "UPDATE alerts SET holds = 0 WHERE holds = 1 AND status = 4 AND last_seen_ns < " before " AND fingerprint " which

// Behind an INSERT INTO alerts. greatest: the dialect's function; cooldown: its parameter. "fresh": the alert was not
// seen for so long, or is worse than before, and gets the new one's words.
#define EZ_SQL_ALERT_FRESH(cooldown)                                                                                   \
    "excluded.severity > alerts.severity OR excluded.last_seen_ns - alerts.last_seen_ns > " cooldown
#define EZ_SQL_ALERT_WORD(column, cooldown)                                                                            \
    column " = CASE WHEN " EZ_SQL_ALERT_FRESH(cooldown) " THEN excluded." column " ELSE alerts." column " END"
#define EZ_SQL_ALERT_COUNT_UP(greatest, cooldown)                                                                      \
    "ON CONFLICT (fingerprint) WHERE holds = 1 DO UPDATE SET count = alerts.count + excluded.count, "                  \
    "gap_ns = excluded.last_seen_ns - alerts.last_seen_ns, "                                                           \
    "raised_from = CASE WHEN excluded.severity > alerts.severity THEN alerts.severity ELSE 0 END, "                    \
    "severity = " greatest "(alerts.severity, excluded.severity), "                                                    \
    "last_seen_ns = " greatest                                                                                         \
    "(alerts.last_seen_ns, excluded.last_seen_ns), " EZ_SQL_ALERT_WORD("title", cooldown) ", " EZ_SQL_ALERT_WORD(      \
        "message", cooldown) ", " EZ_SQL_ALERT_WORD("metadata", cooldown) " RETURNING " EZ_SQL_ALERT_COLUMNS           \
                                                                          ", gap_ns, raised_from"

extern const char ez_sql_alert_by_id[];     // $1
extern const char ez_sql_alert_by_holder[]; // $1: the fingerprint
// $1 status, $2 acknowledged_ns, $3 resolved_ns, $4 acknowledged_by, $5 resolved_by, $6 note, $7 holds (2: as before),
// $8 id
extern const char ez_sql_put_alert[];
extern const char ez_sql_delete_alert[];    // $1
extern const char ez_sql_alert_head[];      // next_id, total
extern const char ez_sql_move_alert_head[]; // $1 next_id, $2 total
extern const char ez_sql_count_alerts[];    // status, severity, type, n
// Closed ones to be forgotten, by their end: $1 resolved_ns and last_seen_ns before it, $2 rows. Gives id, status,
// severity, type.
extern const char ez_sql_ended_alerts[];

// Pointers to a row's numbers and texts in the order of the columns; related_missing and the small ones are read as
// numbers of 64 bits, and put where they belong by ez_alert_row_of.
ez_alert_row ez_alert_row_of(const int64_t numbers[EZ_SQL_ALERT_NUMBERS], const char *const texts[EZ_SQL_ALERT_TEXTS]);

#define EZ_ALERT_LOOK_MAX 10000 // most alerts that one page looks at

typedef struct ez_alert_page {
    ez_look look; // first: its statements get its address
    const ez_alert_filter *filter;
    unsigned answered; // columns of it that the index answers
} ez_alert_page;

// INVALID_ARGUMENT (Q_TOO_LONG). The page points into the filter. Its order is that of ids alone.
ez_status ez_alert_page_init(ez_alert_page *page, const ez_alert_filter *filter, ez_look_dialect dialect,
                             ez_error *error) EZ_MUST_CHECK;
