// SPDX-License-Identifier: Apache-2.0
//
// Messages as JSON Schema. A message is up to four components, since what a reply holds, what a reply with a fresh
// secret holds, what creation takes and what an update takes are four things; only those that some call uses are
// written.
//
// Bounds are in bytes, JSON Schema counts characters: a maximum in bytes is also one in characters, a minimum is
// divided by four. Replies carry only bounds that a field states itself: the defaults hold for what callers send.
#include <string.h>

#include "tools/protoc-gen-ez/check.h"
#include "tools/protoc-gen-ez/openapi.h"
#include "tools/protoc-gen-ez/rest.h"

static bool is_input(gen_view view) {
    return view == GEN_VIEW_INPUT || view == GEN_VIEW_PATCH;
}

void gen_openapi_use_field(const gen_field *field, gen_view view) {
    if (field->type == GEN_ENUM)
        field->enumeration->used = true;
    else if (field->type == GEN_MESSAGE && !field->map)
        gen_openapi_use(field->message, gen_view_within(field, view));
}

void gen_openapi_use(gen_message *message, gen_view view) {
    if (message->used[view])
        return;
    message->used[view] = true;
    for (unsigned i = 0; i < message->field_count; i++)
        if (gen_view_has(&message->fields[i], view))
            gen_openapi_use_field(&message->fields[i], view);
}

const char *gen_openapi_name(gen_pool *pool, const gen_message *message, gen_view view) {
    static const char *const suffixes[GEN_VIEW_COUNT] = {"", "Revealed", "Input", "Patch"};
    bool is_reply = message->used[GEN_VIEW_REPLY] || message->used[GEN_VIEW_REVEALED];
    bool bare = view == GEN_VIEW_REPLY || (view == GEN_VIEW_INPUT && !is_reply);
    return gen_pool_printf(pool, "%s%s", message->ident, bare ? "" : suffixes[view]);
}

static void put_number(gen_json *json, const gen_field *field) {
    static const char *const forms[] = {
        [GEN_INT32] = "int32",   [GEN_INT64] = "int64", [GEN_UINT32] = "uint32",
        [GEN_UINT64] = "uint64", [GEN_FLOAT] = "float", [GEN_DOUBLE] = "double",
    };
    int64_t bound;
    gen_json_string(json, "type", gen_type_is_integer(field->type) ? "integer" : "number");
    gen_json_string(json, "format", forms[field->type]);
    if (gen_number_parse(field->rule->min, &bound))
        gen_json_number(json, "minimum", bound);
    else if (field->type == GEN_UINT32 || field->type == GEN_UINT64)
        gen_json_number(json, "minimum", 0);
    if (gen_number_parse(field->rule->max, &bound))
        gen_json_number(json, "maximum", bound);
}

// width: characters of JSON per byte of a text (2 for hexadecimal), 0 where a character may be up to four bytes.
static void put_lengths(gen_json *json, const gen_field *field, gen_view view, unsigned width) {
    const Ez__Options__FieldRule *rule = field->rule;
    bool bounded = is_input(view) || (rule->max_len && !rule->output_only);
    uint32_t least = rule->min_len || !rule->required ? rule->min_len : 1;
    bool may_be_empty = !rule->required && !field->repeated; // absent, that is
    if (is_input(view) && least && !may_be_empty)
        gen_json_number(json, "minLength", width ? (int64_t)least * width : (least + 3) / 4);
    if (bounded)
        gen_json_number(json, "maxLength", (int64_t)gen_field_max_len(field) * (width ? width : 1));
}

static void put_text(gen_json *json, const gen_field *field, gen_view view) {
    const Ez__Options__FieldRule *rule = field->rule;
    gen_json_string(json, "type", "string");
    put_lengths(json, field, view, 0);
    if (rule->n_one_of && (is_input(view) || rule->required)) {
        gen_json_open(json, "enum", '[');
        for (size_t i = 0; i < rule->n_one_of; i++)
            gen_json_string(json, NULL, rule->one_of[i]);
        gen_json_close(json, ']');
    }
    if (!strcmp(rule->format, "url") && rule->required)
        gen_json_string(json, "format", "uri"); // where it may be empty, "" is no URI
    else if (!strcmp(rule->format, "namespace"))
        gen_json_string(json, "pattern", "^[^./\\s]*$");
}

