// SPDX-License-Identifier: Apache-2.0
//
// Memory of one call in chunks that grow, freed whole. The arena owns every chunk; what it gave out dies at reset or
// fini. A reset keeps the oldest chunk unless a large first request made it big. The ceiling counts bytes given out, so
// memory held stays below twice the ceiling plus a chunk. Under AddressSanitizer what was not given out is poisoned.
#include "proto/runtime/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define EZ_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EZ_ASAN 1
#endif
#endif
#ifdef EZ_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(data, size)   ASAN_POISON_MEMORY_REGION(data, size)
#define UNPOISON(data, size) ASAN_UNPOISON_MEMORY_REGION(data, size)
#else
#define POISON(data, size)   ((void)(data), (void)(size))
#define UNPOISON(data, size) ((void)(data), (void)(size))
#endif

#define ALIGN       ((size_t)16)
#define FIRST_CHUNK ((size_t)8 << 10)
#define LAST_CHUNK  ((size_t)256 << 10) // chunks double up to here; a larger request gets one of its own size
#define KEEP_CHUNK  ((size_t)64 << 10)  // a first chunk up to this size outlives a reset

struct ez_arena_chunk {
    ez_arena_chunk *next;
    size_t size; // of data
    size_t used;
    _Alignas(16) uint8_t data[];
};

static void *pb_alloc(void *arena, size_t size) {
    return ez_arena_alloc(arena, size);
}

static void pb_free(void *arena, void *data) {
    (void)arena;
    (void)data;
}

void ez_arena_init(ez_arena *arena, size_t max) {
    *arena = (ez_arena){.max = max, .allocator = {.alloc = pb_alloc, .free = pb_free, .allocator_data = arena}};
}

static void drop(ez_arena_chunk *chunk) {
    UNPOISON(chunk->data, chunk->size);
    free(chunk);
}

void ez_arena_fini(ez_arena *arena) {
    if (!arena)
        return;
    while (arena->chunks) {
        ez_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        drop(chunk);
    }
    arena->used = 0;
}

void ez_arena_reset(ez_arena *arena) {
    while (arena->chunks && (arena->chunks->next || arena->chunks->size > KEEP_CHUNK)) {
        ez_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        drop(chunk);
    }
    if (arena->chunks) {
        arena->chunks->used = 0;
        POISON(arena->chunks->data, arena->chunks->size);
    }
    arena->used = 0;
    arena->refused = false;
}

static ez_arena_chunk *add_chunk(ez_arena *arena, size_t size) {
    size_t want = arena->chunks ? arena->chunks->size * 2 : FIRST_CHUNK;
    if (want > LAST_CHUNK)
        want = LAST_CHUNK;
    if (want < size)
        want = size;
    ez_arena_chunk *chunk = malloc(sizeof *chunk + want);
    if (!chunk)
        return NULL;
    chunk->size = want;
    chunk->used = 0;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    POISON(chunk->data, want);
    return chunk;
}

static void *refuse(ez_arena *arena) {
    arena->refused = true;
    return NULL;
}

void *ez_arena_alloc(ez_arena *arena, size_t size) {
    if (size > arena->max)
        return refuse(arena);
    size_t rounded = size ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
    if (arena->used > arena->max || rounded > arena->max - arena->used)
        return refuse(arena);
    ez_arena_chunk *chunk = arena->chunks;
    if (!chunk || rounded > chunk->size - chunk->used)
        chunk = add_chunk(arena, rounded);
    if (!chunk)
        return refuse(arena);
    uint8_t *data = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    UNPOISON(data, size);
    return data;
}

void *ez_arena_zalloc(ez_arena *arena, size_t size) {
    void *data = ez_arena_alloc(arena, size);
    if (data)
        memset(data, 0, size);
    return data;
}

void *ez_arena_memdup(ez_arena *arena, const void *data, size_t len) {
    void *copy = ez_arena_alloc(arena, len);
    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}

char *ez_arena_strndup(ez_arena *arena, const char *text, size_t len) {
    if (len >= arena->max)
        return refuse(arena);
    char *copy = ez_arena_alloc(arena, len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

char *ez_arena_strdup(ez_arena *arena, const char *text) {
    return ez_arena_strndup(arena, text, strlen(text));
}

char *ez_arena_printf(ez_arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : ez_arena_alloc(arena, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
