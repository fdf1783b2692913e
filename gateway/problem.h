// SPDX-License-Identifier: Apache-2.0
//
// RFC 9457 problem documents: every error a client sees.
#pragma once

#include "gateway/http.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"

// Makes out the answer for error: document in body (appended), content type, Retry-After, WWW-Authenticate. http_status
// 0: the one that goes with the error's code. retry_after_ms 0: none. request_id may be "". Headers' texts are in
// arena.
void ez_problem_write(const ez_error *error, int http_status, uint32_t retry_after_ms, const char *request_id,
                      ez_arena *arena, ez_buf *body, ez_http_response *out);
