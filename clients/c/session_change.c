// SPDX-License-Identifier: Apache-2.0
//
// Changes and fetch pages on the wire. Owns nothing. Awkward: the numbers here repeat proto/ez/v1/config.proto, which
// never gives a number a second meaning; unknown fields are skipped, as protobuf wants it.
#include "clients/c/session_change.h"

#include "ez/v1/config.pb-c.h"
#include "proto/runtime/wire.h"

enum {
    CHANGE_REVISION = 1,
    CHANGE_KIND = 2,
    CHANGE_ID = 3,
    CHANGE_OP = 4,
    CHANGE_SECRET_VERSION = 5,
    CHANGE_SECRET = 30
};
enum { CHANGE_RESOURCE_FIRST = 10, CHANGE_RESOURCE_LAST = 15 };
enum { PAGE_MODE = 1, PAGE_FROM = 2, PAGE_TO = 3, PAGE_NEXT = 5 };
enum { REVISION_EPOCH = 1, REVISION_N = 2 };

static bool read_revision(ez_slice bytes, ez_session_revision *out) {
    *out = (ez_session_revision){0};
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(bytes.data, bytes.len, &at, &field)) {
        if (field.type == 0 && field.number == REVISION_EPOCH) {
            out->epoch = field.varint;
        } else if (field.type == 0 && field.number == REVISION_N) {
            out->n = field.varint;
        }
    }
    return at == bytes.len;
}

static void take_field(const ez_wire_field *field, ez_change *out) {
    if (field->type == 0) {
        switch (field->number) {
        case CHANGE_KIND:
            out->kind = (uint32_t)field->varint;
            break;
        case CHANGE_ID:
            out->id = (int64_t)field->varint;
            break;
        case CHANGE_OP:
            out->op = (uint32_t)field->varint;
            break;
        case CHANGE_SECRET_VERSION:
            out->secret_version = field->varint;
            break;
        default:
            break;
        }
    } else if (field->type == 2 && field->number >= CHANGE_RESOURCE_FIRST && field->number <= CHANGE_RESOURCE_LAST) {
        out->member = field->number;
        out->resource = field->bytes;
    } else if (field->type == 2 && field->number == CHANGE_SECRET) {
        out->secret = field->bytes;
        out->has_secret = true;
    } else if (field->type == 2 && field->number == CHANGE_REVISION) {
        ez_session_revision revision;
        out->revision = read_revision(field->bytes, &revision) ? revision.n : 0;
    }
}

bool ez_change_read(ez_slice bytes, ez_change *out) {
    *out = (ez_change){0};
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(bytes.data, bytes.len, &at, &field)) {
        take_field(&field, out);
    }
    return at == bytes.len;
}

uint32_t ez_change_member(uint32_t kind) {
    return kind >= EZ__V1__KIND__KIND_MASTER && kind <= EZ__V1__KIND__KIND_BINDING
               ? CHANGE_RESOURCE_FIRST + kind - EZ__V1__KIND__KIND_MASTER
               : 0;
}

const ProtobufCMessageDescriptor *ez_change_descriptor(uint32_t kind) {
    static const ProtobufCMessageDescriptor *const descriptors[] = {
        [EZ__V1__KIND__KIND_MASTER] = &ez__v1__master__descriptor,
        [EZ__V1__KIND__KIND_KEY] = &ez__v1__key__descriptor,
        [EZ__V1__KIND__KIND_NAMESPACE] = &ez__v1__namespace__descriptor,
        [EZ__V1__KIND__KIND_PROVIDER_GROUP] = &ez__v1__provider_group__descriptor,
        [EZ__V1__KIND__KIND_API_KEY] = &ez__v1__api_key__descriptor,
        [EZ__V1__KIND__KIND_BINDING] = &ez__v1__binding__descriptor,
    };
    return ez_change_member(kind) == 0 ? NULL : descriptors[kind];
}

static size_t varint_len(uint64_t value) {
    uint8_t scratch[10];
    return ez_varint_write(scratch, value);
}

static size_t bytes_len(uint32_t number, size_t len) {
    return varint_len((uint64_t)number << 3) + varint_len(len) + len;
}

ez_status ez_change_write(ez_buf *out, uint32_t number, const ez_change *change) {
    size_t len = 4 + varint_len(change->kind) + varint_len((uint64_t)change->id) + varint_len(change->op) +
                 varint_len(change->secret_version) + bytes_len(change->member, change->resource.len);
    if (change->secret.data != NULL) {
        len += bytes_len(CHANGE_SECRET, change->secret.len);
    }
    uint8_t head[20];
    size_t head_len = ez_varint_write(head, (uint64_t)number << 3 | 2);
    head_len += ez_varint_write(head + head_len, len);
    ez_status status = ez_buf_reserve(out, head_len + len);
    if (status != EZ_OK) {
        return status;
    }
    size_t start = out->len + head_len;
    // Nothing below can fail: the room is there. The sum of the lengths is checked all the same.
    bool ok = ez_buf_append(out, head, head_len) == EZ_OK &&
              ez_wire_put_varint(out, CHANGE_KIND, change->kind) == EZ_OK &&
              ez_wire_put_varint(out, CHANGE_ID, (uint64_t)change->id) == EZ_OK &&
              ez_wire_put_varint(out, CHANGE_OP, change->op) == EZ_OK &&
              ez_wire_put_varint(out, CHANGE_SECRET_VERSION, change->secret_version) == EZ_OK &&
              ez_wire_put_bytes(out, change->member, change->resource.data, change->resource.len) == EZ_OK &&
              (change->secret.data == NULL ||
               ez_wire_put_bytes(out, CHANGE_SECRET, change->secret.data, change->secret.len) == EZ_OK);
    return ok && out->len == start + len ? EZ_OK : EZ_INTERNAL;
}

bool ez_change_next(ez_slice message, uint32_t number, size_t *at, ez_change *out, bool *bad) {
    ez_wire_field field;
    while (ez_wire_next(message.data, message.len, at, &field)) {
        if (field.number == number && field.type == 2) {
            *bad = !ez_change_read(field.bytes, out);
            return !*bad;
        }
    }
    *bad = *at != message.len;
    return false;
}

bool ez_page_read(ez_slice message, ez_page *out) {
    *out = (ez_page){0};
    size_t at = 0;
    ez_wire_field field;
    bool ok = true;
    while (ok && ez_wire_next(message.data, message.len, &at, &field)) {
        if (field.type == 0 && field.number == PAGE_MODE) {
            out->mode = (uint32_t)field.varint;
        } else if (field.type == 2 && field.number == PAGE_FROM) {
            ok = read_revision(field.bytes, &out->from);
        } else if (field.type == 2 && field.number == PAGE_TO) {
            ok = read_revision(field.bytes, &out->to);
        } else if (field.type == 2 && field.number == PAGE_NEXT) {
            out->next_page_token = field.bytes;
        }
    }
    return ok && at == message.len;
}
