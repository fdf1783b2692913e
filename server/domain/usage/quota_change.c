// SPDX-License-Identifier: Apache-2.0
//
// The two changes that follow from quotas. Both judge each key anew within their transaction: between the look that
// found it and the writer's turn an admin may have raised a limit, or another server been faster.
#include "proto/runtime/wire.h"
#include "server/domain/usage/inside.h"
#include "server/state/directory/stamp.h"
#include "server/state/metering/quota.h"

enum { F_LIMIT = 17, F_USED = 18, F_RESET = 19, F_PERIOD = 20, F_STATUS = 21, F_CARRIED = 31 };

ez_quota_facts ez_quota_read(const ez_entry *key, const ez_counters *counters) {
    ez_quota_facts facts = {0};
    ez_slice data = ez_entry_data(key);
    int64_t kept = 0, carried = 0;
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(data.data, data.len, &at, &field)) {
        switch (field.number) {
        case F_LIMIT:
            facts.has_limit = true;
            facts.limit = (int64_t)field.varint;
            break;
        case F_USED:
            kept = (int64_t)field.varint;
            break;
        case F_RESET:
            facts.has_reset = true;
            facts.reset_ns = ez_stamp_read(field.bytes);
            break;
        case F_PERIOD:
            facts.period = (int)field.varint;
            break;
        case F_STATUS:
            facts.status = (int)field.varint;
            break;
        case F_CARRIED:
            carried = (int64_t)field.varint;
            break;
        default:
            break;
        }
    }
    facts.used = ez_quota_used(counters, ez_entry_id(key), kept, carried);
    return facts;
}

bool ez_quota_is_over(const ez_quota_facts *facts) {
    return facts->status == EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE && facts->has_limit && facts->limit >= 0 &&
           facts->used >= facts->limit;
}

bool ez_quota_has_end(const ez_quota_facts *facts, int64_t *at_s) {
    if (facts->period == EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_UNSPECIFIED ||
        facts->period == EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_NONE)
        return false;
    *at_s = facts->has_reset ? facts->reset_ns / 1000000000 + (facts->reset_ns % 1000000000 > 0) : 0;
    return true;
}

static ez_status put(ez_txn *txn, ez_call *call, Ez__V1__Key *key) {
    ez_status status = ez_txn_check_deadline(txn, &call->error);
    return status == EZ_OK ? ez_txn_put_changed(txn, KIND_KEY, key->id, &key->base, &call->error) : status;
}

ez_status ez_quota_exhaust(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    const ez_quota_batch *batch = self;
    ez_txn *txn = scene;
    for (size_t i = 0; i < batch->count; i++) {
        const ez_entry *entry = ez_txn_get(txn, KIND_KEY, batch->ids[i]);
        if (!entry)
            continue;
        ez_quota_facts facts = ez_quota_read(entry, batch->counters);
        if (!ez_quota_is_over(&facts))
            continue;
        Ez__V1__Key *key = (Ez__V1__Key *)ez_entry_unpack(entry, &call->arena);
        if (!key)
            return ez_no_memory(&call->error);
        key->status = EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED;
        ez_status status = put(txn, call, key);
        if (status != EZ_OK)
            return status;
    }
    return ez_call_reply_bytes(call, "", 0);
}

// Whether a key that were active would have to be exhausted at once: one with a limit of 0 has no period in which it
// works.
static bool would_be_over(const ez_quota_batch *batch, const Ez__V1__Key *key) {
    ez_quota_facts facts = {
        .status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE,
        .has_limit = key->opt_quota_limit_case == EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT,
        .limit = key->quota_limit,
        .used = ez_quota_used(batch->counters, key->id, key->quota_used, key->quota_carried),
    };
    return ez_quota_is_over(&facts);
}

// A key without a time has not had a period that could end: it only gets one.
static ez_status begin_period(ez_txn *txn, ez_call *call, const ez_quota_batch *batch, Ez__V1__Key *key) {
    if (key->quota_reset_at) {
        key->quota_carried = ez_quota_carry(batch->counters, key->id, 0);
        key->quota_used = 0;
        if (key->status == EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED && !would_be_over(batch, key))
            key->status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    }
    int64_t now_s = ez_txn_now_ns(txn) / 1000000000;
    int64_t next_s = ez_quota_next_period((int)key->quota_period, now_s);
    key->quota_reset_at = ez_stamp_make(next_s * 1000000000, &call->arena);
    return key->quota_reset_at ? put(txn, call, key) : ez_no_memory(&call->error);
}

ez_status ez_quota_reset(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    const ez_quota_batch *batch = self;
    ez_txn *txn = scene;
    for (size_t i = 0; i < batch->count; i++) {
        const ez_entry *entry = ez_txn_get(txn, KIND_KEY, batch->ids[i]);
        if (!entry)
            continue;
        ez_quota_facts facts = ez_quota_read(entry, batch->counters);
        int64_t at_s;
        if (!ez_quota_has_end(&facts, &at_s) || at_s > ez_txn_now_ns(txn) / 1000000000)
            continue;
        Ez__V1__Key *key = (Ez__V1__Key *)ez_entry_unpack(entry, &call->arena);
        if (!key)
            return ez_no_memory(&call->error);
        ez_status status = begin_period(txn, call, batch, key);
        if (status != EZ_OK)
            return status;
    }
    return ez_call_reply_bytes(call, "", 0);
}
