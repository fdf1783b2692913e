// SPDX-License-Identifier: Apache-2.0
//
// SipHash-1-3 (Aumasson and Bernstein, 2012; one compression and three finalisation rounds, as hash tables elsewhere
// use it). Words are read as the machine has them: the hash never leaves the process.
#include "server/state/directory/hash.h"

#include <string.h>

typedef struct state {
    uint64_t a, b, c, d;
} state;

static uint64_t rotate(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

static void round_once(state *s) {
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static void take(state *s, uint64_t word) {
    s->d ^= word;
    round_once(s);
    s->a ^= word;
}

uint64_t ez_hash_bytes(const ez_hash_seed *seed, const void *data, size_t len) {
    state s = {seed->k0 ^ 0x736f6d6570736575u, seed->k1 ^ 0x646f72616e646f6du, seed->k0 ^ 0x6c7967656e657261u,
               seed->k1 ^ 0x7465646279746573u};
    const uint8_t *bytes = data;
    uint64_t word;
    size_t at = 0;
    for (; len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        take(&s, word);
    }
    word = 0;
    if (at < len)
        memcpy(&word, bytes + at, len - at);
    take(&s, word ^ (uint64_t)len << 56);
    s.c ^= 0xff;
    round_once(&s);
    round_once(&s);
    round_once(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint32_t ez_hash_fold(const ez_hash_seed *seed, uint64_t value) {
    value ^= seed->k0;
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdu;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53u;
    value ^= value >> 33;
    return (uint32_t)value;
}
