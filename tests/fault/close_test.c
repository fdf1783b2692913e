// SPDX-License-Identifier: Apache-2.0
//
// A client of libezplane that is closed while sixteen threads call and its server is killed, hangs, or never was there.
// The close must come back, and each call must have had its one result. EZ_FAULT_ROUNDS: how many kills (5). Now and
// then nng does hang here; tests/unit/client/close_test.c makes it on purpose.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/integration/support/world.h"

#define ROUNDS 5

static ez_world w;
static ez_test_process closer;
static char folder[EZ_TEST_PATH_MAX], log_file[EZ_TEST_PATH_MAX + 16];

static void begin(void) {
    given_world(&w, NULL);
    given_folder(folder);
    snprintf(log_file, sizeof log_file, "%s/closer.log", folder);
}

static void end(void) {
    kill_process(&closer);
    remove_folder(folder);
    end_world(&w);
}

TestSuite(close, .init = begin, .fini = end);

static void given_closer(const char *url, const char *until) {
    const char *args[] = {url, w.server.admin_token, NULL}, *env[] = {NULL};
    closer = (ez_test_process){.out = -1};
    start_process(&closer, EZ_CLOSER, args, env, log_file);
    cr_assert(wait_for_line(&closer, until), "it ended before it was %s", until);
}

static void expect_closes(void) {
    signal_process(&closer, SIGTERM);
    cr_assert(wait_for_line(&closer, "closed"), "calls are left without a result");
    cr_assert_eq(wait_process(&closer), 0);
}

Test(close, sixteen_callers_and_a_server_that_is_killed) {
    const char *rounds = getenv("EZ_FAULT_ROUNDS");
    for (long round = rounds ? strtol(rounds, NULL, 10) : ROUNDS; round > 0; round--) {
        given_closer(w.server.rpc_url, "answered");
        kill_server(&w.server);
        expect_closes();
        start_server(&w.server);
    }
}

// What was sent is in the server's hands and stays there.
Test(close, sixteen_callers_and_a_server_that_hangs) {
    given_closer(w.server.rpc_url, "answered");
    signal_process(&w.server.process, SIGSTOP);
    expect_closes();
    signal_process(&w.server.process, SIGCONT);
}

Test(close, sixteen_callers_and_a_server_that_never_was) {
    given_closer("tcp://127.0.0.1:1", "calling");
    expect_closes();
}
