// SPDX-License-Identifier: Apache-2.0
//
// Tables of fields, each object once: with every field it has, marked as read-only, write-only and so on, so that one
// table serves every call that shows the object.
#include <string.h>

#include "tools/protoc-gen-ez/rest.h"
#include "tools/protoc-gen-ez/rest_table.h"

static const char *const type_words[] = {
    [GEN_BOOL] = "bool",       [GEN_INT32] = "int32",  [GEN_INT64] = "int64",   [GEN_UINT32] = "uint32",
    [GEN_UINT64] = "uint64",   [GEN_FLOAT] = "float",  [GEN_DOUBLE] = "double", [GEN_STRING] = "string",
    [GEN_TIMESTAMP] = "time",  [GEN_BYTES] = "base64", [GEN_ENUM] = "word",     [GEN_MESSAGE] = "object",
    [GEN_FOREIGN] = "unknown",
};

// Text of a comment within a table's cell.
static void put_cell(const char *text, gen_text *out) {
    for (const char *at = text; *at; at++) {
        if (*at == '|')
            gen_text_puts(out, "\\|");
        else if (*at == '<')
            gen_text_puts(out, "&lt;");
        else
            gen_text_append(out, at, 1);
    }
}

void gen_rest_put_type(const gen_field *field, gen_text *out) {
    if (field->map) {
        gen_text_puts(out, field->rule->json_values ? "map of booleans, numbers and strings" : "map of strings");
        return;
    }
    if (field->repeated)
        gen_text_puts(out, "list of ");
    if (field->type == GEN_MESSAGE)
        gen_text_printf(out, "[%s](#object-%s)", field->message->ident, field->message->c_lower);
    else if (field->type == GEN_ENUM)
        gen_text_printf(out, "[%s](#words-%s)", field->enumeration->ident, field->enumeration->ident);
    else if (gen_field_is_json(field))
        gen_text_puts(out, "JSON object");
    else
        gen_text_puts(out, field->type == GEN_BYTES && field->rule->hex ? "hex" : type_words[field->type]);
}

static void put_rule(gen_text *out, bool on, const char *word, bool *any) {
    if (!on)
        return;
    gen_text_printf(out, "%s%s", *any ? ", " : "", word);
    *any = true;
}

static void put_separator(gen_text *out, bool *any) {
    gen_text_puts(out, *any ? ", " : "");
    *any = true;
}

static void put_bounds(const gen_field *field, gen_text *out, bool *any) {
    const Ez__Options__FieldRule *rule = field->rule;
    if (*rule->min && *rule->max) {
        put_separator(out, any);
        gen_text_printf(out, "%s to %s", rule->min, rule->max);
    } else if (*rule->min || *rule->max) {
        put_separator(out, any);
        gen_text_printf(out, "at %s %s", *rule->min ? "least" : "most", *rule->min ? rule->min : rule->max);
    }
    if (field->type == GEN_STRING || field->type == GEN_BYTES || field->map) {
        put_separator(out, any);
        if (rule->min_len > 1)
            gen_text_printf(out, "%u to %u bytes", rule->min_len, gen_field_max_len(field));
        else
            gen_text_printf(out, "≤ %u bytes", gen_field_max_len(field));
    }
    if (field->repeated) {
        put_separator(out, any);
        gen_text_printf(out, "≤ %u of them", gen_field_max_items(field));
    }
}

static void put_words(const gen_field *field, gen_text *out, bool *any) {
    const Ez__Options__FieldRule *rule = field->rule;
    if (rule->n_one_of)
        put_separator(out, any);
    for (size_t i = 0; i < rule->n_one_of; i++)
        gen_text_printf(out, "%s`%s`", i ? " or " : "", rule->one_of[i]);
    if (*rule->format && !gen_field_is_json(field)) {
        put_separator(out, any);
        gen_text_printf(out, "a %s",
                        !strcmp(rule->format, "cidr")  ? "CIDR range"
                        : !strcmp(rule->format, "url") ? "URL"
                                                       : rule->format);
    }
    if (*rule->default_value) {
        put_separator(out, any);
        gen_text_printf(out, "default `%s`", rule->default_value);
    }
}

