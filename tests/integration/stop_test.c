// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM under load: what was acknowledged is there, what was not is answered, nobody hangs, the exit status is 0.
// (fault 59)
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/system.pb-c.h"
#include "tests/fault/support/writers.h"
#include "tests/integration/support/plane.h"

static ez_world w;
static ez_writers writers;

static void begin(void) {
    given_world(&w, NULL);
    given_writers(&writers, &w, 4);
}

static void end(void) {
    end_writers(&writers);
    end_world(&w);
}

TestSuite(stop, .init = begin, .fini = end);

Test(stop, under_load_loses_nothing_and_ends_cleanly) {
    for (int round = 0; round < 3; round++) {
        await_writes(&writers, 60);
        restart_server(&w.server); // expects exit status 0
        await_writes(&writers, 1);
        rest(&writers);
        expect_nothing_lost(&writers);
        resume(&writers);
    }
}

// A call that waits for a data plane which will never answer is answered when the server stops.
typedef struct waiting {
    pthread_t thread;
    atomic_bool is_done;
    ez_status status;
    ez_call_info info;
} waiting;

static void *wait_long(void *arg) {
    waiting *call = arg;
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__CreateNamespaceRequest request = EZ__V1__CREATE_NAMESPACE_REQUEST__INIT;
    Ez__V1__Namespace space = EZ__V1__NAMESPACE__INIT;
    space.name = (char *)"waited";
    request.namespace_ = &space;
    ez_call_options options = {.authorization = w.server.admin_token,
                               .wait_applied = true,
                               .timeout_ms = 60000,
                               .max_retries = -1,
                               .info = &call->info};
    call->status = ez_call_namespaces_create(w.client, &request, &options, NULL, &error);
    call->is_done = true;
    return NULL;
}

Test(stop, a_waiting_call_is_answered_not_dropped) {
    rest(&writers);
    ez_caller mute = caller_with(&w, given_plane(&w.admin, "edge")->token);
    ask(&mute, "DataPlanes/Hello", "{'name':'edge','process_epoch':1}");
    uint64_t before = revision_of(&w);
    waiting call = {.is_done = false};
    cr_assert_eq(pthread_create(&call.thread, NULL, wait_long, &call), 0);
    expect_soon(revision_of(&w) == before + 1); // committed, and waiting
    ask(&mute, "DataPlanes/Heartbeat", "{}");
    stop_server(&w.server);
    expect_soon(call.is_done);
    pthread_join(call.thread, NULL);
    cr_assert_eq(call.status, EZ_OK, "got %s", ez_status_name(call.status));
    cr_assert(call.info.has_applied);
    cr_assert_eq(call.info.applied_planes, 0);
    start_server(&w.server);
    resume(&writers);
}

// Peers that ask again at once when they are refused do not hold up the stop: it waits for what began before it.
typedef struct nagging {
    pthread_t threads[16];
    atomic_bool is_over;
} nagging;

static void *nag(void *arg) {
    nagging *all = arg;
    while (!all->is_over) {
        ez_error error = EZ_ERROR_INIT;
        Ez__V1__GetAboutRequest request = EZ__V1__GET_ABOUT_REQUEST__INIT;
        ez_call_options options = {.max_retries = -1, .timeout_ms = 1000};
        ez_status status = ez_call_system_get_about(w.client, &request, &options, NULL, &error);
        (void)status; // refused, or cut off at the end
    }
    return NULL;
}

Test(stop, peers_that_keep_asking_do_not_hold_it_up) {
    nagging all = {.is_over = false};
    for (size_t i = 0; i < sizeof all.threads / sizeof all.threads[0]; i++)
        cr_assert_eq(pthread_create(&all.threads[i], NULL, nag, &all), 0);
    await_writes(&writers, 1);
    stop_server(&w.server);
    all.is_over = true;
    for (size_t i = 0; i < sizeof all.threads / sizeof all.threads[0]; i++)
        pthread_join(all.threads[i], NULL);
    char *log = read_file(w.server.process.log);
    cr_assert_null(strstr(log, "not answered in time"), "the stop waited until its patience was over");
    free(log);
    start_server(&w.server);
}
