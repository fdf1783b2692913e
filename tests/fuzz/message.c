// SPDX-License-Identifier: Apache-2.0
//
// Decoding and checking any message of the schema; the first byte picks which. What is taken must survive packing,
// copying, redacting and JSON, within the arena's ceiling.
#include <stdlib.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds) {
    if (!holds)
        abort();
}

static void go_round(const ez_message_rule *rule, ProtobufCMessage *message, ez_arena *arena) {
    ez_auto(ez_buf) out;
    ez_buf_init(&out, 64 << 20);
    expect(ez_json_write(rule, message, true, &out) == EZ_OK);
    ez_buf_clear(&out);
    expect(ez_buf_pack(&out, message) == EZ_OK);
    ProtobufCMessage *again = NULL;
    ez_status status = ez_message_decode(rule, out.data, out.len, arena, &again, NULL);
    expect(status == EZ_OK || arena->refused);
    ProtobufCMessage *copy = ez_message_copy(message, arena);
    expect(copy != NULL || arena->refused);
    if (copy)
        ez_message_redact(rule, copy);
    if (again && copy)
        (void)ez_message_merge(rule, again, copy, 0, NULL, &(ez_error){0});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    const ez_message_rule *rule = ez_message_rules[data[0] % ez_message_rule_count];
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, 32 << 20);
    ProtobufCMessage *message;
    ez_error error = EZ_ERROR_INIT;
    if (ez_message_decode_reply(rule, data + 1, size - 1, &arena, &message, NULL) == EZ_OK)
        (void)ez_message_check(rule, message, true, &arena, NULL);
    if (ez_message_decode(rule, data + 1, size - 1, &arena, &message, &error) != EZ_OK) {
        expect(error.code != EZ_OK && error.reason[0] && error.message[0]);
        return 0;
    }
    go_round(rule, message, &arena);
    if (ez_message_check(rule, message, size % 2, &arena, &error) == EZ_OK) {
        // What was taken once is taken again.
        expect(ez_message_check(rule, message, size % 2, &arena, &error) == EZ_OK || arena.refused);
        expect(ez_message_defaults(rule, message, &arena) == EZ_OK || arena.refused);
    }
    return 0;
}
