// SPDX-License-Identifier: Apache-2.0
//
// Numbers go into the text as they are: they can't be anything else than numbers, and PostgreSQL plans better for what
// it sees. A model is a parameter.
//
// Awkward: the table's key has the time before the ids, so a range of time can't be narrowed by them. Where the master
// or the group is known, each time is named instead, and only rows of that one are read: a tenant's question costs what
// the tenant has. A key or API key alone is looked for among all. PostgreSQL is given the times one by one: as a list
// it takes them for something to leave rows out by.
#include "server/state/store/stats_query.h"

#include <inttypes.h>

#define TIMES_MAX 4000 // 31 days of hours are 744, ten years of days 3,653

const char *const ez_stats_columns[EZ_STATS_SUMS] = {
    "requests",   "errors", "rate_limited", "tokens_in", "tokens_out", "cost_nano_usd",
    "latency_ms", "h0",     "h1",           "h2",        "h3",         "h4",
    "h5",         "h6",     "h7",           "h8",        "h9",         "h10",
    "h11",        "h12",    "h13",          "h14",       "h15"};

const char ez_sql_log_edges[] = "SELECT minutes_from_s, hours_from_s FROM log_head WHERE one = 1";

static const struct by {
    const char *group;
    int coarsest;
} bys[] = {
    [EZ_STATS_TOTAL] = {"CAST(0 AS BIGINT)", EZ_ROLLUP_DAY},
    [EZ_STATS_MODEL] = {"model", EZ_ROLLUP_DAY},
    [EZ_STATS_MASTER] = {"a", EZ_ROLLUP_DAY},
    [EZ_STATS_KEY] = {"b", EZ_ROLLUP_DAY},
    [EZ_STATS_GROUP] = {"a", EZ_ROLLUP_DAY},
    [EZ_STATS_API_KEY] = {"b", EZ_ROLLUP_DAY},
    // A row of a longer step stands at its beginning.
    [EZ_STATS_MINUTE] = {"time_s", EZ_ROLLUP_MINUTE},
    [EZ_STATS_HOUR] = {"time_s - (time_s % 3600 + 3600) % 3600", EZ_ROLLUP_HOUR},
    [EZ_STATS_DAY] = {"time_s - (time_s % 86400 + 86400) % 86400", EZ_ROLLUP_DAY},
};

static bool has_model(const ez_stats_query *query) {
    return query->model && query->model[0];
}

ez_status ez_stats_ask_make(const ez_stats_query *query, ez_stats_ask *out, ez_error *error) {
    bool key = query->by == EZ_STATS_KEY || query->key_id, master = query->by == EZ_STATS_MASTER || query->master_id;
    bool api_key = query->by == EZ_STATS_API_KEY || query->api_key_id;
    bool group = query->by == EZ_STATS_GROUP || query->group_id;
    bool model = query->by == EZ_STATS_MODEL || has_model(query);
    if ((key || master) && (api_key || group))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FILTERS_DO_NOT_MIX",
                            "statistics are kept by master and key, or by group and API key: ask for one of the two");
    ez_rollup_level level = EZ_ROLLUP_TOTAL;
    if (key || master)
        level = model ? EZ_ROLLUP_KEY_MODEL : key ? EZ_ROLLUP_KEY : EZ_ROLLUP_MASTER;
    else if (api_key || group)
        level = model ? EZ_ROLLUP_API_KEY_MODEL : api_key ? EZ_ROLLUP_API_KEY : EZ_ROLLUP_GROUP;
    else if (model)
        level = EZ_ROLLUP_MODEL;
    bool has_owner = query->by == EZ_STATS_MASTER || query->by == EZ_STATS_KEY || query->by == EZ_STATS_API_KEY;
    if ((query->first_sums || query->tells_owner) &&
        (!has_owner || query->first_sums < 0 || query->first_sums > EZ_STATS_SUMS))
        return ez_error_set(error, EZ_INTERNAL, "STATS_FIRST_SUMS",
                            "only of masters, keys and API keys the first sums can be asked for");
    *out = (ez_stats_ask){.level = level,
                          .coarsest = bys[query->by].coarsest,
                          .group = bys[query->by].group,
                          .is_by_model = query->by == EZ_STATS_MODEL,
                          .is_by_time = query->by >= EZ_STATS_MINUTE};
    return EZ_OK;
}

