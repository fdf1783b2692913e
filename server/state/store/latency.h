// SPDX-License-Identifier: Apache-2.0
//
// The buckets of the latency histogram that rollups keep (ez_latency_bounds in meter.h). They are stored: another set
// of bounds would make old rows lie, so they never change. Pure.
#pragma once

#include "server/state/store/meter.h"

// Which bucket a latency belongs to, 0 … EZ_LATENCY_BUCKETS - 1: the first whose bound it does not pass. What is below
// 0 is in the first.
size_t ez_latency_bucket(int64_t latency_ms);
