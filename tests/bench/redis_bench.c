// SPDX-License-Identifier: Apache-2.0
//
// bench_redis: a server's state over a SQLite store in FOLDER, and Redis at its edge.
//
//   bench_redis FOLDER REDIS_PORT CLOSED_PORT KEYS BINDINGS SECONDS
//
// Lines of JSON: how long it takes to write everything anew beside the bare HSETs of the same bytes in pipelines; when
// a change is in Redis after its commit, at 50 changes a second; and how many changes a second are committed with Redis
// there, with it away (a closed port), and with none, in turn. The redis-server must be empty and nobody else's.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/redis/command.h"
#include "server/domain/redis/link.h"
#include "server/domain/redis/redis.h"
#include "server/domain/redis/snapshot.h"
#include "server/state/directory/writer.h"

#define MASTERS   100
#define GROUPS    20
#define WRITERS   8
#define ROUNDS    3
#define CHANGES   500
#define CHANGE_MS 20
#define PIPELINE  (1u << 20) // bytes of the bare commands that are sent before their replies are read

static ez_store *store;
static ez_sealer *sealer;
static ez_directory *directory;
static ez_feed *feed;
static ez_writer *writer;
static char there[64], closed[64];
static long keys, bindings, seconds;

static void must(ez_status status, const ez_error *error) {
    if (status == EZ_OK)
        return;
    fprintf(stderr, "bench_redis: %s\n", error->message);
    exit(1);
}

// ---- The state

static void open_state(const char *folder) {
    static const uint8_t key[EZ_SEAL_KEY_LEN] = {1};
    ez_error error = EZ_ERROR_INIT;
    ez_store_head head;
    char url[512];
    snprintf(url, sizeof url, "sqlite:%s/bench.db", folder);
    must(ez_sealer_create(key, &sealer, &error), &error);
    ez_store_options options = {.url = url, .readers = 1, .epoch = 7, .now_ns = ez_clock_wall_ns(), .key_check = "b"};
    must(ez_store_open(&options, &store, &error), &error);
    must(ez_store_read_head(store, &head, &error), &error);
    must(ez_directory_create(head.epoch, sealer, &directory, &error), &error);
    must(ez_directory_load(directory, store, &error), &error);
    ez_feed_options feed_options = {.epoch = head.epoch, .n = head.n, .keep = 100000};
    must(ez_feed_create(&feed_options, &feed, &error), &error);
    ez_writer_options writer_options = {.store = store,
                                        .directory = directory,
                                        .feed = feed,
                                        .sealer = sealer,
                                        .head = &head,
                                        .queue = 4096,
                                        .idempotency_ns = 3600000000000,
                                        .feed_keep = 100000};
    must(ez_writer_create(&writer_options, &writer, &error), &error);
}

static void change(ez_handler *run, void *self) {
    ez_call *call;
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__Master none = EZ__V1__MASTER__INIT;
    must(ez_call_create_system("bench", &call), &error);
    must(ez_writer_run(writer, call, run, self, &none.base, &error), &error);
    ez_call_destroy_system(call);
}

static ez_status put_master(ez_txn *txn, long i, ez_error *error) {
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    uint8_t token[32];
    char name[32];
    ez_sha256(&i, sizeof i, token);
    token[0] ^= 0x55;
    snprintf(name, sizeof name, "tenant-%ld", i);
    master.name = name;
    master.group = (char *)"default";
    master.default_namespace = (char *)"default";
    master.status = EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE;
    master.token_sha256 = (ProtobufCBinaryData){sizeof token, token};
    return ez_txn_put(txn, EZ__V1__KIND__KIND_MASTER, &master.base, error);
}

static ez_status put_key(ez_txn *txn, long i, ez_error *error) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    uint8_t token[32];
    char name[32], *limits[] = {(char *)"gpt-4o", (char *)"claude-sonnet"}, *allow[] = {(char *)"10.0.0.0/8"};
    ez_sha256(&i, sizeof i, token);
    snprintf(name, sizeof name, "service-key-%ld", i);
    key.master_id = 1 + i % MASTERS;
    key.name = name;
    key.token_sha256 = (ProtobufCBinaryData){sizeof token, token};
    key.model_limits = limits;
    key.n_model_limits = 2;
    key.allow_ips = allow;
    key.n_allow_ips = 1;
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    return ez_txn_put(txn, EZ__V1__KIND__KIND_KEY, &key.base, error);
}

