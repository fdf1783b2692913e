// SPDX-License-Identifier: Apache-2.0
//
// What may be done to a key: issuing, changing, deleting, by an admin or by the tenant it belongs to. A tenant sees
// keys of other masters as missing, and can't set what decides over more than its own keys (route group, scopes). The
// awkward case is the status: expired and exhausted are derived, so a request may only say active or disabled — or send
// back what it has read, which changes nothing.
#include <string.h>

#include "proto/runtime/message.h"
#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"
#include "server/state/metering/quota.h"

#define PERIOD_NONE EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_NONE

// ---- Quotas

static bool same_stamp(const Google__Protobuf__Timestamp *a, const Google__Protobuf__Timestamp *b) {
    return a && b ? a->seconds == b->seconds && a->nanos == b->nanos : a == b;
}

// before: NULL for a new key.
static ez_status settle_period(ez_txn *txn, Ez__V1__Key *key, const Ez__V1__Key *before, ez_error *error) {
    bool is_given = key->quota_reset_at && !(before && same_stamp(key->quota_reset_at, before->quota_reset_at));
    bool has_changed = !before || key->quota_period != before->quota_period;
    if (key->quota_period == PERIOD_NONE) {
        if (is_given)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "QUOTA_PERIOD_MISSING",
                                "quota_reset_at needs a quota_period of day, week or month");
        if (has_changed)
            key->quota_reset_at = NULL;
        return EZ_OK;
    }
    if (is_given && ez_stamp_has_passed(key->quota_reset_at, ez_txn_now_ns(txn)))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "QUOTA_RESET_IN_PAST", "quota_reset_at must be in the future");
    if (is_given || (key->quota_reset_at && !has_changed))
        return EZ_OK;
    int64_t start = ez_quota_next_period((int)key->quota_period, ez_txn_now_ns(txn) / 1000000000);
    key->quota_reset_at = ez_stamp_make(start * 1000000000, ez_txn_arena(txn));
    return key->quota_reset_at ? EZ_OK : ez_no_memory(error);
}

static bool is_used_up(const ez_access *access, const Ez__V1__Key *key) {
    return key->opt_quota_limit_case == EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT && key->quota_limit >= 0 &&
           ez_key_used(access, key) >= key->quota_limit;
}

// Kept, not only shown: data planes act on what they are sent.
static void settle_exhausted(const ez_access *access, Ez__V1__Key *key) {
    if (key->status == KEY_ACTIVE && is_used_up(access, key))
        key->status = KEY_EXHAUSTED;
}

// What was counted in another unit says nothing about this one: it starts from zero.
static void settle_unit(const ez_access *access, Ez__V1__Key *key, const Ez__V1__Key *before) {
    if (key->quota_unit == before->quota_unit)
        return;
    key->quota_used = 0;
    key->quota_carried = ez_quota_carry(access->counters, key->id, 0);
}

// ---- Rules both for new keys and changed ones

static bool may_be_asked_for(Ez__V1__KeyStatus status) {
    return status == KEY_ACTIVE || status == KEY_DISABLED;
}

static ez_status refuse_status(ez_error *error) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "KEY_STATUS_DERIVED",
                        "status may be set to active or disabled; expired and exhausted follow from expires_at and the "
                        "quota");
}

static ez_status refuse_tenant(const char *field, ez_error *error) {
    return ez_error_set(error, EZ_PERMISSION_DENIED, "FIELD_NOT_YOURS",
                        "%s of a key is set by an admin: leave it out of the request", field);
}

static ez_status read_own(ez_txn *txn, int64_t id, int64_t tenant, ez_error *error) {
    const ez_entry *entry = ez_txn_get(txn, KIND_KEY, id);
    ez_wire_field owner = {.varint = 0};
    if (entry && tenant != 0) {
        ez_slice data = ez_entry_data(entry);
        ez_wire_find(data.data, data.len, 2, &owner);
    }
    if (!entry || (tenant != 0 && (int64_t)owner.varint != tenant))
        return ez_kind_missing(KIND_KEY, id, error);
    return EZ_OK;
}

