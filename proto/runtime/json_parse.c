// SPDX-License-Identifier: Apache-2.0
//
// JSON to messages. jansson makes a tree, which is walked by the field table into the caller's arena. jansson recurses
// and allocates as the text says, so depth and number of values are counted over the raw text first. Its error texts
// quote the input and are not used: the input may hold a secret. The awkward case is null, which gives a field no value
// but its name to the mask.
#include <jansson.h>
#include <math.h>

#include "proto/runtime/field.h"
#include "proto/runtime/json.h"

#define DEPTH_MAX  32
#define VALUES_MAX (256u << 10)

typedef struct parser {
    ez_arena *arena;
    ez_error *error;
    unsigned faults;
} parser;

#define FAULT(p, place, ...) ((p)->faults++, (void)ez_place_violation(place, (p)->error, __VA_ARGS__))

static void parse_object(parser *p, const ez_message_rule *rule, json_t *object, ProtobufCMessage *message,
                         const ez_place *place);

static ez_status bad_json(ez_error *error, const char *what) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "JSON_INVALID", "the body is no JSON that is taken here: %s", what);
}

// Depth and number of values, by brackets and commas outside of strings.
static ez_status measure(const char *text, size_t len, ez_error *error) {
    unsigned depth = 0, values = 1;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == ',' || c == ':')
            values++;
        else if ((c == '[' || c == '{') && ++depth > DEPTH_MAX)
            return bad_json(error, "it is nested more than 32 deep");
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        if (values > VALUES_MAX)
            return bad_json(error, "it holds too many values");
    }
    return EZ_OK;
}

static const char *reason(const json_error_t *problem) {
    switch (json_error_code(problem)) {
    case json_error_duplicate_key:
        return "a key is there twice";
    case json_error_invalid_utf8:
        return "it is not UTF-8";
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "something follows the object";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a text holds NUL";
    default:
        return "its syntax is wrong";
    }
}

static ez_status refuse_text(const json_error_t *problem, ez_error *error) {
    // JSON, but jansson holds no integer above this one. As a string every 64-bit integer is taken.
    if (json_error_code(problem) == json_error_numeric_overflow)
        return ez_error_set(
            error, EZ_INVALID_ARGUMENT, "JSON_INVALID",
            "a number is out of range (line %d, column %d): write integers above 9223372036854775807 as strings",
            problem->line, problem->column);
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "JSON_INVALID", "the body is no JSON: %s (line %d, column %d)",
                        reason(problem), problem->line, problem->column);
}

