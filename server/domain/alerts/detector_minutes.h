// SPDX-License-Identifier: Apache-2.0
//
// ez_minutes: what came in at each minute of the detector's window, of each key or each API key, so that a round reads
// from the store only minutes to which something was added since. Whether that is so is asked each time, by how many
// requests a minute has in all: rows of minutes only grow, each record is one request, and it is counted in the
// transaction that stores it. So late records, other servers, a restart and clocks that jump need no further care.
//
// Bounded: EZ_MINUTES_HELD entries of 16 bytes are kept; minutes beyond are read each time. One thread at a time.
#pragma once

#include "server/domain/alerts/detector_rules.h"
#include "server/state/store/meter.h"

#define EZ_MINUTES_MAX  62      // the longest window, the present minute and one for clocks that are ahead
#define EZ_MINUTES_HELD 2000000 // entries: a window of 7 minutes with 280,000 keys in each
#define EZ_MINUTES_IDS  4000000 // keys of a window that are told apart

typedef struct ez_minute_entry {
    int64_t id;
    uint32_t requests, errors; // stay at their maximum
} ez_minute_entry;

typedef struct ez_minute {
    int64_t time_s;
    int64_t total; // requests of all, before it was read
    size_t count;
    ez_minute_entry *entries;
} ez_minute;

// Begins with zeros; after fini nothing is held, and it may be used again.
typedef struct ez_minutes {
    size_t held; // entries
    size_t count;
    ez_minute minutes[EZ_MINUTES_MAX];
    size_t expected; // ids, as many as the last window had
    uint64_t reads;  // minutes that were read, ever
} ez_minutes;

void ez_minutes_fini(ez_minutes *minutes);

typedef struct ez_minutes_ask {
    ez_stats_by by;                       // EZ_STATS_KEY or EZ_STATS_API_KEY, always the same of one object
    int64_t since_s, until_s;             // whole minutes, at most EZ_MINUTES_MAX
    int64_t least_requests, least_errors; // who has less is left out
} ez_minutes_ask;

// Gives each key or API key with the sums of the window, in any order, once all was read. On a reader's thread.
// RESOURCE_EXHAUSTED: there is no room, and nothing was given. Errors: the store's.
ez_status ez_minutes_each(ez_minutes *minutes, ez_reader *reader, const ez_minutes_ask *ask,
                          void (*each)(void *user, int64_t id, const ez_rule_numbers *numbers), void *user,
                          ez_error *error) EZ_MUST_CHECK;
