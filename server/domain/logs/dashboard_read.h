// SPDX-License-Identifier: Apache-2.0
//
// ez_dashboard_numbers: what a dashboard says, read from the rollups: the period, the one before it, its busiest models
// and keys.
#pragma once

#include "server/domain/logs/top.h"

#define EZ_DASHBOARD_TOP 10

typedef struct ez_dashboard_numbers {
    ez_rollup_sums now, before;
    ez_top models, keys; // the busiest EZ_DASHBOARD_TOP, sorted
} ez_dashboard_numbers;

// since_s, until_s: unix seconds, whole minutes; since_s 0: from the beginning, and nothing was before. Each number is
// of one moment, not all of the same one. Memory from arena. Errors: those of ez_reader_each_stat.
ez_status ez_dashboard_read(ez_reader *reader, int64_t since_s, int64_t until_s, ez_arena *arena,
                            ez_dashboard_numbers *out, ez_error *error) EZ_MUST_CHECK;
