// SPDX-License-Identifier: Apache-2.0
//
// Grouped statistics, from rollups alone. What may be asked is a const table: what a group stands for, how long its
// range may be, and which filters go with it. Days and months of another zone are made of hours, those of UTC of days.
//
// Awkward: hours are kept for 92 days. Before that only days of UTC are known, and count for the local day that most of
// them lies in.
#include "server/domain/logs/inside.h"
#include "server/domain/logs/stat.h"
#include "server/domain/logs/zone.h"
#include "server/state/store/rollup.h"

#define ROWS_MAX 1000
#define HOUR_S   3600
#define DAY_S    86400

typedef struct group {
    const char *word;
    ez_stats_by by;
    ez_stat_form form;
    int kind;                   // of ids
    bool is_provider;           // of groups and API keys: not for tenants
    bool is_access;             // of masters and keys
    int64_t default_s;          // length of the range where none is given
    int64_t longest_s, slack_s; // 0: no bound. One step of slack: "6 hours until now" is said a moment before
    int64_t kept_s;             // how far back such steps are kept; 0: for ever
    const char *longest;        // in words
} group;

#define MONTH_S (30 * DAY_S)

static const group groups[] = {
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_MODEL] = {"model", EZ_STATS_MODEL, EZ_STAT_MODEL, .default_s = MONTH_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_KEY] = {"key", EZ_STATS_KEY, EZ_STAT_ID, EZ__V1__KIND__KIND_KEY,
                                                .is_access = true, .default_s = MONTH_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_MASTER] = {"master", EZ_STATS_MASTER, EZ_STAT_ID, EZ__V1__KIND__KIND_MASTER,
                                                   .is_access = true, .default_s = MONTH_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_GROUP] = {"group", EZ_STATS_GROUP, EZ_STAT_ID,
                                                  EZ__V1__KIND__KIND_PROVIDER_GROUP, .is_provider = true,
                                                  .default_s = MONTH_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_API_KEY] = {"api_key", EZ_STATS_API_KEY, EZ_STAT_ID, EZ__V1__KIND__KIND_API_KEY,
                                                    .is_provider = true, .default_s = MONTH_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_MINUTE] = {"minute", EZ_STATS_MINUTE, EZ_STAT_TIME, .default_s = HOUR_S,
                                                   .longest_s = 6 * HOUR_S, .slack_s = 60, .longest = "6 hours",
                                                   .kept_s = EZ_ROLLUP_MINUTES_KEEP_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_HOUR] = {"hour", EZ_STATS_HOUR, EZ_STAT_TIME, .default_s = DAY_S,
                                                 .longest_s = 31 * DAY_S, .slack_s = HOUR_S, .longest = "31 days",
                                                 .kept_s = EZ_ROLLUP_HOURS_KEEP_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_DAY] = {"day", EZ_STATS_DAY, EZ_STAT_TIME, .default_s = MONTH_S},
    [EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_MONTH] = {"month", EZ_STATS_DAY, EZ_STAT_TIME, .default_s = MONTH_S},
};

// A question on its way.
typedef struct question {
    const group *of;
    ez_stats_query query;
    const ez_zone *zone;
    int64_t now_s;
    ez_top top;
    bool is_month;
    int64_t middle_s; // added to a row's time to find the local day it belongs to
} question;

// ---- What may be asked

static ez_status check_filters(const group *of, const Ez__V1__GetLogStatsRequest *request, ez_error *error) {
    bool is_access = of->is_access || request->master_id || request->key_id;
    bool is_provider = of->is_provider || request->group_id || request->api_key_id;
    if (!is_access || !is_provider)
        return EZ_OK;
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "FILTERS_DO_NOT_MIX",
                        "statistics are kept by master and key, and by group and API key, not by both: ask for one "
                        "side, or look at the records");
}

static ez_status check_length(const question *q, const Ez__V1__GetLogStatsRequest *request, ez_error *error) {
    const group *of = q->of;
    int64_t length_s = q->query.until_s - q->query.since_s;
    if (of->longest_s && length_s > of->longest_s + of->slack_s + 60)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "RANGE_TOO_LONG",
                            "group_by=%s covers at most %s: ask for a shorter range, or for longer steps", of->word,
                            of->longest);
    if (of->kept_s && q->query.since_s < q->now_s - of->kept_s - of->slack_s)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "RANGE_TOO_OLD",
                            "group_by=%s goes back %d days at most: ask for longer steps", of->word,
                            (int)(of->kept_s / DAY_S));
    if (request->time_zone[0] && !ez_zone_has_whole_hours(q->zone, q->query.since_s, q->query.until_s))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TIME_ZONE_NOT_WHOLE_HOURS",
                            "%.64s is not whole hours from UTC in this range, and statistics are made of hours: use "
                            "another zone, or UTC",
                            request->time_zone);
    return EZ_OK;
}

