// SPDX-License-Identifier: Apache-2.0
//
// One look for all pages, light or dark as the reader has it.
#include "gateway/html.h"

void ez_html_escape(ez_buf *out, const char *text) {
    for (const char *c = text ? text : ""; *c; c++) {
        switch (*c) {
        case '<':
            (void)ez_buf_puts(out, "&lt;");
            break;
        case '>':
            (void)ez_buf_puts(out, "&gt;");
            break;
        case '&':
            (void)ez_buf_puts(out, "&amp;");
            break;
        case '"':
            (void)ez_buf_puts(out, "&quot;");
            break;
        default:
            (void)ez_buf_putc(out, *c);
        }
    }
}

void ez_html_head(ez_buf *out, const char *title) {
    (void)ez_buf_printf(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>"
        ":root{color-scheme:light dark}"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "code{font:14px ui-monospace,monospace}h2{margin-top:2.5rem;border-bottom:1px solid #8885}"
        "article{margin:1rem 0;padding:.5rem 0}article h3{margin:0;font-size:1rem}"
        "b.verb{display:inline-block;min-width:4.5rem}p{margin:.3rem 0}"
        "table{border-collapse:collapse;font-size:.9rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0;"
        "vertical-align:top}</style></head><body>",
        title);
}
