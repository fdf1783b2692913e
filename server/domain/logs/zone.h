// SPDX-License-Identifier: Apache-2.0
//
// Time zones by IANA name, from the system's files (TZif, RFC 8536). For where days and months begin in statistics: the
// C library's own reading goes through the environment, which threads share. A zone is immutable; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"

typedef struct ez_zone ez_zone;

// Reads the zone into arena; "", "UTC" and "Etc/UTC" need no file. INVALID_ARGUMENT (TIME_ZONE_UNKNOWN): no such zone
// is on this machine, or the name is none. Blocks on a small file.
ez_status ez_zone_open(const char *name, ez_arena *arena, const ez_zone **out, ez_error *error) EZ_MUST_CHECK;

// Seconds east of UTC at a moment.
int32_t ez_zone_offset(const ez_zone *zone, int64_t unix_s);
// Whether every offset the zone has within since … until is whole hours.
bool ez_zone_has_whole_hours(const ez_zone *zone, int64_t since_s, int64_t until_s);
bool ez_zone_is_utc(const ez_zone *zone);

// The moments at which the local day or month of a moment began: the first moment of it where its midnight was skipped.
int64_t ez_zone_day(const ez_zone *zone, int64_t unix_s);
int64_t ez_zone_month(const ez_zone *zone, int64_t unix_s);
