// SPDX-License-Identifier: Apache-2.0
//
// What is SQLite's alone: the file, its lock, full disks and torn logs.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/support.h"

static place at;
static char out[16384];

static void setup(void) {
    given_place(&at);
}

static void teardown(void) {
    drop_place(&at);
}

TestSuite(store_sqlite, .init = setup, .fini = teardown);

static void change_path(const char *below) {
    snprintf(at.path, sizeof at.path, "%s/%s", at.folder, below);
    snprintf(at.url, sizeof at.url, "sqlite:%s", at.path);
}

static mode_t mode_of(const char *path) {
    struct stat info;
    cr_assert_eq(stat(path, &info), 0, "%s", path);
    return info.st_mode & 0777;
}

Test(store_sqlite, makes_folders_and_private_files) {
    char name[320];
    umask(0);
    change_path("new/deeper/ez.db");
    ez_store *store = open_store(&at);
    commit_put(store, KIND_MASTER, 1, "x");
    cr_assert_eq(mode_of(at.path), (mode_t)0600);
    snprintf(name, sizeof name, "%s-wal", at.path);
    cr_assert_eq(mode_of(name), (mode_t)0600);
    snprintf(name, sizeof name, "%s/new", at.folder);
    cr_assert_eq(mode_of(name), (mode_t)0700);
    ez_store_close(store);
}

Test(store_sqlite, folder_that_is_a_file_is_refused) {
    char name[320];
    snprintf(name, sizeof name, "%s/plain", at.folder);
    close(open(name, O_CREAT | O_WRONLY, 0600));
    change_path("plain/ez.db");
    ez_store_options options = options_for(&at);
    ez_store *store = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_open(&options, &store, &error);
    expect_error(status, &error, EZ_FAILED_PRECONDITION, "STORE_PATH", "plain");
}

Test(store_sqlite, fault_43_second_opener_is_refused) {
    ez_store *store = open_store(&at);
    ez_store_options options = options_for(&at);
    ez_store *other = NULL;
    ez_error error = EZ_ERROR_INIT;
    char want[32];
    snprintf(want, sizeof want, "(pid %ld)", (long)getpid());
    ez_status status = ez_store_open(&options, &other, &error);
    expect_error(status, &error, EZ_FAILED_PRECONDITION, "STORE_IN_USE", want);
    commit_put(store, KIND_MASTER, 1, "x");
    ez_store_close(store);
    store = open_store(&at);
    cr_assert_eq(head_of(store).n, 1u);
    ez_store_close(store);
}

