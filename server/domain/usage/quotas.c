// SPDX-License-Identifier: Apache-2.0
//
// What waits, and the two jobs that hand it to the writer, one change of each at a time. A job that succeeded goes on
// from the writer's thread with what waits by then; one that failed puts its keys back and rests for a second, however
// many flushes come. It says so once, until it succeeds.
//
// Awkward: a flush and an admin's lower limit may miss each other, the one looking at the key as it was and the other
// at the counters as they were. So every key that the feed tells of is judged once more.
#include "server/domain/usage/quotas.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/usage/due.h"

#define KIND_KEY   EZ__V1__KIND__KIND_KEY
#define TIMEOUT_NS 60000000000ull
#define RETRY_MS   1000
#define SCAN_STEP  20000 // keys looked at in one step
#define FEED_STEP  20000 // changes
#define DUE_SPARE  100000

typedef struct job {
    ez_quotas *quotas;
    const char *what; // went wrong
    bool is_reset;
    bool is_out;       // the writer has it; this and the next two under the lock
    bool is_failing;   // and has said so
    uint64_t retry_ms; // not before; monotonic
    int64_t taken_s;   // when its batch was due
    ez_quota_batch batch;
    ez_write write;
    ez_call *call;
    Ez__V1__Empty request;
} job;

struct ez_quotas {
    ez_quotas_options options;

    pthread_mutex_t lock; // up to the appender's own
    int64_t *over;        // keys to be exhausted; some may come twice
    size_t over_count;
    ez_due due;
    bool wants_scan; // something could not be kept in mind
    job exhaust, reset;

    // The appender's own.
    ez_feed_cursor cursor;
    bool is_scanning;
    int64_t scanned; // up to this id
    size_t due_after_scan;
};

// ---- What waits; under the lock

static void put_over(ez_quotas *q, int64_t id) {
    if (q->over_count < EZ_QUOTA_WAITING_MAX)
        q->over[q->over_count++] = id;
    else
        q->wants_scan = true;
}

static void put_due(ez_quotas *q, int64_t at_s, int64_t id) {
    if (ez_due_put(&q->due, at_s, id) != EZ_OK)
        q->wants_scan = true;
}

static void fill(job *j, int64_t now_s) {
    ez_quotas *q = j->quotas;
    ez_due_entry entry;
    j->batch.count = 0;
    j->taken_s = now_s;
    if (j->is_reset) {
        while (j->batch.count < EZ_QUOTA_BATCH && ez_due_take(&q->due, now_s, &entry))
            j->batch.ids[j->batch.count++] = entry.id;
        return;
    }
    while (j->batch.count < EZ_QUOTA_BATCH && q->over_count > 0)
        j->batch.ids[j->batch.count++] = q->over[--q->over_count];
}

static void put_back(job *j, int64_t now_s) {
    for (size_t i = 0; i < j->batch.count; i++) {
        if (j->is_reset)
            put_due(j->quotas, now_s, j->batch.ids[i]);
        else
            put_over(j->quotas, j->batch.ids[i]);
    }
}

// ---- The jobs

static int64_t now_s(void) {
    return ez_clock_wall_ns() / 1000000000;
}

static void start(job *j);

static void give_up(job *j, const ez_error *error) {
    size_t count = j->batch.count;
    pthread_mutex_lock(&j->quotas->lock);
    bool is_news = !j->is_failing;
    put_back(j, now_s());
    j->is_failing = true;
    j->retry_ms = ez_clock_mono_ms() + RETRY_MS;
    j->is_out = false;
    pthread_mutex_unlock(&j->quotas->lock);
    if (is_news)
        ez_log_warn(j->what, "keys", EZ_LOG_INT((long long)count), "reason", error->reason, "message", error->message);
}

