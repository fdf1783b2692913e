// SPDX-License-Identifier: Apache-2.0
//
// Reading alerts, on the store's readers. A page's token is the id of the last alert that was looked at: pages stay put
// while alerts come in, and a filter that hits seldom costs a bounded number of them a page.
#include "server/domain/alerts/inside.h"
#include "server/state/directory/page_token.h"
#include "server/state/directory/stamp.h"

#define PAGE_DEFAULT 50
#define LOOK_MAX     10000
#define REPLY_MAX    (EZ_CALL_MAX - EZ_REPLY_ROOM - 1024)
#define TOKEN_ALERTS 'r' // see page_token.h

typedef struct page {
    ez_arena *arena;
    Ez__V1__Alert **items;
    size_t count;
    size_t bytes; // packed so far
    bool is_full; // the rest stands on the next page
} page;

static ez_status add(void *user, const ez_alert_row *row, ez_error *error) {
    page *p = user;
    if (p->is_full)
        return EZ_OK;
    Ez__V1__Alert *alert = ez_alert_message(row, p->arena);
    if (!alert)
        return ez_no_memory(error);
    p->bytes += protobuf_c_message_get_packed_size(&alert->base) + 8;
    p->is_full = p->bytes > REPLY_MAX && p->count > 0;
    if (!p->is_full)
        p->items[p->count++] = alert;
    return EZ_OK;
}

// Those that are none ask for nothing.
static uint32_t severities_of(const Ez__V1__ListAlertsRequest *request) {
    uint32_t bits = 0;
    for (size_t i = 0; i < request->n_severity; i++)
        if ((int)request->severity[i] > 0 && (int)request->severity[i] < EZ_ALERT_SEVERITIES)
            bits |= UINT32_C(1) << request->severity[i];
    return bits;
}

static ez_status read_filter(const Ez__V1__ListAlertsRequest *request, ez_alert_filter *out, ez_error *error) {
    *out = (ez_alert_filter){.status = (int32_t)request->status,
                             .severities = severities_of(request),
                             .is_open = request->open,
                             .type = (int32_t)request->type,
                             .related_type = request->related_type,
                             .related_id = request->related_id,
                             .since_ns = request->since ? ez_stamp_ns(request->since) : 0,
                             .q = request->q,
                             .limit = request->page_size > 0 ? (size_t)request->page_size : PAGE_DEFAULT,
                             .look_max = LOOK_MAX};
    uint64_t place;
    if (!request->page_token[0])
        return EZ_OK;
    if (!ez_page_token_read(TOKEN_ALERTS, request->page_token, &place, 1))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
                            "page_token is not one that this list gave: start again without it");
    out->before_id = (int64_t)place;
    return EZ_OK;
}