static ez_status read_question(ez_call *call, const Ez__V1__GetLogStatsRequest *request, question *q) {
    unsigned by = request->group_by ? (unsigned)request->group_by : EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_MODEL;
    ez_error *error = &call->error;
    *q = (question){.of = &groups[by], .now_s = call->time_ns / NS_PER_S};
    q->is_month = by == EZ__V1__LOG_GROUP_BY__LOG_GROUP_BY_MONTH;
    q->query = (ez_stats_query){.by = q->of->by,
                                .master_id = request->master_id,
                                .key_id = request->key_id,
                                .group_id = request->group_id,
                                .api_key_id = request->api_key_id,
                                .model = request->model};
    ez_status status = check_filters(q->of, request, error);
    if (status == EZ_OK)
        status = ez_range_read(request->since, request->until, q->of->default_s, call->time_ns, &q->query.since_s,
                               &q->query.until_s, error);
    if (status == EZ_OK)
        status = ez_zone_open(request->time_zone, &call->arena, &q->zone, error);
    if (status == EZ_OK)
        status = check_length(q, request, error);
    return status == EZ_OK ? ez_top_init(&q->top, ROWS_MAX, &call->arena, error) : status;
}

// A key is looked for among its master's, an API key among its group's: rollups are ordered by those.
static void narrow(const ez_directory *directory, ez_stats_query *query) {
    ez_directory_enter();
    if (!query->master_id)
        query->master_id = ez_logs_owner_of(directory, EZ__V1__KIND__KIND_KEY, query->key_id);
    if (!query->group_id)
        query->group_id = ez_logs_owner_of(directory, EZ__V1__KIND__KIND_API_KEY, query->api_key_id);
    ez_directory_leave();
}

// ---- Answering

static ez_status add_named(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    question *q = user;
    ez_top_add(&q->top, row);
    return EZ_OK;
}

static ez_status add_step(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    question *q = user;
    ez_top_append(&q->top, row->id, &row->sums);
    return EZ_OK;
}

static ez_status add_local(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    question *q = user;
    int64_t at = row->id + q->middle_s;
    ez_top_append(&q->top, q->is_month ? ez_zone_month(q->zone, at) : ez_zone_day(q->zone, at), &row->sums);
    return EZ_OK;
}

// Days, then hours: see the top.
static ez_status ask_local(question *q, ez_reader *reader, ez_error *error) {
    int64_t since_s = q->query.since_s, until_s = q->query.until_s;
    int64_t hours_from_s = q->now_s - EZ_ROLLUP_HOURS_KEEP_S + DAY_S;
    hours_from_s -= hours_from_s % DAY_S;
    ez_status status = EZ_OK;
    if (since_s < hours_from_s) {
        q->query.by = EZ_STATS_DAY;
        q->query.until_s = until_s < hours_from_s ? until_s : hours_from_s;
        q->middle_s = DAY_S / 2;
        status = ez_reader_each_stat(reader, &q->query, add_local, q, error);
        q->query.since_s = hours_from_s;
    }
    q->query.until_s = until_s;
    q->query.by = EZ_STATS_HOUR;
    q->middle_s = 0;
    if (status != EZ_OK || q->query.since_s >= until_s)
        return status;
    return ez_reader_each_stat(reader, &q->query, add_local, q, error);
}

static ez_status ask(question *q, ez_reader *reader, ez_error *error) {
    if (q->of->form != EZ_STAT_TIME) {
        ez_status status = ez_reader_each_stat(reader, &q->query, add_named, q, error);
        ez_top_sort(&q->top);
        return status;
    }
    bool is_utc = ez_zone_is_utc(q->zone);
    if (q->of->by == EZ_STATS_DAY && !is_utc)
        return ask_local(q, reader, error);
    return ez_reader_each_stat(reader, &q->query, q->is_month ? add_local : add_step, q, error);
}

static ez_status answer(const ez_logs *self, ez_call *call, const question *q) {
    Ez__V1__GetLogStatsResponse reply = EZ__V1__GET_LOG_STATS_RESPONSE__INIT;
    Ez__V1__LogStat total = EZ__V1__LOG_STAT__INIT;
    ez_stat_fill(&q->top.total, &total);
    reply.total = &total;
    reply.truncated = q->top.is_truncated;
    reply.n_items = q->top.count;
    reply.items = ez_stat_list(self->options.directory, &q->top, q->of->form, q->of->kind, &call->arena);
    return reply.items ? ez_call_reply(call, &reply.base) : ez_no_memory(&call->error);
}

static ez_status run(const ez_logs *self, ez_call *call, ez_reader *reader, const Ez__V1__GetLogStatsRequest *request) {
    question q;
    ez_status status = read_question(call, request, &q);
    narrow(self->options.directory, &q.query);
    if (status == EZ_OK)
        status = ask(&q, reader, &call->error);
    return status == EZ_OK ? answer(self, call, &q) : status;
}

ez_status ez_handle_logs_get_stats(ez_logs *self, ez_call *call, ez_reader *reader,
                                   Ez__V1__GetLogStatsRequest *request) {
    return run(self, call, reader, request);
}

ez_status ez_handle_logs_get_own_stats(ez_logs *self, ez_call *call, ez_reader *reader,
                                       Ez__V1__GetLogStatsRequest *request) {
    if (groups[request->group_by].is_provider)
        return ez_error_violation(&call->error, "group_by", "groups and API keys are not for tenants");
    if (request->group_id)
        return ez_error_violation(&call->error, "group_id", "is not for tenants: leave it out");
    if (request->api_key_id)
        return ez_error_violation(&call->error, "api_key_id", "is not for tenants: leave it out");
    request->master_id = call->principal.id;
    return run(self, call, reader, request);
}
