// SPDX-License-Identifier: Apache-2.0
//
// REST as openapi.json and rest.md both show it: what of a message is visible where, what an rpc's comment says, an
// example of each call.
#pragma once

#include "tools/protoc-gen-ez/model.h"

// Whether the field is part of the message as this view shows it.
bool gen_view_has(const gen_field *field, gen_view view);
// The view that a message within this field is shown in.
gen_view gen_view_within(const gen_field *field, gen_view view);
// The view of the rpc's reply, and of what its HTTP body becomes.
gen_view gen_view_of_reply(const gen_rpc *rpc);
gen_view gen_view_of_body(const gen_rpc *rpc);
// Whether replies always have the field.
bool gen_view_always(const gen_field *field);

// Whether the field stands in the route's path; whether it can stand in its query.
bool gen_route_has_param(const gen_route *route, const gen_field *field);
bool gen_route_has_query(const gen_route *route, const gen_field *field);
bool gen_route_has_params(const gen_route *route);
// Whether the body has anything in it beside what the path gives.
bool gen_route_has_body(const gen_route *route);
// Whether a body must be sent.
bool gen_route_wants_body(const gen_route *route);

unsigned gen_rpc_http_status(const gen_rpc *rpc);
bool gen_rpc_is_change(const gen_rpc *rpc);
// Whether the reply is a resource with a revision, which ETag carries.
bool gen_rpc_has_etag(const gen_rpc *rpc);
// Whether a call by this route can fail so, over REST: 400, 401, …
bool gen_route_may_fail(const gen_route *route, unsigned http_status);

// The comment's first sentence without its stop; the comment without its "Errors: …"; what follows "Errors: " or "".
char *gen_doc_summary(gen_pool *pool, const char *doc);
char *gen_doc_body(gen_pool *pool, const char *doc);
const char *gen_doc_errors(const char *doc);

// Appends an example value of the field as JSON, fit for its rules.
void gen_example_value(const gen_field *field, gen_view view, gen_text *out);
// Appends an example of the route's body as JSON, on one line.
void gen_example_body(const gen_route *route, gen_text *out);
// Appends an example of the route's path and query.
void gen_example_url(const gen_route *route, gen_text *out);
