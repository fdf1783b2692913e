// SPDX-License-Identifier: Apache-2.0
//
// Redis's protocol by hand: hiredis would make a string of each command first, and secrets would be left in it.
#include "server/domain/redis/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ez_command_begin(ez_buf *out, size_t arguments) {
    ez_buf_printf(out, "*%zu\r\n", arguments);
}

static void put_size(ez_buf *out, size_t len) {
    char head[32];
    int size = snprintf(head, sizeof head, "$%zu\r\n", len);
    ez_buf_append(out, head, (size_t)size);
}

void ez_command_bytes(ez_buf *out, const void *data, size_t len) {
    put_size(out, len);
    if (len > 0)
        ez_buf_append(out, data, len);
    ez_buf_append(out, "\r\n", 2);
}

void ez_command_text(ez_buf *out, const char *text) {
    ez_command_bytes(out, text, strlen(text));
}

void ez_command_int(ez_buf *out, int64_t value) {
    char text[24];
    ez_command_bytes(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

void ez_command_key(ez_buf *out, const char *prefix, const char *name) {
    size_t a = strlen(prefix), b = strlen(name);
    put_size(out, a + b);
    ez_buf_append(out, prefix, a);
    ez_buf_append(out, name, b);
    ez_buf_append(out, "\r\n", 2);
}

void ez_command_put(ez_buf *out, const char *name, ...) {
    va_list args;
    size_t count = 1;
    va_start(args, name);
    while (va_arg(args, const char *))
        count++;
    va_end(args);
    ez_command_begin(out, count);
    ez_command_text(out, name);
    va_start(args, name);
    for (const char *text; (text = va_arg(args, const char *));)
        ez_command_text(out, text);
    va_end(args);
}
