// SPDX-License-Identifier: Apache-2.0
//
// ez/schema.c: the tables that proto/runtime/schema.h declares. Messages are written innermost first, so that no table
// needs a forward declaration; there are no recursive ones. Methods are found by a perfect hash whose seed is searched
// here: one probe, one comparison.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/protoc-gen-ez/check.h"
#include "tools/protoc-gen-ez/write.h"

enum { MARK_UNWRITTEN = 100, MARK_WRITTEN = 101 };

static const char *const scopes[] = {
    "0", "EZ_SCOPE_PUBLIC", "EZ_SCOPE_ADMIN", "EZ_SCOPE_MASTER", "EZ_SCOPE_DATA_PLANE", "EZ_SCOPE_PEER"};
static const char *const effects[] = {"0",
                                      "EZ_EFFECT_READ",
                                      "EZ_EFFECT_QUERY",
                                      "EZ_EFFECT_CHANGE",
                                      "EZ_EFFECT_SESSION",
                                      "EZ_EFFECT_APPEND",
                                      "EZ_EFFECT_HELD"};

static void put_string(gen_text *out, const char *text) {
    gen_text_c_string(out, text, strlen(text));
}

static void put_flag(gen_text *out, bool on, const char *name, bool *any) {
    if (!on)
        return;
    gen_text_printf(out, "%s%s", *any ? " | " : ", .flags = ", name);
    *any = true;
}

static void put_flags(const gen_field *field, gen_text *out) {
    const Ez__Options__FieldRule *rule = field->rule;
    bool any = false;
    put_flag(out, rule->required, "EZ_FIELD_REQUIRED", &any);
    put_flag(out, rule->output_only, "EZ_FIELD_OUTPUT_ONLY", &any);
    put_flag(out, rule->input_only, "EZ_FIELD_INPUT_ONLY", &any);
    put_flag(out, rule->immutable, "EZ_FIELD_IMMUTABLE", &any);
    put_flag(out, rule->sensitive, "EZ_FIELD_SENSITIVE", &any);
    put_flag(out, rule->hex, "EZ_FIELD_HEX", &any);
    put_flag(out, rule->omit_empty, "EZ_FIELD_OMIT_EMPTY", &any);
    put_flag(out, rule->json_values, "EZ_FIELD_JSON_VALUES", &any);
    put_flag(out, rule->trim, "EZ_FIELD_TRIM", &any);
    put_flag(out, rule->lower, "EZ_FIELD_LOWER", &any);
    put_flag(out, field->map, "EZ_FIELD_MAP", &any);
    put_flag(out, *rule->min, "EZ_FIELD_HAS_MIN", &any);
    put_flag(out, *rule->max, "EZ_FIELD_HAS_MAX", &any);
    put_flag(out, field->presence, "EZ_FIELD_PRESENCE", &any);
    put_flag(out, field->type == GEN_TIMESTAMP, "EZ_FIELD_TIMESTAMP", &any);
}

static void put_bound(gen_text *out, const char *name, const char *text) {
    int64_t value;
    if (!*text || !gen_number_parse(text, &value))
        return;
    if (value == INT64_MIN)
        gen_text_printf(out, ", .%s = INT64_MIN", name);
    else
        gen_text_printf(out, ", .%s = INT64_C(%" PRId64 ")", name, value);
}

