// SPDX-License-Identifier: Apache-2.0
//
// The times of one channel. due_ms keeps messages apart; what did not fit into one (an Alertmanager's) is due as soon
// as that is over, and must not take it back.
#include "server/domain/alerts/notify_channel.h"

#include <string.h>

void ez_notify_channel_init(ez_notify_channel *channel, const ez_notify_receiver *receiver) {
    channel->is_used = true;
    memcpy(channel->name, receiver->name, sizeof channel->name);
    channel->kind = receiver->kind;
}

void ez_notify_channel_fini(ez_notify_channel *channel) {
    ez_notify_queue_clear(&channel->pending);
    ez_notify_queue_clear(&channel->sent);
    memset(channel, 0, sizeof *channel);
}

static void begin_waiting(ez_notify_channel *channel, uint64_t now_ms) {
    if (channel->pending.count == 0 && channel->pending.dropped == 0)
        channel->since_ms = now_ms;
}

// An alert that is still open makes room for news, and never comes behind its own end.
static bool takes_open(const ez_notify_channel *channel, int64_t alert_id) {
    return channel->pending.count < EZ_NOTIFY_QUEUE_MAX - EZ_NOTIFY_CROWD &&
           !(channel->is_under_way && ez_notify_queue_has_end(&channel->sent, alert_id));
}

void ez_notify_channel_note(ez_notify_channel *channel, const ez_notify_receiver *receiver, ez_notice *notice,
                            uint64_t now_ms) {
    // An end is told wherever the beginning was, though the alert may have become another severity's meanwhile.
    bool ends = ez_notice_is_end(notice) && receiver->is_enabled && receiver->sends_resolved &&
                ez_notify_told_get(&channel->told, notice->alert_id) != 0;
    if (notice->event == EZ_NOTICE_OPEN && !takes_open(channel, notice->alert_id))
        return;
    if (!ends && !ez_notify_wants(receiver, notice) && !ez_notify_queue_has(&channel->pending, notice->alert_id))
        return;
    begin_waiting(channel, now_ms);
    (void)ez_notify_queue_add(&channel->pending, notice); // what is dropped is counted there
}

void ez_notify_channel_missed(ez_notify_channel *channel, uint64_t count, uint64_t now_ms) {
    begin_waiting(channel, now_ms);
    channel->pending.dropped += count;
}

static void end_message(ez_notify_channel *channel, ez_notify_outcome outcome, uint64_t now_ms, uint64_t group_ms) {
    channel->is_under_way = false;
    channel->is_failing = outcome != EZ_NOTIFY_DELIVERED;
    if (outcome != EZ_NOTIFY_LOST) {
        ez_notify_queue_clear(&channel->sent);
        return;
    }
    begin_waiting(channel, now_ms);
    ez_notify_queue_take_earlier(&channel->pending, &channel->sent);
    channel->due_ms = channel->due_ms > now_ms + group_ms ? channel->due_ms : now_ms + group_ms;
}

static bool is_alertmanager(const ez_notify_channel *channel) {
    return channel->kind == EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_ALERTMANAGER;
}

bool ez_notify_channel_has_room(const ez_notify_channel *channel, uint64_t now_ms) {
    bool is_away = channel->is_failing || (channel->is_under_way && now_ms >= channel->sent_ms + EZ_NOTIFY_STUCK_MS);
    return !is_alertmanager(channel) || is_away || channel->pending.count < EZ_NOTIFY_OPEN_ROOM;
}

static bool is_crowded(const ez_notify_channel *channel) {
    return is_alertmanager(channel) && !channel->is_failing && channel->pending.count >= EZ_NOTIFY_CROWD;
}

ez_notify_step ez_notify_channel_step(ez_notify_channel *channel, uint64_t now_ms, uint64_t group_ms, bool is_last) {
    ez_notify_outcome outcome = (ez_notify_outcome)atomic_exchange(&channel->outcome, EZ_NOTIFY_NONE);
    if (outcome != EZ_NOTIFY_NONE)
        end_message(channel, outcome, now_ms, group_ms);
    // What was dropped alone is no message: it is said in the next one.
    bool is_due = channel->pending.count > 0 && (is_last || (now_ms >= channel->since_ms + EZ_NOTIFY_GATHER_MS &&
                                                             (now_ms >= channel->due_ms || is_crowded(channel))));
    if (!is_due)
        return EZ_NOTIFY_WAIT;
    if (!channel->is_under_way)
        return EZ_NOTIFY_SEND;
    return is_last || now_ms >= channel->replace_ms ? EZ_NOTIFY_TAKE_BACK : EZ_NOTIFY_WAIT;
}

void ez_notify_channel_taken_back(ez_notify_channel *channel) {
    ez_notify_queue_take_earlier(&channel->pending, &channel->sent);
    channel->is_under_way = false;
}

// An Alertmanager's form keeps its own: it posts one alert under several severities.
static void note_told(ez_notify_channel *channel) {
    for (size_t i = 0; !is_alertmanager(channel) && i < channel->sent.count; i++) {
        const ez_notice *notice = channel->sent.items[i];
        uint32_t bit = ez_notice_is_end(notice) ? 0 : UINT32_C(1) << notice->severity;
        ez_notify_told_put(&channel->told, notice->alert_id, bit);
    }
}

void ez_notify_channel_sending(ez_notify_channel *channel, size_t count, uint64_t now_ms, uint64_t group_ms) {
    ez_notify_queue_split(&channel->pending, count, &channel->sent);
    note_told(channel);
    channel->is_under_way = true;
    channel->delivery = 0;
    channel->sent_ms = now_ms;
    channel->replace_ms = now_ms + group_ms;
    channel->due_ms = channel->pending.count > 0 ? now_ms : now_ms + group_ms;
}

void ez_notify_channel_sent(ez_notify_channel *channel, int64_t delivery) {
    channel->delivery = delivery;
}

void ez_notify_channel_conclude(ez_notify_channel *channel, ez_notify_outcome outcome) {
    atomic_store(&channel->outcome, (int)outcome);
}
