// SPDX-License-Identifier: Apache-2.0
//
// Config events as lines: changes, gaps, events without their changes, and bytes that are none.
#include <criterion/criterion.h>
#include <string.h>

#include "clients/ctl/watch.h"
#include "ez/v1/config.pb-c.h"

static ez_buf event, out, notes;
static ez_ctl_watched watched;

static void begin(void) {
    ez_buf_init(&event, EZ_EVENT_MAX);
    ez_buf_init(&out, 1 << 20);
    ez_buf_init(&notes, 4096);
}

static void end(void) {
    ez_buf_fini(&event);
    ez_buf_fini(&out);
    ez_buf_fini(&notes);
}

TestSuite(watch_event, .init = begin, .fini = end);

// An event from revision a to b of an epoch, with one change of key 9 at b where b is ahead.
static void given_event(uint64_t epoch, uint64_t a, uint64_t b, bool fetch) {
    Ez__V1__Revision from = EZ__V1__REVISION__INIT, to = EZ__V1__REVISION__INIT;
    Ez__V1__EventHeader header = EZ__V1__EVENT_HEADER__INIT;
    Ez__V1__ChangeBatch batch = EZ__V1__CHANGE_BATCH__INIT;
    Ez__V1__Change change = EZ__V1__CHANGE__INIT, *changes[] = {&change};
    from.epoch = to.epoch = epoch;
    from.n = a;
    to.n = b;
    header.server_id = (char *)"s";
    header.from = &from;
    header.to = &to;
    header.fetch = fetch;
    change.revision = &to;
    change.kind = EZ__V1__KIND__KIND_KEY;
    change.id = 9;
    change.op = EZ__V1__OP__OP_DELETE;
    batch.n_changes = b > a && !fetch;
    batch.changes = changes;
    ez_buf_clear(&event);
    cr_assert_eq(ez_frame_write_event(&event, "config", &header), EZ_OK);
    cr_assert_eq(ez_buf_pack(&event, &batch.base), EZ_OK);
}

static void read_event(bool is_json) {
    ez_error error = EZ_ERROR_INIT;
    ez_buf_clear(&out);
    ez_buf_clear(&notes);
    cr_assert_eq(ez_ctl_watch_event(&watched, (ez_slice){event.data, event.len}, is_json, &out, &notes, &error), EZ_OK,
                 "%s", error.message);
}

Test(watch_event, a_change_is_a_line) {
    given_event(1, 4, 5, false);
    read_event(false);
    cr_assert_str_eq(ez_buf_cstr(&out), "5         key             9         delete\n");
    cr_assert_str_eq(ez_buf_cstr(&notes), "following from revision 4\n");
    given_event(1, 5, 6, false);
    read_event(true);
    cr_assert_str_eq(ez_buf_cstr(&out),
                     "{\"revision\":{\"epoch\":1,\"n\":6},\"kind\":\"key\",\"id\":9,\"op\":\"delete\","
                     "\"secret_version\":0}\n");
    cr_assert_str_eq(ez_buf_cstr(&notes), "");
}

Test(watch_event, gaps_are_told) {
    given_event(1, 4, 4, false);
    read_event(false);
    given_event(1, 7, 8, false);
    read_event(false);
    cr_assert_str_eq(ez_buf_cstr(&notes), "missed revisions 5 to 7 (ezctl changes list --since 4)\n");
    cr_assert(strstr(ez_buf_cstr(&out), "8  "));
}

Test(watch_event, a_heartbeat_shows_what_was_lost_before_it) {
    given_event(1, 4, 4, false);
    read_event(false);
    given_event(1, 6, 6, false);
    read_event(false);
    cr_assert_str_eq(ez_buf_cstr(&notes), "missed revisions 5 to 6 (ezctl changes list --since 4)\n");
    given_event(1, 6, 6, false);
    read_event(false);
    cr_assert_str_eq(ez_buf_cstr(&notes), "");
}

Test(watch_event, what_was_seen_is_not_printed_again) {
    given_event(1, 5, 9, false);
    read_event(false);
    given_event(1, 4, 5, false);
    read_event(false);
    cr_assert_eq(out.len, 0);
    cr_assert_eq(watched.revision, 9);
}

Test(watch_event, too_large_to_be_pushed) {
    given_event(1, 4, 4, false);
    read_event(false);
    given_event(1, 4, 900, true);
    read_event(false);
    cr_assert_eq(out.len, 0);
    cr_assert(strstr(ez_buf_cstr(&notes), "revisions 5 to 900 were too large"));
}

Test(watch_event, another_epoch_begins_anew) {
    given_event(1, 50, 51, false);
    read_event(false);
    given_event(2, 3, 4, false);
    read_event(false);
    cr_assert(strstr(ez_buf_cstr(&notes), "restored or made anew"));
    cr_assert(strstr(ez_buf_cstr(&out), "4  "));
}

Test(watch_event, bytes_that_are_no_event_are_an_error) {
    ez_error error = EZ_ERROR_INIT;
    static const uint8_t bad[] = {'c', 'o', 'n', 'f', 'i', 'g', 0, 1, 200};
    cr_assert_neq(ez_ctl_watch_event(&watched, (ez_slice){bad, sizeof bad}, false, &out, &notes, &error), EZ_OK);
    cr_assert_eq(out.len, 0);
    cr_assert_not(watched.has_begun);
}
