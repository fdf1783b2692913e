// SPDX-License-Identifier: Apache-2.0
//
// What queries of logs and statistics cost while records come in: bench_queries URL RECORDS SAMPLES RATE.
// The store must be new. RECORDS are spread evenly over the last 30 days, oldest first, and added through
// ez_store_add_logs in transactions of 20,000, so that rollups are those that a server would have made; then everything
// is folded that can be. Then RATE records a second come in through the same door, in ten batches a second, folding
// goes on each second, and each query is asked SAMPLES times on a reader's thread. One line of JSON a query, times in
// ms; cpu is the mean of the reader's own, which on SQLite is all of it.
//
// Who asks for what: 100 masters with 10 keys each, 50 groups with 10 API keys each, 20 models. Some are used much more
// than others (the square of chance); 3 in 100 requests fail.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/domain/logs/dashboard_read.h"
#include "server/state/store/meter.h"

#define BATCH       20000 // loaded in one transaction: four full batches that are committed together
#define MASTERS     100
#define MODELS      20
#define DAY_NS      (INT64_C(86400) * 1000000000)
#define NS_PER_S    INT64_C(1000000000)
#define PAUSE_NS    10000000
#define PAGE        50
#define SAMPLES_MAX 10000

static ez_store *store;
static int64_t start_ns; // of the run, by the clock of the records
static _Atomic bool stopping;
static _Atomic int64_t added;

static void die(const char *what, const ez_error *error) {
    fprintf(stderr, "bench_queries: %s: %s\n", what, error ? error->message : "");
    exit(1);
}

// ---- Records

typedef struct batch {
    ez_log_row rows[BATCH];
    char request_ids[BATCH][33];
    uint64_t state;
} batch;

static uint64_t chance(batch *of, uint64_t below) {
    of->state = of->state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (of->state >> 33) % below;
}

static int64_t skewed(batch *of, uint64_t below) {
    uint64_t at = chance(of, 1000);
    return (int64_t)(at * at * below / 1000000);
}

static ez_slice text(const char *of) {
    return (ez_slice){.data = (const uint8_t *)of, .len = strlen(of)};
}

static void make(batch *of, size_t at, int64_t time_ns) {
    static const char *const models[MODELS] = {
        "gpt-4o",   "gpt-4o-mini",     "claude-sonnet", "claude-haiku", "gemini-pro",    "gemini-flash", "llama-70b",
        "llama-8b", "mistral-large",   "mistral-small", "qwen-72b",     "deepseek-chat", "command-r",    "o1",
        "o1-mini",  "embedding-small", "embedding-big", "phi-4",        "grok-2",        "nova-pro"};
    int64_t master = 1 + skewed(of, MASTERS), group = 1 + skewed(of, 50);
    bool failed = chance(of, 100) < 3;
    snprintf(of->request_ids[at], sizeof of->request_ids[at], "%016llx%016llx", (unsigned long long)of->state,
             (unsigned long long)time_ns);
    of->rows[at] = (ez_log_row){
        .time_ns = time_ns,
        .received_ns = time_ns + 100000000,
        .data_plane_id = 1 + (int64_t)chance(of, 8),
        .master_id = master,
        .key_id = master * 10 + skewed(of, 10),
        .group_id = group,
        .api_key_id = group * 10 + skewed(of, 10),
        .request_id = text(of->request_ids[at]),
        .namespace = text("default"),
        .model = text(models[skewed(of, MODELS)]),
        .upstream_model = text("upstream-model-name"),
        .provider_type = text("openai"),
        .client_ip = text("203.0.113.17"),
        .error_message = text(failed ? "the upstream refused the request: rate limit of the account reached" : ""),
        .status_code = failed ? chance(of, 2) ? 429 : 503 : 200,
        .latency_ms = 50 + (int64_t)chance(of, 200) * (int64_t)chance(of, 200),
        .tokens_in = (int64_t)chance(of, 4000),
        .tokens_out = (int64_t)chance(of, 1000),
        .cost_nano_usd = (int64_t)chance(of, 100000000),
        .request_bytes = 2000,
        .response_bytes = 4000,
        .stream = chance(of, 2),
    };
}

static void add(batch *of, size_t count, int64_t now_ns) {
    ez_log_batch one = {.rows = of->rows, .row_count = count};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_add_logs(store, &one, 1, now_ns, &error) != EZ_OK)
        die("adding", &error);
}

