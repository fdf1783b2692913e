// SPDX-License-Identifier: Apache-2.0
//
// Usage and logs on SQLite where the disk is full and where the process is killed.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/log_model.h"

#define NOW (INT64_C(20000) * DAY_NS)

static place at;

static void setup(void) {
    given_place(&at);
}

static void teardown(void) {
    drop_place(&at);
}

TestSuite(store_sqlite_meter, .init = setup, .fini = teardown, .timeout = 100);

// Batch "sequence" of data plane 1: 30 records with bodies, and as many requests of a key.
static ez_status add_logs(ez_store *store, uint64_t sequence, ez_error *error) {
    static char body[2000];
    ez_log_row rows[30];
    memset(body, 'b', sizeof body);
    for (int i = 0; i < 30; i++) {
        rows[i] = random_record(NOW + (int64_t)sequence * 10 * SECOND_NS);
        rows[i].body = (ez_slice){(const uint8_t *)body, sizeof body};
    }
    ez_log_batch batch = {
        .mark = {.data_plane_id = 1, .epoch = 2, .sequence = sequence}, .rows = rows, .row_count = 30};
    ez_status status = ez_store_add_logs(store, &batch, 1, NOW, error);
    cr_assert(status || batch.mark.outcome != EZ_MARK_GAP);
    return status;
}

static ez_status add_usage(ez_store *store, uint64_t sequence, ez_error *error) {
    ez_usage_row rows[30];
    for (int i = 0; i < 30; i++)
        rows[i] = (ez_usage_row){.table = EZ_USAGE_KEYS, .id = (int64_t)sequence * 30 + i, .add = {.requests = 1}};
    ez_usage_batch batch = {
        .mark = {.data_plane_id = 1, .epoch = 2, .sequence = sequence}, .rows = rows, .row_count = 30};
    ez_status status = ez_store_add_usage(store, &batch, 1, NOW, NULL, NULL, error);
    cr_assert(status || batch.mark.outcome != EZ_MARK_GAP);
    return status;
}

// Everything there is says that so many batches came, whole.
static void expect_batches(long long logs, long long usage) {
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_records"), 30 * logs);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_bodies"), 30 * logs);
    cr_assert_eq(number_of(&at, "SELECT coalesce(sum(records), 0) FROM log_days"), 30 * logs);
    cr_assert_eq(number_of(&at, "SELECT next_id FROM log_head"), 30 * logs + 1);
    cr_assert_eq(number_of(&at, "SELECT coalesce(sum(requests), 0) FROM rollups WHERE step = 60 AND level = 8"),
                 30 * logs);
    cr_assert_eq(number_of(&at, "SELECT coalesce(max(sequence), 0) FROM marks WHERE stream = 2"), logs);
    cr_assert_eq(number_of(&at, "SELECT coalesce(sum(requests), 0) FROM key_usage"), 30 * usage);
    cr_assert_eq(number_of(&at, "SELECT coalesce(max(sequence), 0) FROM marks WHERE stream = 1"), usage);
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// Adds until the disk is full; gives how many were taken.
static uint64_t fill(ez_store *store, ez_status (*add)(ez_store *, uint64_t, ez_error *)) {
    ez_error error = EZ_ERROR_INIT;
    uint64_t taken = 0;
    while (add(store, taken + 1, &error) == EZ_OK && taken < 2000)
        taken++;
    expect_error(error.code, &error, EZ_RESOURCE_EXHAUSTED, "DISK_FULL", at.path);
    return taken;
}