static void put_field(const gen_field *field, gen_text *out) {
    const Ez__Options__FieldRule *rule = field->rule;
    gen_text_printf(out, "    {.name = \"%s\", .number = %u, .index = %u", field->name, field->number, field->index);
    put_flags(field, out);
    if (!strcmp(rule->format, "namespace"))
        gen_text_puts(out, ", .format = EZ_FORMAT_NAMESPACE");
    else if (!strcmp(rule->format, "url"))
        gen_text_puts(out, ", .format = EZ_FORMAT_URL");
    else if (!strcmp(rule->format, "cidr"))
        gen_text_puts(out, ", .format = EZ_FORMAT_CIDR");
    else if (gen_field_is_json(field))
        gen_text_puts(out, ", .format = EZ_FORMAT_JSON_OBJECT");
    if (rule->min_len)
        gen_text_printf(out, ", .min_len = %u", rule->min_len);
    gen_text_printf(out, ", .max_len = %u", gen_field_max_len(field));
    if (field->repeated)
        gen_text_printf(out, ", .max_items = %u", gen_field_max_items(field));
    put_bound(out, "min", rule->min);
    put_bound(out, "max", rule->max);
    if (rule->n_one_of)
        gen_text_printf(out, ", .one_of = words_%s_%s", field->owner->ident, field->name);
    if (*rule->default_value) {
        gen_text_puts(out, ", .default_value = ");
        put_string(out, rule->default_value);
    }
    if (field->type == GEN_MESSAGE)
        gen_text_printf(out, ", .message = &rule_%s", field->message->ident);
    gen_text_puts(out, ",\n     .doc = ");
    put_string(out, field->doc);
    gen_text_puts(out, "},\n");
}

static void put_words(const gen_message *message, gen_text *out) {
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        if (!field->rule->n_one_of)
            continue;
        gen_text_printf(out, "static const char *const words_%s_%s[] = {", message->ident, field->name);
        for (size_t k = 0; k < field->rule->n_one_of; k++) {
            put_string(out, field->rule->one_of[k]);
            gen_text_puts(out, ", ");
        }
        gen_text_puts(out, "NULL};\n");
    }
}

static void put_message(gen_message *message, gen_text *out) {
    message->mark = MARK_WRITTEN;
    for (unsigned i = 0; i < message->field_count; i++)
        if (message->fields[i].type == GEN_MESSAGE && message->fields[i].message->mark != MARK_WRITTEN)
            put_message(message->fields[i].message, out);
    put_words(message, out);
    if (message->field_count) {
        gen_text_printf(out, "static const ez_field_rule fields_%s[] = {\n", message->ident);
        for (unsigned i = 0; i < message->field_count; i++)
            put_field(&message->fields[i], out);
        gen_text_puts(out, "};\n");
    }
    gen_text_printf(out, "static const ez_message_rule rule_%s = {\n", message->ident);
    gen_text_printf(out, "    .descriptor = &%s__descriptor,\n    .name = \"%s\",\n", message->c_lower, message->full);
    if (message->field_count)
        gen_text_printf(out, "    .fields = fields_%s,\n    .field_count = %u,\n", message->ident,
                        message->field_count);
    gen_text_printf(out, "    .has_sensitive = %s,\n    .doc = ", message->has_sensitive ? "true" : "false");
    put_string(out, message->doc);
    gen_text_puts(out, ",\n};\n\n");
}

static void put_messages(const gen_schema *schema, gen_text *out) {
    for (unsigned i = 0; i < schema->message_count; i++)
        schema->messages[i]->mark = MARK_UNWRITTEN;
    for (unsigned i = 0; i < schema->message_count; i++)
        if (schema->messages[i]->mark != MARK_WRITTEN)
            put_message(schema->messages[i], out);
    gen_text_puts(out, "const ez_message_rule *const ez_message_rules[] = {\n");
    for (unsigned i = 0; i < schema->message_count; i++)
        gen_text_printf(out, "    &rule_%s,\n", schema->messages[i]->ident);
    gen_text_printf(out, "%s};\nconst unsigned ez_message_rule_count = %u;\n\n",
                    schema->message_count ? "" : "    NULL,\n", schema->message_count);
}

