// SPDX-License-Identifier: Apache-2.0
//
// Cross-origin requests: which origins may, and the headers that tell a browser so. Off where no origin is configured.
#pragma once

#include "gateway/http.h"

// origins: EZ_CORS_ORIGINS, comma-separated "https://host[:port]" or "*"; "" or NULL: off. INVALID_ARGUMENT names the
// one that is no origin.
ez_status ez_cors_check(const char *origins, ez_error *error) EZ_MUST_CHECK;

// Adds what an answer to this request needs. Nothing where the origin is not allowed.
void ez_cors_apply(const char *origins, const ez_http_request *in, ez_http_response *out);
