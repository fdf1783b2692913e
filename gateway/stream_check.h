// SPDX-License-Identifier: Apache-2.0
//
// ez_stream_checks: whether those who watch still may. The core is asked again with the call that began each stream, so
// a credential that was taken back ends it. On the loop's thread only.
#pragma once

#include "gateway/backend.h"
#include "gateway/event_position.h"
#include "gateway/stream.h"

typedef struct ez_stream_checks ez_stream_checks;

// now: where the server is.
typedef void ez_stream_allowed(ez_stream *stream, const ez_event_position *now);
typedef void ez_stream_refused(ez_stream *stream, const char *reason, const char *detail);

ez_status ez_stream_checks_create(ez_backend *backend, uint32_t every_s, ez_stream_allowed *allowed,
                                  ez_stream_refused *refused, ez_stream_checks **out, ez_error *error) EZ_MUST_CHECK;
// After the backend is closed. NULL is fine.
void ez_stream_checks_destroy(ez_stream_checks *checks);

// The stream was allowed just now.
void ez_stream_checks_begin(ez_stream_checks *checks, ez_stream *stream);
// Asks for it as soon as can be, but no sooner than a second after the last time.
void ez_stream_checks_hurry(ez_stream *stream);
// Frees the stream, which is in no list any more; after the answer that is under way.
void ez_stream_checks_forget(ez_stream_checks *checks, ez_stream *stream);
// Asks for those that are due, a bounded number at once.
void ez_stream_checks_run(ez_stream_checks *checks, ez_stream *list);
