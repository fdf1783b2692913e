// SPDX-License-Identifier: Apache-2.0
//
// Ranges of time as requests give them, as whole minutes: what rollups know. The minute a range begins or ends in
// belongs to it whole.
#include "server/domain/logs/inside.h"

#define MINUTE 60
// Far beyond any record, and far from overflow when days are added.
#define SECONDS_MAX INT64_C(253402300800)

static int64_t floor_to(int64_t seconds, int64_t step) {
    return seconds - ((seconds % step) + step) % step;
}

static int64_t seconds_of(const Google__Protobuf__Timestamp *stamp) {
    return stamp->seconds > SECONDS_MAX ? SECONDS_MAX : stamp->seconds < 0 ? 0 : stamp->seconds;
}

ez_status ez_range_read(const Google__Protobuf__Timestamp *since, const Google__Protobuf__Timestamp *until,
                        int64_t length_s, int64_t now_ns, int64_t *since_s, int64_t *until_s, ez_error *error) {
    int64_t end = until ? seconds_of(until) + (until->nanos > 0) : now_ns / NS_PER_S + 1;
    int64_t begin = since ? seconds_of(since) : end - length_s;
    if (begin >= end)
        return ez_error_violation(error, "since", "must be before until");
    *since_s = floor_to(begin < 0 ? 0 : begin, MINUTE);
    *until_s = floor_to(end + MINUTE - 1, MINUTE);
    return EZ_OK;
}
