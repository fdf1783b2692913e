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
    ez_quotas_options quotas = {.directory = options->directory,
                                .feed = options->feed,
                                .writer = options->writer,
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

void ez_usage_counted(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total) {
    ez_usage *usage = user;
    ez_counters_note(usage->options.counters, table, id, total);
    if (table == EZ_USAGE_KEYS)
        ez_quotas_counted(usage->quotas, id);
}

void ez_usage_chore(void *user, bool *more) {
    ez_usage *usage = user;
    ez_quotas_step(usage->quotas, more);
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
