// SPDX-License-Identifier: Apache-2.0
//
// A program under test: started by posix_spawn, its stdout read line by line, its stderr kept in a file. It dies with
// the thread that started it, so that a crashed test leaves nothing behind: start processes from the test's own thread.
// Every wait is bounded by patience (tests/support/wait.h) and fails the test where it is over.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/support/folder.h"

typedef struct ez_test_process {
    pid_t pid; // 0: none is running
    int out;   // read end of its stdout, or -1
    char name[64];
    char log[EZ_TEST_PATH_MAX]; // its stderr, appended to over restarts
    char line[1024];            // the line of stdout that was waited for last
    char pending[4096];         // what came behind it
    size_t pending_len;
} ez_test_process;

// Where the programs under test are: EZ_TEST_BIN, which tests/support/with_store sets. Fails the test where it is
// unset.
const char *ez_test_bin(void);

// program: a name in ez_test_bin(), or a path with a slash. args: what follows argv[0], NULL-terminated, or NULL. env:
// "NAME=value" beside (and before) this process's own, less every EZ_… that is not for tests, NULL-terminated. log:
// file for its stderr.
void start_process(ez_test_process *process, const char *program, const char *const *args, const char *const *env,
                   const char *log);

// Waits for a line of stdout that begins with prefix; it is in process->line. False where the process ended instead.
bool wait_for_line(ez_test_process *process, const char *prefix);

// Sends a signal; the process must be running.
void signal_process(ez_test_process *process, int signal);

// Waits for the end. Returns what waitpid gives.
int wait_process(ez_test_process *process);

// SIGTERM. True where it then ended with exit status 0 and no sanitizer's report in its log; else the end of the log is
// on stderr.
bool ends_cleanly(ez_test_process *process);

// The same, expected.
void stop_process(ez_test_process *process);
// Likewise of one that ends by itself, or was sent a signal. The test's message has the end of its log.
void expect_clean_end(ez_test_process *process);

// SIGKILL: the fault. Returns when it is gone. Does nothing where none is running.
void kill_process(ez_test_process *process);

// Runs a program to its end. Returns its exit status, -1 where a signal ended it; *out is its stdout (caller frees, may
// be NULL).
int run_process(const char *program, const char *const *args, const char *const *env, const char *log, char **out);
