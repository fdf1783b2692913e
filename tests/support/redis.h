// SPDX-License-Identifier: Apache-2.0
//
// A real redis-server of one's own, on a free port of 127.0.0.1, in a folder of its own, without persistence: what is
// in it is gone with its process. Every function fails the test where it can't do what it says.
#pragma once

#include <hiredis/hiredis.h>

#include "tests/support/process.h"

typedef struct ez_test_redis {
    ez_test_process process;
    char folder[EZ_TEST_PATH_MAX];
    unsigned port;
    char url[64];          // redis://127.0.0.1:PORT/0
    const char *password;  // "": none
    const char *args[32];  // further ones of redis-server
    redisContext *context; // for the test's own questions; made when first needed
    char *kept[16];        // answers
    unsigned kept_next;
} ez_test_redis;

// args: further arguments of redis-server, NULL-terminated, or NULL; they must live as long as it.
void given_redis(ez_test_redis *redis, const char *const *args);
void kill_redis(ez_test_redis *redis);
// Starts it again, empty; it must not be running.
void start_redis(ez_test_redis *redis);
void end_redis(ez_test_redis *redis);

// Asks it. Numbers as digits, nothing as "(nil)", an error as "(error) …", lists with blanks between. The last 16
// answers stay.
const char *redis_says(ez_test_redis *redis, const char *format, ...);
