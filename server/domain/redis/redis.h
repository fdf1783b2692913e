// SPDX-License-Identifier: Apache-2.0
//
// ez_redis: Redis as an edge. Derived state for data planes that read Redis: docs/redis.md is the contract. One thread
// follows the feed and writes; nothing else of the server ever waits for Redis. The handlers are in ez/handlers.h.
//
// Where several servers share a store, the one that is_holder says is the one that writes; the others tell what it left
// in the store. A token that grows from holder to holder keeps one that was asleep from writing when it wakes: every
// batch compares it with what stands in Redis, in the transaction that writes.
//
// Threads: create and destroy from the one that starts things; ez_redis_look, ez_redis_word and the handlers from any.
#pragma once

#include "server/state/directory/directory.h"

typedef struct ez_redis ez_redis;

// What a data plane that reads Redis asks for.
typedef struct ez_refresh_request {
    int64_t api_key_id;
    char observed_sha256[65]; // of the access token it saw, lower-case hexadecimal; "": not told
    char reason[64];
} ez_refresh_request;

typedef struct ez_redis_options {
    ez_store *store;
    const ez_directory *directory;
    ez_feed *feed;
    const char *server_id;
    const char *url;     // NULL or "": off
    const char *prefix;  // before every key; NULL: none
    const char *ca_file; // TLS; NULL: the system's
    int64_t interval_ms; // EZ_SYNC_OUTBOX_INTERVAL
    int64_t batch;       // EZ_SYNC_OUTBOX_BATCH: changes
    int64_t max_tries;   // EZ_SYNC_OUTBOX_MAX_RETRIES
    // Whether this server is the one that writes, and its token (> 0). Must not block.
    bool (*is_holder)(void *user, uint64_t *token);
    void *holder_user;
    // Takes a request of the refresh queue, on a thread of its own; may block. OK: it is remembered, Redis may forget
    // it. NOT_FOUND, INVALID_ARGUMENT: nobody can do anything with it. Others: it is asked again. NULL: nobody listens
    // yet, and the requests stay where they are.
    ez_status (*refresh)(void *user, const ez_refresh_request *request, ez_error *error);
    void *refresh_user;
    // Something went wrong for good: a resource is parked, or Redis is away for as long as the tries of one. On the
    // thread; must not block. NULL: it is in the log.
    void (*failed)(void *user, const char *what);
    // Nothing is wrong any more: Redis answers and no resource is parked. Once after each time that something went
    // wrong, and once when this server begins to write. Likewise.
    void (*healed)(void *user);
    void *failed_user; // of both
} ez_redis_options;

// "5s", "500ms", "2m" → milliseconds. INVALID_ARGUMENT.
ez_status ez_redis_read_interval(const char *text, int64_t *out_ms, ez_error *error) EZ_MUST_CHECK;

// Checks the settings; connects later, on its own thread: Redis may be away. INVALID_ARGUMENT: REDIS_URL.
ez_status ez_redis_create(const ez_redis_options *options, ez_redis **out, ez_error *error) EZ_MUST_CHECK;
// Begins to follow: before the first call is taken, after the store's writer exists.
ez_status ez_redis_start(ez_redis *redis, ez_error *error) EZ_MUST_CHECK;
// Ends the thread, while the store is still open.
void ez_redis_stop(ez_redis *redis);
// After the writer has ended: it tells about its commits.
void ez_redis_destroy(ez_redis *redis); // NULL is fine

// "off", "ok", "behind" or "away".
const char *ez_redis_word(ez_redis *redis);
// Appends metrics in Prometheus's form.
void ez_redis_write_metrics(ez_redis *redis, ez_buf *out);
