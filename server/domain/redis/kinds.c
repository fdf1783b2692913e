// SPDX-License-Identifier: Apache-2.0
//
// The table: kind → commands. Everything is written as the directory has it now, so writing twice, or a change that is
// older than the directory, does no harm. What else depends on a resource becomes a span, and only where the index says
// that what they depend on has changed: a token that is refreshed must not rewrite every binding of its group.
//
// The awkward case: a token that moves from one key to another (an import that replaces keys). The old key takes it
// away only while the directory knows nobody else who has it.
#include "server/domain/redis/kinds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/wire.h"
#include "server/domain/redis/snapshot.h"
#include "server/state/directory/model.h"

#define KIND_MASTER    EZ__V1__KIND__KIND_MASTER
#define KIND_KEY       EZ__V1__KIND__KIND_KEY
#define KIND_NAMESPACE EZ__V1__KIND__KIND_NAMESPACE
#define KIND_GROUP     EZ__V1__KIND__KIND_PROVIDER_GROUP
#define KIND_API_KEY   EZ__V1__KIND__KIND_API_KEY
#define KIND_BINDING   EZ__V1__KIND__KIND_BINDING
#define KIND_SETTING   EZ__V1__KIND__KIND_SETTING
#define KIND_MODEL     EZ__V1__KIND__KIND_MODEL

enum { SETTING_NAME = 5 }; // of ez.v1.Setting

#define TOKEN_KEY_MAX (11 + 2 * EZ_SHA256_LEN + 1) // "auth:token:…"

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REDIS_TOO_LARGE", "it is too large to be written to Redis");
}

void ez_redis_index_field(const ez_redis_kind *kind, int64_t id, char *out) {
    snprintf(out, EZ_REDIS_FIELD_MAX, "%c:%" PRId64, kind->letter, id);
}

// ---- The index

static const ez_redis_kind *row_of(int kind) {
    return ez_redis_kind_find(kind);
}

static void put_index(ez_buf *out, int kind, int64_t id, const void *value, size_t len) {
    char field[EZ_REDIS_FIELD_MAX];
    ez_redis_index_field(row_of(kind), id, field);
    ez_command_text(out, field);
    if (value)
        ez_command_bytes(out, value, len);
}

// Together with what it is about.
static void index_now(ez_batch *batch, int kind, int64_t id, const void *value, size_t len) {
    if (batch->is_rebuild) { // which began with an empty one
        batch->index_count += value != NULL;
        if (value)
            put_index(&batch->indexes, kind, id, value, len);
        return;
    }
    ez_batch_command(batch, value ? "HSET" : "HDEL", EZ_REDIS_INDEX, value ? 2 : 1);
    put_index(ez_batch_out(batch), kind, id, value, len);
}

// Once what depends on it is written: until then a batch that broke off finds it changed again.
static void index_late(ez_batch *batch, int kind, int64_t id, const char *value) {
    if (batch->is_rebuild) {
        index_now(batch, kind, id, value, value ? strlen(value) : 0);
        return;
    }
    ez_buf *out = ez_batch_late(batch, value ? "HSET" : "HDEL", EZ_REDIS_INDEX, value ? 2 : 1);
    put_index(out, kind, id, value, value ? strlen(value) : 0);
}

static bool is_same(const ez_was *was, const char *text) {
    return was->is_known && was->len == strlen(text) && memcmp(was->text, text, was->len) == 0;
}

// ---- Helpers of several kinds

// The hash a table's field is written to: a new one in a rebuild.
static const char *table_key(const ez_batch *batch, const char *table, char out[64]) {
    snprintf(out, 64, "%s%s", table, batch->is_rebuild ? ":new" : "");
    return out;
}

static void put_field(ez_batch *batch, const char *table, const char *field, const ez_buf *value) {
    char key[64];
    ez_batch_command(batch, "HSET", table_key(batch, table, key), 2);
    ez_command_text(ez_batch_out(batch), field);
    ez_command_bytes(ez_batch_out(batch), value->data, value->len);
}

static void drop_field(ez_batch *batch, const char *table, const char *field) {
    if (batch->is_rebuild)
        return; // it is not in the new one
    ez_batch_command(batch, "HDEL", table, 1);
    ez_command_text(ez_batch_out(batch), field);
}

