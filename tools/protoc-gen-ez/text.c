// SPDX-License-Identifier: Apache-2.0
//
// A growing text, and the two ways our texts enter C source: as a literal and as a comment. Both take text from .proto
// comments, which may hold anything: a literal escapes it, a comment folds it.
#include "tools/protoc-gen-ez/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX      (64u << 20)
#define COMMENT_WIDTH 118

static void reserve(gen_text *text, size_t more) {
    if (more < text->cap - text->len)
        return;
    size_t cap = text->cap ? text->cap : 4096;
    while (cap <= TEXT_MAX && more >= cap - text->len)
        cap *= 2;
    char *data = cap > TEXT_MAX ? NULL : realloc(text->data, cap);
    if (!data) {
        fputs("protoc-gen-ez: a generated file does not fit into memory or is over 64 MiB\n", stderr);
        exit(1);
    }
    text->data = data;
    text->cap = cap;
}

void gen_text_fini(gen_text *text) {
    free(text->data);
    *text = (gen_text){0};
}

void gen_text_append(gen_text *text, const char *data, size_t len) {
    if (len > TEXT_MAX)
        len = TEXT_MAX;
    reserve(text, len + 1);
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void gen_text_puts(gen_text *text, const char *data) {
    gen_text_append(text, data, strlen(data));
}

void gen_text_printf(gen_text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len > 0) {
        reserve(text, (size_t)len + 1);
        vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

void gen_text_c_string(gen_text *text, const char *data, size_t len) {
    gen_text_puts(text, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '\n')
            gen_text_puts(text, "\\n");
        else if (c == '"' || c == '\\')
            gen_text_printf(text, "\\%c", c);
        else if (c == '?' && i && data[i - 1] == '?')
            gen_text_puts(text, "\\?");
        else if (c < 0x20 || c == 0x7f)
            gen_text_printf(text, "\\%03o", c);
        else
            gen_text_append(text, data + i, 1);
    }
    gen_text_puts(text, "\"");
}

void gen_text_c_comment(gen_text *text, const char *indent, const char *comment) {
    size_t room = COMMENT_WIDTH - strlen(indent) - 3;
    while (*comment) {
        size_t len = strlen(comment);
        if (len > room) {
            len = room;
            while (len && comment[len] != ' ')
                len--;
            if (!len)
                len = strcspn(comment, " ");
        }
        // A backslash at the end of a line would swallow the next one.
        bool continues = len && comment[len - 1] == '\\';
        gen_text_printf(text, "%s// %.*s%s\n", indent, (int)len, comment, continues ? "." : "");
        comment += len;
        comment += strspn(comment, " ");
    }
}