static void fold(int64_t now_ns) {
    bool more = true;
    ez_error error = EZ_ERROR_INIT;
    while (more && !stopping) {
        if (ez_store_fold_rollups(store, EZ_NO_FENCE, now_ns, &more, &error) != EZ_OK)
            die("folding", &error);
    }
}

static void load(batch *of, int64_t records) {
    uint64_t began = ez_clock_mono_ns();
    int64_t first_ns = start_ns - 30 * DAY_NS, gap_ns = 30 * DAY_NS / records;
    for (int64_t done = 0; done < records;) {
        size_t count = records - done < BATCH ? (size_t)(records - done) : BATCH;
        for (size_t i = 0; i < count; i++)
            make(of, i, first_ns + (done + (int64_t)i) * gap_ns);
        add(of, count, start_ns - 120 * NS_PER_S);
        done += (int64_t)count;
        if (done % 1000000 == 0)
            fprintf(stderr, "%lld of %lld records after %.0f s\n", (long long)done, (long long)records,
                    (double)(ez_clock_mono_ns() - began) / 1e9);
    }
    fold(start_ns);
    printf("{\"name\": \"load\", \"records\": %lld, \"seconds\": %.1f}\n", (long long)records,
           (double)(ez_clock_mono_ns() - began) / 1e9);
    fflush(stdout);
}

// ---- What comes in meanwhile

typedef struct intake {
    batch of;
    int64_t rate;
} intake;

static int64_t now_of_records(uint64_t began) {
    return start_ns + (int64_t)(ez_clock_mono_ns() - began);
}

static void *take_in(void *argument) {
    intake *it = argument;
    uint64_t began = ez_clock_mono_ns();
    size_t count = (size_t)(it->rate / 10);
    for (uint64_t tick = 0; !stopping; tick++) {
        int64_t now_ns = now_of_records(began);
        for (size_t i = 0; i < count; i++)
            make(&it->of, i, now_ns - (int64_t)chance(&it->of, NS_PER_S));
        add(&it->of, count, now_ns);
        added += (int64_t)count;
        if (tick % 10 == 0)
            fold(now_ns);
        uint64_t next = began + (tick + 1) * 100000000, now = ez_clock_mono_ns();
        if (next > now)
            nanosleep(&(struct timespec){.tv_sec = (time_t)((next - now) / 1000000000),
                                         .tv_nsec = (long)((next - now) % 1000000000)},
                      NULL);
    }
    return NULL;
}

// ---- Questions

typedef struct question {
    ez_query query; // first: the query is the question
    const char *name;
    ez_stats_query stats; // until_s 0: none
    bool is_dashboard;    // of the range of stats
    ez_log_filter filter; // limit 0: none
    size_t rows;
    int64_t at_ns, at_id; // where a page stopped
    double ms, cpu_ms;    // cpu: of this thread, on SQLite all there is
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
} question;

static ez_status count_stat(void *user, const ez_stats_row *row, ez_error *error) {
    (void)row, (void)error;
    ++*(size_t *)user;
    return EZ_OK;
}

static ez_status count_log(void *user, const ez_log_row *row, ez_error *error) {
    (void)row, (void)error;
    ++*(size_t *)user;
    return EZ_OK;
}

static double thread_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void read_dashboard(question *it, ez_reader *reader) {
    ez_arena arena;
    ez_dashboard_numbers numbers;
    ez_error error = EZ_ERROR_INIT;
    ez_arena_init(&arena, 1 << 20);
    if (ez_dashboard_read(reader, it->stats.since_s, it->stats.until_s, &arena, &numbers, &error) != EZ_OK)
        die(it->name, &error);
    it->rows = numbers.models.count + numbers.keys.count;
    ez_arena_fini(&arena);
}

