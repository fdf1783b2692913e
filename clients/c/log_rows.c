// SPDX-License-Identifier: Apache-2.0
//
// Records are checked where they are added, by the rules that the server has: one that it would refuse must not take
// its whole batch with it. They are packed there too, by the thread that adds them and outside of any lock.
#include "clients/c/log_rows.h"

#include <string.h>

#include "proto/crypto/seal.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "proto/runtime/wire.h"

#define MEMBER     3 // IngestLogsRequest.records
#define ARENA_MAX  (256u << 10)
#define KEEP_BYTES (1u << 20)

void ez_log_rows_init(ez_log_rows *rows, size_t max) {
    *rows = (ez_log_rows){0};
    ez_buf_init(&rows->packed, max < EZ_LOG_ROWS_BYTES ? max : EZ_LOG_ROWS_BYTES);
}

void ez_log_rows_fini(ez_log_rows *rows) {
    if (rows->packed.data != NULL) {
        ez_wipe(rows->packed.data, rows->packed.cap); // bodies are the tenants' own
    }
    ez_buf_fini(&rows->packed);
}

void ez_log_rows_clear(ez_log_rows *rows) {
    if (rows->packed.cap > KEEP_BYTES) {
        size_t max = rows->packed.max;
        ez_log_rows_fini(rows);
        ez_log_rows_init(rows, max);
        return;
    }
    ez_buf_clear(&rows->packed);
    rows->count = rows->at = 0;
}

static ez_status pack(const Ez__V1__LogRecord *record, ez_buf *out, ez_error *error) {
    uint8_t head[16];
    size_t len = ez__v1__log_record__get_packed_size(record);
    size_t head_len = ez_varint_write(head, MEMBER << 3 | 2);
    head_len += ez_varint_write(head + head_len, len);
    if (ez_buf_append(out, head, head_len) != EZ_OK || ez_buf_pack(out, &record->base) != EZ_OK) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a log record.");
    }
    return EZ_OK;
}

ez_status ez_log_rows_encode(const Ez__V1__LogRecord *record, ez_buf *out, ez_error *error) {
    Ez__V1__LogRecord copy = *record;
    Google__Protobuf__Timestamp now = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    if (copy.time == NULL) {
        int64_t ns = ez_clock_wall_ns();
        now.seconds = ns / 1000000000;
        now.nanos = (int32_t)(ns % 1000000000);
        copy.time = &now;
    }
    if (copy.request_body.len > EZ_LOG_BODY_MAX) {
        copy.request_body.len = EZ_LOG_BODY_MAX;
    }
    copy.base.n_unknown_fields = 0;
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    const ez_message_rule *rule = ez_message_rule_find(copy.base.descriptor);
    ez_status status = ez_message_check(rule, &copy.base, true, &arena, error);
    if (status == EZ_OK) {
        status = pack(&copy, out, error);
    }
    ez_arena_fini(&arena);
    return status;
}

ez_status ez_log_rows_add(ez_log_rows *rows, const ez_buf *encoded, ez_error *error) {
    if (ez_buf_append(&rows->packed, encoded->data, encoded->len) != EZ_OK) {
        rows->packed.overflow = false;
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "LOGS_FULL",
                            "There is no room for more log records: the spool is full, or the disk is slow.");
    }
    rows->count++;
    return EZ_OK;
}

uint32_t ez_log_rows_take(ez_log_rows *rows, ez_slice *out) {
    size_t start = rows->at;
    uint32_t count = 0;
    ez_wire_field field;
    for (size_t next = start; count < EZ_LOG_BATCH_ROWS; count++) {
        if (!ez_wire_next(rows->packed.data, rows->packed.len, &next, &field) || next - start > EZ_LOG_BATCH_BYTES) {
            break;
        }
        rows->at = next;
    }
    *out = (ez_slice){rows->packed.data + start, rows->at - start};
    return count;
}
