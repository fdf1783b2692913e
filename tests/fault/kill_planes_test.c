// SPDX-License-Identifier: Apache-2.0
//
// kill -9 of the server, of the data planes, of both, and a server that is away, while usage and logs come in. In the
// end what the server has is what the data planes' books say, to the last request.
// EZ_FAULT_ROUNDS: how many (10); EZ_FAULT_SEED: of what happens when; EZ_FAULT_RATE: records a second (2000);
// EZ_FAULT_AWAY_MS: how long a server is away, at most (1500).
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "tests/fault/support/books.h"
#include "tests/integration/support/world.h"

#define PLANES      "3"
#define PLANE_COUNT 3
#define STEPS_A_SEC 10 // of each plane
#define KEYS        5
#define API_KEYS    3
#define PAGE        1000
#define DRAIN_TRIES 3

static ez_world w;
static ez_test_process sim;
static char folder[EZ_TEST_PATH_MAX], log_file[EZ_TEST_PATH_MAX + 16], truth[EZ_TEST_PATH_MAX + 16];
static char texts[6][EZ_TEST_PATH_MAX + 64];
static const char *env[] = {texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], NULL};
static unsigned seed;

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

static void given_rows(void) {
    for (int i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        int64_t master = given_master(&w.admin, name)->id;
        for (int k = 0; k < KEYS; k++) {
            snprintf(name, sizeof name, "k%d-%d", i, k);
            given_key(&w.admin, master, name);
        }
        snprintf(name, sizeof name, "g%d", i);
        int64_t group = given_group(&w.admin, name, "'m'")->id;
        for (int k = 1; k < API_KEYS; k++) {
            snprintf(name, sizeof name, "a%d-%d", i, k);
            given_api_key(&w.admin, group, name, name);
        }
    }
}

static void begin(void) {
    // Long runs make more records than are kept by default.
    static const char *const server[] = {"EZ_LOG_MAX_RECORDS=0", NULL};
    given_world(&w, server);
    given_folder(folder);
    given_rows();
    snprintf(log_file, sizeof log_file, "%s/dpsim.log", folder);
    snprintf(truth, sizeof truth, "%s/truth", folder);
    snprintf(texts[0], sizeof texts[0], "EZ_RPC_URL=%s", w.server.rpc_url);
    snprintf(texts[1], sizeof texts[1], "EZ_CONFIG_URL=%s", w.server.config_url);
    snprintf(texts[2], sizeof texts[2], "EZ_ADMIN_TOKEN=%s", w.server.admin_token);
    snprintf(texts[3], sizeof texts[3], "EZ_SPOOL=%s/spool", folder);
    snprintf(texts[4], sizeof texts[4], "EZ_TRUTH=%s", truth);
    snprintf(texts[5], sizeof texts[5], "EZ_PLANES=" PLANES);
    seed = (unsigned)number_of("EZ_FAULT_SEED", (long)time(NULL));
    fprintf(stderr, "EZ_FAULT_SEED=%u\n", seed);
}

static void end(void) {
    kill_process(&sim);
    remove_folder(folder);
    end_world(&w);
}

TestSuite(kill_planes, .init = begin, .fini = end);

static void start_planes(void) {
    char rate[32];
    snprintf(rate, sizeof rate, "%ld", number_of("EZ_FAULT_RATE", 2000));
    const char *args[] = {"--seconds", "0", "--json", "--usage", rate, NULL};
    sim = (ez_test_process){.out = -1};
    start_process(&sim, "ez-dpsim", args, env, log_file);
}

static void await_steps(unsigned more) {
    unsigned wanted = count_steps(truth) + more;
    expect_soon(count_steps(truth) >= wanted);
}

// Any moment within a step.
static void a_moment(void) {
    nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 150000000}, NULL);
}

