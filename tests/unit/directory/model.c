// SPDX-License-Identifier: Apache-2.0
//
// The plain directory, and the questions asked of both. Each index is asked for every value there can be, found or not;
// groups and kinds are walked from every id, up and (in the directory) down, also from ids that are not there.
#include "model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/model.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "ez/v1/token.pb-c.h"
#include "proto/crypto/digest.h"

enum { MASTER = 1, KEY, NAMESPACE, PROVIDER_GROUP, API_KEY, BINDING, ADMIN_TOKEN, DATA_PLANE, SETTING, MODEL };

unsigned rng_below(dice *rng, unsigned bound) {
    rng->state = rng->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(rng->state >> 33) % bound;
}

void model_init(model_rows *model) {
    memset(model, 0, sizeof *model);
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++)
        model->next_id[kind] = 1;
}

static void token_of(unsigned number, uint8_t out[32]) {
    memset(out, (int)number, 32);
    out[31] = (uint8_t)~number;
}

model_row model_random_row(int kind, dice *rng) {
    model_row row = {.is_there = true, .weight = (int)rng_below(rng, 100000)};
    unsigned name = rng_below(rng, MODEL_NAMES);
    if (kind == BINDING) {
        snprintf(row.name, sizeof row.name, "ns%u", rng_below(rng, MODEL_REFS));
        snprintf(row.model, sizeof row.model, "model%u", rng_below(rng, MODEL_REFS));
    } else {
        snprintf(row.name, sizeof row.name, "name%u", name);
    }
    row.has_token = kind == KEY || kind == MASTER || kind == ADMIN_TOKEN || kind == DATA_PLANE;
    if (row.has_token && rng_below(rng, 10) == 0)
        row.has_token = false; // not in the index then
    if (row.has_token)
        token_of(rng_below(rng, MODEL_NAMES), row.token);
    row.ref = rng_below(rng, MODEL_REFS); // 0: refers to nothing
    return row;
}

static bool has_unique_name(int kind) {
    return kind == MASTER || kind == NAMESPACE || kind == PROVIDER_GROUP || kind == ADMIN_TOKEN || kind == DATA_PLANE ||
           kind == SETTING || kind == MODEL;
}

bool model_conflicts(const model_rows *model, int kind, int64_t id, const model_row *row) {
    for (int64_t other = 1; other < MODEL_IDS; other++) {
        const model_row *there = &model->rows[kind][other];
        if (other == id || !there->is_there)
            continue;
        bool same_name = strcmp(there->name, row->name) == 0;
        if (has_unique_name(kind) && same_name)
            return true;
        if (there->has_token && row->has_token && memcmp(there->token, row->token, 32) == 0)
            return true;
        if (kind == BINDING && same_name && strcmp(there->model, row->model) == 0 && there->ref == row->ref)
            return true;
    }
    return false;
}

#define WITH_TOKEN(message)                                                                                            \
    if (row->has_token)                                                                                                \
        message->token_sha256 = (ProtobufCBinaryData) {                                                                \
            32, (uint8_t *)row->token                                                                                  \
        }

