// SPDX-License-Identifier: Apache-2.0
//
// Random messages by rule. Texts mix ASCII, what JSON must escape and characters of two to four bytes, and fit every
// bound, format and list of words of their field. Of a oneof one member is set at most.
#include "fill.h"

#include <criterion/criterion.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/field.h"

uint64_t fill_random(fill *f, uint64_t below) {
    f->state ^= f->state << 13;
    f->state ^= f->state >> 7;
    f->state ^= f->state << 17;
    return below ? f->state % below : f->state;
}

static const char *const letters[] = {
    "a", "z", "0", "-", "_", "\"", "\\", "\n", "\x1F", "\x7F", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};

static char *text(fill *f, const ez_field_rule *field) {
    static const char *const formats[][3] = {
        [EZ_FORMAT_NAMESPACE] = {"default", "prod-1", "\xC3\xA9t\xC3\xA9"},
        [EZ_FORMAT_URL] = {"https://a.example/v1", "http://10.0.0.1:8080", "https://[2001:db8::1]:443/x?y=z"},
        [EZ_FORMAT_CIDR] = {"10.0.0.0/8", "2001:db8::/32", "192.0.2.1"},
        [EZ_FORMAT_JSON_OBJECT] = {"{\"n\":-7}", "{\"a\":[1,0.5,{\"b\":null}],\"c\":\"\xC3\xA9\\n\"}",
                                   "{\"d\":true,\"e\":[]}"}};
    if (field->format)
        return ez_arena_strdup(f->arena, formats[field->format][fill_random(f, 3)]);
    if (field->one_of) {
        size_t count = 0;
        while (field->one_of[count])
            count++;
        return ez_arena_strdup(f->arena, field->one_of[fill_random(f, count)]);
    }
    size_t least = field->min_len ? field->min_len : 1, most = field->max_len < 40 ? field->max_len : 40;
    size_t want = least + fill_random(f, most - least + 1), len = 0;
    char out[64] = "";
    while (len < want) {
        // Blanks at the ends would be trimmed: letters without any stand there.
        const char *letter = letters[len == 0 || len + 1 == want ? fill_random(f, 5) : fill_random(f, 13)];
        if (len + strlen(letter) < want || strlen(letter) == 1)
            len += (size_t)sprintf(out + len, "%s", letter);
    }
    return ez_arena_strdup(f->arena, out);
}

// As ez_json_write would give it back.
static char *scalar(fill *f) {
    static const char *const values[] = {"true", "false", "5", "-12", "0.1", "\"text\"", "\"a\\n\\\"\xC3\xA9\"", ""};
    return ez_arena_strdup(f->arena, values[fill_random(f, sizeof values / sizeof values[0])]);
}

static ProtobufCBinaryData bytes(fill *f, const ez_field_rule *field) {
    size_t least = field->min_len ? field->min_len : 1, most = field->max_len < 40 ? field->max_len : 40;
    ProtobufCBinaryData out = {.len = least + fill_random(f, most - least + 1)};
    out.data = ez_arena_alloc(f->arena, out.len);
    for (size_t i = 0; i < out.len; i++)
        out.data[i] = (uint8_t)fill_random(f, 256);
    return out;
}

static Google__Protobuf__Timestamp *timestamp(fill *f) {
    static const int32_t nanos[] = {0, 5000000, 123456000, 999999999};
    Google__Protobuf__Timestamp *out = (void *)ez_field_new_message(&google__protobuf__timestamp__descriptor, f->arena);
    out->seconds = (int64_t)fill_random(f, UINT64_C(253402300800));
    out->nanos = nanos[fill_random(f, 4)];
    return out;
}

static int64_t number(fill *f, const ez_field_rule *field, int64_t least, int64_t most) {
    if (field->flags & EZ_FIELD_HAS_MIN && field->min > least)
        least = field->min;
    if (field->flags & EZ_FIELD_HAS_MAX && field->max < most)
        most = field->max;
    if (fill_random(f, 4) == 0)
        return most;
    uint64_t span = (uint64_t)most - (uint64_t)least;
    int64_t value = (int64_t)((uint64_t)least + fill_random(f, span == UINT64_MAX ? 0 : span + 1));
    return value ? value : most;
}

