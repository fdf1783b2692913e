// SPDX-License-Identifier: Apache-2.0
//
// A batch's memory. Buffers are kept from one batch to the next and wiped in between.
#include "server/domain/redis/batch.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/seal.h"

#define ARENA_MAX  (64u << 20) // one resource and what it refers to
#define LATE_MAX   (64u << 20)
#define TEXT_MAX   (32u << 20) // one document
#define SPANS_MAX  100000
#define BUFFER_BIG (8u << 20) // a buffer that grew past this is given back

ez_status ez_batch_init(ez_batch *batch, const ez_directory *directory, const char *prefix, ez_error *error) {
    *batch = (ez_batch){.directory = directory, .prefix = prefix};
    ez_buf_init(&batch->commands, EZ_BATCH_MAX);
    ez_buf_init(&batch->text, TEXT_MAX);
    ez_buf_init(&batch->late, LATE_MAX);
    ez_buf_init(&batch->unlinks, LATE_MAX);
    ez_buf_init(&batch->indexes, LATE_MAX);
    ez_arena_init(&batch->arena, ARENA_MAX);
    batch->owners = malloc(EZ_BATCH_COMMANDS * sizeof *batch->owners);
    if (!batch->owners)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for batches to Redis");
    return EZ_OK;
}

static void wipe(ez_buf *buf) {
    if (buf->data)
        ez_wipe(buf->data, buf->len);
    if (buf->cap > BUFFER_BIG) {
        size_t max = buf->max;
        ez_buf_fini(buf);
        ez_buf_init(buf, max);
    } else {
        ez_buf_clear(buf);
    }
}

void ez_batch_text_done(ez_batch *batch) {
    wipe(&batch->text);
}

void ez_batch_clear(ez_batch *batch) {
    wipe(&batch->commands);
    wipe(&batch->text);
    ez_buf_clear(&batch->unlinks);
    ez_buf_clear(&batch->indexes);
    batch->command_count = batch->unlink_count = batch->index_count = 0;
    batch->unit_at = 0;
}

void ez_batch_reset(ez_batch *batch) {
    ez_batch_clear(batch);
    wipe(&batch->late);
    batch->late_count = 0;
    batch->span_count = 0;
}

void ez_batch_fini(ez_batch *batch) {
    if (!batch->owners)
        return;
    ez_batch_reset(batch);
    ez_buf_fini(&batch->commands);
    ez_buf_fini(&batch->text);
    ez_buf_fini(&batch->late);
    ez_buf_fini(&batch->unlinks);
    ez_buf_fini(&batch->indexes);
    ez_arena_fini(&batch->arena);
    free(batch->owners);
    free(batch->spans);
    batch->owners = NULL;
}

void ez_batch_command(ez_batch *batch, const char *name, const char *key, size_t arguments) {
    if (batch->command_count >= EZ_BATCH_COMMANDS) {
        batch->commands.overflow = true;
        return;
    }
    batch->owners[batch->command_count++] = (uint16_t)batch->unit_at;
    ez_command_begin(&batch->commands, 2 + arguments);
    ez_command_text(&batch->commands, name);
    ez_command_key(&batch->commands, batch->prefix, key);
}

ez_buf *ez_batch_late(ez_batch *batch, const char *name, const char *key, size_t arguments) {
    batch->late_count++;
    ez_command_begin(&batch->late, 2 + arguments);
    ez_command_text(&batch->late, name);
    ez_command_key(&batch->late, batch->prefix, key);
    return &batch->late;
}

ez_status ez_batch_span(ez_batch *batch, ez_index index, int kind, int64_t id) {
    if (batch->is_rebuild)
        return EZ_OK;
    // One that has begun may have passed what changed since: only one that has not counts.
    for (size_t i = 0; i < batch->span_count; i++)
        if (batch->spans[i].index == index && batch->spans[i].id == id && batch->spans[i].after == 0)
            return EZ_OK;
    if (batch->span_count == batch->span_room) {
        size_t room = batch->span_room ? batch->span_room * 2 : 64;
        ez_span *spans = room <= SPANS_MAX ? realloc(batch->spans, room * sizeof *spans) : NULL;
        if (!spans)
            return EZ_RESOURCE_EXHAUSTED;
        batch->spans = spans;
        batch->span_room = room;
    }
    batch->spans[batch->span_count++] = (ez_span){.index = index, .kind = kind, .id = id};
    return EZ_OK;
}