// Between a step's line in the books and its sync, or just behind: where a kill leaves it in doubt.
static void amid_a_step(void) {
    struct stat before = {0}, now = {0};
    uint64_t deadline = ez_test_deadline();
    (void)stat(truth, &before);
    do {
        cr_assert_eq(stat(truth, &now), 0);
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    } while (now.st_size == before.st_size && ez_clock_mono_ms() < deadline);
    nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 4000000}, NULL);
}

static void stay_away(void) {
    long ms = number_of("EZ_FAULT_AWAY_MS", 1500);
    // Data planes go on counting meanwhile: that is what is waited for. Patience covers seven seconds at a time.
    for (long left = (long)(rand_r(&seed) % (unsigned)ms); left > 0; left -= 1000)
        await_steps((unsigned)(left < 1000 ? left : 1000) * STEPS_A_SEC * PLANE_COUNT / 1000);
}

static void do_round(void) {
    a_moment();
    switch (rand_r(&seed) % 5) {
    case 0:
        kill_server(&w.server);
        start_server(&w.server);
        break;
    case 1:
        amid_a_step();
        kill_process(&sim);
        start_planes();
        break;
    case 2: // both, the data planes while the server is away
        kill_server(&w.server);
        amid_a_step();
        kill_process(&sim);
        start_server(&w.server);
        start_planes();
        break;
    case 3:
        kill_server(&w.server);
        stay_away();
        start_server(&w.server);
        break;
    default: // the data planes twice, the second time before they have said much
        amid_a_step();
        kill_process(&sim);
        start_planes();
        a_moment();
        kill_process(&sim);
        start_planes();
    }
    await_steps(3 * PLANE_COUNT);
}

// Sends what lies in the spool, and closes the books.
static void drain(void) {
    const char *args[] = {"--seconds", "1", "--json", NULL};
    char *out = NULL;
    int status = -1;
    for (int i = 0; i < DRAIN_TRIES && status != 0; i++) {
        free(out);
        status = run_process("ez-dpsim", args, env, log_file, &out);
    }
    cr_assert_eq(status, 0, "the spool is not drained: %s", out);
    fprintf(stderr, "%s", out);
    cr_assert_not_null(strstr(out, "\"skipped\":0"), "%s", out);
    cr_assert_not_null(strstr(out, "\"damaged\":0"), "%s", out);
    cr_assert_not_null(strstr(out, "\"rejected\":0"), "%s", out);
    cr_assert_not_null(strstr(out, "\"new_epochs\":0"), "%s", out);
    free(out);
}

// ---- The comparison

static void expect_counters(const ez_books *books) {
    for (unsigned i = 0; i < books->key_count; i++) {
        const ez_books_sums *want = &books->keys[i];
        Ez__V1__Key *key = ask(&w.admin, "Keys/Get", "{'id':%" PRId64 "}", want->id);
        cr_assert_eq(key->request_count, want->requests, "key %" PRId64 ": %" PRId64 " requests, %" PRId64 " were made",
                     want->id, key->request_count, want->requests);
        cr_assert_eq(key->tokens_in, want->tokens_in);
        cr_assert_eq(key->tokens_out, want->tokens_out);
        cr_assert_eq(key->quota_used, want->quota_used);
    }
    for (unsigned i = 0; i < books->master_count; i++) {
        const ez_books_sums *want = &books->masters[i];
        Ez__V1__Master *master = ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", want->id);
        cr_assert_eq(master->request_count, want->requests, "master %" PRId64 ": %" PRId64 " requests, not %" PRId64,
                     want->id, master->request_count, want->requests);
        cr_assert_eq(master->tokens_in, want->tokens_in);
        cr_assert_eq(master->tokens_out, want->tokens_out);
    }
    for (unsigned i = 0; i < books->api_key_count; i++) {
        const ez_books_sums *want = &books->api_keys[i];
        Ez__V1__ApiKey *key = ask(&w.admin, "ApiKeys/Get", "{'id':%" PRId64 "}", want->id);
        cr_assert_eq(key->total_requests, want->requests, "API key %" PRId64 ": %" PRId64 " requests, not %" PRId64,
                     want->id, key->total_requests, want->requests);
        cr_assert_eq(key->success_requests, want->success);
        cr_assert_eq(key->failure_requests, want->failure);
    }
}

