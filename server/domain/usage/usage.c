// SPDX-License-Identifier: Apache-2.0
//
// The object behind the usage services: it ties what was counted to those who want to know, the counters in memory and
// the quotas.
#include "server/domain/usage/usage.h"

#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/usage/inside.h"

ez_status ez_usage_create(const ez_usage_options *options, ez_usage **out, ez_error *error) {
    ez_usage *usage = calloc(1, sizeof *usage);
    if (!usage)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for usage");
    usage->options = *options;
    ez_buf_init(&usage->report.packed, EZ_EVENT_MAX);
    usage->others = (ez_others){.store = options->store,
                                .directory = options->directory,
                                .counters = options->counters,
                                .total = ez_usage_counted,
                                .user = usage};
    ez_others_init(&usage->others);
    ez_quotas_options quotas = {.directory = options->directory,
                                .feed = options->feed,
                                .writer = options->writer,
                                .holder = options->holder,
                                .counters = options->counters};
    ez_status status = ez_quotas_create(&quotas, &usage->quotas, error);
    if (status != EZ_OK) {
        ez_usage_destroy(usage);
        return status;
    }
    *out = usage;
    return EZ_OK;
}

void ez_usage_destroy(ez_usage *usage) {
    if (!usage)
        return;
    ez_quotas_destroy(usage->quotas);
    ez_buf_fini(&usage->report.packed);
    free(usage);
}

// What a master's total rose by since it was seen last, here or on another server.
static void go_live(ez_usage *usage, int64_t master_id, const ez_usage_sums *known, const ez_usage_sums *total) {
    ez_realtime_sums more = {.requests = total->requests - known->requests,
                             .tokens = total->tokens_in - known->tokens_in + (total->tokens_out - known->tokens_out),
                             .errors = total->failure - known->failure,
                             .rate_limited = total->rate_limited - known->rate_limited};
    uint64_t now_s = ez_clock_mono_ms() / 1000;
    ez_realtime_add_master(usage->options.realtime, master_id, &more, now_s);
    ez_realtime_add_system(usage->options.realtime, &more, now_s);
}

void ez_usage_counted(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total) {
    ez_usage *usage = user;
    ez_usage_sums known;
    ez_counters_get(usage->options.counters, table, id, &known);
    // What is not kept would rise by the whole of it each time.
    if (ez_counters_keep(usage->options.counters, table, id, total) && table == EZ_USAGE_MASTERS)
        go_live(usage, id, &known, total);
    if (table == EZ_USAGE_KEYS)
        ez_quotas_counted(usage->quotas, id);
}

void ez_usage_chore(void *user, bool *more) {
    ez_usage *usage = user;
    bool more_of_others;
    ez_others_step(&usage->others, &more_of_others);
    ez_quotas_step(usage->quotas, more);
    *more = *more || more_of_others;
}

void ez_usage_hint(ez_usage *usage) {
    ez_others_hint(&usage->others);
}

void ez_usage_publish(ez_usage *usage, const char *topic, const ProtobufCMessage *message, ez_buf *room) {
    if (!usage->options.events)
        return;
    ez_error error = EZ_ERROR_INIT;
    ez_buf_clear(room);
    ez_status status = ez_buf_pack(room, message);
    if (status == EZ_OK) {
        ez_publish_event event = {
            .topic = topic, .time_ns = ez_clock_wall_ns(), .message = room->data, .len = room->len};
        status = ez_publish_send(usage->options.events, &event, &error);
    }
    if (status != EZ_OK)
        ez_log_warn("an event was not published", "topic", topic, "error", error.message);
}
