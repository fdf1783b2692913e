// SPDX-License-Identifier: Apache-2.0
//
// Nouns and verbs: a noun is a service, a verb one of its rpcs, both in kebab-case. Nothing is listed by hand; all of
// it is read from the schema's tables. Any thread.
#pragma once

#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

// The reason of every error that is the command line's own fault.
#define EZ_CTL_USAGE "USAGE"

// The methods of one service stand together in ez_methods: the first of the noun that follows after, or of the first
// noun where after is NULL. NULL at the end.
const ez_method *ez_ctl_noun_next(const ez_method *after);
// The next method of the same noun; NULL at the end.
const ez_method *ez_ctl_verb_next(const ez_method *after);

// The first method of a noun. INVALID_ARGUMENT (USAGE) names the nearest and all there are.
ez_status ez_ctl_noun_find(const char *noun, const ez_method **out, ez_error *error) EZ_MUST_CHECK;
// The same for the verb of a noun. verb NULL: the error says what verbs there are.
ez_status ez_ctl_verb_find(const ez_method *noun, const char *verb, const ez_method **out,
                           ez_error *error) EZ_MUST_CHECK;
// By the schema's name, "ez.v1.Keys/Get", or without its package.
ez_status ez_ctl_method_find(const char *name, const ez_method **out, ez_error *error) EZ_MUST_CHECK;

// The request's field that is the resource (the HTTP body), or NULL.
const ez_field_rule *ez_ctl_body(const ez_method *method);

// The route of a method that takes this many operands; else the one with the fewest more; NULL where none takes as
// many.
const ez_route *ez_ctl_route(const ez_method *method, unsigned operands);
// The nth operand's field of a route; NULL past the last.
const ez_field_rule *ez_ctl_operand(const ez_route *route, unsigned n);
