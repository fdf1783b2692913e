// SPDX-License-Identifier: Apache-2.0
//
// google.protobuf.Timestamp and nanoseconds since 1970 UTC. What int64 nanoseconds can't hold (past the year 2262)
// becomes the greatest or least value: such times compare right and are never computed with.
#pragma once

#include "google/protobuf/timestamp.pb-c.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/frame.h"

int64_t ez_stamp_ns(const Google__Protobuf__Timestamp *stamp); // not NULL
int64_t ez_stamp_read(ez_slice packed);                        // a packed Timestamp; malformed parts count as 0
// NULL where there is no memory.
Google__Protobuf__Timestamp *ez_stamp_make(int64_t ns, ez_arena *arena) EZ_MUST_CHECK;
// Appends it as a field of that number; 0 is no time and appends nothing.
ez_status ez_stamp_put(ez_buf *out, uint32_t number, int64_t ns) EZ_MUST_CHECK;
// Whether it is set and not later than now_ns.
bool ez_stamp_has_passed(const Google__Protobuf__Timestamp *stamp, int64_t now_ns);