static void put_bytes(gen_json *json, const gen_field *field, gen_view view) {
    gen_json_string(json, "type", "string");
    if (field->rule->hex) {
        put_lengths(json, field, view, 2);
        gen_json_string(json, "pattern", "^([0-9a-f]{2})*$");
        return;
    }
    gen_json_string(json, "contentEncoding", "base64");
    if (is_input(view))
        gen_json_number(json, "maxLength", ((int64_t)gen_field_max_len(field) + 2) / 3 * 4);
}

static void put_nullable(gen_json *json, const char *type, const char *format) {
    gen_json_open(json, "type", '[');
    gen_json_string(json, NULL, type);
    gen_json_string(json, NULL, "null");
    gen_json_close(json, ']');
    gen_json_string(json, "format", format);
}

static void put_message_ref(gen_pool *pool, gen_json *json, const gen_field *field, gen_view view) {
    const char *name = gen_openapi_name(pool, field->message, gen_view_within(field, view));
    if (is_input(view) || field->repeated || field->in_oneof) {
        gen_json_ref_here(json, "schemas", name);
        return;
    }
    gen_json_open(json, "anyOf", '[');
    gen_json_ref(json, NULL, "schemas", name);
    gen_json_open(json, NULL, '{');
    gen_json_string(json, "type", "null");
    gen_json_close(json, '}');
    gen_json_close(json, ']');
}

// What a single value of the field is.
static void put_single(gen_pool *pool, gen_json *json, const gen_field *field, gen_view view, bool is_param) {
    switch (field->type) {
    case GEN_BOOL:
        gen_json_string(json, "type", "boolean");
        break;
    case GEN_STRING:
        if (gen_field_is_json(field))
            gen_json_string(json, "type", "object");
        else
            put_text(json, field, view);
        break;
    case GEN_BYTES:
        put_bytes(json, field, view);
        break;
    case GEN_ENUM:
        gen_json_ref_here(json, "schemas", field->enumeration->ident);
        break;
    case GEN_TIMESTAMP:
        if (!is_param && !field->repeated && !field->in_oneof) {
            put_nullable(json, "string", "date-time");
            break;
        }
        gen_json_string(json, "type", "string");
        gen_json_string(json, "format", "date-time");
        break;
    case GEN_MESSAGE:
        put_message_ref(pool, json, field, view);
        break;
    default:
        put_number(json, field);
        break;
    }
}

// null takes a value away.
static void put_scalar_types(gen_json *json, bool may_be_null) {
    gen_json_open(json, "type", '[');
    gen_json_string(json, NULL, "boolean");
    gen_json_string(json, NULL, "number");
    gen_json_string(json, NULL, "string");
    if (may_be_null)
        gen_json_string(json, NULL, "null");
    gen_json_close(json, ']');
}

static void put_map(gen_json *json, const gen_field *field, gen_view view) {
    gen_json_string(json, "type", "object");
    gen_json_open(json, "additionalProperties", '{');
    unsigned quotes = 0; // of the JSON text, whose length is bounded
    if (field->rule->json_values) {
        put_scalar_types(json, is_input(view));
        quotes = 2;
    } else {
        gen_json_string(json, "type", "string");
    }
    if (is_input(view) || field->rule->max_len)
        gen_json_number(json, "maxLength", gen_field_max_len(field) - quotes);
    gen_json_close(json, '}');
    if (is_input(view) || field->rule->max_items)
        gen_json_number(json, "maxProperties", gen_field_max_items(field));
}

static void put_array(gen_pool *pool, gen_json *json, const gen_field *field, gen_view view, bool is_param) {
    gen_json_string(json, "type", "array");
    gen_json_open(json, "items", '{');
    put_single(pool, json, field, view, is_param);
    gen_json_close(json, '}');
    if (is_input(view) && field->rule->required)
        gen_json_number(json, "minItems", 1);
    if (is_input(view) || (field->rule->max_items && !field->rule->output_only))
        gen_json_number(json, "maxItems", gen_field_max_items(field));
}

