// SPDX-License-Identifier: Apache-2.0
//
// Look-ups over the model, the defaults that options.proto documents, and the list of refusals. Refusals are gathered,
// so that one build shows all that is wrong; past a bound only their number counts.
#include "tools/protoc-gen-ez/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REFUSALS_SHOWN 50

void gen_refuse(gen_schema *schema, gen_place place, const char *subject, const char *format, ...) {
    if (++schema->refusal_count > REFUSALS_SHOWN)
        return;
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    gen_text_printf(&schema->refusals, "%s%s:%d: %s: %s", schema->refusal_count > 1 ? "\n" : "", place.file, place.line,
                    subject, words);
}

gen_message *gen_message_find(const gen_schema *schema, const char *full) {
    for (unsigned i = 0; i < schema->message_count; i++)
        if (!strcmp(schema->messages[i]->full, full))
            return schema->messages[i];
    return NULL;
}

gen_enum *gen_enum_find(const gen_schema *schema, const char *full) {
    for (unsigned i = 0; i < schema->enum_count; i++)
        if (!strcmp(schema->enums[i]->full, full))
            return schema->enums[i];
    return NULL;
}

const gen_field *gen_field_find(const gen_message *message, const char *name) {
    for (unsigned i = 0; message && i < message->field_count; i++)
        if (!strcmp(message->fields[i].name, name))
            return &message->fields[i];
    return NULL;
}

bool gen_type_is_integer(gen_type type) {
    return type == GEN_INT32 || type == GEN_INT64 || type == GEN_UINT32 || type == GEN_UINT64;
}

uint32_t gen_field_max_len(const gen_field *field) {
    if (field->rule->max_len)
        return field->rule->max_len;
    return field->type == GEN_BYTES ? GEN_MAX_LEN_BYTES : GEN_MAX_LEN_STRING;
}

uint32_t gen_field_max_items(const gen_field *field) {
    return field->rule->max_items ? field->rule->max_items : GEN_MAX_ITEMS;
}

bool gen_field_is_json(const gen_field *field) {
    return !strcmp(field->rule->format, "json_object");
}
