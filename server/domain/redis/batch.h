// SPDX-License-Identifier: Apache-2.0
//
// ez_batch: what goes to Redis in one MULTI: commands, each with the resource it is for, so that a refusal can be told
// to whom it belongs. It also gathers what follows from them: spans, further resources that must be written before the
// revision counts as done, and late commands, which are sent when those are through. One thread.
//
// Secrets: commands hold provider credentials in plain; clearing wipes them.
#pragma once

#include "proto/runtime/arena.h"
#include "server/domain/redis/command.h"
#include "server/state/directory/directory.h"

#define EZ_BATCH_MAX      (48u << 20) // bytes of one MULTI's commands
#define EZ_BATCH_FULL     (2u << 20)  // past this the rest goes into the next one
#define EZ_BATCH_PLACE    600         // bytes of what the index says of a resource
#define EZ_BATCH_UNITS    4096        // resources of one MULTI
#define EZ_BATCH_COMMANDS (8 * EZ_BATCH_UNITS)

// A resource to be written as it is now, or taken away where it is gone.
typedef struct ez_unit {
    int kind;
    int64_t id;
} ez_unit;

// What the index in Redis says stands for a resource: see kinds.c.
typedef struct ez_was {
    bool is_known;
    uint16_t len;
    char text[EZ_BATCH_PLACE];
} ez_was;

// Members of an index of the directory, from after on.
typedef struct ez_span {
    ez_index index;
    int kind; // of its members
    int64_t id;
    int64_t after;
} ez_span;

typedef struct ez_batch {
    const ez_directory *directory;
    const char *prefix; // of every key
    bool is_rebuild;    // everything is written anyway: no spans, nothing late; tables go to new keys
    int64_t now_ns;
    ez_buf commands;
    size_t command_count;
    uint16_t *owners; // of each command, index into units
    size_t unit_at;   // whose commands are being written
    ez_arena arena;   // of one resource at a time
    ez_buf text;      // one document
    ez_span *spans;
    size_t span_count, span_room;
    ez_buf late; // commands
    size_t late_count;
    // In a rebuild, for many resources at once: keys that are to be empty before, and fields and values of the index.
    ez_buf unlinks, indexes;
    size_t unlink_count, index_count;
} ez_batch;

ez_status ez_batch_init(ez_batch *batch, const ez_directory *directory, const char *prefix,
                        ez_error *error) EZ_MUST_CHECK;
void ez_batch_fini(ez_batch *batch);
// Forgets the commands; spans and what is late stay.
void ez_batch_clear(ez_batch *batch);
// Forgets spans and what is late too.
void ez_batch_reset(ez_batch *batch);

// Begins a command of the resource at hand, with its name and key. arguments: what follows them.
void ez_batch_command(ez_batch *batch, const char *name, const char *key, size_t arguments);
// The same, sent only once all spans are through. Not in a rebuild.
ez_buf *ez_batch_late(ez_batch *batch, const char *name, const char *key, size_t arguments);
// Where the command's further arguments go.
static inline ez_buf *ez_batch_out(ez_batch *batch) {
    return &batch->commands;
}
// Unless it is there already. RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_batch_span(ez_batch *batch, ez_index index, int kind, int64_t id) EZ_MUST_CHECK;
// Wipes what a document left.
void ez_batch_text_done(ez_batch *batch);
