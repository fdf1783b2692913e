// SPDX-License-Identifier: Apache-2.0
//
// A dashboard: numbers from the rollups, and one look at the directory.
#include "server/domain/logs/dashboard_read.h"
#include "server/domain/logs/inside.h"
#include "server/domain/logs/stat.h"

#define MINUTE_S 60
#define DAY_S    86400

static const int64_t lengths[] = {
    [EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_HOUR] = 3600,
    [EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_24H] = DAY_S,
    [EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_7D] = 7 * DAY_S,
    [EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_30D] = 30 * DAY_S,
    [EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_ALL] = 0,
};

// The current minute is within it whole. For "all" it begins in 1970.
static void find_period(Ez__V1__DashboardPeriod period, int64_t now_s, int64_t *since_s, int64_t *until_s) {
    *until_s = now_s - now_s % MINUTE_S + MINUTE_S;
    if (period == EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_TODAY)
        *since_s = now_s - now_s % DAY_S;
    else
        *since_s = lengths[period] ? *until_s - lengths[period] : 0;
}

// What the reply points to.
typedef struct parts {
    Ez__V1__DashboardRequests requests;
    Ez__V1__DashboardTokens tokens;
    Ez__V1__DashboardLatency latency;
    ez_counts_values counts;
} parts;

static void fill_parts(parts *p, const ez_rollup_sums *now, const ez_rollup_sums *before) {
    Ez__V1__LogStat all = EZ__V1__LOG_STAT__INIT;
    ez_stat_fill(now, &all);
    ez__v1__dashboard_requests__init(&p->requests);
    ez__v1__dashboard_tokens__init(&p->tokens);
    ez__v1__dashboard_latency__init(&p->latency);
    p->requests.total = all.requests;
    p->requests.success = all.success;
    p->requests.failed = all.errors;
    p->requests.error_rate = all.requests > 0 ? (double)all.errors / (double)all.requests : 0;
    if (before->requests > 0) {
        p->requests.opt_change_case = EZ__V1__DASHBOARD_REQUESTS__OPT_CHANGE_CHANGE;
        p->requests.change = (double)all.requests / (double)before->requests - 1;
    }
    p->tokens.tokens_in = all.tokens_in;
    p->tokens.tokens_out = all.tokens_out;
    p->tokens.cost_nano_usd = all.cost_nano_usd;
    p->latency.avg_ms = all.avg_latency_ms;
    p->latency.p50_ms = all.p50_latency_ms;
    p->latency.p95_ms = all.p95_latency_ms;
    p->latency.p99_ms = all.p99_latency_ms;
}

static ez_status reply(ez_logs *self, ez_call *call, int64_t since_s, int64_t until_s, parts *p, const ez_top *models,
                       const ez_top *keys) {
    const ez_directory *directory = self->options.directory;
    Ez__V1__Dashboard dashboard = EZ__V1__DASHBOARD__INIT;
    dashboard.since = since_s > 0 ? ez_stamp_make(since_s * NS_PER_S, &call->arena) : NULL;
    dashboard.until = ez_stamp_make(until_s * NS_PER_S, &call->arena);
    dashboard.requests = &p->requests;
    dashboard.tokens = &p->tokens;
    dashboard.latency = &p->latency;
    dashboard.masters = &p->counts.masters;
    dashboard.keys = &p->counts.keys;
    dashboard.provider_keys = &p->counts.api_keys;
    dashboard.top_models = ez_stat_list(directory, models, EZ_STAT_MODEL, 0, &call->arena);
    dashboard.n_top_models = models->count;
    dashboard.top_keys = ez_stat_list(directory, keys, EZ_STAT_ID, EZ__V1__KIND__KIND_KEY, &call->arena);
    dashboard.n_top_keys = keys->count;
    bool has_all = (dashboard.since || since_s == 0) && dashboard.until && dashboard.top_models && dashboard.top_keys;
    return has_all ? ez_call_reply(call, &dashboard.base) : ez_no_memory(&call->error);
}

ez_status ez_handle_logs_get_dashboard(ez_logs *self, ez_call *call, ez_reader *reader,
                                       Ez__V1__GetDashboardRequest *request) {
    Ez__V1__DashboardPeriod period = request->period ? request->period : EZ__V1__DASHBOARD_PERIOD__DASHBOARD_PERIOD_24H;
    int64_t since_s, until_s;
    find_period(period, call->time_ns / NS_PER_S, &since_s, &until_s);
    ez_dashboard_numbers numbers;
    ez_status status = ez_dashboard_read(reader, since_s, until_s, &call->arena, &numbers, &call->error);
    if (status != EZ_OK)
        return status;
    parts p;
    fill_parts(&p, &numbers.now, &numbers.before);
    ez_counts_read(self->counts, call->time_ns, &p.counts);
    return reply(self, call, since_s, until_s, &p, &numbers.models, &numbers.keys);
}
