// SPDX-License-Identifier: Apache-2.0
//
// Timestamps as the schema has them against the nanoseconds the server counts in. A Timestamp may hold any year from
// 1970 to 9999 (the schema's check sees to that); nanoseconds in an int64 end in 2262, hence the saturation.
#include "server/state/directory/stamp.h"

#include "proto/runtime/wire.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t to_ns(int64_t seconds, int64_t nanos) {
    int64_t ns;
    if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) || __builtin_add_overflow(ns, nanos, &ns))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

int64_t ez_stamp_ns(const Google__Protobuf__Timestamp *stamp) {
    return to_ns(stamp->seconds, stamp->nanos);
}

int64_t ez_stamp_read(ez_slice packed) {
    int64_t seconds = 0, nanos = 0;
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(packed.data, packed.len, &at, &field)) {
        if (field.number == 1 && field.type == 0)
            seconds = (int64_t)field.varint;
        else if (field.number == 2 && field.type == 0)
            nanos = (int32_t)field.varint;
    }
    return to_ns(seconds, nanos);
}

Google__Protobuf__Timestamp *ez_stamp_make(int64_t ns, ez_arena *arena) {
    Google__Protobuf__Timestamp *stamp = ez_arena_alloc(arena, sizeof *stamp);
    if (!stamp)
        return NULL;
    google__protobuf__timestamp__init(stamp);
    stamp->seconds = ns / NS_PER_S;
    stamp->nanos = (int32_t)(ns % NS_PER_S);
    if (stamp->nanos < 0) {
        stamp->nanos += (int32_t)NS_PER_S;
        stamp->seconds--;
    }
    return stamp;
}

bool ez_stamp_has_passed(const Google__Protobuf__Timestamp *stamp, int64_t now_ns) {
    return stamp && ez_stamp_ns(stamp) <= now_ns;
}

ez_status ez_stamp_put(ez_buf *out, uint32_t number, int64_t ns) {
    if (ns <= 0)
        return EZ_OK;
    uint8_t packed[24];
    size_t len = 0;
    packed[len++] = 1 << 3;
    len += ez_varint_write(packed + len, (uint64_t)(ns / NS_PER_S));
    if (ns % NS_PER_S) {
        packed[len++] = 2 << 3;
        len += ez_varint_write(packed + len, (uint64_t)(ns % NS_PER_S));
    }
    return ez_wire_put_bytes(out, number, packed, len);
}
