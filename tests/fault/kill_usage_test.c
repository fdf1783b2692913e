// SPDX-License-Identifier: Apache-2.0
//
// kill -9 while data planes flush, again and again. Each repeats a flush until it is acknowledged, as libezplane does,
// and keeps its own books; in the end the server's sums are those of the books, and no key of a used-up quota works.
// EZ_FAULT_ROUNDS: how many kills (5); EZ_FAULT_SEED: of the moments they come at.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/integration/support/world.h"

#define ROUNDS 5
#define PLANES 4
#define KEYS   20
#define LIMIT  50 // of every second key; each is flushed more than that
#define TRY_MS 2000

typedef struct flusher {
    pthread_t thread;
    ez_client *client;
    const char *token;
    unsigned seed;
    uint64_t epoch;
    _Atomic uint64_t acknowledged;
    uint64_t repeats;       // of flushes that had been added although nobody was told
    int64_t requests[KEYS]; // what was acknowledged
    int64_t tokens_in[KEYS];
    ez_error error; // what was neither OK nor to be tried again
} flusher;

static ez_world w;
static Ez__V1__Master *acme;
static Ez__V1__Key *keys[KEYS];
static flusher flushers[PLANES];
static atomic_bool is_over;

static void begin(void) {
    given_world(&w, NULL);
    acme = given_master(&w.admin, "acme");
    ask(&w.admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'max_child_keys':100}}", acme->id);
    for (int i = 0; i < KEYS; i++) {
        keys[i] = given_key(&w.admin, acme->id, "k");
        if (i % 2)
            ask(&w.admin, "Keys/Update", "{'id':%" PRId64 ",'key':{'quota_unit':'requests','quota_limit':%d}}",
                keys[i]->id, LIMIT);
    }
    for (int i = 0; i < PLANES; i++) {
        char name[16];
        snprintf(name, sizeof name, "plane-%d", i);
        flushers[i] = (flusher){.token = given_plane(&w.admin, name)->token, .seed = (unsigned)i, .epoch = 100 + i};
        ez_client_options options = {
            .servers = {w.server.rpc_url}, .server_count = 1, .token = flushers[i].token, .timeout_ms = TRY_MS};
        expect_ok(ez_client_open(&options, &flushers[i].client, &w.admin.error), &w.admin.error);
    }
}

static void end(void) {
    for (int i = 0; i < PLANES; i++)
        ez_client_close(flushers[i].client);
    end_world(&w);
}

TestSuite(kill_usage, .init = begin, .fini = end, .timeout = 600);

static bool is_to_be_repeated(ez_status status) {
    return status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED || status == EZ_RESOURCE_EXHAUSTED;
}

// Until it is acknowledged. False: it was refused.
static bool send(flusher *f, const Ez__V1__FlushUsageRequest *request) {
    static const char name[] = "ez.v1.Usage/Flush";
    ez_call_options options = {.max_retries = -1};
    ez_status status;
    ProtobufCMessage *reply = NULL;
    do {
        ez_error_clear(&f->error);
        status = ez_client_call(f->client, ez_method_find(name, sizeof name - 1), &request->base, &options, &reply,
                                &f->error);
    } while (is_to_be_repeated(status));
    if (status != EZ_OK)
        return false;
    f->repeats += ((const Ez__V1__FlushUsageResponse *)reply)->repeated;
    protobuf_c_message_free_unpacked(reply, NULL);
    return true;
}

static void *run(void *user) {
    flusher *f = user;
    for (uint64_t sequence = 1; !atomic_load(&is_over); sequence++) {
        Ez__V1__FlushUsageRequest request = EZ__V1__FLUSH_USAGE_REQUEST__INIT;
        Ez__V1__KeyUsage rows[KEYS], *list[KEYS];
        request.epoch = f->epoch;
        request.sequence = sequence;
        request.keys = list;
        for (int i = 0; i < KEYS; i++) {
            if (rand_r(&f->seed) % 2)
                continue;
            Ez__V1__KeyUsage *row = &rows[request.n_keys];
            ez__v1__key_usage__init(row);
            row->id = keys[i]->id;
            row->requests = rand_r(&f->seed) % 5;
            row->tokens_in = rand_r(&f->seed) % 1000;
            list[request.n_keys++] = row;
        }
        if (!send(f, &request))
            return NULL;
        for (size_t r = 0; r < request.n_keys; r++)
            for (int i = 0; i < KEYS; i++)
                if (keys[i]->id == rows[r].id) {
                    f->requests[i] += rows[r].requests;
                    f->tokens_in[i] += rows[r].tokens_in;
                }
        atomic_fetch_add(&f->acknowledged, 1);
    }
    return f;
}

static uint64_t acknowledged(void) {
    uint64_t sum = 0;
    for (int i = 0; i < PLANES; i++)
        sum += atomic_load(&flushers[i].acknowledged);
    return sum;
}

static void await_flushes(uint64_t more) {
    uint64_t until = acknowledged() + more;
    expect_soon(acknowledged() >= until);
}

static void expect_books_to_agree(void) {
    int64_t all = 0;
    for (int i = 0; i < KEYS; i++) {
        int64_t requests = 0, tokens_in = 0;
        for (int p = 0; p < PLANES; p++) {
            requests += flushers[p].requests[i];
            tokens_in += flushers[p].tokens_in[i];
        }
        Ez__V1__Key *now = ask(&w.admin, "Keys/Get", "{'id':%" PRId64 "}", keys[i]->id);
        cr_assert_eq(now->request_count, requests, "key %d: %lld of %lld requests", i, (long long)now->request_count,
                     (long long)requests);
        cr_assert_eq(now->tokens_in, tokens_in);
        all += requests;
    }
    Ez__V1__Master *master = ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", acme->id);
    cr_assert_eq(master->request_count, all);
}

// As data planes were told.
static int exhausted(void) {
    Ez__V1__FetchConfigResponse *all = NULL;
    ez_caller plane = caller_with(&w, flushers[0].token);
    all = ask(&plane, "Config/Fetch", "{}");
    int count = 0;
    for (size_t i = 0; i < all->n_changes; i++)
        count += all->changes[i]->kind == EZ__V1__KIND__KIND_KEY &&
                 all->changes[i]->key->status == EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED;
    return count;
}

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

Test(kill_usage, nothing_is_lost_and_nothing_counts_twice) {
    long rounds = number_of("EZ_FAULT_ROUNDS", ROUNDS);
    unsigned seed = (unsigned)number_of("EZ_FAULT_SEED", (long)time(NULL));
    for (int i = 0; i < PLANES; i++)
        cr_assert_eq(pthread_create(&flushers[i].thread, NULL, run, &flushers[i]), 0);
    for (long round = 1; round <= rounds; round++) {
        await_flushes(5 + (uint64_t)rand_r(&seed) % 100);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 3000000}, NULL); // anywhere within a commit
        kill_server(&w.server);
        start_server(&w.server);
    }
    await_flushes(200);
    atomic_store(&is_over, true);
    uint64_t repeats = 0;
    for (int i = 0; i < PLANES; i++) {
        void *went_well;
        pthread_join(flushers[i].thread, &went_well);
        cr_assert_not_null(went_well, "%s: %s", flushers[i].error.reason, flushers[i].error.message);
        repeats += flushers[i].repeats;
    }
    await_answers(&w);
    expect_books_to_agree();
    expect_soon(exhausted() == KEYS / 2);
    fprintf(stderr, "%ld kills, %llu flushes, %llu of them were there when they were repeated\n", rounds,
            (unsigned long long)acknowledged(), (unsigned long long)repeats);
}
