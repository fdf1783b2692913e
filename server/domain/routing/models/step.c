// SPDX-License-Identifier: Apache-2.0
//
// A sync's transactions: the catalogue first, then all models in steps of bounded work, so that other changes come in
// between. In between, a model is as the old catalogue had it or as the new one; a binding that changes meanwhile is
// derived with the new one at once.
//
// The second part looks at models whose bindings are gone. There are none, but where a server of an earlier release has
// worked on the same store.
#include "server/domain/routing/models/inside.h"

#include <string.h>

#include "proto/runtime/wire.h"

enum { BINDING_NAMESPACE = 2, BINDING_MODEL = 3, MODEL_NAMESPACE = 3, MODEL_PUBLIC_MODEL = 4 };

static bool is_same_catalogue(const Ez__V1__ModelCatalogue *x, const Ez__V1__ModelCatalogue *y) {
    return x && x->checksum.len == y->checksum.len && x->skipped == y->skipped &&
           memcmp(x->checksum.data, y->checksum.data, y->checksum.len) == 0;
}

ez_status ez_model_put_catalogue(void *self, ez_call *call, void *txn, ProtobufCMessage *request) {
    (void)request;
    ez_model_catalogue_put *put = self;
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, SETTING_CATALOGUE, &setting, &call->error);
    if (status != EZ_OK)
        return status;
    put->has_changed = !is_same_catalogue(setting->model_catalogue, put->catalogue);
    if (!put->has_changed)
        return EZ_OK;
    setting->model_catalogue = put->catalogue;
    return ez_setting_put(txn, setting, &call->error);
}

static ez_slice bytes_of(const ez_entry *entry, uint32_t number) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    return ez_wire_find(data.data, data.len, number, &field) ? field.bytes : (ez_slice){NULL, 0};
}

// Whether no other binding of its model stands before it: the model is derived once.
static ez_status is_first(ez_txn *txn, const ez_entry *binding, ez_arena *arena, bool *out, ez_error *error) {
    ez_slice name_space = bytes_of(binding, BINDING_NAMESPACE), model = bytes_of(binding, BINDING_MODEL);
    char *names[2] = {ez_arena_strndup(arena, (const char *)name_space.data, name_space.len),
                      ez_arena_strndup(arena, (const char *)model.data, model.len)};
    ez_index_key key = names[0] && names[1] ? ez_index_model(names[0], names[1], arena) : (ez_index_key){.id = -1};
    if (!key.data)
        return ez_no_memory(error);
    const ez_entry *first = ez_txn_member(txn, EZ_INDEX_BINDING_BY_MODEL, key, 0);
    *out = first && ez_entry_id(first) == ez_entry_id(binding);
    return EZ_OK;
}

static ez_status look_at(ez_model_step *step, ez_txn *txn, const ez_entry *entry, ez_arena *scratch, ez_error *error) {
    if (step->is_second)
        return ez_model_derive_one(step->deriver, txn, bytes_of(entry, MODEL_NAMESPACE),
                                   bytes_of(entry, MODEL_PUBLIC_MODEL), error);
    bool first = false;
    ez_arena_reset(scratch);
    ez_status status = is_first(txn, entry, scratch, &first, error);
    return status == EZ_OK && first ? ez_model_derive_of_binding(step->deriver, txn, entry, error) : status;
}

ez_status ez_model_run_step(void *self, ez_call *call, void *txn, ProtobufCMessage *request) {
    (void)request;
    ez_model_step *step = self;
    int kind = step->is_second ? EZ__V1__KIND__KIND_MODEL : EZ__V1__KIND__KIND_BINDING;
    ez_auto(ez_arena) scratch;
    ez_arena_init(&scratch, 1u << 20);
    size_t looked = 0, mark = ez_txn_change_count(txn);
    ez_status status = ez_model_use_catalogue(step->deriver, txn, &call->error);
    step->next_is_second = step->is_second;
    step->next_after = step->after;
    step->changed = 0;
    const ez_entry *entry = NULL;
    while (status == EZ_OK && looked < EZ_MODEL_STEP_BINDINGS && step->changed < EZ_MODEL_STEP_CHANGES &&
           (entry = ez_txn_next(txn, kind, step->next_after))) {
        step->next_after = ez_entry_id(entry);
        status = look_at(step, txn, entry, &scratch, &call->error);
        step->changed = ez_txn_change_count(txn) - mark;
        looked++;
    }
    step->is_done = !entry && step->is_second;
    if (!entry && !step->is_second) {
        step->next_is_second = true;
        step->next_after = 0;
    }
    return status;
}
