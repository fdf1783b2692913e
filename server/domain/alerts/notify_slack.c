// SPDX-License-Identifier: Apache-2.0
//
// Slack's form: {"text": "…"}, one line an alert, the worst first, and how many more there are. Titles are what
// somebody reported: &, < and > are escaped, so that none of them calls a channel or hides a link, and a line stays a
// line.
#include <string.h>

#include "proto/runtime/json.h"
#include "proto/runtime/utf8.h"
#include "server/domain/alerts/notify_form.h"
#include "server/state/directory/edit.h"

#define LINE_TEXT 300 // bytes of an alert's message

static void put_escaped(ez_buf *out, const char *text, size_t max) {
    size_t len = strlen(text), end = ez_utf8_cut(text, len, max);
    for (size_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '&')
            (void)ez_buf_puts(out, "&amp;");
        else if (c == '<')
            (void)ez_buf_puts(out, "&lt;");
        else if (c == '>')
            (void)ez_buf_puts(out, "&gt;");
        else
            (void)ez_buf_putc(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
    if (end < len)
        (void)ez_buf_puts(out, "…");
}

static void put_related(ez_buf *out, const Ez__V1__Alert *alert) {
    if (!alert->related_type[0])
        return;
    (void)ez_buf_puts(out, " (");
    put_escaped(out, alert->related_type, 64);
    if (alert->related_id)
        (void)ez_buf_printf(out, " %lld", (long long)alert->related_id);
    if (alert->related_name[0]) {
        (void)ez_buf_putc(out, ' ');
        put_escaped(out, alert->related_name, 64);
    }
    (void)ez_buf_putc(out, ')');
}

static void put_line(ez_buf *out, const ez_notice *notice, const Ez__V1__Alert *alert) {
    char severity[EZ_NOTIFY_WORD_MAX], type[EZ_NOTIFY_WORD_MAX];
    ez_notify_word(&ez__v1__alert_severity__descriptor, (int)alert->severity, severity);
    ez_notify_word(&ez__v1__alert_type__descriptor, (int)alert->type, type);
    (void)ez_buf_printf(out, "\n• *%s* %s", severity, type);
    if (notice->event != EZ_NOTICE_CREATED && notice->event != EZ_NOTICE_TEST)
        (void)ez_buf_printf(out, " _%s_", ez_notice_event_word(notice->event));
    (void)ez_buf_puts(out, ": ");
    put_escaped(out, alert->title, 255);
    if (alert->message[0]) {
        (void)ez_buf_puts(out, " — ");
        put_escaped(out, alert->message, LINE_TEXT);
    }
    put_related(out, alert);
    if (alert->count > 1)
        (void)ez_buf_printf(out, ", %lld times", (long long)alert->count);
}

static void put_head(ez_buf *out, const ez_notify_message *message) {
    uint64_t count = message->count + message->dropped;
    (void)ez_buf_puts(out, "ezplane");
    if (message->cluster[0]) {
        (void)ez_buf_putc(out, ' ');
        put_escaped(out, message->cluster, 64);
    }
    if (message->is_test)
        (void)ez_buf_puts(out, ": a test");
    else
        (void)ez_buf_printf(out, ": %llu %s", (unsigned long long)count, count == 1 ? "alert" : "alerts");
}

static ez_status put_text(const ez_notify_message *message, ez_buf *text, ez_error *error) {
    size_t listed = 0;
    put_head(text, message);
    while (listed < message->count && listed < EZ_NOTIFY_SLACK_LINES && text->len < EZ_NOTIFY_SLACK_MAX / 2) {
        ez_arena arena;
        ez_arena_init(&arena, EZ_NOTICE_ARENA);
        const Ez__V1__Alert *alert = ez_notice_unpack(message->notices[listed], &arena);
        if (alert)
            put_line(text, message->notices[listed], alert);
        ez_arena_fini(&arena);
        if (!alert)
            return ez_no_memory(error);
        listed++;
    }
    uint64_t more = message->count + message->dropped - listed;
    if (more > 0)
        (void)ez_buf_printf(text, "\n… and %llu more", (unsigned long long)more);
    return EZ_OK;
}

ez_status ez_notify_form_slack(const ez_notify_message *message, ez_buf *out, ez_error *error) {
    ez_buf text;
    ez_buf_init(&text, EZ_NOTIFY_SLACK_MAX);
    ez_status status = put_text(message, &text, error);
    if (status == EZ_OK) {
        (void)ez_buf_puts(out, "{\"text\":");
        (void)ez_json_write_string((const char *)text.data, text.len, out);
        status = ez_buf_putc(out, '}') == EZ_OK && !out->overflow && !text.overflow ? EZ_OK : ez_no_memory(error);
    }
    ez_buf_fini(&text);
    return status;
}
