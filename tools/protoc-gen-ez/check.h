// SPDX-License-Identifier: Apache-2.0
//
// What the generator refuses to build. docs/schema.md lists it for people.
#pragma once

#include "tools/protoc-gen-ez/model.h"

// Notes every fault as a refusal and fills has_sensitive and has_hidden of the messages.
void gen_check(gen_schema *schema);

// The faults of single fields: options that do not fit the type, numbers and words that do not parse.
void gen_check_fields(gen_schema *schema);

// A whole number as the options min, max and default_value write it. False where the text is none or does not fit.
bool gen_number_parse(const char *text, int64_t *out);
