// SPDX-License-Identifier: Apache-2.0
//
// Names are read from the directory when the answer is written, so they are the ones that hold now.
#include "server/domain/logs/stat.h"

#include "proto/runtime/wire.h"
#include "server/state/directory/stamp.h"

#define NS_PER_S INT64_C(1000000000)

void ez_stat_fill(const ez_rollup_sums *sums, Ez__V1__LogStat *out) {
    out->requests = sums->requests;
    out->success = sums->requests - sums->errors;
    out->errors = sums->errors;
    out->tokens_in = sums->tokens_in;
    out->tokens_out = sums->tokens_out;
    out->cost_nano_usd = sums->cost_nano_usd;
    out->avg_latency_ms = sums->requests > 0 ? (double)sums->latency_ms / (double)sums->requests : 0;
    out->p50_latency_ms = ez_rollup_percentile(sums, 0.50);
    out->p95_latency_ms = ez_rollup_percentile(sums, 0.95);
    out->p99_latency_ms = ez_rollup_percentile(sums, 0.99);
}

// The number of the field "name" in each kind.
static uint32_t name_field(int kind) {
    bool is_third = kind == EZ__V1__KIND__KIND_KEY || kind == EZ__V1__KIND__KIND_API_KEY;
    return is_third ? 3 : 2;
}

char *ez_stat_name(const ez_directory *directory, int kind, int64_t id, ez_arena *arena) {
    ez_directory_enter();
    const ez_entry *entry = id ? ez_directory_get(directory, kind, id) : NULL;
    ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){0};
    ez_wire_field field = {.number = 0};
    ez_wire_find(data.data, data.len, name_field(kind), &field);
    char *name = ez_arena_strndup(arena, field.bytes.data ? (const char *)field.bytes.data : "", field.bytes.len);
    ez_directory_leave();
    return name;
}

static Ez__V1__LogStat *make(const ez_directory *directory, ez_top_row *row, ez_stat_form form, int kind,
                             ez_arena *arena) {
    Ez__V1__LogStat *out = ez_arena_alloc(arena, sizeof *out);
    if (!out)
        return NULL;
    ez__v1__log_stat__init(out);
    ez_stat_fill(&row->sums, out);
    switch (form) {
    case EZ_STAT_MODEL:
        out->model = row->model;
        return out;
    case EZ_STAT_ID:
        out->id = row->id;
        out->name = ez_stat_name(directory, kind, row->id, arena);
        return out->name ? out : NULL;
    case EZ_STAT_TIME:
        out->time = ez_stamp_make(row->id * NS_PER_S, arena);
        return out->time ? out : NULL;
    }
    return NULL;
}

Ez__V1__LogStat **ez_stat_list(const ez_directory *directory, const ez_top *top, ez_stat_form form, int kind,
                               ez_arena *arena) {
    Ez__V1__LogStat **list = ez_arena_alloc(arena, (top->count + 1) * sizeof(Ez__V1__LogStat *));
    for (size_t i = 0; list && i < top->count; i++) {
        list[i] = make(directory, top->rows[i], form, kind, arena);
        if (!list[i])
            return NULL;
    }
    return list;
}
