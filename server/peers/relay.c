// SPDX-License-Identifier: Apache-2.0
//
// What happens on one server is told to the subscribers of all: each passes on what the others published, under its own
// numbers, with the origin in the header. What has an origin was passed on already and goes no further. Live numbers
// are not passed on: every server sums them itself.
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/log.h"
#include "server/peers/inside.h"

#define EVENTS_AT_ONCE 256 // then others have their turn
#define HEADER_MAX     (64u << 10)

static void pass_on(ez_servers *servers, const char *topic, const Ez__V1__EventHeader *header, ez_slice message) {
    ez_publish_event event = {.topic = topic, .origin = header->server_id, .message = message.data, .len = message.len};
    if (header->time != NULL) {
        event.time_ns = header->time->seconds * 1000000000 + header->time->nanos;
    }
    if (header->from != NULL && header->to != NULL) {
        event.epoch = header->to->epoch;
        event.from = header->from->n;
        event.to = header->to->n;
    }
    ez_error error = EZ_ERROR_INIT;
    if (ez_publish_send(servers->options.events, &event, &error) != EZ_OK) {
        ez_log_warn("another server's event was not passed on", "reason", error.reason);
    }
}

static void handle(ez_servers *servers, ez_peer *peer, const char *topic, const Ez__V1__EventHeader *header,
                   ez_slice message) {
    pthread_mutex_lock(&servers->lock);
    bool is_its = strcmp(header->server_id, peer->id) == 0;
    bool is_own = header->origin[0] == '\0';
    peer->wants_sync = peer->wants_sync || (is_its && is_own && strcmp(topic, "dataplanes") == 0);
    pthread_mutex_unlock(&servers->lock);
    if (!is_its || !is_own || strcmp(topic, "stats.realtime") == 0) {
        return;
    }
    if (servers->options.counted != NULL && strcmp(topic, "stats.flush") == 0) {
        servers->options.counted(servers->options.counted_user);
    }
    pass_on(servers, topic, header, message);
}

void ez_relay_take(ez_servers *servers, ez_peer *peer, ez_subscriber *subscriber, ez_buf *room) {
    ez_arena arena;
    ez_arena_init(&arena, HEADER_MAX);
    for (unsigned i = 0; i < EVENTS_AT_ONCE && ez_subscriber_take(subscriber, room); i++) {
        const char *topic;
        Ez__V1__EventHeader *header;
        ez_slice message;
        ez_error error = EZ_ERROR_INIT;
        ez_arena_reset(&arena);
        if (ez_frame_read_event(room->data, room->len, &arena, &topic, &header, &message, &error) == EZ_OK) {
            handle(servers, peer, topic, header, message);
        }
    }
    ez_arena_fini(&arena);
}
