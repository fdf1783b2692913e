// SPDX-License-Identifier: Apache-2.0
//
// The state under test. Handlers are small ones of the tests' own, so that what is tested is the writer, not a domain.
#include "given.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "tests/support/wait.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_holding; // guarded: the hold handler is running
static bool may_go;     // guarded: it may end

uint64_t __real_ez_clock_mono_ms(void);
uint64_t __wrap_ez_clock_mono_ms(void);

static _Thread_local bool is_test_thread;
static atomic_bool is_hurrying;
static _Atomic uint64_t ahead_ms;

// Wrapped by the linker.
uint64_t __wrap_ez_clock_mono_ms(void) {
    uint64_t now = __real_ez_clock_mono_ms();
    if (is_test_thread)
        return now;
    if (atomic_load(&is_hurrying))
        atomic_fetch_add(&ahead_ms, 10000);
    return now + atomic_load(&ahead_ms);
}

void hurry_clock(bool hurry) {
    is_test_thread = true;
    atomic_store(&is_hurrying, hurry);
}

void advance_clock(uint64_t ms) {
    is_test_thread = true;
    atomic_fetch_add(&ahead_ms, ms);
}

bool is_postgres(void) {
    const char *store = getenv("EZ_TEST_STORE");
    return store && strcmp(store, "postgres") == 0;
}

void open_state(whole_state *state) {
    ez_error error = EZ_ERROR_INIT;
    size_t keep = state->keep ? state->keep : 1000;
    char url[EZ_TEST_PATH_MAX + 32];
    if (*state->database)
        snprintf(url, sizeof url, "%s", state->database);
    else
        snprintf(url, sizeof url, "sqlite:%s/store.db", state->folder);
    static const uint8_t key[EZ_SEAL_KEY_LEN] = {1, 2, 3};
    expect_ok(ez_sealer_create(key, &state->sealer, &error), &error);
    ez_store_options options = {.url = url,
                                .readers = 2,
                                .connect_timeout_ms = 1000,
                                .epoch = 77,
                                .now_ns = ez_clock_wall_ns(),
                                .key_check = "0123456789abcdef"};
    expect_ok(ez_store_open(&options, &state->store, &error), &error);
    expect_ok(ez_store_read_head(state->store, &state->head, &error), &error);
    expect_ok(ez_directory_create(state->head.epoch, state->sealer, &state->directory, &error), &error);
    expect_ok(ez_directory_load(state->directory, state->store, &error), &error);
    ez_feed_options feed = {.epoch = state->head.epoch, .n = state->head.n, .keep = keep};
    expect_ok(ez_feed_create(&feed, &state->feed, &error), &error);
    expect_ok(ez_feed_load(state->feed, state->store, &error), &error);
    ez_writer_options writer = {.store = state->store,
                                .directory = state->directory,
                                .feed = state->feed,
                                .sealer = state->sealer,
                                .head = &state->head,
                                .queue = 1000,
                                .idempotency_ns = 3600000000000,
                                .feed_keep = keep};
    expect_ok(ez_writer_create(&writer, &state->writer, &error), &error);
}

void close_state(whole_state *state) {
    ez_writer_destroy(state->writer);
    ez_feed_destroy(state->feed);
    ez_directory_destroy(state->directory);
    ez_store_close(state->store);
    ez_sealer_destroy(state->sealer);
}

void given_state(whole_state *state) {
    *state->folder = *state->database = 0;
    if (is_postgres())
        given_database(state->database);
    else
        given_folder(state->folder);
    open_state(state);
}

void given_second_state(whole_state *second, const whole_state *first) {
    memset(second, 0, sizeof *second);
    second->keep = first->keep;
    memcpy(second->database, first->database, sizeof second->database);
    open_state(second);
}

void restart_state(whole_state *state) {
    close_state(state);
    open_state(state);
}

void end_state(whole_state *state) {
    close_state(state);
    if (*state->database)
        drop_database(state->database);
    else
        remove_folder(state->folder);
}

ez_call *given_call(const char *what) {
    ez_call *call;
    cr_assert_eq(ez_call_create_system(what, &call), EZ_OK);
    return call;
}

