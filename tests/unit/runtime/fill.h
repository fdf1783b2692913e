// SPDX-License-Identifier: Apache-2.0
//
// Fills any message of the schema with values its rules allow, from a seed: what property tests start from.
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/schema.h"

typedef struct fill {
    uint64_t state;   // of the generator; never 0
    ez_arena *arena;  // where the message lives
    unsigned percent; // chance that a field that is not required is set
} fill;

ProtobufCMessage *fill_message(fill *f, const ez_message_rule *rule);
// Sets one field to a value that is allowed and not empty.
void fill_field(fill *f, const ez_message_rule *rule, const ez_field_rule *field, ProtobufCMessage *message);

uint64_t fill_random(fill *f, uint64_t below);

// Same type, same fields, same values.
bool messages_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);

// By full name; fails the test where there is none.
const ez_message_rule *rule_named(const char *name);
const ez_field_rule *field_named(const ez_message_rule *rule, const char *name);