static ez_status put_group(ez_txn *txn, long i, ez_error *error) {
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    char name[32], *models[] = {(char *)"upstream-model"};
    snprintf(name, sizeof name, "group-%ld", i);
    group.name = name;
    group.type = (char *)"openai";
    group.base_url = (char *)"https://api.example/v1";
    group.models = models;
    group.n_models = 1;
    group.status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE;
    ez_status status = ez_txn_put(txn, EZ__V1__KIND__KIND_PROVIDER_GROUP, &group.base, error);
    for (int k = 0; status == EZ_OK && k < 3; k++) {
        ez__v1__api_key__init(&key);
        key.group_id = i + 1;
        key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
        status = ez_txn_put(txn, EZ__V1__KIND__KIND_API_KEY, &key.base, error);
    }
    return status;
}

static ez_status put_binding(ez_txn *txn, long i, ez_error *error) {
    Ez__V1__Binding binding = EZ__V1__BINDING__INIT;
    char model[32];
    snprintf(model, sizeof model, "model-%ld", i);
    binding.namespace_ = (char *)"default";
    binding.public_model = model;
    binding.group_id = 1 + i % GROUPS;
    binding.upstream_model = (char *)"upstream-model";
    binding.status = EZ__V1__BINDING_STATUS__BINDING_STATUS_ACTIVE;
    return ez_txn_put(txn, EZ__V1__KIND__KIND_BINDING, &binding.base, error);
}

static ez_status fill(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self, (void)request;
    ez_status status = EZ_OK;
    for (long i = 0; status == EZ_OK && i < MASTERS; i++)
        status = put_master(scene, i, &call->error);
    for (long i = 0; status == EZ_OK && i < GROUPS; i++)
        status = put_group(scene, i, &call->error);
    for (long i = 0; status == EZ_OK && i < bindings; i++)
        status = put_binding(scene, i, &call->error);
    for (long i = 0; status == EZ_OK && i < keys; i++)
        status = put_key(scene, i, &call->error);
    return status;
}

// ---- Redis

static bool is_holder(void *user, uint64_t *token) {
    (void)user;
    *token = 1;
    return true;
}

static ez_redis *open_redis(const char *url) {
    ez_error error = EZ_ERROR_INIT;
    ez_redis *redis;
    ez_redis_options options = {.store = store,
                                .directory = directory,
                                .feed = feed,
                                .server_id = "bench",
                                .url = url,
                                .interval_ms = 5000,
                                .batch = 100,
                                .max_tries = 10,
                                .is_holder = is_holder};
    must(ez_redis_create(&options, &redis, &error), &error);
    must(ez_redis_start(redis, &error), &error);
    return redis;
}

static ez_redis_link *open_link(void) {
    static ez_redis_url url; // the link points to it
    ez_error error = EZ_ERROR_INIT;
    ez_redis_link *link;
    must(ez_redis_url_parse(there, &url, &error), &error);
    ez_redis_link_options options = {.url = &url, .wake_fd = -1};
    must(ez_redis_link_create(&options, &link, &error), &error);
    return link;
}

static uint64_t revision_in_redis(ez_redis_link *link) {
    ez_error error = EZ_ERROR_INIT;
    ez_redis_autofree redisReply *reply = NULL;
    ez_buf out;
    ez_buf_init(&out, 256);
    ez_command_put(&out, "HGET", "meta:ezplane", "revision", NULL);
    must(ez_redis_link_ask(link, &out, 1, &reply, &error), &error);
    ez_buf_fini(&out);
    return reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
}

static void await_revision(ez_redis_link *link, uint64_t n) {
    while (revision_in_redis(link) < n) {
    }
}

// ---- Bare: the same hashes, nothing else

static void put_record(ez_buf *out, const char *key, const ez_record *record) {
    ez_command_begin(out, 2 + 2 * record->count);
    ez_command_text(out, "HSET");
    ez_command_text(out, key);
    for (size_t i = 0; i < record->count; i++) {
        ez_command_text(out, record->fields[i].name);
        ez_command_text(out, record->fields[i].value);
    }
}

