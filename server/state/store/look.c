// SPDX-License-Identifier: Apache-2.0
#include "server/state/store/look.h"

#include <assert.h>
#include <string.h>

#include "server/state/store/sql.h"

size_t ez_look_within(size_t value, size_t most) {
    return value < 1 ? 1 : value > most ? most : value;
}

bool ez_look_has(const char *text) {
    return text && text[0];
}

ez_status ez_look_init(ez_look *look, ez_look_dialect dialect, size_t limit, const char *q, ez_error *error) {
    *look = (ez_look){.dialect = dialect, .limit = ez_look_within(limit, EZ_STORE_PAGE_MAX)};
    size_t len = q ? strlen(q) : 0;
    if (len >= sizeof look->q)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "Q_TOO_LONG", "q has %zu bytes, %zu at most", len,
                            sizeof look->q - 1);
    for (size_t i = 0; i < len; i++)
        look->q[i] = q[i] >= 'A' && q[i] <= 'Z' ? (char)(q[i] + ('a' - 'A')) : q[i];
    return EZ_OK;
}

void ez_look_put_from(const ez_look *look, const char *table, ez_buf *out) {
    ez_buf_printf(out, " FROM %s", table);
    if (look->dialect == EZ_LOOK_SQLITE && look->index)
        ez_buf_printf(out, " INDEXED BY %s", look->index);
}

int ez_look_bind(ez_look *look, const char *text) {
    assert(look->text_count < EZ_LOOK_TEXTS);
    look->texts[look->text_count++] = text;
    return look->text_count;
}

// Both find plain text, so nothing has to be escaped, and both know letters' case of ASCII only.
void ez_look_put_q(ez_look *look, const char *const *columns, size_t count, ez_buf *out) {
    if (!look->q[0])
        return;
    int at = ez_look_bind(look, look->q);
    for (size_t i = 0; i < count; i++)
        ez_buf_printf(out,
                      look->dialect == EZ_LOOK_SQLITE ? "%s instr(lower(%s), $%d) > 0"
                                                      : "%s strpos(lower(%s COLLATE \"C\"), $%d) > 0",
                      i ? " OR" : " AND (", columns[i], at);
    ez_buf_puts(out, ")");
}

void ez_look_begin(ez_look *look) {
    look->has_end = look->is_behind = look->has_more = false;
    look->given = 0;
    look->at = look->end = (ez_look_place){0};
}

const char *ez_look_write(ez_look *look, ez_look_text_fn *write, ez_buf *room, ez_error *error) {
    ez_buf_init(room, EZ_LOOK_TEXT_MAX);
    look->text_count = 0;
    write(look, room);
    const char *words = room->overflow ? NULL : ez_buf_cstr(room);
    if (!words)
        ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query");
    return words;
}

bool ez_look_takes(ez_look *look) {
    look->has_more = look->given == look->limit;
    look->given += !look->has_more;
    return !look->has_more;
}

ez_look_place ez_look_stopped(const ez_look *look, bool *more) {
    bool is_short = !look->has_more && look->is_behind;
    *more = look->has_more || is_short;
    return is_short ? look->end : look->at;
}
