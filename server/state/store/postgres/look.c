// SPDX-License-Identifier: Apache-2.0
//
// Pages that look at a bounded number of rows, in PostgreSQL: both statements in one snapshot.
#include "server/state/store/postgres/look.h"

#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/snapshot.h"
#include "server/state/store/postgres/stream.h"

typedef struct page_run {
    ez_look *look;
    ez_pg_look_fn *each;
    void *user;
    bool started;
} page_run;

// The query's words, which stay in text, and its parameters; NULL: no memory, and the error says so.
static const char *prepare(ez_look *look, ez_look_text_fn *write, ez_buf *text, ez_pg_params *params, ez_error *error) {
    const char *words = ez_look_write(look, write, text, error); // finds the texts
    for (int i = 0; words && i < look->text_count; i++)
        ez_pg_put_text(params, look->texts[i]);
    return words;
}

static ez_status find_end(const ez_pg_snapshot *within, ez_look *look, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_pg_params params = {0};
    const char *words = prepare(look, look->end_text, &text, &params, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status = ez_pg_run(within->conn, words, &params, within->deadline, &result, error);
    if (status || !PQntuples(result))
        return status;
    look->has_end = true;
    look->end = (ez_look_place){.time_ns = ez_pg_int(result, 0, 0), .id = ez_pg_int(result, 0, 1)};
    look->is_behind = PQntuples(result) > 1;
    return EZ_OK;
}

static ez_status give(void *user, const PGresult *row, ez_error *error) {
    page_run *run = user;
    if (!ez_look_takes(run->look))
        return EZ_OK;
    run->started = true;
    return run->each(run->user, row, &run->look->at, error);
}

static ez_status read_page(const ez_pg_snapshot *within, void *user, ez_error *error) {
    page_run *run = user;
    ez_look *look = run->look;
    ez_look_begin(look);
    ez_status status = look->has_rest ? find_end(within, look, error) : EZ_OK;
    if (status)
        return status;
    ez_auto(ez_buf) text;
    ez_pg_params params = {0};
    const char *words = prepare(look, look->page_text, &text, &params, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_stream query = {.text = words, .params = &params, .row = give, .user = run, .is_reader = true};
    return ez_pg_stream_within(within->conn, &query, within->deadline, error);
}

ez_status ez_pg_look(ez_pg_conn *conn, ez_look *look, ez_pg_look_fn *each, void *user, ez_error *error) {
    page_run run = {.look = look, .each = each, .user = user};
    return ez_pg_snapshot_run(conn, ez_pg_begin_pages, read_page, &run, &run.started, error);
}