// Of a batch that was written: periods that still end when they were thought to. The change knows the time
// better than who took them off the heap did, where the clock was set back or a group had begun a second before.
static void keep_early(job *j) {
    ez_quotas *q = j->quotas;
    for (size_t i = 0; j->is_reset && i < j->batch.count; i++) {
        int64_t at_s = INT64_MAX;
        ez_directory_enter();
        const ez_entry *key = ez_directory_get(q->options.directory, KIND_KEY, j->batch.ids[i]);
        ez_quota_facts facts = key ? ez_quota_read(key, q->options.counters) : (ez_quota_facts){0};
        bool has_end = ez_quota_has_end(&facts, &at_s);
        ez_directory_leave();
        if (!has_end || at_s > j->taken_s)
            continue;
        pthread_mutex_lock(&q->lock);
        put_due(q, j->taken_s + 1, j->batch.ids[i]); // not at once: it might be found too early again
        pthread_mutex_unlock(&q->lock);
    }
}

static void on_written(ez_write *write) {
    job *j = (job *)(void *)((char *)write - offsetof(job, write));
    if (write->status != EZ_OK) {
        give_up(j, &j->call->error);
        return;
    }
    keep_early(j);
    pthread_mutex_lock(&j->quotas->lock);
    j->is_failing = false;
    j->retry_ms = 0;
    j->is_out = false;
    pthread_mutex_unlock(&j->quotas->lock);
    start(j);
}

static bool submit(job *j, uint64_t fence, ez_error *error) {
    ez_call_destroy_system(j->call);
    j->call = NULL;
    if (ez_call_create_system("quotas", &j->call) != EZ_OK) {
        j->call = NULL;
        ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for a change");
        return false;
    }
    j->call->deadline_ns = ez_clock_mono_ns() + TIMEOUT_NS;
    ez__v1__empty__init(&j->request);
    j->write = (ez_write){.call = j->call,
                          .run = j->is_reset ? ez_quota_reset : ez_quota_exhaust,
                          .self = &j->batch,
                          .request = &j->request.base,
                          .done = on_written,
                          .fence = fence,
                          .started_ns = ez_clock_mono_ns()};
    return ez_writer_submit(j->quotas->options.writer, &j->write, error) == EZ_OK;
}

static void start(job *j) {
    ez_quotas *q = j->quotas;
    ez_error error = EZ_ERROR_INIT;
    uint64_t fence = EZ_NO_FENCE;
    if (j->is_reset && !ez_holder_may(&q->options.holder, &fence))
        return;
    pthread_mutex_lock(&q->lock);
    bool is_mine = !j->is_out && ez_clock_mono_ms() >= j->retry_ms;
    if (is_mine)
        fill(j, now_s());
    is_mine = is_mine && j->batch.count > 0;
    j->is_out = j->is_out || is_mine;
    pthread_mutex_unlock(&q->lock);
    if (is_mine && !submit(j, fence, &error))
        give_up(j, &error);
}

void ez_quotas_kick(ez_quotas *quotas) {
    start(&quotas->exhaust);
    start(&quotas->reset);
}

// ---- The watch; the appender's thread

static void look(ez_quotas *q, const ez_entry *key) {
    ez_quota_facts facts = ez_quota_read(key, q->options.counters);
    int64_t id = ez_entry_id(key), at_s;
    bool has_end = ez_quota_has_end(&facts, &at_s), is_over = ez_quota_is_over(&facts);
    if (!has_end && !is_over)
        return;
    pthread_mutex_lock(&q->lock);
    if (has_end)
        put_due(q, at_s, id);
    if (is_over)
        put_over(q, id);
    pthread_mutex_unlock(&q->lock);
}

void ez_quotas_counted(ez_quotas *quotas, int64_t key_id) {
    ez_directory_enter();
    const ez_entry *key = ez_directory_get(quotas->options.directory, KIND_KEY, key_id);
    if (key) {
        ez_quota_facts facts = ez_quota_read(key, quotas->options.counters);
        if (ez_quota_is_over(&facts)) {
            pthread_mutex_lock(&quotas->lock);
            put_over(quotas, key_id);
            pthread_mutex_unlock(&quotas->lock);
        }
    }
    ez_directory_leave();
}

