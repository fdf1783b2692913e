// SPDX-License-Identifier: Apache-2.0
//
// A walk over packed bytes: status, and what time makes of it. A pass over many takes a share of 1/20 of one core at
// most, since the next one begins no sooner than twenty times as long after it as it took, and only if the revision
// moved or a minute has passed (keys expire by the clock).
//
// Awkward: what changes behind the place a pass is at counts in the next one. The sums of a pass are therefore those of
// no single moment, which a dashboard can bear.
#include "server/domain/logs/counts.h"

#include <pthread.h>
#include <stdlib.h>

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/wire.h"
#include "server/state/directory/stamp.h"

#define PASS_SHARE  20    // of the time between passes, one part is counting
#define PASS_MIN_MS 1000  // between passes
#define PASS_MAX_MS 60000 // a pass even if nothing changed

enum { NOTHING = UINT32_MAX }; // no field has this number

// Where a kind's packed bytes say what its status follows from.
typedef struct status_fields {
    int kind;
    uint32_t status, expires, ban_until, has_refresh;
    int active, disabled, expired, exhausted, banned; // values of its enum; -1: it has no such status
} status_fields;

static const status_fields kinds[] = {
    {EZ__V1__KIND__KIND_MASTER, 8, NOTHING, NOTHING, NOTHING, EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE,
     EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED, -1, -1, -1},
    {EZ__V1__KIND__KIND_KEY, 21, 13, NOTHING, NOTHING, EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE,
     EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED, EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED,
     EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED, -1},
    {EZ__V1__KIND__KIND_API_KEY, 13, 8, 16, 25, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE,
     EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED, -1,
     EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

struct ez_counts {
    const ez_directory *directory;
    const ez_feed *feed;

    pthread_mutex_t lock;
    ez_counts_values last;
    bool has_last;

    // The pass: one thread's.
    ez_counts_values sums;
    size_t at_kind; // KINDS: none is on its way
    int64_t after;
    uint64_t busy_ns;   // counting, of this pass
    uint64_t next_ms;   // no pass begins before
    uint64_t stale_ms;  // one begins then in any case
    uint64_t counted_n; // the revision the last one began at
};

static Ez__V1__StatusCounts *sums_of(ez_counts_values *values, size_t kind) {
    Ez__V1__StatusCounts *const all[KINDS] = {&values->masters, &values->keys, &values->api_keys};
    return all[kind];
}

static void clear(ez_counts_values *values) {
    for (size_t i = 0; i < KINDS; i++)
        ez__v1__status_counts__init(sums_of(values, i));
}

// ---- One resource

static void count_entry(const status_fields *of, ez_slice data, int64_t now_ns, Ez__V1__StatusCounts *sums) {
    int status = 0;
    int64_t expires_ns = INT64_MAX, ban_until_ns = INT64_MAX;
    bool has_refresh = false;
    ez_wire_field field;
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field);) {
        if (field.number == of->status)
            status = (int)field.varint;
        else if (field.number == of->expires)
            expires_ns = ez_stamp_read(field.bytes);
        else if (field.number == of->ban_until)
            ban_until_ns = ez_stamp_read(field.bytes);
        else if (field.number == of->has_refresh)
            has_refresh = field.varint != 0;
    }
    if (status == of->banned && ban_until_ns <= now_ns)
        status = of->active;
    if (status == of->active && expires_ns <= now_ns && !has_refresh)
        status = of->expired;
    sums->total++;
    sums->active += status == of->active;
    sums->disabled += status == of->disabled;
    sums->expired += status == of->expired;
    sums->exhausted += status == of->exhausted;
    sums->banned += status == of->banned;
}

// Counts at most this many from *after on. False: the kind is done.
static bool count_some(const ez_counts *counts, size_t kind, int64_t *after, size_t most, int64_t now_ns,
                       Ez__V1__StatusCounts *sums) {
    ez_directory_enter();
    const ez_entry *entry = NULL;
    for (size_t i = 0; i < most; i++) {
        entry = ez_directory_next(counts->directory, kinds[kind].kind, *after, false);
        if (!entry)
            break;
        *after = ez_entry_id(entry);
        count_entry(&kinds[kind], ez_entry_data(entry), now_ns, sums);
    }
    ez_directory_leave();
    return entry != NULL;
}

// ---- Asked for

static bool are_many(const ez_counts *counts) {
    size_t total = 0;
    for (size_t i = 0; i < KINDS; i++)
        total += ez_directory_count(counts->directory, kinds[i].kind);
    return total > EZ_COUNTS_DIRECT_MAX;
}

void ez_counts_read(ez_counts *counts, int64_t now_ns, ez_counts_values *out) {
    if (are_many(counts)) {
        pthread_mutex_lock(&counts->lock);
        bool has_last = counts->has_last;
        *out = counts->last;
        pthread_mutex_unlock(&counts->lock);
        if (has_last)
            return;
    }
    clear(out);
    for (size_t i = 0; i < KINDS; i++) {
        int64_t after = 0;
        while (count_some(counts, i, &after, EZ_COUNTS_STEP, now_ns, sums_of(out, i)))
            continue;
    }
}

// ---- On the timer

static bool may_begin(ez_counts *counts, uint64_t now_ms) {
    uint64_t n = ez_feed_head(counts->feed).n;
    if (!are_many(counts) || now_ms < counts->next_ms || (n == counts->counted_n && now_ms < counts->stale_ms))
        return false;
    counts->counted_n = n;
    counts->at_kind = 0;
    counts->after = 0;
    counts->busy_ns = 0;
    clear(&counts->sums);
    return true;
}

static void end_pass(ez_counts *counts) {
    pthread_mutex_lock(&counts->lock);
    counts->last = counts->sums;
    counts->has_last = true;
    pthread_mutex_unlock(&counts->lock);
    uint64_t now_ms = ez_clock_mono_ms(), pause_ms = counts->busy_ns / 1000000 * PASS_SHARE;
    counts->next_ms = now_ms + (pause_ms > PASS_MIN_MS ? pause_ms : PASS_MIN_MS);
    counts->stale_ms = now_ms + PASS_MAX_MS;
}

bool ez_counts_tick(ez_counts *counts, int64_t now_ns) {
    if (counts->at_kind == KINDS && !may_begin(counts, ez_clock_mono_ms()))
        return false;
    uint64_t begun_ns = ez_clock_mono_ns();
    size_t kind = counts->at_kind;
    if (!count_some(counts, kind, &counts->after, EZ_COUNTS_STEP, now_ns, sums_of(&counts->sums, kind))) {
        counts->at_kind++;
        counts->after = 0;
    }
    counts->busy_ns += ez_clock_mono_ns() - begun_ns;
    if (counts->at_kind == KINDS)
        end_pass(counts);
    return counts->at_kind < KINDS;
}

// ---- Life

ez_status ez_counts_create(const ez_directory *directory, const ez_feed *feed, ez_counts **out, ez_error *error) {
    ez_counts *counts = calloc(1, sizeof *counts);
    if (!counts)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    counts->directory = directory;
    counts->feed = feed;
    counts->at_kind = KINDS;
    clear(&counts->last);
    pthread_mutex_init(&counts->lock, NULL);
    *out = counts;
    return EZ_OK;
}

void ez_counts_destroy(ez_counts *counts) {
    if (!counts)
        return;
    pthread_mutex_destroy(&counts->lock);
    free(counts);
}