ProtobufCMessage *model_message(int kind, int64_t id, const model_row *row, ez_arena *arena) {
    switch (kind) {
    case MASTER: {
        Ez__V1__Master *master = ez_arena_alloc(arena, sizeof *master);
        *master = (Ez__V1__Master)EZ__V1__MASTER__INIT;
        master->id = id;
        master->name = (char *)row->name;
        master->global_qps = row->weight;
        WITH_TOKEN(master);
        return &master->base;
    }
    case KEY: {
        Ez__V1__Key *key = ez_arena_alloc(arena, sizeof *key);
        *key = (Ez__V1__Key)EZ__V1__KEY__INIT;
        key->id = id;
        key->name = (char *)row->name;
        key->master_id = row->ref;
        key->request_count = row->weight;
        WITH_TOKEN(key);
        return &key->base;
    }
    case NAMESPACE: {
        Ez__V1__Namespace *space = ez_arena_alloc(arena, sizeof *space);
        *space = (Ez__V1__Namespace)EZ__V1__NAMESPACE__INIT;
        space->id = id;
        space->name = (char *)row->name;
        return &space->base;
    }
    case PROVIDER_GROUP: {
        Ez__V1__ProviderGroup *group = ez_arena_alloc(arena, sizeof *group);
        *group = (Ez__V1__ProviderGroup)EZ__V1__PROVIDER_GROUP__INIT;
        group->id = id;
        group->name = (char *)row->name;
        group->total_requests = row->weight;
        return &group->base;
    }
    case API_KEY: {
        Ez__V1__ApiKey *api_key = ez_arena_alloc(arena, sizeof *api_key);
        *api_key = (Ez__V1__ApiKey)EZ__V1__API_KEY__INIT;
        api_key->id = id;
        api_key->name = (char *)row->name;
        api_key->group_id = row->ref;
        api_key->total_requests = row->weight;
        return &api_key->base;
    }
    case SETTING: {
        Ez__V1__Setting *setting = ez_arena_alloc(arena, sizeof *setting);
        *setting = (Ez__V1__Setting)EZ__V1__SETTING__INIT;
        setting->id = id;
        setting->name = (char *)row->name;
        return &setting->base;
    }
    case MODEL: {
        Ez__V1__Model *made = ez_arena_alloc(arena, sizeof *made);
        *made = (Ez__V1__Model)EZ__V1__MODEL__INIT;
        made->id = id;
        made->name = (char *)row->name;
        return &made->base;
    }
    case BINDING: {
        Ez__V1__Binding *binding = ez_arena_alloc(arena, sizeof *binding);
        *binding = (Ez__V1__Binding)EZ__V1__BINDING__INIT;
        binding->id = id;
        binding->namespace_ = (char *)row->name;
        binding->public_model = (char *)row->model;
        binding->group_id = row->ref;
        return &binding->base;
    }
    case ADMIN_TOKEN: {
        Ez__V1__AdminToken *token = ez_arena_alloc(arena, sizeof *token);
        *token = (Ez__V1__AdminToken)EZ__V1__ADMIN_TOKEN__INIT;
        token->id = id;
        token->name = (char *)row->name;
        WITH_TOKEN(token);
        return &token->base;
    }
    default: {
        Ez__V1__DataPlane *plane = ez_arena_alloc(arena, sizeof *plane);
        *plane = (Ez__V1__DataPlane)EZ__V1__DATA_PLANE__INIT;
        plane->id = id;
        plane->name = (char *)row->name;
        plane->lag = (uint64_t)row->weight;
        WITH_TOKEN(plane);
        return &plane->base;
    }
    }
}

// ---- Asking

static const ez_entry *ask_get(const model_view *view, int kind, int64_t id) {
    return view->directory ? ez_directory_get(view->directory, kind, id) : ez_txn_get(view->txn, kind, id);
}

static const ez_entry *ask_find(const model_view *view, ez_index index, ez_index_key key) {
    return view->directory ? ez_directory_find(view->directory, index, key) : ez_txn_find(view->txn, index, key);
}

static const ez_entry *ask_next(const model_view *view, int kind, int64_t after) {
    return view->directory ? ez_directory_next(view->directory, kind, after, false)
                           : ez_txn_next(view->txn, kind, after);
}

static const ez_entry *ask_member(const model_view *view, ez_index index, ez_index_key key, int64_t after) {
    return view->directory ? ez_directory_member(view->directory, index, key, after, false)
                           : ez_txn_member(view->txn, index, key, after);
}

static size_t ask_count(const model_view *view, ez_index index, ez_index_key key) {
    return view->directory ? ez_directory_member_count(view->directory, index, key)
                           : ez_txn_member_count(view->txn, index, key);
}

static int64_t id_of(const ez_entry *entry) {
    return entry ? ez_entry_id(entry) : 0;
}

// The row that has a value, or 0. field: how it is compared.
typedef bool row_test(const model_row *row, const void *value);

static int64_t first_after(const model_rows *model, int kind, int64_t after, row_test *test, const void *value) {
    for (int64_t id = after + 1; id < MODEL_IDS; id++) {
        if (model->rows[kind][id].is_there && test(&model->rows[kind][id], value))
            return id;
    }
    return 0;
}

