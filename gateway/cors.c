// SPDX-License-Identifier: Apache-2.0
//
// CORS. Credentials are bearer tokens that a script sends on purpose, never cookies, so Allow-Credentials is not sent
// and
// "*" is safe in the sense browsers give it. Vary: Origin goes out whenever CORS is on, allowed or not: a cache must
// not hand one origin's answer to another.
#include "gateway/cors.h"

#include <string.h>

static bool next_origin(const char **at, ez_text *out) {
    *at += strspn(*at, ", \t");
    *out = (ez_text){*at, strcspn(*at, ", \t")};
    *at += out->len;
    return out->len > 0;
}

static bool is_origin(ez_text text) {
    if (text.len == 1 && *text.data == '*')
        return true;
    size_t scheme = text.len > 8 && strncmp(text.data, "https://", 8) == 0  ? 8
                    : text.len > 7 && strncmp(text.data, "http://", 7) == 0 ? 7
                                                                            : 0;
    return scheme > 0 && !memchr(text.data + scheme, '/', text.len - scheme);
}

ez_status ez_cors_check(const char *origins, ez_error *error) {
    ez_text one;
    for (const char *at = origins ? origins : ""; next_origin(&at, &one);) {
        if (!is_origin(one))
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID",
                                "EZ_CORS_ORIGINS: \"%.*s\" is no origin; write https://host or https://host:port "
                                "without a path, or *",
                                (int)one.len, one.data);
    }
    return EZ_OK;
}

static bool is_allowed(const char *origins, const char *origin) {
    ez_text one;
    for (const char *at = origins; next_origin(&at, &one);) {
        if ((one.len == 1 && *one.data == '*') || (one.len == strlen(origin) && memcmp(one.data, origin, one.len) == 0))
            return true;
    }
    return false;
}

void ez_cors_apply(const char *origins, const ez_http_request *in, ez_http_response *out) {
    if (!origins || !*origins)
        return;
    ez_http_response_add(out, "Vary", "Origin");
    if (!in->origin || !is_allowed(origins, in->origin))
        return;
    ez_http_response_add(out, "Access-Control-Allow-Origin", in->origin);
    if (in->is_options && in->requested_method) {
        ez_http_response_add(out, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
        ez_http_response_add(out, "Access-Control-Allow-Headers",
                             "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
                             "X-Request-ID, traceparent");
        ez_http_response_add(out, "Access-Control-Max-Age", "600");
        return;
    }
    ez_http_response_add(out, "Access-Control-Expose-Headers",
                         "ETag, Location, Retry-After, X-EZ-Applied, X-EZ-Revision, X-Request-ID");
}
