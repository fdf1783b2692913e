// SPDX-License-Identifier: Apache-2.0
//
// A data plane as libezplane makes one, and what it was given, counted by kind.
#pragma once

#include <pthread.h>

#include "clients/c/session.h"
#include "tests/integration/support/world.h"

#define EZ_PLANE_KINDS 9

typedef struct ez_plane {
    ez_session *session;
    pthread_mutex_t mutex; // guards what follows
    uint64_t puts[EZ_PLANE_KINDS];
    uint64_t given; // revision up to which it was given everything
    bool started_from_cache;
    char last_secret[128];    // of the API key that was given last
    const char *refused_name; // keys of this name are rejected; set before any comes
} ez_plane;

// token: of an enrolled data plane. cache_dir: NULL for none.
void given_follower(ez_plane *plane, ez_world *world, const char *token, const char *cache_dir);
// The same, rejecting keys of a name.
void given_picky_follower(ez_plane *plane, ez_world *world, const char *token, const char *refused_name);
// One that follows whatever server it is told of, over a client that knows this one.
void given_roamer(ez_plane *plane, ez_world *world, const char *token);
// The same over a client that exists, and outlives it.
void given_roamer_with(ez_plane *plane, ez_client *client, const char *token);
// One that holds keys and nothing else.
void given_key_follower(ez_plane *plane, ez_world *world, const char *token);
// Goodbye.
void end_follower(ez_plane *plane);
ez_session_info plane_info(ez_plane *plane);
uint64_t plane_puts(ez_plane *plane, Ez__V1__Kind kind);
// Whether it stands where the server stands, with the server's digest. Asks the server.
bool plane_agrees(ez_plane *plane, ez_world *world);
// Waits until it does; says where both stand where it never does.
void expect_agreement(ez_plane *plane, ez_world *world);
// Whether the user of the session has been given this revision; known before the server is told.
bool plane_was_given(ez_plane *plane, uint64_t revision);
// Whether it is live and at this revision or past it.
bool plane_reached(ez_plane *plane, uint64_t revision);
