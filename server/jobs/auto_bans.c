// SPDX-License-Identifier: Apache-2.0
//
// What fails (a full queue, a full disk, a lost lease) is said, and not tried again: the detector looks each minute,
// and whoever still fails is condemned again.
#include "server/jobs/auto_bans.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/detector_words.h"

#define TIMEOUT_NS 60000000000ull

struct ez_auto_bans {
    ez_auto_bans_options options;
    atomic_bool is_out; // the writer has it
    ez_write write;
    ez_call *call;
    Ez__V1__Empty request;
    ez_auto_ban batch;
};

ez_status ez_auto_bans_create(const ez_auto_bans_options *options, ez_auto_bans **out, ez_error *error) {
    _Static_assert(EZ_CONDEMNED_MAX <= EZ_AUTO_BAN_MAX, "all of a round fit into one change");
    ez_auto_bans *bans = calloc(1, sizeof *bans);
    if (bans == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    }
    bans->options = *options;
    bans->batch.seconds = options->seconds;
    ez__v1__empty__init(&bans->request);
    *out = bans;
    return EZ_OK;
}

void ez_auto_bans_destroy(ez_auto_bans *bans) {
    if (bans != NULL) {
        ez_call_destroy_system(bans->call);
        free(bans);
    }
}

// ---- What was banned

static void raise_one(const ez_auto_bans *bans, const ez_auto_ban_item *item) {
    Ez__V1__AlertThresholds thresholds = EZ__V1__ALERT_THRESHOLDS__INIT;
    ez_finding finding = {.rule = EZ_RULE_KEY_DISABLED,
                          .severity = EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING,
                          .id = item->api_key_id,
                          .time_ns = item->until_ns};
    ez_finding_text text;
    ez_alert_report report;
    ez_finding_report(&finding, &thresholds, &text, &report);
    (void)bans->options.raise(bans->options.raise_user, &report, 1, EZ_DETECTOR_NAME); // the next round tells it again
}

static void tell(const ez_auto_bans *bans) {
    for (size_t i = 0; i < bans->batch.count; i++) {
        const ez_auto_ban_item *item = &bans->batch.items[i];
        if (item->until_ns == 0) {
            continue;
        }
        ez_log_warn("an API key is banned because its requests fail", "api_key", EZ_LOG_INT(item->api_key_id), "errors",
                    EZ_LOG_INT(item->errors), "requests", EZ_LOG_INT(item->requests), "seconds",
                    EZ_LOG_INT(bans->batch.seconds));
        if (bans->options.raise != NULL) {
            raise_one(bans, item);
        }
    }
}

static void on_written(ez_write *write) {
    ez_auto_bans *bans = (ez_auto_bans *)(void *)((char *)write - offsetof(ez_auto_bans, write));
    if (write->status == EZ_OK) {
        tell(bans);
    } else {
        ez_log_warn("API keys whose requests fail could not be banned; they are looked at again in the next round",
                    "reason", bans->call->error.reason, "message", bans->call->error.message);
    }
    atomic_store(&bans->is_out, false);
}

// ---- What is to be banned

static bool make_call(ez_auto_bans *bans) {
    ez_call_destroy_system(bans->call);
    bans->call = NULL;
    if (ez_call_create_system("auto-ban", &bans->call) != EZ_OK) {
        bans->call = NULL;
        return false;
    }
    bans->call->deadline_ns = ez_clock_mono_ns() + TIMEOUT_NS;
    return true;
}

static void fill(ez_auto_ban *batch, const ez_condemned *api_keys, size_t count) {
    batch->count = count;
    for (size_t i = 0; i < count; i++) {
        batch->items[i] = (ez_auto_ban_item){.api_key_id = api_keys[i].api_key_id,
                                             .requests = api_keys[i].requests,
                                             .errors = api_keys[i].errors,
                                             .window_minutes = api_keys[i].window_minutes,
                                             .judged_ns = api_keys[i].judged_ns};
    }
}

void ez_auto_bans_condemn(void *user, const ez_condemned *api_keys, size_t count) {
    ez_auto_bans *bans = user;
    uint64_t fence;
    if (bans->options.seconds == 0 || !ez_holder_may(&bans->options.holder, &fence) ||
        atomic_exchange(&bans->is_out, true)) {
        return;
    }
    if (!make_call(bans)) {
        atomic_store(&bans->is_out, false);
        return;
    }
    fill(&bans->batch, api_keys, count < EZ_AUTO_BAN_MAX ? count : EZ_AUTO_BAN_MAX);
    bans->write = (ez_write){.call = bans->call,
                             .run = ez_routing_auto_ban,
                             .self = &bans->batch,
                             .request = &bans->request.base,
                             .done = on_written,
                             .fence = fence,
                             .started_ns = ez_clock_mono_ns()};
    ez_error error = EZ_ERROR_INIT;
    if (ez_writer_submit(bans->options.writer, &bans->write, &error) != EZ_OK) {
        ez_log_warn("API keys whose requests fail could not be banned; they are looked at again in the next round",
                    "reason", error.reason, "message", error.message);
        atomic_store(&bans->is_out, false);
    }
}
