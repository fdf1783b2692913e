// SPDX-License-Identifier: Apache-2.0
//
// URLs and secrets are opened for each message and wiped after, so that they do not lie in memory while nothing
// happens.
#include "server/domain/alerts/notify_send.h"

#include <stdio.h>
#include <string.h>

#include "server/state/delivery/page.h"

#define ALERTMANAGER EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_ALERTMANAGER

ez_status ez_notify_form(Ez__V1__NotificationKind kind, const ez_notify_message *message, ez_notify_told *told,
                         ez_buf *out, size_t *taken, ez_error *error) {
    if (kind == ALERTMANAGER)
        return ez_notify_form_alertmanager(message, told, out, taken, error);
    *taken = message->count;
    if (kind == EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_SLACK)
        return ez_notify_form_slack(message, out, error);
    return ez_notify_form_webhook(message, out, error);
}

typedef struct opened {
    char url[EZ_DELIVERY_SECRET_MAX + sizeof EZ_NOTIFY_POST_PATH];
    char secret[EZ_DELIVERY_SECRET_MAX + 1];
} opened;

static ez_status open_url(const ez_sealer *sealer, const ez_notify_receiver *receiver, opened *out, ez_error *error) {
    ez_status status = ez_notify_open(sealer, receiver->name, "url", &receiver->url, out->url, error);
    if (status != EZ_OK || receiver->kind != ALERTMANAGER)
        return status;
    size_t len = strlen(out->url);
    while (len > 0 && out->url[len - 1] == '/')
        len--;
    memcpy(out->url + len, EZ_NOTIFY_POST_PATH, sizeof EZ_NOTIFY_POST_PATH);
    return EZ_OK;
}

static ez_status deliver(const ez_notify_sender *sender, const ez_notify_letter *letter, const opened *open,
                         int64_t *id, ez_error *error) {
    char kind[EZ_DELIVERY_KIND_MAX];
    snprintf(kind, sizeof kind, "%s%s", letter->is_test ? EZ_DELIVERY_KIND_ALERT_TEST : EZ_DELIVERY_KIND_ALERT,
             letter->receiver->name);
    ez_delivery_message message = {.kind = kind,
                                   .url = open->url,
                                   .content_type = "application/json",
                                   .body = letter->body->data,
                                   .body_len = letter->body->len,
                                   .secret = open->secret[0] ? open->secret : NULL,
                                   .attempts = letter->attempts,
                                   .settled = letter->settled,
                                   .settled_user = letter->settled_user};
    return ez_delivery_send(sender->deliverer, &message, id, error);
}

ez_status ez_notify_send(const ez_notify_sender *sender, const ez_notify_letter *letter, int64_t *id, ez_error *error) {
    const ez_notify_receiver *receiver = letter->receiver;
    opened open = {.url = ""};
    ez_status status = open_url(sender->sealer, receiver, &open, error);
    if (status == EZ_OK && receiver->kind == EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_WEBHOOK)
        status = ez_notify_open(sender->sealer, receiver->name, "secret", &receiver->secret, open.secret, error);
    status = status == EZ_OK ? deliver(sender, letter, &open, id, error) : status;
    ez_wipe(&open, sizeof open);
    return status;
}

void ez_notify_show_url(const ez_sealer *sealer, const ez_notify_receiver *receiver, char *out, size_t size) {
    opened open = {.url = ""};
    out[0] = '\0';
    if (open_url(sealer, receiver, &open, NULL) == EZ_OK)
        ez_outbound_show_url(open.url, out, size);
    ez_wipe(&open, sizeof open);
}