static void put_bare_key(ez_buf *out, const ez_entry *entry, ez_arena *arena) {
    char name[11 + 2 * EZ_SHA256_LEN + 1] = "auth:token:";
    ez_record record;
    ez_error error = EZ_ERROR_INIT;
    const Ez__V1__Key *key = (const Ez__V1__Key *)ez_entry_unpack(entry, arena);
    const ez_entry *owner = ez_directory_get(directory, EZ__V1__KIND__KIND_MASTER, key->master_id);
    must(ez_record_key(key, (const Ez__V1__Master *)ez_entry_unpack(owner, arena), ez_clock_wall_ns(), arena, &record),
         &error);
    ez_hex(key->token_sha256.data, EZ_SHA256_LEN, name + 11);
    put_record(out, name, &record);
}

static void put_bare_binding(ez_buf *out, long i, ez_arena *arena) {
    char model[32], field[48];
    bool found;
    ez_buf text;
    ez_error error = EZ_ERROR_INIT;
    ez_buf_init(&text, 1u << 20);
    snprintf(model, sizeof model, "model-%ld", i);
    snprintf(field, sizeof field, "default.%s", model);
    must(ez_snapshot_binding(directory, "default", model, arena, &text, &found), &error);
    ez_command_begin(out, 4);
    ez_command_text(out, "HSET");
    ez_command_text(out, "config:bindings");
    ez_command_text(out, field);
    ez_command_bytes(out, text.data, text.len);
    ez_buf_fini(&text);
}

// Seconds for commands that were made before the clock starts.
static double run_bare(ez_redis_link *link, size_t *bytes) {
    ez_error error = EZ_ERROR_INIT;
    ez_arena arena;
    ez_arena_init(&arena, 64u << 20);
    size_t count = 0, parts = 0;
    static ez_buf pipelines[4096];
    static size_t commands[4096];
    ez_buf_init(&pipelines[0], 64u << 20);
    ez_directory_enter();
    const ez_entry *entry = NULL;
    for (long i = 0; i < bindings + keys; i++) {
        ez_arena_reset(&arena);
        if (i < bindings) {
            put_bare_binding(&pipelines[parts], i, &arena);
        } else {
            entry = ez_directory_next(directory, EZ__V1__KIND__KIND_KEY, entry ? ez_entry_id(entry) : 0, false);
            put_bare_key(&pipelines[parts], entry, &arena);
        }
        count++;
        if (pipelines[parts].len >= PIPELINE) {
            commands[parts++] = count;
            count = 0;
            ez_buf_init(&pipelines[parts], 64u << 20);
        }
    }
    ez_directory_leave();
    commands[parts++] = count;
    uint64_t start = ez_clock_mono_ns();
    for (size_t i = 0; i < parts; i++)
        must(ez_redis_link_ask(link, &pipelines[i], commands[i], NULL, &error), &error);
    double took = (double)(ez_clock_mono_ns() - start) / 1e9;
    *bytes = 0;
    for (size_t i = 0; i < parts; i++) {
        *bytes += pipelines[i].len;
        ez_buf_fini(&pipelines[i]);
    }
    ez_arena_fini(&arena);
    return took;
}

static void flush(ez_redis_link *link) {
    ez_error error = EZ_ERROR_INIT;
    ez_buf out;
    ez_buf_init(&out, 256);
    ez_command_put(&out, "FLUSHALL", NULL);
    must(ez_redis_link_ask(link, &out, 1, NULL, &error), &error);
    ez_buf_fini(&out);
}

static void bench_rebuild(ez_redis_link *link) {
    double ratios[ROUNDS], bare = 0, ours = 0;
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        flush(link);
        bare = run_bare(link, &bytes);
        flush(link);
        uint64_t start = ez_clock_mono_ns();
        ez_redis *redis = open_redis(there);
        await_revision(link, ez_feed_head(feed).n);
        ours = (double)(ez_clock_mono_ns() - start) / 1e9;
        ratios[round] = ours / bare;
        ez_redis_destroy(redis);
    }
    double ratio = ratios[0] < ratios[1] ? ratios[1] : ratios[0];
    ratio = ratio < ratios[2] ? ratio : ratios[2] > ratios[0] && ratios[2] > ratios[1] ? ratio : ratios[2];
    printf("{\"name\":\"rebuild\",\"seconds\":%.3f,\"bare_seconds\":%.3f,\"ratio\":%.2f,\"mb\":%.1f}\n", ours, bare,
           ratio, (double)bytes / 1e6);
    fflush(stdout);
}

// ---- When a change is there

static _Atomic long next_key;

