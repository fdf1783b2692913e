// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM under load: what was acknowledged is there, what was not is answered, nobody hangs, the exit status is 0.
// (fault 59)
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fault/support/writers.h"
#include "tests/integration/support/plane.h"
#include "tests/integration/support/raw.h"

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

// Peers that ask again at once when they are refused do not hold up the stop: it waits for what began before it. By
// TCP, for nng 1.5.2 may hang for good in a process whose server goes away between the parts of an answer.
#define NAGS 16

static void *nag(void *arg) {
    int fd = *(const int *)arg;
    uint8_t head[12] = {0}, answer[4096];
    ez_buf frame;
    ez_buf_init(&frame, sizeof answer);
    raw_frame(&frame, "System/GetAbout", NULL, "", 0);
    head[7] = (uint8_t)(frame.len + 4); // a length of 8 bytes, then the request's id
    head[8] = 0x80;
    do {
        if (send(fd, head, sizeof head, MSG_NOSIGNAL | MSG_MORE) < 0 ||
            send(fd, frame.data, frame.len, MSG_NOSIGNAL) < 0)
            break;
    } while (tcp_receive_sp(fd, answer, sizeof answer) > 0);
    ez_buf_fini(&frame);
    return NULL;
}

Test(stop, peers_that_keep_asking_do_not_hold_it_up) {
    pthread_t threads[NAGS];
    int fds[NAGS];
    for (int i = 0; i < NAGS; i++) {
        fds[i] = given_tcp(w.server.rpc_url);
        tcp_greet(fds[i], EZ_SP_REQ);
        cr_assert(tcp_greeted(fds[i]));
        cr_assert_eq(pthread_create(&threads[i], NULL, nag, &fds[i]), 0);
    }
    await_writes(&writers, 1);
    stop_server(&w.server);
    for (int i = 0; i < NAGS; i++) {
        pthread_join(threads[i], NULL);
        close(fds[i]);
    }
    char *log = read_file(w.server.process.log);
    cr_assert_null(strstr(log, "not answered in time"), "the stop waited until its patience was over");
    free(log);
    start_server(&w.server);
}
