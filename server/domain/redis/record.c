// SPDX-License-Identifier: Apache-2.0
//
// auth:token:* and auth:master:*. Every field is always written, empty or not, so that writing one again leaves nothing
// of what was there before; lists are JSON, times seconds since 1970 (0: none). What a key inherits is filled in as
// Keys.Resolve does: a data plane needs no second look-up, and a suspended master's keys are disabled here.
#include <inttypes.h>

#include "server/domain/redis/json_out.h"
#include "server/domain/redis/snapshot.h"
#include "server/state/directory/master.h"
#include "server/state/directory/stamp.h"

#define LIST_MAX (8u << 20) // bytes of one list as JSON

static void add(ez_record *record, const char *name, const char *value) {
    record->fields[record->count++] = (ez_field_text){name, value};
}

static const char *number(int64_t value, ez_arena *arena) {
    return ez_arena_printf(arena, "%" PRId64, value);
}

static const char *list(size_t count, char *const *texts, ez_arena *arena) {
    if (count == 0)
        return "[]";
    ez_buf text;
    ez_buf_init(&text, LIST_MAX);
    json_texts(&text, count, texts);
    const char *copy = text.overflow ? NULL : ez_arena_strndup(arena, (const char *)text.data, text.len);
    ez_buf_fini(&text);
    return copy;
}

static const char *seconds(const Google__Protobuf__Timestamp *time, ez_arena *arena) {
    return time ? number(time->seconds, arena) : "0";
}

static ez_status check(const ez_record *record) {
    for (size_t i = 0; i < record->count; i++)
        if (!record->fields[i].value)
            return EZ_RESOURCE_EXHAUSTED;
    return EZ_OK;
}

static const char *master_namespaces(const Ez__V1__Master *master, ez_arena *arena) {
    size_t count;
    char **names = ez_master_namespaces(master, arena, &count);
    return names ? list(count, names, arena) : NULL;
}

static const char *key_status(const Ez__V1__Key *key, const Ez__V1__Master *master, int64_t now_ns) {
    switch (key->status) {
    case EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED:
        return "disabled";
    case EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED:
        return "expired";
    case EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED:
        return "exhausted";
    default:
        break;
    }
    if (key->expires_at && ez_stamp_ns(key->expires_at) <= now_ns)
        return "expired";
    return master->status == EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED ? "disabled" : "active";
}

static const char *unit_word(int unit) {
    switch (unit) {
    case EZ__V1__QUOTA_UNIT__QUOTA_UNIT_REQUESTS:
        return "requests";
    case EZ__V1__QUOTA_UNIT__QUOTA_UNIT_TOKENS:
        return "tokens";
    case EZ__V1__QUOTA_UNIT__QUOTA_UNIT_USD_NANO:
        return "usd_nano";
    default:
        return "units";
    }
}

static const char *period_word(int period) {
    switch (period) {
    case EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY:
        return "day";
    case EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_WEEK:
        return "week";
    case EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_MONTH:
        return "month";
    default:
        return "none";
    }
}

ez_status ez_record_key(const Ez__V1__Key *key, const Ez__V1__Master *master, int64_t now_ns, ez_arena *arena,
                        ez_record *out) {
    bool has_limit = key->opt_quota_limit_case == EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    out->count = 0;
    add(out, "id", number(key->id, arena));
    add(out, "master_id", number(key->master_id, arena));
    add(out, "name", key->name);
    add(out, "status", key_status(key, master, now_ns));
    add(out, "group", key->group[0] ? key->group : master->group);
    add(out, "scopes", list(key->n_scopes, key->scopes, arena));
    add(out, "default_namespace", key->default_namespace[0] ? key->default_namespace : master->default_namespace);
    add(out, "namespaces",
        key->n_namespaces ? list(key->n_namespaces, key->namespaces, arena) : master_namespaces(master, arena));
    add(out, "model_limits_enabled", key->model_limits_enabled ? "true" : "false");
    add(out, "model_limits", list(key->n_model_limits, key->model_limits, arena));
    add(out, "expires_at", seconds(key->expires_at, arena));
    add(out, "allow_ips", list(key->n_allow_ips, key->allow_ips, arena));
    add(out, "deny_ips", list(key->n_deny_ips, key->deny_ips, arena));
    add(out, "quota_unit", unit_word((int)key->quota_unit));
    add(out, "quota_limit", has_limit ? number(key->quota_limit, arena) : "-1");
    add(out, "quota_period", period_word((int)key->quota_period));
    add(out, "quota_reset_at", seconds(key->quota_reset_at, arena));
    add(out, "global_qps", number(master->global_qps, arena));
    add(out, "updated_at", seconds(key->updated_at, arena));
    return check(out);
}

ez_status ez_record_master(const Ez__V1__Master *master, ez_arena *arena, ez_record *out) {
    bool is_suspended = master->status == EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED;
    out->count = 0;
    add(out, "id", number(master->id, arena));
    add(out, "name", master->name);
    add(out, "status", is_suspended ? "suspended" : "active");
    add(out, "group", master->group);
    add(out, "default_namespace", master->default_namespace);
    add(out, "namespaces", master_namespaces(master, arena));
    add(out, "max_child_keys", number(master->max_child_keys, arena));
    add(out, "global_qps", number(master->global_qps, arena));
    add(out, "updated_at", seconds(master->updated_at, arena));
    return check(out);
}
