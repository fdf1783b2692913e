// SPDX-License-Identifier: Apache-2.0
//
// redis-server for a test. It is ready when it answers PING; one that was stopped (SIGSTOP) is not asked.
#include "tests/support/redis.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/port.h"
#include "tests/support/wait.h"

#define ANSWER_MAX (1u << 20)

static bool is_connected(ez_test_redis *redis) {
    if (redis->context && !redis->context->err)
        return true;
    if (redis->context)
        redisFree(redis->context);
    struct timeval timeout = {.tv_sec = 5};
    redis->context = redisConnectWithTimeout("127.0.0.1", (int)redis->port, timeout);
    if (!redis->context || redis->context->err)
        return false;
    redisSetTimeout(redis->context, timeout);
    if (!redis->password[0])
        return true;
    redisReply *reply = redisCommand(redis->context, "AUTH %s", redis->password);
    bool is = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply)
        freeReplyObject(reply);
    return is;
}

static bool answers(ez_test_redis *redis) {
    redisReply *reply = is_connected(redis) ? redisCommand(redis->context, "PING") : NULL;
    bool does = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply)
        freeReplyObject(reply);
    return does;
}

void start_redis(ez_test_redis *redis) {
    char port[16], log[EZ_TEST_PATH_MAX + 16];
    const char *args[48] = {"--port",      port,     "--bind", "127.0.0.1",    "--dir",
                            redis->folder, "--save", "",       "--appendonly", "no"};
    size_t count = 10;
    snprintf(port, sizeof port, "%u", redis->port);
    snprintf(log, sizeof log, "%.240s/log", redis->folder);
    for (size_t i = 0; redis->args[i]; i++)
        args[count++] = redis->args[i];
    start_process(&redis->process, "/usr/bin/redis-server", args, NULL, log);
    expect_soon(answers(redis));
}

void given_redis(ez_test_redis *redis, const char *const *args) {
    *redis = (ez_test_redis){.password = ""};
    for (size_t i = 0; args && args[i]; i++) {
        cr_assert_lt(i, 30, "too many arguments");
        redis->args[i] = args[i];
        if (i > 0 && strcmp(args[i - 1], "--requirepass") == 0)
            redis->password = args[i];
    }
    given_folder(redis->folder);
    redis->port = given_port();
    snprintf(redis->url, sizeof redis->url, "redis://127.0.0.1:%u/0", redis->port);
    start_redis(redis);
}

void kill_redis(ez_test_redis *redis) {
    kill_process(&redis->process);
    if (redis->context)
        redisFree(redis->context);
    redis->context = NULL;
}

void end_redis(ez_test_redis *redis) {
    kill_redis(redis);
    for (size_t i = 0; i < 16; i++)
        free(redis->kept[i]);
    remove_folder(redis->folder);
}

static void write_reply(const redisReply *reply, char *out, size_t *len) {
    size_t left = ANSWER_MAX - *len;
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        *len += (size_t)snprintf(out + *len, left, "%lld", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        *len += (size_t)snprintf(out + *len, left, "(nil)");
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++) {
            if (i > 0)
                out[(*len)++] = ' ';
            write_reply(reply->element[i], out, len);
        }
        break;
    default:
        *len +=
            (size_t)snprintf(out + *len, left, "%s%s", reply->type == REDIS_REPLY_ERROR ? "(error) " : "", reply->str);
        break;
    }
    cr_assert_lt(*len, ANSWER_MAX / 2, "Redis's answer is too long for a test");
}

const char *redis_says(ez_test_redis *redis, const char *format, ...) {
    expect_soon(is_connected(redis));
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(redis->context, format, args);
    va_end(args);
    cr_assert_not_null(reply, "Redis does not answer: %s", redis->context->errstr);
    char **kept = &redis->kept[redis->kept_next++ % 16];
    free(*kept);
    *kept = calloc(1, ANSWER_MAX);
    size_t len = 0;
    write_reply(reply, *kept, &len);
    freeReplyObject(reply);
    return *kept;
}
