// SPDX-License-Identifier: Apache-2.0
//
// ez_reporter: opening, closing, and what its user's threads do. It owns its copies of the texts, its thread, its
// spools and, where none was given, its client. Awkward: a spool directory must have one owner: two that send the same
// batches with the same labels do no harm, but two that write to one file do; so there is a lock, which ends with its
// process.
#include "clients/c/reporter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/c/reporter_private.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define FLUSH_MS   1000
#define SPOOL_MAX  (256ull << 20)
#define SPOOL_MIN  (1ull << 20)
#define SPOOL_MOST (256ull << 30)
#define MEMORY_MAX (32ull << 20)
#define RECORD_MAX (256u << 10)

void ez_reporter_options_init(ez_reporter_options *options) {
    *options = (ez_reporter_options){.spool_max = SPOOL_MAX, .flush_ms = FLUSH_MS};
}

// ---- Opening ----

static const char *token_of(const ez_reporter_options *options) {
    return options->token != NULL ? options->token : options->client_options.token;
}

static ez_status check(const ez_reporter_options *options, ez_error *error) {
    const char *token = token_of(options);
    if (options->client == NULL && options->client_options.server_count == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CLIENT_MISSING",
                            "A reporter needs a client or a server's URL.");
    }
    if (token == NULL || token[0] == '\0' || strlen(token) > EZ_CLIENT_TOKEN_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TOKEN_MISSING",
                            "A reporter needs its data plane's token, of at most %d bytes.", EZ_CLIENT_TOKEN_MAX);
    }
    if (options->spool_max < SPOOL_MIN || options->spool_max > SPOOL_MOST) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SPOOL_MAX_INVALID", "spool_max must be 1 MiB to 256 GiB.");
    }
    if (options->flush_ms == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FLUSH_INVALID", "flush_ms must not be 0.");
    }
    return EZ_OK;
}

static ez_status open_dir(const char *path, int *dir, int *lock, ez_error *error) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return ez_error_set(error, EZ_UNAVAILABLE, "SPOOL_DIR", "The spool's directory \"%s\" can't be made: %s.", path,
                            strerror(errno));
    }
    *dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *lock = *dir < 0 ? -1 : openat(*dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0) {
        return ez_error_set(error, EZ_UNAVAILABLE, "SPOOL_DIR", "The spool's directory \"%s\" can't be used: %s.", path,
                            strerror(errno));
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SPOOL_IN_USE",
                            "The spool's directory \"%s\" is used by another reporter.", path);
    }
    return EZ_OK;
}

static ez_status make_keys(ez_reporter *reporter, const char *previous, ez_error *error) {
    ez_status status = ez_spool_key_make(reporter->token, &reporter->keys[0], error);
    reporter->key_count = status == EZ_OK;
    if (status == EZ_OK && previous != NULL) {
        status = ez_spool_key_make(previous, &reporter->keys[1], error);
        reporter->key_count += status == EZ_OK;
    }
    return status;
}

static ez_status build(ez_reporter *reporter, const ez_reporter_options *options, ez_error *error) {
    reporter->token = strdup(token_of(options));
    if (reporter->token == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a reporter.");
    }
    ez_status status = make_keys(reporter, options->previous_token, error);
    if (status == EZ_OK && options->spool_dir != NULL) {
        status = open_dir(options->spool_dir, &reporter->dir, &reporter->lock, error);
    }
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS && status == EZ_OK; s++) {
        status = ez_report_open(reporter, s, error);
        if (status == EZ_OK) {
            ez_report_publish(reporter, &reporter->reports[s]);
        }
    }
    reporter->client = options->client;
    reporter->owns_client = options->client == NULL;
    if (status == EZ_OK && reporter->owns_client) {
        ez_client_options client = options->client_options;
        client.token = reporter->token;
        status = ez_client_open(&client, &reporter->client, error);
    }
    if (status != EZ_OK) {
        return status;
    }
    int failed = pthread_create(&reporter->thread, NULL, ez_reporter_work, reporter);
    reporter->has_thread = failed == 0;
    return failed == 0 ? EZ_OK
                       : ez_error_set(error, EZ_UNAVAILABLE, "NO_THREAD", "The reporter's thread can't be started: %s.",
                                      strerror(failed));
}

