// SPDX-License-Identifier: Apache-2.0
//
// The reporter's thread: takes what was added, makes batches of it, commits them to the spool, tells who waits for
// that, and has both streams sent. Awkward: a sync is of both streams, and its note is written to a stream only with
// all that was added to that stream before; so what was added is taken together with the sync that asks for it, and
// where a spool has no room neither is.
#include "clients/c/reporter_private.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define CLOSE_NS       (3 * EZ_S_NS)
#define WRITE_PAUSE_NS EZ_S_NS
#define TELL_NS        (30 * EZ_S_NS)
#define BIG_BYTES      (1u << 20)
#define UNWRITTEN_MAX  (32u << 20)

// What one turn is to do.
typedef struct work_turn {
    uint64_t now;
    bool stop, has_sync, has_note;
    uint64_t sync, note;
    bool takes[EZ_REPORT_STREAMS];
    bool is_left[EZ_REPORT_STREAMS]; // something was added that it does not take
} work_turn;

void ez_reporter_kick(ez_reporter *reporter) {
    reporter->kick = true;
    pthread_cond_signal(&reporter->wake);
}

static bool is_empty(const ez_reporter *reporter, ez_report_stream stream) {
    return stream == EZ_REPORT_USAGE ? reporter->usage.count == 0 : reporter->logs.count == 0;
}

static size_t bytes_of(const ez_reporter *reporter, ez_report_stream stream) {
    return stream == EZ_REPORT_USAGE ? reporter->usage.count * EZ_USAGE_ROW_BYTES : reporter->logs.packed.len;
}

static bool is_taken_empty(const ez_reporter *reporter, ez_report_stream stream) {
    return stream == EZ_REPORT_USAGE ? reporter->usage_taken.count == 0 : reporter->logs_taken.count == 0;
}

// ---- Taking ----

static bool is_due(const ez_reporter *reporter, const work_turn *turn) {
    bool by_time = reporter->flush_ms != EZ_REPORTER_ON_SYNC && reporter->first_ns != 0 &&
                   turn->now >= reporter->first_ns + reporter->flush_ms * EZ_MS_NS;
    bool by_size = reporter->flush_ms != EZ_REPORTER_ON_SYNC &&
                   (reporter->logs.count >= EZ_LOG_BATCH_ROWS || reporter->logs.packed.len >= BIG_BYTES ||
                    reporter->usage.count >= EZ_USAGE_BATCH_ROWS);
    return turn->stop || turn->has_sync || by_time || by_size;
}

static void take(ez_reporter *reporter, ez_report_stream stream) {
    if (stream == EZ_REPORT_USAGE) {
        ez_usage_rows taken = reporter->usage;
        reporter->usage = reporter->usage_taken;
        reporter->usage_taken = taken;
    } else {
        ez_log_rows taken = reporter->logs;
        reporter->logs = reporter->logs_taken;
        reporter->logs_taken = taken;
    }
}

// Batches are not made while earlier ones could not be written, unless somebody waits for it: that could fill the
// memory.
static bool may_take(const ez_spool *spool, const work_turn *turn, size_t bytes) {
    bool is_asked = turn->has_sync || turn->stop;
    return ez_spool_has_room(spool, bytes) &&
           (ez_spool_is_committed(spool) || (is_asked && ez_spool_unwritten(spool) < UNWRITTEN_MAX));
}

// Locked.
static work_turn plan(ez_reporter *reporter) {
    work_turn turn = {.now = ez_clock_mono_ns(), .stop = reporter->stop};
    turn.has_sync = reporter->wanted > reporter->synced && reporter->wanted > reporter->failed;
    turn.sync = reporter->wanted;
    turn.has_note = reporter->has_note;
    turn.note = reporter->note;
    bool due = is_due(reporter, &turn);
    bool is_left = false;
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        const ez_spool *spool = reporter->reports[s].spool;
        bool has = !is_empty(reporter, s);
        turn.takes[s] = has && due && is_taken_empty(reporter, s) && may_take(spool, &turn, bytes_of(reporter, s));
        turn.is_left[s] = has && !turn.takes[s];
        is_left = is_left || turn.is_left[s];
        if (turn.takes[s]) {
            take(reporter, s);
        }
    }
    if (due) {
        // What could not be taken is looked at again a while from now.
        reporter->first_ns = is_left ? turn.now : 0;
    }
    return turn;
}