Test(store_sqlite_meter, full_disk_rolls_back_and_recovers) {
    ez_store *store = open_store(&at);
    limit_files(700000);
    uint64_t logs = fill(store, add_logs), usage = fill(store, add_usage);
    limit_files(RLIM_INFINITY);
    expect_batches((long long)logs, (long long)usage);
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(add_logs(store, logs + 1, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(add_usage(store, usage + 1, &error), EZ_OK, "%s", error.message);
    ez_store_close(store);
    store = open_store(&at);
    expect_batches((long long)logs + 1, (long long)usage + 1);
    ez_store_close(store);
}

static off_t log_size(void) {
    char path[sizeof at.path + 8];
    struct stat found;
    snprintf(path, sizeof path, "%s-wal", at.path);
    cr_assert_eq(stat(path, &found), 0);
    return found.st_size;
}

// What is folded, and how far.
static char *folding(void) {
    return rows_of(&at, "SELECT step, level, sum(requests) FROM rollups GROUP BY step, level UNION ALL "
                        "SELECT step, from_s, until_s + folded FROM rollup_open ORDER BY 1, 2");
}

Test(store_sqlite_meter, a_fold_that_finds_the_disk_full_moves_no_edge) {
    ez_store *store = open_store(&at);
    for (uint64_t i = 1; i <= 10; i++)
        cr_assert_eq(add_logs(store, i, NULL), EZ_OK);
    limit_files((rlim_t)log_size() + 60000); // some steps of it
    ez_error error = EZ_ERROR_INIT;
    ez_status status = EZ_OK;
    char *before = NULL;
    for (bool more = true; status == EZ_OK && more;) {
        free(before);
        before = folding();
        status = ez_store_fold_rollups(store, EZ_NO_FENCE, NOW + 26 * HOUR_NS, &more, &error);
    }
    expect_error(status, &error, EZ_RESOURCE_EXHAUSTED, "DISK_FULL", at.path);
    char *after = folding();
    cr_assert_str_eq(after, before);
    free(before);
    free(after);
    limit_files(RLIM_INFINITY);
    fold_all(store, NOW + 26 * HOUR_NS);
    for (int level = 1; level <= 8; level++) {
        char text[128];
        snprintf(text, sizeof text, "SELECT sum(requests) FROM rollups WHERE step = 86400 AND level = %d", level);
        cr_assert_eq(number_of(&at, text), 300, "level %d", level);
    }
    expect_batches(10, 0);
    ez_store_close(store);
}

// What a child does until it is killed: batches, folding and forgetting; tells of each batch that was acknowledged.
static void work_until_killed(int tell, uint64_t sequence) {
    ez_store *store = open_store(&at);
    bool more = false;
    for (;; sequence++) {
        ez_log_limits limits = {0};
        if (add_logs(store, sequence, NULL) != EZ_OK || add_usage(store, sequence, NULL) != EZ_OK ||
            ez_store_fold_rollups(store, EZ_NO_FENCE, NOW + 3 * HOUR_NS, &more, NULL) != EZ_OK ||
            ez_store_trim_logs(store, EZ_NO_FENCE, &limits, NOW, 100, &more, NULL) != EZ_OK ||
            write(tell, &sequence, sizeof sequence) != sizeof sequence)
            _exit(1);
    }
}

Test(store_sqlite_meter, killed_process_keeps_what_it_acknowledged) {
    ez_store_close(open_store(&at));
    long long logs = 0, usage = 0;
    for (int round = 0; round < 5; round++) {
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        // Both streams go on where the shorter one is: the other's batch is a repeat.
        uint64_t from = (uint64_t)(logs < usage ? logs : usage) + 1, last = from - 1, told;
        pid_t child = fork();
        if (child == 0)
            work_until_killed(ends[1], from);
        close(ends[1]);
        for (int i = 0; i < 5 + 7 * round && read(ends[0], &told, sizeof told) == sizeof told; i++)
            last = told;
        kill(child, SIGKILL);
        while (read(ends[0], &told, sizeof told) == sizeof told)
            last = told;
        close(ends[0]);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        ez_store_close(open_store(&at));
        logs = number_of(&at, "SELECT coalesce(max(sequence), 0) FROM marks WHERE stream = 2");
        usage = number_of(&at, "SELECT coalesce(max(sequence), 0) FROM marks WHERE stream = 1");
        cr_assert(usage >= (long long)last && logs >= usage && logs <= usage + 1 && usage <= (long long)last + 1,
                  "%lld and %lld of %llu", logs, usage, (unsigned long long)last);
        expect_batches(logs, usage);
    }
    // Whatever was folded half-way comes to the same.
    ez_store *store = open_store(&at);
    fold_all(store, NOW + 3 * DAY_NS);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE step = 86400 AND level = 4"), 30 * logs);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE step = 3600 AND level = 8"), 30 * logs);
    ez_store_close(store);
}
