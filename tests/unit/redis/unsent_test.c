// SPDX-License-Identifier: Apache-2.0
//
// Resources that Redis would not take: when they are tried again, when no more, and what the store is told.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "server/domain/redis/unsent.h"

#define S INT64_C(1000000000)

static ez_unsent due;
static const ez_was unknown;

static void begin(void) {
    ez_unsent_init(&due, 5 * S, 3);
}

static void end(void) {
    ez_unsent_fini(&due);
}

TestSuite(redis_unsent, .init = begin, .fini = end);

static bool fail(int64_t id, int64_t now_ns) {
    bool parked;
    cr_assert_eq(ez_unsent_fail(&due, (ez_unit){2, id}, &unknown, 7, "no", now_ns, &parked), EZ_OK);
    return parked;
}

static size_t due_at(int64_t now_ns) {
    ez_unit units[8];
    return ez_unsent_take(&due, now_ns, units, 8);
}

Test(redis_unsent, pauses_grow_and_end) {
    int64_t now = 1000 * S;
    cr_assert_not(fail(1, now));
    cr_assert_eq(due_at(now + 4 * S - 1), 0, "a fifth less than five seconds at least");
    cr_assert_eq(due_at(now + 6 * S), 1, "a fifth more at most");
    cr_assert_not(fail(1, now));
    cr_assert_eq(due_at(now + 8 * S - 1), 0);
    cr_assert_eq(due_at(now + 12 * S), 1);
    cr_assert(fail(1, now), "the third is the last");
    cr_assert_eq(due_at(INT64_MAX), 0);
    cr_assert_eq(ez_unsent_parked(&due), 1);
    cr_assert_eq(ez_unsent_next_ns(&due), INT64_MAX);
    cr_assert_not(fail(1, now + S), "it is parked already");
    cr_assert_eq(ez_unsent_oldest_ns(&due), now, "since the first try");
    cr_assert_eq(ez_unsent_unpark(&due, now), 1);
    cr_assert_eq(due_at(now), 1);
    cr_assert_not(fail(1, now), "tries are counted anew");
}

Test(redis_unsent, the_store_is_told_what_changed) {
    fail(2, S);
    fail(1, S);
    ez_sync_write write = {.clears = false};
    cr_assert_eq(ez_unsent_fill(&due, &write), EZ_OK);
    cr_assert_eq(write.put_count, 2);
    cr_assert_eq(write.puts[0].id, 1);
    free((void *)write.puts);
    free((void *)write.deletes);
    ez_unsent_written(&due);
    cr_assert_eq(ez_unsent_fill(&due, &write), EZ_OK);
    cr_assert(write.put_count == 0 && write.delete_count == 0 && !write.clears, "it was told already");
    free((void *)write.puts);
    free((void *)write.deletes);
    ez_unsent_settle(&due, (ez_unit){2, 2});
    ez_unsent_settle(&due, (ez_unit){2, 9});
    cr_assert_eq(ez_unsent_fill(&due, &write), EZ_OK);
    cr_assert_eq(write.put_count, 0);
    cr_assert_eq(write.delete_count, 1);
    cr_assert_eq(write.deletes[0].id, 2);
    free((void *)write.puts);
    free((void *)write.deletes);
}

Test(redis_unsent, there_are_only_so_many) {
    bool parked;
    for (int64_t id = EZ_UNSENT_MAX; id > 0; id--)
        fail(id, S);
    ez_unit one_more = {3, 1};
    cr_assert_eq(ez_unsent_fail(&due, one_more, &unknown, 7, "no", S, &parked), EZ_RESOURCE_EXHAUSTED);
    ez_unsent_clear(&due);
    cr_assert_eq(due.count, 0);
    cr_assert_eq(ez_unsent_fail(&due, one_more, &unknown, 7, "no", S, &parked), EZ_OK);
}
