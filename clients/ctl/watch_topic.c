// SPDX-License-Identifier: Apache-2.0
//
// One event of the events socket as lines. Owns nothing but an arena for the event's time. The awkward case is what did
// not come: PUB drops silently, so a step of more than one in a topic's sequence is told, and so is another server,
// whose sequences have nothing to do with those before.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/ctl/text.h"
#include "clients/ctl/view.h"
#include "clients/ctl/watch.h"
#include "ez/v1/alert.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "ez/v1/log.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define EVENT_MEMORY_MAX (16u << 20)
#define CLEAR_SCREEN     "\033[H\033[J"
#define TIME_WIDTH       24
#define SCREEN_ROWS      18 // masters of a report on a terminal

static void put_time(const Google__Protobuf__Timestamp *time, ez_buf *out) {
    char text[EZ_CLOCK_TEXT_MAX] = "-";
    if (time)
        ez_clock_format(time->seconds, time->nanos / 1000000 * 1000000, text);
    (void)ez_buf_printf(out, "%-*s", TIME_WIDTH, text);
}

static void put_text(const char *text, int width, ez_buf *out) {
    size_t len = strlen(text), columns = ez_ctl_text_width(text, len);
    ez_ctl_text_put(out, text, len, true);
    for (; columns < (size_t)width; columns++)
        (void)ez_buf_putc(out, ' ');
}

static void put_log(const Ez__V1__LogRecord *log, ez_buf *out) {
    put_time(log->time, out);
    (void)ez_buf_printf(out, "  %6d  %8" PRId64 "  %6" PRId64 "  %6" PRId64 "  ", log->status_code, log->latency_ms,
                        log->master_id, log->key_id);
    put_text(*log->model ? log->model : "-", 24, out);
    (void)ez_buf_printf(out, "  %9" PRId64 "  %10" PRId64, log->tokens_in, log->tokens_out);
    if (*log->error_message) {
        (void)ez_buf_puts(out, "  ");
        put_text(log->error_message, 0, out);
    }
    (void)ez_buf_putc(out, '\n');
}

static void put_logs(const Ez__V1__EventHeader *header, const ProtobufCMessage *message, const ez_ctl_watch_form *form,
                     ez_arena *arena, ez_buf *out) {
    (void)header, (void)form, (void)arena;
    const Ez__V1__IngestLogsRequest *logs = (const Ez__V1__IngestLogsRequest *)message;
    for (size_t i = 0; i < logs->n_records; i++)
        put_log(logs->records[i], out);
}

static void put_report(const Ez__V1__EventHeader *header, const ProtobufCMessage *message,
                       const ez_ctl_watch_form *form, ez_arena *arena, ez_buf *out) {
    const Ez__V1__RealtimeReport *report = (const Ez__V1__RealtimeReport *)message;
    ez_ctl_live_take(form->live, report);
    (void)ez_buf_puts(out, form->is_screen ? CLEAR_SCREEN : "");
    put_time(header->time, out);
    (void)ez_buf_printf(out, "  the last 60 seconds; masters with requests: %" PRId32 "\n", report->active_masters);
    ez_ctl_live_put(form->live, report, form->is_screen ? SCREEN_ROWS : EZ_CTL_LIVE_MAX, form->width, arena, out);
    (void)ez_buf_puts(out, form->is_screen ? "" : "\n");
}

// An enum of an alert as its word.
static void put_word(const Ez__V1__Alert *alert, const char *field, size_t width, ez_buf *out) {
    const ez_message_rule *rule = ez_message_rule_find(alert->base.descriptor);
    size_t start = out->len;
    ez_ctl_view_cell(rule, ez_field_rule_find(rule, field), &alert->base, out);
    for (size_t len = out->len - start; len < width; len++)
        (void)ez_buf_putc(out, ' ');
}

static void put_alert(const Ez__V1__EventHeader *header, const ProtobufCMessage *message, const ez_ctl_watch_form *form,
                      ez_arena *arena, ez_buf *out) {
    (void)form, (void)arena;
    const Ez__V1__AlertEvent *event = (const Ez__V1__AlertEvent *)message;
    const Ez__V1__Alert *alert = event->alert;
    put_time(header->time, out);
    (void)ez_buf_puts(out, "  ");
    put_text(event->event, 12, out);
    if (alert) {
        (void)ez_buf_printf(out, "  %8" PRId64 "  ", alert->id);
        put_word(alert, "severity", 8, out);
        (void)ez_buf_puts(out, "  ");
        put_word(alert, "type", 20, out);
        (void)ez_buf_printf(out, "  %8" PRId64 "  ", alert->count);
        put_text(alert->title, 0, out);
    }
    (void)ez_buf_putc(out, '\n');
}

