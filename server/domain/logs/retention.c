// SPDX-License-Identifier: Apache-2.0
//
// Forgetting. What is deleted by an admin is gone for every query at once, because queries do not look before the
// setting "log_purge"; its rows, and those that are too old or too many, go in bounded steps on the appender's thread
// between its commits, so that ingest waits for one step at most. Folding of rollups takes turns with it.
//
// Of several servers the one that holds the lease folds and forgets.
//
// Forgetting begins each hour, at once when what is allowed changed, and when there are a tenth more records than there
// should be: an hour of heavy traffic is more than a disk may have room for.
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/logs/inside.h"

#define STEP_ROWS     500 // records forgotten in one step, where it is row by row: some 10 ms, less than a batch takes
#define TRIM_EVERY_MS 3600000u
#define LOOK_EVERY_MS 60000u
#define FOLD_EVERY_MS 5000u
#define RETRY_MS      10000u // after an error
#define AHEAD_MAX_NS  (3600 * NS_PER_S)

// ---- What an admin deletes

ez_status ez_handle_logs_delete(ez_logs *self, ez_call *call, ez_txn *txn, Ez__V1__DeleteLogsRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    Ez__V1__Setting *setting;
    if (ez_stamp_ns(request->before) > ez_txn_now_ns(txn) + AHEAD_MAX_NS)
        return ez_error_violation(&call->error, "before", "must not be in the future");
    ez_status status = ez_setting_load(txn, SETTING_LOG_PURGE, &setting, &call->error);
    if (status != EZ_OK)
        return status;
    // What is gone does not come back: an earlier time changes nothing.
    if (!setting->log_purge_before || ez_stamp_ns(setting->log_purge_before) < ez_stamp_ns(request->before)) {
        setting->log_purge_before = request->before;
        status = ez_setting_put(txn, setting, &call->error);
    }
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}

// ---- The chore

static ez_log_limits limits_of(const ez_log_features *features, int64_t now_ns) {
    int64_t before_ns = now_ns - features->retention_days * DAY_NS;
    return (ez_log_limits){.before_ns = features->purge_before_ns > before_ns ? features->purge_before_ns : before_ns,
                           .max_records = features->max_records};
}

// Changed by somebody, that is, not only by the time that went on.
static bool has_changed(const ez_log_limits *now, const ez_log_limits *then) {
    int64_t moved_ns = now->before_ns - then->before_ns;
    return now->max_records != then->max_records || moved_ns > DAY_NS / 2;
}

static void warn(const char *what, const ez_error *error) {
    ez_log_warn(what, "reason", error->reason, "message", error->message);
}

// Whether there are so many records that the hour is not waited for.
static bool are_too_many(ez_logs *logs, const ez_log_limits *limits, uint64_t now_ms) {
    if (limits->max_records == 0 || now_ms < logs->retention.look_ms)
        return false;
    logs->retention.look_ms = now_ms + LOOK_EVERY_MS;
    int64_t records, oldest_ns;
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_count_logs(logs->options.store, &records, &oldest_ns, &error) != EZ_OK) {
        warn("log records can't be counted; trying again", &error);
        return false;
    }
    return records > limits->max_records + limits->max_records / 10;
}

// Limits are those of now also in the middle of forgetting: who raises one stops it there.
static void follow(ez_logs *logs, const ez_log_features *features, int64_t now_ns, uint64_t now_ms) {
    ez_retention *r = &logs->retention;
    ez_log_limits limits = limits_of(features, now_ns);
    bool begins = now_ms >= r->trim_ms || has_changed(&limits, &r->limits) ||
                  r->purge_before_ns != features->purge_before_ns ||
                  (!r->is_trimming && are_too_many(logs, &limits, now_ms));
    if (!begins && !r->is_trimming)
        return;
    r->limits = limits;
    r->purge_before_ns = features->purge_before_ns;
    if (begins)
        r->trim_ms = now_ms + TRIM_EVERY_MS;
    r->is_trimming = true;
}

static void trim(ez_logs *logs, uint64_t fence, int64_t now_ns, uint64_t now_ms) {
    ez_retention *r = &logs->retention;
    ez_error error = EZ_ERROR_INIT;
    bool more = false;
    ez_status status = ez_store_trim_logs(logs->options.store, fence, &r->limits, now_ns, STEP_ROWS, &more, &error);
    r->is_trimming = status == EZ_OK && more;
    if (status != EZ_OK) {
        warn("old log records could not be forgotten; trying again", &error);
        r->trim_ms = now_ms + RETRY_MS;
    }
}

static void fold(ez_logs *logs, uint64_t fence, int64_t now_ns, uint64_t now_ms) {
    ez_retention *r = &logs->retention;
    ez_error error = EZ_ERROR_INIT;
    bool more = false;
    ez_status status = ez_store_fold_rollups(logs->options.store, fence, now_ns, &more, &error);
    r->is_folding = status == EZ_OK && more;
    r->fold_ms = now_ms + (status == EZ_OK ? FOLD_EVERY_MS : RETRY_MS);
    if (status != EZ_OK)
        warn("statistics could not be folded; trying again", &error);
}

void ez_logs_chore(void *user, bool *more) {
    ez_logs *logs = user;
    ez_retention *r = &logs->retention;
    uint64_t fence;
    if (!ez_holder_may(&logs->options.holder, &fence)) {
        r->is_trimming = r->is_folding = *more = false;
        return;
    }
    int64_t now_ns = ez_clock_wall_ns();
    uint64_t now_ms = ez_clock_mono_ms();
    ez_log_features features;
    ez_error error = EZ_ERROR_INIT;
    if (ez_logs_features(logs, &features, &error) == EZ_OK)
        follow(logs, &features, now_ns, now_ms);
    bool wants_fold = r->is_folding || now_ms >= r->fold_ms;
    if (wants_fold && (!r->is_trimming || r->folds_next)) {
        r->folds_next = false;
        fold(logs, fence, now_ns, now_ms);
    } else if (r->is_trimming) {
        r->folds_next = true;
        trim(logs, fence, now_ns, now_ms);
    }
    *more = r->is_trimming || r->is_folding;
}
