// SPDX-License-Identifier: Apache-2.0
//
// ezctl watch: what the server pushes, one a line, until SIGINT, SIGTERM or a closed output ends it. Main thread.
#pragma once

#include "clients/ctl/arguments.h"
#include "clients/ctl/watch_report.h"
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

// The same of one topic of the events socket.
typedef struct ez_ctl_followed {
    char server_id[64];
    uint64_t sequence;
    bool has_begun;
} ez_ctl_followed;

// The title of config's lines.
#define EZ_CTL_WATCH_CONFIG_TITLE "REVISION  KIND            ID        OP"

typedef struct ez_ctl_watch_form {
    bool is_json;
    bool is_screen; // a report takes the place of the one before
    size_t width;   // of the terminal; 0: no limit
    ez_ctl_live *live;
} ez_ctl_watch_form;

// A topic that can be watched, by what it is called here.
typedef struct ez_ctl_watch_topic {
    const char *word;                             // "data-planes"
    const char *topic;                            // "dataplanes"
    const ProtobufCMessageDescriptor *descriptor; // of its message; NULL: shown without it
    const char *title;                            // of its lines; NULL: none
    void (*put_lines)(const Ez__V1__EventHeader *header, const ProtobufCMessage *message, const ez_ctl_watch_form *form,
                      ez_arena *arena, ez_buf *out);
    const char *items; // the message's field of which each element is an object of its own with -o json; or NULL
} ez_ctl_watch_topic;

// NULL where there is none.
const ez_ctl_watch_topic *ez_ctl_watch_topic_find(const char *word);

// Reads one event of a topic; otherwise as ez_ctl_watch_event.
ez_status ez_ctl_watch_topic_event(ez_ctl_followed *followed, const ez_ctl_watch_topic *topic, ez_slice event,
                                   const ez_ctl_watch_form *form, ez_buf *out, ez_buf *notes,
                                   ez_error *error) EZ_MUST_CHECK;

// Reads one event of topic config: appends a line for each change to out, and to notes (one a line) what was missed
// since the event before. Errors as in proto/runtime/frame.h and message.h; nothing is appended then.
ez_status ez_ctl_watch_event(ez_ctl_watched *watched, ez_slice event, bool is_json, ez_buf *out, ez_buf *notes,
                             ez_error *error) EZ_MUST_CHECK;
