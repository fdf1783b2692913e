// SPDX-License-Identifier: Apache-2.0
//
// The schemas of openapi.json: components from messages and enums, and the schemas of single fields.
#pragma once

#include "tools/protoc-gen-ez/json_text.h"
#include "tools/protoc-gen-ez/model.h"

// Marks the message in this view, and all that it refers to, as used. To be done for all before anything is written:
// the names depend on it.
void gen_openapi_use(gen_message *message, gen_view view);
// Marks the enum of a parameter.
void gen_openapi_use_field(const gen_field *field, gen_view view);

// A component's name: "Key", "KeyRevealed", "KeyInput", "KeyPatch".
const char *gen_openapi_name(gen_pool *pool, const gen_message *message, gen_view view);

// The schema of a field. is_param: of a parameter, whose description stands beside the schema.
void gen_openapi_field(gen_pool *pool, gen_json *json, const char *key, const gen_field *field, gen_view view,
                       bool is_param);
// The members of an object schema, without the fields that are in the route's path (route may be NULL).
void gen_openapi_object(gen_pool *pool, gen_json *json, const gen_message *message, gen_view view,
                        const gen_route *route);
// "schemas" of components: all that is used.
void gen_openapi_schemas(const gen_schema *schema, gen_json *json);