static void destroy(ez_reporter *reporter) {
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        ez_report_close(&reporter->reports[s]);
    }
    if (reporter->owns_client) {
        ez_client_close(reporter->client);
    }
    for (unsigned i = 0; i < reporter->key_count; i++) {
        ez_spool_key_clear(&reporter->keys[i]);
    }
    if (reporter->dir >= 0) {
        close(reporter->dir);
    }
    if (reporter->lock >= 0) {
        close(reporter->lock);
    }
    ez_usage_rows_fini(&reporter->usage);
    ez_usage_rows_fini(&reporter->usage_taken);
    ez_log_rows_fini(&reporter->logs);
    ez_log_rows_fini(&reporter->logs_taken);
    if (reporter->token != NULL) {
        ez_wipe(reporter->token, strlen(reporter->token));
    }
    free(reporter->token);
    pthread_cond_destroy(&reporter->wake);
    pthread_cond_destroy(&reporter->done);
    pthread_mutex_destroy(&reporter->mutex);
    free(reporter);
}

ez_status ez_reporter_open(const ez_reporter_options *options, ez_reporter **out, ez_error *error) {
    ez_status status = check(options, error);
    ez_reporter *reporter = status == EZ_OK ? calloc(1, sizeof *reporter) : NULL;
    if (reporter == NULL) {
        return status != EZ_OK ? status
                               : ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a reporter.");
    }
    reporter->dir = reporter->lock = -1;
    reporter->flush_ms = options->flush_ms;
    bool is_bounded = options->spool_dir != NULL || options->spool_max < MEMORY_MAX;
    reporter->max = is_bounded ? options->spool_max : MEMORY_MAX;
    reporter->user = options->user;
    reporter->on_rejected = options->on_rejected;
    // What is collected must fit into the spool at once.
    size_t memory = (size_t)reporter->max / 4;
    ez_usage_rows_init(&reporter->usage, memory / EZ_USAGE_ROW_BYTES);
    ez_usage_rows_init(&reporter->usage_taken, memory / EZ_USAGE_ROW_BYTES);
    ez_log_rows_init(&reporter->logs, memory);
    ez_log_rows_init(&reporter->logs_taken, memory);
    pthread_mutex_init(&reporter->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&reporter->wake, &monotonic);
    pthread_cond_init(&reporter->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    status = build(reporter, options, error);
    if (status != EZ_OK) {
        destroy(reporter);
        return status;
    }
    *out = reporter;
    return EZ_OK;
}

void ez_reporter_close(ez_reporter *reporter) {
    if (reporter == NULL) {
        return;
    }
    pthread_mutex_lock(&reporter->mutex);
    reporter->stop = true;
    ez_reporter_kick(reporter);
    pthread_mutex_unlock(&reporter->mutex);
    pthread_join(reporter->thread, NULL);
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        const ez_report_info *info = &reporter->info.streams[s];
        bool is_kept = reporter->dir >= 0 && ez_spool_is_committed(reporter->reports[s].spool);
        size_t left = s == EZ_REPORT_USAGE ? reporter->usage.count + reporter->usage_taken.count
                                           : reporter->logs.count + reporter->logs_taken.count;
        if (left > 0) {
            ez_log_error("what was added is lost: there is no room for it in the spool", "stream",
                         ez_spool_name(s + 1u), "rows", EZ_LOG_INT(left));
        }
        if (!is_kept && info->batches_waiting > 0) {
            ez_log_error("what was not sent is lost: it could not be kept on disk", "stream", ez_spool_name(s + 1u),
                         "batches", EZ_LOG_INT(info->batches_waiting), "rows", EZ_LOG_INT(info->rows_waiting));
        }
    }
    destroy(reporter);
}

// ---- Adding ----

// Locked. The worker must know of the first addition, from which its time runs, and of what fills a batch.
static void note_added(ez_reporter *reporter, ez_report_stream stream, uint64_t count, bool is_big) {
    reporter->added[stream] += count;
    bool is_first = reporter->first_ns == 0;
    if (is_first) {
        reporter->first_ns = ez_clock_mono_ns();
    }
    if (reporter->flush_ms == EZ_REPORTER_ON_SYNC) {
        return;
    }
    if (is_big) {
        ez_reporter_kick(reporter);
    } else if (is_first) {
        pthread_cond_signal(&reporter->wake);
    }
}

ez_status ez_usage_add(ez_reporter *reporter, const ez_usage_delta *deltas, size_t count, ez_error *error) {
    pthread_mutex_lock(&reporter->mutex);
    size_t before = reporter->usage.count;
    ez_status status = ez_usage_rows_add(&reporter->usage, deltas, count, error);
    for (size_t i = 0; i < count && status == EZ_OK; i++) {
        reporter->master_id = deltas[i].of == EZ_USAGE_OF_MASTER ? deltas[i].id : reporter->master_id;
    }
    if (status == EZ_OK) {
        note_added(reporter, EZ_REPORT_USAGE, count,
                   before < EZ_USAGE_BATCH_ROWS && reporter->usage.count >= EZ_USAGE_BATCH_ROWS);
    } else {
        reporter->refused[EZ_REPORT_USAGE] += count;
    }
    pthread_mutex_unlock(&reporter->mutex);
    return status;
}

