// SPDX-License-Identifier: Apache-2.0
//
// The refresh queue's reader. One entry at a time: moved beside the queue, handed on, taken away. What a crash left
// beside the queue is handed on first, so an entry may be handed on twice, and never not at all; whoever listens can
// tell by the token's hash that it was done already. What nobody can take yet stays beside the queue and is tried
// again.
//
// The stream is read through the group "ezplane" and the one consumer of that name, so that whichever server takes over
// finds what its predecessor had not acknowledged.
#include "server/domain/redis/refresh.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/redis/command.h"
#include "server/domain/redis/link.h"

#define QUEUE      "token:refresh:queue"
#define PROCESSING "token:refresh:processing"
#define DEAD       "token:refresh:dead"
#define STREAM     "token:refresh:queue:stream"
#define GROUP      "ezplane"
#define DEAD_LAST  "999" // 1,000 are kept
#define BLOCK_S    "1"   // how long BLMOVE waits; the stream is looked at in between
#define BLOCK_MS   1000
#define PAUSE_MS   1000 // after a failure, and where somebody can't take an entry
#define ENTRY_MAX  4096 // bytes of one entry; more is no request

struct ez_refresher {
    ez_refresher_options options;
    pthread_t thread;
    bool is_ended; // it was waited for
    ez_redis_link *link;
    bool has_looked;  // at what was left beside the queue
    bool is_stuck;    // an entry stays: pause
    char group_at[4]; // "0": what was not acknowledged; ">": what is new
    _Atomic uint64_t taken, dead, retried;
};

// ---- One entry

static bool copy_member(const json_t *object, const char *name, char *out, size_t size) {
    const json_t *value = json_object_get(object, name);
    out[0] = 0;
    if (!value || json_is_null(value))
        return true;
    if (json_is_integer(value)) {
        snprintf(out, size, "%lld", (long long)json_integer_value(value));
        return true;
    }
    if (!json_is_string(value) || json_string_length(value) >= size)
        return false;
    snprintf(out, size, "%s", json_string_value(value));
    return true;
}

static bool read_id(const json_t *value, int64_t *out) {
    if (json_is_integer(value))
        *out = json_integer_value(value);
    else if (json_is_string(value) && json_string_length(value) < 19 && json_string_length(value) > 0 &&
             strspn(json_string_value(value), "0123456789") == json_string_length(value))
        *out = strtoll(json_string_value(value), NULL, 10);
    else
        return false;
    return *out > 0;
}

static bool is_hash(const char *text) {
    size_t len = strlen(text);
    return len == 0 || (len == 64 && strspn(text, "0123456789abcdef") == 64);
}

static bool read_object(const json_t *object, ez_refresh_request *out) {
    ez_refresh_request request = {0};
    bool is_good =
        json_is_object(object) && read_id(json_object_get(object, "api_key_id"), &request.api_key_id) &&
        copy_member(object, "observed_access_token_sha256", request.observed_sha256, sizeof request.observed_sha256) &&
        copy_member(object, "reason", request.reason, sizeof request.reason) && is_hash(request.observed_sha256);
    if (is_good)
        *out = request;
    return is_good;
}

bool ez_refresh_request_read(const char *text, size_t len, ez_refresh_request *out) {
    json_t *object = len <= ENTRY_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool is_good = object && read_object(object, out);
    json_decref(object);
    return is_good;
}

typedef enum verdict { TAKEN, REFUSED, LATER } verdict;

static verdict hand_on(ez_refresher *f, const ez_refresh_request *request) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = f->options.refresh(f->options.refresh_user, request, &error);
    if (status == EZ_OK) {
        atomic_fetch_add(&f->taken, 1);
        return TAKEN;
    }
    if (status == EZ_NOT_FOUND || status == EZ_INVALID_ARGUMENT) {
        atomic_fetch_add(&f->dead, 1);
        ez_log_warn("a refresh request can't be served", "api_key", EZ_LOG_INT(request->api_key_id), "why",
                    error.message);
        return REFUSED;
    }
    atomic_fetch_add(&f->retried, 1);
    f->is_stuck = true;
    return LATER;
}

static void put_dead(ez_refresher *f, const char *text, size_t len, ez_buf *out) {
    ez_command_begin(out, 3);
    ez_command_text(out, "LPUSH");
    ez_command_key(out, f->options.prefix, DEAD);
    ez_command_bytes(out, text, len < ENTRY_MAX ? len : ENTRY_MAX);
    ez_command_begin(out, 4);
    ez_command_text(out, "LTRIM");
    ez_command_key(out, f->options.prefix, DEAD);
    ez_command_text(out, "0");
    ez_command_text(out, DEAD_LAST);
}

static void note_malformed(ez_refresher *f) {
    atomic_fetch_add(&f->dead, 1);
    ez_log_warn("an entry of the refresh queue is no request: it is in " DEAD);
}

// ---- The list

