// SPDX-License-Identifier: Apache-2.0
//
// One message to one receiver: formed as its kind takes it, with its secrets opened for as long as that takes, and
// handed to the deliverer. Never blocks; any thread.
#pragma once

#include "server/domain/alerts/notify_config.h"
#include "server/domain/alerts/notify_form.h"
#include "server/state/delivery/delivery.h"

#define EZ_NOTIFY_POST_PATH "/api/v2/alerts" // behind the base of an Alertmanager

typedef struct ez_notify_sender {
    ez_deliverer *deliverer;
    const ez_sealer *sealer;
} ez_notify_sender;

// A body, and how many of the message's notices are in it; what is left wants another. told: Alertmanager's, or NULL.
ez_status ez_notify_form(Ez__V1__NotificationKind kind, const ez_notify_message *message, ez_notify_told *told,
                         ez_buf *out, size_t *taken, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_notify_letter {
    const ez_notify_receiver *receiver;
    const ez_buf *body;
    bool is_test; // for the log
    int attempts; // as in ez_delivery_message
    ez_delivery_settled_fn *settled;
    void *settled_user;
} ez_notify_letter;

// Errors as ez_delivery_unseal and ez_delivery_send; settled is not called then.
ez_status ez_notify_send(const ez_notify_sender *sender, const ez_notify_letter *letter, int64_t *id,
                         ez_error *error) EZ_MUST_CHECK;
// Where it leads, as it may be shown: EZ_OUTBOUND_URL_MAX bytes. "" where that can't be opened.
void ez_notify_show_url(const ez_sealer *sealer, const ez_notify_receiver *receiver, char *out, size_t size);
