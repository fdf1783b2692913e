// SPDX-License-Identifier: Apache-2.0
//
// Hashes for tables in memory: SipHash-1-3 with a seed of its own per directory, so that nobody can choose names that
// collide. Not for anything that is stored or sent.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct ez_hash_seed {
    uint64_t k0, k1;
} ez_hash_seed;

uint64_t ez_hash_bytes(const ez_hash_seed *seed, const void *data, size_t len);
// A number to 32 bits.
uint32_t ez_hash_fold(const ez_hash_seed *seed, uint64_t value);