static ez_status load(const char *text, size_t len, json_t **out, ez_error *error) {
    if (len > EZ_JSON_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "JSON_INVALID",
                            "the body has %zu bytes; at most %u may be sent", len, EZ_JSON_MAX);
    ez_status status = measure(text, len, error);
    if (status != EZ_OK)
        return status;
    json_error_t problem;
    json_t *root = json_loadb(len ? text : "", len, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        return refuse_text(&problem, error);
    if (!json_is_object(root)) {
        json_decref(root);
        return bad_json(error, "it must be an object");
    }
    *out = root;
    return EZ_OK;
}

static bool is_wide(const ProtobufCFieldDescriptor *fd) {
    return ez_field_size(fd) == 8;
}

static void put_integer(parser *p, const ProtobufCFieldDescriptor *fd, json_t *value, void *at, const ez_place *place) {
    bool is_negative = false;
    uint64_t magnitude = 0;
    bool is_number = true;
    if (json_is_integer(value)) {
        json_int_t n = json_integer_value(value);
        is_negative = n < 0;
        magnitude = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    } else if (json_is_real(value) && fabs(json_real_value(value)) <= 0x1p53 &&
               trunc(json_real_value(value)) == json_real_value(value)) {
        is_negative = json_real_value(value) < 0;
        magnitude = (uint64_t)fabs(json_real_value(value));
    } else {
        is_number =
            json_is_string(value) && is_wide(fd) &&
            ez_field_read_integer(json_string_value(value), json_string_length(value), &is_negative, &magnitude);
    }
    if (!is_number)
        FAULT(p, place, "must be a whole number");
    else if (!ez_field_store_integer(fd, at, is_negative, magnitude))
        FAULT(p, place, "is out of range");
}

static void put_number(parser *p, const ProtobufCFieldDescriptor *fd, json_t *value, void *at, const ez_place *place) {
    if (!json_is_number(value)) {
        FAULT(p, place, "must be a number");
        return;
    }
    double number = json_number_value(value);
    if (number == 0)
        number = 0; // "-0" is an integer to jansson, "-0.0" is not: both are 0 here
    if (fd->type == PROTOBUF_C_TYPE_DOUBLE)
        *(double *)at = number;
    else if (fabs(number) <= (double)__FLT_MAX__)
        *(float *)at = (float)number;
    else
        FAULT(p, place, "is out of range");
}

static void write_tree(json_t *value, ez_buf *out);

static void write_members(json_t *object, ez_buf *out) {
    char lead = '{';
    const char *key;
    json_t *inner;
    json_object_foreach(object, key, inner) {
        (void)ez_buf_putc(out, lead);
        lead = ',';
        (void)ez_json_write_string(key, strlen(key), out);
        (void)ez_buf_putc(out, ':');
        write_tree(inner, out);
    }
    (void)ez_buf_puts(out, lead == '{' ? "{}" : "}");
}

// As it came, without blanks. Its depth was measured.
static void write_tree(json_t *value, ez_buf *out) {
    if (json_is_object(value)) {
        write_members(value, out);
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            (void)ez_buf_putc(out, i ? ',' : '[');
            write_tree(json_array_get(value, i), out);
        }
        (void)ez_buf_puts(out, json_array_size(value) ? "]" : "[]");
    } else if (json_is_string(value)) {
        (void)ez_json_write_string(json_string_value(value), json_string_length(value), out);
    } else if (json_is_integer(value)) {
        (void)ez_buf_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        (void)ez_json_write_double(json_real_value(value), out);
    } else {
        (void)ez_buf_puts(out, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
    }
}

// A text field that holds an object. An empty one is the empty text, as it is written.
static void put_object_text(parser *p, json_t *value, void *at, const ez_place *place) {
    if (!json_is_object(value)) {
        FAULT(p, place, "must be an object");
        return;
    }
    if (json_object_size(value) == 0)
        return;
    ez_buf text;
    ez_buf_init(&text, EZ_JSON_MAX);
    write_tree(value, &text);
    char *copy = text.overflow ? NULL : ez_arena_strndup(p->arena, (const char *)text.data, text.len);
    p->arena->refused |= !copy;
    if (copy)
        *(char **)at = copy;
    ez_buf_fini(&text);
}

// Fields whose JSON is a string.
static void put_string(parser *p, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, json_t *value,
                       void *at, const ez_place *place) {
    if (!json_is_string(value)) {
        FAULT(p, place, "must be a string");
        return;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (fd->type == PROTOBUF_C_TYPE_STRING) {
        char *copy = ez_arena_strndup(p->arena, text, len);
        if (copy)
            *(char **)at = copy;
    } else if (fd->type == PROTOBUF_C_TYPE_ENUM) {
        if (!ez_field_store_word(fd, at, text, len)) {
            char words[EZ_FIELD_WORDS_MAX];
            FAULT(p, place, "must be one of %s", ez_field_words(fd->descriptor, words));
        }
    } else if (fd->type == PROTOBUF_C_TYPE_BYTES) {
        if (!ez_field_store_bytes(at, field->flags & EZ_FIELD_HEX, text, len, p->arena))
            FAULT(p, place, "must be %s", field->flags & EZ_FIELD_HEX ? "hexadecimal" : "base64");
    } else if (!ez_field_store_time(at, text, len, p->arena)) {
        FAULT(p, place, "must be a time such as 2025-01-31T08:00:00Z");
    }
}

static void put_object(parser *p, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, json_t *value,
                       void *at, const ez_place *place) {
    if (!json_is_object(value)) {
        FAULT(p, place, "must be an object");
        return;
    }
    ProtobufCMessage *inner = ez_field_new_message(fd->descriptor, p->arena);
    if (!inner)
        return;
    *(ProtobufCMessage **)at = inner;
    parse_object(p, field->message, value, inner, place);
}

static void put_value(parser *p, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, json_t *value,
                      void *at, const ez_place *place) {
    switch (fd->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (json_is_boolean(value))
            *(protobuf_c_boolean *)at = json_is_true(value);
        else
            FAULT(p, place, "must be true or false");
        return;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        put_number(p, fd, value, at, place);
        return;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BYTES:
        if (field->format == EZ_FORMAT_JSON_OBJECT)
            put_object_text(p, value, at, place);
        else
            put_string(p, field, fd, value, at, place);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (field->flags & EZ_FIELD_TIMESTAMP)
            put_string(p, field, fd, value, at, place);
        else if (field->message)
            put_object(p, field, fd, value, at, place);
        else
            FAULT(p, place, "can't be given as JSON");
        return;
    default:
        put_integer(p, fd, value, at, place);
        return;
    }
}

static void put_list(parser *p, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, json_t *value,
                     ProtobufCMessage *message, const ez_place *place) {
    if (!json_is_array(value)) {
        FAULT(p, place, "must be a list");
        return;
    }
    size_t count = json_array_size(value), size = ez_field_size(fd);
    if (count > field->max_items) {
        FAULT(p, place, "has more than %u elements", field->max_items);
        return;
    }
    char *values = ez_arena_zalloc(p->arena, count * size);
    if (!values || count == 0)
        return;
    for (size_t i = 0; i < count && p->faults < EZ_ERROR_VIOLATIONS_MAX; i++) {
        ez_place element = {.up = place, .index = i};
        if (json_is_null(json_array_get(value, i)))
            FAULT(p, &element, "must not be null");
        else
            put_value(p, field, fd, json_array_get(value, i), values + i * size, &element);
    }
    *ez_field_count(fd, message) = count;
    *(char **)ez_field_at(fd, message) = values;
}

static ProtobufCMessage *map_entry(parser *p, const ProtobufCMessageDescriptor *type, const char *key, char *value) {
    ProtobufCMessage *entry = ez_field_new_message(type, p->arena);
    char *key_copy = ez_arena_strdup(p->arena, key);
    if (!entry || !key_copy)
        return NULL;
    *(char **)ez_field_at(&type->fields[0], entry) = key_copy;
    *(char **)ez_field_at(&type->fields[1], entry) = value;
    return entry;
}

// The JSON text of a value that is no object and no list; null has none, so that it removes what was there.
static char *scalar_text(parser *p, json_t *value) {
    if (json_is_null(value))
        return ez_arena_strdup(p->arena, "");
    if (json_is_boolean(value))
        return ez_arena_strdup(p->arena, json_is_true(value) ? "true" : "false");
    if (json_is_integer(value))
        return ez_arena_printf(p->arena, "%lld", (long long)json_integer_value(value));
    ez_buf text;
    ez_buf_init(&text, EZ_JSON_MAX);
    if (json_is_string(value))
        (void)ez_json_write_string(json_string_value(value), json_string_length(value), &text);
    else
        (void)ez_json_write_double(json_real_value(value), &text);
    char *copy = text.overflow ? NULL : ez_arena_strndup(p->arena, (const char *)text.data, text.len);
    p->arena->refused |= !copy;
    ez_buf_fini(&text);
    return copy;
}

// NULL: a fault, or no memory.
static char *map_value(parser *p, const ez_field_rule *field, json_t *value, const ez_place *place) {
    if (field->flags & EZ_FIELD_JSON_VALUES) {
        if (!json_is_object(value) && !json_is_array(value))
            return scalar_text(p, value);
        FAULT(p, place, "must be true, false, a number or a string");
    } else {
        if (json_is_string(value))
            return ez_arena_strndup(p->arena, json_string_value(value), json_string_length(value));
        FAULT(p, place, "must be a string");
    }
    return NULL;
}

static void put_map(parser *p, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, json_t *value,
                    ProtobufCMessage *message, const ez_place *place) {
    if (!json_is_object(value)) {
        FAULT(p, place, field->flags & EZ_FIELD_JSON_VALUES ? "must be an object" : "must be an object of strings");
        return;
    }
    size_t count = json_object_size(value), used = 0;
    if (count > field->max_items) {
        FAULT(p, place, "has more than %u elements", field->max_items);
        return;
    }
    ProtobufCMessage **entries = ez_arena_zalloc(p->arena, count * sizeof entries[0]);
    if (!entries || count == 0)
        return;
    const char *key;
    json_t *inner;
    json_object_foreach(value, key, inner) {
        ez_place element = {.up = place, .index = used};
        char *text = map_value(p, field, inner, &element);
        entries[used] = text ? map_entry(p, fd->descriptor, key, text) : NULL;
        if (!entries[used++])
            return;
    }
    *ez_field_count(fd, message) = count;
    *(ProtobufCMessage ***)ez_field_at(fd, message) = entries;
}

static void put_member(parser *p, const ProtobufCFieldDescriptor *fd, ProtobufCMessage *message,
                       const ez_place *place) {
    uint32_t *which = ez_field_case(fd, message);
    if (*which)
        FAULT(p, place, "can't be given beside another member of its kind");
    *which = fd->id;
    memset(ez_field_at(fd, message), 0, ez_field_size(fd));
}

static void parse_field(parser *p, const ez_message_rule *rule, const char *key, json_t *value,
                        ProtobufCMessage *message, const ez_place *up) {
    const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field_by_name(rule->descriptor, key);
    ez_place place = {.up = up, .name = key};
    if (!fd) {
        FAULT(p, &place, "there is no such field");
        return;
    }
    if (json_is_null(value))
        return;
    const ez_field_rule *field = &rule->fields[fd - rule->descriptor->fields];
    if (field->flags & EZ_FIELD_MAP) {
        put_map(p, field, fd, value, message, &place);
    } else if (ez_field_is_repeated(fd)) {
        put_list(p, field, fd, value, message, &place);
    } else {
        if (ez_field_is_member(fd))
            put_member(p, fd, message, &place);
        put_value(p, field, fd, value, ez_field_at(fd, message), &place);
        // A member whose value was refused must not be left live and without one.
        if (ez_field_is_member(fd) && fd->type == PROTOBUF_C_TYPE_STRING && !*(char **)ez_field_at(fd, message))
            *(const char **)ez_field_at(fd, message) = protobuf_c_empty_string;
    }
}

static void parse_object(parser *p, const ez_message_rule *rule, json_t *object, ProtobufCMessage *message,
                         const ez_place *place) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (p->faults >= EZ_ERROR_VIOLATIONS_MAX || p->arena->refused)
            return;
        parse_field(p, rule, key, value, message, place);
    }
}

