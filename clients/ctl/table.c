// SPDX-License-Identifier: Apache-2.0
//
// Layout. A column first takes at most COLUMN_MODEST; what is left of the line then goes to those that want more, in
// order. Owns nothing but memory of the arena. The awkward case is a line with room for not even the first column: it
// is cut to what there is.
#include "clients/ctl/table.h"

#include <string.h>

#include "clients/ctl/text.h"

#define GAP           2
#define COLUMN_MODEST 32
#define ELLIPSIS      "…"

typedef struct layout {
    size_t wanted[EZ_CTL_COLUMNS_MAX]; // 0: nothing in it
    size_t given[EZ_CTL_COLUMNS_MAX];  // 0: left out
    unsigned last;                     // the last one shown
} layout;

void ez_ctl_table_init(ez_ctl_table *table, ez_arena *arena) {
    *table = (ez_ctl_table){.arena = arena};
}

bool ez_ctl_table_add_column(ez_ctl_table *table, const char *title, bool is_number) {
    if (table->column_count == EZ_CTL_COLUMNS_MAX)
        return false;
    table->columns[table->column_count++] = (ez_ctl_column){title, is_number};
    return true;
}

const char **ez_ctl_table_add_row(ez_ctl_table *table) {
    if (table->row_count == table->row_room) {
        size_t room = table->row_room ? table->row_room * 2 : 32;
        const char **cells = ez_arena_alloc(table->arena, room * table->column_count * sizeof cells[0]);
        if (!cells)
            return NULL;
        if (table->row_count)
            memcpy(cells, table->cells, table->row_count * table->column_count * sizeof cells[0]);
        table->cells = cells;
        table->row_room = room;
    }
    const char **row = table->cells + table->row_count++ * table->column_count;
    for (unsigned i = 0; i < table->column_count; i++)
        row[i] = "";
    return row;
}

static size_t width_of(const char *text) {
    return ez_ctl_text_width(text, strlen(text));
}

static void measure(const ez_ctl_table *table, layout *to) {
    for (unsigned c = 0; c < table->column_count; c++) {
        size_t widest = 0;
        for (size_t r = 0; r < table->row_count; r++) {
            size_t width = width_of(table->cells[r * table->column_count + c]);
            widest = width > widest ? width : widest;
        }
        size_t title = width_of(table->columns[c].title);
        bool is_shown = widest > 0 || c == 0 || table->row_count == 0;
        to->wanted[c] = !is_shown ? 0 : widest > title ? widest : title;
    }
}

static void share_out(const ez_ctl_table *table, size_t width, layout *to) {
    size_t used = 0;
    for (unsigned c = 0; c < table->column_count; c++) {
        size_t modest = to->wanted[c] < COLUMN_MODEST || !width ? to->wanted[c] : COLUMN_MODEST;
        size_t gap = used ? GAP : 0;
        if (modest == 0 || (width && used && used + gap + modest > width))
            continue;
        to->given[c] = width && modest > width ? width : modest;
        used += gap + to->given[c];
        to->last = c;
    }
    for (unsigned c = 0; width && c < table->column_count && used < width; c++) {
        if (to->given[c] == 0 || to->given[c] == to->wanted[c])
            continue;
        size_t more = to->wanted[c] - to->given[c];
        more = more < width - used ? more : width - used;
        to->given[c] += more;
        used += more;
    }
}

static void put_blanks(ez_buf *out, size_t count) {
    while (count-- > 0)
        (void)ez_buf_putc(out, ' ');
}

static void put_cell(const layout *from, unsigned c, const char *text, bool is_right, ez_buf *out) {
    size_t len = strlen(text), width = width_of(text), room = from->given[c];
    bool is_cut = width > room;
    if (is_cut) {
        len = ez_ctl_text_fit(text, len, room - 1);
        width = ez_ctl_text_width(text, len) + 1;
    }
    if (is_right)
        put_blanks(out, room - width);
    (void)ez_buf_append(out, text, len);
    if (is_cut)
        (void)ez_buf_puts(out, ELLIPSIS);
    if (!is_right && c != from->last)
        put_blanks(out, room - width);
    if (c != from->last)
        put_blanks(out, GAP);
}

void ez_ctl_table_write(const ez_ctl_table *table, size_t width, ez_buf *out) {
    layout how = {0};
    measure(table, &how);
    share_out(table, width, &how);
    for (unsigned c = 0; c < table->column_count; c++) {
        if (how.given[c])
            put_cell(&how, c, table->columns[c].title, table->columns[c].is_number, out);
    }
    (void)ez_buf_putc(out, '\n');
    for (size_t r = 0; r < table->row_count && !out->overflow; r++) {
        for (unsigned c = 0; c < table->column_count; c++) {
            if (how.given[c])
                put_cell(&how, c, table->cells[r * table->column_count + c], table->columns[c].is_number, out);
        }
        (void)ez_buf_putc(out, '\n');
    }
}
