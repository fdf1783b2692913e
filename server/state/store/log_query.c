// SPDX-License-Identifier: Apache-2.0
//
// Which index: of a request id there are few records; a key, an API key or a master have their records in order of
// time. Everything else goes by time. In SQLite the index is named, and what it is not to use an index for has a +
// before it; PostgreSQL finds it by itself, because the range that is left is short.
//
// Awkward: PostgreSQL does not leave partitions out for a comparison of two columns, so the time is compared alone too.
#include "server/state/store/log_query.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "server/state/store/sql.h"

#define COLUMNS                                                                                                        \
    "id, time_ns, received_ns, data_plane_id, master_id, key_id, group_id, api_key_id, request_id, namespace, model, " \
    "upstream_model, provider_type, client_ip, error_message, status_code, latency_ms, ttft_ms, tokens_in, "           \
    "tokens_out, cached_tokens, reasoning_tokens, cost_nano_usd, request_bytes, response_bytes, stream"

const char ez_sql_page_delivery[] = "SELECT id, created_ns, kind, url, status, attempts, http_status, error, "
                                    "finished_ns FROM deliveries WHERE id < $1 AND substr(kind, 1, length($2)) = $2 "
                                    "AND ($3 = '' OR kind IN ($3, $4)) AND created_ns >= $5 AND ($6 = 0 OR $6 = CASE "
                                    "WHEN status = 1 AND created_ns < $7 THEN 3 ELSE status END) "
                                    "ORDER BY id DESC LIMIT $8";

// In the order in which their indexes are preferred.
static const struct id {
    const char *column, *index;
    size_t place; // in the filter
} ids[] = {
    {"key_id", "log_records_by_key", offsetof(ez_log_filter, key_id)},
    {"api_key_id", "log_records_by_api_key", offsetof(ez_log_filter, api_key_id)},
    {"master_id", "log_records_by_master", offsetof(ez_log_filter, master_id)},
    {"group_id", NULL, offsetof(ez_log_filter, group_id)},
};
#define IDS (sizeof ids / sizeof ids[0])

static int64_t id_of(const ez_log_filter *filter, const struct id *id) {
    int64_t value;
    memcpy(&value, (const char *)filter + id->place, sizeof value);
    return value;
}

static void choose_index(ez_log_page *page) {
    const ez_log_filter *filter = page->filter;
    page->look.index = ez_look_has(filter->request_id) ? "log_records_by_request" : NULL;
    for (size_t i = 0; i < IDS; i++) {
        if (!id_of(filter, &ids[i]))
            continue;
        if (page->look.index || !ids[i].index)
            page->look.has_rest = true;
        else
            page->look.index = ids[i].index;
    }
    if (ez_look_has(filter->model) || ez_look_has(filter->q) || filter->status_code ||
        filter->status_class != EZ_CLASS_ANY)
        page->look.has_rest = true;
}

// The ids that the page's index answers, or those that it does not.
static void put_ids(const ez_log_page *page, bool answered, ez_buf *out) {
    for (size_t i = 0; i < IDS; i++) {
        int64_t value = id_of(page->filter, &ids[i]);
        bool is_index = page->look.index && ids[i].index && strcmp(page->look.index, ids[i].index) == 0;
        if (value && is_index == answered)
            ez_buf_printf(out, " AND %s%s = %" PRId64, is_index ? "" : "+", ids[i].column, value);
    }
}

static void put_status(const ez_log_filter *filter, ez_buf *out) {
    static const char *const classes[] = {
        [EZ_CLASS_ANY] = "",
        [EZ_CLASS_SUCCESS] = " AND status_code > 0 AND status_code < 400",
        [EZ_CLASS_CLIENT_ERROR] = " AND status_code >= 400 AND status_code < 500",
        [EZ_CLASS_SERVER_ERROR] = " AND (status_code >= 500 OR status_code = 0)",
        [EZ_CLASS_ERROR] = " AND (status_code >= 400 OR status_code = 0)",
    };
    if (filter->status_code)
        ez_buf_printf(out, " AND status_code = %" PRId32, filter->status_code);
    ez_buf_puts(out, classes[filter->status_class]);
}

