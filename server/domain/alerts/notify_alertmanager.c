// SPDX-License-Identifier: Apache-2.0
//
// Alertmanager's form, POST /api/v2/alerts: a list of {labels, annotations, startsAt, endsAt}. Labels are what an alert
// is there, so they hold nothing that changes while it is open, nor which server says it; severity is the one that may
// (notify_told.h). An alert that is over ends now; any other ends in EZ_NOTIFY_OPEN_S and two groups'
// times, unless it is sent again.
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"
#include "proto/runtime/utf8.h"
#include "server/domain/alerts/notify_form.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define NS_PER_S   INT64_C(1000000000)
#define SEVERITIES 32 // bits of ez_notify_told

typedef struct post {
    const ez_notify_message *message;
    ez_buf *out;
    size_t count; // alerts in it
} post;

static void put_string(ez_buf *out, const char *text, size_t max) {
    (void)ez_json_write_string(text, ez_utf8_cut(text, strlen(text), max), out);
}

// A label without a value is none.
static void put_label(ez_buf *out, const char *name, const char *value) {
    if (!value[0])
        return;
    (void)ez_buf_printf(out, ",\"%s\":", name);
    put_string(out, value, 255);
}

static void put_labels(post *to, const ez_notice *notice, const Ez__V1__Alert *alert, int severity) {
    char word[EZ_NOTIFY_WORD_MAX], id[24] = "";
    ez_notify_word(&ez__v1__alert_type__descriptor, (int)alert->type, word);
    (void)ez_buf_puts(to->out, "\"labels\":{\"source\":\"ezplane\"");
    put_label(to->out, "alertname", notice->event == EZ_NOTICE_TEST ? "ezplane_test" : word);
    ez_notify_word(&ez__v1__alert_severity__descriptor, severity, word);
    put_label(to->out, "severity", word);
    put_label(to->out, "cluster", to->message->cluster);
    put_label(to->out, "related_type", alert->related_type);
    if (alert->related_id)
        snprintf(id, sizeof id, "%lld", (long long)alert->related_id);
    put_label(to->out, "related_id", id);
    put_label(to->out, "related_name", alert->related_name);
    put_label(to->out, "fingerprint", alert->fingerprint);
    (void)ez_buf_putc(to->out, '}');
}

static void put_time(ez_buf *out, const char *name, int64_t ns) {
    char text[EZ_CLOCK_TEXT_MAX];
    int64_t seconds = ns / NS_PER_S;
    ez_clock_format(seconds, (int32_t)(ns % NS_PER_S), text);
    (void)ez_buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static int64_t open_ns(const ez_notify_message *message) {
    return EZ_NOTIFY_OPEN_S * NS_PER_S + 2 * (int64_t)message->group_ms * (NS_PER_S / 1000);
}

static void put_alert(post *to, const ez_notice *notice, const Ez__V1__Alert *alert, int severity, bool is_over) {
    int64_t now = to->message->now_ns, start = alert->first_seen_at ? ez_stamp_ns(alert->first_seen_at) : now;
    int64_t end = is_over ? now : now + open_ns(to->message);
    if (notice->event == EZ_NOTICE_TEST)
        end = now + EZ_NOTIFY_TEST_S * NS_PER_S;
    start = start < end ? start : end; // the clock of whoever saw it first may be ahead
    (void)ez_buf_puts(to->out, to->count++ ? ",{" : "{");
    put_labels(to, notice, alert, severity);
    (void)ez_buf_puts(to->out, ",\"annotations\":{\"title\":");
    put_string(to->out, alert->title, 255);
    (void)ez_buf_puts(to->out, ",\"message\":");
    put_string(to->out, alert->message, EZ_NOTIFY_POSTED_TEXT);
    (void)ez_buf_putc(to->out, '}');
    put_time(to->out, "startsAt", start);
    put_time(to->out, "endsAt", end);
    (void)ez_buf_putc(to->out, '}');
}

// The alert as it is now, and ended under every other severity it was posted under.
static void put_notice(post *to, const ez_notice *notice, const Ez__V1__Alert *alert, uint32_t told) {
    put_alert(to, notice, alert, (int)notice->severity, ez_notice_is_end(notice));
    for (int severity = 1; severity < SEVERITIES; severity++)
        if (severity != (int)notice->severity && told >> severity & 1)
            put_alert(to, notice, alert, severity, true);
}

// Where another server, or this one before it was started anew, may have told of it: all that is less severe.
static uint32_t told_before(const ez_notify_told *told, const ez_notice *notice) {
    uint32_t known = told ? ez_notify_told_get(told, notice->alert_id) : 0;
    bool is_new = !told || notice->event == EZ_NOTICE_CREATED || notice->event == EZ_NOTICE_TEST;
    return known != 0 || is_new ? known : (UINT32_C(1) << notice->severity) - 1;
}

// False: it found no room, and nothing of it is there.
static bool post_one(post *to, const ez_notice *notice, ez_notify_told *told, bool *has_memory) {
    ez_arena arena;
    ez_arena_init(&arena, EZ_NOTICE_ARENA);
    const Ez__V1__Alert *alert = ez_notice_unpack(notice, &arena);
    size_t began = to->out->len, count = to->count;
    *has_memory = alert != NULL;
    if (alert)
        put_notice(to, notice, alert, told_before(told, notice));
    ez_arena_fini(&arena);
    if (!alert || to->out->overflow) {
        to->out->len = began;
        to->out->overflow = false;
        to->count = count;
        return false;
    }
    if (told)
        ez_notify_told_put(told, notice->alert_id, ez_notice_is_end(notice) ? 0 : UINT32_C(1) << notice->severity);
    return true;
}

ez_status ez_notify_form_alertmanager(const ez_notify_message *message, ez_notify_told *told, ez_buf *out,
                                      size_t *taken, ez_error *error) {
    post to = {.message = message, .out = out};
    bool has_memory = true;
    size_t count = 0;
    (void)ez_buf_putc(out, '[');
    out->max--; // for the bracket at the end
    while (count < message->count && post_one(&to, message->notices[count], told, &has_memory))
        count++;
    out->max++;
    if (!has_memory || (count == 0 && message->count > 0) || ez_buf_putc(out, ']') != EZ_OK)
        return ez_no_memory(error);
    *taken = count;
    return EZ_OK;
}
