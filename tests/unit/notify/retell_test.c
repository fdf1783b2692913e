// SPDX-License-Identifier: Apache-2.0
//
// When open alerts are told again, and what becomes of a round whose store is away, whose lease is lost, or whose
// channels are full. The store and the notifier are this file's.
#include "server/domain/alerts/retell.h"

#include <criterion/criterion.h>
#include <string.h>

static ez_alert_reteller *reteller;
static uint64_t now_ms;
static bool is_holder, has_room, is_refusing; // refusing: the store takes no query
static int64_t open_count;                    // alerts, with ids from 1
static int good_pages;                        // that can be read before one fails; below 0: all can
static size_t asked, told;

ez_status __wrap_ez_store_submit(ez_store *store, ez_query *query, ez_error *error);
ez_status __wrap_ez_reader_each_alert(ez_reader *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                      bool *more, int64_t *at_id, ez_error *error);
void __wrap_ez_alert_notifier_note(ez_alert_notifier *notifier, const char *event, const Ez__V1__Alert *alert);
bool __wrap_ez_alert_notifier_has_room(ez_alert_notifier *notifier, uint64_t at_ms);

ez_status __wrap_ez_store_submit(ez_store *store, ez_query *query, ez_error *error) {
    (void)store;
    asked++;
    if (is_refusing)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "QUERY_QUEUE_FULL", "too many queries wait");
    query->run(query, NULL);
    return EZ_OK;
}

ez_status __wrap_ez_reader_each_alert(ez_reader *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                      bool *more, int64_t *at_id, ez_error *error) {
    (void)reader;
    if (good_pages == 0)
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "it is away");
    good_pages -= good_pages > 0;
    ez_alert_row row = {.type = 11, .severity = 2, .status = filter->status, .count = 1, .title = "t", .message = ""};
    row.related_type = row.related_name = row.fingerprint = row.acknowledged_by = row.resolved_by = row.note = "";
    row.metadata = "";
    row.id = filter->before_id ? filter->before_id - 1 : open_count;
    if (filter->status != EZ_ALERT_ACTIVE)
        row.id = 0;
    for (size_t i = 0; i < filter->limit && row.id > 0; i++, row.id--)
        cr_assert_eq(each(user, &row, error), EZ_OK);
    *more = row.id > 0;
    *at_id = row.id + 1;
    return EZ_OK;
}

void __wrap_ez_alert_notifier_note(ez_alert_notifier *notifier, const char *event, const Ez__V1__Alert *alert) {
    (void)notifier;
    cr_assert(strcmp(event, "open") == 0 && alert->id > 0);
    told++;
}

bool __wrap_ez_alert_notifier_has_room(ez_alert_notifier *notifier, uint64_t at_ms) {
    (void)notifier;
    (void)at_ms;
    return has_room;
}

static bool holds(void *user, uint64_t *token) {
    (void)user;
    *token = 1;
    return is_holder;
}

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_alert_reteller_create(NULL, NULL, (ez_holder){.is_holder = holds}, &reteller, &error), EZ_OK);
    now_ms = 1000000;
    is_holder = has_room = true;
    open_count = 450;
    good_pages = -1;
}

static void end(void) {
    ez_alert_reteller_destroy(reteller);
}

TestSuite(retell, .init = begin, .fini = end);

static void pass_ms(uint64_t ms) {
    for (uint64_t passed = 0; passed < ms; passed += 250, now_ms += 250)
        ez_alert_reteller_tick(reteller, now_ms);
}

Test(retell, is_soon_after_the_start_and_then_each_ten_minutes) {
    pass_ms(EZ_RETELL_FIRST_MS);
    cr_assert_eq(asked, 0u);
    pass_ms(2000);
    cr_assert_eq(told, 450u);
    cr_assert_eq(asked, 4u, "three pages, and one of those that are acknowledged");
    pass_ms(EZ_RETELL_EVERY_MS - 3000);
    cr_assert_eq(told, 450u);
    pass_ms(3000);
    cr_assert_eq(told, 900u);
}

// The store is asked once in ten seconds, not at each tick, and all is told once it answers.
Test(retell, goes_on_when_the_store_is_back) {
    good_pages = 0;
    pass_ms(61000);
    cr_assert_eq(told, 0u);
    cr_assert(asked >= 5 && asked <= 6, "%zu", asked);
    good_pages = -1;
    pass_ms(EZ_RETELL_FIRST_MS + 2000);
    cr_assert_eq(told, 450u);
}

Test(retell, a_round_that_breaks_off_begins_anew) {
    good_pages = 1;
    pass_ms(EZ_RETELL_FIRST_MS + 2000);
    cr_assert_eq(told, 200u);
    cr_assert_eq(asked, 2u);
    good_pages = -1;
    pass_ms(EZ_RETELL_FIRST_MS + 2000);
    cr_assert_eq(told, 200u + 450u);
}

Test(retell, a_query_that_finds_no_room_is_asked_again) {
    is_refusing = true;
    pass_ms(61000);
    cr_assert(asked >= 5 && asked <= 6, "%zu", asked);
    is_refusing = false;
    pass_ms(EZ_RETELL_FIRST_MS + 2000);
    cr_assert_eq(told, 450u);
}

Test(retell, is_the_holders_and_begins_anew_with_the_lease) {
    is_holder = false;
    pass_ms(EZ_RETELL_EVERY_MS);
    cr_assert_eq(asked, 0u);
    is_holder = true;
    pass_ms(EZ_RETELL_FIRST_MS + 250);
    cr_assert_eq(told, 200u);
    is_holder = false;
    pass_ms(60000);
    cr_assert_eq(told, 200u, "another server's");
    is_holder = true;
    pass_ms(EZ_RETELL_FIRST_MS + 2000);
    cr_assert_eq(told, 200u + 450u);
}

Test(retell, waits_for_room) {
    has_room = false;
    pass_ms(60000);
    cr_assert_eq(asked, 0u);
    has_room = true;
    pass_ms(250);
    cr_assert_eq(told, 200u);
    has_room = false;
    pass_ms(60000);
    cr_assert_eq(told, 200u);
    has_room = true;
    pass_ms(1000);
    cr_assert_eq(told, 450u);
}

Test(retell, there_is_a_bound) {
    open_count = 2 * EZ_RETELL_MAX;
    pass_ms(EZ_RETELL_FIRST_MS + 120000);
    cr_assert_eq(told, EZ_RETELL_MAX);
}
