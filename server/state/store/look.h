// SPDX-License-Identifier: Apache-2.0
//
// A page of a table whose work is bounded by what is looked at, not by what is found: where a filter is not answered by
// an index alone, a first statement finds the end of what may be looked at, and the second reads within. This is what
// such pages share; a table's own page (log_query.h, alert_query.h) has one as its first member and writes the
// statements, each backend's look.c runs them. Pure.
#pragma once

#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"

#define EZ_LOOK_TEXT_MAX 4096 // a statement's
#define EZ_LOOK_TEXTS    3

typedef enum ez_look_dialect { EZ_LOOK_SQLITE, EZ_LOOK_POSTGRES } ez_look_dialect;

// Of a row in the order of the page. time_ns is 0 where the order is that of ids alone.
typedef struct ez_look_place {
    int64_t time_ns, id;
} ez_look_place;

typedef struct ez_look ez_look;
// Writes a statement, and which texts are its parameters.
typedef void ez_look_text_fn(ez_look *look, ez_buf *out);

struct ez_look {
    ez_look_dialect dialect;
    // time_ns, id of the last row that may be looked at, and of the one behind it. Only where there is a rest.
    ez_look_text_fn *end_text;
    ez_look_text_fn *page_text;       // the page's rows, one more than its limit
    size_t limit, look_max;           // within their bounds, at least 1
    const char *index;                // the index that finds the rows; NULL: the table's own order
    bool has_rest;                    // some of the filter is not answered by that index
    const char *texts[EZ_LOOK_TEXTS]; // $1 … of the statement that was written last
    int text_count;
    char q[1024]; // in lower case

    // What the backend found.
    bool has_end; // end is the last row that may be looked at
    ez_look_place end;
    bool is_behind; // there is a row behind it
    size_t given;
    bool has_more;    // than the limit
    ez_look_place at; // of the row that was given last
};

// Sets what limit and q say; the caller sets the statements, what they go by, and look_max. INVALID_ARGUMENT
// (Q_TOO_LONG).
ez_status ez_look_init(ez_look *look, ez_look_dialect dialect, size_t limit, const char *q,
                       ez_error *error) EZ_MUST_CHECK;
size_t ez_look_within(size_t value, size_t most); // at least 1
bool ez_look_has(const char *text);               // there is a text, and it is not empty

// ---- For who writes a statement
// " FROM table", and in SQLite the index by its name.
void ez_look_put_from(const ez_look *look, const char *table, ez_buf *out);
// A text's parameter: $1, $2, … in the order in which they first appear, as SQLite counts.
int ez_look_bind(ez_look *look, const char *text);
// " AND (…)": q is in one of the columns. Nothing where there is no q.
void ez_look_put_q(ez_look *look, const char *const *columns, size_t count, ez_buf *out);

// ---- For who runs them
void ez_look_begin(ez_look *look); // nothing is found yet
// NULL, with the error set: no memory. The text is room's.
const char *ez_look_write(ez_look *look, ez_look_text_fn *write, ez_buf *room, ez_error *error) EZ_MUST_CHECK;
// A row has come: false where the page is full, and it is not to be given.
bool ez_look_takes(ez_look *look);
// Where the page stopped; *more: there may be others behind it.
ez_look_place ez_look_stopped(const ez_look *look, bool *more);
