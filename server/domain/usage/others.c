// SPDX-License-Identifier: Apache-2.0
//
// A look begins where the last one began, less a margin: rows carry the wall clock of whoever added to them, and a
// commit takes a while. What fails is looked for again in the next look, which begins no later.
//
// A look reads a whole table, and most servers are alone. Others tell when they count something, but that may be lost,
// so a server also finds out: masters and groups are few, and whatever is counted is counted for one of them too. While
// they say nothing new they are looked at each 5 s, and the large tables each minute; what does come, and a hint that
// something will, brings back the usual pace.
#include "server/domain/usage/others.h"

#include <stdatomic.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define MASTERS_MS     1000
#define OTHERS_MS      5000
#define ALONE_AFTER_MS 60000 // without anything from elsewhere
#define ALONE_MS       60000 // then keys and API keys
#define SECOND_NS      INT64_C(1000000000)

static const int kinds[EZ_USAGE_TABLES] = {
    [EZ_USAGE_KEYS] = EZ__V1__KIND__KIND_KEY,
    [EZ_USAGE_API_KEYS] = EZ__V1__KIND__KIND_API_KEY,
    [EZ_USAGE_GROUPS] = EZ__V1__KIND__KIND_PROVIDER_GROUP,
    [EZ_USAGE_MASTERS] = EZ__V1__KIND__KIND_MASTER,
};

void ez_others_init(ez_others *others) {
    int64_t now_ns = ez_clock_wall_ns();
    others->seen_ms = ez_clock_mono_ms();
    for (int t = 0; t < EZ_USAGE_TABLES; t++)
        others->tables[t] = (struct ez_others_table){.began_ns = now_ns};
}

static void note(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total) {
    ez_others *others = user;
    ez_usage_sums known;
    ez_counters_get(others->counters, table, id, &known);
    if (memcmp(&known, total, sizeof known) == 0)
        return;
    if (id <= EZ_COUNTERS_ID_MAX) // what is beyond is never known
        others->seen_ms = ez_clock_mono_ms();
    others->total(others->user, table, id, total);
}

// Resources whose ids are greater are not known here yet.
static int64_t greatest_id(const ez_others *others, int table) {
    ez_directory_enter();
    const ez_entry *last = ez_directory_next(others->directory, kinds[table], INT64_MAX, true);
    int64_t id = last ? ez_entry_id(last) : 0;
    ez_directory_leave();
    return id;
}

static uint64_t pace_ms(const ez_others *others, int table) {
    if (ez_clock_mono_ms() - others->seen_ms < ALONE_AFTER_MS)
        return table == EZ_USAGE_MASTERS ? MASTERS_MS : OTHERS_MS;
    return table == EZ_USAGE_KEYS || table == EZ_USAGE_API_KEYS ? ALONE_MS : OTHERS_MS;
}

static void begin(struct ez_others_table *table) {
    table->since_ns = table->began_ns - EZ_OTHERS_MARGIN_S * SECOND_NS;
    table->began_ns = ez_clock_wall_ns();
    table->began_ms = ez_clock_mono_ms();
    table->after = 0;
    table->is_under_way = true;
}

// False where it could not be looked at.
static bool look(ez_others *others, int which) {
    struct ez_others_table *table = &others->tables[which];
    int64_t last = greatest_id(others, which), until = table->after + EZ_OTHERS_IDS;
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_usage_since(others->store, (ez_usage_table)which, table->since_ns, table->after, until, note, others,
                             &error) != EZ_OK) {
        ez_log_warn("what other servers have counted can't be read", "error", error.message);
        table->began_ns = table->since_ns + EZ_OTHERS_MARGIN_S * SECOND_NS;
        table->is_under_way = false;
        return false;
    }
    table->after = until;
    table->is_under_way = until < last;
    return true;
}

void ez_others_hint(ez_others *others) {
    atomic_store(&others->is_hinted, true);
}

void ez_others_step(ez_others *others, bool *more) {
    *more = false;
    if (atomic_exchange(&others->is_hinted, false))
        others->seen_ms = ez_clock_mono_ms();
    for (int t = 0; t < EZ_USAGE_TABLES; t++) {
        struct ez_others_table *table = &others->tables[t];
        if (!table->is_under_way && ez_clock_mono_ms() - table->began_ms >= pace_ms(others, t))
            begin(table);
        if (!table->is_under_way)
            continue;
        if (!look(others, t))
            return; // each table would wait for the store in vain
        *more = *more || table->is_under_way;
    }
}
