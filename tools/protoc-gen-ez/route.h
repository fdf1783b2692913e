// SPDX-License-Identifier: Apache-2.0
//
// Routes: "GET /admin/keys/{id}:rotate" taken apart, compared and sorted.
#pragma once

#include "tools/protoc-gen-ez/model.h"

// Never NULL; what is malformed has verb NULL or a parameter without field, which gen_route_check refuses.
gen_route *gen_route_parse(gen_pool *pool, gen_rpc *rpc, unsigned ordinal, const char *text);

// Refuses malformed routes and pairs of routes that a URL could match both of while neither is more specific.
void gen_route_check(gen_schema *schema);

// More specific before less, and numbers them.
void gen_route_sort(gen_schema *schema);
