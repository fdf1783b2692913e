// SPDX-License-Identifier: Apache-2.0
//
// Which index a page goes by: what an alert is about has few of them, then its status and type, its status, whether it
// is open, type and severity; each has the id behind it, so alerts come in order. The rest of the filter is looked for
// among a bounded number of those. In SQLite the index is named, and what it is not to use an index for has a + before
// it.
#include "server/state/store/alert_query.h"

#include <inttypes.h>
#include <string.h>

#include "server/state/store/sql.h"

#define SELECT_ONE "SELECT " EZ_SQL_ALERT_COLUMNS " FROM alerts WHERE "

const char ez_sql_alert_by_id[] = SELECT_ONE "id = $1";
const char ez_sql_alert_by_holder[] = SELECT_ONE "fingerprint = $1 AND holds = 1";
const char ez_sql_put_alert[] =
    "UPDATE alerts SET status = $1, acknowledged_ns = $2, resolved_ns = $3, acknowledged_by = $4, resolved_by = $5, "
    "note = $6, holds = CASE WHEN $7 = 2 THEN holds ELSE $7 END WHERE id = $8";
const char ez_sql_delete_alert[] = "DELETE FROM alerts WHERE id = $1";
const char ez_sql_alert_head[] = "SELECT next_id, total FROM alert_head WHERE one = 1";
const char ez_sql_move_alert_head[] = "UPDATE alert_head SET next_id = $1, total = $2 WHERE one = 1";
const char ez_sql_count_alerts[] = "SELECT status, severity, type, n FROM alert_counts";
const char ez_sql_ended_alerts[] =
    "SELECT id, status, severity, type FROM alerts WHERE status > 2 AND resolved_ns < $1 AND last_seen_ns < $1 "
    "ORDER BY resolved_ns, id LIMIT $2";

ez_alert_row ez_alert_row_of(const int64_t numbers[EZ_SQL_ALERT_NUMBERS], const char *const texts[EZ_SQL_ALERT_TEXTS]) {
    return (ez_alert_row){
        .id = numbers[0],
        .type = (int32_t)numbers[1],
        .severity = (int32_t)numbers[2],
        .status = (int32_t)numbers[3],
        .related_id = numbers[4],
        .related_missing = numbers[5] != 0,
        .count = numbers[6],
        .first_seen_ns = numbers[7],
        .last_seen_ns = numbers[8],
        .acknowledged_ns = numbers[9],
        .resolved_ns = numbers[10],
        .title = texts[0],
        .related_type = texts[1],
        .related_name = texts[2],
        .fingerprint = texts[3],
        .acknowledged_by = texts[4],
        .resolved_by = texts[5],
        .note = texts[6],
        .message = texts[7],
        .metadata = texts[8],
    };
}

// What it is about is named whole: half of it is not in the order of ids.
static bool is_about_one(const ez_alert_filter *filter) {
    return ez_look_has(filter->related_type) && filter->related_id;
}

enum { BY_STATUS = 1, BY_TYPE = 2, BY_SEVERITY = 4, BY_RELATED = 8, BY_OPEN = 16 };

// The best first.
static const struct {
    const char *name;
    unsigned columns;
} indexes[] = {
    {"alerts_by_related", BY_RELATED}, {"alerts_by_status_type", BY_STATUS | BY_TYPE},
    {"alerts_by_status", BY_STATUS},   {"alerts_open", BY_OPEN},
    {"alerts_by_type", BY_TYPE},       {"alerts_by_severity", BY_SEVERITY},
};

// The one that is asked for; 0: none, or several.
static int64_t severity_of(const ez_alert_filter *filter) {
    for (int severity = 1; severity < EZ_ALERT_SEVERITIES; severity++)
        if (filter->severities == UINT32_C(1) << severity)
            return severity;
    return 0;
}

static void put_severities(uint32_t severities, ez_buf *out) {
    ez_buf_puts(out, " AND +severity IN (0");
    for (int severity = 1; severity < EZ_ALERT_SEVERITIES; severity++)
        if (severities >> severity & 1)
            ez_buf_printf(out, ", %d", severity);
    ez_buf_puts(out, ")");
}

