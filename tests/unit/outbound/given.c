// SPDX-License-Identifier: Apache-2.0
#include "given.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ez_outbound *given_outbound_with(const ez_outbound_options *options) {
    ez_outbound *outbound = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_outbound_create(options, &outbound, &error), &error);
    return outbound;
}

ez_outbound *given_outbound(const char *allow) {
    ez_outbound_options options = {.allow = allow};
    return given_outbound_with(&options);
}

static void copy_header(const ez_outbound_reply *reply, const char *name, char *out, size_t size) {
    const char *value = ez_outbound_header(reply, name);
    snprintf(out, size, "%s", value != NULL ? value : "(none)");
}

static void keep(void *user, const ez_outbound_reply *reply) {
    kept *into = user;
    into->status = reply->status;
    ez_error_copy(&into->error, reply->error);
    into->http_status = reply->http_status;
    into->was_sent = reply->was_sent;
    into->body = calloc(1, reply->body.len + 1);
    into->body_len = reply->body.len;
    if (reply->body.len > 0) {
        memcpy(into->body, reply->body.data, reply->body.len);
    }
    copy_header(reply, "ETag", into->etag, sizeof into->etag);
    copy_header(reply, "content-type", into->content_type, sizeof into->content_type);
    into->done++;
}

void submit(ez_outbound *outbound, ez_outbound_request request, kept *into) {
    ez_error error = EZ_ERROR_INIT;
    memset(into, 0, sizeof *into);
    request.done = keep;
    request.user = into;
    expect_ok(ez_outbound_submit(outbound, &request, &error), &error);
}

void call(ez_outbound *outbound, ez_outbound_request request, kept *into) {
    submit(outbound, request, into);
    expect_soon(into->done == 1);
}

void get(ez_outbound *outbound, const char *url, kept *into) {
    call(outbound, (ez_outbound_request){.method = "GET", .url = url}, into);
}

void forget(kept *reply) {
    free(reply->body);
    reply->body = NULL;
}