// ---- Batches ----

static bool make_usage(ez_reporter *reporter, ez_spool *spool, int64_t master_id) {
    ez_buf body;
    ez_buf_init(&body, EZ_SPOOL_BODY_MAX);
    bool ok = true;
    while (ok && reporter->usage_taken.packed < reporter->usage_taken.count) {
        size_t before = reporter->usage_taken.packed;
        ez_buf_clear(&body);
        uint32_t rows = ez_usage_rows_pack(&reporter->usage_taken, master_id, &body);
        bool is_end = rows == 0 && reporter->usage_taken.packed == reporter->usage_taken.count;
        ok = is_end || (rows > 0 && ez_spool_add(spool, (ez_slice){body.data, body.len}, rows));
        reporter->usage_taken.packed = ok ? reporter->usage_taken.packed : before;
    }
    ez_buf_fini(&body);
    if (ok) {
        ez_usage_rows_clear(&reporter->usage_taken);
    }
    return ok;
}

static bool make_logs(ez_reporter *reporter, ez_spool *spool) {
    ez_slice body;
    for (;;) {
        size_t before = reporter->logs_taken.at;
        uint32_t rows = ez_log_rows_take(&reporter->logs_taken, &body);
        if (rows == 0) {
            break;
        }
        if (!ez_spool_add(spool, body, rows)) {
            reporter->logs_taken.at = before;
            return false;
        }
    }
    ez_log_rows_clear(&reporter->logs_taken);
    return true;
}

// Makes batches of what was taken and commits them. False: what was added is not all durable; report->why says why.
static bool make(ez_reporter *reporter, const work_turn *turn, ez_report *report, int64_t master_id) {
    ez_report_stream s = report->stream;
    bool is_made =
        s == EZ_REPORT_USAGE ? make_usage(reporter, report->spool, master_id) : make_logs(reporter, report->spool);
    if (!is_made) {
        ez_error_set(&report->why, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a batch.");
    }
    bool has_news = turn->takes[s] || turn->has_sync || turn->stop;
    if (!ez_spool_is_committed(report->spool) && !has_news && turn->now < report->write_at) {
        return false;
    }
    ez_spool_info info;
    ez_spool_get_info(report->spool, &info);
    bool is_whole = is_made && !turn->is_left[s];
    ez_status status =
        ez_spool_commit(report->spool, turn->has_note && is_whole ? turn->note : info.note, &report->why);
    if (status != EZ_OK) {
        if (report->info.failed_writes++ == 0 || report->write_at == 0) {
            ez_log_error("the spool can't be written; it is tried again", "reason", report->why.message);
        }
        report->write_at = turn->now + WRITE_PAUSE_NS;
        return false;
    }
    report->write_at = 0;
    if (turn->is_left[s]) {
        ez_error_set(&report->why, EZ_RESOURCE_EXHAUSTED, "SPOOL_FULL",
                     "The spool of %s is full: %llu batches wait for the server.", ez_spool_name(s + 1u),
                     (unsigned long long)info.batches);
    }
    return is_whole;
}

// ---- What others see ----

void ez_report_publish(ez_reporter *reporter, ez_report *report) {
    ez_spool_info spool;
    ez_spool_get_info(report->spool, &spool);
    ez_report_info *info = &report->info;
    info->note = spool.note;
    info->batches_waiting = spool.batches;
    info->rows_waiting = spool.rows;
    info->spool_bytes = spool.bytes;
    info->restored = spool.restored;
    info->damaged = spool.damaged;
    info->new_epochs = spool.relabeled;
    reporter->info.streams[report->stream] = *info;
}

// Refusals are told by the worker: who adds does not wait for a log line.
static void tell_refused(ez_reporter *reporter, uint64_t now, const uint64_t refused[EZ_REPORT_STREAMS]) {
    if (now < reporter->tell_at) {
        return;
    }
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        if (refused[s] > reporter->told_refused[s]) {
            ez_log_warn("what was reported was refused: there is no room, or it is not valid", "stream",
                        ez_spool_name(s + 1u), "count", EZ_LOG_INT(refused[s] - reporter->told_refused[s]));
            reporter->told_refused[s] = refused[s];
            reporter->tell_at = now + TELL_NS;
        }
    }
}

