// SPDX-License-Identifier: Apache-2.0
//
// A table of text, laid out for a terminal. It knows nothing of messages. Cells live in the caller's arena.
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"

#define EZ_CTL_COLUMNS_MAX 64

typedef struct ez_ctl_column {
    const char *title;
    bool is_number; // aligned right
} ez_ctl_column;

typedef struct ez_ctl_table {
    ez_arena *arena;
    unsigned column_count;
    ez_ctl_column columns[EZ_CTL_COLUMNS_MAX]; // most important first
    const char **cells;                        // rows × columns
    size_t row_count;
    size_t row_room;
} ez_ctl_table;

void ez_ctl_table_init(ez_ctl_table *table, ez_arena *arena);
// False past EZ_CTL_COLUMNS_MAX. Before the first row.
bool ez_ctl_table_add_column(ez_ctl_table *table, const char *title, bool is_number);
// A new row of column_count empty cells, to be filled with texts that live as long as the arena. NULL where there is no
// memory. Valid until the next row.
const char **ez_ctl_table_add_row(ez_ctl_table *table) EZ_MUST_CHECK;

// Appends the table, its titles first. width: columns of the terminal; 0: no limit, nothing is cut. Columns that are
// empty in every row are left out (the first never is), then those that do not fit, least important first; a cell that
// is longer than its column is cut.
void ez_ctl_table_write(const ez_ctl_table *table, size_t width, ez_buf *out);
