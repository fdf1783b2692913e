// SPDX-License-Identifier: Apache-2.0
//
// The reply is copied out of outbound's callback under the lock; the thread that waits takes it. Redirects are not
// followed, outbound follows none: where a catalogue has moved to is for an admin to judge.
#include "server/domain/routing/models/fetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/domain/routing/models/catalogue_json.h"

struct ez_model_fetch {
    ez_outbound *outbound;
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t over;
    bool is_cancelled;
    bool is_done;
    ez_status status;
    ez_error error;
    int http_status;
    ez_model_text text;
    char encoding[32];  // Content-Encoding
    char location[160]; // Location, as it may be shown
};

ez_status ez_model_fetch_create(ez_outbound *outbound, ez_model_fetch **out, ez_error *error) {
    ez_model_fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the catalogue of models");
    fetch->outbound = outbound;
    pthread_mutex_init(&fetch->lock, NULL);
    pthread_cond_init(&fetch->over, NULL);
    *out = fetch;
    return EZ_OK;
}

void ez_model_fetch_destroy(ez_model_fetch *fetch) {
    if (!fetch)
        return;
    ez_model_text_fini(&fetch->text);
    pthread_cond_destroy(&fetch->over);
    pthread_mutex_destroy(&fetch->lock);
    free(fetch);
}

void ez_model_fetch_cancel(ez_model_fetch *fetch) {
    pthread_mutex_lock(&fetch->lock);
    fetch->is_cancelled = true;
    pthread_cond_signal(&fetch->over);
    pthread_mutex_unlock(&fetch->lock);
}

// ---- The reply

static void copy_header(const ez_outbound_reply *reply, const char *name, char *out, size_t size) {
    const char *value = ez_outbound_header(reply, name);
    size_t len = value ? strlen(value) : 0;
    memcpy(out, value ? value : "", len < size ? len + 1 : 1); // a long one is of no use
}

// One that can be sent back: others are as good as none.
static void check_etag(char *etag) {
    for (const char *c = etag; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            etag[0] = 0;
            return;
        }
    }
}

static void copy_reply(ez_model_fetch *fetch, const ez_outbound_reply *reply) {
    char location[EZ_OUTBOUND_URL_MAX];
    fetch->status = reply->status;
    fetch->http_status = reply->http_status;
    if (reply->error)
        ez_error_copy(&fetch->error, reply->error);
    copy_header(reply, "etag", fetch->text.etag, sizeof fetch->text.etag);
    check_etag(fetch->text.etag);
    copy_header(reply, "content-encoding", fetch->encoding, sizeof fetch->encoding);
    copy_header(reply, "location", location, sizeof location);
    ez_outbound_show_url(location, fetch->location, sizeof fetch->location);
    fetch->text.data = malloc(reply->body.len + 1);
    fetch->text.len = fetch->text.data ? reply->body.len : 0;
    if (!fetch->text.data) {
        fetch->status = ez_error_set(&fetch->error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
                                     "no memory for the catalogue of models");
        return;
    }
    if (reply->body.len > 0)
        memcpy(fetch->text.data, reply->body.data, reply->body.len);
    fetch->text.data[fetch->text.len] = 0;
}

static void on_reply(void *user, const ez_outbound_reply *reply) {
    ez_model_fetch *fetch = user;
    pthread_mutex_lock(&fetch->lock);
    copy_reply(fetch, reply);
    fetch->is_done = true;
    pthread_cond_signal(&fetch->over);
    pthread_mutex_unlock(&fetch->lock);
}

// ---- The request

static ez_status submit(ez_model_fetch *fetch, const char *url, const char *etag, ez_error *error) {
    const ez_outbound_field headers[] = {{"Accept", "application/json"}, {"If-None-Match", etag}};
    ez_outbound_request request = {.method = "GET",
                                   .url = url,
                                   .headers = headers,
                                   .header_count = etag[0] ? 2 : 1,
                                   .timeout_ms = EZ_MODEL_FETCH_MS,
                                   .max_reply = EZ_CATALOGUE_TEXT_MAX,
                                   .done = on_reply,
                                   .user = fetch};
    return ez_outbound_submit(fetch->outbound, &request, error);
}

static ez_status refused(const ez_model_fetch *fetch, const char *url, ez_error *error) {
    char shown[160];
    ez_outbound_show_url(url, shown, sizeof shown);
    bool is_moved = fetch->http_status >= 300 && fetch->http_status < 400 && fetch->location[0];
    return ez_error_set(error, EZ_UNAVAILABLE, "CATALOGUE_REFUSED",
                        is_moved ? "%s answered %d and sends on to %s: redirects are not followed, set EZ_MODELS_URL "
                                   "to where the catalogue is"
                                 : "%s answered %d where a catalogue was asked for%s",
                        shown, fetch->http_status, is_moved ? fetch->location : "");
}

static ez_status judge(ez_model_fetch *fetch, const char *url, const char *etag, bool *is_same, ez_error *error) {
    if (fetch->is_cancelled)
        return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    if (fetch->status != EZ_OK)
        return ez_error_copy(error, &fetch->error);
    *is_same = fetch->http_status == 304 && etag[0];
    if (fetch->http_status != 200 && !*is_same)
        return refused(fetch, url, error);
    if (!*is_same && fetch->encoding[0] && strcmp(fetch->encoding, "identity") != 0)
        return ez_error_set(error, EZ_UNAVAILABLE, "CATALOGUE_REFUSED",
                            "the catalogue came compressed (%s), which was not asked for", fetch->encoding);
    return EZ_OK;
}

ez_status ez_model_fetch_get(ez_model_fetch *fetch, const char *url, const char *etag, ez_model_text *out,
                             bool *is_same, ez_error *error) {
    pthread_mutex_lock(&fetch->lock);
    ez_model_text_fini(&fetch->text);
    fetch->is_done = false;
    ez_error_clear(&fetch->error);
    pthread_mutex_unlock(&fetch->lock);
    ez_status status = submit(fetch, url, etag, error);
    if (status != EZ_OK)
        return status;
    pthread_mutex_lock(&fetch->lock);
    while (!fetch->is_done && !fetch->is_cancelled) // outbound ends it after EZ_MODEL_FETCH_MS
        pthread_cond_wait(&fetch->over, &fetch->lock);
    status = judge(fetch, url, etag, is_same, error);
    if (status == EZ_OK && !*is_same) {
        *out = fetch->text;
        fetch->text = (ez_model_text){.data = NULL};
    }
    pthread_mutex_unlock(&fetch->lock);
    return status;
}