// A hash of its own. In a rebuild it replaces whatever stands there.
static void put_record(ez_batch *batch, const char *key, const ez_record *record) {
    if (batch->is_rebuild) {
        ez_command_key(&batch->unlinks, batch->prefix, key);
        batch->unlink_count++;
    }
    ez_batch_command(batch, "HSET", key, 2 * record->count);
    for (size_t i = 0; i < record->count; i++) {
        ez_command_text(ez_batch_out(batch), record->fields[i].name);
        ez_command_text(ez_batch_out(batch), record->fields[i].value);
    }
}

static const void *unpack(ez_batch *batch, int kind, int64_t id) {
    const ez_entry *entry = ez_directory_get(batch->directory, kind, id);
    return entry ? ez_entry_unpack(entry, &batch->arena) : NULL;
}

// ---- Masters

static void master_key(int64_t id, char out[40]) {
    snprintf(out, 40, "auth:master:%" PRId64, id);
}

// What its keys take from it, as a digest.
static void inherited(const ez_record *record, char out[2 * EZ_SHA256_LEN + 1]) {
    static const char *const names[] = {"status", "group", "default_namespace", "namespaces", "global_qps"};
    ez_sha256_part parts[sizeof names / sizeof names[0]];
    size_t count = 0;
    for (size_t i = 0; i < record->count; i++)
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
            if (strcmp(record->fields[i].name, names[n]) == 0)
                parts[count++] = (ez_sha256_part){record->fields[i].value, strlen(record->fields[i].value) + 1};
    uint8_t digest[EZ_SHA256_LEN];
    ez_sha256_parts(parts, count, digest);
    ez_hex(digest, 16, out);
}

static ez_status put_master(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    const Ez__V1__Master *master = (const Ez__V1__Master *)ez_entry_unpack(entry, &batch->arena);
    ez_record record;
    if (!master || ez_record_master(master, &batch->arena, &record) != EZ_OK)
        return no_memory(error);
    char key[40], digest[2 * EZ_SHA256_LEN + 1];
    master_key(master->id, key);
    put_record(batch, key, &record);
    inherited(&record, digest);
    if (is_same(was, digest))
        return EZ_OK;
    index_late(batch, KIND_MASTER, master->id, digest);
    return ez_batch_span(batch, EZ_INDEX_KEY_BY_MASTER, KIND_KEY, master->id) == EZ_OK ? EZ_OK : no_memory(error);
}

static ez_status drop_master(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    (void)error;
    (void)was;
    char key[40];
    master_key(id, key);
    ez_batch_command(batch, "UNLINK", key, 0);
    index_now(batch, KIND_MASTER, id, NULL, 0);
    return EZ_OK;
}

// ---- Keys

static void token_key(const void *sha256, char out[TOKEN_KEY_MAX]) {
    memcpy(out, "auth:token:", 11);
    ez_hex(sha256, EZ_SHA256_LEN, out + 11);
}

static void drop_token(ez_batch *batch, const void *sha256) {
    char key[TOKEN_KEY_MAX];
    if (ez_directory_find(batch->directory, EZ_INDEX_KEY_TOKEN, ez_index_bytes(sha256, EZ_SHA256_LEN)))
        return; // somebody else's by now
    token_key(sha256, key);
    ez_batch_command(batch, "UNLINK", key, 0);
}

static ez_status drop_key(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    (void)error;
    if (was->is_known && was->len == EZ_SHA256_LEN)
        drop_token(batch, was->text);
    index_now(batch, KIND_KEY, id, NULL, 0);
    return EZ_OK;
}

