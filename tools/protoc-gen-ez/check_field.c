// SPDX-License-Identifier: Apache-2.0
//
// Faults of fields. An option that does not fit its field's type would be a check that never runs; a default that does
// not fit is a value the server would refuse from anybody else.
//
// Plain numbers and bools cannot tell absent from zero, so a default needs a single-member oneof there. One case is
// free of that: the request of a READ or QUERY, where zero says "not given" (page_size) and nothing is stored.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/protoc-gen-ez/check.h"

static const char *const formats[] = {"namespace", "url", "cidr", "json_object"};

bool gen_number_parse(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || *text == ' ' || *text == '+')
        return false;
    *out = value;
    return true;
}

static bool type_holds(gen_type type, int64_t value) {
    switch (type) {
    case GEN_INT32:
        return value >= INT32_MIN && value <= INT32_MAX;
    case GEN_UINT32:
        return value >= 0 && value <= UINT32_MAX;
    case GEN_UINT64:
        return value >= 0;
    default:
        return true;
    }
}

static bool is_number(gen_type type) {
    return gen_type_is_integer(type) || type == GEN_FLOAT || type == GEN_DOUBLE;
}

static void check_bound(gen_schema *schema, const gen_field *field, const char *which, const char *text) {
    int64_t value;
    if (!*text)
        return;
    if (!is_number(field->type))
        gen_refuse(schema, field->place, field->owner->full, "field %s: %s is for numbers", field->name, which);
    else if (!gen_number_parse(text, &value) || !type_holds(field->type, value))
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: %s \"%s\" is no whole number the field can hold", field->name, which, text);
}

static void check_bounds(gen_schema *schema, const gen_field *field) {
    const Ez__Options__FieldRule *rule = field->rule;
    int64_t min, max;
    check_bound(schema, field, "min", rule->min);
    check_bound(schema, field, "max", rule->max);
    if (gen_number_parse(rule->min, &min) && gen_number_parse(rule->max, &max) && min > max)
        gen_refuse(schema, field->place, field->owner->full, "field %s: min %s is above max %s", field->name, rule->min,
                   rule->max);
    bool has_len = field->type == GEN_STRING || field->type == GEN_BYTES || field->map;
    if ((rule->min_len || rule->max_len) && !has_len)
        gen_refuse(schema, field->place, field->owner->full, "field %s: min_len and max_len are for strings and bytes",
                   field->name);
    else if (has_len && rule->min_len > gen_field_max_len(field))
        gen_refuse(schema, field->place, field->owner->full, "field %s: min_len %u is above max_len %u", field->name,
                   rule->min_len, gen_field_max_len(field));
    if (rule->max_items && !field->repeated)
        gen_refuse(schema, field->place, field->owner->full, "field %s: max_items is for repeated fields and maps",
                   field->name);
}

static void check_words(gen_schema *schema, const gen_field *field) {
    const Ez__Options__FieldRule *rule = field->rule;
    bool is_text = field->type == GEN_STRING || field->map, known = !*rule->format;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        known |= !strcmp(rule->format, formats[i]);
    if (!known)
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: format \"%s\" is unknown; there are namespace, url, cidr and json_object", field->name,
                   rule->format);
    if (!is_text && (*rule->format || rule->n_one_of || rule->trim || rule->lower))
        gen_refuse(schema, field->place, field->owner->full, "field %s: format, one_of, trim and lower are for strings",
                   field->name);
    if (rule->json_values && !field->map)
        gen_refuse(schema, field->place, field->owner->full, "field %s: json_values is for maps", field->name);
    else if (rule->json_values && (*rule->format || rule->n_one_of || rule->lower || rule->min_len))
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: json_values excludes format, one_of, lower and min_len: the texts are JSON", field->name);
    if (rule->hex && field->type != GEN_BYTES)
        gen_refuse(schema, field->place, field->owner->full, "field %s: hex is for bytes", field->name);
    if (rule->input_only && rule->output_only)
        gen_refuse(schema, field->place, field->owner->full, "field %s: input_only and output_only exclude each other",
                   field->name);
    if (rule->required && rule->output_only)
        gen_refuse(schema, field->place, field->owner->full, "field %s: required and output_only exclude each other",
                   field->name);
}