static void put_methods(const gen_schema *schema, gen_text *out) {
    gen_text_puts(out, "const ez_method ez_methods[] = {\n");
    for (unsigned i = 0; i < schema->rpc_count; i++) {
        const gen_rpc *rpc = schema->rpcs[i];
        gen_text_printf(out, "    {.name = \"%s\", .service = \"%s\", .rpc = \"%s\",\n", rpc->full, rpc->service->name,
                        rpc->name);
        gen_text_printf(out, "     .request = &rule_%s, .reply = &rule_%s,\n", rpc->request->ident, rpc->reply->ident);
        gen_text_printf(out, "     .scope = %s, .effect = %s, .idempotent = %s, .reveals = %s, .streams = %s,\n",
                        scopes[rpc->rule->scope], effects[rpc->rule->effect], rpc->rule->idempotent ? "true" : "false",
                        rpc->rule->reveals ? "true" : "false", rpc->rule->streams ? "true" : "false");
        gen_text_printf(
            out, "     .has_update_mask = %s, .timeout_ms = %u, .http_status = %u, .index = %u,\n     .doc = ",
            rpc->update_mask ? "true" : "false", rpc->rule->timeout_ms ? rpc->rule->timeout_ms : GEN_TIMEOUT_MS,
            rpc->rule->http_status ? rpc->rule->http_status : 200, i);
        put_string(out, rpc->doc);
        gen_text_puts(out, "},\n");
    }
    gen_text_printf(out, "%s};\nconst unsigned ez_method_count = %u;\n\n",
                    schema->rpc_count ? "" : "    {.name = NULL},\n", schema->rpc_count);
}

static void put_segments(const gen_route *route, gen_text *out) {
    gen_text_printf(out, "static const ez_route_segment segments_%u[] = { // %s %s\n", route->index, route->verb,
                    route->path);
    for (unsigned i = 0; i < route->segment_count; i++) {
        const gen_segment *segment = &route->segments[i];
        if (!segment->name) {
            gen_text_printf(out, "    {.literal = \"%s\"},\n", segment->text);
            continue;
        }
        gen_text_printf(out, "    {.param = &fields_%s[%u]", route->rpc->request->ident, segment->param->index);
        if (segment->verb)
            gen_text_printf(out, ", .verb = \"%s\"", segment->verb);
        gen_text_printf(out, "}, // %s\n", segment->name);
    }
    gen_text_puts(out, "};\n");
}

static void put_routes(const gen_schema *schema, gen_text *out) {
    for (unsigned i = 0; i < schema->route_count; i++)
        put_segments(schema->routes[i], out);
    gen_text_puts(out, "\nconst ez_route ez_routes[] = {\n");
    for (unsigned i = 0; i < schema->route_count; i++) {
        const gen_route *route = schema->routes[i];
        gen_text_printf(out, "    {.verb = EZ_VERB_%s, .path = \"%s\",\n", route->verb, route->path);
        gen_text_printf(out, "     .segments = segments_%u, .segment_count = %u, .method = &ez_methods[%u]", i,
                        route->segment_count, route->rpc->index);
        if (route->body)
            gen_text_printf(out, ", .body = &fields_%s[%u]", route->rpc->request->ident, route->body->index);
        if (route->body_is_request)
            gen_text_puts(out, ", .body_is_request = true");
        gen_text_printf(out, "}, // %s\n", route->rpc->full);
    }
    gen_text_printf(out, "%s};\nconst unsigned ez_route_count = %u;\n\n",
                    schema->route_count ? "" : "    {.path = NULL},\n", schema->route_count);
}

