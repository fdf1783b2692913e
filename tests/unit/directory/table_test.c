// SPDX-License-Identifier: Apache-2.0
//
// The table of pointers: collisions, growth, traces of removed items, replacement in place.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "model.h"
#include "server/state/directory/table.h"

typedef struct thing {
    unsigned key;
    unsigned version;
} thing;

static bool has_key(const void *item, const void *key) {
    return ((const thing *)item)->key == *(const unsigned *)key;
}

// Few different hashes, so that probes are long.
static uint32_t hash_of(unsigned key) {
    return key % 97 * 0x10001u;
}

static thing *find(const ez_table *table, unsigned key) {
    return ez_table_find(table, hash_of(key), has_key, &key);
}

Test(table, does_as_an_array_does) {
    enum { KEYS = 700 };
    static thing things[KEYS][2];
    static thing *there[KEYS];
    ez_table table;
    ez_table_init(&table, true);
    dice rng = {3};
    size_t count = 0;
    for (int step = 0; step < 40000; step++) {
        unsigned key = rng_below(&rng, KEYS);
        thing *fresh = &things[key][there[key] == &things[key][0]];
        *fresh = (thing){key, (unsigned)step};
        if (!there[key]) {
            cr_assert_eq(ez_table_reserve(&table, 1), EZ_OK);
            ez_table_insert(&table, hash_of(key), fresh);
            there[key] = fresh;
            count++;
        } else if (rng_below(&rng, 3) == 0) {
            cr_assert(ez_table_replace(&table, hash_of(key), there[key], fresh));
            there[key] = fresh;
        } else {
            cr_assert(ez_table_remove(&table, hash_of(key), there[key]));
            cr_assert_not(ez_table_remove(&table, hash_of(key), there[key]));
            there[key] = NULL;
            count--;
        }
        unsigned probe = rng_below(&rng, KEYS);
        cr_assert_eq(find(&table, probe), there[probe]);
        cr_assert_eq(table.count, count);
    }
    for (unsigned key = 0; key < KEYS; key++)
        cr_assert_eq(find(&table, key), there[key]);
    ez_table_fini(&table);
}

Test(table, room_that_was_reserved_is_there) {
    enum { MANY = 5000 };
    thing *things = calloc(MANY, sizeof *things);
    ez_table table;
    ez_table_init(&table, false);
    cr_assert_null(find(&table, 1));
    cr_assert_eq(ez_table_reserve(&table, MANY), EZ_OK);
    ez_table_slots *slots = atomic_load(&table.slots);
    for (unsigned key = 0; key < MANY; key++) {
        things[key].key = key;
        ez_table_insert(&table, key, &things[key]);
    }
    cr_assert_eq(atomic_load(&table.slots), slots, "it grew though there was room");
    ez_table_fini(&table);
    free(things);
}