static void put_default(gen_json *json, const gen_field *field) {
    const char *text = field->rule->default_value;
    if (!*text)
        return;
    if (field->type == GEN_STRING || field->type == GEN_ENUM)
        gen_json_string(json, "default", text);
    else
        gen_json_raw(json, "default", text);
}

static void put_examples(gen_json *json, const gen_field *field, gen_view view) {
    if (!*field->rule->example)
        return;
    gen_text example = {0};
    gen_example_value(field, view, &example);
    gen_json_open(json, "examples", '[');
    gen_json_raw(json, NULL, example.data);
    gen_json_close(json, ']');
    gen_text_fini(&example);
}

void gen_openapi_field(gen_pool *pool, gen_json *json, const char *key, const gen_field *field, gen_view view,
                       bool is_param) {
    const Ez__Options__FieldRule *rule = field->rule;
    gen_json_open(json, key, '{');
    if (field->map)
        put_map(json, field, view);
    else if (field->repeated)
        put_array(pool, json, field, view, is_param);
    else
        put_single(pool, json, field, view, is_param);
    if (!is_param && *field->doc)
        gen_json_string(json, "description", field->doc);
    if (rule->output_only && !is_input(view))
        gen_json_bool(json, "readOnly", true);
    if (is_input(view) && !is_param && (rule->input_only || rule->sensitive))
        gen_json_bool(json, "writeOnly", true);
    if (view == GEN_VIEW_INPUT)
        put_default(json, field);
    put_examples(json, field, view);
    gen_json_close(json, '}');
}

static bool is_required(const gen_field *field, gen_view view) {
    if (view == GEN_VIEW_PATCH)
        return false;
    return view == GEN_VIEW_INPUT ? field->rule->required : gen_view_always(field);
}

void gen_openapi_object(gen_pool *pool, gen_json *json, const gen_message *message, gen_view view,
                        const gen_route *route) {
    bool any_required = false;
    gen_json_string(json, "type", "object");
    if (*message->doc)
        gen_json_string(json, "description", message->doc);
    gen_json_open(json, "properties", '{');
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        if (!gen_view_has(field, view) || (route && gen_route_has_param(route, field)))
            continue;
        gen_openapi_field(pool, json, field->name, field, view, false);
        any_required |= is_required(field, view);
    }
    gen_json_close(json, '}');
    if (!any_required)
        return;
    gen_json_open(json, "required", '[');
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        if (gen_view_has(field, view) && is_required(field, view) && !(route && gen_route_has_param(route, field)))
            gen_json_string(json, NULL, field->name);
    }
    gen_json_close(json, ']');
}

static void put_enum(gen_pool *pool, gen_json *json, const gen_enum *enumeration) {
    const char *text = enumeration->doc;
    gen_json_open(json, enumeration->ident, '{');
    gen_json_string(json, "type", "string");
    gen_json_open(json, "enum", '[');
    for (unsigned i = 0; i < enumeration->value_count; i++) {
        const gen_enum_value *value = &enumeration->values[i];
        if (value->is_unspecified)
            continue;
        gen_json_string(json, NULL, value->word);
        if (*value->doc)
            text = gen_pool_printf(pool, "%s%s%s: %s", text, *text ? "\n- " : "- ", value->word, value->doc);
    }
    gen_json_close(json, ']');
    if (*text)
        gen_json_string(json, "description", text);
    gen_json_close(json, '}');
}

void gen_openapi_schemas(const gen_schema *schema, gen_json *json) {
    for (unsigned i = 0; i < schema->message_count; i++) {
        const gen_message *message = schema->messages[i];
        for (int view = 0; view < GEN_VIEW_COUNT; view++) {
            if (!message->used[view])
                continue;
            gen_json_open(json, gen_openapi_name(schema->pool, message, (gen_view)view), '{');
            gen_openapi_object(schema->pool, json, message, (gen_view)view, NULL);
            gen_json_close(json, '}');
        }
    }
    for (unsigned i = 0; i < schema->enum_count; i++)
        if (schema->enums[i]->used)
            put_enum(schema->pool, json, schema->enums[i]);
}