static bool is_query_request(const gen_schema *schema, const gen_message *message) {
    bool found = false;
    for (unsigned i = 0; i < schema->rpc_count; i++) {
        const gen_rpc *rpc = schema->rpcs[i];
        if (rpc->reply == message)
            return false;
        if (rpc->request != message)
            continue;
        found = true;
        if (!rpc->rule ||
            (rpc->rule->effect != EZ__OPTIONS__EFFECT__READ && rpc->rule->effect != EZ__OPTIONS__EFFECT__QUERY))
            return false;
    }
    return found;
}

static bool enum_has(const gen_enum *enumeration, const char *word) {
    for (unsigned i = 0; i < enumeration->value_count; i++)
        if (enumeration->values[i].word && !strcmp(enumeration->values[i].word, word))
            return true;
    return false;
}

static bool string_default_fits(const gen_field *field) {
    const Ez__Options__FieldRule *rule = field->rule;
    size_t len = strlen(rule->default_value);
    bool listed = !rule->n_one_of;
    for (size_t i = 0; i < rule->n_one_of; i++)
        listed |= !strcmp(rule->one_of[i], rule->default_value);
    return listed && len >= rule->min_len && len <= gen_field_max_len(field);
}

static bool number_default_fits(const gen_field *field) {
    const Ez__Options__FieldRule *rule = field->rule;
    int64_t value, bound;
    if (!gen_number_parse(rule->default_value, &value) || !type_holds(field->type, value))
        return false;
    if (gen_number_parse(rule->min, &bound) && value < bound)
        return false;
    return !gen_number_parse(rule->max, &bound) || value <= bound;
}

static bool default_fits(const gen_field *field) {
    const char *text = field->rule->default_value;
    switch (field->type) {
    case GEN_STRING:
        return string_default_fits(field);
    case GEN_ENUM:
        return enum_has(field->enumeration, text);
    case GEN_BOOL:
        return !strcmp(text, "true") || !strcmp(text, "false");
    default:
        return is_number(field->type) && number_default_fits(field);
    }
}

static void check_default(gen_schema *schema, const gen_field *field) {
    const char *text = field->rule->default_value;
    if (!*text)
        return;
    bool is_word = field->type == GEN_STRING || field->type == GEN_ENUM;
    if (field->repeated || field->type == GEN_MESSAGE || field->type == GEN_TIMESTAMP || field->type == GEN_BYTES)
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: default_value is for single strings, enums, numbers and bools", field->name);
    else if (field->in_oneof && !field->presence)
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: a member of a oneof with several members has no default_value", field->name);
    else if (!is_word && !field->presence && !is_query_request(schema, field->owner))
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: with a default_value, absent and zero must differ; make it the only member of a oneof "
                   "(oneof opt_%s { … })",
                   field->name, field->name);
    else if (!default_fits(field))
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: default_value \"%s\" is not of its type or outside its bounds", field->name, text);
}

static void check_type(gen_schema *schema, const gen_field *field) {
    if (field->type == GEN_FOREIGN)
        gen_refuse(schema, field->place, field->owner->full,
                   "field %s: type %s is none of this schema, nor google.protobuf.Timestamp", field->name,
                   field->type_name ? field->type_name : "group");
    if (field->map && (field->message->field_count != 2 || field->message->fields[0].type != GEN_STRING ||
                       field->message->fields[1].type != GEN_STRING))
        gen_refuse(schema, field->place, field->owner->full, "field %s: maps are map<string, string>", field->name);
}

void gen_check_fields(gen_schema *schema) {
    for (unsigned i = 0; i < schema->message_count; i++) {
        const gen_message *message = schema->messages[i];
        for (unsigned k = 0; k < message->field_count && !message->is_map_entry; k++) {
            const gen_field *field = &message->fields[k];
            check_type(schema, field);
            check_bounds(schema, field);
            check_words(schema, field);
            check_default(schema, field);
        }
    }
}