static void list_names(parser *p, json_t *object, ez_json_mask *mask) {
    char **names = ez_arena_zalloc(p->arena, json_object_size(object) * sizeof names[0]);
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (!names)
            return;
        names[count] = ez_arena_strdup(p->arena, key);
        if (!names[count++])
            return;
    }
    *mask = (ez_json_mask){names, count};
}

ez_status ez_json_parse(const ez_message_rule *rule, const char *text, size_t len, ez_arena *arena,
                        ProtobufCMessage **out, ez_json_mask *mask, ez_error *error) {
    json_t *root = NULL; // load sets it where it returns EZ_OK, which gcc 14 does not see
    ez_status status = load(text, len, &root, error);
    if (status != EZ_OK)
        return status;
    parser p = {.arena = arena, .error = error};
    ez_json_mask names = {0};
    bool was_refused = arena->refused;
    arena->refused = false;
    ProtobufCMessage *message = ez_field_new_message(rule->descriptor, arena);
    if (message)
        parse_object(&p, rule, root, message, NULL);
    if (message && mask && !p.faults)
        list_names(&p, root, &names);
    bool is_full = arena->refused;
    arena->refused |= was_refused;
    json_decref(root);
    if (is_full)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                            "the body needs more memory than one call may have: send less at once");
    if (p.faults)
        return EZ_INVALID_ARGUMENT;
    *out = message;
    if (mask)
        *mask = names;
    return EZ_OK;
}
