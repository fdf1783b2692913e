// SPDX-License-Identifier: Apache-2.0
//
// The request of an audit entry. Bounded before anything is written: a request may hold a thousand resources.
#include "server/state/directory/audit_text.h"

#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

const char *ez_audit_text_truncated(size_t packed, ez_arena *arena) {
    return ez_arena_printf(arena, "{\"truncated\":true,\"bytes\":%zu}", packed);
}

const char *ez_audit_text(const ProtobufCMessage *message, size_t packed, ez_arena *arena) {
    const ez_message_rule *rule = packed <= EZ_AUDIT_PACKED_MAX ? ez_message_rule_find(message->descriptor) : NULL;
    if (!rule)
        return ez_audit_text_truncated(packed, arena);
    ez_buf text;
    ez_buf_init(&text, EZ_AUDIT_REQUEST_MAX);
    bool fits = ez_json_write_request(rule, message, &text) == EZ_OK && !text.overflow;
    const char *kept =
        fits ? ez_arena_strndup(arena, (const char *)text.data, text.len) : ez_audit_text_truncated(packed, arena);
    ez_buf_fini(&text);
    return kept;
}
