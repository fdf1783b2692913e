// SPDX-License-Identifier: Apache-2.0
//
// Our options, read from what protobuf-c kept as unknown fields of a descriptor's options.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/protoc-gen-ez/pool.h"

// The numbers of proto/ez/options/annotations.proto.
#define GEN_OPTION_RPC     51001u
#define GEN_OPTION_SERVICE 51002u
#define GEN_OPTION_FIELD   51003u

// The option message with this extension number, its parts merged in the order they were written, in the pool. options
// may be NULL. NULL where it was not written; *broken is set where its bytes are no such message.
void *gen_option_get(gen_pool *pool, const ProtobufCMessage *options, uint32_t number,
                     const ProtobufCMessageDescriptor *descriptor, bool *broken);