static void answer(ez_query *query, ez_reader *reader) {
    question *it = (question *)query;
    ez_error error = EZ_ERROR_INIT;
    bool more;
    it->rows = 0;
    double cpu = thread_ms();
    uint64_t began = ez_clock_mono_ns();
    if (it->is_dashboard)
        read_dashboard(it, reader);
    else if (it->stats.until_s && ez_reader_each_stat(reader, &it->stats, count_stat, &it->rows, &error) != EZ_OK)
        die(it->name, &error);
    if (it->filter.limit &&
        ez_reader_each_log(reader, &it->filter, count_log, &it->rows, &more, &it->at_ns, &it->at_id, &error) != EZ_OK)
        die(it->name, &error);
    it->ms = (double)(ez_clock_mono_ns() - began) / 1e6;
    it->cpu_ms = thread_ms() - cpu;
    pthread_mutex_lock(&it->lock);
    it->done = true;
    pthread_cond_signal(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

static void ask(question *it) {
    ez_error error = EZ_ERROR_INIT;
    it->query.run = answer;
    it->done = false;
    pthread_mutex_init(&it->lock, NULL);
    pthread_cond_init(&it->changed, NULL);
    if (ez_store_submit(store, &it->query, &error) != EZ_OK)
        die("asking", &error);
    pthread_mutex_lock(&it->lock);
    while (!it->done)
        pthread_cond_wait(&it->changed, &it->lock);
    pthread_mutex_unlock(&it->lock);
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static void measure(question *it, size_t samples) {
    static double times[SAMPLES_MAX];
    double cpu_ms = 0;
    for (size_t i = 0; i < samples; i++) {
        ask(it);
        times[i] = it->ms;
        cpu_ms += it->cpu_ms;
        // A reader that is never idle would keep SQLite from writing its log back into the file.
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    qsort(times, samples, sizeof times[0], compare);
    printf("{\"name\": \"%s\", \"p50\": %.2f, \"p99\": %.2f, \"max\": %.2f, \"cpu\": %.2f, \"rows\": %zu}\n", it->name,
           times[samples / 2], times[(samples * 99 + 99) / 100 - 1], times[samples - 1], cpu_ms / (double)samples,
           it->rows);
    fflush(stdout);
}

// As the handlers ask: a key's master and an API key's group are known.
static void ask_for_stats(size_t samples) {
    int64_t until_s = start_ns / NS_PER_S / 60 * 60 + 600, day = 86400;
    int64_t month_s = until_s - 30 * day, hours_s = until_s - 6 * 3600;
    question questions[] = {
        {.name = "group_by=total, 30 days", .stats = {EZ_STATS_TOTAL, month_s, until_s}},
        {.name = "group_by=model, 30 days", .stats = {EZ_STATS_MODEL, month_s, until_s}},
        {.name = "group_by=master, 30 days", .stats = {EZ_STATS_MASTER, month_s, until_s}},
        {.name = "group_by=key, 30 days", .stats = {EZ_STATS_KEY, month_s, until_s}},
        {.name = "group_by=group, 30 days", .stats = {EZ_STATS_GROUP, month_s, until_s}},
        {.name = "group_by=api_key, 30 days", .stats = {EZ_STATS_API_KEY, month_s, until_s}},
        {.name = "group_by=day, 30 days", .stats = {EZ_STATS_DAY, month_s, until_s}},
        {.name = "group_by=hour, 30 days", .stats = {EZ_STATS_HOUR, month_s, until_s}},
        {.name = "group_by=minute, 6 hours", .stats = {EZ_STATS_MINUTE, hours_s, until_s}},
        {.name = "group_by=key of a master, 30 days", .stats = {EZ_STATS_KEY, month_s, until_s, .master_id = 20}},
        {.name = "group_by=model of a master, 30 days", .stats = {EZ_STATS_MODEL, month_s, until_s, .master_id = 20}},
        {.name = "group_by=hour of a master's key and model, 30 days",
         .stats = {EZ_STATS_HOUR, month_s, until_s, .master_id = 20, .key_id = 203, .model = "gpt-4o"}},
        {.name = "group_by=hour of a key, 30 days",
         .stats = {EZ_STATS_HOUR, month_s, until_s, .master_id = 20, .key_id = 203}},
        {.name = "group_by=minute of a key, 6 hours",
         .stats = {EZ_STATS_MINUTE, hours_s, until_s, .master_id = 20, .key_id = 203}},
        {.name = "group_by=key of a model, 30 days", .stats = {EZ_STATS_KEY, month_s, until_s, .model = "gpt-4o"}},
        {.name = "group_by=model of an API key, 30 days",
         .stats = {EZ_STATS_MODEL, month_s, until_s, .group_id = 7, .api_key_id = 73}},
        {.name = "dashboard, 24 hours", .stats = {.since_s = until_s - day, .until_s = until_s}, .is_dashboard = true},
        {.name = "dashboard, 30 days", .stats = {.since_s = month_s, .until_s = until_s}, .is_dashboard = true},
    };
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++)
        measure(&questions[i], samples);
}

// Where the thousandth page begins.
static question behind_page_999(void) {
    question it = {.name = "walking"};
    for (int64_t left = 999 * PAGE; left > 0; left -= (int64_t)it.rows) {
        it.filter = (ez_log_filter){.before_ns = it.at_ns,
                                    .before_id = it.at_id,
                                    .limit = left < 10000 ? (size_t)left : 10000,
                                    .look_max = 10000};
        ask(&it);
        if (it.rows == 0)
            break;
    }
    return it;
}

static void ask_for_logs(size_t samples) {
    question far = behind_page_999();
    int64_t middle_ns = start_ns - 15 * DAY_NS;
    question questions[] = {
        {.name = "first page", .filter = {.limit = PAGE}},
        {.name = "thousandth page", .filter = {.before_ns = far.at_ns, .before_id = far.at_id}},
        {.name = "first page with bodies", .filter = {.with_body = true}},
        {.name = "page in the middle of the month", .filter = {.before_ns = middle_ns}},
        {.name = "page of a day in the middle", .filter = {.since_ns = middle_ns - DAY_NS, .until_ns = middle_ns}},
        {.name = "page of a busy master", .filter = {.master_id = 1}},
        {.name = "page of a master's errors", .filter = {.master_id = 50, .status_class = EZ_CLASS_ERROR}},
        {.name = "page of a quiet key", .filter = {.key_id = 1009}},
        {.name = "page of a quiet key's errors", .filter = {.key_id = 1009, .status_class = EZ_CLASS_ERROR}},
        {.name = "page of a key that never was", .filter = {.key_id = 999999}},
        {.name = "page of errors", .filter = {.status_class = EZ_CLASS_ERROR}},
        {.name = "page of a group's errors", .filter = {.group_id = 49, .status_class = EZ_CLASS_SERVER_ERROR}},
        {.name = "page of a status that never was", .filter = {.status_code = 418}},
        {.name = "page of a text that never was", .filter = {.q = "no such text"}},
        {.name = "page of a master's text that never was", .filter = {.master_id = 1, .q = "no such text"}},
        {.name = "record of a request id that never was", .filter = {.request_id = "no-such-request"}},
    };
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        questions[i].filter.limit = PAGE;
        questions[i].filter.look_max = 50000;
        measure(&questions[i], samples);
    }
}

int main(int argc, char **argv) {
    if (argc != 5)
        die("usage: bench_queries URL RECORDS SAMPLES RATE", NULL);
    int64_t records = strtoll(argv[2], NULL, 10);
    size_t samples = strtoul(argv[3], NULL, 10);
    static batch of = {.state = 42};
    static intake in = {.of.state = 7};
    in.rate = strtoll(argv[4], NULL, 10);
    if (records < 1 || samples < 1 || samples > SAMPLES_MAX || in.rate < 0 || in.rate / 10 > BATCH)
        die("RECORDS is at least 1, SAMPLES 1 to 10,000, RATE 0 to 200,000", NULL);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    start_ns = now.tv_sec * NS_PER_S;
    ez_store_options options = {
        .url = argv[1], .readers = 2, .connect_timeout_ms = 5000, .epoch = 1, .now_ns = 1, .key_check = "bench"};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_open(&options, &store, &error) != EZ_OK)
        die("opening", &error);
    load(&of, records);
    pthread_t thread;
    if (pthread_create(&thread, NULL, take_in, &in) != 0)
        die("no thread", NULL);
    uint64_t began = ez_clock_mono_ns();
    ask_for_stats(samples);
    ask_for_logs(samples);
    double seconds = (double)(ez_clock_mono_ns() - began) / 1e9;
    stopping = true;
    pthread_join(thread, NULL);
    printf("{\"name\": \"intake\", \"records\": %lld, \"seconds\": %.1f, \"per_second\": %.0f}\n", (long long)added,
           seconds, (double)added / seconds);
    ez_store_close(store);
    return 0;
}
