// SPDX-License-Identifier: Apache-2.0
//
// Forms and JSON from the same list of names and values. The buffer is given its whole room at once: growing would
// leave copies of a token behind.
#include "server/domain/oauth/request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/seal.h"
#include "proto/runtime/json.h"
#include "server/domain/oauth/reply.h"

static void put_escaped(ez_buf *out, const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (isalnum(*c) || strchr("-_.~", *c))
            (void)ez_buf_putc(out, (char)*c);
        else
            (void)ez_buf_printf(out, "%%%02X", *c);
    }
}

static void put(ez_buf *out, bool is_form, const char *name, const char *value) {
    if (!value[0])
        return;
    if (is_form) {
        (void)ez_buf_printf(out, "%s%s=", out->len ? "&" : "", name);
        put_escaped(out, value);
        return;
    }
    (void)ez_buf_printf(out, "%s\"%s\":", out->len ? "," : "{", name);
    (void)ez_json_write_string(value, strlen(value), out);
}

static ez_status begin(ez_oauth_request *out, const ez_oauth_source *source, const char *type) {
    *out = (ez_oauth_request){.header_count = 0};
    ez_buf_init(&out->body, EZ_OAUTH_BODY_MAX);
    out->headers[out->header_count++] = (ez_outbound_field){"Content-Type", type};
    out->headers[out->header_count++] = (ez_outbound_field){"Accept", "application/json"};
    for (size_t i = 0; i < source->header_count; i++)
        out->headers[out->header_count++] = source->headers[i];
    return ez_buf_reserve(&out->body, EZ_OAUTH_BODY_MAX);
}

ez_status ez_oauth_request_refresh(ez_oauth_request *out, const ez_oauth_source *source, const char *refresh_token,
                                   const char *scope) {
    bool is_form = source->provider->is_form;
    ez_status status = begin(out, source, is_form ? "application/x-www-form-urlencoded" : "application/json");
    if (status != EZ_OK)
        return status;
    const char *own = source->provider->sends_scope ? scope : "";
    put(&out->body, is_form, "grant_type", "refresh_token");
    put(&out->body, is_form, "refresh_token", refresh_token);
    put(&out->body, is_form, "client_id", source->client_id);
    put(&out->body, is_form, "client_secret", source->client_secret);
    put(&out->body, is_form, "scope", own[0] ? own : source->scope);
    if (!is_form)
        (void)ez_buf_putc(&out->body, '}');
    return out->body.overflow ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}

ez_status ez_oauth_request_project(ez_oauth_request *out, const ez_oauth_source *source, const char *access_token) {
    static const char body[] = "{\"metadata\":{\"ideType\":\"IDE_UNSPECIFIED\",\"platform\":\"PLATFORM_UNSPECIFIED\","
                               "\"pluginType\":\"GEMINI\"}}";
    ez_status status = begin(out, source, "application/json");
    if (status != EZ_OK)
        return status;
    if (asprintf(&out->authorization, "Bearer %s", access_token) < 0) {
        out->authorization = NULL;
        return EZ_RESOURCE_EXHAUSTED;
    }
    out->headers[out->header_count++] = (ez_outbound_field){"Authorization", out->authorization};
    return ez_buf_puts(&out->body, body);
}

void ez_oauth_request_fini(ez_oauth_request *request) {
    if (request->body.data)
        ez_wipe(request->body.data, request->body.cap);
    ez_buf_fini(&request->body);
    if (request->authorization)
        ez_wipe(request->authorization, strlen(request->authorization));
    free(request->authorization);
    request->authorization = NULL;
}

bool ez_oauth_read_project(ez_slice body, const char *encoding, char out[EZ_OAUTH_TEXT_MAX]) {
    ez_oauth_reply reply;
    ez_oauth_reply_init(&reply, body, encoding);
    const json_t *project = json_object_get(reply.object, "cloudaicompanionProject");
    if (json_is_object(project))
        project = json_object_get(project, "id");
    bool is_found = ez_oauth_take_text(project, out, EZ_OAUTH_TEXT_MAX);
    ez_oauth_reply_fini(&reply);
    return is_found;
}
