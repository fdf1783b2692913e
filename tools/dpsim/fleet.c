// SPDX-License-Identifier: Apache-2.0
//
// Many data planes in one process: one group (one worker thread) for all sessions, one client per 128 of them, a SUB
// socket each. The fleet owns all of it. Awkward: what a plane reads when it joins is no change that anybody waited
// for, so its first step is not measured; every later one is.
#include "tools/dpsim/fleet.h"
#include "tools/dpsim/servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/version.h"

typedef struct sim_plane {
    ez_sim_fleet *fleet;
    ez_session *session;
    bool has_joined; // worker only
} sim_plane;

struct ez_sim_fleet {
    ez_session_group *group;
    ez_client *clients[FLEET_CLIENTS_MAX];
    unsigned client_count;
    sim_plane *planes;
    unsigned count;
    ez_sim_held *held;
    ez_measure measure;
};

static void on_applied(void *user, const ez_session_step *step) {
    sim_plane *plane = user;
    if (!plane->has_joined) {
        plane->has_joined = true;
        return;
    }
    if (step->is_snapshot) {
        return; // everything anew: not a change's way here
    }
    ez_measure *measure = &plane->fleet->measure;
    if (step->commit_ns == 0) {
        ez_measure_add_unknown(measure, step->changes);
        return;
    }
    int64_t took = ez_clock_wall_ns() - step->commit_ns;
    ez_measure_add(measure, took > 0 ? (uint64_t)took / 1000 : 0, step->changes);
}

static bool on_put(void *user, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource,
                   const Ez__V1__ApiKeySecret *secret, char *reason, size_t reason_size) {
    (void)secret, (void)reason, (void)reason_size;
    const sim_plane *plane = user;
    ez_sim_held_put(plane->fleet->held, kind, id, resource);
    return true;
}

static void on_delete(void *user, Ez__V1__Kind kind, int64_t id) {
    const sim_plane *plane = user;
    ez_sim_held_delete(plane->fleet->held, kind, id);
}

static ez_status open_clients(ez_sim_fleet *fleet, const char *rpc_url, ez_error *error) {
    unsigned wanted = (fleet->count + FLEET_PLANES_PER_CLIENT - 1) / FLEET_PLANES_PER_CLIENT;
    wanted = wanted == 0 ? 1 : wanted > FLEET_CLIENTS_MAX ? FLEET_CLIENTS_MAX : wanted;
    char name[96];
    snprintf(name, sizeof name, "ez-dpsim/%s", ez_version);
    char room[EZ_SIM_SERVERS_TEXT];
    ez_client_options options = {.name = name};
    ez_status status = ez_sim_servers(rpc_url, room, &options, error);
    for (; status == EZ_OK && fleet->client_count < wanted; fleet->client_count++) {
        status = ez_client_open(&options, &fleet->clients[fleet->client_count], error);
        if (status != EZ_OK) {
            return status;
        }
    }
    return status;
}

static ez_status open_session(ez_sim_fleet *fleet, unsigned at, const char *config_url, const char *token,
                              ez_error *error) {
    sim_plane *plane = &fleet->planes[at];
    plane->fleet = fleet;
    ez_session_options options;
    ez_session_options_init(&options);
    options.client = fleet->clients[at % fleet->client_count];
    options.group = fleet->group;
    options.config_url = config_url;
    options.token = token;
    options.version = ez_version;
    options.keep_bytes = false;
    options.user = plane;
    options.on_applied = on_applied;
    if (at == 0 && fleet->held != NULL) {
        options.on_put = on_put;
        options.on_delete = on_delete;
    }
    return ez_session_open(&options, &plane->session, error);
}

ez_status ez_sim_fleet_open(const char *rpc_url, const char *config_url, const ez_enrolled *planes, unsigned count,
                            ez_sim_held *held, ez_sim_fleet **out, ez_error *error) {
    ez_sim_fleet *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL || (fleet->planes = calloc(count == 0 ? 1 : count, sizeof *fleet->planes)) == NULL) {
        free(fleet);
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for %u data planes.", count);
    }
    ez_measure_init(&fleet->measure);
    fleet->count = count;
    fleet->held = held;
    ez_status status = ez_session_group_open(&fleet->group, error);
    if (status == EZ_OK) {
        status = open_clients(fleet, rpc_url, error);
    }
    for (unsigned i = 0; i < count && status == EZ_OK; i++) {
        status = open_session(fleet, i, config_url, planes[i].token, error);
    }
    if (status != EZ_OK) {
        ez_sim_fleet_close(fleet);
        return status;
    }
    *out = fleet;
    return EZ_OK;
}

void ez_sim_fleet_close(ez_sim_fleet *fleet) {
    if (fleet == NULL) {
        return;
    }
    for (unsigned i = 0; i < fleet->count; i++) {
        if (fleet->planes[i].session != NULL) {
            ez_session_stop(fleet->planes[i].session);
        }
    }
    for (unsigned i = 0; i < fleet->count; i++) {
        ez_session_close(fleet->planes[i].session);
    }
    ez_session_group_close(fleet->group);
    for (unsigned i = 0; i < fleet->client_count; i++) {
        ez_client_close(fleet->clients[i]);
    }
    ez_measure_fini(&fleet->measure);
    free(fleet->planes);
    free(fleet);
}

void ez_sim_fleet_look(ez_sim_fleet *fleet, const ez_session_revision *at, const uint8_t *digest, ez_sim_state *out) {
    *out = (ez_sim_state){0};
    for (unsigned i = 0; i < fleet->count; i++) {
        ez_session_info info;
        ez_session_get_info(fleet->planes[i].session, &info);
        out->live += info.is_live;
        out->events_lost += info.events_lost;
        out->fetches += info.fetches;
        out->snapshots += info.snapshots;
        out->equal += at != NULL && digest != NULL && info.at.epoch == at->epoch && info.at.n == at->n &&
                      memcmp(info.digest, digest, sizeof info.digest) == 0;
    }
}

void ez_sim_fleet_begin(ez_sim_fleet *fleet) {
    ez_measure_reset(&fleet->measure);
}

void ez_sim_fleet_measured(ez_sim_fleet *fleet, ez_measure_result *out) {
    ez_measure_read(&fleet->measure, out);
}
