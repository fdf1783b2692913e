// SPDX-License-Identifier: Apache-2.0
//
// Text from a server on somebody's terminal: what could move the cursor, change colours or turn the reading direction
// is shown as "?" instead. Widths are columns of a terminal; they need a UTF-8 locale (ez_ctl_text_init). Any thread.
#pragma once

#include "proto/runtime/buf.h"

// Once, before the first width is asked for.
void ez_ctl_text_init(void);

// Appends text, made harmless; is_line: line ends become blanks, for a cell of a table.
void ez_ctl_text_put(ez_buf *out, const char *text, size_t len, bool is_line);

// Columns that valid UTF-8 takes.
size_t ez_ctl_text_width(const char *text, size_t len);
// The bytes of text that fit into this many columns.
size_t ez_ctl_text_fit(const char *text, size_t len, size_t columns);