static void put_q(ez_log_page *page, ez_buf *out) {
    static const char *const columns[] = {"model", "request_id", "error_message", "upstream_model"};
    size_t count = sizeof columns / sizeof columns[0] - (page->filter->hides_upstream ? 1 : 0);
    ez_look_put_q(&page->look, columns, count, out);
}

static bool is_apart(const ez_log_page *page) {
    return page->look.dialect == EZ_LOOK_POSTGRES && ez_look_has(page->filter->request_id);
}

// Where the page begins, the range of time, and what the index answers.
static void put_range(ez_log_page *page, ez_buf *out) {
    const ez_log_filter *filter = page->filter;
    if (is_apart(page))
        ez_buf_puts(out, " FROM (SELECT *");
    ez_look_put_from(&page->look, "log_records", out);
    ez_buf_puts(out, " WHERE true");
    if (filter->before_ns || filter->before_id)
        ez_buf_printf(out, " AND time_ns <= %" PRId64 " AND (time_ns, id) < (%" PRId64 ", %" PRId64 ")",
                      filter->before_ns, filter->before_ns, filter->before_id);
    if (filter->since_ns)
        ez_buf_printf(out, " AND time_ns >= %" PRId64, filter->since_ns);
    if (filter->until_ns)
        ez_buf_printf(out, " AND time_ns < %" PRId64, filter->until_ns);
    if (ez_look_has(filter->request_id))
        ez_buf_printf(out, " AND request_id = $%d", ez_look_bind(&page->look, filter->request_id));
    put_ids(page, true, out);
    if (is_apart(page))
        ez_buf_puts(out, " OFFSET 0) AS found WHERE true");
}

static void put_end_text(ez_look *look, ez_buf *out) {
    ez_log_page *page = (ez_log_page *)look;
    ez_buf_puts(out, page->look.index ? "SELECT time_ns, CAST(0 AS BIGINT)" : "SELECT time_ns, id");
    put_range(page, out);
    ez_buf_printf(out, " ORDER BY time_ns DESC%s LIMIT 2 OFFSET %zu", page->look.index ? "" : ", id DESC",
                  page->look.look_max - 1);
}

static void put_rest(ez_log_page *page, ez_buf *out) {
    const ez_log_filter *filter = page->filter;
    const ez_look_place *end = &page->look.end;
    if (page->look.has_end)
        ez_buf_printf(out, " AND time_ns >= %" PRId64 " AND (time_ns, id) >= (%" PRId64 ", %" PRId64 ")", end->time_ns,
                      end->time_ns, end->id);
    put_ids(page, false, out);
    put_status(filter, out);
    if (ez_look_has(filter->model))
        ez_buf_printf(out, " AND model = $%d", ez_look_bind(&page->look, filter->model));
    put_q(page, out);
}

static void put_page_text(ez_look *look, ez_buf *out) {
    ez_log_page *page = (ez_log_page *)look;
    // A body is looked for once the page's records are known.
    if (page->filter->with_body)
        ez_buf_puts(out, "SELECT " COLUMNS ", CASE WHEN has_body <> 0 THEN (SELECT body FROM log_bodies WHERE "
                         "log_bodies.time_ns = page.time_ns AND log_bodies.id = page.id) END FROM (");
    ez_buf_puts(out, "SELECT " COLUMNS ", has_body");
    put_range(page, out);
    put_rest(page, out);
    ez_buf_printf(out, " ORDER BY time_ns DESC, id DESC LIMIT %zu", look->limit + 1);
    if (page->filter->with_body)
        ez_buf_puts(out, ") AS page ORDER BY time_ns DESC, id DESC");
}

ez_status ez_log_page_init(ez_log_page *page, const ez_log_filter *filter, ez_look_dialect dialect, ez_error *error) {
    page->filter = filter;
    ez_status status = ez_look_init(&page->look, dialect, filter->limit, filter->q, error);
    if (status)
        return status;
    page->look.end_text = put_end_text;
    page->look.page_text = put_page_text;
    choose_index(page);
    page->look.look_max = ez_look_within(filter->look_max, page->look.index ? EZ_LOG_LOOK_APART : EZ_LOG_LOOK_MAX);
    return EZ_OK;
}
