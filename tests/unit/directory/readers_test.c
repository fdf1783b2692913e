// SPDX-License-Identifier: Apache-2.0
//
// Readers beside a writer: a name whose resource is only updated is found at every moment, exactly once; a row is
// whole; walks over groups and kinds go upwards and end.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "model.h"
#include "server/state/directory/apply.h"
#include "tests/support/expect.h"
#include "tests/support/wait.h"

enum { STEADY = 40, COMING = 200, READERS = 2, ROUNDS = 150 };

static ez_directory *directory;
static atomic_bool is_over;
static atomic_uint faults;
static atomic_uint looks;

static void fail_if(bool is_wrong) {
    if (is_wrong)
        atomic_fetch_add(&faults, 1);
}

static void put(int kind, int64_t id, const ProtobufCMessage *message) {
    ez_error error = EZ_ERROR_INIT;
    uint8_t bytes[512];
    size_t len = protobuf_c_message_pack(message, bytes);
    ez_store_row row = {.id = id, .revision = 1, .data = {bytes, len}};
    expect_ok(ez_directory_put_row(directory, kind, &row, &error), &error);
}

// The name stays, the rest moves; qps is told twice, so that a torn row would show.
static void put_steady(int64_t id, int64_t round) {
    char name[16], again[16];
    snprintf(name, sizeof name, "steady%lld", (long long)id);
    snprintf(again, sizeof again, "%lld", (long long)round);
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    master.id = id;
    master.name = name;
    master.group = again;
    master.global_qps = round;
    put(EZ__V1__KIND__KIND_MASTER, id, &master.base);
}

static void put_key(int64_t id, int64_t master_id) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    uint8_t token[32] = {(uint8_t)id, (uint8_t)(id >> 8), 1};
    key.id = id;
    key.master_id = master_id;
    key.token_sha256 = (ProtobufCBinaryData){32, token};
    put(EZ__V1__KIND__KIND_KEY, id, &key.base);
}

static void look_at_names(ez_arena *arena) {
    for (int64_t id = 1; id <= STEADY; id++) {
        char name[16], again[16];
        snprintf(name, sizeof name, "steady%lld", (long long)id);
        const ez_entry *entry = ez_directory_find(directory, EZ_INDEX_MASTER_NAME, ez_index_text(name));
        fail_if(!entry || ez_entry_id(entry) != id);
        if (!entry)
            continue;
        Ez__V1__Master *master = (Ez__V1__Master *)ez_entry_unpack(entry, arena);
        snprintf(again, sizeof again, "%lld", (long long)master->global_qps);
        fail_if(strcmp(again, master->group) != 0);
    }
}

static void walk_keys(bool descending) {
    int64_t at = descending ? INT64_MAX : 0;
    size_t steps = 0;
    const ez_entry *entry;
    while ((entry = ez_directory_next(directory, EZ__V1__KIND__KIND_KEY, at, descending)) && steps++ <= COMING) {
        fail_if(descending ? ez_entry_id(entry) >= at : ez_entry_id(entry) <= at);
        at = ez_entry_id(entry);
    }
    fail_if(steps > COMING);
    for (int64_t master_id = 1; master_id <= 3; master_id++) {
        at = descending ? INT64_MAX : 0;
        steps = 0;
        while (
            (entry = ez_directory_member(directory, EZ_INDEX_KEY_BY_MASTER, ez_index_id(master_id), at, descending)) &&
            steps++ <= COMING) {
            fail_if(descending ? ez_entry_id(entry) >= at : ez_entry_id(entry) <= at);
            at = ez_entry_id(entry);
        }
        fail_if(steps > COMING);
    }
}

static void *read_all(void *user) {
    (void)user;
    ez_arena arena;
    ez_arena_init(&arena, 4u << 20);
    while (!atomic_load(&is_over)) {
        ez_directory_enter();
        look_at_names(&arena);
        walk_keys(false);
        walk_keys(true);
        ez_directory_leave();
        ez_arena_reset(&arena);
        atomic_fetch_add(&looks, 1);
    }
    ez_arena_fini(&arena);
    return NULL;
}

Test(readers, find_every_name_while_rows_change) {
    ez_error error = EZ_ERROR_INIT;
    pthread_t readers[READERS];
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    for (int64_t id = 1; id <= STEADY; id++)
        put_steady(id, 0);
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_all, NULL), 0);
    dice rng = {99};
    for (int64_t round = 1; round <= ROUNDS; round++) {
        for (int64_t id = 1; id <= STEADY; id++)
            put_steady(id, round);
        for (int i = 0; i < 40; i++) {
            int64_t id = 1 + rng_below(&rng, COMING);
            if (rng_below(&rng, 2))
                put_key(id, 1 + rng_below(&rng, 3)); // moves between groups, too
            else
                ez_directory_remove(directory, EZ__V1__KIND__KIND_KEY, id);
        }
    }
    expect_soon(atomic_load(&looks) > READERS);
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    cr_assert_eq(atomic_load(&faults), 0);
    ez_directory_destroy(directory);
}
