// SPDX-License-Identifier: Apache-2.0
//
// gen_text: a file while it is being written. Grows as needed, up to 64 MiB; past that, or where memory ends, the
// program says so and exits.
#pragma once

#include <stddef.h>

typedef struct gen_text {
    char *data; // NUL-terminated once anything was appended
    size_t len;
    size_t cap;
} gen_text;

void gen_text_fini(gen_text *text);
void gen_text_append(gen_text *text, const char *data, size_t len);
void gen_text_puts(gen_text *text, const char *data);
void gen_text_printf(gen_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Appends a C string literal, quotes included. UTF-8 stays as it is; trigraphs cannot arise.
void gen_text_c_string(gen_text *text, const char *data, size_t len);

// Appends a comment, "// " before each line, folded at 120 columns, indented.
void gen_text_c_comment(gen_text *text, const char *indent, const char *comment);
