// SPDX-License-Identifier: Apache-2.0
//
// Two forms are known: "succeeded" beside "failed", and a list whose items have "delivered". A "failed" alone is
// somebody's statistics.
#include "clients/ctl/outcome.h"

#include "proto/runtime/field.h"

// A field of this name and type, once in each message; NULL: none.
static const ProtobufCFieldDescriptor *find(const ez_message_rule *rule, const char *name, ProtobufCType type) {
    const ez_field_rule *field = ez_field_rule_find(rule, name);
    const ProtobufCFieldDescriptor *fd = field ? ez_field_of(rule, field) : NULL;
    return fd && fd->type == type && !ez_field_is_repeated(fd) ? fd : NULL;
}

static size_t number(const ProtobufCFieldDescriptor *fd, const ProtobufCMessage *message) {
    int32_t value = *(const int32_t *)ez_field_at(fd, message);
    return value > 0 ? (size_t)value : 0;
}

static size_t count_undelivered(const ez_message_rule *rule, const ProtobufCMessage *reply, size_t *of) {
    const ez_field_rule *items = ez_field_rule_find(rule, "items");
    const ProtobufCFieldDescriptor *list = items ? ez_field_of(rule, items) : NULL, *delivered;
    if (!list || !ez_field_is_repeated(list) || !items->message ||
        !(delivered = find(items->message, "delivered", PROTOBUF_C_TYPE_BOOL)))
        return 0;
    ProtobufCMessage *const *each = *(ProtobufCMessage ***)ez_field_at(list, reply);
    size_t failed = 0;
    *of = *ez_field_count(list, reply);
    for (size_t i = 0; i < *of; i++)
        failed += !*(const protobuf_c_boolean *)ez_field_at(delivered, each[i]);
    return failed;
}

size_t ez_ctl_outcome_failed(const ez_message_rule *rule, const ProtobufCMessage *reply, size_t *of) {
    const ProtobufCFieldDescriptor *succeeded = find(rule, "succeeded", PROTOBUF_C_TYPE_INT32);
    const ProtobufCFieldDescriptor *failed = find(rule, "failed", PROTOBUF_C_TYPE_INT32);
    *of = 0;
    if (!succeeded || !failed)
        return count_undelivered(rule, reply, of);
    *of = number(succeeded, reply) + number(failed, reply);
    return number(failed, reply);
}