void gen_rest_put_rules(const gen_field *field, gen_view view, gen_text *out) {
    const Ez__Options__FieldRule *rule = field->rule;
    bool any = false, is_input = view == GEN_VIEW_INPUT || view == GEN_VIEW_PATCH;
    put_cell(field->doc, out);
    gen_text_puts(out, *field->doc ? " *(" : "*(");
    size_t mark = out->len;
    put_rule(out, rule->required && view != GEN_VIEW_PATCH, "required", &any);
    put_rule(out, rule->output_only && !is_input, "read-only", &any);
    put_rule(out, rule->input_only && !is_input, "write-only", &any);
    put_rule(out, rule->immutable && view != GEN_VIEW_PATCH, "fixed once made", &any);
    put_rule(out, rule->sensitive, "secret", &any);
    put_rule(out, !is_input && !gen_view_always(field), "left out where not set", &any);
    if (is_input)
        put_bounds(field, out, &any);
    if (view != GEN_VIEW_PATCH)
        put_words(field, out, &any);
    if (out->len > mark) {
        gen_text_puts(out, ")*");
        return;
    }
    out->len = mark - (*field->doc ? 3 : 2); // nothing to say: take " *(" back
    out->data[out->len] = '\0';
}

void gen_rest_put_fields(const gen_message *message, gen_view view, const gen_route *route, gen_text *out) {
    gen_text_puts(out, "| Field | Type | |\n|---|---|---|\n");
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        if (!gen_view_has(field, view) || (route && gen_route_has_param(route, field)))
            continue;
        gen_text_printf(out, "| `%s` | ", field->name);
        gen_rest_put_type(field, out);
        gen_text_puts(out, " | ");
        gen_rest_put_rules(field, view, out);
        gen_text_puts(out, " |\n");
    }
    gen_text_puts(out, "\n");
}

// Objects and words that the tables link to.
typedef struct linked {
    bool *messages;
    bool *enums;
} linked;

static void link_message(const gen_schema *schema, const gen_message *message, linked *links, bool itself) {
    for (unsigned i = 0; i < schema->message_count; i++) {
        if (schema->messages[i] != message)
            continue;
        if (links->messages[i])
            return;
        links->messages[i] = itself;
    }
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        if (field->type == GEN_MESSAGE && !field->map)
            link_message(schema, field->message, links, true);
        for (unsigned k = 0; field->type == GEN_ENUM && k < schema->enum_count; k++)
            links->enums[k] |= schema->enums[k] == field->enumeration;
    }
}

static void put_enum(const gen_enum *enumeration, gen_text *out) {
    gen_text_printf(out, "<a id=\"words-%s\"></a>\n\n### %s\n\n", enumeration->ident, enumeration->ident);
    if (*enumeration->doc)
        gen_text_printf(out, "%s\n\n", enumeration->doc);
    for (unsigned i = 0; i < enumeration->value_count; i++) {
        const gen_enum_value *value = &enumeration->values[i];
        if (!value->is_unspecified)
            gen_text_printf(out, "- `%s`%s%s\n", value->word, *value->doc ? ": " : "", value->doc);
    }
    gen_text_puts(out, "\n");
}

void gen_rest_put_objects(const gen_schema *schema, gen_text *out) {
    linked links = {
        .messages = gen_pool_alloc(schema->pool, schema->message_count, sizeof(bool)),
        .enums = gen_pool_alloc(schema->pool, schema->enum_count, sizeof(bool)),
    };
    for (unsigned i = 0; i < schema->rpc_count; i++) {
        link_message(schema, schema->rpcs[i]->request, &links, false);
        link_message(schema, schema->rpcs[i]->reply, &links, true);
    }
    gen_text_puts(out, "## Objects\n\n");
    for (unsigned i = 0; i < schema->message_count; i++) {
        const gen_message *message = schema->messages[i];
        if (!links.messages[i])
            continue;
        gen_text_printf(out, "<a id=\"object-%s\"></a>\n\n### %s\n\n", message->c_lower, message->ident);
        if (*message->doc)
            gen_text_printf(out, "%s\n\n", message->doc);
        if (message->field_count)
            gen_rest_put_fields(message, GEN_VIEW_REVEALED, NULL, out);
        else
            gen_text_puts(out, "Empty.\n\n");
    }
    gen_text_puts(out, "## Words\n\n");
    for (unsigned i = 0; i < schema->enum_count; i++)
        if (links.enums[i])
            put_enum(schema->enums[i], out);
}
