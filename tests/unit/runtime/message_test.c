// SPDX-License-Identifier: Apache-2.0
//
// Redaction and copies where properties do not reach: unknown fields, and memory that ends.
#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/config.pb-c.h"
#include "fill.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/message.h"
#include "proto/runtime/wire.h"

Test(message, redaction_reaches_into_lists_and_drops_unknown_fields) {
    ez_auto(ez_arena) arena;
    ez_auto(ez_buf) packed;
    ez_arena_init(&arena, 1 << 20);
    ez_buf_init(&packed, 1 << 20);
    Ez__V1__ApiKeySecret secret = EZ__V1__API_KEY_SECRET__INIT;
    secret.api_key = (char *)"upstream-secret";
    Ez__V1__ApiKey api_key = EZ__V1__API_KEY__INIT;
    api_key.access_token = (char *)"upstream-secret";
    api_key.name = (char *)"kept";
    Ez__V1__Change change = EZ__V1__CHANGE__INIT;
    change.secret = &secret;
    change.resource_case = EZ__V1__CHANGE__RESOURCE_API_KEY;
    change.api_key = &api_key;
    Ez__V1__Change *changes[] = {&change};
    Ez__V1__ChangeBatch batch = EZ__V1__CHANGE_BATCH__INIT;
    batch.n_changes = 1;
    batch.changes = changes;
    cr_assert_eq(ez_buf_pack(&packed, &batch.base), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&packed, 999, "upstream-secret", 15), EZ_OK);
    const ez_message_rule *rule = rule_named("ez.v1.ChangeBatch");
    ProtobufCMessage *message;
    cr_assert_eq(ez_message_decode(rule, packed.data, packed.len, &arena, &message, NULL), EZ_OK);
    cr_assert_eq(message->n_unknown_fields, 1);
    ProtobufCMessage *copy = ez_message_copy(message, &arena);
    cr_assert_eq(copy->n_unknown_fields, 1);
    ez_message_redact(rule, message);
    ez_buf_clear(&packed);
    cr_assert_eq(ez_buf_pack(&packed, message), EZ_OK);
    cr_assert_null(memmem(packed.data, packed.len, "secret", 6));
    cr_assert_not_null(memmem(packed.data, packed.len, "kept", 4));
    ez_buf_clear(&packed);
    cr_assert_eq(ez_buf_pack(&packed, copy), EZ_OK);
    cr_assert_not_null(memmem(packed.data, packed.len, "upstream-secret", 15), "the copy is its own");
}

Test(message, a_copy_without_memory_is_null) {
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, 8 << 20);
    fill f = {.state = 5, .arena = &arena, .percent = 100};
    ProtobufCMessage *message = fill_message(&f, rule_named("ez.v1.ListKeysResponse"));
    unsigned made = 0;
    for (size_t max = 0; max < 64 << 10; max += 512) {
        ez_auto(ez_arena) small;
        ez_arena_init(&small, max);
        ProtobufCMessage *copy = ez_message_copy(message, &small);
        cr_assert_eq(copy == NULL, small.refused);
        made += copy != NULL;
    }
    cr_assert(made > 0 && made < 128, "%u", made);
}