// As the generated ez_method_find computes it.
static uint32_t hash_name(const char *name, uint32_t seed) {
    uint32_t hash = 2166136261u ^ seed;
    for (const char *at = name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return hash ^ hash >> 15;
}

// Fills slots with index + 1 under the first seed that collides nowhere. False where none of many does.
static bool try_slots(const gen_schema *schema, uint16_t *slots, uint32_t size, uint32_t *seed) {
    for (*seed = 0; *seed < 20000; ++*seed) {
        unsigned placed = 0;
        memset(slots, 0, size * sizeof *slots);
        for (; placed < schema->rpc_count; placed++) {
            uint16_t *slot = &slots[hash_name(schema->rpcs[placed]->full, *seed) & (size - 1)];
            if (*slot)
                break;
            *slot = (uint16_t)(placed + 1);
        }
        if (placed == schema->rpc_count)
            return true;
    }
    return false;
}

static void put_method_find(const gen_schema *schema, gen_text *out) {
    uint32_t size = 16, seed = 0;
    while (size < 2 * schema->rpc_count)
        size *= 2;
    uint16_t *slots = gen_pool_alloc(schema->pool, size, sizeof *slots);
    while (!try_slots(schema, slots, size, &seed)) {
        size *= 2;
        slots = gen_pool_alloc(schema->pool, size, sizeof *slots);
    }
    gen_text_puts(out, "// A method's index + 1 at the hash of its name; no two share a slot under this seed.\n");
    gen_text_printf(out, "static const uint16_t method_slots[%u] = {", size);
    for (uint32_t i = 0; i < size; i++)
        gen_text_printf(out, "%s%u,", i % 24 ? " " : "\n    ", slots[i]);
    gen_text_printf(out,
                    "\n};\n\n"
                    "const ez_method *ez_method_find(const char *name, size_t len) {\n"
                    "    uint32_t hash = 2166136261u ^ %uu;\n"
                    "    for (size_t i = 0; i < len; i++)\n"
                    "        hash = (hash ^ (uint8_t)name[i]) * 16777619u;\n"
                    "    hash ^= hash >> 15;\n"
                    "    unsigned slot = method_slots[hash & %uu];\n"
                    "    if (!slot)\n"
                    "        return NULL;\n"
                    "    const ez_method *method = &ez_methods[slot - 1];\n"
                    "    return strlen(method->name) == len && !memcmp(method->name, name, len) ? method : NULL;\n"
                    "}\n\n",
                    seed, size - 1);
}

static void put_finds(gen_text *out) {
    gen_text_puts(
        out,
        "const ez_message_rule *ez_message_rule_find(const ProtobufCMessageDescriptor *descriptor) {\n"
        "    unsigned low = 0, high = ez_message_rule_count;\n"
        "    while (descriptor && low < high) {\n"
        "        unsigned middle = low + (high - low) / 2;\n"
        "        int order = strcmp(descriptor->name, ez_message_rules[middle]->name);\n"
        "        if (!order)\n"
        "            return ez_message_rules[middle]->descriptor == descriptor ? ez_message_rules[middle] : NULL;\n"
        "        if (order < 0)\n"
        "            high = middle;\n"
        "        else\n"
        "            low = middle + 1;\n"
        "    }\n"
        "    return NULL;\n"
        "}\n\n"
        "const ez_field_rule *ez_field_rule_find(const ez_message_rule *rule, const char *name) {\n"
        "    const ProtobufCFieldDescriptor *field =\n"
        "        protobuf_c_message_descriptor_get_field_by_name(rule->descriptor, name);\n"
        "    return field ? &rule->fields[field - rule->descriptor->fields] : NULL;\n"
        "}\n\n");
}

// One literal per line of the text.
static void put_openapi(const gen_text *openapi, gen_text *out) {
    gen_text_puts(out, "const char ez_openapi_json[] =\n");
    for (size_t at = 0; at < openapi->len;) {
        const char *end = memchr(openapi->data + at, '\n', openapi->len - at);
        size_t len = end ? (size_t)(end + 1 - (openapi->data + at)) : openapi->len - at;
        gen_text_puts(out, "    ");
        gen_text_c_string(out, openapi->data + at, len);
        gen_text_puts(out, "\n");
        at += len;
    }
    gen_text_puts(out, "    \"\";\nconst size_t ez_openapi_json_len = sizeof ez_openapi_json - 1;\n");
}

void gen_write_schema_c(const gen_schema *schema, const gen_text *openapi, gen_text *out) {
    gen_text_puts(
        out, "// SPDX-License-Identifier: Apache-2.0\n//\n// Made by protoc-gen-ez from proto/ez/v1: the tables of "
             "proto/runtime/schema.h. Not to be edited.\n"
             "#include \"proto/runtime/schema.h\"\n\n#include <string.h>\n\n");
    for (unsigned i = 0; i < schema->header_count; i++)
        gen_text_printf(out, "#include \"%s\"\n", schema->headers[i]);
    gen_text_puts(out, "\n");
    put_messages(schema, out);
    put_methods(schema, out);
    put_routes(schema, out);
    put_method_find(schema, out);
    put_finds(out);
    put_openapi(openapi, out);
}