// Locked.
static void conclude(ez_reporter *reporter, const work_turn *turn, bool is_durable) {
    bool is_drained = true;
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        ez_report_publish(reporter, &reporter->reports[s]);
        is_drained = is_drained && is_empty(reporter, s) && is_taken_empty(reporter, s) &&
                     reporter->info.streams[s].batches_waiting == 0;
    }
    reporter->is_drained = is_drained;
    // A note that could not be written yet goes with the next commit that has all it is about.
    reporter->has_note = reporter->has_note && !(is_durable && turn->has_note && reporter->wanted == turn->sync);
    if (turn->has_sync && is_durable) {
        reporter->synced = turn->sync;
    } else if (turn->has_sync) {
        const ez_report *reports = reporter->reports;
        reporter->failed = turn->sync;
        ez_error_clear(&reporter->failure);
        ez_error_copy(&reporter->failure, reports[0].why.code != EZ_OK ? &reports[0].why : &reports[1].why);
        if (reporter->dir < 0) {
            ez_error_set(&reporter->failure, EZ_FAILED_PRECONDITION, "NO_SPOOL",
                         "This reporter has no spool directory: nothing is durable before the server has it.");
        }
    }
    pthread_cond_broadcast(&reporter->done);
}

static bool is_over(ez_reporter *reporter, const work_turn *turn) {
    if (!turn->stop || turn->now >= reporter->end_by) {
        return turn->stop;
    }
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        bool waits = reporter->dir < 0 && reporter->info.streams[s].batches_waiting > 0;
        if (waits || ez_session_call_is_busy(reporter->reports[s].call)) {
            return false;
        }
    }
    return true;
}

// ---- The thread ----

static uint64_t run(ez_reporter *reporter, const work_turn *turn, int64_t master_id, bool *is_durable) {
    uint64_t due = UINT64_MAX;
    *is_durable = reporter->dir >= 0;
    if (turn->stop && reporter->end_by == 0) {
        reporter->end_by = turn->now + CLOSE_NS;
    }
    for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
        ez_report *report = &reporter->reports[s];
        ez_error_clear(&report->why);
        *is_durable = make(reporter, turn, report, master_id) && *is_durable;
        uint64_t next = ez_report_send(reporter, report, turn->now, !turn->stop || reporter->dir < 0);
        due = next < due ? next : due;
        due = report->write_at != 0 && report->write_at < due ? report->write_at : due;
    }
    return turn->stop && reporter->end_by < due ? reporter->end_by : due;
}

// Locked. When what was added last is to be made a batch of.
static uint64_t flush_at(const ez_reporter *reporter) {
    bool is_timed = reporter->first_ns != 0 && reporter->flush_ms != EZ_REPORTER_ON_SYNC;
    return is_timed ? reporter->first_ns + reporter->flush_ms * EZ_MS_NS : UINT64_MAX;
}

// Locked. The first addition of a batch only signals, so that the wait gets its end.
static void wait_until(ez_reporter *reporter, uint64_t due) {
    while (!reporter->kick) {
        uint64_t flush = flush_at(reporter), until = flush < due ? flush : due;
        if (ez_clock_mono_ns() >= until) {
            break;
        }
        const struct timespec at = {.tv_sec = (time_t)(until / EZ_S_NS), .tv_nsec = (long)(until % EZ_S_NS)};
        if (until == UINT64_MAX) {
            pthread_cond_wait(&reporter->wake, &reporter->mutex);
        } else {
            pthread_cond_timedwait(&reporter->wake, &reporter->mutex, &at);
        }
    }
    reporter->kick = false;
}

void *ez_reporter_work(void *user) {
    ez_reporter *reporter = user;
    pthread_mutex_lock(&reporter->mutex);
    for (;;) {
        const work_turn turn = plan(reporter);
        int64_t master_id = reporter->master_id;
        uint64_t refused[EZ_REPORT_STREAMS] = {reporter->refused[0], reporter->refused[1]};
        pthread_mutex_unlock(&reporter->mutex);
        bool is_durable;
        tell_refused(reporter, turn.now, refused);
        uint64_t due = run(reporter, &turn, master_id, &is_durable);
        pthread_mutex_lock(&reporter->mutex);
        conclude(reporter, &turn, is_durable);
        if (is_over(reporter, &turn)) {
            break;
        }
        wait_until(reporter, due);
    }
    pthread_mutex_unlock(&reporter->mutex);
    return NULL;
}