static ez_status put_key(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    const Ez__V1__Key *key = (const Ez__V1__Key *)ez_entry_unpack(entry, &batch->arena);
    if (!key)
        return no_memory(error);
    const ez_entry *owner = ez_directory_get(batch->directory, KIND_MASTER, key->master_id);
    if (!owner || key->token_sha256.len != EZ_SHA256_LEN) // both are being deleted
        return drop_key(batch, key->id, was, error);
    const Ez__V1__Master *master = (const Ez__V1__Master *)ez_entry_unpack(owner, &batch->arena);
    ez_record record;
    if (!master || ez_record_key(key, master, batch->now_ns, &batch->arena, &record) != EZ_OK)
        return no_memory(error);
    const uint8_t *sha256 = key->token_sha256.data;
    bool is_known = was->is_known && was->len == EZ_SHA256_LEN;
    bool is_moved = is_known && memcmp(was->text, sha256, EZ_SHA256_LEN) != 0;
    char name[TOKEN_KEY_MAX];
    if (is_moved)
        drop_token(batch, was->text);
    token_key(sha256, name);
    put_record(batch, name, &record);
    if (!is_known || is_moved)
        index_now(batch, KIND_KEY, key->id, sha256, EZ_SHA256_LEN);
    return EZ_OK;
}

// ---- API keys: providers

static ez_status span_models(ez_batch *batch, int64_t group_id, ez_error *error) {
    return ez_batch_span(batch, EZ_INDEX_BINDING_BY_GROUP, KIND_BINDING, group_id) == EZ_OK ? EZ_OK : no_memory(error);
}

static ez_status drop_api_key(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    char field[24];
    snprintf(field, sizeof field, "%" PRId64, id);
    drop_field(batch, "config:providers", field);
    index_late(batch, KIND_API_KEY, id, NULL);
    if (!was->is_known)
        return EZ_OK;
    char text[EZ_BATCH_PLACE];
    snprintf(text, sizeof text, "%.*s", was->len, was->text);
    char *end = NULL;
    int64_t group_id = strtoll(text, &end, 10);
    return strcmp(end, ":1") == 0 ? span_models(batch, group_id, error) : EZ_OK;
}

static ez_status put_api_key(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    const Ez__V1__ApiKey *key = (const Ez__V1__ApiKey *)ez_entry_unpack(entry, &batch->arena);
    const Ez__V1__ProviderGroup *group = key ? unpack(batch, KIND_GROUP, key->group_id) : NULL;
    if (key && !group) // both are being deleted
        return drop_api_key(batch, key->id, was, error);
    Ez__V1__ApiKeySecret *secret = NULL;
    ez_status status =
        key ? ez_directory_unseal(batch->directory, entry, &batch->arena, &secret, error) : no_memory(error);
    if (status != EZ_OK)
        return status;
    if (ez_snapshot_provider(key, secret, group, batch->now_ns, &batch->text) != EZ_OK)
        return no_memory(error);
    char text[40];
    snprintf(text, sizeof text, "%" PRId64, key->id);
    put_field(batch, "config:providers", text, &batch->text);
    snprintf(text, sizeof text, "%" PRId64 ":%d", key->group_id, ez_snapshot_in_service(ez_entry_data(entry)));
    if (is_same(was, text))
        return EZ_OK;
    index_late(batch, KIND_API_KEY, key->id, text);
    return span_models(batch, key->group_id, error);
}

// ---- Provider groups: only what depends on them

static ez_status put_group(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    (void)was;
    int64_t id = ez_entry_id(entry);
    if (ez_batch_span(batch, EZ_INDEX_API_KEY_BY_GROUP, KIND_API_KEY, id) != EZ_OK)
        return no_memory(error);
    return span_models(batch, id, error);
}

static ez_status nothing_to_drop(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    (void)batch, (void)id, (void)was, (void)error;
    return EZ_OK;
}

// ---- Bindings: all of a public model's are one document

// place: namespace, NUL, public model.
static ez_status put_model(ez_batch *batch, const char *name_space, const char *model, ez_error *error) {
    bool found;
    if (ez_snapshot_binding(batch->directory, name_space, model, &batch->arena, &batch->text, &found) != EZ_OK)
        return no_memory(error);
    const char *field = ez_arena_printf(&batch->arena, "%s.%s", name_space, model);
    if (!field)
        return no_memory(error);
    if (found)
        put_field(batch, "config:bindings", field, &batch->text);
    else
        drop_field(batch, "config:bindings", field);
    return EZ_OK;
}