// Each time of the plan can be named.
static bool is_short(const ez_stats_plan *plan) {
    int64_t times = 0;
    for (size_t i = 0; i < plan->count; i++)
        times += (plan->segments[i].to_s - plan->segments[i].from_s) / plan->segments[i].step + 1;
    return times <= TIMES_MAX;
}

static void put_times(const ez_stats_segment *segment, ez_buf *out) {
    for (int64_t at = segment->from_s; at < segment->to_s; at += segment->step)
        ez_buf_printf(out, "%s%" PRId64, at == segment->from_s ? " AND time_s IN (" : ",", at);
    ez_buf_puts(out, ")");
}

size_t ez_stats_sums_of(const ez_stats_query *query) {
    return query->first_sums ? (size_t)query->first_sums : EZ_STATS_SUMS;
}

static void put_columns(const ez_stats_query *query, const char *group, const char *owner, ez_buf *out) {
    ez_buf_puts(out, group);
    for (size_t i = 0; i < ez_stats_sums_of(query); i++)
        ez_buf_printf(out, ", %s", ez_stats_columns[i]);
    if (query->tells_owner)
        ez_buf_printf(out, ", %s", owner);
}

// An id as it stands in a row.
static int64_t named(int64_t filter) {
    return filter == EZ_STATS_NONE ? 0 : filter;
}

static void put_segment(const ez_stats_query *query, const ez_stats_ask *ask, const ez_stats_segment *segment,
                        bool is_named, ez_stats_dialect dialect, ez_buf *out) {
    // At every level that has them, a is the master or the group and b the key or the API key.
    int64_t a = query->master_id ? query->master_id : query->group_id;
    int64_t b = query->key_id ? query->key_id : query->api_key_id;
    bool one_by_one = a && is_named && dialect == EZ_STATS_POSTGRES;
    ez_buf_puts(out, "SELECT ");
    if (one_by_one) {
        put_columns(query, "grouped", "owner", out);
        ez_buf_printf(out,
                      " FROM generate_series(CAST(%" PRId64 " AS BIGINT), CAST(%" PRId64 " AS BIGINT), CAST(%d AS "
                      "BIGINT)) AS moment(at) CROSS JOIN LATERAL (SELECT ",
                      segment->from_s, segment->to_s - 1, segment->step);
    }
    ez_buf_printf(out, "%s AS ", ask->group);
    put_columns(query, "grouped", "a AS owner", out);
    ez_buf_printf(out, " FROM rollups WHERE step = %d AND level = %d", segment->step,
                  (int)ez_rollup_kept(segment->step, ask->level));
    if (one_by_one)
        ez_buf_puts(out, " AND time_s = moment.at");
    else if (a && is_named)
        put_times(segment, out);
    else
        ez_buf_printf(out, " AND time_s >= %" PRId64 " AND time_s < %" PRId64, segment->from_s, segment->to_s);
    if (a)
        ez_buf_printf(out, " AND a = %" PRId64, named(a));
    if (b)
        ez_buf_printf(out, " AND b = %" PRId64, named(b));
    // Of one master or group the key has few rows at each time: rollups_by_model, with those of all, is not for them.
    if (has_model(query))
        ez_buf_puts(out, a && dialect == EZ_STATS_POSTGRES ? " AND model || '' = $1" : " AND model = $1");
    if (one_by_one)
        ez_buf_puts(out, " OFFSET 0) AS found");
}

ez_status ez_stats_rows_text(const ez_stats_query *query, const ez_stats_ask *ask, const ez_stats_plan *plan,
                             ez_stats_dialect dialect, ez_buf *out, ez_error *error) {
    bool is_named = is_short(plan);
    for (size_t i = 0; i < plan->count; i++) {
        if (i)
            ez_buf_puts(out, " UNION ALL ");
        put_segment(query, ask, &plan->segments[i], is_named, dialect, out);
    }
    return out->overflow ? ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query") : EZ_OK;
}

ez_status ez_stats_minute_text(ez_stats_by by, int64_t minute_s, ez_buf *out, ez_error *error) {
    ez_rollup_level level = by == EZ_STATS_KEY ? EZ_ROLLUP_KEY : EZ_ROLLUP_API_KEY;
    ez_buf_printf(out, " FROM rollups WHERE step = %d AND level = %d AND time_s = %" PRId64, EZ_ROLLUP_MINUTE,
                  (int)ez_rollup_kept(EZ_ROLLUP_MINUTE, level), minute_s);
    return out->overflow ? ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query") : EZ_OK;
}
