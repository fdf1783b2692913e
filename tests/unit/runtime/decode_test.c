// SPDX-License-Identifier: Apache-2.0
//
// Decoding what a peer should not have sent: faults 17–23 of the fault list at the decoder, and what would grow in
// memory. Each is refused with a code and a path, before memory is spent.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/key.pb-c.h"
#include "fill.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/field.h"
#include "proto/runtime/message.h"
#include "proto/runtime/wire.h"

static ez_arena arena;
static ez_buf bytes;
static ez_error error;

static void setup(void) {
    ez_arena_init(&arena, 1 << 20);
    ez_buf_init(&bytes, 8 << 20);
}

static void teardown(void) {
    ez_arena_fini(&arena);
    ez_buf_fini(&bytes);
}

TestSuite(decode, .init = setup, .fini = teardown);

static ez_status decode(const char *name) {
    ProtobufCMessage *message = NULL;
    ez_error_clear(&error);
    // A copy of just its size, so that the sanitizer sees a read past it.
    uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    ez_status status = ez_message_decode(rule_named(name), copy, bytes.len, &arena, &message, &error);
    free(copy);
    cr_assert_eq(message != NULL, status == EZ_OK);
    return status;
}

static void put(uint32_t number, const void *data, size_t len) {
    cr_assert_eq(ez_wire_put_bytes(&bytes, number, data, len), EZ_OK);
}

Test(decode, fault_17_nesting_ends_at_the_schema) {
    // 100,000 levels of field 1 in field 1: all but the first are an id of the wrong type.
    ez_auto(ez_buf) inner;
    ez_buf_init(&inner, 8 << 20);
    for (int i = 0; i < 100000; i++)
        cr_assert_eq(ez_buf_append(&inner, "\x0A\x00", 2), EZ_OK);
    put(2, inner.data, inner.len);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "MESSAGE_INVALID");
    // Groups, which would have to be skipped by recursion.
    ez_buf_clear(&bytes);
    for (int i = 0; i < 100000; i++)
        cr_assert_eq(ez_buf_putc(&bytes, (char)(100 << 3 | 3)), EZ_OK);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
}

Test(decode, fault_18_19_texts_are_utf8_without_nul) {
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"\xFF", 1}, {"a\0b", 3}, {"\0", 1}, {"\xED\xA0\x80", 3}, {"ab\xC3", 3}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ez_auto(ez_buf) key;
        ez_buf_init(&key, 100);
        cr_assert_eq(ez_wire_put_bytes(&key, 3, bad[i].text, bad[i].len), EZ_OK);
        ez_buf_clear(&bytes);
        put(2, key.data, key.len);
        cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT, "case %zu", i);
        cr_assert_str_eq(error.violations[0].field, "key.name");
    }
}

Test(decode, fault_19_nul_in_lists_and_maps) {
    ez_auto(ez_buf) key;
    ez_auto(ez_buf) entry;
    ez_buf_init(&key, 100);
    ez_buf_init(&entry, 100);
    cr_assert_eq(ez_wire_put_bytes(&key, 8, "ok", 2), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&key, 8, "\0", 1), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&entry, 1, "k", 1), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&entry, 2, "v\0", 2), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&key, 26, entry.data, entry.len), EZ_OK);
    put(2, key.data, key.len);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(error.violation_count, 2);
    cr_assert_str_eq(error.violations[0].field, "key.scopes[1]");
    cr_assert_str_eq(error.violations[1].field, "key.labels[0].value");
}

Test(decode, fault_22_a_million_map_keys_cost_no_memory) {
    ez_auto(ez_buf) key;
    ez_buf_init(&key, 4 << 20);
    for (int i = 0; i < 1000000; i++)
        cr_assert_eq(ez_buf_append(&key, "\xD2\x01\x00", 3), EZ_OK); // labels: an empty entry
    put(2, key.data, key.len);
    size_t before = arena.used;
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.violations[0].field, "key.labels");
    cr_assert_str_eq(error.violations[0].description, "has more than 32 elements");
    cr_assert_eq(arena.used, before);
}

static void given_scopes(int count) {
    ez_auto(ez_buf) key;
    ez_buf_init(&key, 1000);
    for (int i = 0; i < count; i++)
        cr_assert_eq(ez_wire_put_bytes(&key, 8, "s", 1), EZ_OK);
    ez_buf_clear(&bytes);
    put(2, key.data, key.len);
}

