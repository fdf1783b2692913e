// SPDX-License-Identifier: Apache-2.0
//
// ezctl watch config: the pushed changes, one a line, until SIGINT, SIGTERM or a closed output ends it. Main thread.
#pragma once

#include "clients/ctl/arguments.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

// Returns the program's exit status; UNREACHABLE where there is no connection within --timeout (5 s).
int ez_ctl_watch(const ez_ctl_arguments *arguments, const ez_settings *settings);

// What has been seen of the feed so far; all zero at the start.
typedef struct ez_ctl_watched {
    uint64_t epoch;
    uint64_t revision;
    bool has_begun;
} ez_ctl_watched;

// Reads one event: appends a line for each change to out, and to notes (one a line) what was missed since the event
// before. Errors as in proto/runtime/frame.h and message.h; nothing is appended then.
ez_status ez_ctl_watch_event(ez_ctl_watched *watched, ez_slice event, bool is_json, ez_buf *out, ez_buf *notes,
                             ez_error *error) EZ_MUST_CHECK;
