// SPDX-License-Identifier: Apache-2.0
//
// The tables of rest.md.
#pragma once

#include "tools/protoc-gen-ez/model.h"

// A field's type in words, objects and enums as links.
void gen_rest_put_type(const gen_field *field, gen_text *out);
// Its rules and its comment, for the last column of a table.
void gen_rest_put_rules(const gen_field *field, gen_view view, gen_text *out);
// A table of the message's fields in this view, without those in the route's path (route may be NULL).
void gen_rest_put_fields(const gen_message *message, gen_view view, const gen_route *route, gen_text *out);
// The chapters "Objects" and "Words": what replies and requests refer to.
void gen_rest_put_objects(const gen_schema *schema, gen_text *out);
