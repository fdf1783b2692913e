// SPDX-License-Identifier: Apache-2.0
//
// From what is noted to what is sent: the inbox, the channels that follow the setting, and their messages.
//
// The awkward case is a channel that is changed while a message of it is under way: its slot is kept until that is
// over, since the outcome comes to it, and a new one begins beside it. What only waits is taken back and goes where the
// setting now says, while its name and kind stay; another kind is another channel, and what waited for the former is
// not told.
#include "server/domain/alerts/notify.h"

#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/notify_inside.h"
#include "server/state/directory/edit.h"

// ---- The inbox

void ez_alert_notifier_note(ez_alert_notifier *notifier, const char *event, const Ez__V1__Alert *alert) {
    ez_notice_event read;
    if (!ez_notice_event_read(event, &read) || read == EZ_NOTICE_TEST)
        return;
    ez_notice *notice = ez_notice_create(read, alert, &notifier->held);
    pthread_mutex_lock(&notifier->lock);
    bool has_room = notice && notifier->inbox_count < EZ_NOTIFY_INBOX_MAX;
    if (has_room)
        notifier->inbox[notifier->inbox_count++] = notice;
    else if (read != EZ_NOTICE_OPEN) // those are told in the next round
        notifier->missed++;
    pthread_mutex_unlock(&notifier->lock);
    if (!has_room)
        ez_notice_release(notice);
}

static size_t empty_inbox(ez_alert_notifier *notifier, uint64_t *missed) {
    pthread_mutex_lock(&notifier->lock);
    size_t count = notifier->inbox_count;
    memcpy(notifier->batch, notifier->inbox, count * sizeof notifier->batch[0]);
    *missed = notifier->missed;
    notifier->inbox_count = 0;
    notifier->missed = 0;
    pthread_mutex_unlock(&notifier->lock);
    return count;
}

// ---- Channels

static const ez_notify_receiver *receiver_of(const ez_alert_notifier *notifier, const ez_notify_channel *channel) {
    for (size_t i = 0; i < notifier->config.count; i++) {
        const ez_notify_receiver *receiver = &notifier->config.receivers[i];
        if (receiver->is_enabled && receiver->kind == channel->kind && strcmp(receiver->name, channel->name) == 0)
            return receiver;
    }
    return NULL;
}

static bool has_channel(const ez_alert_notifier *notifier, const ez_notify_receiver *receiver) {
    for (size_t i = 0; i < EZ_NOTIFY_SLOTS; i++) {
        const ez_notify_channel *channel = &notifier->channels[i];
        if (channel->is_used && !channel->is_leaving && channel->kind == receiver->kind &&
            strcmp(channel->name, receiver->name) == 0)
            return true;
    }
    return false;
}

static bool take_back(ez_alert_notifier *notifier, ez_notify_channel *channel, const char *why) {
    if (!channel->is_under_way || !ez_delivery_withdraw(notifier->options.deliverer, channel->delivery, why))
        return false;
    ez_notify_channel_taken_back(channel);
    return true;
}

// Slots of channels that are none any more, as soon as nothing of them is under way.
static void drop_channels(ez_alert_notifier *notifier) {
    for (size_t i = 0; i < EZ_NOTIFY_SLOTS; i++) {
        ez_notify_channel *channel = &notifier->channels[i];
        if (!channel->is_used || (!channel->is_leaving && receiver_of(notifier, channel)))
            continue;
        channel->is_leaving = true;
        (void)take_back(notifier, channel, "its channel was removed or disabled");
        if (!channel->is_under_way || atomic_load(&channel->outcome) != EZ_NOTIFY_NONE)
            ez_notify_channel_fini(channel);
    }
}

static void add_channels(ez_alert_notifier *notifier) {
    for (size_t i = 0, slot = 0; i < notifier->config.count; i++) {
        const ez_notify_receiver *receiver = &notifier->config.receivers[i];
        if (!receiver->is_enabled || has_channel(notifier, receiver))
            continue;
        while (slot < EZ_NOTIFY_SLOTS && notifier->channels[slot].is_used)
            slot++;
        if (slot < EZ_NOTIFY_SLOTS) // else at a later tick
            ez_notify_channel_init(&notifier->channels[slot], receiver);
    }
}

static void follow_config(ez_alert_notifier *notifier, uint64_t now_ms) {
    bool has_changed = ez_notify_config_refresh(&notifier->config, notifier->options.directory);
    drop_channels(notifier);
    add_channels(notifier);
    for (size_t i = 0; has_changed && i < EZ_NOTIFY_SLOTS; i++) {
        ez_notify_channel *channel = &notifier->channels[i];
        if (channel->is_used && take_back(notifier, channel, "its channel was changed: it is sent anew"))
            channel->due_ms = now_ms;
    }
}

static void distribute(ez_alert_notifier *notifier, uint64_t now_ms) {
    uint64_t missed;
    size_t count = empty_inbox(notifier, &missed);
    for (size_t i = 0; i < EZ_NOTIFY_SLOTS; i++) {
        ez_notify_channel *channel = &notifier->channels[i];
        const ez_notify_receiver *receiver =
            channel->is_used && !channel->is_leaving ? receiver_of(notifier, channel) : NULL;
        for (size_t j = 0; receiver && j < count; j++)
            ez_notify_channel_note(channel, receiver, notifier->batch[j], now_ms);
        if (receiver && missed > 0)
            ez_notify_channel_missed(channel, missed, now_ms);
    }
    for (size_t j = 0; j < count; j++)
        ez_notice_release(notifier->batch[j]);
    if (missed > 0)
        ez_log_warn("alerts were not told: too many at once", "alerts", EZ_LOG_INT((long long)missed));
}

