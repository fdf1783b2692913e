// SPDX-License-Identifier: Apache-2.0
//
// Names as others spell them: protobuf-c's C identifiers, which must come out exactly as protoc-c makes them, and ours.
// All results live in the pool.
#pragma once

#include "tools/protoc-gen-ez/pool.h"

// "ez.v1.Key.LabelsEntry": "Ez__V1__Key__LabelsEntry".
char *gen_name_c_type(gen_pool *pool, const char *full);
// "ez.v1.Key.LabelsEntry": "ez__v1__key__labels_entry".
char *gen_name_c_lower(gen_pool *pool, const char *full);
// "ApiKeys": "api_keys".
char *gen_name_snake(gen_pool *pool, const char *camel);
// "api_keys" or "ApiKeys": "API_KEYS".
char *gen_name_upper(gen_pool *pool, const char *name);
// With every byte of from replaced by to.
char *gen_name_replace(gen_pool *pool, const char *name, char from, char to);