static void put_data_plane(const Ez__V1__EventHeader *header, const ProtobufCMessage *message,
                           const ez_ctl_watch_form *form, ez_arena *arena, ez_buf *out) {
    (void)form, (void)arena;
    const Ez__V1__DataPlaneEvent *event = (const Ez__V1__DataPlaneEvent *)message;
    const ez_message_rule *rule = ez_message_rule_find(message->descriptor);
    put_time(header->time, out);
    (void)ez_buf_printf(out, "  %6" PRId64 "  ", event->id);
    size_t start = out->len;
    ez_ctl_view_cell(rule, ez_field_rule_find(rule, "type"), message, out);
    for (size_t len = out->len - start; len < 8; len++)
        (void)ez_buf_putc(out, ' ');
    (void)ez_buf_printf(out, "  %8" PRIu64 "  %6" PRIu64 "  %8zu\n", event->applied ? event->applied->n : 0, event->lag,
                        event->n_rejected);
}

static const ez_ctl_watch_topic topics[] = {
    {"stats", "stats.realtime", &ez__v1__realtime_report__descriptor, NULL, put_report, NULL},
    {"logs", "logs", &ez__v1__ingest_logs_request__descriptor,
     "TIME                      STATUS        MS  MASTER     KEY  MODEL                     TOKENS_IN  TOKENS_OUT  "
     "ERROR",
     put_logs, "records"},
    {"alerts", "alerts", &ez__v1__alert_event__descriptor,
     "TIME                      EVENT         ALERT     SEVERITY  TYPE                     COUNT  TITLE", put_alert,
     NULL},
    {"data-planes", "dataplanes", &ez__v1__data_plane_event__descriptor,
     "TIME                          ID  EVENT      APPLIED     LAG  REJECTED", put_data_plane, NULL},
};

const ez_ctl_watch_topic *ez_ctl_watch_topic_find(const char *word) {
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (strcmp(topics[i].word, word) == 0)
            return &topics[i];
    }
    return NULL;
}

// {"time":…, the message's own fields}: with the event's time, where the message has none.
static void put_object(const Ez__V1__EventHeader *header, const ProtobufCMessage *message, ez_buf *out) {
    const ez_message_rule *rule = message ? ez_message_rule_find(message->descriptor) : NULL;
    size_t start = out->len;
    if (!rule || !ez_field_rule_find(rule, "time")) {
        char time[EZ_CLOCK_TEXT_MAX];
        ez_clock_format(header->time ? header->time->seconds : 0, header->time ? header->time->nanos : 0, time);
        (void)ez_buf_printf(out, "{\"time\":\"%s\"%s", time, rule ? "," : "}");
        start = out->len;
    }
    if (rule && ez_json_write(rule, message, false, out) == EZ_OK && start > 0 && out->data[start - 1] == ',')
        memmove(out->data + start, out->data + start + 1, --out->len - start); // its own brace
    (void)ez_buf_putc(out, '\n');
}

static void put_objects(const ez_ctl_watch_topic *topic, const Ez__V1__EventHeader *header,
                        const ProtobufCMessage *message, ez_buf *out) {
    const ez_field_rule *items = NULL;
    if (topic->items)
        items = ez_field_rule_find(ez_message_rule_find(topic->descriptor), topic->items);
    if (!items) {
        put_object(header, message, out);
        return;
    }
    const ProtobufCFieldDescriptor *place = &topic->descriptor->fields[items->index];
    size_t count;
    ProtobufCMessage *const *list;
    memcpy(&count, (const char *)message + place->quantifier_offset, sizeof count);
    memcpy(&list, (const char *)message + place->offset, sizeof list);
    for (size_t i = 0; i < count; i++)
        put_object(header, list[i], out);
}

static void put_notes(ez_ctl_followed *followed, const Ez__V1__EventHeader *header, ez_buf *notes) {
    bool is_same = strcmp(followed->server_id, header->server_id) == 0;
    if (followed->has_begun && !is_same)
        (void)ez_buf_puts(notes, "another server, or one that was started anew: what came in between is missed\n");
    else if (followed->has_begun && header->sequence > followed->sequence + 1)
        (void)ez_buf_printf(notes, "missed events: %" PRIu64 "\n", header->sequence - followed->sequence - 1);
    *followed = (ez_ctl_followed){.sequence = header->sequence, .has_begun = true};
    (void)snprintf(followed->server_id, sizeof followed->server_id, "%.63s", header->server_id);
}

ez_status ez_ctl_watch_topic_event(ez_ctl_followed *followed, const ez_ctl_watch_topic *topic, ez_slice event,
                                   const ez_ctl_watch_form *form, ez_buf *out, ez_buf *notes, ez_error *error) {
    Ez__V1__EventHeader *header;
    ProtobufCMessage *message = NULL;
    ez_slice bytes;
    const char *name;
    ez_arena arena;
    ez_arena_init(&arena, EVENT_MEMORY_MAX);
    ez_status status = ez_frame_read_event(event.data, event.len, &arena, &name, &header, &bytes, error);
    if (status == EZ_OK && topic->descriptor)
        status = ez_message_decode_reply(ez_message_rule_find(topic->descriptor), bytes.data, bytes.len, &arena,
                                         &message, error);
    if (status == EZ_OK) {
        put_notes(followed, header, notes);
        if (notes->len > 0 && form->live)
            form->live->count = 0; // what it was told may be old
        if (form->is_json)
            put_objects(topic, header, message, out);
        else
            topic->put_lines(header, message, form, &arena, out);
    }
    ez_arena_fini(&arena);
    return status;
}
