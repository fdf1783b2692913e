// SPDX-License-Identifier: Apache-2.0
//
// Who is lost and who is not, when the timer looks.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/runtime/clock.h"
#include "server/domain/fleet/session.h"
#include "server/state/directory/apply.h"
#include "tests/support/expect.h"

static ez_directory *directory;
static ez_feed *feed;
static ez_fleet *fleet;
static ez_session_state *session;

static void enrol(int64_t id) {
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__DataPlane plane = EZ__V1__DATA_PLANE__INIT;
    plane.name = (char *)"edge";
    uint8_t bytes[64];
    size_t len = ez__v1__data_plane__pack(&plane, bytes);
    ez_store_row row = {.id = id, .revision = 1, .data = {bytes, len}};
    expect_ok(ez_directory_put_row(directory, EZ__V1__KIND__KIND_DATA_PLANE, &row, &error), &error);
}

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    expect_ok(ez_feed_create(&(ez_feed_options){.epoch = 1, .n = 1, .keep = 10}, &feed, &error), &error);
    expect_ok(ez_fleet_create(&(ez_fleet_options){.directory = directory, .feed = feed}, &fleet, &error), &error);
    enrol(1);
    session = calloc(1, sizeof *session);
    session->id = 1;
    fleet->buckets[1] = session;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    ez_session_heard(fleet, session, &outcome);
    ez_outcome_finish(&outcome, fleet);
}

static void end(void) {
    ez_fleet_destroy(fleet);
    ez_feed_destroy(feed);
    ez_directory_destroy(directory);
}

// ---- What whoever raises alerts is told

static ez_fleet_notice_type told[8];
static size_t told_count;

static void note_told(void *user, const ez_fleet_notice *notice) {
    (void)user;
    cr_assert_eq(notice->id, 1);
    cr_assert_lt(told_count, 8u);
    cr_assert_neq(pthread_mutex_trylock(&fleet->lock), 0, "under the lock: in order");
    told[told_count++] = notice->type;
}

static void expect_told(const ez_fleet_notice_type *what, size_t count) {
    cr_assert_eq(told_count, count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(told[i], what[i]);
    told_count = 0;
}

TestSuite(fleet_tick, .init = begin, .fini = end);

static void *tick(void *unused) {
    ez_fleet_tick(fleet);
    return unused;
}

// The clock was read before the lock was had: one that was heard meanwhile had been silent for 584 years.
Test(fleet_tick, one_that_is_heard_while_the_timer_waits_is_not_lost) {
    pthread_t timer;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&fleet->lock);
    cr_assert_eq(pthread_create(&timer, NULL, tick, NULL), 0);
    usleep(50000);
    ez_session_heard(fleet, session, &outcome);
    pthread_mutex_unlock(&fleet->lock);
    pthread_join(timer, NULL);
    ez_outcome_finish(&outcome, fleet);
    cr_assert_neq(fleet->checked_ns, 0, "it looked");
    cr_assert(session->is_live);
}

Test(fleet_tick, three_heartbeats_of_silence_and_it_is_lost) {
    session->heard_ns = ez_clock_mono_ns() - EZ_LOST_AFTER_NS + 1000000000;
    ez_fleet_tick(fleet);
    cr_assert(session->is_live);
    session->heard_ns -= 1000000000;
    fleet->checked_ns = 0;
    ez_fleet_tick(fleet);
    cr_assert_not(session->is_live);
    cr_assert_eq(fleet->live, 0);
}

static void look_again(void) {
    fleet->checked_ns = 0;
    ez_fleet_tick(fleet);
}

static void hear(void) {
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&fleet->lock);
    ez_session_heard(fleet, session, &outcome);
    pthread_mutex_unlock(&fleet->lock);
    ez_outcome_finish(&outcome, fleet);
}

Test(fleet_tick, a_loss_is_told_and_that_it_is_back) {
    fleet->options.told = note_told;
    session->heard_ns -= EZ_LOST_AFTER_NS + 1;
    look_again();
    look_again();
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_LOST}, 1);
    hear();
    hear();
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_BACK}, 1);
}

Test(fleet_tick, a_goodbye_is_no_loss) {
    fleet->options.told = note_told;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    session->has_stopped = true;
    ez_session_set(fleet, session, false, session->applied, &outcome);
    ez_outcome_finish(&outcome, fleet);
    session->heard_ns -= EZ_LOST_AFTER_NS + 1;
    look_again();
    expect_told(NULL, 0);
}

Test(fleet_tick, one_that_is_enrolled_no_more_is_not_lost) {
    fleet->options.told = note_told;
    ez_directory_remove(directory, EZ__V1__KIND__KIND_DATA_PLANE, 1);
    session->heard_ns -= EZ_LOST_AFTER_NS + 1;
    look_again();
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_REMOVED}, 1);
}

// A server that stops turned calls away, and told of every data plane as lost.
Test(fleet_tick, at_the_end_silence_is_no_loss) {
    fleet->options.told = note_told;
    ez_fleet_stop(fleet);
    session->heard_ns -= EZ_LOST_AFTER_NS + 1;
    look_again();
    ez_fleet_tick_last(fleet);
    expect_told(NULL, 0);
}

// A data plane that was removed between the last look and the end of the timer was noticed by nobody.
Test(fleet_tick, at_the_end_it_is_looked_once_more) {
    fleet->options.told = note_told;
    look_again();
    ez_directory_remove(directory, EZ__V1__KIND__KIND_DATA_PLANE, 1);
    ez_fleet_stop(fleet);
    ez_fleet_tick_last(fleet);
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_REMOVED}, 1);
}

Test(fleet_tick, what_was_missed_is_told_again_where_it_is_well) {
    fleet->options.told = note_told;
    ez_fleet_tell_again(fleet, 1);
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_BACK}, 1); // it reported nothing yet
    session->has_reported = true;
    ez_fleet_tell_again(fleet, 1);
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_BACK, EZ_FLEET_ACCEPTED}, 2);
    session->rejected_count = 1;
    session->rejected = calloc(1, sizeof *session->rejected);
    ez_fleet_tell_again(fleet, 1);
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_BACK}, 1);
    session->heard_ns -= EZ_LOST_AFTER_NS + 1;
    look_again();
    ez_fleet_tell_again(fleet, 1);
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_LOST}, 1);
    ez_directory_remove(directory, EZ__V1__KIND__KIND_DATA_PLANE, 1);
    ez_fleet_tell_again(fleet, 1);
    expect_told((ez_fleet_notice_type[]){EZ_FLEET_REMOVED}, 1);
}
