// SPDX-License-Identifier: Apache-2.0
//
// The SQL of a page of log records, bounded by what is looked at (look.h). Pure.
#pragma once

#include "server/state/store/look.h"
#include "server/state/store/meter.h"

// Most records one page looks at, whatever its look_max: about 10 ms where all of their texts are searched. Those of
// one key or master lie apart, each in another page of the file, and cost about twice as much.
#define EZ_LOG_LOOK_MAX   10000
#define EZ_LOG_LOOK_APART 5000

typedef struct ez_log_page {
    ez_look look; // first: its statements get its address
    const ez_log_filter *filter;
} ez_log_page;

// INVALID_ARGUMENT (Q_TOO_LONG). The page points into the filter. Its end's id is 0 where all records of that time may
// be looked at; its rows are the columns of ez_log_row in its order, then, where it is asked for, the body (NULL:
// none).
ez_status ez_log_page_init(ez_log_page *page, const ez_log_filter *filter, ez_look_dialect dialect,
                           ez_error *error) EZ_MUST_CHECK;

// id < $1, kind begins with $2, kind $3 or $4 ('': any), created_ns >= $5, status $6 (0: any) where those that wait and
// are older than $7 have failed, $8 rows: the columns of ez_delivery as the table has them.
extern const char ez_sql_page_delivery[];
