// SPDX-License-Identifier: Apache-2.0
//
// A million keys in the directory: how many bytes each costs, how long loading takes, and what the reads cost that a
// busy server makes: by id, by token, the next of a master. bench_directory [keys [masters]]. Memory is the process's
// own (resident, from /proc/self/statm), so allocator and tables are in it. Reads go through ids in an order that
// jumps, so that they miss the caches as real ones do.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "server/state/directory/apply.h"

#define KEY EZ__V1__KIND__KIND_KEY

static ez_directory *directory;
static long keys = 1000000, masters = 1000;
static size_t packed_bytes;
static volatile uint64_t sink;

static void must(ez_status status, const ez_error *error) {
    if (status == EZ_OK)
        return;
    fprintf(stderr, "bench_directory: %s\n", error->message);
    exit(1);
}

static size_t resident(void) {
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &size, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void token_of(long id, uint8_t out[32]) {
    ez_sha256(&id, sizeof id, out);
}

// A key as an admin makes it: about as many bytes as those of a real one.
static void put_key(long id) {
    char name[32];
    uint8_t token[32], bytes[512];
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    token_of(id, token);
    snprintf(name, sizeof name, "service-key-%ld", id);
    time.seconds = 1700000000 + id;
    time.nanos = 123456789;
    key.id = id;
    key.master_id = 1 + id % masters;
    key.name = name;
    key.token_prefix = (char *)"sk-AbCd";
    key.token_last4 = (char *)"wXyZ";
    key.token_sha256 = (ProtobufCBinaryData){32, token};
    key.group = (char *)"default";
    key.default_namespace = (char *)"default";
    key.quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = -1;
    key.quota_period = EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_NONE;
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key.created_at = &time;
    key.updated_at = &time;
    key.revision = (uint64_t)id;
    ez_error error = EZ_ERROR_INIT;
    ez_store_row row = {.id = id, .revision = (uint64_t)id, .data = {bytes, ez__v1__key__pack(&key, bytes)}};
    packed_bytes += row.data.len;
    must(ez_directory_put_row(directory, KEY, &row, &error), &error);
}

// Steps through all ids in an order that jumps: 7919 is prime.
static long jump(long at) {
    return at % keys * 7919 % keys + 1;
}

static void report(const char *what, uint64_t ns, long count) {
    printf("%-28s %8.0f ns\n", what, (double)ns / (double)count);
}

static void time_get(void) {
    uint64_t start = ez_clock_mono_ns();
    for (long i = 0; i < keys; i++) {
        ez_directory_enter();
        sink += ez_entry_revision(ez_directory_get(directory, KEY, jump(i)));
        ez_directory_leave();
    }
    report("get by id", ez_clock_mono_ns() - start, keys);
}

static void time_find(void) {
    long count = keys < 200000 ? keys : 200000;
    uint8_t *tokens = malloc((size_t)count * 32);
    for (long i = 0; tokens && i < count; i++)
        token_of(jump(i), tokens + i * 32);
    uint64_t start = ez_clock_mono_ns();
    for (long i = 0; tokens && i < count; i++) {
        ez_directory_enter();
        sink +=
            ez_entry_revision(ez_directory_find(directory, EZ_INDEX_KEY_TOKEN, ez_index_bytes(tokens + i * 32, 32)));
        ez_directory_leave();
    }
    report("find by token", ez_clock_mono_ns() - start, count);
    free(tokens);
}

static void time_next(void) {
    long count = 0;
    uint64_t start = ez_clock_mono_ns();
    ez_directory_enter();
    const ez_entry *entry = NULL;
    while ((entry = ez_directory_next(directory, KEY, entry ? ez_entry_id(entry) : 0, false)))
        count++;
    ez_directory_leave();
    report("next by id", ez_clock_mono_ns() - start, count);
    count = 0;
    start = ez_clock_mono_ns();
    ez_directory_enter();
    for (long master = 1; master <= masters; master++) {
        int64_t at = 0;
        while ((entry = ez_directory_member(directory, EZ_INDEX_KEY_BY_MASTER, ez_index_id(master), at, false))) {
            at = ez_entry_id(entry);
            count++;
        }
    }
    ez_directory_leave();
    report("next of a master", ez_clock_mono_ns() - start, count);
}

static void time_put(void) {
    long count = keys < 100000 ? keys : 100000;
    uint64_t start = ez_clock_mono_ns();
    for (long i = 0; i < count; i++)
        put_key(jump(i));
    report("replace (hashing included)", ez_clock_mono_ns() - start, count);
}

int main(int argc, char **argv) {
    ez_error error = EZ_ERROR_INIT;
    keys = argc > 1 ? atol(argv[1]) : keys;
    masters = argc > 2 ? atol(argv[2]) : masters;
    if (keys < 1 || masters < 1) {
        fprintf(stderr, "usage: bench_directory [keys [masters]]\n");
        return 2;
    }
    must(ez_directory_create(1, NULL, &directory, &error), &error);
    size_t before = resident();
    uint64_t start = ez_clock_mono_ns();
    for (long id = 1; id <= keys; id++)
        put_key(id);
    uint64_t took = ez_clock_mono_ns() - start;
    malloc_trim(0);
    size_t bytes = resident() - before;
    printf("%ld keys of %ld masters, %zu bytes packed each\n", keys, masters, packed_bytes / (size_t)keys);
    printf("%-28s %8.2f s\n", "load", (double)took / 1e9);
    printf("%-28s %8.0f bytes (%.0f MB in all)\n", "memory per key", (double)bytes / (double)keys, (double)bytes / 1e6);
    time_get();
    time_find();
    time_next();
    time_put();
    ez_directory_destroy(directory);
    return 0;
}
