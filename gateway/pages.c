// SPDX-License-Identifier: Apache-2.0
//
// Static pages. The reference is rendered from the OpenAPI document itself, so the page can't say other things than it;
// no script, no resource from anywhere, which is what lets the content policy be as strict as it is. Compressed once,
// here. The awkward case: the document is generated text from our own schema, but it is escaped like anybody's.
#include "gateway/pages.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gzip.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/version.h"

#define PAGE_MAX (8u << 20)
#define PAGES    4

typedef struct page {
    const char *path;
    const char *type;
    ez_buf plain, packed; // packed is empty where it is not worth it
} page;

struct ez_pages {
    page all[PAGES];
};

static void put_escaped(ez_buf *out, const char *text) {
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

static void put_head(ez_buf *out, const char *title) {
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

static void put_index(ez_buf *out) {
    put_head(out, "ezplane");
    (void)ez_buf_puts(out,
                      "<h1>ezplane</h1><p>The control plane for LLM gateways: masters, keys, provider groups and "
                      "bindings are managed here, and data planes follow. This is its HTTP gateway, version <code>");
    put_escaped(out, ez_version);
    (void)ez_buf_puts(out, "</code>.</p><ul><li><a href=\"/docs\">/docs</a>: the API</li>"
                           "<li><a href=\"/openapi.json\">/openapi.json</a>: the same for programs</li>"
                           "<li><a href=\"/status\">/status</a>: how the server is</li></ul></body></html>\n");
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void put_parameters(ez_buf *out, const json_t *operation) {
    const json_t *list = json_object_get(operation, "parameters"), *one;
    size_t i;
    if (json_array_size(list) == 0)
        return;
    (void)ez_buf_puts(out, "<table><tr><th>Parameter</th><th>In</th><th></th></tr>");
    json_array_foreach(list, i, one) {
        const char *reference = strrchr(text_of(one, "$ref"), '/');
        (void)ez_buf_puts(out, "<tr><td><code>");
        put_escaped(out, reference ? reference + 1 : text_of(one, "name"));
        (void)ez_buf_puts(out, "</code></td><td>");
        put_escaped(out, text_of(one, "in"));
        (void)ez_buf_puts(out, "</td><td>");
        put_escaped(out, text_of(one, "description"));
        (void)ez_buf_puts(out, "</td></tr>");
    }
    (void)ez_buf_puts(out, "</table>");
}

static void put_operation(ez_buf *out, const char *path, const char *verb, const json_t *operation) {
    char upper[16] = "";
    for (size_t i = 0; verb[i] && i < sizeof upper - 1; i++)
        upper[i] = (char)(verb[i] >= 'a' && verb[i] <= 'z' ? verb[i] - 32 : verb[i]);
    (void)ez_buf_puts(out, "<article><h3><b class=\"verb\">");
    put_escaped(out, upper);
    (void)ez_buf_puts(out, "</b> <code>");
    put_escaped(out, path);
    (void)ez_buf_puts(out, "</code></h3><p>");
    put_escaped(out, text_of(operation, "summary"));
    if (strcmp(text_of(operation, "summary"), text_of(operation, "description")) != 0) {
        (void)ez_buf_puts(out, "</p><p>");
        put_escaped(out, text_of(operation, "description"));
    }
    (void)ez_buf_puts(out, "</p>");
    put_parameters(out, operation);
    (void)ez_buf_puts(out, "</article>");
}

// Operations of one tag; of all where tag is NULL.
static void put_tag(ez_buf *out, const json_t *document, const char *tag) {
    const char *path, *verb;
    json_t *paths = json_object_get(document, "paths"), *item, *operation;
    json_object_foreach(paths, path, item) {
        json_object_foreach(item, verb, operation) {
            const char *own = json_string_value(json_array_get(json_object_get(operation, "tags"), 0));
            bool is_wanted = !tag || (own && strcmp(own, tag) == 0);
            if (is_wanted && json_is_object(operation) && json_object_get(operation, "responses"))
                put_operation(out, path, verb, operation);
        }
    }
}

static void put_docs(ez_buf *out, const json_t *document) {
    const json_t *tags = json_object_get(document, "tags"), *tag;
    size_t i;
    put_head(out, "ezplane API");
    (void)ez_buf_puts(out, "<h1>ezplane API</h1><p>Made from <a href=\"/openapi.json\">/openapi.json</a>, which also "
                           "has every field.</p>");
    if (json_array_size(tags) == 0)
        put_tag(out, document, NULL);
    json_array_foreach(tags, i, tag) {
        (void)ez_buf_puts(out, "<h2>");
        put_escaped(out, text_of(tag, "name"));
        (void)ez_buf_puts(out, "</h2>");
        put_tag(out, document, text_of(tag, "name"));
    }
    (void)ez_buf_puts(out, "</body></html>\n");
}

static ez_status pack(ez_pages *pages, ez_error *error) {
    ez_gzip *gzip;
    ez_status status = ez_gzip_create(9, &gzip, error);
    if (status != EZ_OK)
        return status;
    for (size_t i = 0; i < PAGES && status == EZ_OK; i++) {
        page *one = &pages->all[i];
        if (one->plain.overflow)
            status = EZ_RESOURCE_EXHAUSTED;
        else if (one->plain.len >= 1024)
            status = ez_gzip_write(gzip, (ez_text){(const char *)one->plain.data, one->plain.len}, &one->packed);
    }
    ez_gzip_destroy(gzip);
    return status == EZ_OK ? EZ_OK : ez_error_set(error, status, "NO_MEMORY", "no memory for the static pages");
}

ez_status ez_pages_create(ez_pages **out, ez_error *error) {
    static const char *const paths[PAGES][2] = {{"/", "text/html; charset=utf-8"},
                                                {"/docs", "text/html; charset=utf-8"},
                                                {"/openapi.json", "application/json"},
                                                {"/healthz", "application/json"}};
    ez_pages *made = calloc(1, sizeof *made);
    json_t *document = json_loadb(ez_openapi_json, ez_openapi_json_len, 0, NULL);
    if (!made || !document) {
        free(made);
        json_decref(document);
        return ez_error_set(error, EZ_INTERNAL, "OPENAPI_INVALID", "the built-in OpenAPI document can't be read");
    }
    for (size_t i = 0; i < PAGES; i++) {
        made->all[i] = (page){.path = paths[i][0], .type = paths[i][1]};
        ez_buf_init(&made->all[i].plain, PAGE_MAX);
        ez_buf_init(&made->all[i].packed, PAGE_MAX);
    }
    put_index(&made->all[0].plain);
    put_docs(&made->all[1].plain, document);
    (void)ez_buf_append(&made->all[2].plain, ez_openapi_json, ez_openapi_json_len);
    (void)ez_buf_puts(&made->all[3].plain, "{\"status\":\"ok\"}\n");
    json_decref(document);
    ez_status status = pack(made, error);
    if (status != EZ_OK) {
        ez_pages_destroy(made);
        return status;
    }
    *out = made;
    return EZ_OK;
}

void ez_pages_destroy(ez_pages *pages) {
    if (!pages)
        return;
    for (size_t i = 0; i < PAGES; i++) {
        ez_buf_fini(&pages->all[i].plain);
        ez_buf_fini(&pages->all[i].packed);
    }
    free(pages);
}

bool ez_pages_get(const ez_pages *pages, ez_text path, bool takes_gzip, ez_http_response *out) {
    for (size_t i = 0; i < PAGES; i++) {
        const page *one = &pages->all[i];
        if (strlen(one->path) != path.len || memcmp(one->path, path.data, path.len) != 0)
            continue;
        const ez_buf *body = takes_gzip && one->packed.len > 0 ? &one->packed : &one->plain;
        out->status = 200;
        out->content_type = one->type;
        out->encoding = body == &one->packed ? "gzip" : NULL;
        out->body = (ez_text){(const char *)body->data, body->len};
        out->is_static = true;
        if (strncmp(one->type, "text/html", 9) == 0)
            ez_http_response_add(out, "Content-Security-Policy",
                                 "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
                                 "frame-ancestors 'none'");
        return true;
    }
    return false;
}
