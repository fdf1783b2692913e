// SPDX-License-Identifier: Apache-2.0
//
// A set of hashes of rollup rows that this process wrote. A row that is there can be updated by a join, which costs
// half of what INSERT … ON CONFLICT does. The set may be wrong (two keys with one hash, rows that were trimmed, or put
// away when their step was folded anew): whoever updates counts, and forgets the set where the count is short, as where
// a transaction fails. Owned by one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EZ_PG_KNOWN_MAX (1u << 18) // then it starts again

typedef struct ez_pg_known {
    uint64_t *hashes; // open addressing; 0: free
    size_t count, room;
} ez_pg_known;

void ez_pg_known_fini(ez_pg_known *known);
void ez_pg_known_forget(ez_pg_known *known);
bool ez_pg_known_has(const ez_pg_known *known, uint64_t hash);
void ez_pg_known_put(ez_pg_known *known, uint64_t hash); // where there is no memory: nothing