ez_status ez_handle_alerts_list(ez_alerts *self, ez_call *call, ez_reader *reader, Ez__V1__ListAlertsRequest *request) {
    (void)self;
    ez_alert_filter filter;
    ez_status status = read_filter(request, &filter, &call->error);
    if (status != EZ_OK)
        return status;
    page p = {.arena = &call->arena, .items = ez_arena_alloc(&call->arena, filter.limit * sizeof(Ez__V1__Alert *))};
    if (!p.items)
        return ez_no_memory(&call->error);
    bool more = false;
    int64_t at_id = 0;
    status = ez_reader_each_alert(reader, &filter, add, &p, &more, &at_id, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ListAlertsResponse reply = EZ__V1__LIST_ALERTS_RESPONSE__INIT;
    char token[EZ_PAGE_TOKEN_MAX];
    reply.n_items = p.count;
    reply.items = p.items;
    if (p.is_full || more) {
        uint64_t place = (uint64_t)(p.is_full ? p.items[p.count - 1]->id : at_id);
        ez_page_token_write(TOKEN_ALERTS, &place, 1, token);
        reply.next_page_token = token;
    }
    return ez_call_reply(call, &reply.base);
}

typedef struct found {
    ez_arena *arena;
    Ez__V1__Alert *alert;
} found;

static ez_status keep(void *user, const ez_alert_row *row, ez_error *error) {
    found *it = user;
    it->alert = ez_alert_message(row, it->arena);
    return it->alert ? EZ_OK : ez_no_memory(error);
}

ez_status ez_handle_alerts_get(ez_alerts *self, ez_call *call, ez_reader *reader, Ez__V1__GetAlertRequest *request) {
    (void)self;
    found it = {.arena = &call->arena};
    ez_status status = ez_reader_find_alert(reader, request->id, keep, &it, &call->error);
    if (status != EZ_OK)
        return status;
    if (!it.alert)
        return ez_call_fail(call, EZ_NOT_FOUND, "NOT_FOUND", "there is no alert %lld", (long long)request->id);
    return ez_call_reply(call, &it.alert->base);
}

// ---- Statistics

// Sums over what is not named: 0 stands for any.
static int64_t sum(const ez_alert_counts *counts, bool is_open, int status, int severity, int type) {
    int64_t total = 0;
    for (int s = 1; s < EZ_ALERT_STATUSES; s++)
        for (int v = 1; v < EZ_ALERT_SEVERITIES; v++)
            for (int t = 1; t < EZ_ALERT_TYPES; t++) {
                bool is_wanted = (!is_open || ez_alert_is_open(s)) && (!status || s == status) &&
                                 (!severity || v == severity) && (!type || t == type);
                total += is_wanted ? counts->n[s][v][t] : 0;
            }
    return total;
}

static Ez__V1__AlertSeverityCounts by_severity(const ez_alert_counts *counts, bool is_open) {
    Ez__V1__AlertSeverityCounts out = EZ__V1__ALERT_SEVERITY_COUNTS__INIT;
    out.info = sum(counts, is_open, 0, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_INFO, 0);
    out.warning = sum(counts, is_open, 0, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING, 0);
    out.critical = sum(counts, is_open, 0, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL, 0);
    return out;
}

static Ez__V1__AlertTypeCounts by_type(const ez_alert_counts *counts, bool is_open) {
    Ez__V1__AlertTypeCounts out = EZ__V1__ALERT_TYPE_COUNTS__INIT;
    int64_t *const fields[EZ_ALERT_TYPES] = {
        NULL,
        &out.rate_limit,
        &out.error_spike,
        &out.quota_exceeded,
        &out.provider_down,
        &out.key_disabled,
        &out.key_expired,
        &out.token_refresh_failed,
        &out.config_rejected,
        &out.sync_failed,
        &out.data_plane_lost,
        &out.custom,
    };
    for (int type = 1; type < EZ_ALERT_TYPES; type++)
        *fields[type] = sum(counts, is_open, 0, 0, type);
    return out;
}

ez_status ez_handle_alerts_get_stats(ez_alerts *self, ez_call *call, ez_reader *reader,
                                     Ez__V1__GetAlertStatsRequest *request) {
    (void)self, (void)request;
    ez_alert_counts counts;
    ez_status status = ez_reader_count_alerts(reader, &counts, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__AlertStats reply = EZ__V1__ALERT_STATS__INIT;
    Ez__V1__AlertStatusCounts statuses = EZ__V1__ALERT_STATUS_COUNTS__INIT;
    statuses.active = sum(&counts, false, EZ_ALERT_ACTIVE, 0, 0);
    statuses.acknowledged = sum(&counts, false, EZ_ALERT_ACKNOWLEDGED, 0, 0);
    statuses.resolved = sum(&counts, false, EZ_ALERT_RESOLVED, 0, 0);
    statuses.dismissed = sum(&counts, false, EZ_ALERT_DISMISSED, 0, 0);
    Ez__V1__AlertSeverityCounts severities = by_severity(&counts, false), open_severities = by_severity(&counts, true);
    Ez__V1__AlertTypeCounts types = by_type(&counts, false), open_types = by_type(&counts, true);
    reply.total = sum(&counts, false, 0, 0, 0);
    reply.open = sum(&counts, true, 0, 0, 0);
    reply.by_status = &statuses;
    reply.by_severity = &severities;
    reply.by_type = &types;
    reply.open_by_severity = &open_severities;
    reply.open_by_type = &open_types;
    return ez_call_reply(call, &reply.base);
}
