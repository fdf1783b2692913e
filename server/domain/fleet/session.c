// SPDX-License-Identifier: Apache-2.0
//
// Hello, Ack, Heartbeat, Goodbye: what a data plane says of itself. The data plane is who the credential says it is; an
// id in a message would be ignored, so there is none.
//
// The awkward case: a revision of another epoch, or from the future, is no progress: it counts as none, and the reply's
// revision tells the data plane to fetch. A server that is cut off from its store says no revision: a data plane that
// was given later ones elsewhere would take the store for one that was put back, and go back with it.
#include "server/domain/fleet/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/handlers.h"
#include "proto/runtime/clock.h"

static uint32_t all_kinds(void) {
    uint32_t kinds = 0;
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++) {
        kinds |= ez_kind_is_config(kind) ? 1u << kind : 0;
    }
    return kinds;
}

void ez_session_note_kinds(ez_session_state *session, const Ez__V1__Kind *kinds, size_t count, bool keys_as_ids) {
    session->kinds = count == 0 ? all_kinds() : 0;
    for (size_t i = 0; i < count; i++) {
        session->kinds |= ez_kind_is_config((int)kinds[i]) ? 1u << kinds[i] : 0;
    }
    session->has_keys_as_ids = keys_as_ids;
}

bool ez_session_is_whole(const ez_session_state *session) {
    return session->kinds == all_kinds() && !session->has_keys_as_ids;
}

static ez_session_state *add_session(ez_fleet *fleet, int64_t id) {
    ez_session_state *session = calloc(1, sizeof *session);
    if (session != NULL) {
        session->id = id;
        ez_session_state **bucket = &fleet->buckets[(uint64_t)id % EZ_FLEET_BUCKETS];
        session->next = *bucket;
        *bucket = session;
    }
    return session;
}

// Under the lock. As many as there is memory for.
static size_t copy_servers(const ez_fleet *fleet, ez_arena *arena, char *out[EZ_FLEET_TOLD_MAX]) {
    size_t count = 0;
    while (count < fleet->server_count && (out[count] = ez_arena_strdup(arena, fleet->servers[count])) != NULL) {
        count++;
    }
    return count;
}

ez_status ez_handle_data_planes_hello(struct ez_fleet *self, ez_call *call, Ez__V1__HelloRequest *request) {
    ez_revision head = ez_feed_head(self->options.feed);
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&self->lock);
    ez_session_state *session = ez_session_find(self, call->principal.id);
    if (session == NULL) {
        session = add_session(self, call->principal.id);
    }
    if (session == NULL) {
        pthread_mutex_unlock(&self->lock);
        ez_outcome_finish(&outcome, self);
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for another session");
    }
    ez_remote_forget(self, session->id);                    // wherever it was, it is here now
    if (session->process_epoch != request->process_epoch) { // another process: what the one before it had is void
        ez_session_set(self, session, session->is_live, 0, &outcome);
        session->digest_known = false;
        session->rejected_count = 0;
        session->has_reported = false;
        session->has_said_kinds = false;
        ez_session_note_kinds(session, NULL, 0, false);
    }
    if (request->n_kinds > 0 || request->keys_as_ids) {
        session->has_said_kinds = true;
        ez_session_note_kinds(session, request->kinds, request->n_kinds, request->keys_as_ids);
    }
    session->process_epoch = request->process_epoch;
    session->hellos = request->hellos;
    ez_session_touch(self, session);
    snprintf(session->version, sizeof session->version, "%s", request->version);
    snprintf(session->address, sizeof session->address, "%s", call->remote);
    ez_session_heard(self, session, &outcome);
    char *servers[EZ_FLEET_TOLD_MAX];
    size_t server_count = copy_servers(self, &call->arena, servers);
    pthread_mutex_unlock(&self->lock);
    ez_outcome_finish(&outcome, self);

    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    revision.epoch = head.epoch;
    revision.n = head.n;
    Ez__V1__HelloResponse reply = EZ__V1__HELLO_RESPONSE__INIT;
    reply.id = call->principal.id;
    reply.heartbeat_ms = EZ_HEARTBEAT_MS;
    reply.max_message_bytes = EZ_CALL_MAX;
    reply.revision = &revision;
    reply.server_id = (char *)self->options.server_id;
    reply.config_url = (char *)self->options.config_url;
    reply.events_url = (char *)self->options.events_url;
    reply.servers = servers;
    reply.n_servers = server_count;
    return ez_call_reply(call, &reply.base);
}

// What Ack and Heartbeat have in common.
typedef struct report {
    const Ez__V1__Revision *revision;
    const ProtobufCBinaryData *digest;
    size_t rejected_count;
    Ez__V1__RejectedRow **rejected;
} report;

static bool rejects_others(const ez_session_state *session, const report *said, size_t count) {
    if (count != session->rejected_count) {
        return count > 0;
    }
    for (size_t i = 0; i < count; i++) {
        if ((int)said->rejected[i]->kind != session->rejected[i].kind ||
            said->rejected[i]->id != session->rejected[i].id) {
            return true;
        }
    }
    return false;
}

