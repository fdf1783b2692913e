// SPDX-License-Identifier: Apache-2.0
//
// What totals make of the live numbers.
#include <criterion/criterion.h>

#include "proto/runtime/clock.h"
#include "server/domain/usage/usage.h"
#include "tests/unit/access/support/world.h"

static world *w;
static ez_realtime *realtime;
static ez_usage *usage;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    w = given_world();
    cr_assert_eq(ez_realtime_create(&realtime, &error), EZ_OK);
    ez_usage_options options = {.store = w->store,
                                .directory = w->directory,
                                .feed = w->feed,
                                .writer = w->writer,
                                .counters = w->counters,
                                .realtime = realtime};
    cr_assert_eq(ez_usage_create(&options, &usage, &error), EZ_OK);
}

static void end(void) {
    ez_writer_destroy(w->writer);
    w->writer = NULL;
    ez_usage_destroy(usage);
    ez_realtime_destroy(realtime);
    end_world(w);
}

TestSuite(usage_live, .init = begin, .fini = end);

static void count(int64_t master_id, int64_t requests) {
    ez_usage_sums total = {.requests = requests};
    ez_usage_counted(usage, EZ_USAGE_MASTERS, master_id, &total);
}

static int64_t live(int64_t master_id) {
    ez_realtime_view view;
    if (master_id)
        ez_realtime_master(realtime, master_id, ez_clock_mono_ms() / 1000, &view);
    else
        ez_realtime_system(realtime, ez_clock_mono_ms() / 1000, &view);
    return view.sums.requests;
}

Test(usage_live, a_total_adds_what_it_rose_by) {
    count(7, 5);
    count(7, 8);
    count(7, 8);
    count(8, 1);
    cr_assert_eq(live(7), 8);
    cr_assert_eq(live(0), 9);
}

Test(usage_live, a_master_that_cannot_be_kept_in_mind_is_not_added_again_and_again) {
    for (int64_t requests = 1000; requests < 1010; requests++)
        count(EZ_COUNTERS_ID_MAX + 1, requests);
    cr_assert_eq(live(EZ_COUNTERS_ID_MAX + 1), 0);
    cr_assert_eq(live(0), 0);
}
