// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/redis/support/edge.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/crypto/hash.h"

static bool is_holder(void *user, uint64_t *token) {
    *token = ((edge *)user)->token;
    return *token > 0;
}

static void note_failed(void *user, const char *what) {
    (void)what;
    ((edge *)user)->failed++;
}

static void note_healed(void *user) {
    edge *e = user;
    e->healed++;
}

void open_edge(edge *e) {
    ez_error error = EZ_ERROR_INIT;
    ez_redis_options options = {.store = e->w->store,
                                .directory = e->w->directory,
                                .feed = e->w->feed,
                                .server_id = "me",
                                .url = e->url[0] ? e->url : e->server.url,
                                .prefix = "t:",
                                .interval_ms = e->interval_ms,
                                .batch = e->batch,
                                .max_tries = e->max_tries,
                                .is_holder = is_holder,
                                .holder_user = e,
                                .refresh = e->refresh,
                                .refresh_user = e->refresh_user,
                                .failed = note_failed,
                                .healed = note_healed,
                                .failed_user = e};
    cr_assert_eq(ez_redis_create(&options, &e->redis, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(ez_redis_start(e->redis, &error), EZ_OK, "%s", error.message);
}

void close_edge(edge *e) {
    ez_redis_destroy(e->redis);
    e->redis = NULL;
}

void given_edge(edge *e, const char *const *redis_args) {
    memset(e, 0, sizeof *e);
    e->interval_ms = 50;
    e->batch = 100;
    e->max_tries = 3;
    e->token = 1;
    given_redis(&e->server, redis_args);
    e->w = given_world();
    open_edge(e);
}

void end_edge(edge *e) {
    // Commits tell the thread: the world's writer ends first in a server; here nothing is committed any more.
    close_edge(e);
    end_world(e->w);
    end_redis(&e->server);
}

bool is_even(edge *e) {
    char want[64];
    ez_revision head = ez_feed_head(e->w->feed);
    snprintf(want, sizeof want, "%llu %llu", (unsigned long long)head.epoch, (unsigned long long)head.n);
    return strcmp(redis_says(&e->server, "HMGET t:meta:ezplane epoch revision"), want) == 0;
}

long long metric_of(edge *e, const char *name) {
    char line[80];
    ez_buf text;
    ez_buf_init(&text, 1u << 20);
    ez_redis_write_metrics(e->redis, &text);
    snprintf(line, sizeof line, "\nezplane_redis_%s ", name);
    const char *at = text.len ? strstr(ez_buf_cstr(&text), line) : NULL;
    long long value = at ? strtoll(at + strlen(line), NULL, 10) : -1;
    ez_buf_fini(&text);
    return value;
}

const char *word_of_edge(edge *e) {
    return ez_redis_word(e->redis);
}

void ask_edge(edge *e, bool for_rebuild) {
    static uint64_t rebuilds, retries;
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    Ez__V1__RedisSync sync = EZ__V1__REDIS_SYNC__INIT;
    rebuilds += for_rebuild;
    retries += !for_rebuild;
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(e->w->directory, EZ_INDEX_SETTING_NAME, ez_index_text("redis_sync"));
    setting.id = entry ? ez_entry_id(entry) : 0;
    ez_directory_leave();
    setting.name = (char *)"redis_sync";
    sync.rebuilds = rebuilds;
    sync.retries = retries;
    setting.redis_sync = &sync;
    given_stored(e->w, EZ__V1__KIND__KIND_SETTING, &setting.base);
}

const char *token_key(const Ez__V1__Key *key, char out[80]) {
    strcpy(out, "t:auth:token:");
    ez_hex(key->token_sha256.data, key->token_sha256.len, out + strlen(out));
    return out;
}