// True: other rows than before, and not none.
static bool keep_rejected(ez_session_state *session, const report *said) {
    size_t count = said->rejected_count < EZ_REJECTED_MAX ? said->rejected_count : EZ_REJECTED_MAX;
    bool are_others = rejects_others(session, said, count);
    session->rejected_count = 0;
    if (count == 0) {
        return false;
    }
    if (session->rejected == NULL) {
        session->rejected = calloc(EZ_REJECTED_MAX, sizeof *session->rejected);
    }
    for (size_t i = 0; session->rejected != NULL && i < count; i++) {
        ez_rejected *row = &session->rejected[session->rejected_count++];
        row->kind = (int)said->rejected[i]->kind;
        row->id = said->rejected[i]->id;
        snprintf(row->reason, sizeof row->reason, "%s", said->rejected[i]->reason);
    }
    return are_others;
}

static void keep_digest(ez_fleet *fleet, ez_session_state *session, uint64_t n, const report *said) {
    uint8_t ours[32];
    bool was_known = session->digest_known, was_equal = session->digest_equal;
    session->digest_known = ez_session_is_whole(session) && said->digest->len == sizeof ours && n != 0 &&
                            ez_feed_digest(fleet->options.feed, n, ours);
    session->digest_equal = session->digest_known && memcmp(ours, said->digest->data, sizeof ours) == 0;
    if (session->digest_known != was_known || session->digest_equal != was_equal) {
        ez_session_touch(fleet, session);
    }
}

// Takes a report in. FAILED_PRECONDITION: it never said Hello to this server.
static ez_status take(ez_fleet *fleet, ez_call *call, const report *said, bool *known, bool *equal) {
    ez_revision head = ez_feed_head(fleet->options.feed);
    uint64_t n = 0;
    if (said->revision != NULL && said->revision->epoch == head.epoch && said->revision->n <= head.n) {
        n = said->revision->n;
    }
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&fleet->lock);
    ez_session_state *session = ez_session_find(fleet, call->principal.id);
    if (session != NULL) {
        ez_session_heard(fleet, session, &outcome);
        ez_session_set(fleet, session, true, n, &outcome);
        keep_digest(fleet, session, n, said);
        size_t had_rejected = session->rejected_count;
        if (keep_rejected(session, said)) {
            ez_session_tell(fleet, session, EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_REJECTED, &outcome);
            ez_session_notice(fleet, session, EZ_FLEET_REJECTED);
            ez_session_touch(fleet, session);
        } else if (session->rejected_count != had_rejected) {
            ez_session_touch(fleet, session);
        }
        if (session->rejected_count == 0 && (had_rejected > 0 || !session->has_reported)) {
            ez_session_notice(fleet, session, EZ_FLEET_ACCEPTED);
        }
        session->has_reported = true;
        *known = session->digest_known;
        *equal = session->digest_equal;
    }
    pthread_mutex_unlock(&fleet->lock);
    ez_outcome_finish(&outcome, fleet);
    if (session == NULL) {
        return ez_call_fail(call, EZ_FAILED_PRECONDITION, "NO_SESSION",
                            "this server has no session of this data plane: say Hello first");
    }
    return EZ_OK;
}

ez_status ez_handle_config_ack(struct ez_fleet *self, ez_call *call, Ez__V1__AckConfigRequest *request) {
    report said = {request->revision, &request->digest, request->n_rejected, request->rejected};
    bool known = false, equal = false;
    ez_status status = take(self, call, &said, &known, &equal);
    if (status != EZ_OK) {
        return status;
    }
    Ez__V1__AckConfigResponse reply = EZ__V1__ACK_CONFIG_RESPONSE__INIT;
    reply.digest_known = known;
    reply.digest_equal = equal;
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_data_planes_heartbeat(struct ez_fleet *self, ez_call *call, Ez__V1__HeartbeatRequest *request) {
    report said = {request->revision, &request->digest, request->n_rejected, request->rejected};
    bool known = false, equal = false;
    ez_status status = take(self, call, &said, &known, &equal);
    if (status != EZ_OK) {
        return status;
    }
    ez_revision head = ez_feed_head(self->options.feed);
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    revision.epoch = head.epoch;
    revision.n = head.n;
    Ez__V1__HeartbeatResponse reply = EZ__V1__HEARTBEAT_RESPONSE__INIT;
    bool follows = self->options.writer == NULL || ez_writer_follows(self->options.writer);
    reply.revision = follows ? &revision : NULL;
    reply.digest_known = known;
    reply.digest_equal = equal;
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_data_planes_goodbye(struct ez_fleet *self, ez_call *call, Ez__V1__GoodbyeRequest *request) {
    (void)request;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&self->lock);
    ez_session_state *session = ez_session_find(self, call->principal.id);
    if (session != NULL) {
        session->has_stopped = true;
        ez_session_set(self, session, false, session->applied, &outcome);
    }
    pthread_mutex_unlock(&self->lock);
    ez_outcome_finish(&outcome, self);
    Ez__V1__Empty reply = EZ__V1__EMPTY__INIT;
    return ez_call_reply(call, &reply.base);
}