ez_status ez_log_add(ez_reporter *reporter, const Ez__V1__LogRecord *record, ez_error *error) {
    ez_buf encoded;
    ez_buf_init(&encoded, RECORD_MAX);
    ez_status status = ez_log_rows_encode(record, &encoded, error);
    pthread_mutex_lock(&reporter->mutex);
    if (status == EZ_OK) {
        status = ez_log_rows_add(&reporter->logs, &encoded, error);
    }
    if (status == EZ_OK) {
        size_t batch = reporter->logs.count % EZ_LOG_BATCH_ROWS;
        bool is_big = batch == 0 ||
                      reporter->logs.packed.len / (1u << 20) != (reporter->logs.packed.len - encoded.len) / (1u << 20);
        note_added(reporter, EZ_REPORT_LOGS, 1, is_big);
    } else {
        reporter->refused[EZ_REPORT_LOGS]++;
    }
    pthread_mutex_unlock(&reporter->mutex);
    if (encoded.data != NULL) {
        ez_wipe(encoded.data, encoded.len);
    }
    ez_buf_fini(&encoded);
    return status;
}

// ---- Waiting ----

uint64_t ez_reporter_sync_begin(ez_reporter *reporter, uint64_t note) {
    pthread_mutex_lock(&reporter->mutex);
    uint64_t ticket = ++reporter->wanted;
    reporter->note = note;
    reporter->has_note = true;
    ez_reporter_kick(reporter);
    pthread_mutex_unlock(&reporter->mutex);
    return ticket;
}

// Locked. False: the time is over.
static bool wait_more(ez_reporter *reporter, uint64_t deadline) {
    const struct timespec at = {.tv_sec = (time_t)(deadline / EZ_S_NS), .tv_nsec = (long)(deadline % EZ_S_NS)};
    return pthread_cond_timedwait(&reporter->done, &reporter->mutex, &at) != ETIMEDOUT;
}

ez_status ez_reporter_sync_wait(ez_reporter *reporter, uint64_t ticket, uint32_t timeout_ms, ez_error *error) {
    uint64_t deadline = ez_clock_mono_ns() + timeout_ms * EZ_MS_NS;
    bool in_time = true;
    pthread_mutex_lock(&reporter->mutex);
    while (reporter->synced < ticket && reporter->failed < ticket && in_time) {
        in_time = wait_more(reporter, deadline);
    }
    ez_status status = EZ_OK;
    if (reporter->synced < ticket) {
        status = reporter->failed >= ticket ? ez_error_copy(error, &reporter->failure)
                                            : ez_error_set(error, EZ_DEADLINE_EXCEEDED, "SYNC_TIMEOUT",
                                                           "The spool was not written in %u ms.", timeout_ms);
        status = status == EZ_OK ? reporter->failure.code : status;
    }
    pthread_mutex_unlock(&reporter->mutex);
    return status;
}

ez_status ez_reporter_sync(ez_reporter *reporter, uint64_t note, uint32_t timeout_ms, ez_error *error) {
    return ez_reporter_sync_wait(reporter, ez_reporter_sync_begin(reporter, note), timeout_ms, error);
}

ez_status ez_reporter_drain(ez_reporter *reporter, uint32_t timeout_ms, ez_error *error) {
    uint64_t deadline = ez_clock_mono_ns() + timeout_ms * EZ_MS_NS;
    bool in_time = true;
    pthread_mutex_lock(&reporter->mutex);
    uint64_t ticket = ++reporter->wanted; // with the note that there is
    ez_reporter_kick(reporter);
    while ((!reporter->is_drained || (reporter->synced < ticket && reporter->failed < ticket)) && in_time) {
        in_time = wait_more(reporter, deadline);
    }
    const ez_report_info *streams = reporter->info.streams;
    ez_status status = EZ_OK;
    if (!reporter->is_drained) {
        status = ez_error_set(error, EZ_DEADLINE_EXCEEDED, "DRAIN_TIMEOUT",
                              "%llu batches of usage and %llu of logs still wait for the server.",
                              (unsigned long long)streams[EZ_REPORT_USAGE].batches_waiting,
                              (unsigned long long)streams[EZ_REPORT_LOGS].batches_waiting);
    }
    pthread_mutex_unlock(&reporter->mutex);
    return status;
}

void ez_reporter_get_info(ez_reporter *reporter, ez_reporter_info *out) {
    pthread_mutex_lock(&reporter->mutex);
    *out = reporter->info;
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        out->streams[s].added = reporter->added[s];
        out->streams[s].refused = reporter->refused[s];
    }
    pthread_mutex_unlock(&reporter->mutex);
}