static ez_status forget_entry(ez_refresher *f, const char *text, size_t len, bool is_dead, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 1u << 20);
    ez_command_put(&out, "MULTI", NULL);
    if (is_dead)
        put_dead(f, text, len, &out);
    ez_command_begin(&out, 4);
    ez_command_text(&out, "LREM");
    ez_command_key(&out, f->options.prefix, PROCESSING);
    ez_command_text(&out, "1");
    ez_command_bytes(&out, text, len);
    ez_command_put(&out, "EXEC", NULL);
    ez_status status = ez_redis_link_ask(f->link, &out, is_dead ? 5 : 3, NULL, error);
    ez_buf_fini(&out);
    return status;
}

static ez_status take_entry(ez_refresher *f, const char *text, size_t len, ez_error *error) {
    ez_refresh_request request;
    if (!ez_refresh_request_read(text, len, &request)) {
        note_malformed(f);
        return forget_entry(f, text, len, true, error);
    }
    verdict said = hand_on(f, &request);
    return said == LATER ? EZ_OK : forget_entry(f, text, len, said == REFUSED, error);
}

// What a crash, or somebody who could not take it, left beside the queue.
static ez_status take_left(ez_refresher *f, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    ez_command_begin(&out, 4);
    ez_command_text(&out, "LRANGE");
    ez_command_key(&out, f->options.prefix, PROCESSING);
    ez_command_text(&out, "0");
    ez_command_text(&out, "99");
    ez_redis_autofree redisReply *reply = NULL;
    ez_status status = ez_redis_link_ask(f->link, &out, 1, &reply, error);
    ez_buf_fini(&out);
    if (status != EZ_OK || reply->type != REDIS_REPLY_ARRAY)
        return status;
    for (size_t i = 0; status == EZ_OK && i < reply->elements && !f->is_stuck; i++)
        status = take_entry(f, reply->element[i]->str, (size_t)reply->element[i]->len, error);
    f->has_looked = reply->elements == 0;
    return status;
}

static ez_status take_next(ez_refresher *f, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    ez_command_begin(&out, 6);
    ez_command_text(&out, "BLMOVE");
    ez_command_key(&out, f->options.prefix, QUEUE);
    ez_command_key(&out, f->options.prefix, PROCESSING);
    ez_command_text(&out, "LEFT");
    ez_command_text(&out, "RIGHT");
    ez_command_text(&out, BLOCK_S);
    ez_redis_autofree redisReply *reply = NULL;
    ez_status status = ez_redis_link_send(f->link, &out, error);
    ez_buf_fini(&out);
    if (status == EZ_OK)
        status = ez_redis_link_receive(f->link, BLOCK_MS, &reply, error);
    if (status == EZ_OK && reply->type == REDIS_REPLY_ERROR)
        return ez_redis_refused(reply, error);
    if (status != EZ_OK || reply->type != REDIS_REPLY_STRING)
        return status;
    status = take_entry(f, reply->str, (size_t)reply->len, error);
    f->has_looked = f->has_looked && !f->is_stuck;
    return status;
}

// ---- The stream

// An entry of names and values: the request's members, or one value that is the request as JSON.
static bool read_fields(const redisReply *fields, ez_refresh_request *out) {
    if (fields->type != REDIS_REPLY_ARRAY)
        return false;
    json_t *object = json_object();
    bool is_good = object != NULL;
    for (size_t i = 0; is_good && i + 1 < fields->elements && i < 32; i += 2) {
        const redisReply *name = fields->element[i], *value = fields->element[i + 1];
        if (value->len > 0 && value->str[0] == '{' && ez_refresh_request_read(value->str, (size_t)value->len, out)) {
            json_decref(object);
            return true;
        }
        is_good = json_object_setn_new(object, name->str, (size_t)name->len,
                                       json_stringn(value->str, (size_t)value->len)) == 0;
    }
    is_good = is_good && read_object(object, out);
    json_decref(object);
    return is_good;
}

static ez_status forget_stream_entry(ez_refresher *f, const redisReply *id, bool is_dead, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 1u << 20);
    ez_command_put(&out, "MULTI", NULL);
    if (is_dead) {
        char text[80];
        int len = snprintf(text, sizeof text, "stream %.60s", id->str);
        put_dead(f, text, (size_t)len, &out);
    }
    ez_command_begin(&out, 4);
    ez_command_text(&out, "XACK");
    ez_command_key(&out, f->options.prefix, STREAM);
    ez_command_text(&out, GROUP);
    ez_command_bytes(&out, id->str, (size_t)id->len);
    ez_command_put(&out, "EXEC", NULL);
    ez_status status = ez_redis_link_ask(f->link, &out, is_dead ? 5 : 3, NULL, error);
    ez_buf_fini(&out);
    return status;
}

static ez_status take_stream_entry(ez_refresher *f, const redisReply *entry, ez_error *error) {
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || entry->element[0]->type != REDIS_REPLY_STRING)
        return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_REFUSED", "Redis gave a stream entry that is none");
    ez_refresh_request request;
    if (!read_fields(entry->element[1], &request)) {
        note_malformed(f);
        return forget_stream_entry(f, entry->element[0], true, error);
    }
    verdict said = hand_on(f, &request);
    return said == LATER ? EZ_OK : forget_stream_entry(f, entry->element[0], said == REFUSED, error);
}

