// SPDX-License-Identifier: Apache-2.0
//
// Properties that hold for every message of the schema: it survives packing, JSON and copying; a message within its
// rules is taken; and nothing sensitive is left after a redaction or in JSON that does not reveal.
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "fill.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/field.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define ROUNDS 12

typedef void property(fill *f, const ez_message_rule *rule, ProtobufCMessage *message);

// For every message, ROUNDS times, with few, many and all fields set.
static void for_every_message(property *holds) {
    for (unsigned i = 0; i < ez_message_rule_count; i++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            ez_auto(ez_arena) arena;
            ez_arena_init(&arena, 64 << 20);
            fill f = {.state = 88172645463325252u + i * 1000 + round, .arena = &arena, .percent = 10 + round % 3 * 45};
            holds(&f, ez_message_rules[i], fill_message(&f, ez_message_rules[i]));
            cr_assert_not(arena.refused);
        }
    }
}

static void packs(fill *f, const ez_message_rule *rule, ProtobufCMessage *message) {
    ez_auto(ez_buf) packed;
    ez_buf_init(&packed, 16 << 20);
    cr_assert_eq(ez_buf_pack(&packed, message), EZ_OK);
    ProtobufCMessage *back;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_message_decode(rule, packed.data, packed.len, f->arena, &back, &error), EZ_OK, "%s: %s", rule->name,
                 error.message);
    cr_assert(messages_equal(message, back), "%s", rule->name);
    cr_assert_eq(ez_message_decode_reply(rule, packed.data, packed.len, f->arena, &back, NULL), EZ_OK);
    cr_assert(messages_equal(message, back), "%s", rule->name);
}

Test(round_trip, every_message_survives_packing) {
    for_every_message(packs);
}

static void writes_json(fill *f, const ez_message_rule *rule, ProtobufCMessage *message) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, 16 << 20);
    cr_assert_eq(ez_json_write(rule, message, true, &text), EZ_OK);
    ProtobufCMessage *back;
    ez_json_mask mask;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_json_parse(rule, (const char *)text.data, text.len, f->arena, &back, &mask, &error), EZ_OK,
                 "%s: %s\n%s", rule->name, error.message, ez_buf_cstr(&text));
    cr_assert(messages_equal(message, back), "%s\n%s", rule->name, ez_buf_cstr(&text));
    for (size_t i = 0; i < mask.count; i++)
        cr_assert_not_null(ez_field_rule_find(rule, mask.names[i]));
}

Test(round_trip, every_message_survives_json) {
    for_every_message(writes_json);
}

static void copies(fill *f, const ez_message_rule *rule, ProtobufCMessage *message) {
    ez_auto(ez_arena) other;
    ez_arena_init(&other, 64 << 20);
    ProtobufCMessage *copy = ez_message_copy(message, &other);
    cr_assert_not_null(copy);
    cr_assert(messages_equal(message, copy), "%s", rule->name);
    // The copy shares nothing: it is whole after the first one is gone.
    ez_auto(ez_buf) before;
    ez_auto(ez_buf) after;
    ez_buf_init(&before, 16 << 20);
    ez_buf_init(&after, 16 << 20);
    cr_assert_eq(ez_buf_pack(&before, message), EZ_OK);
    ez_arena_fini(f->arena);
    cr_assert_eq(ez_buf_pack(&after, copy), EZ_OK);
    cr_assert_eq(before.len, after.len);
    cr_assert(before.len == 0 || memcmp(before.data, after.data, before.len) == 0);
}

Test(round_trip, every_message_survives_copying) {
    for_every_message(copies);
}

static void is_taken(fill *f, const ez_message_rule *rule, ProtobufCMessage *message) {
    ez_error error = EZ_ERROR_INIT;
    for (int is_create = 0; is_create < 2; is_create++)
        cr_assert_eq(ez_message_check(rule, message, is_create, f->arena, &error), EZ_OK, "%s: %s", rule->name,
                     error.message);
    for (unsigned i = 0; i < rule->field_count; i++)
        cr_assert(!(rule->fields[i].flags & EZ_FIELD_OUTPUT_ONLY) ||
                  ez_message_field_is_empty(&rule->fields[i], message));
    cr_assert_eq(ez_message_defaults(rule, message, f->arena), EZ_OK);
    for (unsigned i = 0; i < rule->field_count; i++)
        cr_assert(!rule->fields[i].default_value || rule->fields[i].flags & EZ_FIELD_OUTPUT_ONLY ||
                      !ez_message_field_is_empty(&rule->fields[i], message),
                  "%s.%s has a default", rule->name, rule->fields[i].name);
    cr_assert_eq(ez_message_check(rule, message, true, f->arena, &error), EZ_OK, "%s with defaults: %s", rule->name,
                 error.message);
}

Test(round_trip, every_message_within_its_rules_is_taken) {
    for_every_message(is_taken);
}

// No field of that kind is set, at any depth.
static void expect_none(const ez_message_rule *rule, const ProtobufCMessage *message, uint32_t flag) {
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
        if (field->flags & flag)
            cr_assert(ez_field_is_empty(fd, message), "%s.%s", rule->name, field->name);
        else if (field->message && ez_field_is_repeated(fd))
            for (size_t j = 0; j < *ez_field_count(fd, message); j++)
                expect_none(field->message, (*(ProtobufCMessage ***)ez_field_at(fd, message))[j], flag);
        else if (field->message && ez_field_is_live(fd, message) && *(void **)ez_field_at(fd, message))
            expect_none(field->message, *(ProtobufCMessage **)ez_field_at(fd, message), flag);
    }
}

static void redacts(fill *f, const ez_message_rule *rule, ProtobufCMessage *message) {
    // JSON that does not reveal, read back, has nothing sensitive and nothing input_only either.
    ez_auto(ez_buf) text;
    ez_buf_init(&text, 16 << 20);
    cr_assert_eq(ez_json_write(rule, message, false, &text), EZ_OK);
    ProtobufCMessage *back;
    cr_assert_eq(ez_json_parse(rule, (const char *)text.data, text.len, f->arena, &back, NULL, NULL), EZ_OK);
    expect_none(rule, back, EZ_FIELD_SENSITIVE | EZ_FIELD_INPUT_ONLY);
    ProtobufCMessage *copy = ez_message_copy(message, f->arena);
    ez_message_redact(rule, copy);
    expect_none(rule, copy, EZ_FIELD_SENSITIVE);
    if (!rule->has_sensitive)
        cr_assert(messages_equal(copy, message), "%s", rule->name);
}

Test(round_trip, nothing_sensitive_is_left_at_any_depth) {
    for_every_message(redacts);
}
