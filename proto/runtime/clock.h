// SPDX-License-Identifier: Apache-2.0
//
// Time. Wall time is for people and records, monotonic time for every wait and deadline: a clock that jumps breaks no
// timeout.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

uint64_t ez_clock_mono_ns(void);
uint64_t ez_clock_mono_ms(void);
int64_t ez_clock_wall_ns(void); // since 1970-01-01 UTC

#define EZ_CLOCK_TEXT_MAX 36
// RFC 3339 in UTC, with as many fractional digits (0, 3, 6 or 9) as it takes. out holds EZ_CLOCK_TEXT_MAX bytes.
size_t ez_clock_format(int64_t seconds, int32_t nanos, char *out);
// RFC 3339 with any offset. INVALID_ARGUMENT where it is not.
ez_status ez_clock_parse(const char *text, size_t len, int64_t *seconds, int32_t *nanos) EZ_MUST_CHECK;
