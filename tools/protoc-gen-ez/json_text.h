// SPDX-License-Identifier: Apache-2.0
//
// gen_json: JSON while it is being written, indented, commas and line breaks kept by it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/protoc-gen-ez/text.h"

typedef struct gen_json {
    gen_text *out;
    unsigned depth;
    bool any; // something stands before in this object or array
} gen_json;

// key is NULL in arrays and at the top. bracket: '{' or '['.
void gen_json_open(gen_json *json, const char *key, char bracket);
void gen_json_close(gen_json *json, char bracket); // '}' or ']'
void gen_json_string(gen_json *json, const char *key, const char *value);
void gen_json_bool(gen_json *json, const char *key, bool value);
void gen_json_number(gen_json *json, const char *key, int64_t value);
// value is JSON itself.
void gen_json_raw(gen_json *json, const char *key, const char *value);
// {"$ref": "#/components/<kind>/<name>"}
void gen_json_ref(gen_json *json, const char *key, const char *kind, const char *name);
// "$ref": "#/components/<kind>/<name>", within an object that is open.
void gen_json_ref_here(gen_json *json, const char *kind, const char *name);

// Appends value as a JSON string.
void gen_json_quote(gen_text *out, const char *value);
