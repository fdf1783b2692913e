// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees: the object, settings by name, ranges of time, filters.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/log.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "server/domain/logs/counts.h"
#include "server/domain/logs/logs.h"
#include "server/domain/logs/sample.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/page_token.h"
#include "server/state/directory/setting.h"
#include "server/state/directory/stamp.h"

#define NS_PER_S   INT64_C(1000000000)
#define DAY_NS     (86400 * NS_PER_S)
#define TOKEN_LOGS 'l' // page tokens: see page_token.h

// What the appender's thread remembers between chores.
typedef struct ez_retention {
    ez_log_limits limits;    // as they were when forgetting began last
    int64_t purge_before_ns; // likewise
    uint64_t trim_ms;        // monotonic: when it begins again
    uint64_t look_ms;        // when the number of records is looked at again
    uint64_t fold_ms;        // when rollups are folded again
    bool is_trimming, is_folding;
    bool folds_next; // of two things to do, which one is next
} ez_retention;

struct ez_logs {
    ez_logs_options options;
    ez_counts *counts;
    ez_retention retention; // the appender's thread
    ez_sample sample;       // likewise
};

// ---- Names of settings

#define SETTING_FEATURES      "features"
#define SETTING_ERROR_WEBHOOK "error_webhook"
#define SETTING_LOG_PURGE     "log_purge"

// ---- features.c

typedef struct ez_log_features {
    int64_t retention_days;
    int64_t max_records; // 0: no bound
    bool keeps_bodies;
    int64_t purge_before_ns; // 0: nothing was deleted
} ez_log_features;

// What holds now: settings over the server's own options.
ez_status ez_logs_features(const ez_logs *logs, ez_log_features *out, ez_error *error) EZ_MUST_CHECK;

// ---- ingest.c

// The master of a key, the group of an API key; 0 where it is not known here. Within a reading section.
int64_t ez_logs_owner_of(const ez_directory *directory, int kind, int64_t id);

// ---- range.c

// A range of whole minutes, since_s < until_s, from what a request gave (NULL: until now, since length_s before).
ez_status ez_range_read(const Google__Protobuf__Timestamp *since, const Google__Protobuf__Timestamp *until,
                        int64_t length_s, int64_t now_ns, int64_t *since_s, int64_t *until_s,
                        ez_error *error) EZ_MUST_CHECK;