static int64_t last_before(const model_rows *model, int kind, int64_t before, row_test *test, const void *value) {
    for (int64_t id = before - 1; id > 0; id--) {
        if (model->rows[kind][id].is_there && test(&model->rows[kind][id], value))
            return id;
    }
    return 0;
}

static bool any(const model_row *row, const void *value) {
    (void)value;
    return row->is_there;
}

static bool by_name(const model_row *row, const void *value) {
    return strcmp(row->name, value) == 0;
}

static bool by_token(const model_row *row, const void *value) {
    return row->has_token && memcmp(row->token, value, 32) == 0;
}

static bool by_ref(const model_row *row, const void *value) {
    return row->ref == *(const int64_t *)value && row->ref != 0;
}

static bool by_model(const model_row *row, const void *value) {
    const model_row *wanted = value;
    return strcmp(row->name, wanted->name) == 0 && strcmp(row->model, wanted->model) == 0;
}

static bool by_identity(const model_row *row, const void *value) {
    return by_model(row, value) && row->ref == ((const model_row *)value)->ref;
}

static void check_names(const model_rows *model, const model_view *view, int kind, ez_index names) {
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        char name[16];
        snprintf(name, sizeof name, "name%u", i);
        cr_assert_eq(id_of(ask_find(view, names, ez_index_text(name))), first_after(model, kind, 0, by_name, name),
                     "kind %d, %s", kind, name);
    }
}

static void check_tokens(const model_rows *model, const model_view *view, int kind, ez_index tokens) {
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        uint8_t token[32];
        token_of(i, token);
        cr_assert_eq(id_of(ask_find(view, tokens, ez_index_bytes(token, 32))),
                     first_after(model, kind, 0, by_token, token), "kind %d, token %u", kind, i);
    }
}

static void check_group(const model_rows *model, const model_view *view, int kind, ez_index index, ez_index_key key,
                        row_test *test, const void *value) {
    size_t count = 0;
    for (int64_t id = 1; id < MODEL_IDS; id++)
        count += model->rows[kind][id].is_there && test(&model->rows[kind][id], value);
    cr_assert_eq(ask_count(view, index, key), count, "index %d: %zu, not %zu", (int)index, ask_count(view, index, key),
                 count);
    for (int64_t after = 0; after < MODEL_IDS; after++) {
        cr_assert_eq(id_of(ask_member(view, index, key, after)), first_after(model, kind, after, test, value),
                     "index %d after %lld", (int)index, (long long)after);
        if (view->directory)
            cr_assert_eq(id_of(ez_directory_member(view->directory, index, key, after, true)),
                         last_before(model, kind, after, test, value), "index %d before %lld", (int)index,
                         (long long)after);
    }
    if (view->directory)
        cr_assert_eq(id_of(ez_directory_member(view->directory, index, key, INT64_MAX, true)),
                     last_before(model, kind, MODEL_IDS, test, value));
}

static void check_bindings(const model_rows *model, const model_view *view) {
    ez_arena arena;
    ez_arena_init(&arena, 4u << 20);
    for (int64_t ref = 0; ref < MODEL_REFS; ref++)
        check_group(model, view, BINDING, EZ_INDEX_BINDING_BY_GROUP, ez_index_id(ref), by_ref, &ref);
    for (unsigned i = 0; i < MODEL_REFS; i++) {
        model_row row = {0};
        snprintf(row.name, sizeof row.name, "ns%u", i);
        check_group(model, view, BINDING, EZ_INDEX_BINDING_BY_NAMESPACE, ez_index_text(row.name), by_name, row.name);
        for (unsigned j = 0; j < MODEL_REFS; j++) {
            snprintf(row.model, sizeof row.model, "model%u", j);
            check_group(model, view, BINDING, EZ_INDEX_BINDING_BY_MODEL, ez_index_model(row.name, row.model, &arena),
                        by_model, &row);
            for (row.ref = 0; row.ref < MODEL_REFS; row.ref++)
                cr_assert_eq(id_of(ask_find(view, EZ_INDEX_BINDING_IDENTITY,
                                            ez_index_binding(row.name, row.model, row.ref, &arena))),
                             first_after(model, BINDING, 0, by_identity, &row));
        }
    }
    ez_arena_fini(&arena);
}

