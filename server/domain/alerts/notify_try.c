// SPDX-License-Identifier: Apache-2.0
//
// The test button: one message to one channel, or to each, tried once. The call is held until all have answered, or its
// deadline is near; a try outlives its call by what is still under way.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/alert_notification.pb-c.h"
#include "proto/runtime/call.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "server/domain/alerts/notify_inside.h"
#include "server/state/directory/edit.h"

#define MARGIN_NS INT64_C(250000000) // an answer is given so long before the deadline
#define SHOWN_MAX 320                // scheme, host and port

typedef struct result {
    ez_notify_try *owner;
    char name[EZ_NOTIFY_NAME_MAX + 1], url[SHOWN_MAX], error[EZ_ERROR_MESSAGE_MAX];
    Ez__V1__NotificationKind kind;
    bool is_over, is_delivered;
    int32_t http_status;
} result;

struct ez_notify_try {
    ez_notify_try *next;
    ez_alert_notifier *notifier;
    ez_hold *hold; // NULL once it is answered
    size_t open;   // results that are not there, and the handler while it is at it
    size_t count;
    result results[EZ_NOTIFY_CHANNELS];
};

// ---- Answering, under the lock

static Ez__V1__NotificationTest *show(const result *from, ez_arena *arena) {
    Ez__V1__NotificationTest *made = ez_arena_alloc(arena, sizeof *made);
    if (!made)
        return NULL;
    ez__v1__notification_test__init(made);
    made->channel = ez_arena_strdup(arena, from->name);
    made->kind = from->kind;
    made->url = ez_arena_strdup(arena, from->url);
    made->delivered = from->is_delivered;
    made->http_status = from->http_status;
    made->error =
        ez_arena_strdup(arena, from->is_over ? from->error : "there is no answer yet: the delivery log will have it");
    return made->channel && made->url && made->error ? made : NULL;
}

static ez_status fill_reply(const ez_notify_try *try, ez_call *call) {
    Ez__V1__TestAlertNotificationsResponse reply = EZ__V1__TEST_ALERT_NOTIFICATIONS_RESPONSE__INIT;
    Ez__V1__NotificationTest *items[EZ_NOTIFY_CHANNELS];
    for (size_t i = 0; i < try->count; i++) {
        items[i] = show(&try->results[i], &call->arena);
        if (!items[i])
            return ez_no_memory(&call->error);
    }
    reply.n_items = try->count;
    reply.items = items;
    return ez_call_reply(call, &reply.base);
}

static void unlink_try(ez_notify_try *try) {
    ez_notify_try **at = &try->notifier->tries;
    while (*at != try)
        at = &(*at)->next;
    *at = try->next;
    try->notifier->try_count--;
}

// One that waited for is there, or the handler is done.
static void settle_one(ez_notify_try *try) {
    ez_alert_notifier *notifier = try->notifier;
    pthread_mutex_lock(&notifier->lock);
    bool is_over = --try->open == 0;
    ez_hold *hold = is_over ? try->hold : NULL;
    ez_status status = hold ? fill_reply(try, hold->call) : EZ_OK;
    if (is_over)
        unlink_try(try);
    pthread_mutex_unlock(&notifier->lock);
    if (hold)
        hold->done(hold, status);
    if (is_over)
        free(try);
}

// ---- Sending

static void note_settled(void *user, const ez_delivery *row, bool can_heal) {
    (void)can_heal;
    result *to = user;
    pthread_mutex_lock(&to->owner->notifier->lock);
    to->is_over = true;
    to->is_delivered = row->status == EZ_DELIVERY_DELIVERED;
    to->http_status = row->http_status;
    snprintf(to->error, sizeof to->error, "%s", row->error);
    pthread_mutex_unlock(&to->owner->notifier->lock);
    settle_one(to->owner);
}

static ez_notice *make_notice(void) {
    Ez__V1__Alert alert = EZ__V1__ALERT__INIT;
    Google__Protobuf__Timestamp now = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    now.seconds = ez_clock_wall_ns() / 1000000000;
    alert.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM;
    alert.severity = EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_INFO;
    alert.status = EZ__V1__ALERT_STATUS__ALERT_STATUS_ACTIVE;
    alert.title = (char *)"A test of alert notifications";
    alert.message = (char *)"Nothing is wrong: an administrator asked for this message.";
    alert.count = 1;
    alert.first_seen_at = &now;
    alert.last_seen_at = &now;
    return ez_notice_create(EZ_NOTICE_TEST, &alert, NULL);
}

static ez_status form_test(const ez_alert_notifier *notifier, const ez_notify_config *config,
                           const ez_notify_receiver *receiver, ez_buf *body, ez_error *error) {
    ez_notice *notice = make_notice();
    if (!notice)
        return ez_no_memory(error);
    ez_notify_message message = {.server_id = notifier->options.server_id,
                                 .cluster = config->cluster,
                                 .channel = receiver->name,
                                 .now_ns = ez_clock_wall_ns(),
                                 .notices = &notice,
                                 .count = 1,
                                 .is_test = true};
    size_t taken;
    ez_status status = ez_notify_form(receiver->kind, &message, NULL, body, &taken, error);
    ez_notice_release(notice);
    return status;
}