// The group is made once there is a stream; there may be none for ever.
static ez_status make_group(ez_refresher *f, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    ez_command_begin(&out, 5);
    ez_command_text(&out, "XGROUP");
    ez_command_text(&out, "CREATE");
    ez_command_key(&out, f->options.prefix, STREAM);
    ez_command_text(&out, GROUP);
    ez_command_text(&out, "0");
    ez_redis_autofree redisReply *reply = NULL;
    ez_status status = ez_redis_link_send(f->link, &out, error);
    ez_buf_fini(&out);
    return status == EZ_OK ? ez_redis_link_receive(f->link, 0, &reply, error) : status;
}

static ez_status read_stream(ez_refresher *f, redisReply **out, ez_error *error) {
    ez_buf command;
    ez_buf_init(&command, 4096);
    ez_command_begin(&command, 9);
    ez_command_text(&command, "XREADGROUP");
    ez_command_text(&command, "GROUP");
    ez_command_text(&command, GROUP);
    ez_command_text(&command, GROUP);
    ez_command_text(&command, "COUNT");
    ez_command_text(&command, "100");
    ez_command_text(&command, "STREAMS");
    ez_command_key(&command, f->options.prefix, STREAM);
    ez_command_text(&command, f->group_at);
    ez_status status = ez_redis_link_send(f->link, &command, error);
    ez_buf_fini(&command);
    return status == EZ_OK ? ez_redis_link_receive(f->link, 0, out, error) : status;
}

static ez_status take_stream(ez_refresher *f, ez_error *error) {
    ez_redis_autofree redisReply *reply = NULL;
    ez_status status = read_stream(f, &reply, error);
    if (status != EZ_OK)
        return status;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOGROUP", 7) == 0)
        return make_group(f, error);
    if (reply->type == REDIS_REPLY_ERROR)
        return ez_redis_refused(reply, error);
    const redisReply *entries = NULL;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements == 2)
        entries = reply->element[0]->element[1];
    size_t count = entries && entries->type == REDIS_REPLY_ARRAY ? entries->elements : 0;
    for (size_t i = 0; status == EZ_OK && i < count && !f->is_stuck; i++)
        status = take_stream_entry(f, entries->element[i], error);
    bool is_new = f->group_at[0] == '>';
    if (f->is_stuck)
        snprintf(f->group_at, sizeof f->group_at, "0");
    else if (!is_new && count == 0)
        snprintf(f->group_at, sizeof f->group_at, ">");
    return status;
}

// ---- The thread

static bool pause_for(const ez_refresher *f, int ms) {
    struct pollfd stop = {.fd = f->options.stop_fd, .events = POLLIN};
    return poll(&stop, 1, ms) > 0;
}

static ez_status step(ez_refresher *f, ez_error *error) {
    ez_redis_link_options link = {.url = f->options.url, .ca_file = f->options.ca_file, .wake_fd = f->options.stop_fd};
    ez_status status = EZ_OK;
    if (!f->link) {
        status = ez_redis_link_create(&link, &f->link, error);
        f->has_looked = false;
        snprintf(f->group_at, sizeof f->group_at, "0");
    }
    f->is_stuck = false;
    if (status == EZ_OK && !f->has_looked)
        status = take_left(f, error);
    if (status == EZ_OK && !f->is_stuck)
        status = take_stream(f, error);
    if (status == EZ_OK && !f->is_stuck && f->has_looked)
        status = take_next(f, error);
    return status;
}

static void *run(void *user) {
    ez_refresher *f = user;
    int wait_ms = 0;
    while (!pause_for(f, wait_ms)) {
        uint64_t token;
        ez_error error = EZ_ERROR_INIT;
        bool is_holder = f->options.is_holder(f->options.holder_user, &token);
        ez_status status = is_holder ? step(f, &error) : EZ_UNAVAILABLE;
        wait_ms = status != EZ_OK || f->is_stuck ? PAUSE_MS : 0;
        if (status == EZ_OK)
            continue;
        if (is_holder && f->link && strcmp(error.reason, "STOPPING") != 0)
            ez_log_warn("the refresh queue can't be read", "why", error.message);
        ez_redis_link_destroy(f->link);
        f->link = NULL;
    }
    ez_redis_link_destroy(f->link);
    return NULL;
}

ez_status ez_refresher_create(const ez_refresher_options *options, ez_refresher **out, ez_error *error) {
    ez_refresher *f = calloc(1, sizeof *f);
    if (!f)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to read the refresh queue");
    f->options = *options;
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        free(f);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for the refresh queue");
    }
    *out = f;
    return EZ_OK;
}

void ez_refresher_stop(ez_refresher *f) {
    if (!f || f->is_ended)
        return;
    pthread_join(f->thread, NULL);
    f->is_ended = true;
}

void ez_refresher_destroy(ez_refresher *f) {
    ez_refresher_stop(f);
    free(f);
}

void ez_refresher_count(ez_refresher *f, ez_refresher_numbers *out) {
    *out = (ez_refresher_numbers){.taken = f->taken, .dead = f->dead, .retried = f->retried};
}
