// SPDX-License-Identifier: Apache-2.0
//
// What ez-dpsim enrols is gone after it: when it ends, when it is told to, and, where it was killed, after the next
// run. With a spool it stays, for the next run.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/world.h"

static ez_world w;
static ez_test_process sim;
static char folder[EZ_TEST_PATH_MAX], log_file[EZ_TEST_PATH_MAX + 16];
static char texts[3][128];
static const char *env[] = {texts[0], texts[1], texts[2], NULL};

static void begin(void) {
    given_world(&w, NULL);
    given_folder(folder);
    snprintf(log_file, sizeof log_file, "%s/dpsim.log", folder);
    snprintf(texts[0], sizeof texts[0], "EZ_RPC_URL=%s", w.server.rpc_url);
    snprintf(texts[1], sizeof texts[1], "EZ_CONFIG_URL=%s", w.server.config_url);
    snprintf(texts[2], sizeof texts[2], "EZ_ADMIN_TOKEN=%s", w.server.admin_token);
    // Not the simulator's, whatever their names.
    given_plane(&w.admin, "edge");
    given_plane(&w.admin, "sim-ilar");
}

static void end(void) {
    kill_process(&sim);
    remove_folder(folder);
    end_world(&w);
}

TestSuite(dpsim, .init = begin, .fini = end);

static size_t enrolled(const char *state) {
    Ez__V1__ListDataPlanesResponse *page = ask(&w.admin, "DataPlanes/List", "{'page_size':1000%s}", state);
    return page->n_items;
}

static void given_simulator(void) {
    const char *args[] = {"--planes", "3", "--seconds", "0", NULL};
    sim = (ez_test_process){.out = -1};
    start_process(&sim, "ez-dpsim", args, env, log_file);
    cr_assert(wait_for_line(&sim, "3 of 3 data planes are connected"));
    cr_assert_eq(enrolled(""), 5);
}

static void run_simulator(void) {
    const char *args[] = {"--planes", "2", "--seconds", "1", "--json", NULL};
    cr_assert_eq(run_process("ez-dpsim", args, env, log_file, NULL), 0);
}

Test(dpsim, its_planes_go_when_it_ends) {
    run_simulator();
    cr_assert_eq(enrolled(""), 2);
    const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        given_simulator();
        signal_process(&sim, signals[i]);
        expect_clean_end(&sim);
        cr_assert_eq(enrolled(""), 2, "after signal %d", signals[i]);
    }
}

Test(dpsim, those_of_a_killed_run_go_with_the_next) {
    given_simulator();
    kill_process(&sim);
    expect_soon(enrolled(",'state':'lost'") == 3);
    run_simulator();
    cr_assert_eq(enrolled(""), 2);
}

// Two may run at a time.
Test(dpsim, those_of_a_run_that_goes_on_stay) {
    given_simulator();
    run_simulator();
    cr_assert_eq(enrolled(""), 5);
    signal_process(&sim, SIGTERM);
    expect_clean_end(&sim);
    cr_assert_eq(enrolled(""), 2);
}

static char spool[EZ_TEST_PATH_MAX + 16], truth[EZ_TEST_PATH_MAX + 16];

// Two data planes that report for a second or so; what it prints.
static char *run_reporting(const char *rate) {
    snprintf(spool, sizeof spool, "%s/spool", folder);
    snprintf(truth, sizeof truth, "%s/truth", folder);
    const char *args[] = {"--planes", "2",       "--seconds", "1",       "--json", "--usage",
                          rate,       "--spool", spool,       "--truth", truth,    NULL};
    char *out = NULL;
    cr_assert_eq(run_process("ez-dpsim", args, env, log_file, &out), 0, "%s", out);
    cr_assert_not_null(strstr(out, "\"drained\":true"), "%s", out);
    return out;
}

Test(dpsim, with_a_spool_its_planes_stay_and_report_again) {
    int64_t master = given_master(&w.admin, "acme")->id;
    int64_t key = given_key(&w.admin, master, "web")->id;
    given_api_key(&w.admin, given_group(&w.admin, "openai", "'m'")->id, "second", "sk-second");
    free(run_reporting("500"));
    cr_assert_eq(enrolled(""), 4);
    Ez__V1__Key *once = ask(&w.admin, "Keys/Get", "{'id':%" PRId64 "}", key);
    cr_assert_gt(once->request_count, 0);
    run_simulator(); // sweeps what others left behind, but not these
    cr_assert_eq(enrolled(""), 4);
    char *out = run_reporting("0");
    cr_assert_not_null(strstr(out, "\"records\":0,"), "%s", out);
    free(out);
    free(run_reporting("500"));
    cr_assert_eq(enrolled(""), 4);
    Ez__V1__Key *twice = ask(&w.admin, "Keys/Get", "{'id':%" PRId64 "}", key);
    cr_assert_gt(twice->request_count, once->request_count);
}

Test(dpsim, a_truth_log_needs_a_spool) {
    const char *args[] = {"--planes", "1", "--seconds", "1", "--truth", "/dev/null", NULL};
    cr_assert_eq(run_process("ez-dpsim", args, env, log_file, NULL), 2);
    cr_assert_eq(enrolled(""), 2);
}
