// SPDX-License-Identifier: Apache-2.0
//
// Field values from and to their words: integers, enum words, times, bytes. Whatever does not fit is refused, never
// bent. The awkward case is the enum's prefix: KEY_STATUS_ACTIVE of KeyStatus is "active"; a value that does not begin
// with its type's name keeps all of its own.
#include <google/protobuf/timestamp.pb-c.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/field.h"

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// How much of a value's name is its type's name in UPPER_SNAKE and a "_"; 0: it does not begin with that.
static size_t prefix_len(const char *type, const char *value) {
    size_t at = 0;
    for (size_t i = 0; type[i]; i++) {
        bool starts_word = is_upper(type[i]) && i > 0 &&
                           (is_lower(type[i - 1]) || (is_upper(type[i - 1]) && type[i + 1] && is_lower(type[i + 1])));
        if (starts_word && value[at++] != '_')
            return 0;
        char c = type[i] >= 'a' && type[i] <= 'z' ? (char)(type[i] - 'a' + 'A') : type[i];
        if (value[at] != c)
            return 0;
        at++;
    }
    return value[at] == '_' && value[at + 1] ? at + 1 : 0;
}

const char *ez_field_word(const ProtobufCEnumDescriptor *type, int value) {
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found ? found->name + prefix_len(type->short_name, found->name) : NULL;
}

const char *ez_field_words(const ProtobufCEnumDescriptor *type, char out[EZ_FIELD_WORDS_MAX]) {
    static const char more[] = ", …";
    size_t len = 0;
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *word = type->values[i].name + prefix_len(type->short_name, type->values[i].name);
        if (strcmp(word, "UNSPECIFIED") == 0)
            continue;
        size_t gap = len ? 2 : 0, size = strlen(word);
        if (len + gap + size + sizeof more > EZ_FIELD_WORDS_MAX) {
            memcpy(out + len, more, sizeof more - 1);
            len += sizeof more - 1;
            break;
        }
        memcpy(out + len, ", ", gap);
        len += gap;
        for (size_t j = 0; j < size; j++)
            out[len++] = is_upper(word[j]) ? (char)(word[j] - 'A' + 'a') : word[j];
    }
    out[len] = '\0';
    return out;
}

bool ez_field_store_word(const ProtobufCFieldDescriptor *field, void *at, const char *text, size_t len) {
    const ProtobufCEnumDescriptor *type = field->descriptor;
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *word = type->values[i].name + prefix_len(type->short_name, type->values[i].name);
        size_t j = 0;
        for (; j < len && word[j]; j++) {
            char c = is_upper(word[j]) ? (char)(word[j] - 'A' + 'a') : word[j];
            if (c != text[j])
                break;
        }
        if (j == len && !word[j]) {
            *(int32_t *)at = type->values[i].value;
            return true;
        }
    }
    return false;
}

bool ez_field_read_integer(const char *text, size_t len, bool *is_negative, uint64_t *magnitude) {
    size_t at = len > 0 && text[0] == '-';
    if (at == len || len - at > 20)
        return false;
    *is_negative = at == 1;
    uint64_t sum = 0;
    for (; at < len; at++) {
        unsigned digit = (unsigned)(text[at] - '0');
        if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *magnitude = sum;
    return true;
}

bool ez_field_store_integer(const ProtobufCFieldDescriptor *field, void *at, bool is_negative, uint64_t magnitude) {
    bool minus = is_negative && magnitude != 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (magnitude > (uint64_t)INT32_MAX + minus)
            return false;
        *(int32_t *)at = (int32_t)(minus ? -(int64_t)magnitude : (int64_t)magnitude);
        return true;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        if (magnitude > (uint64_t)INT64_MAX + minus)
            return false;
        *(int64_t *)at = (int64_t)(minus ? 0 - magnitude : magnitude);
        return true;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (minus || magnitude > UINT32_MAX)
            return false;
        *(uint32_t *)at = (uint32_t)magnitude;
        return true;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        if (minus)
            return false;
        *(uint64_t *)at = magnitude;
        return true;
    default:
        return false;
    }
}

bool ez_field_store_time(void *at, const char *text, size_t len, ez_arena *arena) {
    int64_t seconds;
    int32_t nanos;
    if (ez_clock_parse(text, len, &seconds, &nanos) != EZ_OK)
        return false;
    Google__Protobuf__Timestamp *time = (void *)ez_field_new_message(&google__protobuf__timestamp__descriptor, arena);
    if (!time)
        return false;
    time->seconds = seconds;
    time->nanos = nanos;
    *(Google__Protobuf__Timestamp **)at = time;
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_hex(const char *text, size_t len, uint8_t *out, size_t *used) {
    if (len % 2)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        *out++ = (uint8_t)(high << 4 | low);
    }
    *used = len / 2;
    return true;
}

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool read_base64(const char *text, size_t len, uint8_t *out, size_t *used) {
    size_t digits = len;
    while (digits > 0 && text[digits - 1] == '=')
        digits--;
    if (len - digits > 2 || digits % 4 == 1 || (len != digits && len % 4))
        return false;
    uint32_t bits = 0;
    unsigned have = 0;
    uint8_t *start = out;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            *out++ = (uint8_t)(bits >> have);
        }
    }
    *used = (size_t)(out - start);
    return (bits & ((1u << have) - 1)) == 0; // no bits that would be lost
}

bool ez_field_store_bytes(void *at, bool is_hex, const char *text, size_t len, ez_arena *arena) {
    ProtobufCBinaryData bytes = {0};
    if (len > 0) {
        bytes.data = ez_arena_alloc(arena, len);
        if (!bytes.data ||
            !(is_hex ? read_hex(text, len, bytes.data, &bytes.len) : read_base64(text, len, bytes.data, &bytes.len)))
            return false;
    }
    *(ProtobufCBinaryData *)at = bytes;
    return true;
}
