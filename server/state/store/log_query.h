// SPDX-License-Identifier: Apache-2.0
//
// The SQL of a page of log records. The work of a page is bounded by what is looked at, not by what is found: where a
// filter is not answered by an index alone, a first statement finds the end of what may be looked at, and the second
// reads within. Pure.
#pragma once

#include "proto/runtime/buf.h"
#include "server/state/store/meter.h"

// Most records one page looks at, whatever its look_max: about 10 ms where all of their texts are searched. Those of
// one key or master lie apart, each in another page of the file, and cost about twice as much.
#define EZ_LOG_LOOK_MAX   10000
#define EZ_LOG_LOOK_APART 5000
#define EZ_LOG_TEXT_MAX   4096
#define EZ_LOG_TEXTS      3

typedef enum ez_log_dialect { EZ_LOG_SQLITE, EZ_LOG_POSTGRES } ez_log_dialect;

typedef struct ez_log_page {
    const ez_log_filter *filter;
    ez_log_dialect dialect;
    size_t limit, look_max; // within their bounds, at least 1
    const char *index;      // the index that finds the records; NULL: the one by time
    bool has_rest;          // some of the filter is not answered by that index
    bool has_end;           // set by the caller: end_ns and end_id are the last record that may be looked at
    int64_t end_ns, end_id;
    const char *texts[EZ_LOG_TEXTS]; // $1 … of the statement that was written last
    int text_count;
    char q[1024]; // in lower case
} ez_log_page;

// INVALID_ARGUMENT (Q_TOO_LONG). The page points into the filter.
ez_status ez_log_page_init(ez_log_page *page, const ez_log_filter *filter, ez_log_dialect dialect,
                           ez_error *error) EZ_MUST_CHECK;
// time_ns, id: the last record that may be looked at, and the one behind it; the id is 0 where all records of that time
// may be. Only where there is a rest.
void ez_log_page_end_text(ez_log_page *page, ez_buf *out);
// The page's records, one more than its limit: the columns of ez_log_row in its order, then, where it is asked for, the
// body (NULL: none).
void ez_log_page_text(ez_log_page *page, ez_buf *out);

extern const char
    ez_sql_page_delivery[]; // id < $1, kind begins with $2, $3 rows: the columns of ez_delivery as the table has them
