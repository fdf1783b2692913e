// SPDX-License-Identifier: Apache-2.0
//
// Positions and their text. The text comes back from clients (Last-Event-ID), so reading it is strict: digits that fit,
// no topic twice, nothing behind. The awkward case: a topic of which the server had no event. It is 0 in what the
// server says, and 0 in an id, so that the first event of all is not taken for the one to begin with.
#include "gateway/event_position.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/event.pb-c.h"
#include "proto/runtime/message.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

bool ez_server_id_is_valid(const char *text) {
    size_t len = strlen(text);
    return len > 0 && len <= EZ_SERVER_ID_MAX && strspn(text, LETTERS DIGITS "._-") == len;
}

void ez_event_position_write(const ez_event_position *position, char out[EZ_EVENT_ID_MAX]) {
    int len = snprintf(out, EZ_EVENT_ID_MAX, "%s", position->server_id);
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (position->topics & (1u << i))
            len += snprintf(out + len, EZ_EVENT_ID_MAX - (size_t)len, "/%c%" PRIu64, ez_topics[i].letter,
                            position->sequence[i]);
    }
}

// Digits up to the next "/" or the end.
static bool read_number(const char **at, uint64_t *out) {
    size_t digits = strspn(*at, DIGITS);
    uint64_t sum = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned digit = (unsigned)((*at)[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *at += digits;
    *out = sum;
    return digits > 0 && (**at == '/' || **at == '\0');
}

bool ez_event_position_read(const char *text, ez_event_position *out) {
    ez_event_position read = {0};
    size_t len = strcspn(text, "/");
    if (len > EZ_SERVER_ID_MAX)
        return false;
    memcpy(read.server_id, text, len);
    if (!ez_server_id_is_valid(read.server_id))
        return false;
    for (const char *at = text + len; *at;) {
        at++; // the "/"
        if (!*at || !strchr(LETTERS, *at))
            return false;
        int topic = ez_topic_of_letter(*at++);
        uint64_t sequence;
        if (!read_number(&at, &sequence) || (topic >= 0 && read.topics & (1u << topic)))
            return false;
        if (topic < 0)
            continue;
        read.topics |= 1u << topic;
        read.sequence[topic] = sequence;
    }
    *out = read;
    return true;
}

ez_status ez_event_position_decode(const ez_message_rule *reply, ez_slice message, ez_arena *arena,
                                   ez_event_position *out, ez_error *error) {
    static const char unreadable[] = "the core's answer to who watches events can't be read; are core and gateway of "
                                     "one version?";
    ProtobufCMessage *read = NULL;
    if (reply->descriptor != &ez__v1__watch_events_response__descriptor ||
        ez_message_decode_reply(reply, message.data, message.len, arena, &read, error) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "REPLY_INVALID", unreadable);
    const Ez__V1__WatchEventsResponse *watch = (const Ez__V1__WatchEventsResponse *)read;
    if (!ez_server_id_is_valid(watch->server_id))
        return ez_error_set(error, EZ_INTERNAL, "REPLY_INVALID", unreadable);
    *out = (ez_event_position){.topics = EZ_TOPIC_ALL};
    memcpy(out->server_id, watch->server_id, strlen(watch->server_id) + 1);
    for (size_t i = 0; i < watch->n_topics; i++) {
        int topic = ez_topic_find(watch->topics[i]->topic);
        if (topic >= 0)
            out->sequence[topic] = watch->topics[i]->sequence;
    }
    return EZ_OK;
}