static void begin_scan(ez_quotas *q) {
    q->cursor = (ez_feed_cursor){.n = ez_feed_head(q->options.feed).n};
    q->is_scanning = true;
    q->scanned = 0;
    pthread_mutex_lock(&q->lock);
    ez_due_clear(&q->due);
    q->wants_scan = false;
    pthread_mutex_unlock(&q->lock);
}

static void scan(ez_quotas *q) {
    const ez_entry *key = NULL;
    ez_directory_enter();
    for (int i = 0; i < SCAN_STEP; i++) {
        key = ez_directory_next(q->options.directory, KIND_KEY, q->scanned, false);
        if (!key)
            break;
        q->scanned = ez_entry_id(key);
        look(q, key);
    }
    ez_directory_leave();
    if (key)
        return;
    q->is_scanning = false;
    pthread_mutex_lock(&q->lock);
    q->due_after_scan = q->due.count;
    pthread_mutex_unlock(&q->lock);
}

typedef struct following {
    ez_quotas *quotas;
    int left;
} following;

static bool follow_change(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    (void)op, (void)secret_version, (void)encoded;
    following *f = user;
    if (f->left-- == 0)
        return false;
    const ez_entry *key = kind == KIND_KEY ? ez_directory_get(f->quotas->options.directory, kind, id) : NULL;
    if (key)
        look(f->quotas, key);
    return true;
}

// True: there are more changes.
static bool follow(ez_quotas *q) {
    uint64_t until = ez_feed_head(q->options.feed).n;
    following f = {q, FEED_STEP};
    bool is_done = true;
    if (q->cursor.n < until &&
        ez_feed_read(q->options.feed, &q->cursor, until, follow_change, &f, &is_done, NULL) != EZ_OK)
        begin_scan(q); // too old
    return !is_done;
}

static bool needs_scan(ez_quotas *q) {
    pthread_mutex_lock(&q->lock);
    bool needs = (q->wants_scan && q->over_count <= EZ_QUOTA_WAITING_MAX / 2) ||
                 q->due.count > 2 * q->due_after_scan + DUE_SPARE;
    pthread_mutex_unlock(&q->lock);
    return needs;
}

void ez_quotas_step(ez_quotas *quotas, bool *more) {
    *more = false;
    if (quotas->is_scanning)
        scan(quotas);
    else if (needs_scan(quotas))
        begin_scan(quotas);
    else
        *more = follow(quotas);
    *more = *more || quotas->is_scanning;
    ez_quotas_kick(quotas);
}

// ---- Life

ez_status ez_quotas_create(const ez_quotas_options *options, ez_quotas **out, ez_error *error) {
    ez_quotas *q = calloc(1, sizeof *q);
    int64_t *over = malloc(EZ_QUOTA_WAITING_MAX * sizeof *over);
    if (!q || !over) {
        free(q);
        free(over);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for quotas");
    }
    q->options = *options;
    q->over = over;
    pthread_mutex_init(&q->lock, NULL);
    q->exhaust = (job){.quotas = q,
                       .what = "keys could not be set to exhausted; trying again",
                       .batch = {.counters = options->counters}};
    q->reset = (job){.quotas = q,
                     .what = "quotas could not begin their next period; trying again",
                     .is_reset = true,
                     .batch = {.counters = options->counters}};
    begin_scan(q);
    while (q->is_scanning)
        scan(q);
    *out = q;
    return EZ_OK;
}

void ez_quotas_destroy(ez_quotas *quotas) {
    if (!quotas)
        return;
    ez_call_destroy_system(quotas->exhaust.call);
    ez_call_destroy_system(quotas->reset.call);
    ez_due_fini(&quotas->due);
    free(quotas->over);
    pthread_mutex_destroy(&quotas->lock);
    free(quotas);
}
