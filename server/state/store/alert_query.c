// SPDX-License-Identifier: Apache-2.0
//
// Which index a page goes by: what an alert is about has few of them, then its status, type and severity; each has the
// id behind it, so alerts come in order. The rest of the filter is looked for among a bounded number of those. In
// SQLite the index is named, and what it is not to use an index for has a + before it.
#include "server/state/store/alert_query.h"

#include <assert.h>
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

static bool given(const char *text) {
    return text && text[0];
}

static size_t within(size_t value, size_t most) {
    return value < 1 ? 1 : value > most ? most : value;
}

// What it is about is named whole: half of it is not in the order of ids.
static bool is_about_one(const ez_alert_filter *filter) {
    return given(filter->related_type) && filter->related_id;
}

static void choose_index(ez_alert_page *page) {
    const ez_alert_filter *filter = page->filter;
    bool by_related = is_about_one(filter);
    page->index = by_related         ? "alerts_by_related"
                  : filter->status   ? "alerts_by_status"
                  : filter->type     ? "alerts_by_type"
                  : filter->severity ? "alerts_by_severity"
                                     : NULL;
    int others = (filter->status != 0) + (filter->type != 0) + (filter->severity != 0);
    bool has_half = !by_related && (given(filter->related_type) || filter->related_id);
    page->has_rest = others > (by_related || !page->index ? 0 : 1) || has_half || filter->since_ns || page->q[0];
}

ez_status ez_alert_page_init(ez_alert_page *page, const ez_alert_filter *filter, ez_alert_dialect dialect,
                             ez_error *error) {
    *page = (ez_alert_page){.filter = filter, .dialect = dialect};
    page->limit = within(filter->limit, EZ_STORE_PAGE_MAX);
    page->look_max = within(filter->look_max, EZ_ALERT_LOOK_MAX);
    size_t len = given(filter->q) ? strlen(filter->q) : 0;
    if (len >= sizeof page->q)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "Q_TOO_LONG", "q has %zu bytes, %zu at most", len,
                            sizeof page->q - 1);
    for (size_t i = 0; i < len; i++)
        page->q[i] = filter->q[i] >= 'A' && filter->q[i] <= 'Z' ? (char)(filter->q[i] + ('a' - 'A')) : filter->q[i];
    choose_index(page);
    return EZ_OK;
}

// A text's parameter: $1, $2 in the order in which they first appear.
static int bind(ez_alert_page *page, const char *text) {
    assert(page->text_count < 2);
    page->texts[page->text_count++] = text;
    return page->text_count;
}

static bool is_index(const ez_alert_page *page, const char *name) {
    return page->index && strcmp(page->index, name) == 0;
}

static void put_number(ez_buf *out, bool is_indexed, const char *column, int64_t value) {
    if (value)
        ez_buf_printf(out, " AND %s%s = %" PRId64, is_indexed ? "" : "+", column, value);
}

// Those conditions that the page's index answers, or those that it does not.
static void put_numbers(const ez_alert_page *page, bool answered, ez_buf *out) {
    const ez_alert_filter *filter = page->filter;
    const struct {
        const char *column, *index;
        int64_t value;
    } numbers[] = {
        {"status", "alerts_by_status", filter->status},
        {"type", "alerts_by_type", filter->type},
        {"severity", "alerts_by_severity", filter->severity},
        {"related_id", "alerts_by_related", filter->related_id},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (is_index(page, numbers[i].index) == answered)
            put_number(out, answered, numbers[i].column, numbers[i].value);
    }
}

// Where the page begins, and what the index answers.
static void put_range(ez_alert_page *page, ez_buf *out) {
    const ez_alert_filter *filter = page->filter;
    ez_buf_puts(out, " FROM alerts");
    if (page->dialect == EZ_ALERT_SQLITE && page->index)
        ez_buf_printf(out, " INDEXED BY %s", page->index);
    ez_buf_puts(out, " WHERE true");
    if (filter->before_id)
        ez_buf_printf(out, " AND id < %" PRId64, filter->before_id);
    if (is_about_one(filter))
        ez_buf_printf(out, " AND related_type = $%d", bind(page, filter->related_type));
    put_numbers(page, true, out);
}

void ez_alert_page_end_text(ez_alert_page *page, ez_buf *out) {
    page->text_count = 0;
    ez_buf_puts(out, "SELECT id");
    put_range(page, out);
    ez_buf_printf(out, " ORDER BY id DESC LIMIT 2 OFFSET %zu", page->look_max - 1);
}

// Both find plain text, so nothing has to be escaped, and both know letters' case of ASCII only.
static void put_q(ez_alert_page *page, ez_buf *out) {
    static const char *const columns[] = {"title", "related_name", "message"};
    int at = bind(page, page->q);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        ez_buf_printf(out,
                      page->dialect == EZ_ALERT_SQLITE ? "%s instr(lower(%s), $%d) > 0"
                                                       : "%s strpos(lower(%s COLLATE \"C\"), $%d) > 0",
                      i ? " OR" : " AND (", columns[i], at);
    ez_buf_puts(out, ")");
}

void ez_alert_page_text(ez_alert_page *page, ez_buf *out) {
    const ez_alert_filter *filter = page->filter;
    page->text_count = 0;
    ez_buf_puts(out, "SELECT " EZ_SQL_ALERT_COLUMNS);
    put_range(page, out);
    if (page->end_id)
        ez_buf_printf(out, " AND id >= %" PRId64, page->end_id);
    put_numbers(page, false, out);
    if (given(filter->related_type) && !is_about_one(filter))
        ez_buf_printf(out, " AND (related_type || '') = $%d", bind(page, filter->related_type));
    if (filter->since_ns)
        ez_buf_printf(out, " AND last_seen_ns >= %" PRId64, filter->since_ns);
    if (page->q[0])
        put_q(page, out);
    ez_buf_printf(out, " ORDER BY id DESC LIMIT %zu", page->limit + 1);
}
