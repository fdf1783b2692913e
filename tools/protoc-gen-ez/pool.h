// SPDX-License-Identifier: Apache-2.0
//
// gen_pool: the memory of one run, freed whole at its end. The generator runs for a moment and builds one model, so no
// part of it is freed alone. Where memory ends the program says so and exits: there is nobody to hand an error to.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

typedef struct gen_pool {
    void *blocks; // newest first
    ProtobufCAllocator allocator;
} gen_pool;

void gen_pool_init(gen_pool *pool);
void gen_pool_fini(gen_pool *pool);

// Zeroed, aligned for any type, never NULL.
void *gen_pool_alloc(gen_pool *pool, size_t count, size_t size);
char *gen_pool_strndup(gen_pool *pool, const char *text, size_t len);
char *gen_pool_printf(gen_pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));
