// SPDX-License-Identifier: Apache-2.0
//
// A program under test. posix_spawn, since nng forbids a fork in a process that uses it; setpriv (util-linux) runs the
// program with a death signal, which posix_spawn can't ask for.
// The awkward case is a program that ends before it is ready, or never is: both are reported with the end of its log,
// and neither leaves a process or a wait behind.
#include "tests/support/process.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/runtime/clock.h"
#include "tests/support/wait.h"

#define ARGS_MAX 64
#define ENV_MAX  512
#define LOG_TAIL 4000
#define OUT_MAX  (16u << 20)

extern char **environ;

const char *ez_test_bin(void) {
    const char *bin = getenv("EZ_TEST_BIN");
    cr_assert(bin && *bin, "EZ_TEST_BIN is not set: run this test by ctest or tools/test");
    return bin;
}

static void print_log_tail(const ez_test_process *process) {
    char *text = read_file(process->log);
    if (!text)
        return;
    size_t len = strlen(text);
    fprintf(stderr, "---- end of %s's log\n%s----\n", process->name, text + (len > LOG_TAIL ? len - LOG_TAIL : 0));
    free(text);
}

static bool is_given(const char *const *more, const char *entry) {
    size_t name = strcspn(entry, "=") + 1;
    for (size_t i = 0; more && more[i]; i++)
        if (strncmp(more[i], entry, name) == 0)
            return true;
    return false;
}

// A server must not see its tester's settings: only what the test gives it. No name comes twice: of two, getenv takes
// the first and a shell the last.
static void make_env(const char *const *more, char **out) {
    size_t count = 0;
    for (size_t i = 0; more && more[i] && count < ENV_MAX; i++)
        out[count++] = (char *)more[i];
    for (size_t i = 0; environ[i] && count < ENV_MAX; i++)
        if (!is_given(more, environ[i]) &&
            (strncmp(environ[i], "EZ_", 3) != 0 || strncmp(environ[i], "EZ_TEST_", 8) == 0))
            out[count++] = environ[i];
    cr_assert_lt(count, ENV_MAX, "too many environment variables");
    out[count] = NULL;
}

static void spawn(ez_test_process *process, const char *path, const char *const *args, const char *const *env,
                  int out) {
    const char *argv[ARGS_MAX + 8] = {"setpriv", "--pdeathsig", "KILL", "--", path};
    for (size_t i = 0; args && args[i]; i++) {
        cr_assert_lt(i, ARGS_MAX, "too many arguments");
        argv[5 + i] = args[i];
    }
    char *envp[ENV_MAX + 1];
    make_env(env, envp);

    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addopen(&files, 2, process->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int result = posix_spawnp(&process->pid, "setpriv", &files, &attributes, (char *const *)argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    cr_assert_eq(result, 0, "can't start %s: %s", path, strerror(result));
}

void start_process(ez_test_process *process, const char *program, const char *const *args, const char *const *env,
                   const char *log) {
    char path[EZ_TEST_PATH_MAX * 2];
    if (strchr(program, '/'))
        snprintf(path, sizeof path, "%s", program);
    else
        snprintf(path, sizeof path, "%s/%s", ez_test_bin(), program);
    cr_assert_eq(access(path, X_OK), 0, "%s is not there to be tested: build it first", path);

    const char *slash = strrchr(path, '/');
    *process = (ez_test_process){.out = -1};
    snprintf(process->name, sizeof process->name, "%s", slash + 1);
    snprintf(process->log, sizeof process->log, "%s", log);
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0, "no pipe: %s", strerror(errno));
    process->out = ends[0];
    spawn(process, path, args, env, ends[1]);
    close(ends[1]);
}

// Takes the next whole line out of pending. A line longer than the buffers is cut, which no program under test prints.
static bool take_line(ez_test_process *process) {
    char *end = memchr(process->pending, '\n', process->pending_len);
    if (!end && process->pending_len < sizeof process->pending)
        return false;
    size_t len = end ? (size_t)(end - process->pending) : process->pending_len;
    size_t used = end ? len + 1 : len;
    size_t copied = len < sizeof process->line - 1 ? len : sizeof process->line - 1;
    memcpy(process->line, process->pending, copied);
    process->line[copied] = '\0';
    process->pending_len -= used;
    memmove(process->pending, process->pending + used, process->pending_len);
    return true;
}

bool wait_for_line(ez_test_process *process, const char *prefix) {
    uint64_t deadline = ez_test_deadline();
    for (;;) {
        while (take_line(process))
            if (strncmp(process->line, prefix, strlen(prefix)) == 0)
                return true;
        uint64_t now = ez_clock_mono_ms();
        if (now >= deadline) {
            print_log_tail(process);
            kill_process(process);
            cr_assert_fail("%s did not print a line \"%s…\" within %u ms", process->name, prefix,
                           ez_test_patience_ms());
        }
        struct pollfd poll_for = {.fd = process->out, .events = POLLIN};
        if (poll(&poll_for, 1, (int)(deadline - now)) <= 0)
            continue;
        size_t room = sizeof process->pending - process->pending_len;
        ssize_t got = read(process->out, process->pending + process->pending_len, room);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0)
            process->pending_len += (size_t)got;
    }
}

