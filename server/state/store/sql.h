// SPDX-License-Identifier: Apache-2.0
//
// The SQL that both databases take as it stands, and the small arithmetic around it. Parameters are $1, $2, … and first
// appear in that order in each text: SQLite numbers them by appearance, PostgreSQL by name. Pure functions and
// constants.
#pragma once

#include "server/state/store/store.h"

#define EZ_STORE_PAGE_MAX 10000 // most rows one reader's query gives, whatever limit it asks for

// "masters" …; NULL where kind is none.
const char *ez_sql_table(int kind);

// Where a query's bound is past what a BIGINT holds, it is no bound.
static inline int64_t ez_sql_n(uint64_t n) {
    return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

extern const char ez_sql_read_head[];     // epoch, n, next_audit_id, audit_hash
extern const char ez_sql_read_counters[]; // kind, next_id
extern const char ez_sql_oldest_change[]; // oldest
extern const char
    ez_sql_each_change[]; // $1 < n <= $2, $3 rows: n, seq, kind, id, op, secret_version, time_ns, data, sealed
extern const char ez_sql_page_change[];     // (n, seq) > ($1, $2), $3 rows: the same without the last two
extern const char ez_sql_find_idempotent[]; // $1 key: request_hash, revision, time_ns, reply
extern const char ez_sql_trim_idempotent[]; // $1 time_ns, $2 rows

// The audit query for a filter: id < $1, time_ns >= $2, time_ns < $3, then the texts that are given, in order, then
// the limit. Columns: id, time_ns, revision, actor, method, resource, request, request_id, remote, previous_hash, hash.
#define EZ_SQL_AUDIT_MAX 640
typedef struct ez_sql_audit {
    char text[EZ_SQL_AUDIT_MAX];
    int64_t before_id, since_ns, until_ns, limit;
    const char *texts[3];
    unsigned text_count;
} ez_sql_audit;
void ez_sql_audit_build(const ez_audit_filter *filter, ez_sql_audit *out);
