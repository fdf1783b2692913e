// SPDX-License-Identifier: Apache-2.0
//
// Normalising and validating any message of the schema by its rules. Texts that change are copied into the arena;
// nothing else is made. A violation says what the value must be and never what it is: it may be a secret. The awkward
// case is "required", which binds a resource only where it is made (message.h says how that is told).
#include <assert.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <math.h>
#include <string.h>

#include "proto/runtime/field.h"
#include "proto/runtime/format.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"
#include "proto/runtime/utf8.h"

#define KEY_MAX      255                   // bytes of a map's key
#define SECONDS_MAX  INT64_C(253402300799) // 9999-12-31T23:59:59Z
#define PAST_COUNTED EZ_ERROR_VIOLATIONS_MAX

typedef struct walk {
    ez_arena *arena;
    ez_error *error;
    unsigned faults;
    bool is_full; // the arena refused
} walk;

static void check_message(walk *w, const ez_message_rule *rule, ProtobufCMessage *message, bool is_create,
                          const ez_place *place);

#define FAULT(w, place, ...) ((w)->faults++, (void)ez_place_violation(place, (w)->error, __VA_ARGS__))

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Trims and lowers. In the arena, since a text may be shared or constant.
static void normalise(walk *w, uint32_t flags, char **at) {
    if (!(flags & (EZ_FIELD_TRIM | EZ_FIELD_LOWER)))
        return;
    char *text = *at;
    size_t len = strlen(text);
    size_t start = 0, end = len;
    if (flags & EZ_FIELD_TRIM) {
        while (start < end && is_space(text[start]))
            start++;
        while (end > start && is_space(text[end - 1]))
            end--;
    }
    size_t upper = end;
    for (size_t i = start; flags & EZ_FIELD_LOWER && i < end && upper == end; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            upper = i;
    }
    if (end - start == len && upper == end)
        return;
    char *copy = ez_arena_strndup(w->arena, text + start, end - start);
    if (!copy) {
        w->is_full = true;
        return;
    }
    for (size_t i = upper - start; i < end - start; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    }
    *at = copy;
}

static void check_length(walk *w, const ez_field_rule *field, size_t len, const ez_place *place) {
    if (len < field->min_len && field->min_len == field->max_len)
        FAULT(w, place, "must have %u bytes", field->min_len);
    else if (len < field->min_len)
        FAULT(w, place, "must have at least %u byte%s", field->min_len, field->min_len == 1 ? "" : "s");
    else if (len > field->max_len)
        FAULT(w, place, "must have at most %u bytes", field->max_len);
}

static void check_words(walk *w, const ez_field_rule *field, const char *text, const ez_place *place) {
    char list[EZ_FIELD_WORDS_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; field->one_of[i]; i++) {
        if (strcmp(field->one_of[i], text) == 0)
            return;
        size_t len = strlen(field->one_of[i]);
        if (used + len + 2 < sizeof list) {
            if (used) {
                memcpy(list + used, ", ", 2);
                used += 2;
            }
            memcpy(list + used, field->one_of[i], len + 1);
            used += len;
        }
    }
    FAULT(w, place, "must be one of: %s", list);
}

static void check_text(walk *w, const ez_field_rule *field, const char *text, const ez_place *place) {
    size_t len = strlen(text);
    if (!ez_utf8_is_valid(text, len)) {
        FAULT(w, place, "must be UTF-8");
        return;
    }
    unsigned before = w->faults;
    check_length(w, field, len, place);
    if (w->faults != before)
        return;
    if (field->flags & EZ_FIELD_JSON_VALUES && len > 0 && !ez_json_is_scalar(text)) {
        FAULT(w, place, "must be JSON: true, false, a number or a string");
        return;
    }
    if (field->one_of)
        check_words(w, field, text, place);
    const char *fault = ez_format_fault(field->format, text, len);
    if (fault)
        FAULT(w, place, "%s", fault);
}

