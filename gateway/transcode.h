// SPDX-License-Identifier: Apache-2.0
//
// From an HTTP request to a call, and from its reply to an HTTP response, by the schema's tables alone. No state; any
// thread. All memory is the arena's and the buffers' given.
#pragma once

#include "ez/v1/wire.pb-c.h"
#include "gateway/http.h"
#include "gateway/router.h"
#include "proto/runtime/frame.h"

// Frames are kept this much under EZ_CALL_MAX: the peer counts its protocol's header too.
#define EZ_TRANSCODE_SLACK 1024u

typedef struct ez_transcoded {
    const ez_method *method;
    const ez_route *route; // NULL where the call is the gateway's own
    Ez__V1__CallHeader header;
    ProtobufCMessage *request;
    uint32_t timeout_ms; // the call's, never 0
    bool is_safe;        // may be sent again when the first reply got lost
} ez_transcoded;

// Fills out from the request: path, query, body, headers. INVALID_ARGUMENT with what and where; UNAUTHENTICATED where
// the Authorization header can't be a credential. request_id is the one to send on.
ez_status ez_transcode_request(const ez_router_match *match, const ez_http_request *in, const char *request_id,
                               ez_arena *arena, ez_transcoded *out, ez_error *error) EZ_MUST_CHECK;

// A call of the gateway's own (no route, empty request) with the caller's headers.
ez_status ez_transcode_own(const ez_method *method, const ez_http_request *in, const char *request_id, ez_arena *arena,
                           ez_transcoded *out, ez_error *error) EZ_MUST_CHECK;

// Appends the frame. RESOURCE_EXHAUSTED (REQUEST_TOO_LARGE) where it would not fit a call.
ez_status ez_transcode_frame(const ez_transcoded *call, ez_buf *out, ez_error *error) EZ_MUST_CHECK;

// A reply as ez_frame_read_reply split it, with code OK, becomes the response: JSON appended to body, status, ETag and
// the rest of the headers. INTERNAL where the message does not decode.
ez_status ez_transcode_reply(const ez_transcoded *call, const ez_http_request *in, const Ez__V1__ReplyHeader *header,
                             ez_slice message, ez_arena *arena, ez_buf *body, ez_http_response *out,
                             ez_error *error) EZ_MUST_CHECK;

// The error that a reply header with another code carries. Where the body is a field of the request, fields within it
// are named as the body has them: "name", not "key.name".
void ez_transcode_reply_error(const ez_transcoded *call, const Ez__V1__ReplyHeader *header, ez_error *error);
