// SPDX-License-Identifier: Apache-2.0
//
// A process that does not end by itself is ended by the first of its guards; one that does never hears of them.
#include "proto/runtime/exit_guard.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

static int exit_status_of(pid_t child) {
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(exit_guard, the_first_bound_ends_what_hangs) {
    pid_t child = fork();
    if (child == 0) {
        ez_exit_guard(600000, 3);
        ez_exit_guard(50, 7);
        for (;;)
            pause();
    }
    cr_assert_eq(exit_status_of(child), 7);
}

Test(exit_guard, what_ends_by_itself_is_left_alone) {
    pid_t child = fork();
    if (child == 0) {
        ez_exit_guard(600000, 3);
        _exit(0);
    }
    cr_assert_eq(exit_status_of(child), 0);
}
