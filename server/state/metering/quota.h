// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of quotas, in one place for those who show them, those who change them and those who watch them. Pure
// functions; any thread.
#pragma once

#include "server/state/metering/counters.h"

// What was used in this period: what the key carries (quota_used as an earlier release kept it, and quota_carried) and
// what was counted. Never negative.
int64_t ez_quota_used(const ez_counters *counters, int64_t key_id, int64_t kept, int64_t carried);

// What quota_carried must be for used to be used now.
int64_t ez_quota_carry(const ez_counters *counters, int64_t key_id, int64_t used);

// Seconds since 1970 when the period after now_s begins: midnight, Monday or the first of a month, UTC. period: an
// Ez__V1__QuotaPeriod other than none.
int64_t ez_quota_next_period(int period, int64_t now_s);