// An entry's bytes are those of the model's row, for what the model knows of it.
static void check_bytes(const ez_entry *entry, int kind, int64_t id, const model_row *row) {
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    ProtobufCMessage *message = ez_entry_unpack(entry, &arena);
    cr_assert(message);
    cr_assert_eq(ez_entry_kind(entry), kind);
    cr_assert_eq(ez_entry_id(entry), id);
    cr_assert_eq(ez_entry_revision(entry), row->revision);
    if (kind == MASTER)
        cr_assert_eq(((Ez__V1__Master *)message)->global_qps, row->weight);
    if (kind == KEY)
        cr_assert_eq(((Ez__V1__Key *)message)->request_count, row->weight);
    ez_arena_fini(&arena);
}

void model_check(const model_rows *model, const model_view *view) {
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++) {
        size_t count = 0;
        for (int64_t id = 0; id < MODEL_IDS; id++) {
            const ez_entry *entry = ask_get(view, kind, id);
            const model_row *row = &model->rows[kind][id];
            cr_assert_eq(entry != NULL, row->is_there, "kind %d id %lld", kind, (long long)id);
            if (entry)
                check_bytes(entry, kind, id, row);
            count += row->is_there;
            cr_assert_eq(id_of(ask_next(view, kind, id)), first_after(model, kind, id, any, NULL));
            if (view->directory)
                cr_assert_eq(id_of(ez_directory_next(view->directory, kind, id, true)),
                             last_before(model, kind, id, any, NULL));
        }
        if (view->directory)
            cr_assert_eq(ez_directory_count(view->directory, kind), count);
    }
    static const struct {
        int kind;
        ez_index names, tokens;
    } uniques[] = {{MASTER, EZ_INDEX_MASTER_NAME, EZ_INDEX_MASTER_TOKEN},
                   {ADMIN_TOKEN, EZ_INDEX_ADMIN_TOKEN_NAME, EZ_INDEX_ADMIN_TOKEN_TOKEN},
                   {DATA_PLANE, EZ_INDEX_DATA_PLANE_NAME, EZ_INDEX_DATA_PLANE_TOKEN}};
    for (unsigned i = 0; i < 3; i++) {
        check_names(model, view, uniques[i].kind, uniques[i].names);
        check_tokens(model, view, uniques[i].kind, uniques[i].tokens);
    }
    check_names(model, view, NAMESPACE, EZ_INDEX_NAMESPACE_NAME);
    check_names(model, view, PROVIDER_GROUP, EZ_INDEX_PROVIDER_GROUP_NAME);
    check_names(model, view, SETTING, EZ_INDEX_SETTING_NAME);
    check_names(model, view, MODEL, EZ_INDEX_MODEL_NAME);
    check_tokens(model, view, KEY, EZ_INDEX_KEY_TOKEN);
    for (int64_t ref = 0; ref < MODEL_REFS; ref++) {
        check_group(model, view, KEY, EZ_INDEX_KEY_BY_MASTER, ez_index_id(ref), by_ref, &ref);
        check_group(model, view, API_KEY, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(ref), by_ref, &ref);
    }
    check_bindings(model, view);
}

void model_digest(const ez_directory *directory, uint8_t out[32], uint64_t *rows) {
    memset(out, 0, 32);
    *rows = 0;
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++) {
        if (!ez_kind_is_config(kind))
            continue;
        const ez_entry *entry = NULL;
        while ((entry = ez_directory_next(directory, kind, id_of(entry), false))) {
            uint8_t row[32];
            ez_slice data = ez_entry_data(entry);
            ez_digest_row((uint32_t)kind, ez_entry_id(entry), data.data, data.len, ez_entry_secret_version(entry), row);
            ez_digest_xor(out, row);
            ++*rows;
        }
    }
}
