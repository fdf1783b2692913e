// SPDX-License-Identifier: Apache-2.0
//
// ez_pages: what the gateway says by itself, made once at start: "/", "/docs", "/openapi.json", "/healthz". Read-only
// after; any thread.
#pragma once

#include "gateway/http.h"
#include "proto/runtime/error.h"

typedef struct ez_pages ez_pages;

ez_status ez_pages_create(ez_pages **out, ez_error *error) EZ_MUST_CHECK;
void ez_pages_destroy(ez_pages *pages);

// Fills the response from the page at this path. False where there is none.
bool ez_pages_get(const ez_pages *pages, ez_text path, bool takes_gzip, ez_http_response *out);
