// SPDX-License-Identifier: Apache-2.0
//
// What was counted of a key or a master, appended to its packed bytes. Zeros are what the bytes mean without them.
#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"

ez_status ez_access_put_counted(const ez_access *access, ez_usage_table table, int64_t id, uint32_t first_field,
                                int64_t *last_used_ns, ez_buf *out) {
    ez_usage_sums sums;
    if (!ez_counters_get(access->counters, table, id, &sums))
        return EZ_OK;
    const int64_t values[] = {sums.requests, sums.tokens_in, sums.tokens_out};
    ez_status status = EZ_OK;
    for (uint32_t i = 0; status == EZ_OK && i < 3; i++) {
        if (values[i])
            status = ez_wire_put_varint(out, first_field + i, (uint64_t)values[i]);
    }
    *last_used_ns = sums.last_used_ns;
    return status;
}
