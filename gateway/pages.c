// SPDX-License-Identifier: Apache-2.0
//
// Static pages: no script, no resource from anywhere, which is what lets the content policy be as strict as it is.
// Compressed once, here.
#include "gateway/pages.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gzip.h"
#include "gateway/html.h"
#include "gateway/reference.h"
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

static void put_index(ez_buf *out) {
    ez_html_head(out, "ezplane");
    (void)ez_buf_puts(out,
                      "<h1>ezplane</h1><p>The control plane for LLM gateways: masters, keys, provider groups and "
                      "bindings are managed here, and data planes follow. This is its HTTP gateway, version <code>");
    ez_html_escape(out, ez_version);
    (void)ez_buf_puts(out, "</code>.</p><ul><li><a href=\"/docs\">/docs</a>: the API</li>"
                           "<li><a href=\"/openapi.json\">/openapi.json</a>: the same for programs</li>"
                           "<li><a href=\"/status\">/status</a>: how the server is</li></ul></body></html>\n");
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
    ez_reference_write(&made->all[1].plain, document);
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