static void check_range(walk *w, const ez_field_rule *field, bool is_below, bool is_above, const ez_place *place) {
    if (!is_below && !is_above)
        return;
    if (field->flags & EZ_FIELD_HAS_MIN && field->flags & EZ_FIELD_HAS_MAX)
        FAULT(w, place, "must be %lld to %lld", (long long)field->min, (long long)field->max);
    else if (is_below)
        FAULT(w, place, "must be at least %lld", (long long)field->min);
    else
        FAULT(w, place, "must be at most %lld", (long long)field->max);
}

static void check_signed(walk *w, const ez_field_rule *field, int64_t value, const ez_place *place) {
    check_range(w, field, field->flags & EZ_FIELD_HAS_MIN && value < field->min,
                field->flags & EZ_FIELD_HAS_MAX && value > field->max, place);
}

static void check_unsigned(walk *w, const ez_field_rule *field, uint64_t value, const ez_place *place) {
    check_range(w, field, field->flags & EZ_FIELD_HAS_MIN && field->min > 0 && value < (uint64_t)field->min,
                field->flags & EZ_FIELD_HAS_MAX && (field->max < 0 || value > (uint64_t)field->max), place);
}

static void check_double(walk *w, const ez_field_rule *field, double value, const ez_place *place) {
    if (!isfinite(value))
        FAULT(w, place, "must be a finite number");
    else
        check_range(w, field, field->flags & EZ_FIELD_HAS_MIN && value < (double)field->min,
                    field->flags & EZ_FIELD_HAS_MAX && value > (double)field->max, place);
}

static void check_time(walk *w, const Google__Protobuf__Timestamp *time, const ez_place *place) {
    if (time->seconds < 0 || time->seconds > SECONDS_MAX || time->nanos < 0 || time->nanos > 999999999)
        FAULT(w, place, "must be a time within the years 1970 to 9999");
}

// An item of a batch gets a status of its own: its handler checks what it creates or updates.
static bool is_left_to_handler(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd) {
    return ez_field_is_member(fd) && !(field->flags & EZ_FIELD_PRESENCE) &&
           (strcmp(field->name, "create") == 0 || strcmp(field->name, "update") == 0);
}

static void check_inner(walk *w, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd,
                        ProtobufCMessage *inner, bool is_create, const ez_place *place) {
    if (!inner || is_left_to_handler(field, fd))
        return;
    if (field->flags & EZ_FIELD_TIMESTAMP)
        check_time(w, (const Google__Protobuf__Timestamp *)inner, place);
    else if (field->message)
        check_message(w, field->message, inner, is_create, place);
}

static void check_value(walk *w, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, void *at,
                        bool is_create, const ez_place *place) {
    switch (fd->type) {
    case PROTOBUF_C_TYPE_STRING:
        check_text(w, field, *(char **)at, place);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        check_length(w, field, ((const ProtobufCBinaryData *)at)->len, place);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        check_inner(w, field, fd, *(ProtobufCMessage **)at, is_create, place);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        if (!protobuf_c_enum_descriptor_get_value(fd->descriptor, *(const int *)at))
            FAULT(w, place, "must be a value that the schema names");
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        check_signed(w, field, *(const int32_t *)at, place);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        check_signed(w, field, *(const int64_t *)at, place);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        check_unsigned(w, field, *(const uint32_t *)at, place);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        check_unsigned(w, field, *(const uint64_t *)at, place);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        check_double(w, field, (double)*(const float *)at, place);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        check_double(w, field, *(const double *)at, place);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        return;
    }
}

static char **map_text(const ProtobufCFieldDescriptor *fd, const ProtobufCMessage *entry, unsigned index) {
    const ProtobufCMessageDescriptor *type = fd->descriptor;
    return ez_field_at(&type->fields[index], entry);
}