Test(decode, lists_are_held_to_their_bound) {
    given_scopes(64);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_OK);
    given_scopes(65);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
    ProtobufCMessage *message;
    cr_assert_eq(
        ez_message_decode_reply(rule_named("ez.v1.CreateKeyRequest"), bytes.data, bytes.len, &arena, &message, NULL),
        EZ_OK, "bounds are for callers");
}

Test(decode, packed_lists_are_counted_inside) {
    // GetSecretsRequest.api_key_ids: at most 1,000, packed or not.
    uint8_t ones[1001];
    memset(ones, 1, sizeof ones);
    put(1, ones, 1000);
    cr_assert_eq(decode("ez.v1.GetSecretsRequest"), EZ_OK);
    cr_assert_eq(ez_wire_put_varint(&bytes, 1, 5), EZ_OK);
    cr_assert_eq(decode("ez.v1.GetSecretsRequest"), EZ_INVALID_ARGUMENT);
    ez_buf_clear(&bytes);
    put(1, ones, 1001);
    cr_assert_eq(decode("ez.v1.GetSecretsRequest"), EZ_INVALID_ARGUMENT);
    ez_buf_clear(&bytes);
    put(1, "\x01\x80", 2);
    cr_assert_eq(decode("ez.v1.GetSecretsRequest"), EZ_INVALID_ARGUMENT, "an element cut short");
}

Test(decode, fault_23_no_cut_message_is_taken_for_another) {
    fill f = {.state = 42, .arena = &arena, .percent = 100};
    ProtobufCMessage *message = fill_message(&f, rule_named("ez.v1.CreateKeyRequest"));
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size);
    protobuf_c_message_pack(message, packed);
    unsigned taken = 0;
    for (size_t len = 0; len < size; len++) {
        ez_buf_clear(&bytes);
        cr_assert_eq(ez_buf_append(&bytes, packed, len), EZ_OK);
        ez_arena_reset(&arena);
        taken += decode("ez.v1.CreateKeyRequest") == EZ_OK;
    }
    // Only the cuts between the two fields: before the first and before the second.
    cr_assert_eq(taken, 2);
    free(packed);
}

Test(decode, a_message_that_comes_twice_is_refused) {
    put(2, "", 0);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_OK);
    put(2, "", 0);
    size_t before = arena.used;
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(arena.used, before, "before anything is unpacked");
}

Test(decode, the_last_of_a_scalar_wins) {
    for (int i = 1; i <= 16; i++)
        cr_assert_eq(ez_wire_put_varint(&bytes, 1, (uint64_t)i), EZ_OK);
    ProtobufCMessage *message;
    cr_assert_eq(ez_message_decode(rule_named("ez.v1.GetKeyRequest"), bytes.data, bytes.len, &arena, &message, NULL),
                 EZ_OK);
    cr_assert_eq(((Ez__V1__GetKeyRequest *)message)->id, 16);
    cr_assert_eq(ez_wire_put_varint(&bytes, 1, 17), EZ_OK);
    cr_assert_eq(decode("ez.v1.GetKeyRequest"), EZ_INVALID_ARGUMENT);
}

Test(decode, unknown_fields_are_skipped_within_a_bound) {
    for (int i = 0; i < 256; i++)
        cr_assert_eq(ez_wire_put_varint(&bytes, 999, 1), EZ_OK);
    cr_assert_eq(decode("ez.v1.GetKeyRequest"), EZ_OK);
    cr_assert_eq(ez_wire_put_varint(&bytes, 999, 1), EZ_OK);
    cr_assert_eq(decode("ez.v1.GetKeyRequest"), EZ_INVALID_ARGUMENT);
}

Test(decode, a_field_of_another_type_is_refused) {
    put(1, "text", 4);
    cr_assert_eq(decode("ez.v1.GetKeyRequest"), EZ_INVALID_ARGUMENT);
    ez_buf_clear(&bytes);
    cr_assert_eq(ez_wire_put_varint(&bytes, 2, 1), EZ_OK);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_INVALID_ARGUMENT);
}

Test(decode, more_than_the_arena_is_exhausted_not_invalid) {
    ez_arena_fini(&arena);
    ez_arena_init(&arena, 2048);
    given_scopes(64);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(error.reason, "MESSAGE_TOO_LARGE");
    ez_buf_clear(&bytes);
    cr_assert_eq(decode("ez.v1.CreateKeyRequest"), EZ_OK, "an empty message is one");
}