static ez_status touch_key(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    Ez__V1__Key *key;
    ez_status status =
        ez_txn_load(scene, EZ__V1__KIND__KIND_KEY, *(int64_t *)self, (ProtobufCMessage **)&key, &call->error);
    if (status != EZ_OK)
        return status;
    bool is_active = key->status == EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key->status = is_active ? EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED : EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    return ez_txn_put(scene, EZ__V1__KIND__KIND_KEY, &key->base, &call->error);
}

static void touch(void) {
    int64_t id = 1 + atomic_fetch_add(&next_key, 7919) % keys;
    change(touch_key, &id);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bench_lag(ez_redis_link *link) {
    static double ms[CHANGES];
    ez_redis *redis = open_redis(there);
    await_revision(link, ez_feed_head(feed).n);
    for (int i = 0; i < CHANGES; i++) {
        touch();
        uint64_t start = ez_clock_mono_ns();
        await_revision(link, ez_feed_head(feed).n);
        ms[i] = (double)(ez_clock_mono_ns() - start) / 1e6;
        struct timespec pause = {.tv_nsec = CHANGE_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    ez_redis_destroy(redis);
    qsort(ms, CHANGES, sizeof ms[0], by_value);
    printf("{\"name\":\"lag\",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,\"changes\":%d}\n", ms[CHANGES / 2],
           ms[CHANGES * 99 / 100], ms[CHANGES - 1], CHANGES);
    fflush(stdout);
}

// ---- Writes

static atomic_bool is_over;

static void *write_all_the_time(void *user) {
    long *count = user;
    while (!atomic_load(&is_over)) {
        touch();
        ++*count;
    }
    return NULL;
}

// It has read how far Redis is, and has found that nobody answers.
static void await_failure(ez_redis *redis) {
    bool has_failed = false;
    while (!has_failed) {
        ez_buf text;
        ez_buf_init(&text, 1u << 16);
        ez_redis_write_metrics(redis, &text);
        const char *at = strstr(ez_buf_cstr(&text), "\nezplane_redis_failures_total ");
        has_failed = at && strtol(at + strlen("\nezplane_redis_failures_total "), NULL, 10) > 0;
        ez_buf_fini(&text);
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
}

static double write_rate(const char *url, ez_redis_link *link) {
    ez_redis *redis = url[0] ? open_redis(url) : NULL;
    if (url == there)
        await_revision(link, ez_feed_head(feed).n);
    else if (redis)
        await_failure(redis);
    pthread_t threads[WRITERS];
    long counts[WRITERS] = {0}, sum = 0;
    atomic_store(&is_over, false);
    uint64_t start = ez_clock_mono_ns();
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_all_the_time, &counts[i]);
    struct timespec pause = {.tv_sec = seconds};
    nanosleep(&pause, NULL);
    atomic_store(&is_over, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        sum += counts[i];
    }
    double took = (double)(ez_clock_mono_ns() - start) / 1e9;
    ez_redis_destroy(redis);
    return (double)sum / took;
}

static void bench_writes(ez_redis_link *link) {
    // The store grows meanwhile: who is first changes from round to round.
    const char *const urls[] = {there, closed, ""};
    for (int round = 0; round < 2 * ROUNDS; round++) {
        double rates[3];
        for (int i = 0; i < 3; i++) {
            int at = round % 2 ? 2 - (round / 2 + i) % 3 : (round / 2 + i) % 3;
            rates[at] = write_rate(urls[at], link);
        }
        double with = rates[0], away = rates[1], none = rates[2];
        printf("{\"name\":\"writes\",\"there\":%.0f,\"away\":%.0f,\"none\":%.0f}\n", with, away, none);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: bench_redis FOLDER REDIS_PORT CLOSED_PORT KEYS BINDINGS SECONDS\n");
        return 2;
    }
    ez_log_init("bench", "error");
    snprintf(there, sizeof there, "redis://127.0.0.1:%s", argv[2]);
    snprintf(closed, sizeof closed, "redis://127.0.0.1:%s", argv[3]);
    keys = atol(argv[4]);
    bindings = atol(argv[5]);
    seconds = atol(argv[6]);
    open_state(argv[1]);
    change(fill, NULL);
    ez_redis_link *link = open_link();
    bench_rebuild(link);
    bench_lag(link);
    bench_writes(link);
    ez_redis_link_destroy(link);
    ez_writer_destroy(writer);
    ez_feed_destroy(feed);
    ez_directory_destroy(directory);
    ez_store_close(store);
    ez_sealer_destroy(sealer);
    return 0;
}
