// SPDX-License-Identifier: Apache-2.0
//
// What the notifier's files share, and nobody else sees.
#pragma once

#include <pthread.h>

#include "ez/handlers.h"
#include "server/domain/alerts/notify.h"
#include "server/domain/alerts/notify_channel.h"
#include "server/domain/alerts/notify_send.h"

#define EZ_NOTIFY_SLOTS (2 * EZ_NOTIFY_CHANNELS) // as many that left, and wait for what is under way

typedef struct ez_notify_try ez_notify_try; // notify_try.c

struct ez_alert_notifier {
    ez_alert_notifier_options options;
    ez_notify_sender sender;
    atomic_size_t held; // bytes of notices

    // The timer's.
    ez_notify_config config;
    ez_notify_channel channels[EZ_NOTIFY_SLOTS];
    ez_notice *batch[EZ_NOTIFY_INBOX_MAX];

    pthread_mutex_t lock; // guards what follows
    bool is_stopping;
    ez_notice *inbox[EZ_NOTIFY_INBOX_MAX];
    size_t inbox_count;
    uint64_t missed; // happenings that found no room
    ez_notify_try *tries;
    size_t try_count;
};

// ---- notify_try.c

// Answers the tests whose deadline is near with what is known by now; all of them where the server stops.
void ez_notify_try_tick(ez_alert_notifier *notifier);
void ez_notify_try_stop(ez_alert_notifier *notifier);
// Those whose messages were never settled. Nobody waits for them any more.
void ez_notify_try_fini(ez_alert_notifier *notifier);
