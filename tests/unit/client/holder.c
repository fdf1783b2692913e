// SPDX-License-Identifier: Apache-2.0
//
// The user of a session in tests: keeps what it was given, under its own mutex, because callbacks come from the
// session's worker.
#include "tests/unit/client/holder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/namespace.pb-c.h"

unsigned row_at(const holder *seen, Ez__V1__Kind kind, int64_t id) {
    unsigned i = 0;
    while (i < seen->count && (seen->rows[i].id != id || seen->rows[i].kind != kind)) {
        i++;
    }
    return i;
}

bool on_put(void *user, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource,
            const Ez__V1__ApiKeySecret *secret, char *reason, size_t reason_size) {
    holder *seen = user;
    const char *name = kind == EZ__V1__KIND__KIND_API_KEY ? ((const Ez__V1__ApiKey *)resource)->name
                                                          : ((const Ez__V1__Namespace *)resource)->name;
    pthread_mutex_lock(&seen->mutex);
    bool refused = seen->refused_name != NULL && strcmp(seen->refused_name, name) == 0;
    unsigned at = row_at(seen, kind, id);
    if (!refused && at < ROWS_MAX) {
        seen->count += at == seen->count;
        seen->rows[at].kind = kind;
        seen->rows[at].id = id;
        snprintf(seen->rows[at].name, sizeof seen->rows[at].name, "%s", name);
        snprintf(seen->rows[at].secret, sizeof seen->rows[at].secret, "%s", secret == NULL ? "" : secret->api_key);
    }
    seen->puts++;
    pthread_mutex_unlock(&seen->mutex);
    if (refused) {
        snprintf(reason, reason_size, "the name is taken");
    }
    return !refused;
}

void on_delete(void *user, Ez__V1__Kind kind, int64_t id) {
    holder *seen = user;
    pthread_mutex_lock(&seen->mutex);
    unsigned at = row_at(seen, kind, id);
    if (at < seen->count) {
        seen->rows[at] = seen->rows[--seen->count];
    }
    seen->deletes++;
    pthread_mutex_unlock(&seen->mutex);
}

void on_revision(void *user, ez_session_revision revision, bool from_cache) {
    holder *seen = user;
    pthread_mutex_lock(&seen->mutex);
    seen->revision = revision.n;
    seen->from_cache = from_cache;
    pthread_mutex_unlock(&seen->mutex);
}

static void on_applied(void *user, const ez_session_step *step) {
    holder *seen = user;
    pthread_mutex_lock(&seen->mutex);
    seen->last = *step;
    seen->steps++;
    pthread_mutex_unlock(&seen->mutex);
}

holder *holder_create(void) {
    holder *seen = calloc(1, sizeof *seen);
    cr_assert_not_null(seen);
    pthread_mutex_init(&seen->mutex, NULL);
    return seen;
}

void holder_destroy(holder *seen) {
    pthread_mutex_destroy(&seen->mutex);
    free(seen);
}

// A copy, to look at in peace.
holder look(holder *seen) {
    pthread_mutex_lock(&seen->mutex);
    holder copy = *seen;
    pthread_mutex_unlock(&seen->mutex);
    return copy;
}

static bool holds(holder *seen, Ez__V1__Kind kind, int64_t id, const char *name) {
    holder copy = look(seen);
    unsigned at = row_at(&copy, kind, id);
    return at < copy.count && strcmp(copy.rows[at].name, name) == 0;
}

bool holds_space(holder *seen, int64_t id, const char *name) {
    return holds(seen, EZ__V1__KIND__KIND_NAMESPACE, id, name);
}

ez_session_options options_for(fake_plane *plane, holder *seen) {
    ez_session_options options;
    ez_session_options_init(&options);
    options.client_options =
        (ez_client_options){.servers = {plane_rpc_url(plane)}, .server_count = 1, .token = TOKEN, .name = "tests/1"};
    options.name = "edge-1";
    options.user = seen;
    options.on_put = on_put;
    options.on_delete = on_delete;
    options.on_revision = on_revision;
    options.on_applied = on_applied;
    return options;
}

ez_session *session_of(const ez_session_options *options) {
    ez_session *session;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_session_open(options, &session, &error), EZ_OK, "%s", error.message);
    return session;
}

ez_session *follow(fake_plane *plane, holder *seen) {
    ez_session_options options = options_for(plane, seen);
    return session_of(&options);
}

ez_session_info info_of(ez_session *session) {
    ez_session_info info;
    ez_session_get_info(session, &info);
    return info;
}

bool is_at(ez_session *session, uint64_t n) {
    ez_session_info info = info_of(session);
    return info.is_live && info.at.n == n;
}

void expect_same_digest(fake_plane *plane, ez_session *session) {
    uint8_t digest[EZ_DIGEST_LEN];
    plane_digest(plane, digest);
    cr_assert_arr_eq(info_of(session).digest, digest, EZ_DIGEST_LEN);
}

// Events reach the session from here on.
void given_joined(fake_plane *plane, ez_session *session) {
    until(info_of(session).is_live);
    until((plane_commit(plane, (plane_change){.id = 1000, .name = "joined"}), info_of(session).pushed > 0));
    until(is_at(session, plane_revision(plane)));
}

void given_rows(fake_plane *plane) {
    plane_commit(plane, (plane_change){.id = 1, .name = "one", .quiet = true});
    plane_commit(plane, (plane_change){.id = 2, .name = "two", .quiet = true});
    plane_commit(plane, (plane_change){.id = 3, .name = "key", .secret_version = 1, .secret = "sk-1", .quiet = true});
}
