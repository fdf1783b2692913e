// SPDX-License-Identifier: Apache-2.0
//
// ez_others: what other servers on the same store have counted. Each looks at the rows that were added to lately, a
// range of ids at a time: masters' each second, for the live numbers, the others' each 5; a server that nothing
// reaches from elsewhere looks at keys and API keys each minute only. It also finds what a commit of our own has left
// behind whose outcome was not known. Does nothing on a store that is one server's.
//
// The appender's thread, but for the hint.
#pragma once

#include "server/state/directory/directory.h"
#include "server/state/metering/counters.h"

#define EZ_OTHERS_IDS      50000 // looked at in one step
#define EZ_OTHERS_MARGIN_S 60    // by so much may servers' clocks differ, less the time a commit takes

typedef struct ez_others {
    ez_store *store;
    const ez_directory *directory;
    const ez_counters *counters;
    ez_usage_total_fn *total; // of each row that is not as it was known
    void *user;
    _Atomic bool is_hinted; // something will come
    uint64_t seen_ms;       // when something came from elsewhere; monotonic
    struct ez_others_table {
        uint64_t began_ms; // its last look; monotonic, 0: none yet
        int64_t since_ns;  // of the look that is under way
        int64_t began_ns;  // wall clock
        int64_t after;     // ids up to here were looked at
        bool is_under_way;
    } tables[EZ_USAGE_TABLES];
} ez_others;

// The rest of others is the caller's to fill before.
void ez_others_init(ez_others *others);
// One bounded step. *more: there is more to look at now.
void ez_others_step(ez_others *others, bool *more);
// Another server says that it counted something. Any thread.
void ez_others_hint(ez_others *others);
