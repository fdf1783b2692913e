// SPDX-License-Identifier: Apache-2.0
//
// The walk over a message's bytes before it is unpacked. It goes by descriptors, so it is as deep as the schema, which
// has no recursion; the depth is bounded all the same. The awkward cases: packed lists (elements are counted inside), a
// sub-message that comes twice (protobuf would merge the two, past every bound: refused), and unknown fields (kept by
// protobuf-c at a cost: few are taken, none is read).
#include "proto/runtime/scan.h"

#include "proto/runtime/field.h"
#include "proto/runtime/utf8.h"
#include "proto/runtime/wire.h"

#define DEPTH_MAX   16
#define FIELDS_MAX  64  // in one message of the schema
#define UNKNOWN_MAX 256 // unknown fields in one message
#define REPEAT_MAX  16  // times a singular scalar may come

typedef struct walk {
    ez_error *error;
    bool is_bounded;
    bool has_fault;
} walk;

static ez_status message(walk *w, const ProtobufCMessageDescriptor *type, const ez_message_rule *rule,
                         const ez_place *place, ez_slice bytes, int depth);

static ez_status malformed(walk *w, const ez_place *place, const char *what) {
    char path[EZ_VIOLATION_FIELD_MAX];
    ez_place_render(place, path, sizeof path);
    return ez_error_set(w->error, EZ_INVALID_ARGUMENT, "MESSAGE_INVALID", "the message%s%s can't be decoded: %s",
                        path[0] ? " at " : "", path, what);
}

// The wire type one value of a field has.
static uint8_t wire_type(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 5;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 1;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 2;
    default:
        return 0;
    }
}

// Elements of a packed list; false where it is cut within one.
static bool count_packed(uint8_t type, ez_slice bytes, size_t *count) {
    if (type == 0) {
        size_t ends = 0;
        for (size_t i = 0; i < bytes.len; i++)
            ends += bytes.data[i] < 0x80;
        *count = ends;
        return bytes.len == 0 || bytes.data[bytes.len - 1] < 0x80;
    }
    size_t size = type == 1 ? 8 : 4;
    *count = bytes.len / size;
    return bytes.len % size == 0;
}

static ez_status value(walk *w, const ProtobufCFieldDescriptor *fd, const ez_field_rule *field, const ez_place *place,
                       ez_slice bytes, int depth) {
    if (fd->type == PROTOBUF_C_TYPE_MESSAGE)
        return message(w, fd->descriptor, field ? field->message : NULL, place, bytes, depth + 1);
    if (fd->type == PROTOBUF_C_TYPE_STRING && !ez_utf8_is_text((const char *)bytes.data, bytes.len)) {
        w->has_fault = true;
        (void)ez_place_violation(place, w->error, "must be UTF-8 without NUL");
    }
    return EZ_OK;
}

// One occurrence of a known field. seen: its elements so far.
static ez_status occurrence(walk *w, const ProtobufCFieldDescriptor *fd, const ez_field_rule *field,
                            const ez_place *place, const ez_wire_field *found, size_t *seen, int depth) {
    uint8_t type = wire_type(fd->type);
    size_t added = 1;
    if (found->type == 2 && type != 2 && ez_field_is_repeated(fd)) {
        if (!count_packed(type, found->bytes, &added))
            return malformed(w, place, "a packed list is cut short");
    } else if (found->type != type) {
        return malformed(w, place, "the field has another type");
    }
    size_t index = *seen;
    *seen += added;
    if (!ez_field_is_repeated(fd)) {
        if (*seen > (fd->type == PROTOBUF_C_TYPE_MESSAGE ? 1 : REPEAT_MAX))
            return malformed(w, place, "the field comes more than once");
        return type == 2 ? value(w, fd, field, place, found->bytes, depth) : EZ_OK;
    }
    if (w->is_bounded && field && *seen > field->max_items)
        return ez_place_violation(place, w->error, "has more than %u elements", field->max_items);
    ez_place element = {.up = place, .index = index};
    return type == 2 ? value(w, fd, field, &element, found->bytes, depth) : EZ_OK;
}

static ez_status message(walk *w, const ProtobufCMessageDescriptor *type, const ez_message_rule *rule,
                         const ez_place *place, ez_slice bytes, int depth) {
    size_t seen[FIELDS_MAX] = {0};
    size_t unknown = 0, at = 0;
    if (depth > DEPTH_MAX || type->n_fields > FIELDS_MAX)
        return malformed(w, place, "it is nested too deeply");
    ez_wire_field found;
    while (ez_wire_next(bytes.data, bytes.len, &at, &found)) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(type, found.number);
        if (!fd) {
            if (++unknown > UNKNOWN_MAX)
                return malformed(w, place, "it has too many unknown fields");
            continue;
        }
        size_t index = (size_t)(fd - type->fields);
        ez_place inner = {.up = place, .name = fd->name};
        ez_status status = occurrence(w, fd, rule ? &rule->fields[index] : NULL, &inner, &found, &seen[index], depth);
        if (status != EZ_OK)
            return status;
    }
    return at == bytes.len ? EZ_OK : malformed(w, place, "it is cut short, or no protobuf message");
}

ez_status ez_scan_message(const ez_message_rule *rule, const void *data, size_t len, bool is_bounded, ez_error *error) {
    walk w = {.error = error, .is_bounded = is_bounded};
    ez_status status = message(&w, rule->descriptor, rule, NULL, (ez_slice){data, len}, 0);
    return status == EZ_OK && w.has_fault ? EZ_INVALID_ARGUMENT : status;
}