static void check_map(walk *w, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd,
                      const ProtobufCMessage *message, const ez_place *place) {
    ProtobufCMessage **entries = *(ProtobufCMessage ***)ez_field_at(fd, message);
    size_t count = *ez_field_count(fd, message);
    for (size_t i = 0; i < count && w->faults < PAST_COUNTED; i++) {
        ez_place element = {.up = place, .index = i};
        ez_place key_place = {.up = &element, .name = "key"}, value_place = {.up = &element, .name = "value"};
        char **key = map_text(fd, entries[i], 0), **value = map_text(fd, entries[i], 1);
        normalise(w, field->flags, key);
        normalise(w, field->flags, value);
        size_t len = strlen(*key);
        if (len == 0 || len > KEY_MAX || !ez_utf8_is_valid(*key, len))
            FAULT(w, &key_place, "must have 1 to %d bytes of UTF-8", KEY_MAX);
        check_text(w, field, *value, &value_place);
        // Maps are short (max_items): looking back is cheaper than a table.
        for (size_t j = 0; j < i; j++) {
            if (strcmp(*map_text(fd, entries[j], 0), *key) == 0) {
                FAULT(w, &key_place, "is there twice");
                break;
            }
        }
    }
}

static void check_list(walk *w, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd,
                       const ProtobufCMessage *message, bool is_create, const ez_place *place) {
    size_t count = *ez_field_count(fd, message), size = ez_field_size(fd);
    char *values = *(char **)ez_field_at(fd, message);
    if (count > field->max_items) {
        FAULT(w, place, "has more than %u elements", field->max_items);
        return;
    }
    if (field->flags & EZ_FIELD_MAP) {
        check_map(w, field, fd, message, place);
        return;
    }
    for (size_t i = 0; i < count && w->faults < PAST_COUNTED; i++) {
        ez_place element = {.up = place, .index = i};
        if (fd->type == PROTOBUF_C_TYPE_STRING)
            normalise(w, field->flags, (char **)(values + i * size));
        check_value(w, field, fd, values + i * size, is_create, &element);
    }
}

// 0 is as good as nothing: of a number both are said, since it may have been given.
static void refuse_missing(walk *w, const ez_field_rule *field, bool is_list, const ez_place *place) {
    if (is_list)
        FAULT(w, place, "must have at least one element");
    else if (field->flags & EZ_FIELD_HAS_MIN && field->min > 0)
        FAULT(w, place, "is required, and must be at least %lld", (long long)field->min);
    else
        FAULT(w, place, "is required");
}

static void check_field(walk *w, const ez_message_rule *rule, const ez_field_rule *field, ProtobufCMessage *message,
                        bool is_create, bool is_required, const ez_place *up) {
    const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
    ez_place place = {.up = up, .name = field->name};
    if (field->flags & EZ_FIELD_OUTPUT_ONLY) {
        ez_field_clear(fd, message);
        return;
    }
    if (fd->type == PROTOBUF_C_TYPE_STRING && !ez_field_is_repeated(fd) && ez_field_is_live(fd, message))
        normalise(w, field->flags, ez_field_at(fd, message));
    if (ez_field_is_empty(fd, message)) {
        if (is_required && field->flags & EZ_FIELD_REQUIRED)
            refuse_missing(w, field, ez_field_is_repeated(fd), &place);
        return;
    }
    if (ez_field_is_repeated(fd))
        check_list(w, field, fd, message, is_create, &place);
    else
        check_value(w, field, fd, ez_field_at(fd, message), is_create, &place);
}

static bool is_resource(const ez_message_rule *rule) {
    for (unsigned i = 0; i < rule->field_count; i++) {
        if (rule->fields[i].flags & EZ_FIELD_OUTPUT_ONLY)
            return true;
    }
    return false;
}

static void check_message(walk *w, const ez_message_rule *rule, ProtobufCMessage *message, bool is_create,
                          const ez_place *place) {
    bool is_required = is_create || !is_resource(rule);
    for (unsigned i = 0; i < rule->field_count && w->faults < PAST_COUNTED; i++)
        check_field(w, rule, &rule->fields[i], message, is_create, is_required, place);
}

ez_status ez_message_check(const ez_message_rule *rule, ProtobufCMessage *message, bool is_create, ez_arena *arena,
                           ez_error *error) {
    assert(message->descriptor == rule->descriptor);
    walk w = {.arena = arena, .error = error};
    check_message(&w, rule, message, is_create, NULL);
    if (w.is_full)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                            "the message needs more memory than one call may have: send less at once");
    return w.faults ? EZ_INVALID_ARGUMENT : EZ_OK;
}
