// SPDX-License-Identifier: Apache-2.0
//
// Who a session gives its rows to in tests, and the few lines that most of these tests begin and end with. Helpers fail
// the test themselves.
#pragma once

#include <pthread.h>

#include "clients/c/session.h"
#include "tests/unit/client/plane.h"

#define TOKEN    "ezd_test-token-of-one-data-plane"
#define ROWS_MAX 64

// What the user of a session saw. Guarded by its mutex.
typedef struct holder {
    pthread_mutex_t mutex;
    struct {
        Ez__V1__Kind kind;
        int64_t id;
        char name[64], secret[64];
    } rows[ROWS_MAX];
    unsigned count, puts, deletes, steps;
    uint64_t revision;
    bool from_cache;
    ez_session_step last;
    const char *refused_name; // rows of this name are rejected
} holder;

holder *holder_create(void);
void holder_destroy(holder *seen);
// A copy, to look at in peace.
holder look(holder *seen);
// Where the row is; seen->count where there is none. Of a copy.
unsigned row_at(const holder *seen, Ez__V1__Kind kind, int64_t id);
bool holds_space(holder *seen, int64_t id, const char *name);

// The callbacks that fill it.
ez_session_put on_put;
ez_session_delete on_delete;
ez_session_at on_revision;

ez_session_options options_for(fake_plane *plane, holder *seen);
ez_session *session_of(const ez_session_options *options);
ez_session *follow(fake_plane *plane, holder *seen);
ez_session_info info_of(ez_session *session);
// Live, at this revision.
bool is_at(ez_session *session, uint64_t n);
void expect_same_digest(fake_plane *plane, ez_session *session);
// Events reach the session from here on.
void given_joined(fake_plane *plane, ez_session *session);
// Three rows, to be fetched: namespaces 1 and 2, API key 3.
void given_rows(fake_plane *plane);