// ---- Issuing

static ez_status check_room(ez_txn *txn, const Ez__V1__Master *master, int64_t tenant, ez_error *error) {
    if (tenant != 0 && master->status == EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "MASTER_SUSPENDED",
                            "master %lld (%s) is suspended and can't issue keys: ask an admin", (long long)master->id,
                            master->name);
    size_t count = ez_txn_member_count(txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(master->id));
    if ((int64_t)count < master->max_child_keys)
        return EZ_OK;
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "KEY_LIMIT_REACHED",
                        "master %lld (%s) has %zu keys and may have at most %lld: delete one or raise max_child_keys",
                        (long long)master->id, master->name, count, (long long)master->max_child_keys);
}

static ez_status check_new(ez_txn *txn, const Ez__V1__Master *master, int64_t tenant, Ez__V1__Key *key,
                           ez_error *error) {
    if (!may_be_asked_for(key->status))
        return refuse_status(error);
    if (tenant != 0 && key->group[0] && strcmp(key->group, master->group) != 0)
        return refuse_tenant("group", error);
    if (tenant != 0 && key->n_scopes > 0)
        return refuse_tenant("scopes", error);
    if (ez_stamp_has_passed(key->expires_at, ez_txn_now_ns(txn)))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPIRES_IN_PAST", "expires_at must be in the future");
    ez_status status = settle_period(txn, key, NULL, error);
    return status == EZ_OK ? ez_allowed_check_key(txn, master, key, error) : status;
}

static ez_status give_token(ez_txn *txn, Ez__V1__Key *key, ez_error *error) {
    ez_credential made;
    ez_status status = ez_credential_mint("sk-", ez_txn_arena(txn), &made, error);
    if (status != EZ_OK)
        return status;
    key->token = made.token;
    key->token_prefix = made.prefix;
    key->token_last4 = made.last4;
    key->token_sha256 = made.sha256;
    return EZ_OK;
}

ez_status ez_key_issue(const ez_access *access, ez_txn *txn, ez_call *call, int64_t master_id, int64_t tenant,
                       const Ez__V1__Key *asked) {
    ez_error *error = &call->error;
    Ez__V1__Key copy = *asked, *key = &copy;
    Ez__V1__Master *master;
    ez_status status = ez_master_read(txn, master_id, &master, error);
    if (status == EZ_OK)
        status = check_room(txn, master, tenant, error);
    if (status == EZ_OK)
        status = ez_txn_fill(txn, KIND_KEY, &key->base, error);
    if (status == EZ_OK)
        status = check_new(txn, master, tenant, key, error);
    if (status == EZ_OK)
        status = give_token(txn, key, error);
    if (status != EZ_OK)
        return status;
    key->id = 0;
    key->master_id = master_id;
    settle_exhausted(access, key);
    status = ez_txn_put(txn, KIND_KEY, &key->base, error);
    return status == EZ_OK ? ez_key_reply_changed(access, call, txn, key) : status;
}

// ---- Changing

// An imported key keeps the status it came with until what that status came from is changed.
static void revive(const ez_access *access, Ez__V1__Key *key, const Ez__V1__Key *before, int64_t now_ns) {
    bool has_time = !ez_stamp_has_passed(key->expires_at, now_ns);
    if (key->status == KEY_EXPIRED && has_time && !same_stamp(key->expires_at, before->expires_at))
        key->status = KEY_ACTIVE;
    bool has_changed = key->quota_limit != before->quota_limit || key->quota_unit != before->quota_unit;
    if (key->status == KEY_EXHAUSTED && has_changed && !is_used_up(access, key))
        key->status = KEY_ACTIVE;
}

static bool same_scopes(const Ez__V1__Key *a, const Ez__V1__Key *b) {
    if (a->n_scopes != b->n_scopes)
        return false;
    for (size_t i = 0; i < a->n_scopes; i++)
        if (strcmp(a->scopes[i], b->scopes[i]) != 0)
            return false;
    return true;
}

