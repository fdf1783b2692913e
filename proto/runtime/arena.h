// SPDX-License-Identifier: Apache-2.0
//
// ez_arena: memory of one call, freed whole. Also a protobuf-c allocator whose free does nothing. Not shared between
// threads. ez_arena_reset keeps the first chunk, so that a busy server does not go to malloc at each call.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "proto/runtime/status.h"

typedef struct ez_arena_chunk ez_arena_chunk;

typedef struct ez_arena {
    ez_arena_chunk *chunks; // newest first
    size_t used;            // bytes given out since the last reset
    size_t max;             // ceiling of used
    bool refused;           // a request was refused since the last reset: ceiling, or no memory
    ProtobufCAllocator allocator;
} ez_arena;

void ez_arena_init(ez_arena *arena, size_t max);
void ez_arena_fini(ez_arena *arena);
void ez_arena_reset(ez_arena *arena);

// 16-byte aligned, not zeroed. NULL at the ceiling or where there is no memory.
void *ez_arena_alloc(ez_arena *arena, size_t size) EZ_MUST_CHECK;
void *ez_arena_zalloc(ez_arena *arena, size_t size) EZ_MUST_CHECK;
char *ez_arena_strdup(ez_arena *arena, const char *text) EZ_MUST_CHECK;
char *ez_arena_strndup(ez_arena *arena, const char *text, size_t len) EZ_MUST_CHECK;
char *ez_arena_printf(ez_arena *arena, const char *format, ...) EZ_PRINTF(2, 3) EZ_MUST_CHECK;
void *ez_arena_memdup(ez_arena *arena, const void *data, size_t len) EZ_MUST_CHECK;

// For protobuf_c_message_unpack. The messages live until reset or fini.
static inline ProtobufCAllocator *ez_arena_allocator(ez_arena *arena) {
    arena->allocator.allocator_data = arena; // an arena may have been moved since init
    return &arena->allocator;
}
