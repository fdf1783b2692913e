// SPDX-License-Identifier: Apache-2.0
//
// Up to 1,000 API keys in one revision. An item that fails is undone by itself and says why; the others stand. Groups
// whose keys came into service or left it are recompiled once, at the end.
#include "proto/runtime/message.h"
#include "server/domain/routing/compile.h"
#include "server/domain/routing/counted.h"
#include "server/domain/routing/inside.h"

static ez_status run_item(const ez_routing *self, ez_txn *txn, const Ez__V1__ApiKeyBatchItem *item, ez_touched *touched,
                          Ez__V1__ApiKey **out, ez_error *error) {
    ez_status status;
    const ez_message_rule *rule;
    switch (item->action_case) {
    case EZ__V1__API_KEY_BATCH_ITEM__ACTION_CREATE: // the whole request was checked as a change, this is a creation
        status = ez_message_check(ez_kind_rule(KIND_API_KEY), &item->create->base, true, ez_txn_arena(txn), error);
        return status == EZ_OK ? ez_api_key_make(self, txn, item->create, touched, out, error) : status;
    case EZ__V1__API_KEY_BATCH_ITEM__ACTION_UPDATE:
        rule = ez_message_rule_find(&ez__v1__update_api_key_request__descriptor);
        status = ez_message_check(rule, &item->update->base, false, ez_txn_arena(txn), error);
        return status == EZ_OK ? ez_api_key_update(self, txn, item->update, touched, out, error) : status;
    case EZ__V1__API_KEY_BATCH_ITEM__ACTION_DELETE:
        return ez_api_key_delete(txn, item->delete_->id, touched, error);
    default:
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "BATCH_ITEM_EMPTY",
                            "an item must have one of create, update and delete");
    }
}

static ez_status describe(ez_status status, const ez_error *error, Ez__V1__ApiKey *key, ez_arena *arena,
                          Ez__V1__ApiKeyBatchResult *out) {
    ez__v1__api_key_batch_result__init(out);
    out->code = (int32_t)status;
    if (status == EZ_OK) {
        out->api_key = key;
        return EZ_OK;
    }
    out->reason = ez_arena_strdup(arena, error->reason);
    out->message = ez_arena_strdup(arena, error->message);
    return out->reason && out->message ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

static ez_status run_all(const ez_routing *self, ez_txn *txn, const Ez__V1__BatchApiKeysRequest *request,
                         Ez__V1__BatchApiKeysResponse *reply, Ez__V1__ApiKeyBatchResult *results, ez_touched *touched,
                         ez_error *call_error) {
    for (size_t i = 0; i < request->n_items; i++) {
        ez_error error = EZ_ERROR_INIT;
        Ez__V1__ApiKey *key = NULL;
        if (ez_txn_check_deadline(txn, call_error) != EZ_OK)
            return EZ_DEADLINE_EXCEEDED;
        size_t mark = ez_txn_mark(txn);
        ez_status status = run_item(self, txn, request->items[i], touched, &key, &error);
        if (status != EZ_OK)
            ez_txn_rollback(txn, mark);
        reply->succeeded += status == EZ_OK;
        reply->failed += status != EZ_OK;
        reply->results[i] = &results[i];
        if (describe(status, &error, key, ez_txn_arena(txn), &results[i]) != EZ_OK)
            return ez_no_memory(call_error);
    }
    return EZ_OK;
}

ez_status ez_handle_api_keys_batch(ez_routing *self, ez_call *call, ez_txn *txn, Ez__V1__BatchApiKeysRequest *request) {
    size_t count = request->n_items;
    Ez__V1__BatchApiKeysResponse reply = EZ__V1__BATCH_API_KEYS_RESPONSE__INIT;
    Ez__V1__ApiKeyBatchResult *results = ez_arena_zalloc(&call->arena, (count + 1) * sizeof *results);
    ez_touched touched = {.groups = ez_arena_alloc(&call->arena, (count + 1) * sizeof(int64_t))};
    reply.results = ez_arena_alloc(&call->arena, (count + 1) * sizeof(Ez__V1__ApiKeyBatchResult *));
    reply.n_results = count;
    if (!results || !touched.groups || !reply.results)
        return ez_no_memory(&call->error);
    ez_status status = ez_txn_refuse_match(txn, &call->error);
    if (status == EZ_OK)
        status = run_all(self, txn, request, &reply, results, &touched, &call->error);
    for (size_t i = 0; status == EZ_OK && i < count; i++)
        if (results[i].api_key)
            ez_counted_fill_api_key(self->counters, results[i].api_key);
    for (size_t i = 0; status == EZ_OK && i < touched.count; i++)
        status = ez_compile_group(txn, touched.groups[i], &call->error);
    return status == EZ_OK ? ez_call_reply(call, &reply.base) : status;
}