static void value(fill *f, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, void *at) {
    switch (fd->type) {
    case PROTOBUF_C_TYPE_INT32:
        *(int32_t *)at = (int32_t)number(f, field, INT32_MIN, INT32_MAX);
        return;
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)at = (uint32_t)number(f, field, 0, UINT32_MAX);
        return;
    case PROTOBUF_C_TYPE_INT64:
        *(int64_t *)at = number(f, field, INT64_MIN, INT64_MAX);
        return;
    case PROTOBUF_C_TYPE_UINT64:
        *(uint64_t *)at = (uint64_t)number(f, field, 0, INT64_MAX);
        return;
    case PROTOBUF_C_TYPE_DOUBLE: {
        bool has_min = field->flags & EZ_FIELD_HAS_MIN, has_max = field->flags & EZ_FIELD_HAS_MAX;
        double part = (double)(fill_random(f, 999983) + 1) / 999983.0;
        double least = has_min ? (double)field->min : 0, span = has_max ? (double)field->max - least : 1;
        *(double *)at = least + part * span;
        return;
    }
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = true;
        return;
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumDescriptor *type = fd->descriptor;
        *(int32_t *)at = type->values[1 + fill_random(f, type->n_values - 1)].value;
        return;
    }
    case PROTOBUF_C_TYPE_STRING:
        *(char **)at = text(f, field);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)at = bytes(f, field);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(void **)at = field->flags & EZ_FIELD_TIMESTAMP ? (void *)timestamp(f) : fill_message(f, field->message);
        return;
    default:
        cr_assert_fail("the schema has a type this does not fill: %s", field->name);
    }
}

static void map(fill *f, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, ProtobufCMessage *message) {
    size_t count = 1 + fill_random(f, 4);
    ProtobufCMessage **entries = ez_arena_alloc(f->arena, count * sizeof entries[0]);
    const ProtobufCMessageDescriptor *type = fd->descriptor;
    for (size_t i = 0; i < count; i++) {
        entries[i] = ez_field_new_message(type, f->arena);
        *(char **)ez_field_at(&type->fields[0], entries[i]) = ez_arena_printf(f->arena, "k\xC3\xA9y%zu", i);
        *(char **)ez_field_at(&type->fields[1], entries[i]) =
            field->flags & EZ_FIELD_JSON_VALUES ? scalar(f) : text(f, field);
    }
    *ez_field_count(fd, message) = count;
    *(ProtobufCMessage ***)ez_field_at(fd, message) = entries;
}

void fill_field(fill *f, const ez_message_rule *rule, const ez_field_rule *field, ProtobufCMessage *message) {
    const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
    if (field->flags & EZ_FIELD_MAP) {
        map(f, field, fd, message);
    } else if (ez_field_is_repeated(fd)) {
        size_t count = 1 + fill_random(f, 3), size = ez_field_size(fd);
        char *values = ez_arena_zalloc(f->arena, count * size);
        for (size_t i = 0; i < count; i++)
            value(f, field, fd, values + i * size);
        *ez_field_count(fd, message) = count;
        *(char **)ez_field_at(fd, message) = values;
    } else {
        if (ez_field_is_member(fd))
            *ez_field_case(fd, message) = fd->id;
        value(f, field, fd, ez_field_at(fd, message));
    }
}

ProtobufCMessage *fill_message(fill *f, const ez_message_rule *rule) {
    ProtobufCMessage *message = ez_field_new_message(rule->descriptor, f->arena);
    cr_assert_not_null(message);
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
        if (ez_field_is_member(fd) && *ez_field_case(fd, message))
            continue;
        if (field->flags & EZ_FIELD_REQUIRED || fill_random(f, 100) < f->percent)
            fill_field(f, rule, field, message);
    }
    return message;
}

bool messages_equal(const ProtobufCMessage *a, const ProtobufCMessage *b) {
    if (a->descriptor != b->descriptor)
        return false;
    for (unsigned i = 0; i < a->descriptor->n_fields; i++) {
        if (!ez_field_is_equal(&a->descriptor->fields[i], a, b))
            return false;
    }
    return true;
}

const ez_message_rule *rule_named(const char *name) {
    for (unsigned i = 0; i < ez_message_rule_count; i++) {
        if (strcmp(ez_message_rules[i]->name, name) == 0)
            return ez_message_rules[i];
    }
    cr_assert_fail("no message %s", name);
    return NULL;
}

const ez_field_rule *field_named(const ez_message_rule *rule, const char *name) {
    const ez_field_rule *field = ez_field_rule_find(rule, name);
    cr_assert_not_null(field, "no field %s", name);
    return field;
}
