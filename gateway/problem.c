// SPDX-License-Identifier: Apache-2.0
//
// RFC 9457. type is a URN made of the reason, so that it is stable and resolves to nobody's server; title is the status
// phrase, the sentence for people is detail. The awkward case: no memory left for the document itself; the status goes
// out alone then.
#include "gateway/problem.h"

#include <string.h>

#include "proto/runtime/json.h"

static void put_member(ez_buf *out, const char *name, const char *value) {
    (void)ez_buf_printf(out, ",\"%s\":", name);
    (void)ez_json_write_string(value, strlen(value), out);
}

static void put_type(ez_buf *out, const char *reason) {
    if (!*reason) {
        (void)ez_buf_puts(out, "{\"type\":\"about:blank\"");
        return;
    }
    (void)ez_buf_puts(out, "{\"type\":\"urn:ezplane:problem:");
    for (const char *c = reason; *c; c++) {
        bool is_upper = *c >= 'A' && *c <= 'Z';
        bool is_safe = is_upper || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_';
        (void)ez_buf_putc(out, is_upper ? (char)(*c + 32) : is_safe ? *c : '-');
    }
    (void)ez_buf_putc(out, '"');
}

static void put_document(const ez_error *error, int status, const char *request_id, ez_buf *out) {
    put_type(out, error->reason);
    put_member(out, "title", ez_http_phrase(status));
    (void)ez_buf_printf(out, ",\"status\":%d", status);
    put_member(out, "detail", error->message);
    put_member(out, "reason", *error->reason ? error->reason : ez_status_name(error->code));
    (void)ez_buf_puts(out, ",\"violations\":[");
    for (unsigned i = 0; i < error->violation_count && i < EZ_ERROR_VIOLATIONS_MAX; i++) {
        const ez_violation *one = &error->violations[i];
        (void)ez_buf_puts(out, i ? ",{\"field\":" : "{\"field\":");
        (void)ez_json_write_string(one->field, strlen(one->field), out);
        put_member(out, "description", one->description);
        (void)ez_buf_putc(out, '}');
    }
    (void)ez_buf_putc(out, ']');
    put_member(out, "request_id", request_id);
    (void)ez_buf_puts(out, "}\n");
}

void ez_problem_write(const ez_error *error, int http_status, uint32_t retry_after_ms, const char *request_id,
                      ez_arena *arena, ez_buf *body, ez_http_response *out) {
    out->status = http_status ? http_status : ez_status_http(error->code);
    put_document(error, out->status, request_id, body);
    if (!body->overflow) {
        out->content_type = "application/problem+json";
        out->body = (ez_text){(const char *)body->data, body->len};
    }
    if (retry_after_ms > 0)
        ez_http_response_add(out, "Retry-After", ez_arena_printf(arena, "%u", (retry_after_ms - 1) / 1000 + 1));
    if (out->status == 401)
        ez_http_response_add(out, "WWW-Authenticate", "Bearer realm=\"ezplane\"");
}
