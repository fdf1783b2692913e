// SPDX-License-Identifier: Apache-2.0
//
// What a round of the alerts' detector costs: bench_detector URL KEYS API_KEYS ROUNDS.
// The store must be new. Each of KEYS keys, of KEYS / 100 masters, has a request in each of seven minutes around now
// and three more in each, spread over API_KEYS API keys; 1 in 100 keys and API keys fails. Loading takes a minute or
// two, so that the window of the rounds has six of the minutes or more. Before each round come a record of the present
// minute, one of the last and one that is late, as in a second of real traffic: the detector reads those minutes anew.
// Told apart are the first round of all, which reads the whole window where nobody has read it before, and at the end
// those of servers that take over, TAKEOVERS of them: each reads all again, on connections of its own. All is added
// through ez_store_add_logs. Every key has a quota, of which half is used. One line of JSON: times in ms, from the tick
// to the round's end, and what it raised.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/alerts/detector.h"
#include "server/state/directory/apply.h"

#define BATCH      20000
#define PER_MINUTE 1
#define MINUTES    7
#define MORE       21
#define ROUNDS_MAX 1000
#define TAKEOVERS  9

static ez_store *store;
static ez_directory *directory;
static ez_counters *counters;
static size_t raised, condemned;

static void must(ez_status status, const ez_error *error, const char *what) {
    if (status == EZ_OK)
        return;
    fprintf(stderr, "bench_detector: %s: %s\n", what, error ? error->message : "");
    exit(1);
}

// ---- What there is

static void put(int kind, int64_t id, const ProtobufCMessage *message) {
    static uint8_t bytes[512];
    ez_error error = EZ_ERROR_INIT;
    ez_store_row row = {.id = id, .revision = 1, .data = {bytes, protobuf_c_message_pack(message, bytes)}};
    must(ez_directory_put_row(directory, kind, &row, &error), &error, "a resource");
}

static void put_key(int64_t id, int64_t master_id) {
    uint8_t hash[32] = {0};
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    memcpy(hash, &id, sizeof id);
    key.id = id;
    key.master_id = master_id;
    key.name = (char *)"a key of a client";
    key.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = 1000;
    put(EZ__V1__KIND__KIND_KEY, id, &key.base);
    ez_counters_note(counters, EZ_USAGE_KEYS, id, &(ez_usage_sums){.quota_used = 500});
}

static void put_all(int64_t keys, int64_t api_keys) {
    char name[32];
    for (int64_t id = 1; id <= keys / 100; id++) {
        Ez__V1__Master master = EZ__V1__MASTER__INIT;
        snprintf(name, sizeof name, "master %lld", (long long)id);
        master.id = id;
        master.name = name;
        uint8_t hash[32] = {1};
        memcpy(hash + 8, &id, sizeof id);
        master.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
        put(EZ__V1__KIND__KIND_MASTER, id, &master.base);
    }
    for (int64_t id = 1; id <= keys; id++)
        put_key(id, 1 + id % (keys / 100));
    for (int64_t id = 1; id <= api_keys; id++) {
        Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
        key.id = id;
        key.group_id = 1 + id % 50;
        key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
        put(EZ__V1__KIND__KIND_API_KEY, id, &key.base);
    }
}

// ---- Requests

static ez_slice text(const char *of) {
    return (ez_slice){.data = (const uint8_t *)of, .len = strlen(of)};
}

static void add(ez_log_row *rows, size_t count, int64_t now_ns) {
    ez_log_batch batch = {.rows = rows, .row_count = count};
    ez_error error = EZ_ERROR_INIT;
    must(ez_store_add_logs(store, &batch, 1, now_ns, &error), &error, "adding");
}

static void load(int64_t keys, int64_t api_keys, int64_t now_ns) {
    static ez_log_row rows[BATCH];
    static const char *const models[] = {"gpt-4o", "claude-sonnet", "gemini-pro", "llama-70b"};
    size_t count = 0;
    int64_t minute_ns = INT64_C(60000000000), first_ns = now_ns - now_ns % minute_ns - (MINUTES - 3) * minute_ns;
    for (int64_t at = 0; at < MINUTES * PER_MINUTE + MORE; at++) {
        for (int64_t key = 1; key <= keys; key++) {
            int64_t api_key = 1 + (key * 7 + at) % api_keys;
            bool fails = key % 100 == 0 || api_key % 100 == 0;
            rows[count++] = (ez_log_row){.time_ns = first_ns + at % MINUTES * minute_ns,
                                         .received_ns = now_ns,
                                         .master_id = 1 + key % (keys / 100),
                                         .key_id = key,
                                         .group_id = 1 + api_key % 50,
                                         .api_key_id = api_key,
                                         .request_id = text("r"),
                                         .model = text(models[key % 4]),
                                         .status_code = fails ? 502 : 200,
                                         .latency_ms = 800};
            if (count == BATCH) {
                add(rows, count, now_ns);
                count = 0;
            }
        }
    }
    if (count > 0)
        add(rows, count, now_ns);
    // As the server does when a minute is over. It reads the rows for the first time, which takes longer.
    ez_error error = EZ_ERROR_INIT;
    for (bool more = true; more;)
        must(ez_store_fold_rollups(store, EZ_NO_FENCE, ez_clock_wall_ns(), &more, &error), &error, "folding");
}

