// SPDX-License-Identifier: Apache-2.0
//
// A model is there while a binding of its name is, and says what holds for each of its candidates. It is written only
// where that differs from what is there, so most changes of bindings (weights, labels) write none.
//
// The catalogue is a setting like others: what a transaction sees of it is what counts. It is decoded once and kept
// until a transaction sees another one, told apart by its checksum: a revision would not do, since one that was given
// up gives its number to the next.
#include "server/domain/routing/models/derive.h"

#include <stdlib.h>
#include <string.h>

#include "ez/v1/binding.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/wire.h"
#include "server/domain/routing/models/catalogue.h"
#include "server/domain/routing/models/inside.h"

enum { GROUP_TYPE = 3, GROUP_BASE_URL = 4 };
enum { BINDING_NAMESPACE = 2, BINDING_MODEL = 3, BINDING_GROUP = 4, BINDING_STATUS = 8, BINDING_UPSTREAM = 9 };
enum { SETTING_MODEL_CATALOGUE = 14, CATALOGUE_CHECKSUM = 1 };

#define ENTRIES_MAX  8          // catalogue entries a model names
#define SCRATCH_MAX  (1u << 20) // of one model
#define CHECK_EVERY  64         // models between two looks at the clock
#define NANO_MILLION 1e15       // nano dollars for a million tokens to dollars for one

struct ez_model_deriver {
    ez_catalogue *catalogue;
    ez_arena scratch; // of the model that is being made
};

ez_status ez_model_deriver_create(ez_model_deriver **out, ez_error *error) {
    ez_model_deriver *deriver = calloc(1, sizeof *deriver);
    if (!deriver)
        return ez_no_memory(error);
    ez_arena_init(&deriver->scratch, SCRATCH_MAX);
    ez_status status = ez_catalogue_open_empty(&deriver->catalogue, error);
    if (status != EZ_OK) {
        ez_model_deriver_destroy(deriver);
        return status;
    }
    *out = deriver;
    return EZ_OK;
}

void ez_model_deriver_destroy(ez_model_deriver *deriver) {
    if (!deriver)
        return;
    ez_catalogue_close(deriver->catalogue);
    ez_arena_fini(&deriver->scratch);
    free(deriver);
}

// ---- The catalogue a transaction sees

static ez_slice bytes_of(ez_slice data, uint32_t number) {
    ez_wire_field field;
    return ez_wire_find(data.data, data.len, number, &field) ? field.bytes : (ez_slice){NULL, 0};
}

static bool equal(ez_slice x, ez_slice y) {
    return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}

static ez_status use_catalogue(ez_model_deriver *deriver, ez_txn *txn, ez_error *error) {
    const ez_entry *entry = ez_txn_find(txn, EZ_INDEX_SETTING_NAME, ez_index_text(SETTING_CATALOGUE));
    ez_slice packed = entry ? bytes_of(ez_entry_data(entry), SETTING_MODEL_CATALOGUE) : (ez_slice){NULL, 0};
    if (equal(bytes_of(packed, CATALOGUE_CHECKSUM), ez_catalogue_checksum(deriver->catalogue)))
        return EZ_OK;
    ez_catalogue *catalogue;
    ez_status status = ez_catalogue_open(packed, &catalogue, error);
    if (status != EZ_OK)
        return status;
    ez_catalogue_close(deriver->catalogue);
    deriver->catalogue = catalogue;
    return EZ_OK;
}

// ---- One model

typedef struct candidate {
    ez_slice upstream;
    int64_t group_id;
} candidate;

// False where the binding is no candidate: it is disabled, or has no upstream model.
static bool read_candidate(const ez_entry *binding, candidate *out) {
    ez_slice data = ez_entry_data(binding);
    ez_wire_field field;
    bool is_active = false;
    *out = (candidate){.group_id = 0};
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field) && field.number <= BINDING_UPSTREAM;) {
        if (field.number == BINDING_GROUP)
            out->group_id = (int64_t)field.varint;
        else if (field.number == BINDING_STATUS)
            is_active = field.varint == EZ__V1__BINDING_STATUS__BINDING_STATUS_ACTIVE;
        else if (field.number == BINDING_UPSTREAM)
            out->upstream = field.bytes;
    }
    return is_active && out->upstream.len > 0;
}

// The two fields stand before the group's models, of which there may be 10,000.
static void read_group(const ez_entry *group, ez_slice *type, ez_slice *base_url) {
    ez_slice data = group ? ez_entry_data(group) : (ez_slice){NULL, 0};
    ez_wire_field field;
    *type = *base_url = (ez_slice){NULL, 0};
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field) && field.number <= GROUP_BASE_URL;) {
        if (field.number == GROUP_TYPE)
            *type = field.bytes;
        else if (field.number == GROUP_BASE_URL)
            *base_url = field.bytes;
    }
}

