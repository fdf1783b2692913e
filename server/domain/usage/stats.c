// SPDX-License-Identifier: Apache-2.0
//
// Usage.GetApiKeyStats: what all API keys did, since ever from the counters of their groups, or within a range from the
// rollups of the request logs.
#include "server/domain/usage/inside.h"
#include "server/state/directory/stamp.h"

#define MINUTE_S 60

static ez_status reply(struct ez_usage *usage, ez_call *call, Ez__V1__ApiKeyStats *stats) {
    stats->api_keys = (int64_t)ez_directory_count(usage->options.directory, KIND_API_KEY);
    stats->provider_groups = (int64_t)ez_directory_count(usage->options.directory, KIND_PROVIDER_GROUP);
    int64_t requests = stats->total_requests, success = stats->success_requests, failure = stats->failure_requests;
    stats->success_rate = ez_usage_share(success, requests, success, failure);
    stats->failure_rate = ez_usage_share(failure, requests, success, failure);
    return ez_call_reply(call, &stats->base);
}

static int64_t plus(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void add_counters(const struct ez_usage *usage, Ez__V1__ApiKeyStats *stats) {
    int64_t id = 0;
    ez_directory_enter();
    for (const ez_entry *entry;
         (entry = ez_directory_next(usage->options.directory, KIND_PROVIDER_GROUP, id, false));) {
        id = ez_entry_id(entry);
        ez_usage_sums sums;
        ez_counters_get(usage->options.counters, EZ_USAGE_GROUPS, id, &sums);
        stats->total_requests = plus(stats->total_requests, sums.requests);
        stats->success_requests = plus(stats->success_requests, sums.success);
        stats->failure_requests = plus(stats->failure_requests, sums.failure);
    }
    ez_directory_leave();
}

// Requests that reached no provider have group 0, and are no API key's.
static ez_status add_group(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    Ez__V1__ApiKeyStats *stats = user;
    if (row->id == 0)
        return EZ_OK;
    stats->total_requests = plus(stats->total_requests, row->sums.requests);
    stats->failure_requests = plus(stats->failure_requests, row->sums.errors);
    return EZ_OK;
}

static ez_status find_range(ez_call *call, const Ez__V1__GetApiKeyStatsRequest *request, ez_stats_query *query) {
    int64_t now_s = call->time_ns / 1000000000;
    int64_t since = request->since ? ez_stamp_ns(request->since) / 1000000000 : 0;
    int64_t until = request->until ? ez_stamp_ns(request->until) / 1000000000 : now_s + 1;
    since = since > 0 ? since - since % MINUTE_S : 0;
    until = until < now_s + MINUTE_S ? until : now_s + MINUTE_S;
    query->since_s = since;
    query->until_s = until + (MINUTE_S - until % MINUTE_S) % MINUTE_S;
    if (query->since_s < query->until_s)
        return EZ_OK;
    return ez_call_fail(call, EZ_INVALID_ARGUMENT, "RANGE_EMPTY", "since must be before until, and not in the future");
}

ez_status ez_handle_usage_get_api_key_stats(struct ez_usage *self, ez_call *call, struct ez_reader *reader,
                                            Ez__V1__GetApiKeyStatsRequest *request) {
    Ez__V1__ApiKeyStats stats = EZ__V1__API_KEY_STATS__INIT;
    if (!request->since && !request->until) {
        add_counters(self, &stats);
        return reply(self, call, &stats);
    }
    ez_stats_query query = {.by = EZ_STATS_GROUP};
    ez_status status = find_range(call, request, &query);
    if (status == EZ_OK)
        status = ez_reader_each_stat(reader, &query, add_group, &stats, &call->error);
    stats.success_requests = stats.total_requests - stats.failure_requests;
    return status == EZ_OK ? reply(self, call, &stats) : status;
}
