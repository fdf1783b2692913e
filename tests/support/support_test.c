// SPDX-License-Identifier: Apache-2.0
//
// The tests' own tools, tried on the shell: a helper that does not notice a failure would make every test that uses it
// one that can't fail.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "tests/support/database.h"
#include "tests/support/expect.h"
#include "tests/support/port.h"
#include "tests/support/process.h"
#include "tests/support/wait.h"

static char home[EZ_TEST_PATH_MAX];
static char log_path[EZ_TEST_PATH_MAX + 8];

static void begin(void) {
    given_folder(home);
    snprintf(log_path, sizeof log_path, "%s/log", home);
}

static void end(void) {
    remove_folder(home);
}

static void quietly(void) {
    cr_redirect_stderr();
}

TestSuite(support, .init = begin, .fini = end);

static void start_shell(ez_test_process *process, const char *script) {
    start_process(process, "/bin/sh", (const char *const[]){"-c", script, NULL}, NULL, log_path);
}

Test(support, ready_line_is_found_among_others) {
    ez_test_process process;
    start_shell(&process,
                "echo one; echo ready at once; trap 'exit 0' TERM; while :; do read x || wait; done; sleep 60 & wait");
    cr_assert(wait_for_line(&process, "ready "));
    cr_assert_str_eq(process.line, "ready at once");
    kill_process(&process);
    cr_assert_eq(process.pid, 0);
}

Test(support, end_before_ready_is_noticed) {
    ez_test_process process;
    start_shell(&process, "echo almost; exit 3");
    cr_assert_not(wait_for_line(&process, "ready "));
    int status = wait_process(&process);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

Test(support, clean_stop_is_clean) {
    ez_test_process process;
    start_shell(&process, "trap 'exit 0' TERM; echo ready; sleep 60 & wait");
    cr_assert(wait_for_line(&process, "ready"));
    stop_process(&process);
}

Test(support, settings_of_the_tester_do_not_leak) {
    setenv("EZ_STORE", "sqlite:/nowhere", 1);
    char *out = NULL;
    const char *const env[] = {"EZ_HOME=here", NULL};
    int status = run_process("/bin/sh", (const char *const[]){"-c", "echo $EZ_HOME,$EZ_STORE; exit 4", NULL}, env,
                             log_path, &out);
    cr_assert_eq(status, 4);
    cr_assert_str_eq(out, "here,\n");
    free(out);
}

Test(support, stderr_is_kept) {
    run_process("/bin/sh", (const char *const[]){"-c", "echo oops >&2", NULL}, NULL, log_path, NULL);
    char *text = read_file(log_path);
    cr_assert_str_eq(text, "oops\n");
    free(text);
}

Test(support, ports_differ) {
    unsigned first = given_port(), second = given_port();
    cr_assert_neq(first, second);
    cr_assert(first >= 1024 && first < 32768);
}

Test(support, folder_goes_with_what_is_in_it) {
    char path[EZ_TEST_PATH_MAX], file[EZ_TEST_PATH_MAX + 8];
    given_folder(path);
    snprintf(file, sizeof file, "%s/file", path);
    write_file(file, "text", 4);
    cr_assert_eq(access(file, R_OK), 0);
    remove_folder(path);
    cr_assert_neq(access(path, F_OK), 0);
}

static int countdown(int *left) {
    return --*left;
}

Test(support, waiting_looks_again) {
    int left = 3;
    expect_soon(countdown(&left) == 0);
    cr_assert_eq(left, 0);
}

Test(support, code_and_reason) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_error_set(&error, EZ_NOT_FOUND, "KEY_NOT_FOUND", "there is no key %d", 7);
    expect_reason(EZ_NOT_FOUND, "KEY_NOT_FOUND", status, &error);
}

Test(support, unclean_stop_is_noticed) {
    ez_test_process process;
    start_shell(&process, "trap 'exit 9' TERM; echo ready; sleep 60 & wait");
    cr_assert(wait_for_line(&process, "ready"));
    cr_assert_not(ends_cleanly(&process));
}

// ctest takes such a report on stderr for a failure of this test, hence the redirection.
Test(support, report_in_the_log_is_noticed, .init = quietly) {
    ez_test_process process;
    start_shell(&process,
                "trap 'exit 0' TERM; echo 'WARNING: ''ThreadSanitizer: data race' >&2; echo ready; sleep 60 & wait");
    cr_assert(wait_for_line(&process, "ready"));
    cr_assert_not(ends_cleanly(&process));
}

Test(databases, are_apart) {
    if (!has_postgres())
        cr_skip_test("EZ_TEST_POSTGRES is not set");
    char first[EZ_TEST_URL_MAX], second[EZ_TEST_URL_MAX];
    given_database(first);
    given_database(second);
    cr_assert_neq(strcmp(first, second), 0);
    drop_database(first);
    drop_database(second);
}
