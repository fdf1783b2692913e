// SPDX-License-Identifier: Apache-2.0
//
// The files that come out. Each writer appends one file's whole text; the schema was checked before.
#pragma once

#include "tools/protoc-gen-ez/model.h"

void gen_write_schema_c(const gen_schema *schema, const gen_text *openapi, gen_text *out); // ez/schema.c
void gen_write_handlers_h(const gen_schema *schema, gen_text *out);                        // ez/handlers.h
void gen_write_dispatch_c(const gen_schema *schema, gen_text *out);                        // ez/dispatch.c
void gen_write_calls_h(const gen_schema *schema, gen_text *out);                           // ez/calls.h
void gen_write_calls_c(const gen_schema *schema, gen_text *out);                           // ez/calls.c
void gen_write_openapi(gen_schema *schema, gen_text *out);                                 // ez/openapi.json
void gen_write_rest(const gen_schema *schema, gen_text *out);                              // ez/rest.md
