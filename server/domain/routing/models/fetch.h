// SPDX-License-Identifier: Apache-2.0
//
// ez_model_fetch: one GET of a catalogue by outbound, waited for. Of one thread, which may give it up and end: the
// object must live until outbound has stopped.
#pragma once

#include "server/domain/routing/models/copy.h"
#include "server/platform/outbound/outbound.h"

#define EZ_MODEL_FETCH_MS 30000

typedef struct ez_model_fetch ez_model_fetch;

ez_status ez_model_fetch_create(ez_outbound *outbound, ez_model_fetch **out, ez_error *error) EZ_MUST_CHECK;
void ez_model_fetch_destroy(ez_model_fetch *fetch); // once outbound has stopped

// Gets url into out. etag "": whatever it is; else *is_same says that it is still what had that ETag, and out is empty.
// Errors as ez_outbound_reply's, and UNAVAILABLE (CATALOGUE_REFUSED: its server answered with another status;
// CANCELLED: ez_model_fetch_cancel).
ez_status ez_model_fetch_get(ez_model_fetch *fetch, const char *url, const char *etag, ez_model_text *out,
                             bool *is_same, ez_error *error) EZ_MUST_CHECK;
// From another thread: what is waited for is given up, now and from now on.
void ez_model_fetch_cancel(ez_model_fetch *fetch);
