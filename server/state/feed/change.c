// SPDX-License-Identifier: Apache-2.0
//
// A Change as it stands on the wire, put together from bytes that are packed already: the resource is copied, never
// unpacked. Which kinds data planes get is known here too. Awkward: in Change the resource's field number follows from
// its kind (MASTER = 1 is field 10, BINDING = 6 is field 15); a static assertion holds the schema to it.
#include <assert.h>

#include "ez/v1/config.pb-c.h"
#include "proto/runtime/wire.h"
#include "server/state/feed/feed.h"

#define RESOURCE_FIELD(kind) ((uint32_t)(kind) + 9)

static_assert(EZ__V1__CHANGE__RESOURCE_MASTER == RESOURCE_FIELD(EZ__V1__KIND__KIND_MASTER) &&
                  EZ__V1__CHANGE__RESOURCE_KEY == RESOURCE_FIELD(EZ__V1__KIND__KIND_KEY) &&
                  EZ__V1__CHANGE__RESOURCE_NAMESPACE == RESOURCE_FIELD(EZ__V1__KIND__KIND_NAMESPACE) &&
                  EZ__V1__CHANGE__RESOURCE_PROVIDER_GROUP == RESOURCE_FIELD(EZ__V1__KIND__KIND_PROVIDER_GROUP) &&
                  EZ__V1__CHANGE__RESOURCE_API_KEY == RESOURCE_FIELD(EZ__V1__KIND__KIND_API_KEY) &&
                  EZ__V1__CHANGE__RESOURCE_BINDING == RESOURCE_FIELD(EZ__V1__KIND__KIND_BINDING),
              "a resource's field in Change is its kind's number and 9");

bool ez_kind_is_config(int kind) {
    return kind >= EZ__V1__KIND__KIND_MASTER && kind <= EZ__V1__KIND__KIND_BINDING;
}

ez_status ez_change_encode(ez_buf *out, ez_revision revision, int kind, int64_t id, int op, uint64_t secret_version,
                           ez_slice resource) {
    assert(ez_kind_is_config(kind));
    uint8_t bytes[22]; // Revision: two fields of one tag byte and at most ten of varint
    size_t size = 0;
    bytes[size++] = 1 << 3;
    size += ez_varint_write(bytes + size, revision.epoch);
    bytes[size++] = 2 << 3;
    size += ez_varint_write(bytes + size, revision.n);
    // One reservation, so that a change is there whole or not at all; 64 covers every tag, length and number.
    if (resource.len > SIZE_MAX - 64 - sizeof bytes || ez_buf_reserve(out, resource.len + 64 + sizeof bytes) != EZ_OK)
        return EZ_RESOURCE_EXHAUSTED;
    ez_status status = ez_wire_put_bytes(out, 1, bytes, size);
    if (status == EZ_OK)
        status = ez_wire_put_varint(out, 2, (uint64_t)kind);
    if (status == EZ_OK)
        status = ez_wire_put_varint(out, 3, (uint64_t)id);
    if (status == EZ_OK)
        status = ez_wire_put_varint(out, 4, (uint64_t)op);
    if (status == EZ_OK && secret_version != 0)
        status = ez_wire_put_varint(out, 5, secret_version);
    if (status == EZ_OK && resource.len > 0)
        status = ez_wire_put_bytes(out, RESOURCE_FIELD(kind), resource.data, resource.len);
    return status;
}