static bool find_claim(ez_model_deriver *deriver, ez_txn *txn, const candidate *of, ez_claim *out, char *name) {
    ez_slice type, base_url;
    read_group(ez_txn_get(txn, EZ__V1__KIND__KIND_PROVIDER_GROUP, of->group_id), &type, &base_url);
    char word[64] = "";
    memcpy(word, type.len ? (const void *)type.data : "", type.len < sizeof word ? type.len : sizeof word - 1);
    return ez_catalogue_find(deriver->catalogue, word, base_url, of->upstream, out, name);
}

static bool note_entry(Ez__V1__Model *model, const char *name, ez_arena *arena) {
    for (size_t i = 0; i < model->n_catalogue_entries; i++)
        if (strcmp(model->catalogue_entries[i], name) == 0)
            return true;
    if (model->n_catalogue_entries == ENTRIES_MAX)
        return true;
    char *kept = ez_arena_strdup(arena, name);
    if (kept)
        model->catalogue_entries[model->n_catalogue_entries++] = kept;
    return kept != NULL;
}

static void set_claim(Ez__V1__Model *model, const ez_claim *claim) {
    model->kind = claim->kind;
    model->context_window = claim->context_window;
    model->max_output_tokens = claim->max_output_tokens;
    model->cost_per_token = (double)claim->cost / NANO_MILLION;
    model->supports_vision = claim->vision;
    model->supports_functions = claim->functions;
    model->supports_tool_choice = claim->tool_choice;
    model->supports_fim = claim->fim;
    model->supports_stream = claim->stream;
}

// Sets what follows from the bindings in that group of the index.
static bool fill(ez_model_deriver *deriver, ez_txn *txn, ez_index_key key, Ez__V1__Model *model) {
    ez_arena *arena = &deriver->scratch;
    ez_claim all = {0};
    int64_t id = 0;
    model->catalogue_entries = ez_arena_alloc(arena, ENTRIES_MAX * sizeof(char *));
    model->n_catalogue_entries = 0;
    model->candidates = model->unknown_candidates = 0;
    if (!model->catalogue_entries)
        return false;
    for (const ez_entry *entry; (entry = ez_txn_member(txn, EZ_INDEX_BINDING_BY_MODEL, key, id));) {
        id = ez_entry_id(entry);
        candidate one;
        ez_claim claim;
        char name[EZ_CATALOGUE_NAME_MAX];
        if (!read_candidate(entry, &one))
            continue;
        if (!find_claim(deriver, txn, &one, &claim, name))
            model->unknown_candidates++;
        else if (!note_entry(model, name, arena))
            return false;
        if (model->candidates++ == 0)
            all = claim;
        else
            ez_claim_join(&all, &claim);
    }
    set_claim(model, &all);
    return true;
}

static ez_status put_model(ez_model_deriver *deriver, ez_txn *txn, ez_index_key key, const ez_entry *there,
                           char *const names[3], ez_error *error) {
    ez_arena *arena = &deriver->scratch;
    Ez__V1__Model fresh = EZ__V1__MODEL__INIT;
    Ez__V1__Model *model = there ? (Ez__V1__Model *)ez_entry_unpack(there, arena) : &fresh;
    if (!model || !fill(deriver, txn, key, model))
        return ez_no_memory(error);
    model->name = names[0];
    model->namespace_ = names[1];
    model->public_model = names[2];
    return ez_txn_put_changed(txn, EZ__V1__KIND__KIND_MODEL, model->id, &model->base, error);
}

ez_status ez_model_derive_one(ez_model_deriver *deriver, ez_txn *txn, ez_slice name_space, ez_slice public_model,
                              ez_error *error) {
    ez_arena *arena = &deriver->scratch;
    ez_arena_reset(arena);
    char *names[3] = {
        ez_arena_printf(arena, "%.*s.%.*s", (int)name_space.len, (const char *)name_space.data, (int)public_model.len,
                        (const char *)public_model.data),
        ez_arena_strndup(arena, (const char *)name_space.data, name_space.len),
        ez_arena_strndup(arena, (const char *)public_model.data, public_model.len),
    };
    if (!names[0] || !names[1] || !names[2])
        return ez_no_memory(error);
    ez_index_key key = ez_index_model(names[1], names[2], arena);
    if (!key.data)
        return ez_no_memory(error);
    const ez_entry *there = ez_txn_find(txn, EZ_INDEX_MODEL_NAME, ez_index_text(names[0]));
    if (ez_txn_member_count(txn, EZ_INDEX_BINDING_BY_MODEL, key) > 0)
        return put_model(deriver, txn, key, there, names, error);
    return there ? ez_txn_delete(txn, EZ__V1__KIND__KIND_MODEL, ez_entry_id(there), error) : EZ_OK;
}

