// SPDX-License-Identifier: Apache-2.0
//
// Notices that may have been missed: of data planes that are well. They are made under the fleet's lock like any other,
// so that a loss that comes after one is told after it.
#include "proto/runtime/clock.h"
#include "server/domain/fleet/session.h"

#define HEARD_WITHIN_NS 10000000000ull // what another server said is believed for so long

static bool can_use_all(const ez_remote_session *remote) {
    Ez__V1__DataPlane *view = ez__v1__data_plane__unpack(NULL, remote->len, remote->view);
    bool can = view != NULL && view->n_rejected == 0 && remote->applied > 0;
    if (view != NULL) {
        ez__v1__data_plane__free_unpacked(view, NULL);
    }
    return can;
}

static bool is_live(const ez_fleet *fleet, const ez_remote_session *remote) {
    bool is_said_to_be = remote->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE ||
                         remote->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LAGGING;
    return is_said_to_be && remote->server < EZ_FLEET_SERVERS_MAX &&
           ez_clock_mono_ns() - fleet->synced_ns[remote->server] < HEARD_WITHIN_NS;
}

// Within a directory section, under the lock.
static void look(ez_fleet *fleet, int64_t id) {
    const ez_session_state *ours = ez_session_find(fleet, id);
    const ez_remote_session *remote = ours == NULL ? ez_remote_find(fleet, id) : NULL;
    if (ez_directory_get(fleet->options.directory, EZ__V1__KIND__KIND_DATA_PLANE, id) == NULL) {
        ez_session_notice_again(fleet, id, EZ_FLEET_REMOVED);
        return;
    }
    if ((ours == NULL || !ours->is_live) && (remote == NULL || !is_live(fleet, remote))) {
        return;
    }
    ez_session_notice_again(fleet, id, EZ_FLEET_BACK);
    if (ours != NULL ? ours->has_reported && ours->rejected_count == 0 : can_use_all(remote)) {
        ez_session_notice_again(fleet, id, EZ_FLEET_ACCEPTED);
    }
}

void ez_fleet_tell_again(ez_fleet *fleet, int64_t id) {
    ez_directory_enter();
    pthread_mutex_lock(&fleet->lock);
    look(fleet, id);
    pthread_mutex_unlock(&fleet->lock);
    ez_directory_leave();
}
