// SPDX-License-Identifier: Apache-2.0
//
// Examples of calls. A field's own example comes first; otherwise a value that its rules accept, so that what the
// documents show passes the checks of proto/runtime/message.h.
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "tools/protoc-gen-ez/check.h"
#include "tools/protoc-gen-ez/json_text.h"
#include "tools/protoc-gen-ez/rest.h"

// NULL: any text will do.
static const char *string_value(const gen_field *field) {
    const Ez__Options__FieldRule *rule = field->rule;
    if (*rule->example)
        return rule->example;
    if (rule->n_one_of)
        return rule->one_of[0];
    if (*rule->default_value)
        return rule->default_value;
    if (!strcmp(rule->format, "url"))
        return "https://api.example.com/v1";
    if (!strcmp(rule->format, "cidr"))
        return "192.0.2.0/24";
    return !strcmp(rule->format, "namespace") ? "default" : NULL;
}

static void put_string(const gen_field *field, gen_text *out) {
    static const char word[] = "example";
    if (gen_field_is_json(field)) {
        gen_text_puts(out, *field->rule->example ? field->rule->example : "{}");
        return;
    }
    const char *value = string_value(field);
    if (value) {
        gen_json_quote(out, value);
        return;
    }
    size_t len = sizeof word - 1;
    if (len > gen_field_max_len(field))
        len = gen_field_max_len(field);
    if (len < field->rule->min_len)
        len = field->rule->min_len;
    gen_text_puts(out, "\"");
    for (size_t i = 0; i < len; i++)
        gen_text_append(out, &word[i % (sizeof word - 1)], 1);
    gen_text_puts(out, "\"");
}

static const char *enum_value(const gen_field *field) {
    const gen_enum *enumeration = field->enumeration;
    if (*field->rule->default_value)
        return field->rule->default_value;
    for (unsigned i = 0; i < enumeration->value_count; i++)
        if (!enumeration->values[i].is_unspecified)
            return enumeration->values[i].word;
    return "";
}

static void put_number(const gen_field *field, gen_text *out) {
    int64_t value = 1, bound;
    if (!gen_number_parse(field->rule->example, &value) && !gen_number_parse(field->rule->default_value, &value)) {
        value = 1;
        if (gen_number_parse(field->rule->min, &bound) && value < bound)
            value = bound;
        if (gen_number_parse(field->rule->max, &bound) && value > bound)
            value = bound;
    }
    gen_text_printf(out, "%" PRId64, value);
}

static void put_bytes(const gen_field *field, gen_text *out) {
    uint32_t len = field->rule->min_len ? field->rule->min_len : 3;
    gen_text_puts(out, "\"");
    if (field->rule->hex)
        for (uint32_t i = 0; i < len; i++)
            gen_text_printf(out, "%02x", i & 0xff);
    else
        for (uint32_t i = 0; i < len / 3 + (len % 3 != 0); i++)
            gen_text_puts(out, i < len / 3 ? "AAAA" : len % 3 == 1 ? "AA==" : "AAA=");
    gen_text_puts(out, "\"");
}

// The required fields and those with an example of their own; where there are none, the first one. A change of what is
// there shows one field.
static void put_message(const gen_message *message, gen_view view, const gen_route *route, gen_text *out) {
    bool any = false, some_chosen = false;
    for (unsigned i = 0; i < message->field_count; i++)
        some_chosen |=
            view != GEN_VIEW_PATCH && (message->fields[i].rule->required || *message->fields[i].rule->example) &&
            gen_view_has(&message->fields[i], view) && !(route && gen_route_has_param(route, &message->fields[i]));
    gen_text_puts(out, "{");
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        bool wanted = some_chosen ? field->rule->required || *field->rule->example : !any;
        if (!wanted || !gen_view_has(field, view) || (route && gen_route_has_param(route, field)))
            continue;
        gen_text_printf(out, "%s\"%s\": ", any ? ", " : "", field->name);
        gen_example_value(field, view, out);
        any = true;
    }
    gen_text_puts(out, "}");
}

static void put_single(const gen_field *field, gen_view view, gen_text *out) {
    switch (field->type) {
    case GEN_BOOL:
        gen_text_puts(out, "true");
        break;
    case GEN_STRING:
        put_string(field, out);
        break;
    case GEN_BYTES:
        put_bytes(field, out);
        break;
    case GEN_ENUM:
        gen_json_quote(out, enum_value(field));
        break;
    case GEN_TIMESTAMP:
        gen_json_quote(out, *field->rule->example ? field->rule->example : "2030-01-01T00:00:00Z");
        break;
    case GEN_MESSAGE:
        put_message(field->message, gen_view_within(field, view), NULL, out);
        break;
    default:
        put_number(field, out);
        break;
    }
}

void gen_example_value(const gen_field *field, gen_view view, gen_text *out) {
    if (field->map) {
        gen_text_puts(out, "{\"example\": ");
        if (field->rule->json_values)
            gen_text_puts(out, *field->rule->example ? field->rule->example : "true");
        else
            gen_json_quote(out, *field->rule->example ? field->rule->example : "value");
        gen_text_puts(out, "}");
        return;
    }
    if (field->repeated)
        gen_text_puts(out, "[");
    put_single(field, view, out);
    if (field->repeated)
        gen_text_puts(out, "]");
}

void gen_example_body(const gen_route *route, gen_text *out) {
    if (route->body)
        put_message(route->body->message, gen_view_of_body(route->rpc), NULL, out);
    else
        put_message(route->rpc->request, GEN_VIEW_INPUT, route, out);
}

// The single value without the quotes of JSON, percent-encoded.
static void put_encoded(const gen_field *field, gen_text *out) {
    gen_text value = {0};
    put_single(field, GEN_VIEW_INPUT, &value);
    size_t from = value.data[0] == '"', to = value.len - from;
    for (size_t i = from; i < to; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (isalnum(c) || strchr("-._~:", c))
            gen_text_append(out, value.data + i, 1);
        else
            gen_text_printf(out, "%%%02X", c);
    }
    gen_text_fini(&value);
}

void gen_example_url(const gen_route *route, gen_text *out) {
    for (unsigned i = 0; i < route->segment_count; i++) {
        const gen_segment *segment = &route->segments[i];
        gen_text_puts(out, "/");
        if (!segment->param) {
            gen_text_puts(out, segment->text);
            continue;
        }
        put_encoded(segment->param, out);
        if (segment->verb)
            gen_text_printf(out, ":%s", segment->verb);
    }
    bool any = false;
    for (unsigned i = 0; i < route->rpc->request->field_count; i++) {
        const gen_field *field = &route->rpc->request->fields[i];
        if (!field->rule->required || !gen_route_has_query(route, field))
            continue;
        gen_text_printf(out, "%c%s=", any ? '&' : '?', field->name);
        put_encoded(field, out);
        any = true;
    }
}
