// SPDX-License-Identifier: Apache-2.0
//
// The texts both databases share. Nothing is owned. Awkward: the oldest change is a column of feed_head rather than
// min(n), because trimming stops after so many rows, which may be in the middle of a revision.
#include "server/state/store/sql.h"

#include <stdio.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"

static const char *const tables[EZ_KIND_COUNT] = {
    [EZ__V1__KIND__KIND_MASTER] = "masters",           [EZ__V1__KIND__KIND_KEY] = "keys",
    [EZ__V1__KIND__KIND_NAMESPACE] = "namespaces",     [EZ__V1__KIND__KIND_PROVIDER_GROUP] = "provider_groups",
    [EZ__V1__KIND__KIND_API_KEY] = "api_keys",         [EZ__V1__KIND__KIND_BINDING] = "bindings",
    [EZ__V1__KIND__KIND_ADMIN_TOKEN] = "admin_tokens", [EZ__V1__KIND__KIND_DATA_PLANE] = "data_planes",
    [EZ__V1__KIND__KIND_SETTING] = "settings",         [EZ__V1__KIND__KIND_MODEL] = "models",
};

const char *ez_sql_table(int kind) {
    return kind > 0 && kind < EZ_KIND_COUNT ? tables[kind] : NULL;
}

const char ez_sql_move_chain[] = "UPDATE feed_head SET next_audit_id = $1, audit_hash = $2 WHERE one = 1";
const char ez_sql_read_head[] = "SELECT epoch, n, next_audit_id, audit_hash FROM feed_head WHERE one = 1";
const char ez_sql_read_counters[] = "SELECT kind, next_id FROM counters ORDER BY kind";
const char ez_sql_oldest_change[] = "SELECT oldest FROM feed_head WHERE one = 1";
const char ez_sql_each_change[] = "SELECT n, seq, kind, id, op, secret_version, time_ns, data, sealed FROM changes "
                                  "WHERE n > $1 AND n <= $2 ORDER BY n, seq LIMIT $3";
const char ez_sql_page_change[] = "SELECT n, seq, kind, id, op, secret_version, time_ns FROM changes "
                                  "WHERE (n, seq) > ($1, $2) ORDER BY n, seq LIMIT $3";
const char ez_sql_find_idempotent[] = "SELECT request_hash, revision, time_ns, reply FROM idempotency WHERE key = $1";
const char ez_sql_trim_idempotent[] = "DELETE FROM idempotency WHERE key IN "
                                      "(SELECT key FROM idempotency WHERE time_ns < $1 ORDER BY time_ns LIMIT $2)";
const char ez_sql_read_sync[] =
    "SELECT epoch, n, fence, state, server, rebuilds, retries, rebuilt_ns, error, error_ns, "
    "updated_ns FROM redis_sync WHERE one = 1";
const char ez_sql_write_sync[] =
    "UPDATE redis_sync SET epoch = $1, n = $2, fence = $3, state = $4, server = $5, rebuilds = $6, retries = $7, "
    "rebuilt_ns = $8, error = $9, error_ns = $10, updated_ns = $11 WHERE one = 1 AND fence <= $3";
const char ez_sql_each_sync_due[] =
    "SELECT kind, id, n, place, tries, since_ns, next_ns, parked, error FROM redis_due ORDER BY kind, id";
const char ez_sql_put_sync_due[] =
    "INSERT INTO redis_due (kind, id, n, place, tries, since_ns, next_ns, parked, error) VALUES ($1, $2, $3, $4, $5, "
    "$6, $7, $8, $9) ON CONFLICT (kind, id) DO UPDATE SET n = excluded.n, place = excluded.place, tries = "
    "excluded.tries, since_ns = excluded.since_ns, next_ns = excluded.next_ns, parked = excluded.parked, error = "
    "excluded.error";
const char ez_sql_delete_sync_due[] = "DELETE FROM redis_due WHERE kind = $1 AND id = $2";

ez_status ez_sql_claim_lost(ez_error *error) {
    return ez_error_set(error, EZ_ABORTED, "CLAIM_LOST", "another server refreshes this API key now");
}

ez_status ez_sql_token_shared(int64_t api_key_id, ez_error *error) {
    return ez_error_set(error, EZ_ALREADY_EXISTS, "REFRESH_TOKEN_SHARED",
                        "its refresh token was presented for API key %lld", (long long)api_key_id);
}

ez_status ez_sql_fenced(ez_error *error) {
    return ez_error_set(error, EZ_ABORTED, "FENCED", "another server has taken over: nothing was written");
}

const char ez_sql_open_steps[] = "SELECT step, time_s, from_s, until_s, folded FROM rollup_open ORDER BY step, time_s";
const char ez_sql_each_log_day[] = "SELECT day, records FROM log_days ORDER BY day";
const char ez_sql_count_logs[] = "SELECT (SELECT CAST(coalesce(sum(records), 0) AS BIGINT) FROM log_days), "
                                 "coalesce((SELECT time_ns FROM log_records ORDER BY time_ns, id LIMIT 1), 0)";

void ez_sql_audit_build(const ez_audit_filter *filter, ez_sql_audit *out) {
    const struct {
        const char *column, *value;
    } texts[] = {{"actor", filter->actor}, {"method", filter->method}, {"resource", filter->resource}};
    size_t len = (size_t)snprintf(out->text, sizeof out->text,
                                  "SELECT id, time_ns, revision, actor, method, resource, request, request_id, remote, "
                                  "previous_hash, hash FROM audit WHERE id < $1 AND time_ns >= $2 AND time_ns < $3");
    out->before_id = filter->before_id > 0 ? filter->before_id : INT64_MAX;
    out->since_ns = filter->since_ns ? filter->since_ns : INT64_MIN;
    out->until_ns = filter->until_ns ? filter->until_ns : INT64_MAX;
    out->limit = filter->limit < EZ_STORE_PAGE_MAX ? (int64_t)filter->limit : EZ_STORE_PAGE_MAX;
    out->text_count = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!texts[i].value || !texts[i].value[0])
            continue;
        out->texts[out->text_count++] = texts[i].value;
        len += (size_t)snprintf(out->text + len, sizeof out->text - len, " AND %s = $%u", texts[i].column,
                                out->text_count + 3);
    }
    snprintf(out->text + len, sizeof out->text - len, " ORDER BY id DESC LIMIT $%u", out->text_count + 4);
}

ez_status ez_sql_lease_lost(ez_error *error) {
    return ez_error_set(error, EZ_ABORTED, "LEASE_LOST",
                        "another server has taken over the background work since: nothing was written");
}
