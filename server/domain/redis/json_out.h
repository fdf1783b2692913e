// SPDX-License-Identifier: Apache-2.0
//
// Members of a JSON object, one after the other, for documents whose form is somebody else's contract and follows no
// message of ours. Names are constants that need no escaping. Errors show in the buffer (overflow).
#pragma once

#include <inttypes.h>
#include <string.h>

#include "proto/runtime/json.h"

static inline void json_name(ez_buf *out, const char *name) {
    bool is_first = out->len == 0 || out->data[out->len - 1] == '{';
    ez_buf_printf(out, "%s\"%s\":", is_first ? "" : ",", name);
}

static inline void json_text(ez_buf *out, const char *name, const char *value) {
    json_name(out, name);
    ez_json_write_string(value, strlen(value), out);
}

static inline void json_text_unless_empty(ez_buf *out, const char *name, const char *value) {
    if (value && value[0])
        json_text(out, name, value);
}

static inline void json_int(ez_buf *out, const char *name, int64_t value) {
    json_name(out, name);
    ez_buf_printf(out, "%" PRId64, value);
}

static inline void json_int_unless_zero(ez_buf *out, const char *name, int64_t value) {
    if (value)
        json_int(out, name, value);
}

static inline void json_bool(ez_buf *out, const char *name, bool value) {
    json_name(out, name);
    ez_buf_puts(out, value ? "true" : "false");
}

static inline void json_texts(ez_buf *out, size_t count, char *const *values) {
    ez_buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            ez_buf_putc(out, ',');
        ez_json_write_string(values[i], strlen(values[i]), out);
    }
    ez_buf_putc(out, ']');
}
