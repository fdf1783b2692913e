// SPDX-License-Identifier: Apache-2.0
//
// What ingest feels of retention: bench_retention URL RECORDS. The store must be new. RECORDS old ones are loaded, all
// of one morning, so that PostgreSQL has to delete rows too: a day that goes whole is a table that is dropped, which
// costs next to nothing. Then they are forgotten as a server does it: the thread that ingests takes a step of
// STEP_ROWS rows between two batches, which is the most often it can be done. A batch's time is that of its step and
// its own, as for a call that comes just when the step begins. Half of as many batches come before, and half behind,
// with nothing else to do. One line of JSON comes out, times in ms.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/store/meter.h"

#define LOAD       5000
#define BATCH      1000
#define STEP_ROWS  500 // of server/domain/logs/retention.c
#define ALONE_MIN  200
#define TIMES_MAX  100000
#define NS_PER_S   INT64_C(1000000000)
#define DAY_NS     (86400 * NS_PER_S)
#define TODAY_NS   (20700 * DAY_NS + DAY_NS / 2)
#define MORNING_NS (TODAY_NS - 40 * DAY_NS - DAY_NS / 2)
#define NOON_NS    (TODAY_NS - 40 * DAY_NS)

typedef struct times {
    double ms[TIMES_MAX];
    size_t count;
} times;

static ez_store *store;
static ez_log_row rows[LOAD];
static int64_t now_ns = TODAY_NS;
static times alone, busy;

static void die(const char *what, const char *why) {
    fprintf(stderr, "bench_retention: %s: %s\n", what, why);
    exit(1);
}

static ez_slice text(const char *of) {
    return (ez_slice){.data = (const uint8_t *)of, .len = strlen(of)};
}

static void make(size_t count, int64_t from_ns, int64_t step_ns) {
    static const char *const models[] = {"gpt-4o", "gpt-4o-mini", "claude-sonnet", "gemini-pro", "llama-70b"};
    static char ids[LOAD][40];
    for (size_t i = 0; i < count; i++) {
        int master = rand() % 100, group = rand() % 10;
        snprintf(ids[i], sizeof ids[i], "req-%08x%08x", (unsigned)rand(), (unsigned)rand());
        rows[i] = (ez_log_row){.time_ns = from_ns + (int64_t)i * step_ns,
                               .received_ns = from_ns,
                               .data_plane_id = 1,
                               .master_id = 1 + master,
                               .key_id = 1 + master * 10 + rand() % 10,
                               .group_id = 1 + group,
                               .api_key_id = 1 + group * 50 + rand() % 50,
                               .request_id = text(ids[i]),
                               .namespace = text("default"),
                               .model = text(models[rand() % 5]),
                               .upstream_model = text("upstream-model-name"),
                               .provider_type = text("openai"),
                               .client_ip = text("203.0.113.17"),
                               .status_code = rand() % 50 ? 200 : 503,
                               .latency_ms = rand() % 3000,
                               .tokens_in = rand() % 4000,
                               .tokens_out = rand() % 1000,
                               .cost_nano_usd = rand()};
    }
}

static void add(size_t count) {
    ez_log_batch batch = {.rows = rows, .row_count = count};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_add_logs(store, &batch, 1, now_ns, &error) != EZ_OK)
        die("ingest", error.message);
}

static void load(int64_t count) {
    int64_t step_ns = (NOON_NS - MORNING_NS) / count;
    for (int64_t i = 0; i < count; i += LOAD) {
        size_t some = count - i < LOAD ? (size_t)(count - i) : LOAD;
        make(some, MORNING_NS + i * step_ns, step_ns);
        add(some);
    }
}

// The records' clock goes on as it would at 10,000 a second.
static void take(times *to, bool *trims) {
    const ez_log_limits limits = {.before_ns = NOON_NS};
    ez_error error = EZ_ERROR_INIT;
    make(BATCH, now_ns += NS_PER_S / 10, NS_PER_S / 10 / BATCH);
    uint64_t start = ez_clock_mono_ns();
    if (trims && ez_store_trim_logs(store, EZ_NO_FENCE, &limits, now_ns, STEP_ROWS, trims, &error) != EZ_OK)
        die("trim", error.message);
    add(BATCH);
    if (to->count == TIMES_MAX)
        die("too many batches", "ask for fewer records");
    to->ms[to->count++] = (double)(ez_clock_mono_ns() - start) / 1e6;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double percentile(times *of, double share) {
    qsort(of->ms, of->count, sizeof of->ms[0], compare);
    size_t at = (size_t)((double)of->count * share);
    return of->ms[at < of->count ? at : of->count - 1];
}

static void run(int64_t count) {
    int64_t half = count / STEP_ROWS / 2 > ALONE_MIN ? count / STEP_ROWS / 2 : ALONE_MIN;
    int64_t left, oldest_ns;
    ez_error error = EZ_ERROR_INIT;
    load(count);
    for (int64_t i = 0; i < half; i++)
        take(&alone, NULL);
    for (bool more = true; more;)
        take(&busy, &more);
    for (int64_t i = 0; i < half; i++)
        take(&alone, NULL);
    if (ez_store_count_logs(store, &left, &oldest_ns, &error) != EZ_OK)
        die("count", error.message);
    if (left != (int64_t)(alone.count + busy.count) * BATCH || oldest_ns < NOON_NS)
        die("count", "not all old records were forgotten, or others were");
    double p99 = percentile(&alone, 0.99), p99_busy = percentile(&busy, 0.99);
    printf("{\"ratio\": %.3f, \"p99_ms\": %.2f, \"alone_p99_ms\": %.2f, \"p50_ms\": %.2f, \"alone_p50_ms\": %.2f, "
           "\"batches\": %zu, \"forgotten\": %" PRId64 "}\n",
           p99_busy / p99, p99_busy, p99, percentile(&busy, 0.5), percentile(&alone, 0.5), busy.count, count);
}

int main(int argc, char **argv) {
    if (argc != 3 || atoll(argv[2]) < LOAD)
        die("usage", "bench_retention URL RECORDS, 5,000 at least");
    ez_store_options options = {
        .url = argv[1], .readers = 1, .connect_timeout_ms = 5000, .epoch = 1, .key_check = "bench"};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_open(&options, &store, &error) != EZ_OK)
        die("open", error.message);
    run(atoll(argv[2]));
    ez_store_close(store);
    return 0;
}
