// SPDX-License-Identifier: Apache-2.0
//
// JSON bodies for any message of the schema; the first byte picks which, and the rest is the body. What is taken must
// be written as JSON that is taken again, and be the same message.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds) {
    if (!holds)
        abort();
}

static void go_round(const ez_message_rule *rule, ProtobufCMessage *message, ez_arena *arena) {
    ez_auto(ez_buf) text;
    ez_auto(ez_buf) first;
    ez_auto(ez_buf) second;
    ez_buf_init(&text, 64 << 20);
    ez_buf_init(&first, 64 << 20);
    ez_buf_init(&second, 64 << 20);
    expect(ez_json_write(rule, message, true, &text) == EZ_OK);
    ProtobufCMessage *again;
    ez_status status = ez_json_parse(rule, (const char *)text.data, text.len, arena, &again, NULL, NULL);
    if (status != EZ_OK) {
        // A 64-bit number past INT64_MAX is written as a number and taken as a text only; memory may end.
        expect(arena->refused || memmem(text.data, text.len, ":1", 2) || memmem(text.data, text.len, ":9", 2));
        return;
    }
    expect(ez_buf_pack(&first, message) == EZ_OK && ez_buf_pack(&second, again) == EZ_OK);
    expect(first.len == second.len && (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
}

static void set_text(const ez_message_rule *rule, const uint8_t *data, size_t size, ez_arena *arena) {
    char *text = ez_arena_strndup(arena, (const char *)data, size);
    ProtobufCMessage *message = ez_arena_zalloc(arena, rule->descriptor->sizeof_message);
    if (!text || !message)
        return;
    protobuf_c_message_init(rule->descriptor, message);
    for (unsigned i = 0; i < rule->field_count; i++)
        (void)ez_json_set_text(&rule->fields[i], message, text, arena, &(ez_error){0});
    ez_auto(ez_buf) packed;
    ez_buf_init(&packed, 64 << 20);
    expect(ez_buf_pack(&packed, message) == EZ_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    const ez_message_rule *rule = ez_message_rules[data[0] % ez_message_rule_count];
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, 32 << 20);
    set_text(rule, data + 1, size - 1, &arena);
    ProtobufCMessage *message;
    ez_json_mask mask;
    ez_error error = EZ_ERROR_INIT;
    if (ez_json_parse(rule, (const char *)data + 1, size - 1, &arena, &message, &mask, &error) == EZ_OK)
        go_round(rule, message, &arena);
    else
        expect(error.code != EZ_OK && error.reason[0] && error.message[0]);
    return 0;
}
