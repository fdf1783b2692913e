// SPDX-License-Identifier: Apache-2.0
//
// What does not fit one event is left out: a sample need not be whole.
#include "server/domain/logs/sample.h"

#include "ez/v1/log.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/logs/record.h"

#define TOPIC       "logs"
#define BYTES_MAX   (192u << 10) // of one event's message; EZ_EVENT_MAX is above it
#define RECORDS_MAX 1000         // of one event
#define ARENA_MAX   (4u << 20)

// How many may still go out in this second.
static size_t left(ez_sample *sample, int64_t per_second) {
    uint64_t second = ez_clock_mono_ms() / 1000;
    if (second != sample->second)
        *sample = (ez_sample){.second = second};
    int64_t left = per_second - sample->given;
    return left <= 0 ? 0 : left < RECORDS_MAX ? (size_t)left : RECORDS_MAX;
}

static size_t gather(const ez_log_row *rows, size_t count, size_t most, ez_arena *arena, Ez__V1__LogRecord **out) {
    size_t taken = 0, bytes = 0;
    for (size_t i = 0; taken < most; i++) {
        size_t at = most < count ? i * count / most : i; // spread over the whole batch
        if (at >= count)
            break;
        ez_log_row row = rows[at];
        row.body = (ez_slice){0};
        out[taken] = ez_record_from_row(&row, false, arena);
        if (!out[taken])
            break;
        bytes += protobuf_c_message_get_packed_size(&out[taken]->base) + 8;
        if (bytes > BYTES_MAX)
            break;
        taken++;
    }
    return taken;
}

static void send(ez_publish *events, const Ez__V1__IngestLogsRequest *message, int64_t now_ns) {
    ez_buf packed;
    ez_buf_init(&packed, BYTES_MAX + 1024);
    ez_error error = EZ_ERROR_INIT;
    if (ez_buf_pack(&packed, &message->base) == EZ_OK) {
        ez_publish_event event = {.topic = TOPIC, .time_ns = now_ns, .message = packed.data, .len = packed.len};
        if (ez_publish_send(events, &event, &error) != EZ_OK)
            ez_log_warn("sampled log records were not published", "reason", error.reason);
    }
    ez_buf_fini(&packed);
}

void ez_sample_publish(ez_sample *sample, ez_publish *events, int64_t per_second, const ez_log_row *rows, size_t count,
                       int64_t now_ns) {
    if (!events || per_second <= 0 || count == 0)
        return;
    size_t most = left(sample, per_second);
    if (most == 0)
        return;
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    Ez__V1__LogRecord **records = ez_arena_alloc(&arena, most * sizeof(Ez__V1__LogRecord *));
    Ez__V1__IngestLogsRequest message = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    message.records = records;
    message.n_records = records ? gather(rows, count, most, &arena, records) : 0;
    if (message.n_records > 0) {
        send(events, &message, now_ns);
        sample->given += (int64_t)message.n_records;
    }
    ez_arena_fini(&arena);
}