// ---- Rounds

static bool on_raise(void *user, const ez_alert_report *reports, size_t count, const char *by) {
    (void)user, (void)reports, (void)by;
    raised += count;
    return true;
}

static bool on_clear(void *user, const ez_alert_subject *subjects, size_t count, const char *by) {
    (void)user, (void)subjects, (void)count, (void)by;
    return true;
}

static void on_condemned(void *user, const ez_condemned *api_keys, size_t count) {
    (void)user, (void)api_keys;
    condemned = count;
}

static double run_round(ez_detector *detector) {
    uint64_t began = ez_clock_mono_ns();
    raised = 0;
    ez_detector_tick(detector);
    while (ez_detector_look(detector).is_running)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return (double)(ez_clock_mono_ns() - began) / 1e6;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

// Of the present minute, the last one, and one that is late.
static void add_new(void) {
    ez_log_row rows[3];
    int64_t now_ns = ez_clock_wall_ns();
    for (int i = 0; i < 3; i++)
        rows[i] = (ez_log_row){.time_ns = now_ns - i * INT64_C(60000000000),
                               .received_ns = now_ns,
                               .master_id = 1,
                               .key_id = 1,
                               .group_id = 1,
                               .api_key_id = 1,
                               .request_id = text("r"),
                               .model = text("gpt-4o"),
                               .status_code = 200,
                               .latency_ms = 800};
    add(rows, 3, now_ns);
}

static ez_detector *begin_holder(void) {
    ez_error error = EZ_ERROR_INIT;
    ez_detector *detector = NULL;
    ez_detector_options options = {.store = store,
                                   .directory = directory,
                                   .counters = counters,
                                   .raise = on_raise,
                                   .clear = on_clear,
                                   .condemned = on_condemned};
    must(ez_detector_create(&options, &detector, &error), &error, "a detector");
    return detector;
}

static void end_holder(ez_detector *detector) {
    if (ez_detector_look(detector).failed > 0)
        must(EZ_INTERNAL, NULL, "a round failed");
    ez_store_stop(store);
    ez_detector_destroy(detector);
    ez_store_close(store);
}

static void open_store(const char *url) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_options options = {.url = url,
                                .readers = 2,
                                .connect_timeout_ms = 5000,
                                .epoch = 1,
                                .now_ns = ez_clock_wall_ns(),
                                .key_check = "bench"};
    must(ez_store_open(&options, &store, &error), &error, "opening");
}

static void measure(const char *url, size_t rounds) {
    static double times[ROUNDS_MAX];
    ez_detector *detector = begin_holder();
    double first = run_round(detector);
    for (size_t i = 0; i < rounds; i++) {
        add_new();
        times[i] = run_round(detector);
    }
    end_holder(detector);
    double takeovers[TAKEOVERS];
    for (size_t i = 0; i < TAKEOVERS; i++) {
        open_store(url);
        detector = begin_holder();
        takeovers[i] = run_round(detector);
        end_holder(detector);
    }
    qsort(takeovers, TAKEOVERS, sizeof takeovers[0], compare);
    qsort(times, rounds, sizeof times[0], compare);
    printf("{\"name\": \"round\", \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"first\": %.1f, \"takeover\": %.1f, "
           "\"takeover_p50\": %.1f, \"raised\": %zu, \"condemned\": %zu}\n",
           times[rounds / 2], times[(rounds * 99 + 99) / 100 - 1], times[rounds - 1], first, takeovers[TAKEOVERS - 1],
           takeovers[TAKEOVERS / 2], raised, condemned);
}

int main(int argc, char **argv) {
    if (argc != 5)
        must(EZ_INVALID_ARGUMENT, NULL, "usage: bench_detector URL KEYS API_KEYS ROUNDS");
    int64_t keys = strtoll(argv[2], NULL, 10), api_keys = strtoll(argv[3], NULL, 10);
    size_t rounds = strtoul(argv[4], NULL, 10);
    if (keys < 100 || api_keys < 1 || rounds < 1 || rounds > ROUNDS_MAX)
        must(EZ_INVALID_ARGUMENT, NULL, "KEYS is at least 100, API_KEYS 1, ROUNDS 1 to 1,000");
    ez_error error = EZ_ERROR_INIT;
    open_store(argv[1]);
    must(ez_directory_create(1, NULL, &directory, &error), &error, "a directory");
    must(ez_counters_create(&counters, &error), &error, "counters");
    put_all(keys, api_keys);
    load(keys, api_keys, ez_clock_wall_ns());
    measure(argv[1], rounds);
    ez_counters_destroy(counters);
    ez_directory_destroy(directory);
    return 0;
}