// ---- Messages

static void note_settled(void *user, const ez_delivery *row, bool can_heal) {
    bool is_delivered = row->status == EZ_DELIVERY_DELIVERED;
    ez_notify_channel_conclude(user, is_delivered ? EZ_NOTIFY_DELIVERED
                                     : can_heal   ? EZ_NOTIFY_LOST
                                                  : EZ_NOTIFY_REFUSED);
}

static ez_status form(ez_alert_notifier *notifier, ez_notify_channel *channel, ez_buf *body, size_t *taken,
                      ez_error *error) {
    ez_notify_queue_sort(&channel->pending);
    ez_notify_message message = {.server_id = notifier->options.server_id,
                                 .cluster = notifier->config.cluster,
                                 .channel = channel->name,
                                 .now_ns = ez_clock_wall_ns(),
                                 .group_ms = notifier->config.group_ms,
                                 .notices = channel->pending.items,
                                 .count = channel->pending.count,
                                 .dropped = channel->pending.dropped};
    return ez_notify_form(channel->kind, &message, &channel->told, body, taken, error);
}

static void send_pending(ez_alert_notifier *notifier, ez_notify_channel *channel, uint64_t now_ms) {
    const ez_notify_receiver *receiver = receiver_of(notifier, channel);
    ez_error error = EZ_ERROR_INIT;
    ez_buf body;
    ez_buf_init(&body, EZ_NOTIFY_BODY_MAX);
    size_t taken = 0;
    int64_t id = 0;
    ez_status status = form(notifier, channel, &body, &taken, &error);
    ez_notify_channel_sending(channel, status == EZ_OK ? taken : channel->pending.count, now_ms,
                              notifier->config.group_ms);
    ez_notify_letter letter = {.receiver = receiver, .body = &body, .settled = note_settled, .settled_user = channel};
    status = status == EZ_OK ? ez_notify_send(&notifier->sender, &letter, &id, &error) : status;
    ez_notify_channel_sent(channel, id);
    if (status != EZ_OK) {
        ez_log_error("alerts should have been told, but nothing was sent", "channel", channel->name, "reason",
                     error.reason, "error", error.message);
        ez_notify_channel_conclude(channel, status == EZ_RESOURCE_EXHAUSTED ? EZ_NOTIFY_LOST : EZ_NOTIFY_REFUSED);
    }
    ez_buf_fini(&body);
}

static void step(ez_alert_notifier *notifier, uint64_t now_ms, bool is_last) {
    for (size_t i = 0; i < EZ_NOTIFY_SLOTS; i++) {
        ez_notify_channel *channel = &notifier->channels[i];
        if (!channel->is_used || channel->is_leaving)
            continue;
        ez_notify_step next = ez_notify_channel_step(channel, now_ms, notifier->config.group_ms, is_last);
        if (next == EZ_NOTIFY_TAKE_BACK &&
            take_back(notifier, channel, "replaced by a newer message, which is about its alerts too"))
            next = EZ_NOTIFY_SEND;
        if (next == EZ_NOTIFY_SEND)
            send_pending(notifier, channel, now_ms);
    }
}

void ez_alert_notifier_tick(ez_alert_notifier *notifier, uint64_t now_ms) {
    follow_config(notifier, now_ms);
    distribute(notifier, now_ms);
    step(notifier, now_ms, false);
    ez_notify_try_tick(notifier);
}

bool ez_alert_notifier_has_room(ez_alert_notifier *notifier, uint64_t now_ms) {
    pthread_mutex_lock(&notifier->lock);
    bool has_room = notifier->inbox_count < EZ_NOTIFY_OPEN_ROOM;
    pthread_mutex_unlock(&notifier->lock);
    for (size_t i = 0; has_room && i < EZ_NOTIFY_SLOTS; i++) {
        const ez_notify_channel *channel = &notifier->channels[i];
        has_room = !channel->is_used || channel->is_leaving || ez_notify_channel_has_room(channel, now_ms);
    }
    return has_room;
}

// ---- Made, ended

ez_status ez_alert_notifier_create(const ez_alert_notifier_options *options, ez_alert_notifier **out, ez_error *error) {
    ez_alert_notifier *made = calloc(1, sizeof *made);
    if (!made)
        return ez_no_memory(error);
    made->options = *options;
    made->sender = (ez_notify_sender){.deliverer = options->deliverer, .sealer = options->sealer};
    ez_notify_config_init(&made->config);
    pthread_mutex_init(&made->lock, NULL);
    *out = made;
    return EZ_OK;
}

void ez_alert_notifier_stop(ez_alert_notifier *notifier) {
    if (notifier)
        ez_notify_try_stop(notifier);
}

void ez_alert_notifier_flush(ez_alert_notifier *notifier) {
    if (!notifier)
        return;
    uint64_t now_ms = ez_clock_mono_ms();
    follow_config(notifier, now_ms);
    distribute(notifier, now_ms);
    step(notifier, now_ms, true);
}

void ez_alert_notifier_destroy(ez_alert_notifier *notifier) {
    if (!notifier)
        return;
    ez_notify_try_fini(notifier);
    for (size_t i = 0; i < EZ_NOTIFY_SLOTS; i++)
        ez_notify_channel_fini(&notifier->channels[i]);
    for (size_t i = 0; i < notifier->inbox_count; i++)
        ez_notice_release(notifier->inbox[i]);
    pthread_mutex_destroy(&notifier->lock);
    free(notifier);
}
