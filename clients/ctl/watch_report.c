// SPDX-License-Identifier: Apache-2.0
//
// A small table of masters, searched one by one: a report comes once a second. The awkward case is a table that is
// full: the master that comes then is left out, and the line above the table still counts it.
#include "clients/ctl/watch_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clients/ctl/table.h"

#define COLUMNS 7

static size_t find(const ez_ctl_live *live, int64_t id) {
    size_t i = 0;
    while (i < live->count && live->ids[i] != id)
        i++;
    return i;
}

static bool is_idle(const Ez__V1__RealtimeStats *stats) {
    return stats->requests == 0 && stats->rate_limited == 0;
}

void ez_ctl_live_take(ez_ctl_live *live, const Ez__V1__RealtimeReport *report) {
    for (size_t i = 0; i < report->n_masters; i++) {
        const Ez__V1__MasterRealtime *master = report->masters[i];
        size_t at = find(live, master->master_id);
        bool is_known = at < live->count;
        if (!master->stats || is_idle(master->stats)) {
            if (is_known) {
                live->ids[at] = live->ids[--live->count];
                live->stats[at] = live->stats[live->count];
            }
            continue;
        }
        if (at == EZ_CTL_LIVE_MAX)
            continue;
        live->count += !is_known;
        live->ids[at] = master->master_id;
        live->stats[at] = *master->stats;
        live->stats[at].time = NULL; // the report's memory
    }
}

static void add_row(ez_ctl_table *table, ez_arena *arena, const char *name, const Ez__V1__RealtimeStats *stats) {
    const char **cells = stats && name ? ez_ctl_table_add_row(table) : NULL;
    if (!cells)
        return;
    const int64_t numbers[] = {stats->requests, stats->tokens, stats->errors, stats->rate_limited};
    const char *texts[COLUMNS] = {name, ez_arena_printf(arena, "%.1f", stats->qps_10s),
                                  ez_arena_printf(arena, "%.1f", stats->qps_60s)};
    for (unsigned i = 3; i < COLUMNS; i++)
        texts[i] = ez_arena_printf(arena, "%" PRId64, numbers[i - 3]);
    for (unsigned i = 0; i < COLUMNS; i++)
        cells[i] = texts[i] ? texts[i] : "";
}

static int busiest_first(const void *a, const void *b) {
    const Ez__V1__RealtimeStats *const *left = a, *const *right = b;
    if ((*left)->requests != (*right)->requests)
        return (*left)->requests < (*right)->requests ? 1 : -1;
    return *left < *right ? -1 : *left > *right; // as they came
}

void ez_ctl_live_put(const ez_ctl_live *live, const Ez__V1__RealtimeReport *report, size_t masters, size_t width,
                     ez_arena *arena, ez_buf *out) {
    static const char *const titles[COLUMNS] = {"MASTER", "QPS_10S", "QPS_60S",     "REQUESTS",
                                                "TOKENS", "ERRORS",  "RATE_LIMITED"};
    const Ez__V1__RealtimeStats *order[EZ_CTL_LIVE_MAX];
    ez_ctl_table table;
    ez_ctl_table_init(&table, arena);
    for (unsigned i = 0; i < COLUMNS; i++)
        (void)ez_ctl_table_add_column(&table, titles[i], i > 0);
    for (size_t i = 0; i < live->count; i++)
        order[i] = &live->stats[i];
    qsort(order, live->count, sizeof *order, busiest_first);
    add_row(&table, arena, "all", report->system);
    for (size_t i = 0; i < live->count && i < masters; i++)
        add_row(&table, arena, ez_arena_printf(arena, "%" PRId64, live->ids[order[i] - live->stats]), order[i]);
    ez_ctl_table_write(&table, width, out);
}
