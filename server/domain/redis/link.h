// SPDX-License-Identifier: Apache-2.0
//
// ez_redis_link: one connection to Redis. Sends what was put in a buffer and reads one reply after the other; every
// wait has a bound. One thread; it blocks, so none of nng's or the writer's. A link that failed is broken for good:
// destroy it and make another. Replies are hiredis's.
//
// Secrets: the password is used here and never appears in an error, nor do Redis's words beyond the first few.
#pragma once

#include <hiredis/hiredis.h>

#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "server/domain/redis/url.h"

#define EZ_REDIS_CONNECT_MS 3000 // name, connection, TLS, AUTH and SELECT together (a resolver may take longer)
#define EZ_REDIS_REPLY_MS   5000 // for the next bytes of a reply, or the next to be taken

typedef struct ez_redis_link ez_redis_link;

typedef struct ez_redis_link_options {
    const ez_redis_url *url;
    const char *ca_file; // TLS; NULL: the system's
    int wake_fd;         // readable: give up waiting at once (UNAVAILABLE, STOPPING); -1: none
} ez_redis_link_options;

// UNAVAILABLE: REDIS_AWAY (nobody answers), REDIS_TLS, REDIS_LOGIN (credentials, database).
ez_status ez_redis_link_create(const ez_redis_link_options *options, ez_redis_link **out,
                               ez_error *error) EZ_MUST_CHECK;
void ez_redis_link_destroy(ez_redis_link *link); // NULL is fine

// Readable while nothing is asked: it was closed.
int ez_redis_link_fd(const ez_redis_link *link);

// Sends all of it. While the peer is slow to take it, its replies are read and kept.
ez_status ez_redis_link_send(ez_redis_link *link, const ez_buf *commands, ez_error *error) EZ_MUST_CHECK;
// The next reply, which may be an error of Redis's (REDIS_REPLY_ERROR); the caller frees it with freeReplyObject.
// extra_ms: how much longer than usual Redis may take (blocking commands).
ez_status ez_redis_link_receive(ez_redis_link *link, unsigned extra_ms, redisReply **out,
                                ez_error *error) EZ_MUST_CHECK;
// Sends and receives count replies, all of which must not be errors: an error is UNAVAILABLE, as ez_redis_refused. The
// last reply is *out (NULL: not wanted).
ez_status ez_redis_link_ask(ez_redis_link *link, const ez_buf *commands, size_t count, redisReply **out,
                            ez_error *error) EZ_MUST_CHECK;

// Redis's error as we show it: without the arguments that Redis may quote. out holds size bytes.
void ez_redis_error_text(const redisReply *reply, char *out, size_t size);
// UNAVAILABLE (REDIS_REFUSED; REDIS_FULL: its memory is) from a reply that is an error.
ez_status ez_redis_refused(const redisReply *reply, ez_error *error);

static inline void ez_redis_reply_free(redisReply **reply) {
    if (*reply)
        freeReplyObject(*reply);
}
#define ez_redis_autofree __attribute__((cleanup(ez_redis_reply_free)))
