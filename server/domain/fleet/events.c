// SPDX-License-Identifier: Apache-2.0
//
// What follows from a change of sessions: waiters that are complete are told, and what happened to a data plane is
// published on the events socket, topic "dataplanes". Both are collected under the fleet's lock and done without it.
// Whoever raises alerts is told under the lock, so that what came first is told first.
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/fleet/session.h"

#define EVENTS_MAX (1u << 20) // bytes collected at once

void ez_outcome_init(ez_outcome *outcome) {
    outcome->done = NULL;
    outcome->origin[0] = '\0';
    ez_buf_init(&outcome->events, EVENTS_MAX);
}

static void fill_rejected(const ez_session_state *session, Ez__V1__RejectedRow *rows, Ez__V1__RejectedRow **list) {
    for (size_t i = 0; i < session->rejected_count; i++) {
        ez__v1__rejected_row__init(&rows[i]);
        rows[i].kind = (Ez__V1__Kind)session->rejected[i].kind;
        rows[i].id = session->rejected[i].id;
        rows[i].reason = session->rejected[i].reason;
        list[i] = &rows[i];
    }
}

static void add_event(const Ez__V1__DataPlaneEvent *event, ez_outcome *outcome) {
    uint32_t len = (uint32_t)ez__v1__data_plane_event__get_packed_size(event);
    if (ez_buf_reserve(&outcome->events, sizeof len + len) == EZ_OK) {
        uint8_t *at = outcome->events.data + outcome->events.len;
        memcpy(at, &len, sizeof len);
        ez__v1__data_plane_event__pack(event, at + sizeof len);
        outcome->events.len += sizeof len + len;
    }
}

static void say(const ez_fleet *fleet, const ez_fleet_notice *notice) {
    if (fleet->options.told != NULL) {
        fleet->options.told(fleet->options.told_user, notice);
    }
}

void ez_session_notice(const ez_fleet *fleet, const ez_session_state *session, ez_fleet_notice_type type) {
    ez_fleet_notice notice = {
        .type = type, .id = session->id, .applied = session->applied, .rejected = (uint32_t)session->rejected_count};
    if (session->rejected_count > 0) {
        notice.kind = session->rejected[0].kind;
        notice.row_id = session->rejected[0].id;
        snprintf(notice.reason, sizeof notice.reason, "%.*s", (int)sizeof notice.reason - 1,
                 session->rejected[0].reason);
    }
    say(fleet, &notice);
}

void ez_session_notice_again(const ez_fleet *fleet, int64_t id, ez_fleet_notice_type type) {
    say(fleet, &(ez_fleet_notice){.type = type, .id = id, .is_again = true});
}

void ez_session_tell_lost(const ez_fleet *fleet, int64_t id, uint64_t applied, ez_outcome *outcome) {
    ez_revision head = ez_feed_head(fleet->options.feed);
    Ez__V1__Revision at = EZ__V1__REVISION__INIT;
    Ez__V1__DataPlaneEvent event = EZ__V1__DATA_PLANE_EVENT__INIT;
    at.epoch = applied != 0 ? head.epoch : 0;
    at.n = applied;
    say(fleet, &(ez_fleet_notice){.type = EZ_FLEET_LOST, .id = id, .applied = applied});
    event.type = EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_LOST;
    event.id = id;
    event.applied = &at;
    event.lag = head.n > applied ? head.n - applied : 0;
    if (fleet->options.events != NULL) {
        add_event(&event, outcome);
    }
}

void ez_session_tell(const ez_fleet *fleet, const ez_session_state *session, Ez__V1__DataPlaneEventType type,
                     ez_outcome *outcome) {
    if (fleet->options.events == NULL) {
        return;
    }
    ez_revision head = ez_feed_head(fleet->options.feed);
    Ez__V1__Revision applied = EZ__V1__REVISION__INIT;
    Ez__V1__DataPlaneEvent event = EZ__V1__DATA_PLANE_EVENT__INIT;
    Ez__V1__RejectedRow rows[EZ_REJECTED_MAX];
    Ez__V1__RejectedRow *list[EZ_REJECTED_MAX];
    fill_rejected(session, rows, list);
    applied.epoch = session->applied != 0 ? head.epoch : 0;
    applied.n = session->applied;
    event.type = type;
    event.id = session->id;
    event.applied = &applied;
    event.lag = head.n > session->applied ? head.n - session->applied : 0;
    event.rejected = list;
    event.n_rejected = session->rejected_count;
    add_event(&event, outcome);
}

static void publish(const ez_fleet *fleet, const ez_buf *events, const char *origin) {
    uint32_t len;
    for (size_t at = 0; at + sizeof len <= events->len; at += len) {
        memcpy(&len, events->data + at, sizeof len);
        at += sizeof len;
        ez_publish_event event = {.topic = "dataplanes",
                                  .epoch = ez_feed_head(fleet->options.feed).epoch,
                                  .time_ns = ez_clock_wall_ns(),
                                  .origin = origin,
                                  .message = events->data + at,
                                  .len = len};
        ez_error error = EZ_ERROR_INIT;
        if (ez_publish_send(fleet->options.events, &event, &error) != EZ_OK) {
            ez_log_warn("an event was not published", "reason", error.reason);
        }
    }
}

void ez_outcome_finish(ez_outcome *outcome, const ez_fleet *fleet) {
    for (ez_waiter *done = outcome->done, *next; done != NULL; done = next) {
        next = done->next;
        done->done(done);
    }
    if (outcome->events.len > 0) {
        publish(fleet, &outcome->events, outcome->origin[0] != '\0' ? outcome->origin : NULL);
    }
    ez_buf_fini(&outcome->events);
}
