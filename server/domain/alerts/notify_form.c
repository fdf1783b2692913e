// SPDX-License-Identifier: Apache-2.0
//
// A webhook's form: an AlertMessage as JSON. It lists the worst alerts and counts the rest; where those are long, it
// lists fewer of them.
#include "server/domain/alerts/notify_form.h"

#include "ez/v1/alert_notification.pb-c.h"
#include "proto/runtime/field.h"
#include "proto/runtime/json.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define ARENA_MAX (8u << 20) // the listed alerts, unpacked

void ez_notify_word(const ProtobufCEnumDescriptor *type, int value, char out[EZ_NOTIFY_WORD_MAX]) {
    const char *word = ez_field_word(type, value);
    size_t len = 0;
    for (; word && word[len] && len < EZ_NOTIFY_WORD_MAX - 1; len++)
        out[len] = word[len] >= 'A' && word[len] <= 'Z' ? (char)(word[len] - 'A' + 'a') : word[len];
    out[len] = '\0';
}

static Ez__V1__AlertNotice *list_one(const ez_notice *notice, ez_arena *arena) {
    Ez__V1__AlertNotice *made = ez_arena_alloc(arena, sizeof *made);
    if (!made)
        return NULL;
    ez__v1__alert_notice__init(made);
    made->event = (char *)ez_notice_event_word(notice->event);
    made->alert = ez_notice_unpack(notice, arena);
    return made->alert ? made : NULL;
}

// As many as fit into a fair size, at least one. NULL where there is no memory.
static Ez__V1__AlertNotice **list(const ez_notify_message *message, ez_arena *arena, size_t *listed) {
    size_t count = message->count < EZ_NOTIFY_LISTED ? message->count : EZ_NOTIFY_LISTED, bytes = 0;
    Ez__V1__AlertNotice **items = ez_arena_alloc(arena, (count + 1) * sizeof(Ez__V1__AlertNotice *));
    for (*listed = 0; items && *listed < count; ++*listed) {
        bytes += message->notices[*listed]->len;
        if (*listed > 0 && bytes > EZ_NOTIFY_LISTED_MAX / 2)
            break;
        items[*listed] = list_one(message->notices[*listed], arena);
        if (!items[*listed])
            return NULL;
    }
    return items;
}

static ez_status write_listed(Ez__V1__AlertMessage *form, size_t listed, ez_buf *out) {
    form->n_alerts = listed;
    form->more = form->count - (int64_t)listed;
    return ez_json_write(ez_message_rule_find(&ez__v1__alert_message__descriptor), &form->base, false, out);
}

ez_status ez_notify_form_webhook(const ez_notify_message *message, ez_buf *out, ez_error *error) {
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    Ez__V1__AlertMessage form = EZ__V1__ALERT_MESSAGE__INIT;
    size_t listed = 0;
    form.event = message->is_test ? (char *)"test" : (char *)"alerts";
    form.sent_at = ez_stamp_make(message->now_ns, &arena);
    form.server_id = (char *)message->server_id;
    form.cluster = (char *)message->cluster;
    form.channel = (char *)message->channel;
    form.count = (int64_t)(message->count + message->dropped);
    form.alerts = list(message, &arena, &listed);
    ez_status status = form.sent_at && form.alerts ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
    status = status == EZ_OK ? write_listed(&form, listed, out) : status;
    while (status != EZ_OK && out->overflow && listed > 0) { // texts of nothing but quotes and controls
        ez_buf_clear(out);
        listed /= 2;
        status = write_listed(&form, listed, out);
    }
    ez_arena_fini(&arena);
    return status == EZ_OK ? EZ_OK : ez_no_memory(error);
}
