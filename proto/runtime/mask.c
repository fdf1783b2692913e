// SPDX-License-Identifier: Apache-2.0
//
// Partial updates and defaults. A merge is all or nothing: the mask is judged first. Values are shared with the patch,
// not copied. The awkward case is a client that sends back what it read: output_only and immutable fields are then in
// its mask, and are passed over as long as nothing would change.
#include <assert.h>
#include <string.h>

#include "proto/runtime/field.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

static const ez_field_rule *field_named(const ez_message_rule *rule, const char *name) {
    const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field_by_name(rule->descriptor, name);
    return fd ? &rule->fields[fd - rule->descriptor->fields] : NULL;
}

static ez_status judge(const ez_message_rule *rule, const ez_field_rule *field, const ProtobufCMessage *message,
                       const ProtobufCMessage *patch, const ez_place *place, ez_error *error) {
    const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
    if (field->flags & EZ_FIELD_REQUIRED && !(field->flags & EZ_FIELD_IMMUTABLE) && ez_field_is_empty(fd, patch))
        return ez_place_violation(place, error, "%s is required: it can't be cleared", field->name);
    if (!(field->flags & (EZ_FIELD_OUTPUT_ONLY | EZ_FIELD_IMMUTABLE)) || ez_field_is_equal(fd, message, patch))
        return EZ_OK;
    if (field->flags & EZ_FIELD_OUTPUT_ONLY) {
        if (ez_field_is_empty(fd, patch))
            return EZ_OK;
        return ez_place_violation(place, error, "%s is set by the server: leave it out", field->name);
    }
    return ez_place_violation(place, error, "%s can be set at creation only: leave it out, or make a new resource",
                              field->name);
}

static void apply(const ez_message_rule *rule, const ez_field_rule *field, ProtobufCMessage *message,
                  const ProtobufCMessage *patch) {
    if (!(field->flags & (EZ_FIELD_OUTPUT_ONLY | EZ_FIELD_IMMUTABLE)))
        ez_field_assign(ez_field_of(rule, field), message, patch);
}

static ez_status merge_set(const ez_message_rule *rule, ProtobufCMessage *message, const ProtobufCMessage *patch,
                           ez_error *error) {
    ez_status status = EZ_OK;
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        ez_place place = {.name = field->name};
        if (!ez_field_is_empty(ez_field_of(rule, field), patch) &&
            judge(rule, field, message, patch, &place, error) != EZ_OK)
            status = EZ_INVALID_ARGUMENT;
    }
    for (unsigned i = 0; status == EZ_OK && i < rule->field_count; i++) {
        if (!ez_field_is_empty(ez_field_of(rule, &rule->fields[i]), patch))
            apply(rule, &rule->fields[i], message, patch);
    }
    return status;
}

ez_status ez_message_merge(const ez_message_rule *rule, ProtobufCMessage *message, const ProtobufCMessage *patch,
                           size_t mask_count, char *const *mask, ez_error *error) {
    assert(message->descriptor == rule->descriptor && patch->descriptor == rule->descriptor);
    if (mask_count == 0)
        return merge_set(rule, message, patch, error);
    ez_status status = EZ_OK;
    ez_place top = {.name = "update_mask"};
    for (size_t i = 0; i < mask_count; i++) {
        ez_place place = {.up = &top, .index = i};
        const ez_field_rule *field = field_named(rule, mask[i]);
        ez_status judged = field ? judge(rule, field, message, patch, &place, error)
                                 : ez_place_violation(&place, error, "there is no field %.64s", mask[i]);
        if (judged != EZ_OK)
            status = judged;
    }
    for (size_t i = 0; status == EZ_OK && i < mask_count; i++)
        apply(rule, field_named(rule, mask[i]), message, patch);
    return status;
}

bool ez_message_mask_has(const ez_message_rule *rule, const ProtobufCMessage *patch, size_t mask_count,
                         char *const *mask, const char *name) {
    const ez_field_rule *field = field_named(rule, name);
    if (!field)
        return false;
    if (mask_count == 0)
        return !ez_field_is_empty(ez_field_of(rule, field), patch);
    for (size_t i = 0; i < mask_count; i++) {
        if (strcmp(mask[i], name) == 0)
            return true;
    }
    return false;
}

ez_status ez_message_defaults(const ez_message_rule *rule, ProtobufCMessage *message, ez_arena *arena) {
    assert(message->descriptor == rule->descriptor);
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        if (!field->default_value || !ez_field_is_empty(ez_field_of(rule, field), message))
            continue;
        ez_status status = ez_json_set_text(field, message, field->default_value, arena, NULL);
        assert(status == EZ_OK || arena->refused); // a default the field can't hold is a fault of the schema
        if (status != EZ_OK)
            return EZ_RESOURCE_EXHAUSTED;
    }
    return EZ_OK;
}
