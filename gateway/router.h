// SPDX-License-Identifier: Apache-2.0
//
// ez_router: from verb and path to a route of the schema. Built once from ez_routes, read-only after: any thread may
// look things up, and a look-up takes no memory unless the path has escapes.
#pragma once

#include "gateway/uri.h"
#include "proto/runtime/schema.h"

#define EZ_ROUTER_SEGMENTS_MAX 12

typedef struct ez_router ez_router;

typedef struct ez_router_param {
    const ez_field_rule *field; // of the method's request
    ez_text text;               // decoded; points into the path or the arena
} ez_router_param;

typedef struct ez_router_match {
    const ez_route *route;
    unsigned param_count;
    ez_router_param params[EZ_ROUTER_SEGMENTS_MAX];
    unsigned verbs; // bit 1 << ez_verb for each verb this path has, also where the one asked for is not among them
} ez_router_match;

// routes must outlive the router. INVALID_ARGUMENT where two of them are the same verb and path, or one is too deep.
ez_status ez_router_create(const ez_route *routes, unsigned count, ez_router **out, ez_error *error) EZ_MUST_CHECK;
void ez_router_destroy(ez_router *router);

// NOT_FOUND: no such path. UNIMPLEMENTED: the path has other verbs; out->verbs says which (the one output on failure).
// INVALID_ARGUMENT: a bad escape.
ez_status ez_router_find(const ez_router *router, ez_verb verb, ez_text path, ez_arena *arena, ez_router_match *out,
                         ez_error *error) EZ_MUST_CHECK;

// A verb as HTTP writes it.
const char *ez_verb_name(ez_verb verb);
