// SPDX-License-Identifier: Apache-2.0
//
// A growing buffer with a ceiling. It owns its memory until ez_buf_take. The awkward case is a refused append: nothing
// of it is kept and overflow stays set, so that a writer of a long text can look once, at its end.
#include "proto/runtime/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256

void ez_buf_init(ez_buf *buf, size_t max) {
    *buf = (ez_buf){.max = max};
}

void ez_buf_fini(ez_buf *buf) {
    if (!buf)
        return;
    free(buf->data);
    *buf = (ez_buf){.max = buf->max};
}

void ez_buf_clear(ez_buf *buf) {
    buf->len = 0;
    buf->overflow = false;
}

static bool grow(ez_buf *buf, size_t cap) {
    uint8_t *data = realloc(buf->data, cap);
    if (!data)
        return false;
    buf->data = data;
    buf->cap = cap;
    return true;
}

ez_status ez_buf_reserve(ez_buf *buf, size_t more) {
    if (more <= buf->cap && buf->len <= buf->cap - more && buf->len + more <= buf->max)
        return EZ_OK;
    if (buf->len > buf->max || more > buf->max - buf->len) {
        buf->overflow = true;
        return EZ_RESOURCE_EXHAUSTED;
    }
    size_t need = buf->len + more;
    size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap <= buf->max / 2 ? buf->cap * 2 : buf->max;
    if (cap > buf->max)
        cap = buf->max;
    if (cap < need)
        cap = need;
    if (!grow(buf, cap)) {
        buf->overflow = true;
        return EZ_RESOURCE_EXHAUSTED;
    }
    return EZ_OK;
}

ez_status ez_buf_append(ez_buf *buf, const void *data, size_t len) {
    if (len == 0)
        return EZ_OK;
    ez_status status = ez_buf_reserve(buf, len);
    if (status != EZ_OK)
        return status;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return EZ_OK;
}

ez_status ez_buf_puts(ez_buf *buf, const char *text) {
    return ez_buf_append(buf, text, strlen(text));
}

ez_status ez_buf_putc(ez_buf *buf, char c) {
    return ez_buf_append(buf, &c, 1);
}

ez_status ez_buf_printf(ez_buf *buf, const char *format, ...) {
    char small[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len < 0) {
        buf->overflow = true;
        return EZ_RESOURCE_EXHAUSTED;
    }
    if ((size_t)len < sizeof small)
        return ez_buf_append(buf, small, (size_t)len);
    ez_status status = ez_buf_reserve(buf, (size_t)len);
    if (status != EZ_OK)
        return status;
    // vsnprintf writes a NUL behind the text: give it room past the ceiling, which counts text only.
    if (buf->cap - buf->len <= (size_t)len && !grow(buf, buf->len + (size_t)len + 1)) {
        buf->overflow = true;
        return EZ_RESOURCE_EXHAUSTED;
    }
    va_start(args, format);
    vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return EZ_OK;
}

const char *ez_buf_cstr(ez_buf *buf) {
    if (buf->cap <= buf->len && !grow(buf, buf->len + 1))
        return NULL;
    buf->data[buf->len] = 0;
    return (const char *)buf->data;
}

uint8_t *ez_buf_take(ez_buf *buf, size_t *len) {
    uint8_t *data = buf->data;
    if (len)
        *len = buf->len;
    *buf = (ez_buf){.max = buf->max};
    return data;
}
