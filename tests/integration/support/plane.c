// SPDX-License-Identifier: Apache-2.0
//
// The follower's callbacks run on its session's thread; what they note is under the mutex. Whether it agrees with the
// server is asked in one go: the server's digest and revision come in one reply, and the follower must stand exactly
// there.
#include "tests/integration/support/plane.h"

#include <stdio.h>
#include <string.h>

#include "proto/crypto/hash.h"

static bool on_put(void *user, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource,
                   const Ez__V1__ApiKeySecret *secret, char *reason, size_t reason_size) {
    ez_plane *plane = user;
    (void)id;
    bool is_refused = kind == EZ__V1__KIND__KIND_KEY && plane->refused_name &&
                      strcmp(((const Ez__V1__Key *)resource)->name, plane->refused_name) == 0;
    pthread_mutex_lock(&plane->mutex);
    plane->puts[kind < EZ_PLANE_KINDS ? kind : 0]++;
    if (secret)
        snprintf(plane->last_secret, sizeof plane->last_secret, "%s", secret->api_key);
    pthread_mutex_unlock(&plane->mutex);
    if (is_refused)
        snprintf(reason, reason_size, "this data plane does not take that name");
    return !is_refused;
}

static void on_revision(void *user, ez_session_revision revision, bool from_cache) {
    ez_plane *plane = user;
    pthread_mutex_lock(&plane->mutex);
    plane->given = revision.n;
    plane->started_from_cache = plane->started_from_cache || from_cache;
    pthread_mutex_unlock(&plane->mutex);
}

// kind: the only one that it holds; 0: all.
static void follow_at(ez_plane *plane, ez_world *world, const char *token, const char *cache_dir, int kind,
                      const char *config_url) {
    pthread_mutex_init(&plane->mutex, NULL);
    ez_session_options options;
    ez_session_options_init(&options);
    options.client_options =
        (ez_client_options){.servers = {world->server.rpc_url}, .server_count = 1, .token = token, .name = "tests/1"};
    options.name = "edge";
    options.cache_dir = cache_dir;
    options.config_url = config_url;
    options.user = plane;
    options.on_put = on_put;
    options.on_revision = on_revision;
    options.kinds[0] = (Ez__V1__Kind)kind;
    options.kind_count = kind != 0;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_session_open(&options, &plane->session, &error), &error);
}

static void follow(ez_plane *plane, ez_world *world, const char *token, const char *cache_dir, int kind) {
    follow_at(plane, world, token, cache_dir, kind, world->server.config_url);
}

void given_roamer(ez_plane *plane, ez_world *world, const char *token) {
    *plane = (ez_plane){.session = NULL};
    follow_at(plane, world, token, NULL, 0, NULL);
}

void given_roamer_with(ez_plane *plane, ez_client *client, const char *token) {
    *plane = (ez_plane){.session = NULL};
    pthread_mutex_init(&plane->mutex, NULL);
    ez_session_options options;
    ez_session_options_init(&options);
    options.client = client;
    options.token = token;
    options.user = plane;
    options.on_put = on_put;
    options.on_revision = on_revision;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_session_open(&options, &plane->session, &error), &error);
}

void given_follower(ez_plane *plane, ez_world *world, const char *token, const char *cache_dir) {
    *plane = (ez_plane){.session = NULL};
    follow(plane, world, token, cache_dir, 0);
}

void given_picky_follower(ez_plane *plane, ez_world *world, const char *token, const char *refused_name) {
    *plane = (ez_plane){.refused_name = refused_name};
    follow(plane, world, token, NULL, 0);
}

void given_key_follower(ez_plane *plane, ez_world *world, const char *token) {
    *plane = (ez_plane){.session = NULL};
    follow(plane, world, token, NULL, EZ__V1__KIND__KIND_KEY);
}

void end_follower(ez_plane *plane) {
    ez_session_close(plane->session);
    pthread_mutex_destroy(&plane->mutex);
}

ez_session_info plane_info(ez_plane *plane) {
    ez_session_info info;
    ez_session_get_info(plane->session, &info);
    return info;
}

uint64_t plane_puts(ez_plane *plane, Ez__V1__Kind kind) {
    pthread_mutex_lock(&plane->mutex);
    uint64_t count = plane->puts[kind];
    pthread_mutex_unlock(&plane->mutex);
    return count;
}

bool plane_agrees(ez_plane *plane, ez_world *world) {
    char ours[65], theirs[65];
    int64_t rows;
    uint64_t revision;
    digest_of(world, theirs, &rows, &revision);
    ez_session_info info = plane_info(plane);
    ez_hex(info.digest, sizeof info.digest, ours);
    return info.at.n == revision && info.rows == (uint64_t)rows && strcmp(ours, theirs) == 0;
}

void expect_agreement(ez_plane *plane, ez_world *world) {
    uint64_t deadline = ez_test_deadline();
    bool agrees = plane_agrees(plane, world);
    while (!agrees && ez_test_before(deadline))
        agrees = plane_agrees(plane, world);
    ez_session_info info = plane_info(plane);
    int64_t rows;
    uint64_t revision;
    char theirs[65], ours[65];
    digest_of(world, theirs, &rows, &revision);
    ez_hex(info.digest, sizeof info.digest, ours);
    cr_assert(agrees,
              "the data plane (live: %d) holds %" PRIu64 " rows at %" PRIu64 ", digest %.8s; the server %" PRId64
              " at %" PRIu64 ", digest %.8s; %" PRIu64 " rejected, %" PRIu64 " fetches, %" PRIu64 " pushed",
              info.is_live, info.rows, info.at.n, ours, rows, revision, theirs, info.rejected, info.fetches,
              info.pushed);
}

bool plane_was_given(ez_plane *plane, uint64_t revision) {
    pthread_mutex_lock(&plane->mutex);
    bool was_given = plane->given >= revision;
    pthread_mutex_unlock(&plane->mutex);
    return was_given;
}

bool plane_reached(ez_plane *plane, uint64_t revision) {
    ez_session_info info = plane_info(plane);
    return info.is_live && info.at.n >= revision;
}
