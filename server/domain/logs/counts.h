// SPDX-License-Identifier: Apache-2.0
//
// How many masters, keys and API keys there are, by status. Few are counted when they are asked for; many would take
// too long, so they are counted in steps on the timer, again when something changed, and the last whole count is given.
//
// Locking: one mutex guards the last count. The pass belongs to whoever calls ez_counts_tick, one thread.
#pragma once

#include "ez/v1/log.pb-c.h"
#include "server/state/directory/directory.h"

#define EZ_COUNTS_DIRECT_MAX 50000 // resources that are counted when asked for: some 10 ms
#define EZ_COUNTS_STEP       20000 // of many, in one step

typedef struct ez_counts ez_counts;

typedef struct ez_counts_values {
    Ez__V1__StatusCounts masters, keys, api_keys;
} ez_counts_values;

// feed: says whether something changed. Both must outlive the object.
ez_status ez_counts_create(const ez_directory *directory, const ez_feed *feed, ez_counts **out,
                           ez_error *error) EZ_MUST_CHECK;
void ez_counts_destroy(ez_counts *counts); // NULL is fine
// Any thread. The first time that there are many, it takes as long as it takes.
void ez_counts_read(ez_counts *counts, int64_t now_ns, ez_counts_values *out);
// One step, where there are many. True: the pass goes on.
bool ez_counts_tick(ez_counts *counts, int64_t now_ns);