static void edit(const char *text) {
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(at.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(store_sqlite, newer_schema_is_refused) {
    ez_store_close(open_store(&at));
    edit("UPDATE ez_schema SET version = 4711");
    ez_store_options options = options_for(&at);
    ez_store *store = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_open(&options, &store, &error);
    expect_error(status, &error, EZ_FAILED_PRECONDITION, "SCHEMA_NEWER", "4711");
}

Test(store_sqlite, other_files_are_refused) {
    FILE *file = fopen(at.path, "w");
    for (int i = 0; i < 500; i++)
        fputs("this is no database\n", file);
    fclose(file);
    ez_store_options options = options_for(&at);
    ez_store *store = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_open(&options, &store, &error);
    expect_error(status, &error, EZ_DATA_LOSS, "STORE_CORRUPT", at.path);
}

// Files may not grow past the limit: what a full disk or a quota does.
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(store_sqlite, fault_40_full_disk_rolls_back_and_recovers) {
    static char big[200000];
    memset(big, 'b', sizeof big - 1);
    ez_store *store = open_store(&at);
    commit_put(store, KIND_MASTER, 1, "before");
    limit_files(400000);
    ez_status status = EZ_OK;
    ez_error error = EZ_ERROR_INIT;
    uint64_t good = 1;
    for (int i = 0; i < 20 && !status; i++) {
        ez_store_head head = head_of(store);
        group one;
        group_start(&one, &head);
        group_put(&one, KIND_MASTER, 2, big);
        status = ez_store_commit(store, &one.group, &error);
        good += !status;
    }
    expect_error(status, &error, EZ_RESOURCE_EXHAUSTED, "DISK_FULL", at.path);
    cr_assert_eq(head_of(store).n, good); // reading goes on
    limit_files(RLIM_INFINITY);
    commit_put(store, KIND_MASTER, 3, "after");
    ez_store_close(store);
    store = open_store(&at);
    cr_assert_eq(head_of(store).n, good + 1);
    changes_text(store, good, good + 1, 0, out, sizeof out);
    cr_assert_not_null(strstr(out, "+1/3=after"), "%s", out);
    ez_store_close(store);
}

static void copy(const char *from, const char *to, long keep) {
    static char bytes[1 << 16];
    FILE *in = fopen(from, "rb"), *copied = fopen(to, "wb");
    cr_assert(in && copied);
    for (size_t len; keep != 0 && (len = fread(bytes, 1, sizeof bytes, in)) > 0; keep -= keep > 0 ? (long)len : 0) {
        if (keep > 0 && (long)len > keep)
            len = (size_t)keep;
        fwrite(bytes, 1, len, copied);
    }
    fclose(in);
    fclose(copied);
}

// The machine stops while the log is being written: whatever is left of it, the store opens and holds the first so many
// commits, whole, and never less where more of the log is left.
Test(store_sqlite, fault_42_torn_log_leaves_a_prefix, .timeout = 100) {
    ez_store *store = open_store(&at);
    commit_many(store, 40);
    char database[320], log[320], copied[320], copied_log[330];
    snprintf(log, sizeof log, "%s-wal", at.path);
    snprintf(database, sizeof database, "%s", at.path);
    place torn = at;
    snprintf(torn.path, sizeof torn.path, "%s/torn.db", at.folder);
    snprintf(torn.url, sizeof torn.url, "sqlite:%s", torn.path);
    snprintf(copied, sizeof copied, "%s", torn.path);
    snprintf(copied_log, sizeof copied_log, "%s-wal", torn.path);
    struct stat info;
    cr_assert_eq(stat(log, &info), 0);
    // A whole first checkpoint: the schema itself is in the log, too, so start where it is complete.
    srand(4);
    uint64_t before = 0;
    long step = info.st_size / 24, first = 0;
    for (long keep = info.st_size; keep > 0; keep -= step / 2 + rand() % step) {
        copy(database, copied, -1);
        copy(log, copied_log, keep);
        ez_store *other = open_store(&torn);
        uint64_t n = head_of(other).n;
        cr_assert(keep != info.st_size || n == 40);
        cr_assert(first == 0 || n <= before, "%llu commits in a shorter log", (unsigned long long)n);
        char want[64] = "";
        changes_text(other, 0, n, 0, out, sizeof out);
        unsigned count = 0;
        for (const char *c = out; *c; c++)
            count += *c == '+';
        cr_assert_eq(count, n);
        snprintf(want, sizeof want, "%llu:%llu:%llu", (unsigned long long)n, (unsigned long long)n,
                 (unsigned long long)n);
        rows_text(other, KIND_MASTER, out, sizeof out);
        cr_assert(n == 0 || strcmp(out + strlen(out) - strlen(want), want) == 0, "%s", out);
        cr_assert_eq(head_of(other).next_audit_id, (int64_t)n + 1);
        commit_many(other, 1);
        ez_store_close(other);
        unlink(copied);
        unlink(copied_log);
        before = n;
        first = 1;
    }
    ez_store_close(store);
}

// kill -9 at any moment: everything that was acknowledged is there.
Test(store_sqlite, fault_39_killed_process_keeps_what_it_acknowledged, .timeout = 100) {
    ez_store_close(open_store(&at));
    for (int round = 0; round < 4; round++) {
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            ez_store *store = open_store(&at);
            for (;;) {
                commit_many(store, 1);
                uint64_t n = head_of(store).n;
                if (write(ends[1], &n, sizeof n) != sizeof n)
                    _exit(1);
            }
        }
        close(ends[1]);
        uint64_t acknowledged = 0, n;
        for (int i = 0; i < 20 + 13 * round && read(ends[0], &n, sizeof n) == sizeof n; i++)
            acknowledged = n;
        kill(child, SIGKILL);
        while (read(ends[0], &n, sizeof n) == sizeof n)
            acknowledged = n;
        close(ends[0]);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        ez_store *store = open_store(&at);
        uint64_t kept = head_of(store).n;
        cr_assert(kept == acknowledged || kept == acknowledged + 1, "%llu kept of %llu", (unsigned long long)kept,
                  (unsigned long long)acknowledged);
        ez_store_close(store);
    }
}
