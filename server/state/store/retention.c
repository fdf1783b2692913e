// SPDX-License-Identifier: Apache-2.0
//
// Age comes before count: what is too old no longer counts to what is too many.
#include "server/state/store/retention.h"

ez_retention_step ez_retention_next(const ez_log_day *days, size_t count, const ez_log_limits *limits) {
    int64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += days[i].records;
    int64_t excess = limits->max_records > 0 && total > limits->max_records ? total - limits->max_records : 0;
    for (size_t i = 0; i < count; i++) {
        int64_t begin_ns = days[i].day * EZ_DAY_NS, end_ns = begin_ns + EZ_DAY_NS;
        bool has_any = days[i].records > 0;
        if (end_ns <= limits->before_ns || (has_any && excess >= days[i].records))
            return (ez_retention_step){.is_any = true, .is_whole = true, .day = days[i].day, .until_ns = end_ns};
        if (has_any && (excess || begin_ns < limits->before_ns))
            return (ez_retention_step){
                .is_any = true, .day = days[i].day, .until_ns = limits->before_ns, .excess = excess};
        if (has_any)
            break;
    }
    return (ez_retention_step){0};
}
