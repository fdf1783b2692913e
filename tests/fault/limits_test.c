// SPDX-License-Identifier: Apache-2.0
//
// Too many connections: ten thousand that say nothing, and a server that is out of descriptors. Where this process may
// not hold so many itself the test says so and is skipped.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/fault/support/unhurt.h"

#define IDLE 10000

static ez_world w;

Test(limits, fault_12_ten_thousand_idle_connections) {
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < IDLE + 500 || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        cr_skip_test("this process may hold %llu descriptors only", (unsigned long long)limit.rlim_max);
    given_peace(&w, NULL); // inherits the limit
    int *fds = calloc(IDLE, sizeof *fds);
    for (int i = 0; i < IDLE; i++) {
        fds[i] = given_peer(w.server.rpc_url);
        if (i % 1000 == 999)
            expect_unhurt(&w);
    }
    expect_soon(connections(&w) >= IDLE);
    expect_unhurt(&w);
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
    expect_soon(connections(&w) < 10);
    expect_unhurt(&w);
    free(fds);
    end_world(&w);
}

// Whoever is connected is served; whoever comes waits until there is room again.
Test(limits, fault_56_no_descriptors_left) {
    given_peace(&w, NULL);
    struct rlimit limit = {64, 64};
    cr_assert_eq(prlimit(w.server.process.pid, RLIMIT_NOFILE, &limit, NULL), 0);
    int fds[100];
    for (int i = 0; i < 100; i++) { // the kernel takes them, the server can't
        fds[i] = given_tcp(w.server.rpc_url);
        tcp_greet(fds[i], EZ_SP_REQ);
    }
    for (int i = 0; i < 50; i++)
        expect_unhurt(&w);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    int late = given_tcp(w.server.rpc_url);
    tcp_greet(late, EZ_SP_REQ);
    cr_assert(tcp_greeted(late), "new connections are taken again");
    close(late);
    expect_unhurt(&w);
    end_world(&w);
}

Test(limits, more_connections_than_allowed_are_closed) {
    static const char *const env[] = {"EZ_RPC_CONNECTIONS=16", NULL};
    given_peace(&w, env);
    int fds[40], closed = 0;
    for (int i = 0; i < 40; i++) {
        fds[i] = given_tcp(w.server.rpc_url);
        tcp_greet(fds[i], EZ_SP_REQ);
    }
    for (int i = 20; i < 40; i++)
        closed += tcp_is_closed(fds[i]);
    cr_assert_eq(closed, 20);
    expect_unhurt(&w);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    expect_soon(connections(&w) < 5);
    end_world(&w);
}
