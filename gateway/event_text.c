// SPDX-License-Identifier: Apache-2.0
//
// The JSON of an event: {"topic","server_id","sequence","time","data"}, on one line, as server-sent events want it. The
// message stands under "data", so that its fields and those around it never meet. The awkward case is an event of many
// small rows, which is many times larger as JSON: past the bound it is not sent, and those who watch are told.
#include "gateway/event_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define MEMORY_MAX (16u << 20) // an event of EZ_EVENT_MAX, unpacked

static ez_status put_message(const ez_event *event, ez_buf *out) {
    const ProtobufCMessageDescriptor *descriptor = ez_topics[event->topic].descriptor;
    if (!descriptor)
        return ez_buf_puts(out, "null");
    const ez_message_rule *rule = ez_message_rule_find(descriptor);
    ProtobufCMessage *message;
    ez_error error;
    ez_arena arena;
    ez_arena_init(&arena, MEMORY_MAX);
    ez_status status = ez_message_decode_reply(rule, event->message, event->len, &arena, &message, &error);
    if (status == EZ_OK)
        status = ez_json_write(rule, message, false, out);
    ez_arena_fini(&arena);
    return status;
}

ez_event_text *ez_event_text_make(const ez_event *event, const char *server_id) {
    const char *topic = ez_topics[event->topic].name;
    const ez_event_text head = {.holders = 1};
    char time[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(event->seconds, event->nanos, time);
    ez_auto(ez_buf) out;
    ez_buf_init(&out, EZ_EVENT_TEXT_MAX);
    (void)ez_buf_append(&out, &head, offsetof(ez_event_text, data));
    (void)ez_buf_printf(&out, "event: %s\ndata: {\"topic\":\"%s\",\"server_id\":\"%s\",\"sequence\":%" PRIu64, topic,
                        topic, server_id, event->sequence);
    (void)ez_buf_printf(&out, ",\"time\":\"%s\",\"data\":", time);
    if (put_message(event, &out) != EZ_OK)
        return NULL;
    (void)ez_buf_puts(&out, "}\n");
    if (out.overflow)
        return NULL;
    size_t len;
    void *grown = ez_buf_take(&out, &len), *fitting = realloc(grown, len); // it may be kept for long
    ez_event_text *made = fitting ? fitting : grown;
    made->len = len - offsetof(ez_event_text, data);
    return made;
}

ez_event_text *ez_event_text_hold(ez_event_text *text) {
    text->holders++;
    return text;
}

void ez_event_text_release(ez_event_text *text) {
    if (text && --text->holders == 0)
        free(text);
}
