// SPDX-License-Identifier: Apache-2.0
//
// Blocks from malloc in a list, each as large as what was asked for: a few ten thousand small ones in a run, which is
// not worth more than this. The allocator face is what protobuf-c unpacks the options into.
#include "tools/protoc-gen-ez/pool.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef union block {
    union block *next;
    max_align_t align;
} block;

static void no_memory(void) {
    fputs("protoc-gen-ez: out of memory\n", stderr);
    exit(1);
}

static void *allocator_alloc(void *data, size_t size) {
    return gen_pool_alloc(data, 1, size);
}

static void allocator_free(void *data, void *place) {
    (void)data;
    (void)place;
}

void gen_pool_init(gen_pool *pool) {
    pool->blocks = NULL;
    pool->allocator = (ProtobufCAllocator){.alloc = allocator_alloc, .free = allocator_free, .allocator_data = pool};
}

void gen_pool_fini(gen_pool *pool) {
    for (block *at = pool->blocks, *next; at; at = next) {
        next = at->next;
        free(at);
    }
    pool->blocks = NULL;
}

void *gen_pool_alloc(gen_pool *pool, size_t count, size_t size) {
    if (size && count > (SIZE_MAX - sizeof(block)) / size)
        no_memory();
    block *made = calloc(1, sizeof(block) + count * size);
    if (!made) {
        no_memory();
        return NULL;
    }
    made->next = pool->blocks;
    pool->blocks = made;
    return made + 1;
}

char *gen_pool_strndup(gen_pool *pool, const char *text, size_t len) {
    char *copy = gen_pool_alloc(pool, len + 1, 1);
    memcpy(copy, text, len);
    return copy;
}

char *gen_pool_printf(gen_pool *pool, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = gen_pool_alloc(pool, (size_t)(len < 0 ? 0 : len) + 1, 1);
    if (len > 0)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
