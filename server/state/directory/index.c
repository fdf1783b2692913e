// SPDX-License-Identifier: Apache-2.0
//
// The indexes, as a const table of field numbers, and the walk over packed bytes that finds their values. What it gives
// points into the entry.
//
// Awkward: the bytes are as protobuf-c packed them, fields in ascending order, so the walk ends at the first number
// that is past the last it wants; a field that comes twice counts by its last, as everywhere in protobuf.
#include "server/state/directory/index.h"

#include <assert.h>
#include <string.h>

#include "proto/runtime/wire.h"

static const ez_index_spec specs[EZ_INDEX_COUNT] = {
    [EZ_INDEX_MASTER_NAME] = {EZ__V1__KIND__KIND_MASTER, true, .field_a = 2, .reason = "NAME_TAKEN"},
    [EZ_INDEX_MASTER_TOKEN] = {EZ__V1__KIND__KIND_MASTER, true, .field_a = 15, .reason = "TOKEN_TAKEN"},
    [EZ_INDEX_KEY_TOKEN] = {EZ__V1__KIND__KIND_KEY, true, .field_a = 6, .reason = "TOKEN_TAKEN"},
    [EZ_INDEX_KEY_BY_MASTER] = {EZ__V1__KIND__KIND_KEY, false, 0, .field_id = 2},
    [EZ_INDEX_NAMESPACE_NAME] = {EZ__V1__KIND__KIND_NAMESPACE, true, .field_a = 2, .reason = "NAME_TAKEN"},
    [EZ_INDEX_PROVIDER_GROUP_NAME] = {EZ__V1__KIND__KIND_PROVIDER_GROUP, true, .field_a = 2, .reason = "NAME_TAKEN"},
    [EZ_INDEX_API_KEY_BY_GROUP] = {EZ__V1__KIND__KIND_API_KEY, false, 0, .field_id = 2},
    [EZ_INDEX_BINDING_IDENTITY] = {EZ__V1__KIND__KIND_BINDING, true, .field_a = 2, .field_b = 3, .field_id = 4,
                                   .reason = "BINDING_EXISTS"},
    [EZ_INDEX_BINDING_BY_GROUP] = {EZ__V1__KIND__KIND_BINDING, false, 0, .field_id = 4},
    [EZ_INDEX_BINDING_BY_NAMESPACE] = {EZ__V1__KIND__KIND_BINDING, false, 1, .field_a = 2},
    [EZ_INDEX_BINDING_BY_MODEL] = {EZ__V1__KIND__KIND_BINDING, false, 2, .field_a = 2, .field_b = 3},
    [EZ_INDEX_ADMIN_TOKEN_NAME] = {EZ__V1__KIND__KIND_ADMIN_TOKEN, true, .field_a = 2, .reason = "NAME_TAKEN"},
    [EZ_INDEX_ADMIN_TOKEN_TOKEN] = {EZ__V1__KIND__KIND_ADMIN_TOKEN, true, .field_a = 6, .reason = "TOKEN_TAKEN"},
    [EZ_INDEX_DATA_PLANE_NAME] = {EZ__V1__KIND__KIND_DATA_PLANE, true, .field_a = 2, .reason = "NAME_TAKEN"},
    [EZ_INDEX_SETTING_NAME] = {EZ__V1__KIND__KIND_SETTING, true, .field_a = 5, .reason = "NAME_TAKEN"},
    [EZ_INDEX_MODEL_NAME] = {EZ__V1__KIND__KIND_MODEL, true, .field_a = 2, .reason = "NAME_TAKEN"},
    [EZ_INDEX_DATA_PLANE_TOKEN] = {EZ__V1__KIND__KIND_DATA_PLANE, true, .field_a = 9, .reason = "TOKEN_TAKEN"},
};

const ez_index_spec *ez_index_find_spec(ez_index index) {
    assert((unsigned)index < EZ_INDEX_COUNT);
    return &specs[index];
}

static bool is_empty(const ez_index_value *value) {
    return value->a.len == 0 && value->b.len == 0 && value->id == 0;
}

