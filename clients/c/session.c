// SPDX-License-Identifier: Apache-2.0
//
// ez_session: opening and closing. A session owns its copies of the texts, its rows, its socket and, where none were
// given, its client and its group. Awkward: it is closed in this order — the worker says goodbye and lets go of it, the
// socket closes, calls under way are abandoned, memory goes — and the same order must hold for one that was half
// opened.
#include "clients/c/session.h"

#include <stdlib.h>
#include <string.h>

#include "clients/c/session_private.h"
#include "proto/crypto/random.h"

#define CACHE_INTERVAL_MS 5000
#define ROWS_MAX          (4u << 20)
#define HEARTBEAT_NS      EZ_S
#define REPORT_REPLY_MAX  4096

void ez_session_options_init(ez_session_options *options) {
    *options = (ez_session_options){.cache_interval_ms = CACHE_INTERVAL_MS, .max_rows = ROWS_MAX, .keep_bytes = true};
}

static ez_status check(const ez_session_options *options, ez_error *error) {
    const char *token = options->token != NULL ? options->token : options->client_options.token;
    if (options->client == NULL && options->client_options.server_count == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CLIENT_MISSING",
                            "A session needs a client or a server's URL.");
    }
    if (options->cache_dir != NULL && (token == NULL || token[0] == '\0')) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TOKEN_MISSING",
                            "A session with a cache needs its token: the cache is sealed with it.");
    }
    if (options->cache_dir != NULL && !options->keep_bytes) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CACHE_INVALID",
                            "A session that keeps no bytes can't have a cache.");
    }
    if (options->max_rows == 0 || options->max_rows > ROWS_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "MAX_ROWS_INVALID", "max_rows must be 1 to %u.", ROWS_MAX);
    }
    for (unsigned i = 0; i < options->kind_count; i++) {
        if (i >= EZ_SESSION_KINDS_MAX || ez_change_member(options->kinds[i]) == 0) {
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "KINDS_INVALID",
                                "A session's kinds must be at most %d of those that data planes get.",
                                EZ_SESSION_KINDS_MAX);
        }
    }
    return options->config_url == NULL ? EZ_OK : ez_dial_check_url(options->config_url, error);
}

static bool copy(char **out, const char *text) {
    *out = text == NULL ? NULL : strdup(text);
    return text == NULL || *out != NULL;
}

static bool copy_texts(ez_session *session, const ez_session_options *options) {
    const char *token = options->token != NULL ? options->token : options->client_options.token;
    const ez_client_tls *tls = &options->client_options.tls;
    return copy(&session->name, options->name == NULL ? "" : options->name) &&
           copy(&session->version, options->version == NULL ? "" : options->version) && copy(&session->token, token) &&
           copy(&session->config_url, options->config_url) && copy(&session->tls_ca, tls->ca_file) &&
           copy(&session->tls_cert, tls->cert_file) && copy(&session->tls_name, tls->server_name);
}

static void wake(void *user) {
    ez_session *session = user;
    pthread_mutex_lock(&session->group->mutex);
    ez_group_ready(session->group, session);
    pthread_mutex_unlock(&session->group->mutex);
}

// What is the session's own before it joins its group.
static ez_status build(ez_session *session, const ez_session_options *options, ez_error *error) {
    session->main_call = ez_session_call_create(EZ_CALL_MAX, wake, session);
    session->report_call = ez_session_call_create(REPORT_REPLY_MAX, wake, session);
    if (!copy_texts(session, options) || session->main_call == NULL || session->report_call == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a session.");
    }
    if (ez_random(&session->process_epoch, sizeof session->process_epoch) != EZ_OK) {
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOM", "The system gave no random numbers.");
    }
    session->process_epoch |= 1; // 0 would be "not given"
    session->group = options->group;
    session->owns_group = options->group == NULL;
    ez_status status = session->owns_group ? ez_session_group_open(&session->group, error) : EZ_OK;
    session->client = options->client;
    session->owns_client = options->client == NULL;
    if (status == EZ_OK && session->owns_client) {
        ez_client_options client = options->client_options;
        client.token = session->token;
        status = ez_client_open(&client, &session->client, error);
    }
    if (status == EZ_OK) {
        status = ez_cache_open(session, error);
    }
    return status == EZ_OK ? ez_push_open(session, error) : status;
}

static void destroy(ez_session *session) {
    if (!ez_push_close(session)) {
        return; // nng may still call back: what it would touch stays
    }
    ez_session_call_abandon(session->main_call);
    ez_session_call_abandon(session->report_call);
    if (session->owns_client) {
        ez_client_close(session->client);
    }
    if (session->owns_group) {
        ez_session_group_close(session->group);
    }
    ez_cache_close(session);
    ez_rows_fini(&session->rows);
    ez_arena_fini(&session->arena);
    ez_arena_fini(&session->event_arena);
    if (session->token != NULL) {
        ez_wipe(session->token, strlen(session->token));
    }
    char *texts[] = {session->name,   session->version,  session->token,   session->config_url,
                     session->tls_ca, session->tls_cert, session->tls_name};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(texts[i]);
    }
    free(session);
}

ez_status ez_session_open(const ez_session_options *options, ez_session **out, ez_error *error) {
    ez_status status = check(options, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a session.");
    }
    session->options = *options;
    session->heartbeat_ns = HEARTBEAT_NS;
    for (unsigned i = 0; i < options->kind_count; i++) {
        session->kinds |= 1u << options->kinds[i];
    }
    ez_rows_init(&session->rows, options->max_rows, options->keep_bytes);
    ez_arena_init(&session->arena, EZ_UNPACK_MAX);
    ez_arena_init(&session->event_arena, EZ_EVENT_MAX * 4);
    status = build(session, options, error);
    if (status != EZ_OK) {
        destroy(session);
        return status;
    }
    ez_cache_load(session);
    session->info.at = session->at;
    session->info.rows = session->rows.held;
    session->info.rejected = session->rows.rejected;
    memcpy(session->info.digest, session->rows.digest, sizeof session->info.digest);
    if (session->config_url != NULL) {
        ez_push_dial(session, session->config_url);
    }
    *out = session;
    ez_group_add(session->group, session);
    return EZ_OK;
}

void ez_session_stop(ez_session *session) {
    pthread_mutex_lock(&session->group->mutex);
    session->stop = true;
    ez_group_ready(session->group, session);
    pthread_mutex_unlock(&session->group->mutex);
}

void ez_session_close(ez_session *session) {
    if (session == NULL) {
        return;
    }
    ez_session_stop(session);
    pthread_mutex_lock(&session->group->mutex);
    while (!session->is_closed) {
        pthread_cond_wait(&session->group->closed, &session->group->mutex);
    }
    pthread_mutex_unlock(&session->group->mutex);
    destroy(session);
}

void ez_session_get_info(ez_session *session, ez_session_info *out) {
    pthread_mutex_lock(&session->group->mutex);
    *out = session->info;
    pthread_mutex_unlock(&session->group->mutex);
}
