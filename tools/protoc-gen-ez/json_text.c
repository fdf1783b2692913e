// SPDX-License-Identifier: Apache-2.0
//
// Two blanks per level, one member per line: the text also becomes lines of a C literal, and is read by people.
// Comments of the schema are UTF-8 and stay so.
#include "tools/protoc-gen-ez/json_text.h"

#include <inttypes.h>
#include <string.h>

void gen_json_quote(gen_text *out, const char *value) {
    gen_text_puts(out, "\"");
    for (const char *at = value; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            gen_text_printf(out, "\\%c", c);
        else if (c < 0x20)
            gen_text_printf(out, "\\u%04x", c);
        else
            gen_text_append(out, at, 1);
    }
    gen_text_puts(out, "\"");
}

static void begin(gen_json *json, const char *key) {
    if (json->any)
        gen_text_puts(json->out, ",");
    if (json->depth)
        gen_text_printf(json->out, "\n%*s", (int)(2 * json->depth), "");
    if (key) {
        gen_json_quote(json->out, key);
        gen_text_puts(json->out, ": ");
    }
    json->any = true;
}

void gen_json_open(gen_json *json, const char *key, char bracket) {
    begin(json, key);
    gen_text_append(json->out, &bracket, 1);
    json->depth++;
    json->any = false;
}

void gen_json_close(gen_json *json, char bracket) {
    json->depth--;
    if (json->any)
        gen_text_printf(json->out, "\n%*s", (int)(2 * json->depth), "");
    gen_text_append(json->out, &bracket, 1);
    json->any = true;
    if (!json->depth)
        gen_text_puts(json->out, "\n");
}

void gen_json_string(gen_json *json, const char *key, const char *value) {
    begin(json, key);
    gen_json_quote(json->out, value);
}

void gen_json_bool(gen_json *json, const char *key, bool value) {
    gen_json_raw(json, key, value ? "true" : "false");
}

void gen_json_number(gen_json *json, const char *key, int64_t value) {
    begin(json, key);
    gen_text_printf(json->out, "%" PRId64, value);
}

void gen_json_raw(gen_json *json, const char *key, const char *value) {
    begin(json, key);
    gen_text_puts(json->out, value);
}

void gen_json_ref(gen_json *json, const char *key, const char *kind, const char *name) {
    gen_json_open(json, key, '{');
    gen_json_ref_here(json, kind, name);
    gen_json_close(json, '}');
}

void gen_json_ref_here(gen_json *json, const char *kind, const char *name) {
    begin(json, "$ref");
    gen_text_printf(json->out, "\"#/components/%s/%s\"", kind, name);
}