void set_idempotency_key(ez_call *call, const char *key) {
    call->header.idempotency_key = (ez_slice){(const uint8_t *)key, strlen(key)};
}

ez_status create_master(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    Ez__V1__Master *master = ((Ez__V1__CreateMasterRequest *)request)->master;
    master->master_key = (char *)"ezm_just-made";
    ez_status status = ez_txn_put(scene, EZ__V1__KIND__KIND_MASTER, &master->base, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &master->base) : status;
}

ez_status rename_master(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    Ez__V1__UpdateMasterRequest *update = (Ez__V1__UpdateMasterRequest *)request;
    ProtobufCMessage *message;
    ez_status status = ez_txn_load(scene, EZ__V1__KIND__KIND_MASTER, update->id, &message, &call->error);
    if (status != EZ_OK)
        return status;
    ((Ez__V1__Master *)message)->name = update->master->name;
    status = ez_txn_put(scene, EZ__V1__KIND__KIND_MASTER, message, &call->error);
    return status == EZ_OK ? ez_call_reply(call, message) : status;
}

ez_status refuse(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    ez_status status = create_master(self, call, scene, request);
    return status == EZ_OK ? ez_call_fail(call, EZ_FAILED_PRECONDITION, "REFUSED", "not this one") : status;
}

ez_status read_only(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)scene;
    (void)request;
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    return ez_call_reply(call, &master.base);
}

int64_t given_master(whole_state *state, const char *name) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    Ez__V1__CreateMasterRequest request = EZ__V1__CREATE_MASTER_REQUEST__INIT;
    master.name = (char *)name;
    request.master = &master;
    expect_ok(ez_writer_run(state->writer, call, create_master, NULL, &request.base, &error), &error);
    // From the reply: where another server was faster, the handler ran again on a request of its own.
    Ez__V1__Master *made = ez__v1__master__unpack(ez_arena_allocator(&call->arena), call->reply.len, call->reply.data);
    cr_assert(made);
    int64_t id = made->id;
    ez_call_destroy_system(call);
    return id;
}

// ---- Volleys

static ez_status hold_writer(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)call;
    (void)scene;
    (void)request;
    uint64_t deadline = ez_test_deadline();
    bool goes = false;
    pthread_mutex_lock(&lock);
    is_holding = true;
    pthread_mutex_unlock(&lock);
    while (!goes && ez_test_before(deadline)) {
        pthread_mutex_lock(&lock);
        goes = may_go;
        pthread_mutex_unlock(&lock);
    }
    return EZ_OK;
}

static void shot_done(ez_write *write) {
    pthread_mutex_lock(&lock);
    ((struct volley_shot *)write)->is_done = true;
    pthread_mutex_unlock(&lock);
}

static bool is_done(const struct volley_shot *shot) {
    pthread_mutex_lock(&lock);
    bool done = shot->is_done;
    pthread_mutex_unlock(&lock);
    return done;
}

static bool is_held(void) {
    pthread_mutex_lock(&lock);
    bool held = is_holding;
    pthread_mutex_unlock(&lock);
    return held;
}

static void submit(salvo *volley, struct volley_shot *shot, ez_call *call, ez_handler *run, ProtobufCMessage *request) {
    ez_error error = EZ_ERROR_INIT;
    *shot = (struct volley_shot){.write = {.call = call, .run = run, .request = request, .done = shot_done}};
    expect_ok(ez_writer_submit(volley->state->writer, &shot->write, &error), &error);
}

void volley_begin(salvo *volley, whole_state *state) {
    *volley = (struct salvo){.state = state};
    is_holding = may_go = false;
    submit(volley, &volley->hold, given_call("hold"), hold_writer, NULL);
    expect_soon(is_held());
}

size_t volley_add(salvo *volley, ez_call *call, ez_handler *run, ProtobufCMessage *request) {
    submit(volley, &volley->shots[volley->count], call, run, request);
    return volley->count++;
}

void volley_fire(salvo *volley) {
    pthread_mutex_lock(&lock);
    may_go = true;
    pthread_mutex_unlock(&lock);
    expect_soon(is_done(&volley->hold));
    for (size_t i = 0; i < volley->count; i++)
        expect_soon(is_done(&volley->shots[i]));
    ez_call_destroy_system(volley->hold.write.call);
}