static void choose_index(ez_alert_page *page) {
    const ez_alert_filter *filter = page->filter;
    unsigned given = (filter->status ? BY_STATUS : 0) | (filter->type ? BY_TYPE : 0) |
                     (severity_of(filter) ? BY_SEVERITY : 0) | (filter->is_open ? BY_OPEN : 0) |
                     (is_about_one(filter) ? BY_RELATED : 0);
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0] && !page->look.index; i++) {
        if ((given & indexes[i].columns) == indexes[i].columns) {
            page->look.index = indexes[i].name;
            page->answered = indexes[i].columns;
        }
    }
    bool has_half = !(given & BY_RELATED) && (ez_look_has(filter->related_type) || filter->related_id);
    bool has_several = filter->severities && !severity_of(filter);
    page->look.has_rest = has_several || given != page->answered || has_half || filter->since_ns || page->look.q[0];
}

static void put_number(ez_buf *out, bool is_indexed, const char *column, int64_t value) {
    if (value)
        ez_buf_printf(out, " AND %s%s = %" PRId64, is_indexed ? "" : "+", column, value);
}

// Those conditions that the page's index answers, or those that it does not.
static void put_numbers(const ez_alert_page *page, bool answered, ez_buf *out) {
    const ez_alert_filter *filter = page->filter;
    const struct {
        const char *name;
        unsigned column;
        int64_t value;
    } numbers[] = {
        {"status", BY_STATUS, filter->status},
        {"type", BY_TYPE, filter->type},
        {"severity", BY_SEVERITY, severity_of(filter)},
        {"related_id", BY_RELATED, filter->related_id},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (((page->answered & numbers[i].column) != 0) == answered)
            put_number(out, answered, numbers[i].name, numbers[i].value);
    }
    if (filter->is_open && ((page->answered & BY_OPEN) != 0) == answered)
        ez_buf_printf(out, " AND %sstatus < 3", answered ? "" : "+"); // as the index has it
    if (filter->severities && !severity_of(filter) && !answered)
        put_severities(filter->severities, out);
}

// Where the page begins, and what the index answers.
static void put_range(ez_alert_page *page, ez_buf *out) {
    const ez_alert_filter *filter = page->filter;
    ez_look_put_from(&page->look, "alerts", out);
    ez_buf_puts(out, " WHERE true");
    if (filter->before_id)
        ez_buf_printf(out, " AND id < %" PRId64, filter->before_id);
    if (is_about_one(filter))
        ez_buf_printf(out, " AND related_type = $%d", ez_look_bind(&page->look, filter->related_type));
    put_numbers(page, true, out);
}

static void put_end_text(ez_look *look, ez_buf *out) {
    ez_buf_puts(out, "SELECT CAST(0 AS BIGINT), id");
    put_range((ez_alert_page *)look, out);
    ez_buf_printf(out, " ORDER BY id DESC LIMIT 2 OFFSET %zu", look->look_max - 1);
}

static void put_page_text(ez_look *look, ez_buf *out) {
    static const char *const q_columns[] = {"title", "related_name", "message"};
    ez_alert_page *page = (ez_alert_page *)look;
    const ez_alert_filter *filter = page->filter;
    ez_buf_puts(out, "SELECT " EZ_SQL_ALERT_COLUMNS);
    put_range(page, out);
    if (look->has_end)
        ez_buf_printf(out, " AND id >= %" PRId64, look->end.id);
    put_numbers(page, false, out);
    if (ez_look_has(filter->related_type) && !is_about_one(filter))
        ez_buf_printf(out, " AND (related_type || '') = $%d", ez_look_bind(look, filter->related_type));
    if (filter->since_ns)
        ez_buf_printf(out, " AND last_seen_ns >= %" PRId64, filter->since_ns);
    ez_look_put_q(look, q_columns, sizeof q_columns / sizeof q_columns[0], out);
    ez_buf_printf(out, " ORDER BY id DESC LIMIT %zu", look->limit + 1);
}

ez_status ez_alert_page_init(ez_alert_page *page, const ez_alert_filter *filter, ez_look_dialect dialect,
                             ez_error *error) {
    *page = (ez_alert_page){.filter = filter};
    ez_status status = ez_look_init(&page->look, dialect, filter->limit, filter->q, error);
    if (status)
        return status;
    page->look.end_text = put_end_text;
    page->look.page_text = put_page_text;
    page->look.look_max = ez_look_within(filter->look_max, EZ_ALERT_LOOK_MAX);
    choose_index(page);
    return EZ_OK;
}
