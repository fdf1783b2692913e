// SPDX-License-Identifier: Apache-2.0
//
// Harmless text and its width. Owns nothing. The awkward case is a character of two columns, or of none: wcwidth knows
// them, but only in a UTF-8 locale, which every glibc since 2.35 has as C.UTF-8; without one each character counts one.
#include "clients/ctl/text.h"

#include <locale.h>
#include <wchar.h>

#include "proto/runtime/utf8.h"

void ez_ctl_text_init(void) {
    (void)setlocale(LC_CTYPE, "C.UTF-8"); // without it: widths are guessed, nothing else
}

// C0, DEL, C1, and the marks that reorder what stands beside them.
static bool is_harmful(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

void ez_ctl_text_put(ez_buf *out, const char *text, size_t len, bool is_line) {
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t size = ez_utf8_next(text + at, len - at, &c);
        if (size == 0)
            (void)ez_buf_putc(out, '?');
        else if (c == '\n' || c == '\t')
            (void)ez_buf_putc(out, is_line ? ' ' : (char)c);
        else if (is_harmful(c))
            (void)ez_buf_putc(out, '?');
        else
            (void)ez_buf_append(out, text + at, size);
        at += size ? size : 1;
    }
}

static size_t columns_of(uint32_t c) {
    int width = wcwidth((wchar_t)c);
    return width < 0 ? 1 : (size_t)width;
}

size_t ez_ctl_text_width(const char *text, size_t len) {
    size_t width = 0;
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t size = ez_utf8_next(text + at, len - at, &c);
        width += size ? columns_of(c) : 1;
        at += size ? size : 1;
    }
    return width;
}

size_t ez_ctl_text_fit(const char *text, size_t len, size_t columns) {
    size_t width = 0, at = 0;
    while (at < len) {
        uint32_t c = 0;
        size_t size = ez_utf8_next(text + at, len - at, &c);
        width += size ? columns_of(c) : 1;
        if (width > columns)
            break;
        at += size ? size : 1;
    }
    return at;
}
