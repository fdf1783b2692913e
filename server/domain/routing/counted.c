// SPDX-License-Identifier: Apache-2.0
//
// Five fields in a row, in both kinds: total, success, failure, and the last two as shares.
#include "server/domain/routing/counted.h"

#include "proto/runtime/wire.h"

enum { F_API_KEY_TOTAL = 17, F_GROUP_TOTAL = 11 };

static double share(const ez_usage_sums *sums, int64_t part) {
    return ez_usage_share(part, sums->requests, sums->success, sums->failure);
}

static ez_status put_number(ez_buf *out, uint32_t field, int64_t value) {
    return value ? ez_wire_put_varint(out, field, (uint64_t)value) : EZ_OK;
}

static ez_status put_share(ez_buf *out, uint32_t field, double value) {
    return value > 0 ? ez_wire_put_double(out, field, value) : EZ_OK;
}

static ez_status put(const ez_counters *counters, ez_usage_table table, int64_t id, uint32_t first, ez_buf *out) {
    ez_usage_sums sums;
    if (!ez_counters_get(counters, table, id, &sums))
        return EZ_OK;
    ez_status status = put_number(out, first, sums.requests);
    if (status == EZ_OK)
        status = put_number(out, first + 1, sums.success);
    if (status == EZ_OK)
        status = put_number(out, first + 2, sums.failure);
    if (status == EZ_OK)
        status = put_share(out, first + 3, share(&sums, sums.success));
    return status == EZ_OK ? put_share(out, first + 4, share(&sums, sums.failure)) : status;
}

ez_status ez_counted_put_api_key(const ez_counters *counters, int64_t id, ez_buf *out) {
    return put(counters, EZ_USAGE_API_KEYS, id, F_API_KEY_TOTAL, out);
}

ez_status ez_counted_put_group(const ez_counters *counters, int64_t id, ez_buf *out) {
    return put(counters, EZ_USAGE_GROUPS, id, F_GROUP_TOTAL, out);
}

void ez_counted_fill_api_key(const ez_counters *counters, Ez__V1__ApiKey *key) {
    ez_usage_sums sums;
    ez_counters_get(counters, EZ_USAGE_API_KEYS, key->id, &sums);
    key->total_requests = sums.requests;
    key->success_requests = sums.success;
    key->failure_requests = sums.failure;
    key->success_rate = share(&sums, sums.success);
    key->failure_rate = share(&sums, sums.failure);
}

void ez_counted_fill_group(const ez_counters *counters, Ez__V1__ProviderGroup *group) {
    ez_usage_sums sums;
    ez_counters_get(counters, EZ_USAGE_GROUPS, group->id, &sums);
    group->total_requests = sums.requests;
    group->success_requests = sums.success;
    group->failure_requests = sums.failure;
    group->success_rate = share(&sums, sums.success);
    group->failure_rate = share(&sums, sums.failure);
}