ez_status ez_model_derive_of_binding(ez_model_deriver *deriver, ez_txn *txn, const ez_entry *binding, ez_error *error) {
    ez_slice data = ez_entry_data(binding);
    return ez_model_derive_one(deriver, txn, bytes_of(data, BINDING_NAMESPACE), bytes_of(data, BINDING_MODEL), error);
}

ez_status ez_model_use_catalogue(ez_model_deriver *deriver, ez_txn *txn, ez_error *error) {
    return use_catalogue(deriver, txn, error);
}

// ---- Those a transaction affects

typedef struct affected {
    const ez_entry **bindings; // malloc; one or more of each model
    size_t count, room;
} affected;

static void affected_fini(affected *list) {
    free(list->bindings);
}

static ez_status note(affected *list, const ez_entry *binding, ez_error *error) {
    if (list->count == list->room) {
        size_t more = list->room ? list->room * 2 : 64; // at most twice EZ_TXN_CHANGES_MAX and a group's bindings
        const ez_entry **grown = realloc(list->bindings, more * sizeof *grown);
        if (!grown)
            return ez_no_memory(error);
        list->bindings = grown;
        list->room = more;
    }
    list->bindings[list->count++] = binding;
    return EZ_OK;
}

// Bindings of a group whose upstream models are now another provider's.
static ez_status note_group(affected *list, ez_txn *txn, const ez_txn_change *change, ez_error *error) {
    ez_slice type, base_url, type_before, base_url_before;
    if (!change->before || !change->after) // nothing is bound to it
        return EZ_OK;
    read_group(change->before, &type_before, &base_url_before);
    read_group(change->after, &type, &base_url);
    if (equal(type, type_before) && equal(base_url, base_url_before))
        return EZ_OK;
    ez_index_key key = ez_index_id(change->id);
    int64_t id = 0;
    ez_status status = EZ_OK;
    for (const ez_entry *entry; status == EZ_OK && (entry = ez_txn_member(txn, EZ_INDEX_BINDING_BY_GROUP, key, id));) {
        id = ez_entry_id(entry);
        status = note(list, entry, error);
    }
    return status;
}

static int by_model(const void *a, const void *b) {
    ez_slice x = ez_entry_data(*(const ez_entry *const *)a), y = ez_entry_data(*(const ez_entry *const *)b);
    static const uint32_t numbers[] = {BINDING_NAMESPACE, BINDING_MODEL};
    for (int i = 0; i < 2; i++) {
        ez_slice left = bytes_of(x, numbers[i]), right = bytes_of(y, numbers[i]);
        size_t len = left.len < right.len ? left.len : right.len;
        int order = len > 0 ? memcmp(left.data, right.data, len) : 0;
        if (order != 0)
            return order;
        if (left.len != right.len)
            return left.len < right.len ? -1 : 1;
    }
    return 0;
}

static ez_status gather(affected *list, ez_txn *txn, ez_error *error) {
    ez_status status = EZ_OK;
    size_t count = ez_txn_change_count(txn);
    for (size_t i = 0; status == EZ_OK && i < count; i++) {
        ez_txn_change change = ez_txn_change_at(txn, i);
        if (change.kind == EZ__V1__KIND__KIND_BINDING)
            status = note(list, change.after ? change.after : change.before, error);
        else if (change.kind == EZ__V1__KIND__KIND_PROVIDER_GROUP)
            status = note_group(list, txn, &change, error);
    }
    return status;
}

ez_status ez_model_derive(void *user, ez_txn *txn, ez_error *error) {
    ez_model_deriver *deriver = user;
    ez_auto(affected) list = {0};
    ez_status status = gather(&list, txn, error);
    if (status != EZ_OK || list.count == 0)
        return status;
    status = use_catalogue(deriver, txn, error);
    if (list.count > 1)
        qsort(list.bindings, list.count, sizeof *list.bindings, by_model);
    for (size_t i = 0; status == EZ_OK && i < list.count; i++) {
        if (i > 0 && by_model(&list.bindings[i - 1], &list.bindings[i]) == 0)
            continue;
        if (i % CHECK_EVERY == CHECK_EVERY - 1)
            status = ez_txn_check_deadline(txn, error);
        if (status == EZ_OK)
            status = ez_model_derive_of_binding(deriver, txn, list.bindings[i], error);
    }
    return status;
}
