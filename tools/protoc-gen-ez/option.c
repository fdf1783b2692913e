// SPDX-License-Identifier: Apache-2.0
//
// protobuf-c knows no extensions: they arrive as unknown fields, raw, with the length still before the bytes. An option
// that was set in several places is several fields with one number; protobuf's rule for that is to merge, and merging
// messages is concatenating their bytes.
#include "tools/protoc-gen-ez/option.h"

#include <string.h>

#define WIRE_BYTES 2

// Skips the length that stands before the bytes. False where it does not fit them.
static bool skip_length(const uint8_t **data, size_t *len) {
    uint64_t value = 0;
    for (size_t i = 0; i < *len && i < 10; i++) {
        value |= (uint64_t)((*data)[i] & 0x7f) << (7 * i);
        if ((*data)[i] & 0x80)
            continue;
        *data += i + 1;
        *len -= i + 1;
        return value == *len;
    }
    return false;
}

void *gen_option_get(gen_pool *pool, const ProtobufCMessage *options, uint32_t number,
                     const ProtobufCMessageDescriptor *descriptor, bool *broken) {
    size_t total = 0, used = 0;
    bool found = false;
    for (unsigned i = 0; options && i < options->n_unknown_fields; i++)
        total += options->unknown_fields[i].len;
    uint8_t *joined = gen_pool_alloc(pool, total + 1, 1);
    for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        if (field->tag != number)
            continue;
        const uint8_t *data = field->data;
        size_t len = field->len;
        if ((int)field->wire_type != WIRE_BYTES || !skip_length(&data, &len)) {
            *broken = true;
            return NULL;
        }
        memcpy(joined + used, data, len);
        used += len;
        found = true;
    }
    if (!found)
        return NULL;
    void *message = protobuf_c_message_unpack(descriptor, &pool->allocator, used, joined);
    *broken = !message;
    return message;
}
