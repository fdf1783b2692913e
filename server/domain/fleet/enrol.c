// SPDX-License-Identifier: Apache-2.0
//
// Enrolment: data planes as resources, made and removed by admins, shown with what their sessions say.
//
// The awkward case: what is stored is the enrolment alone; the session's fields are appended to its bytes when it is
// read, which protobuf takes as one message.
#include <stdio.h>
#include <string.h>

#include "ez/handlers.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "server/domain/fleet/session.h"
#include "server/state/directory/credential.h"
#include "server/state/directory/page.h"

ez_status ez_handle_data_planes_create(struct ez_fleet *self, ez_call *call, struct ez_txn *txn,
                                       Ez__V1__CreateDataPlaneRequest *request) {
    (void)self;
    Ez__V1__DataPlane *plane = request->data_plane;
    ez_credential made;
    ez_status status = ez_credential_mint(txn, "ezd_", &made, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    plane->id = 0;
    plane->token = made.token;
    plane->token_prefix = made.prefix;
    plane->token_last4 = made.last4;
    plane->token_sha256 = made.sha256;
    status = ez_txn_put(txn, EZ__V1__KIND__KIND_DATA_PLANE, &plane->base, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    plane->state = EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_NEVER_SEEN;
    return ez_call_reply(call, &plane->base);
}

ez_status ez_handle_data_planes_delete(struct ez_fleet *self, ez_call *call, struct ez_txn *txn,
                                       Ez__V1__DeleteDataPlaneRequest *request) {
    (void)self;
    ProtobufCMessage *before;
    ez_status status = ez_txn_load(txn, EZ__V1__KIND__KIND_DATA_PLANE, request->id, &before, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    status = ez_txn_delete(txn, EZ__V1__KIND__KIND_DATA_PLANE, request->id, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    Ez__V1__Empty reply = EZ__V1__EMPTY__INIT;
    return ez_call_reply(call, &reply.base);
}

Ez__V1__DataPlaneState ez_session_state_of(const ez_session_state *session) {
    if (session->has_stopped) {
        return EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_STOPPED;
    }
    if (!session->is_live) {
        return EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LOST;
    }
    if (session->behind_since_ns != 0 && ez_clock_mono_ns() - session->behind_since_ns > EZ_LOST_AFTER_NS) {
        return EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LAGGING;
    }
    return EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE;
}

static void set_time(Google__Protobuf__Timestamp *out, int64_t ns) {
    google__protobuf__timestamp__init(out);
    out->seconds = ns / 1000000000;
    out->nanos = (int32_t)(ns % 1000000000);
}

// Rejected rows in the arena; NULL where there is no memory or none was rejected.
static Ez__V1__RejectedRow **copy_rejected(const ez_session_state *session, ez_arena *arena) {
    Ez__V1__RejectedRow **list = ez_arena_alloc(arena, session->rejected_count * sizeof *list);
    for (size_t i = 0; list != NULL && i < session->rejected_count; i++) {
        list[i] = ez_arena_alloc(arena, sizeof **list);
        if (list[i] == NULL) {
            return NULL;
        }
        ez__v1__rejected_row__init(list[i]);
        list[i]->kind = (Ez__V1__Kind)session->rejected[i].kind;
        list[i]->id = session->rejected[i].id;
        list[i]->reason = ez_arena_strdup(arena, session->rejected[i].reason);
        if (list[i]->reason == NULL) {
            return NULL;
        }
    }
    return session->rejected_count > 0 ? list : NULL;
}

// The kinds it holds, where these are not all; returns how many.
static size_t list_kinds(const ez_session_state *session, Ez__V1__Kind out[EZ_KIND_COUNT]) {
    size_t count = 0;
    for (int kind = 1; kind < EZ_KIND_COUNT && !ez_session_is_whole(session); kind++) {
        if ((session->kinds >> kind & 1u) != 0) {
            out[count++] = (Ez__V1__Kind)kind;
        }
    }
    return count;
}

void ez_session_view(const ez_fleet *fleet, const ez_session_state *session, ez_arena *arena, Ez__V1__DataPlane *out) {
    ez_revision head = ez_feed_head(fleet->options.feed);
    Google__Protobuf__Timestamp *seen = ez_arena_alloc(arena, sizeof *seen);
    Ez__V1__Revision *applied = ez_arena_alloc(arena, sizeof *applied);
    Ez__V1__Kind *kinds = ez_arena_alloc(arena, EZ_KIND_COUNT * sizeof *kinds);
    out->state = ez_session_state_of(session);
    if (seen != NULL) {
        set_time(seen, session->heard_wall_ns);
    }
    if (applied != NULL) {
        ez__v1__revision__init(applied);
        applied->epoch = session->applied != 0 ? head.epoch : 0;
        applied->n = session->applied;
    }
    out->version = (char *)(uintptr_t)session->version;
    out->address = (char *)(uintptr_t)session->address;
    out->server_id = (char *)(uintptr_t)fleet->options.server_id;
    out->last_seen_at = seen;
    out->applied = applied;
    out->lag = head.n > session->applied ? head.n - session->applied : 0;
    out->digest_equal = session->digest_equal;
    out->digest_known = session->digest_known;
    out->kinds = kinds;
    out->n_kinds = kinds != NULL ? list_kinds(session, kinds) : 0;
    out->rejected = copy_rejected(session, arena);
    out->n_rejected = out->rejected != NULL ? session->rejected_count : 0;
}

// Appends what is known of its session, here or elsewhere. Under the fleet's lock, because it points into the session.
static ez_status append_session(ez_fleet *fleet, int64_t id, ez_arena *arena, ez_buf *out) {
    const ez_session_state *session = ez_session_find(fleet, id);
    const ez_remote_session *remote = session == NULL ? ez_remote_find(fleet, id) : NULL;
    if (remote != NULL) {
        return ez_remote_append(fleet, remote, out);
    }
    Ez__V1__DataPlane view = EZ__V1__DATA_PLANE__INIT;
    view.state = EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_NEVER_SEEN;
    if (session != NULL) {
        ez_session_view(fleet, session, arena, &view);
    }
    return ez_buf_pack(out, &view.base);
}

static ez_status show(void *user, const ez_entry *entry, ez_call *call, ez_buf *out) {
    ez_fleet *fleet = user;
    ez_slice data = ez_entry_data(entry);
    ez_status status = ez_buf_append(out, data.data, data.len);
    if (status != EZ_OK) {
        return status;
    }
    pthread_mutex_lock(&fleet->lock);
    status = append_session(fleet, ez_entry_id(entry), &call->arena, out);
    pthread_mutex_unlock(&fleet->lock);
    return status;
}

ez_status ez_handle_data_planes_get(struct ez_fleet *self, ez_call *call, Ez__V1__GetDataPlaneRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->options.directory, EZ__V1__KIND__KIND_DATA_PLANE, request->id);
    ez_status status = entry != NULL ? show(self, entry, call, &call->reply)
                                     : ez_call_fail(call, EZ_NOT_FOUND, "DATA_PLANE_NOT_FOUND",
                                                    "there is no data plane %lld", (long long)request->id);
    ez_directory_leave();
    return status;
}

typedef struct list_filter {
    ez_fleet *fleet;
    Ez__V1__DataPlaneState state;
} list_filter;

static bool has_state(void *user, const ez_entry *entry) {
    const list_filter *filter = user;
    Ez__V1__DataPlaneState state = EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_NEVER_SEEN;
    pthread_mutex_lock(&filter->fleet->lock);
    const ez_session_state *session = ez_session_find(filter->fleet, ez_entry_id(entry));
    const ez_remote_session *remote = session == NULL ? ez_remote_find(filter->fleet, ez_entry_id(entry)) : NULL;
    if (session != NULL) {
        state = ez_session_state_of(session);
    } else if (remote != NULL) {
        state = remote->state;
    }
    pthread_mutex_unlock(&filter->fleet->lock);
    return state == filter->state;
}

static ez_status show_listed(void *user, const ez_entry *entry, ez_call *call, ez_buf *out) {
    const list_filter *filter = user;
    return show(filter->fleet, entry, call, out);
}

ez_status ez_handle_data_planes_list(struct ez_fleet *self, ez_call *call, Ez__V1__ListDataPlanesRequest *request) {
    list_filter filter = {self, request->state};
    ez_page page = {.kind = EZ__V1__KIND__KIND_DATA_PLANE,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = request->q,
                    .q_field = 2,
                    .accept = request->state != 0 ? has_state : NULL,
                    .show = show_listed,
                    .user = &filter};
    return ez_page_reply(self->options.directory, &page, call);
}