void signal_process(ez_test_process *process, int signal) {
    cr_assert(process->pid > 0, "%s is not running", process->name);
    cr_assert_eq(kill(process->pid, signal), 0, "can't signal %s: %s", process->name, strerror(errno));
}

// The program is reaped. What it started itself is of its group and goes too.
static void forget(ez_test_process *process) {
    if (process->pid > 0)
        kill(-process->pid, SIGKILL);
    process->pid = 0;
    if (process->out >= 0)
        close(process->out);
    process->out = -1;
}

int wait_process(ez_test_process *process) {
    cr_assert(process->pid > 0, "%s is not running", process->name);
    uint64_t deadline = ez_test_deadline();
    int status = 0;
    pid_t got;
    while ((got = waitpid(process->pid, &status, WNOHANG)) == 0 && ez_test_before(deadline)) {
    }
    if (got == 0) {
        print_log_tail(process);
        kill_process(process);
        cr_assert_fail("%s did not end within %u ms", process->name, ez_test_patience_ms());
    }
    forget(process);
    return status;
}

static bool has_report(const ez_test_process *process) {
    static const char *const marks[] = {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
                                        ": runtime error: "};
    char *text = read_file(process->log);
    bool found = false;
    for (size_t i = 0; text && i < sizeof marks / sizeof *marks; i++)
        found = found || strstr(text, marks[i]);
    free(text);
    return found;
}

// Waits for the end. What was not right about it, and the end of the log; "": nothing.
static void judge_end(ez_test_process *process, char *out, size_t size) {
    int status = wait_process(process);
    bool is_clean = WIFEXITED(status) && WEXITSTATUS(status) == 0 && !has_report(process);
    char *text = is_clean ? NULL : read_file(process->log);
    size_t len = text ? strlen(text) : 0;
    out[0] = '\0';
    if (!is_clean)
        snprintf(out, size, "%s ended with %s %d: …%s", process->name, WIFEXITED(status) ? "exit status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                 text ? text + (len > LOG_TAIL ? len - LOG_TAIL : 0) : "");
    free(text);
}

bool ends_cleanly(ez_test_process *process) {
    char why[LOG_TAIL + 256];
    signal_process(process, SIGTERM);
    judge_end(process, why, sizeof why);
    if (why[0])
        fprintf(stderr, "%s\n", why);
    return !why[0];
}

void expect_clean_end(ez_test_process *process) {
    char why[LOG_TAIL + 256];
    judge_end(process, why, sizeof why);
    cr_assert(!why[0], "%s", why);
}

void stop_process(ez_test_process *process) {
    signal_process(process, SIGTERM);
    expect_clean_end(process);
}

void kill_process(ez_test_process *process) {
    if (process->pid > 0) {
        kill(process->pid, SIGKILL);
        while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    forget(process);
}

int run_process(const char *program, const char *const *args, const char *const *env, const char *log, char **out) {
    ez_test_process process;
    start_process(&process, program, args, env, log);
    char *text = calloc(1, OUT_MAX + 1);
    cr_assert_not_null(text, "no memory");
    size_t len = 0;
    uint64_t deadline = ez_test_deadline();
    for (;;) {
        uint64_t now = ez_clock_mono_ms();
        struct pollfd poll_for = {.fd = process.out, .events = POLLIN};
        if (now >= deadline || len == OUT_MAX)
            break;
        if (poll(&poll_for, 1, (int)(deadline - now)) <= 0)
            continue;
        ssize_t got = read(process.out, text + len, OUT_MAX - len);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    int status = wait_process(&process);
    if (out)
        *out = text;
    else
        free(text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