static ez_status check_changed(ez_txn *txn, Ez__V1__Key *key, const Ez__V1__Key *before, int64_t tenant,
                               ez_error *error) {
    if (tenant != 0 && strcmp(key->group, before->group) != 0)
        return refuse_tenant("group", error);
    if (tenant != 0 && !same_scopes(key, before))
        return refuse_tenant("scopes", error);
    ez_status status = settle_period(txn, key, before, error);
    Ez__V1__Master *master;
    if (status == EZ_OK)
        status = ez_master_read(txn, key->master_id, &master, error);
    return status == EZ_OK ? ez_allowed_check_key(txn, master, key, error) : status;
}

ez_status ez_key_update(const ez_access *access, ez_txn *txn, ez_call *call, const ez_key_patch *patch,
                        int64_t tenant) {
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = read_own(txn, patch->id, tenant, error);
    if (status == EZ_OK)
        status = ez_txn_load(txn, KIND_KEY, patch->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Key *key = (Ez__V1__Key *)loaded;
    const Ez__V1__Key before = *key;
    int shown = ez_key_status(access, ez_txn_get(txn, KIND_KEY, patch->id), ez_txn_now_ns(txn));
    status = ez_txn_merge(txn, KIND_KEY, loaded, &patch->key->base, patch->mask_count, patch->mask, error);
    if (status != EZ_OK)
        return status;
    bool asks_status =
        ez_message_mask_has(ez_kind_rule(KIND_KEY), &patch->key->base, patch->mask_count, patch->mask, "status");
    if (asks_status && !may_be_asked_for(key->status)) {
        if ((int)key->status != shown)
            return refuse_status(error);
        key->status = before.status;
        asks_status = false;
    }
    settle_unit(access, key, &before);
    if (!asks_status)
        revive(access, key, &before, ez_txn_now_ns(txn));
    settle_exhausted(access, key);
    status = check_changed(txn, key, &before, tenant, error);
    if (status == EZ_OK)
        status = ez_txn_put_changed(txn, KIND_KEY, patch->id, loaded, error);
    return status == EZ_OK ? ez_key_reply_changed(access, call, txn, key) : status;
}

ez_status ez_key_delete(ez_txn *txn, ez_call *call, int64_t id, int64_t tenant) {
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_error *error = &call->error;
    ProtobufCMessage *loaded; // for If-Match
    ez_status status = read_own(txn, id, tenant, error);
    if (status == EZ_OK)
        status = ez_txn_load(txn, KIND_KEY, id, &loaded, error);
    if (status == EZ_OK)
        status = ez_txn_delete(txn, KIND_KEY, id, error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}

// ---- Admins' handlers that change one thing

static ez_status set_status(const ez_access *access, ez_txn *txn, ez_call *call, int64_t id, Ez__V1__KeyStatus wanted) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_KEY, id, &loaded, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Key *key = (Ez__V1__Key *)loaded;
    key->status = wanted;
    settle_exhausted(access, key); // enabling is no way around a quota
    status = ez_txn_put_changed(txn, KIND_KEY, id, loaded, &call->error);
    return status == EZ_OK ? ez_key_reply_changed(access, call, txn, key) : status;
}

ez_status ez_handle_keys_disable(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__DisableKeyRequest *request) {
    return set_status(self, txn, call, request->id, KEY_DISABLED);
}

ez_status ez_handle_keys_enable(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__EnableKeyRequest *request) {
    return set_status(self, txn, call, request->id, KEY_ACTIVE);
}

ez_status ez_handle_keys_rotate(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__RotateKeyRequest *request) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_KEY, request->id, &loaded, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Key *key = (Ez__V1__Key *)loaded;
    status = give_token(txn, key, &call->error);
    if (status == EZ_OK)
        status = ez_txn_put(txn, KIND_KEY, loaded, &call->error);
    return status == EZ_OK ? ez_key_reply_changed(self, call, txn, key) : status;
}
