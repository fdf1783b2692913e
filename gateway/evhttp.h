// SPDX-License-Identifier: Apache-2.0
//
// Between evhttp's requests and ours. On the loop's thread only.
#pragma once

#include "gateway/http.h"
#include "proto/runtime/error.h"

struct evhttp_request;

// Reads what evhttp parsed; texts point into req. Returns 0, or the HTTP status of a refusal with its error: framing
// that two parsers could read differently (repeated or mixed lengths, odd header names), unknown methods, other HTTP
// versions. After a refusal the connection must be closed: nobody knows where the next request begins.
int ez_evhttp_read(struct evhttp_request *req, ez_http_request *out, ez_error *error);

// Writes the head of a response whose body has no length yet and goes on by other hands; the connection ends with it.
// Not evhttp's own way: to HTTP/1.0 with keep-alive that one promises a body of no bytes. *is_chunked: whether the body
// is to be sent in chunks.
void ez_evhttp_begin(struct evhttp_request *req, const ez_http_response *response, bool *is_chunked);

// Sends the response; req is evhttp's again after. A body that is_static says lives as long as the program is not
// copied.
void ez_evhttp_send(struct evhttp_request *req, bool is_head, const ez_http_response *response);