static int by_number(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

// FNV-1a of the request id and the time, which a data plane's next process does not make again.
static uint64_t name_of(const Ez__V1__LogRecord *r) {
    char text[200];
    snprintf(text, sizeof text, "%s %" PRId64 ".%09d", r->request_id, r->time->seconds, r->time->nanos);
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    return hash;
}

// A page of records, not kept: there may be millions.
static Ez__V1__ListLogsResponse *list_records(char *token) {
    Ez__V1__ListLogsRequest request = EZ__V1__LIST_LOGS_REQUEST__INIT;
    request.page_size = PAGE;
    request.page_token = token;
    const ez_call_options options = {.authorization = w.server.admin_token};
    Ez__V1__ListLogsResponse *page = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_call_logs_list(w.client, &request, &options, &page, &error), &error);
    return page;
}

// As many records as the books say, and each of them once.
static void expect_records(const ez_books *books) {
    char token[600] = "";
    size_t count = 0, room = (size_t)books->records + PAGE;
    uint64_t *names = calloc(room, sizeof *names);
    do {
        Ez__V1__ListLogsResponse *page = list_records(token);
        for (size_t i = 0; i < page->n_items; i++) {
            cr_assert_lt(count, room, "there are more records than were made");
            names[count++] = name_of(page->items[i]);
        }
        snprintf(token, sizeof token, "%s", page->next_page_token);
        ez__v1__list_logs_response__free_unpacked(page, NULL);
    } while (token[0]);
    cr_assert_eq(count, (size_t)books->records, "%zu records, %" PRId64 " were made", count, books->records);
    qsort(names, count, sizeof *names, by_number);
    for (size_t i = 1; i < count; i++)
        cr_assert_neq(names[i - 1], names[i], "a record is there twice");
    free(names);
}

static void expect_rollups(const ez_books *books) {
    static const char *const groups[] = {"model", "key", "master", "group", "api_key", "hour", "day", "month"};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        Ez__V1__GetLogStatsResponse *stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'%s'}", groups[i]);
        const Ez__V1__LogStat *total = stats->total;
        cr_assert_not_null(total);
        cr_assert_eq(total->requests, books->records, "by %s: %" PRId64 " requests, not %" PRId64, groups[i],
                     total->requests, books->records);
        cr_assert_eq(total->errors, books->errors);
        cr_assert_eq(total->tokens_in, books->tokens_in);
        cr_assert_eq(total->tokens_out, books->tokens_out);
        cr_assert_eq(total->cost_nano_usd, books->cost_nano_usd);
    }
    Ez__V1__GetLogStatsResponse *stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'api_key'}");
    for (size_t i = 0; i < stats->n_items; i++)
        for (unsigned k = 0; k < books->api_key_count; k++)
            if (books->api_keys[k].id == stats->items[i]->id && books->lost == 0)
                cr_assert_eq(stats->items[i]->requests, books->api_keys[k].requests);
}

Test(kill_planes, what_was_synced_counts_once_whoever_dies) {
    long rounds = number_of("EZ_FAULT_ROUNDS", 10);
    start_planes();
    await_steps(2 * PLANE_COUNT);
    for (long round = 1; round <= rounds; round++)
        do_round();
    signal_process(&sim, SIGTERM);
    wait_process(&sim);
    await_answers(&w);
    drain();
    ez_books books;
    read_books(truth, &books);
    fprintf(stderr, "%ld rounds, %u steps, %u lost before they were synced, %lld records\n", rounds, books.steps,
            books.lost, (long long)books.records);
    cr_assert_eq(books.open, 0);
    cr_assert_gt(books.records, 0);
    expect_counters(&books);
    expect_records(&books);
    expect_rollups(&books);
}
