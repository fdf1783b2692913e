// SPDX-License-Identifier: Apache-2.0
//
// ez_notify_channel: when one channel is told what. The first alert after a quiet time waits EZ_NOTIFY_GATHER_MS for
// those that come with it; what follows within the group's time goes into one message at its end.
//
// At most one message of a channel is under way. Where the next one is due and that one still waits for a repetition,
// it is taken back, and the next one is about both: a receiver that was away is told each alert as it is now, in order,
// and once. What could not be delivered at all goes into the next message too, unless the receiver refused it.
//
// The timer's thread; but an outcome comes on any. Times are monotonic, and the caller's.
#pragma once

#include "server/domain/alerts/notify_config.h"
#include "server/domain/alerts/notify_queue.h"
#include "server/domain/alerts/notify_told.h"

#define EZ_NOTIFY_GATHER_MS 1250 // with a tick before and one behind: sent within 1.75 s
#define EZ_NOTIFY_CROWD     250  // alerts that an Alertmanager, which groups by itself, is sent before its group's end
#define EZ_NOTIFY_OPEN_ROOM 400  // alerts that wait, below which a channel takes another page of open ones
#define EZ_NOTIFY_STUCK_MS  5000 // a message that is under way for longer is not waited for

typedef enum ez_notify_outcome {
    EZ_NOTIFY_NONE = 0,
    EZ_NOTIFY_DELIVERED,
    EZ_NOTIFY_REFUSED,
    EZ_NOTIFY_LOST, // may arrive when it is sent anew
} ez_notify_outcome;

typedef struct ez_notify_channel {
    bool is_used;
    bool is_leaving; // it is no channel any more; what is under way is waited for
    char name[EZ_NOTIFY_NAME_MAX + 1];
    Ez__V1__NotificationKind kind;
    ez_notify_queue pending;
    ez_notify_queue sent; // what the message under way is about
    ez_notify_told told;
    uint64_t since_ms;   // of the first that is pending
    uint64_t due_ms;     // no message before
    uint64_t sent_ms;    // when the one under way was
    uint64_t replace_ms; // it is not taken back before
    bool is_under_way;
    bool is_failing; // the last one was not delivered
    int64_t delivery;
    atomic_int outcome; // an ez_notify_outcome, of the one under way
} ez_notify_channel;

// Begins with zeros, and takes its name and kind. Fini leaves zeros.
void ez_notify_channel_init(ez_notify_channel *channel, const ez_notify_receiver *receiver);
void ez_notify_channel_fini(ez_notify_channel *channel);

// Puts it down to be told, where the receiver wants to know.
void ez_notify_channel_note(ez_notify_channel *channel, const ez_notify_receiver *receiver, ez_notice *notice,
                            uint64_t now_ms);
// That many alerts were lost before anybody could look at them.
void ez_notify_channel_missed(ez_notify_channel *channel, uint64_t count, uint64_t now_ms);

// Whether it can take some hundred open alerts. One that wants none can, and so can one whose receiver is away, which
// must not keep others from hearing of them: there, what finds no room is passed over.
bool ez_notify_channel_has_room(const ez_notify_channel *channel, uint64_t now_ms);

typedef enum ez_notify_step {
    EZ_NOTIFY_WAIT,
    EZ_NOTIFY_SEND,
    EZ_NOTIFY_TAKE_BACK, // the one under way, then send; where it can't be, wait
} ez_notify_step;
// What is to be done now, after what has become of the message under way. is_last: whatever is pending, at once.
ez_notify_step ez_notify_channel_step(ez_notify_channel *channel, uint64_t now_ms, uint64_t group_ms, bool is_last);

// The message under way was taken back.
void ez_notify_channel_taken_back(ez_notify_channel *channel);
// The first count of what is pending are in a message, which is under way: call before it is sent, since its outcome
// may come at once. Then its number, or that it was not sent.
void ez_notify_channel_sending(ez_notify_channel *channel, size_t count, uint64_t now_ms, uint64_t group_ms);
void ez_notify_channel_sent(ez_notify_channel *channel, int64_t delivery);
// Any thread, once.
void ez_notify_channel_conclude(ez_notify_channel *channel, ez_notify_outcome outcome);