bool ez_index_of_entry(ez_index index, const ez_entry *entry, ez_index_value *out) {
    const ez_index_spec *spec = ez_index_find_spec(index);
    ez_slice data = ez_entry_data(entry);
    uint32_t last = spec->field_a > spec->field_b ? spec->field_a : spec->field_b;
    last = spec->field_id > last ? spec->field_id : last;
    ez_index_value value = {0};
    ez_wire_field field;
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field) && field.number <= last;) {
        if (field.number == spec->field_a && field.type == 2)
            value.a = field.bytes;
        else if (field.number == spec->field_b && field.type == 2)
            value.b = field.bytes;
        else if (field.number == spec->field_id && field.type == 0)
            value.id = (int64_t)field.varint;
    }
    *out = value;
    return !is_empty(&value);
}

// "a NUL b" and "a NUL b NUL id", as ez_index_model and ez_index_binding make them.
static bool split(const ez_index_spec *spec, ez_slice whole, ez_index_value *out) {
    const uint8_t *end = whole.len ? memchr(whole.data, 0, whole.len) : NULL;
    if (!end)
        return false;
    out->a = (ez_slice){whole.data, (size_t)(end - whole.data)};
    out->b = (ez_slice){end + 1, whole.len - out->a.len - 1};
    if (!spec->field_id)
        return true;
    if (out->b.len < 9)
        return false;
    out->b.len -= 9;
    const uint8_t *number = out->b.data + out->b.len;
    uint64_t id = 0;
    for (unsigned i = 1; i <= 8; i++)
        id = id << 8 | number[i];
    out->id = (int64_t)id;
    return number[0] == 0;
}

bool ez_index_of_key(ez_index index, ez_index_key key, ez_index_value *out) {
    const ez_index_spec *spec = ez_index_find_spec(index);
    *out = (ez_index_value){0};
    if (spec->field_b)
        return key.data && split(spec, (ez_slice){key.data, key.len}, out);
    if (spec->field_id)
        out->id = key.data ? 0 : key.id;
    else if (key.data)
        out->a = (ez_slice){key.data, key.len};
    return !is_empty(out);
}

static bool equal_slices(ez_slice x, ez_slice y) {
    return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}

bool ez_index_equal(const ez_index_value *x, const ez_index_value *y) {
    return x->id == y->id && equal_slices(x->a, y->a) && equal_slices(x->b, y->b);
}

uint32_t ez_index_hash(const ez_hash_seed *seed, ez_index index, const ez_index_value *value) {
    uint64_t hash = (uint64_t)value->id * 0x9e3779b97f4a7c15u + (uint64_t)index;
    if (value->a.len > 0)
        hash ^= ez_hash_bytes(seed, value->a.data, value->a.len);
    if (value->b.len > 0)
        hash = hash * 0xff51afd7ed558ccdu ^ ez_hash_bytes(seed, value->b.data, value->b.len);
    return ez_hash_fold(seed, hash);
}

ez_index_key ez_index_text(const char *text) {
    return (ez_index_key){.data = text, .len = strlen(text)};
}

ez_index_key ez_index_bytes(const void *data, size_t len) {
    return (ez_index_key){.data = data, .len = len};
}

// extra: bytes behind the model that the caller fills in.
static ez_index_key compose(const char *name_space, const char *model, size_t extra, ez_arena *arena, uint8_t **end) {
    size_t a = strlen(name_space);
    size_t b = strlen(model);
    uint8_t *bytes = ez_arena_alloc(arena, a + 1 + b + extra);
    if (!bytes)
        return (ez_index_key){.id = -1};
    memcpy(bytes, name_space, a + 1);
    memcpy(bytes + a + 1, model, b);
    *end = bytes + a + 1 + b;
    return (ez_index_key){.data = bytes, .len = a + 1 + b + extra};
}

ez_index_key ez_index_model(const char *name_space, const char *model, ez_arena *arena) {
    uint8_t *end;
    return compose(name_space, model, 0, arena, &end);
}

ez_index_key ez_index_binding(const char *name_space, const char *model, int64_t group_id, ez_arena *arena) {
    uint8_t *end;
    ez_index_key key = compose(name_space, model, 9, arena, &end);
    if (!key.data)
        return key;
    *end++ = 0;
    for (unsigned i = 0; i < 8; i++)
        *end++ = (uint8_t)((uint64_t)group_id >> (56 - 8 * i));
    return key;
}