static ez_status put_binding(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    const Ez__V1__Binding *binding = (const Ez__V1__Binding *)ez_entry_unpack(entry, &batch->arena);
    if (!binding)
        return no_memory(error);
    ez_status status = put_model(batch, binding->namespace_, binding->public_model, error);
    if (status != EZ_OK || was->is_known)
        return status; // neither can change
    ez_index_key place = ez_index_model(binding->namespace_, binding->public_model, &batch->arena);
    if (!place.data)
        return no_memory(error);
    index_now(batch, KIND_BINDING, binding->id, place.data, place.len);
    return EZ_OK;
}

static ez_status drop_binding(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    const char *end = was->is_known ? memchr(was->text, 0, was->len) : NULL;
    if (end) {
        size_t at = (size_t)(end + 1 - was->text);
        const char *model = ez_arena_strndup(&batch->arena, end + 1, was->len - at);
        ez_status status = model ? put_model(batch, was->text, model, error) : no_memory(error);
        if (status != EZ_OK)
            return status;
    }
    index_now(batch, KIND_BINDING, id, NULL, 0);
    return EZ_OK;
}

// ---- Namespaces: what is disabled shows in their bindings

static ez_status put_namespace(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    const Ez__V1__Namespace *space = (const Ez__V1__Namespace *)ez_entry_unpack(entry, &batch->arena);
    if (!space)
        return no_memory(error);
    bool is_disabled = space->status == EZ__V1__NAMESPACE_STATUS__NAMESPACE_STATUS_DISABLED;
    const char *text = is_disabled ? "disabled" : "active";
    if (is_same(was, text))
        return EZ_OK;
    index_late(batch, KIND_NAMESPACE, space->id, text);
    if (!was->is_known && !is_disabled)
        return EZ_OK; // a new one
    return ez_batch_span(batch, EZ_INDEX_BINDING_BY_NAMESPACE, KIND_BINDING, space->id) == EZ_OK ? EZ_OK
                                                                                                 : no_memory(error);
}

static ez_status drop_namespace(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    (void)was, (void)error;
    index_now(batch, KIND_NAMESPACE, id, NULL, 0);
    return EZ_OK;
}

// ---- Settings: features

// A flag as a field's value: texts without their quotes, numbers and booleans as they are.
static const char *flag_value(const char *json, ez_arena *arena) {
    size_t len = strlen(json);
    if (len < 2 || json[0] != '"')
        return json;
    char *out = ez_arena_alloc(arena, len);
    size_t n = 0;
    for (size_t i = 1; out && i + 1 < len; i++) {
        if (json[i] != '\\') {
            out[n++] = json[i];
            continue;
        }
        i++;
        static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
        const char *found = strchr(from, json[i]);
        if (json[i] == 'u')
            return json; // kept as it is: nothing is guessed
        out[n++] = found ? to[found - from] : json[i];
    }
    if (out)
        out[n] = 0;
    return out;
}

static void put_override(ez_batch *batch, const char *key, int64_t value) {
    ez_batch_command(batch, value ? "SET" : "UNLINK", key, value ? 1 : 0);
    if (value)
        ez_command_int(ez_batch_out(batch), value);
}

static ez_status put_features(ez_batch *batch, const Ez__V1__Setting *setting, ez_error *error) {
    Ez__V1__Features none = EZ__V1__FEATURES__INIT;
    const Ez__V1__Features *features = setting->features ? setting->features : &none;
    ez_batch_command(batch, "UNLINK", "meta:features", 0);
    if (features->n_flags > 0)
        ez_batch_command(batch, "HSET", "meta:features", 2 * features->n_flags);
    for (size_t i = 0; i < features->n_flags; i++) {
        const char *value = flag_value(features->flags[i]->value, &batch->arena);
        if (!value)
            return no_memory(error);
        ez_command_text(ez_batch_out(batch), features->flags[i]->key);
        ez_command_text(ez_batch_out(batch), value);
    }
    put_override(batch, "meta:log:retention_days", features->log_retention_days);
    put_override(batch, "meta:log:max_records", features->log_max_records);
    return EZ_OK;
}

