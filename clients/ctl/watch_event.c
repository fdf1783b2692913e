// SPDX-License-Identifier: Apache-2.0
//
// One config event as lines. Owns nothing but an arena for the event's time. The awkward case is what did not come: PUB
// drops silently, so an event that does not begin where the one before ended is told as missed revisions, and one
// without its changes (too large to be pushed) as revisions to look up.
#include <inttypes.h>

#include "clients/ctl/view.h"
#include "clients/ctl/watch.h"
#include "ez/v1/config.pb-c.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define EVENT_MEMORY_MAX (16u << 20)

static void put_change(const ez_message_rule *rule, const Ez__V1__Change *change, bool is_json, ez_buf *out) {
    if (is_json) {
        // One that does not fit is left out whole; its overflow shows.
        if (ez_json_write(rule, &change->base, false, out) == EZ_OK)
            (void)ez_buf_putc(out, '\n');
        return;
    }
    (void)ez_buf_printf(out, "%-8" PRIu64 "  ", change->revision ? change->revision->n : 0);
    size_t start = out->len;
    ez_ctl_view_cell(rule, ez_field_rule_find(rule, "kind"), &change->base, out);
    for (size_t len = out->len - start; len < 14; len++)
        (void)ez_buf_putc(out, ' ');
    (void)ez_buf_printf(out, "  %-8" PRId64 "  ", change->id);
    ez_ctl_view_cell(rule, ez_field_rule_find(rule, "op"), &change->base, out);
    (void)ez_buf_putc(out, '\n');
}

static void put_notes(const ez_ctl_watched *watched, const Ez__V1__EventHeader *header, ez_buf *notes) {
    const Ez__V1__Revision *from = header->from, *to = header->to;
    if (!watched->has_begun)
        (void)ez_buf_printf(notes, "following from revision %" PRIu64 "\n", from->n);
    else if (from->epoch != watched->epoch)
        (void)ez_buf_printf(notes, "the store was restored or made anew: the feed goes on at revision %" PRIu64 "\n",
                            from->n);
    else if (from->n > watched->revision)
        (void)ez_buf_printf(notes,
                            "missed revisions %" PRIu64 " to %" PRIu64 " (ezctl changes list --since %" PRIu64 ")\n",
                            watched->revision + 1, from->n, watched->revision);
    if (header->fetch && to->n > from->n)
        (void)ez_buf_printf(notes,
                            "revisions %" PRIu64 " to %" PRIu64
                            " were too large to be pushed (ezctl changes list --since %" PRIu64 ")\n",
                            from->n + 1, to->n, from->n);
}

static ez_status read_event(ez_slice event, ez_arena *arena, Ez__V1__EventHeader **header, Ez__V1__ChangeBatch **batch,
                            ez_error *error) {
    const char *topic;
    ez_slice message;
    ProtobufCMessage *read;
    ez_status status = ez_frame_read_event(event.data, event.len, arena, &topic, header, &message, error);
    if (status == EZ_OK && (!(*header)->from || !(*header)->to))
        status = ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "an event names no revisions");
    if (status == EZ_OK)
        status = ez_message_decode_reply(ez_message_rule_find(&ez__v1__change_batch__descriptor), message.data,
                                         message.len, arena, &read, error);
    if (status == EZ_OK)
        *batch = (Ez__V1__ChangeBatch *)read;
    return status;
}

ez_status ez_ctl_watch_event(ez_ctl_watched *watched, ez_slice event, bool is_json, ez_buf *out, ez_buf *notes,
                             ez_error *error) {
    Ez__V1__EventHeader *header;
    Ez__V1__ChangeBatch *batch;
    ez_arena arena;
    ez_arena_init(&arena, EVENT_MEMORY_MAX);
    ez_status status = read_event(event, &arena, &header, &batch, error);
    if (status == EZ_OK) {
        const ez_message_rule *rule = ez_message_rule_find(&ez__v1__change__descriptor);
        bool is_old = watched->has_begun && header->to->epoch == watched->epoch && header->to->n < watched->revision;
        put_notes(watched, header, notes);
        for (size_t i = 0; i < batch->n_changes && !is_old; i++)
            put_change(rule, batch->changes[i], is_json, out);
        if (!is_old)
            *watched = (ez_ctl_watched){.epoch = header->to->epoch, .revision = header->to->n, .has_begun = true};
    }
    ez_arena_fini(&arena);
    return status;
}
