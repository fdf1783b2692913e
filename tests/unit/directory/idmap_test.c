// SPDX-License-Identifier: Apache-2.0
//
// The radix tree against a sorted array, with ids at every level: dense ones, far ones and the greatest there is.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "server/state/directory/idmap.h"

#define RANGE 3000

// A number as an item: never NULL.
static void *item(int64_t id) {
    return (void *)(uintptr_t)((uint64_t)id * 2 + 1);
}

static void set(ez_idmap *map, int64_t id) {
    cr_assert_eq(ez_idmap_reserve(map, id), EZ_OK);
    ez_idmap_set(map, id, item(id));
}

Test(idmap, does_as_an_array_does) {
    static bool is_there[RANGE + 1];
    dice rng = {7};
    ez_idmap map;
    ez_idmap_init(&map);
    for (int step = 0; step < 20000; step++) {
        int64_t id = 1 + rng_below(&rng, RANGE);
        bool is_put = rng_below(&rng, 100) < (step / 5000 % 2 ? 20 : 70); // fills and empties in turn
        if (is_put)
            set(&map, id);
        else
            ez_idmap_remove(&map, id);
        is_there[id] = is_put;
        int64_t probe = rng_below(&rng, RANGE + 2);
        int64_t up = probe + 1, down = probe - 1;
        while (up <= RANGE && !is_there[up])
            up++;
        while (down > 0 && !is_there[down])
            down--;
        cr_assert_eq(ez_idmap_after(&map, probe), up <= RANGE ? item(up) : NULL);
        cr_assert_eq(ez_idmap_before(&map, probe), down > 0 ? item(down) : NULL);
        if (probe <= RANGE)
            cr_assert_eq(ez_idmap_get(&map, probe), is_there[probe] ? item(probe) : NULL);
    }
    size_t count = 0;
    for (int64_t id = 1; id <= RANGE; id++) {
        count += is_there[id];
        ez_idmap_remove(&map, id);
    }
    cr_assert_gt(count, 0);
    cr_assert_eq(ez_idmap_count(&map), 0);
    cr_assert_null(atomic_load(&map.root), "an empty tree keeps nothing");
    ez_idmap_fini(&map);
}

Test(idmap, takes_every_positive_id) {
    static const int64_t ids[] = {0, 1, 511, 512, 262143, 262144, 1ll << 40, (1ll << 54) - 1, 1ll << 62, INT64_MAX};
    const size_t count = sizeof ids / sizeof ids[0];
    ez_idmap map;
    ez_idmap_init(&map);
    for (size_t i = count; i-- > 0;)
        set(&map, ids[i]);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(ez_idmap_get(&map, ids[i]), item(ids[i]));
        cr_assert_eq(ez_idmap_after(&map, ids[i]), i + 1 < count ? item(ids[i + 1]) : NULL);
        cr_assert_eq(ez_idmap_before(&map, ids[i]), i > 0 ? item(ids[i - 1]) : NULL);
    }
    cr_assert_eq(ez_idmap_after(&map, -1), item(0));
    cr_assert_null(ez_idmap_get(&map, -1));
    cr_assert_null(ez_idmap_before(&map, -5));
    cr_assert_eq(ez_idmap_reserve(&map, -1), EZ_INVALID_ARGUMENT);
    ez_idmap_fini(&map);
}

Test(idmap, a_reservation_holds_its_place_while_others_go) {
    ez_idmap map;
    ez_idmap_init(&map);
    set(&map, 600);
    cr_assert_eq(ez_idmap_reserve(&map, 601), EZ_OK);
    ez_idmap_remove(&map, 600);
    cr_assert_null(ez_idmap_after(&map, 0));
    ez_idmap_set(&map, 601, item(601));
    cr_assert_eq(ez_idmap_after(&map, 0), item(601));
    cr_assert_eq(ez_idmap_reserve(&map, 900000), EZ_OK);
    ez_idmap_unreserve(&map, 900000);
    ez_idmap_remove(&map, 601);
    cr_assert_null(ez_idmap_after(&map, 0));
    cr_assert_null(atomic_load(&map.root));
    ez_idmap_fini(&map);
}