static ez_status put_models_meta(ez_batch *batch, const Ez__V1__Setting *setting, ez_error *error) {
    const Ez__V1__ModelsMeta *meta = setting->models_meta;
    ez_batch_command(batch, "UNLINK", "meta:models_meta", 0); // whatever stands there is replaced
    if (!meta)
        return EZ_OK;
    char *updated_at = ez_arena_printf(&batch->arena, "%" PRId64, meta->updated_at ? meta->updated_at->seconds : 0);
    if (!updated_at)
        return no_memory(error);
    const char *const fields[] = {"version",      meta->version,      "updated_at",   updated_at,
                                  "source",       meta->source,       "checksum",     meta->checksum,
                                  "upstream_url", meta->upstream_url, "upstream_ref", meta->upstream_ref};
    ez_batch_command(batch, "HSET", "meta:models_meta", sizeof fields / sizeof fields[0]);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        ez_command_text(ez_batch_out(batch), fields[i]);
    return EZ_OK;
}

// Settings that stand in Redis; others are not even unpacked, some are large.
static const struct {
    const char *name;
    ez_status (*put)(ez_batch *batch, const Ez__V1__Setting *setting, ez_error *error);
} settings[] = {
    {"features", put_features},
    {"models_meta", put_models_meta},
};

static ez_status put_setting(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    (void)was;
    ez_slice data = ez_entry_data(entry);
    ez_wire_field name = {.number = 0};
    ez_wire_find(data.data, data.len, SETTING_NAME, &name);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (name.bytes.len != strlen(settings[i].name) ||
            memcmp(name.bytes.data, settings[i].name, name.bytes.len) != 0)
            continue;
        const Ez__V1__Setting *setting = (const Ez__V1__Setting *)ez_entry_unpack(entry, &batch->arena);
        return setting ? settings[i].put(batch, setting, error) : no_memory(error);
    }
    return EZ_OK;
}

// ---- Models

static ez_status put_model_row(ez_batch *batch, const ez_entry *entry, const ez_was *was, ez_error *error) {
    const Ez__V1__Model *model = (const Ez__V1__Model *)ez_entry_unpack(entry, &batch->arena);
    if (!model || ez_model_json(model, &batch->text) != EZ_OK)
        return no_memory(error);
    put_field(batch, "meta:models", model->name, &batch->text);
    if (!was->is_known) // a name never changes
        index_now(batch, KIND_MODEL, model->id, model->name, strlen(model->name));
    return EZ_OK;
}

static ez_status drop_model_row(ez_batch *batch, int64_t id, const ez_was *was, ez_error *error) {
    char *name = was->is_known ? ez_arena_strndup(&batch->arena, was->text, was->len) : NULL;
    if (was->is_known && !name)
        return no_memory(error);
    if (name && !ez_directory_find(batch->directory, EZ_INDEX_MODEL_NAME, ez_index_text(name)))
        drop_field(batch, "meta:models", name); // else it is its successor's by now
    index_now(batch, KIND_MODEL, id, NULL, 0);
    return EZ_OK;
}

// ---- The table. A rebuild goes through it from top to bottom: tables first, they are few and renamed together;
// settings right after, so that meta:models_meta never speaks of models that are not there yet.

const ez_redis_kind ez_redis_kinds[] = {
    {KIND_NAMESPACE, 'n', NULL, put_namespace, drop_namespace},
    {KIND_GROUP, 0, NULL, put_group, nothing_to_drop},
    {KIND_API_KEY, 'a', "config:providers", put_api_key, drop_api_key},
    {KIND_BINDING, 'b', "config:bindings", put_binding, drop_binding},
    {KIND_MODEL, 'o', "meta:models", put_model_row, drop_model_row},
    {KIND_SETTING, 0, NULL, put_setting, nothing_to_drop},
    {KIND_MASTER, 'm', NULL, put_master, drop_master},
    {KIND_KEY, 'k', NULL, put_key, drop_key},
};
const size_t ez_redis_kind_count = sizeof ez_redis_kinds / sizeof ez_redis_kinds[0];

const ez_redis_kind *ez_redis_kind_find(int kind) {
    for (size_t i = 0; i < ez_redis_kind_count; i++)
        if (ez_redis_kinds[i].kind == kind)
            return &ez_redis_kinds[i];
    return NULL;
}