static void send_test(ez_alert_notifier *notifier, const ez_notify_config *config, const ez_notify_receiver *receiver,
                      result *to) {
    ez_error error = EZ_ERROR_INIT;
    ez_buf body;
    ez_buf_init(&body, EZ_NOTIFY_BODY_MAX);
    ez_status status = form_test(notifier, config, receiver, &body, &error);
    ez_notify_letter letter = {.receiver = receiver,
                               .body = &body,
                               .is_test = true,
                               .attempts = 1,
                               .settled = note_settled,
                               .settled_user = to};
    status = status == EZ_OK ? ez_notify_send(&notifier->sender, &letter, NULL, &error) : status;
    ez_buf_fini(&body);
    if (status != EZ_OK) {
        ez_delivery row = {.status = EZ_DELIVERY_FAILED, .error = error.message};
        note_settled(to, &row, false);
    }
}

// ---- The handler

static bool is_chosen(const ez_notify_receiver *receiver, const char *name) {
    return name[0] ? strcmp(receiver->name, name) == 0 : receiver->is_enabled;
}

static ez_status make_try(ez_alert_notifier *notifier, const ez_notify_config *config, const char *name,
                          ez_notify_try **out, ez_error *error) {
    ez_notify_try *made = calloc(1, sizeof *made);
    if (!made)
        return ez_no_memory(error);
    made->notifier = notifier;
    for (size_t i = 0; i < config->count; i++) {
        const ez_notify_receiver *receiver = &config->receivers[i];
        if (!is_chosen(receiver, name))
            continue;
        result *to = &made->results[made->count++];
        to->owner = made;
        memcpy(to->name, receiver->name, sizeof to->name);
        to->kind = receiver->kind;
        ez_notify_show_url(notifier->options.sealer, receiver, to->url, sizeof to->url);
    }
    made->open = made->count + 1;
    *out = made;
    return EZ_OK;
}

static ez_status check_count(const ez_notify_try *try, const char *name, ez_error *error) {
    if (try->count > 0)
        return EZ_OK;
    if (name[0])
        return ez_error_set(error, EZ_NOT_FOUND, "CHANNEL_UNKNOWN", "there is no channel of that name");
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "CHANNELS_NOT_SET",
                        "no channel is enabled: set one with PUT /admin/alerts/notifications");
}

static ez_status admit(ez_notify_try *try, ez_hold *hold, ez_error *error) {
    ez_alert_notifier *notifier = try->notifier;
    ez_status status = EZ_OK;
    pthread_mutex_lock(&notifier->lock);
    if (notifier->is_stopping) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    } else if (notifier->try_count == EZ_NOTIFY_TESTS_MAX) {
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "TEST_QUEUE_FULL",
                              "%d tests wait for answers already: try again", EZ_NOTIFY_TESTS_MAX);
    } else {
        try->hold = hold;
        try->next = notifier->tries;
        notifier->tries = try;
        notifier->try_count++;
    }
    pthread_mutex_unlock(&notifier->lock);
    return status;
}

static void run(ez_notify_try *try, const ez_notify_config *config, const char *name) {
    size_t at = 0;
    for (size_t i = 0; i < config->count; i++)
        if (is_chosen(&config->receivers[i], name))
            send_test(try->notifier, config, &config->receivers[i], &try->results[at++]);
    settle_one(try); // the handler's own
}

ez_status ez_handle_alert_notifications_test(ez_alert_notifier *self, ez_call *call, struct ez_hold *hold,
                                             Ez__V1__TestAlertNotificationsRequest *request) {
    ez_autofree ez_notify_config *config = malloc(sizeof *config);
    if (!config)
        return ez_no_memory(&call->error);
    ez_notify_config_init(config);
    (void)ez_notify_config_refresh(config, self->options.directory);
    char name[EZ_NOTIFY_NAME_MAX + 1]; // the request is gone once the call is answered
    snprintf(name, sizeof name, "%s", request->channel);
    ez_notify_try *try = NULL;
    ez_status status = make_try(self, config, name, &try, &call->error);
    status = status == EZ_OK ? check_count(try, name, &call->error) : status;
    status = status == EZ_OK ? admit(try, hold, &call->error) : status;
    if (status != EZ_OK) {
        free(try);
        return status;
    }
    run(try, config, name);
    return EZ_OK;
}

// ---- Those that wait

// The next one that is to be answered now; its reply, or error, is made.
static ez_hold *take_due(ez_alert_notifier *notifier, uint64_t now_ns, bool is_stop, ez_status *status) {
    ez_hold *hold = NULL;
    pthread_mutex_lock(&notifier->lock);
    for (ez_notify_try *try = notifier->tries; try && !hold; try = try->next) {
        if (!try->hold || (!is_stop && try->hold->call->deadline_ns > now_ns + MARGIN_NS))
            continue;
        hold = try->hold;
        try->hold = NULL;
        *status = is_stop ? ez_call_fail(hold->call, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again")
                          : fill_reply(try, hold->call);
    }
    pthread_mutex_unlock(&notifier->lock);
    return hold;
}

void ez_notify_try_tick(ez_alert_notifier *notifier) {
    ez_status status = EZ_OK;
    for (ez_hold *hold; (hold = take_due(notifier, ez_clock_mono_ns(), false, &status));)
        hold->done(hold, status);
}

void ez_notify_try_stop(ez_alert_notifier *notifier) {
    pthread_mutex_lock(&notifier->lock);
    notifier->is_stopping = true;
    pthread_mutex_unlock(&notifier->lock);
    ez_status status = EZ_OK;
    for (ez_hold *hold; (hold = take_due(notifier, 0, true, &status));)
        hold->done(hold, status);
}

void ez_notify_try_fini(ez_alert_notifier *notifier) {
    while (notifier->tries) {
        ez_notify_try *next = notifier->tries->next;
        free(notifier->tries);
        notifier->tries = next;
    }
}
