// SPDX-License-Identifier: Apache-2.0
//
// Single JSON values as texts of their own: what maps with json_values hold. Judged by hand, because such a text is
// written as it stands: one that is not exactly one value would let whoever sent it write JSON of others.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/json.h"
#include "proto/runtime/utf8.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t digits(const char *text, size_t len) {
    size_t count = 0;
    while (count < len && is_digit(text[count]))
        count++;
    return count;
}

static bool is_number(const char *text, size_t len) {
    size_t at = len > 0 && text[0] == '-';
    size_t whole = digits(text + at, len - at);
    if (whole == 0 || (whole > 1 && text[at] == '0'))
        return false;
    at += whole;
    if (at < len && text[at] == '.') {
        size_t part = digits(text + at + 1, len - at - 1);
        if (part == 0)
            return false;
        at += 1 + part;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < len && (text[at] == '+' || text[at] == '-');
        size_t power = digits(text + at, len - at);
        if (power == 0)
            return false;
        at += power;
    }
    return at == len && isfinite(strtod(text, NULL));
}

static bool is_escape(const char *text, size_t len, size_t *size) {
    if (len < 2)
        return false;
    *size = 2;
    if (text[1] != 'u')
        return text[1] != 0 && strchr("\"\\/bfnrt", text[1]) != NULL;
    *size = 6;
    for (size_t i = 2; i < 6; i++) {
        if (i >= len || text[i] == 0 || strchr("0123456789abcdefABCDEF", text[i]) == NULL)
            return false;
    }
    return true;
}

static bool is_string(const char *text, size_t len) {
    if (len < 2 || text[0] != '"' || text[len - 1] != '"')
        return false;
    for (size_t at = 1, size; at < len - 1; at += size) {
        unsigned char c = (unsigned char)text[at];
        if (c == '"' || c < 0x20)
            return false;
        if (c == '\\' ? !is_escape(text + at, len - 1 - at, &size)
                      : (size = ez_utf8_next(text + at, len - 1 - at, NULL)) == 0)
            return false;
    }
    return true;
}

bool ez_json_is_scalar(const char *text) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    size_t len = strlen(text);
    return text[0] == '"' ? is_string(text, len) : is_number(text, len);
}

ez_status ez_json_write_double(double value, ez_buf *out) {
    if (!isfinite(value))
        return ez_buf_append(out, "null", 4);
    char text[32];
    int len = snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        len = snprintf(text, sizeof text, "%.17g", value);
    return ez_buf_append(out, text, (size_t)len);
}
