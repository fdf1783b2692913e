// SPDX-License-Identifier: Apache-2.0
//
// A plain hash set. It is a help, not the truth, so that having no memory for it is no error.
#include "server/state/store/postgres/known.h"

#include <stdlib.h>
#include <string.h>

void ez_pg_known_fini(ez_pg_known *known) {
    free(known->hashes);
    *known = (ez_pg_known){0};
}

void ez_pg_known_forget(ez_pg_known *known) {
    known->count = 0;
    if (known->hashes)
        memset(known->hashes, 0, known->room * sizeof *known->hashes);
}

static size_t find(const ez_pg_known *known, uint64_t hash) {
    size_t slot = hash & (known->room - 1);
    while (known->hashes[slot] && known->hashes[slot] != hash)
        slot = (slot + 1) & (known->room - 1);
    return slot;
}

bool ez_pg_known_has(const ez_pg_known *known, uint64_t hash) {
    return hash && known->count && known->hashes[find(known, hash)] == hash;
}

static bool grow(ez_pg_known *known) {
    ez_pg_known more = {.room = known->room ? known->room * 2 : 4096};
    more.hashes = calloc(more.room, sizeof *more.hashes);
    if (!more.hashes)
        return false;
    for (size_t i = 0; i < known->room; i++) {
        if (known->hashes[i])
            more.hashes[find(&more, known->hashes[i])] = known->hashes[i];
    }
    more.count = known->count;
    free(known->hashes);
    *known = more;
    return true;
}

void ez_pg_known_put(ez_pg_known *known, uint64_t hash) {
    if (known->count >= EZ_PG_KNOWN_MAX)
        ez_pg_known_forget(known);
    if (!hash || (known->count * 2 >= known->room && !grow(known)))
        return;
    size_t slot = find(known, hash);
    known->count += known->hashes[slot] == 0;
    known->hashes[slot] = hash;
}
