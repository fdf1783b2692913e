// SPDX-License-Identifier: Apache-2.0
//
// One HTTP request as the gateway looks at it, and one response as it makes it: no evhttp in here, so that what is
// between the two can be tested alone. Texts are borrowed: the request's live as long as evhttp's request, the
// response's as long as the exchange.
#pragma once

#include "gateway/uri.h"
#include "proto/runtime/schema.h"

#define EZ_HTTP_HEADERS_MAX         20
#define EZ_HTTP_AUTHORIZATION_MAX   512
#define EZ_HTTP_IDEMPOTENCY_KEY_MAX 64

typedef struct ez_http_request {
    ez_verb verb; // HEAD is a GET
    bool is_head;
    bool is_options;
    ez_text path, query; // raw
    ez_text body;
    // Headers, each at most once; NULL where there is none.
    const char *authorization, *content_type, *if_match, *if_none_match, *idempotency_key, *request_id, *traceparent,
        *user_agent, *accept_encoding, *origin, *last_event_id, *requested_method;
    const char *remote; // peer's address
} ez_http_request;

typedef struct ez_http_header {
    const char *name;
    const char *value;
} ez_http_header;

typedef struct ez_http_response {
    int status;
    const char *content_type; // NULL: no body
    ez_text body;
    const char *encoding; // Content-Encoding the body already has, or NULL
    bool is_static;       // may be cached
    bool close;           // the connection is not to be used again
    unsigned header_count;
    ez_http_header headers[EZ_HTTP_HEADERS_MAX];
} ez_http_response;

// Ignored where value is NULL (no memory for it) or there is no room.
void ez_http_response_add(ez_http_response *response, const char *name, const char *value);

// "Not Found"; "Unknown" for a number without a phrase.
const char *ez_http_phrase(int status);

// Whether a Content-Type (may be NULL) is JSON: application/json or application/…+json, in UTF-8.
bool ez_http_is_json(const char *content_type);

// Whether an Accept-Encoding (may be NULL) takes gzip.
bool ez_http_takes_gzip(const char *accept_encoding);

// Whether an If-None-Match (may be NULL) has this entity tag, which is given without quotes.
bool ez_http_none_match_has(const char *if_none_match, const char *tag);

// The revision of an If-Match (may be NULL: 0, as is "*"): one entity tag, strong or weak. INVALID_ARGUMENT otherwise.
ez_status ez_http_if_match(const char *if_match, uint64_t *revision, ez_error *error) EZ_MUST_CHECK;

// "500ms", "5s", "1m": 1 ms to 60 s. INVALID_ARGUMENT otherwise.
ez_status ez_http_duration(const char *text, uint32_t *ms, ez_error *error) EZ_MUST_CHECK;
