// SPDX-License-Identifier: Apache-2.0
//
// Layout: widths, what is left out, what is cut.
#include "clients/ctl/table.h"

#include <criterion/criterion.h>
#include <string.h>

#include "clients/ctl/text.h"

static ez_arena arena;
static ez_buf out;
static ez_ctl_table table;

static void begin(void) {
    ez_ctl_text_init();
    ez_arena_init(&arena, 4 << 20);
    ez_buf_init(&out, 1 << 20);
    ez_ctl_table_init(&table, &arena);
    cr_assert(ez_ctl_table_add_column(&table, "ID", true));
    cr_assert(ez_ctl_table_add_column(&table, "NAME", false));
    cr_assert(ez_ctl_table_add_column(&table, "NOTE", false));
}

static void end(void) {
    ez_buf_fini(&out);
    ez_arena_fini(&arena);
}

TestSuite(table, .init = begin, .fini = end);

static void given_row(const char *id, const char *name, const char *note) {
    const char **row = ez_ctl_table_add_row(&table);
    cr_assert_not_null(row);
    row[0] = id;
    row[1] = name;
    row[2] = note;
}

static void expect_text(size_t width, const char *wanted) {
    ez_buf_clear(&out);
    ez_ctl_table_write(&table, width, &out);
    cr_assert_str_eq(ez_buf_cstr(&out), wanted);
}

Test(table, columns_align) {
    given_row("1", "web", "x");
    given_row("100", "a", "yy");
    expect_text(0, " ID  NAME  NOTE\n  1  web   x\n100  a     yy\n");
}

Test(table, empty_columns_are_left_out) {
    given_row("1", "web", "");
    expect_text(0, "ID  NAME\n 1  web\n");
}

Test(table, without_rows_the_titles_stay) {
    expect_text(0, "ID  NAME  NOTE\n");
}

Test(table, what_does_not_fit_goes_from_the_end) {
    given_row("1", "web", "a note of some length");
    expect_text(20, "ID  NAME\n 1  web\n");
}

Test(table, long_cells_are_cut_to_the_line) {
    given_row("1", "web", "0123456789012345678901234567890123456789");
    expect_text(46, "ID  NAME  NOTE\n 1  web   01234567890123456789012345678901234…\n");
    expect_text(0, "ID  NAME  NOTE\n 1  web   0123456789012345678901234567890123456789\n");
}

Test(table, not_even_the_first_column_fits) {
    given_row("1234567890", "web", "x");
    expect_text(4, "  ID\n123…\n");
}

Test(table, widths_are_columns_not_bytes) {
    given_row("1", "é", "x");
    given_row("2", "日本", "y");
    expect_text(0, "ID  NAME  NOTE\n 1  é     x\n 2  日本  y\n");
}

Test(table, no_line_is_wider_than_the_terminal) {
    given_row("1", "a name of more than thirty-two columns, 日本語", "and a note that goes on for a long time too");
    for (size_t width = 1; width < 120; width++) {
        ez_buf_clear(&out);
        ez_ctl_table_write(&table, width, &out);
        const char *line = ez_buf_cstr(&out);
        while (*line) {
            size_t len = strcspn(line, "\n");
            cr_assert_leq(ez_ctl_text_width(line, len), width, "%.*s", (int)len, line);
            line += len + 1;
        }
    }
}

Test(table, there_is_a_bound_to_columns) {
    unsigned added = 3;
    while (ez_ctl_table_add_column(&table, "X", false))
        added++;
    cr_assert_eq(added, EZ_CTL_COLUMNS_MAX);
}

Test(table, text_that_could_move_a_terminal_is_made_harmless) {
    static const char bad[] = "a\x1b[2Jb\r\nc\x7f\xc2\x9b \xe2\x80\xae\xff";
    ez_ctl_text_put(&out, bad, sizeof bad - 1, true);
    cr_assert_str_eq(ez_buf_cstr(&out), "a?[2Jb? c?? ??");
}
