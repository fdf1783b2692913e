// SPDX-License-Identifier: Apache-2.0
//
// kill -9 under write load, again and again. After each restart the server must have every change that was
// acknowledged, once, and a data plane that followed all along must hold what the server holds. Fault 39, a kill
// between commit and reply, happens by itself here: a writer whose answer was lost asks again under the same key.
// EZ_FAULT_ROUNDS: how many kills (5); EZ_FAULT_SEED: of the moments they come at.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/fault/support/writers.h"
#include "tests/integration/support/plane.h"

#define ROUNDS 5

static ez_world w;
static ez_writers writers;
static ez_plane plane;
static char cache[EZ_TEST_PATH_MAX];

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

static void begin(void) {
    given_world(&w, NULL);
    given_folder(cache);
    given_follower(&plane, &w, given_plane(&w.admin, "edge")->token, cache);
    given_writers(&writers, &w, 4);
}

static void end(void) {
    end_writers(&writers);
    end_follower(&plane);
    end_world(&w);
    remove_folder(cache);
}

TestSuite(kill_write, .init = begin, .fini = end);

Test(kill_write, fault_39_nothing_acknowledged_is_lost_nothing_is_done_twice) {
    long rounds = number_of("EZ_FAULT_ROUNDS", ROUNDS);
    unsigned seed = (unsigned)number_of("EZ_FAULT_SEED", (long)time(NULL));
    for (long round = 1; round <= rounds; round++) {
        await_writes(&writers, 5 + (uint64_t)rand_r(&seed) % 200);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 3000000}, NULL); // anywhere within a commit
        kill_server(&w.server);
        start_server(&w.server);
        await_writes(&writers, 1); // begun before the kill, or after: it goes on
        rest(&writers);
        expect_nothing_lost(&writers);
        expect_agreement(&plane, &w);
        resume(&writers);
    }
    uint64_t repeats = 0;
    for (unsigned i = 0; i < writers.count; i++)
        repeats += writers.threads[i].repeats;
    fprintf(stderr, "%ld kills, %llu changes acknowledged, %llu calls made again by hand\n", rounds,
            (unsigned long long)acknowledged(&writers), (unsigned long long)repeats);
    ez_session_info info = plane_info(&plane);
    cr_assert_eq(info.rejected, 0);
    cr_assert_gt(info.rows, 0);
}
