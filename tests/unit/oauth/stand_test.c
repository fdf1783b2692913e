// SPDX-License-Identifier: Apache-2.0
//
// Looks at alerts that stand, over a directory that a test fills: which of them are over.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/api_key.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/oauth/inside.h"
#include "server/state/directory/apply.h"
#include "tests/support/wait.h"
#include "tests/unit/store/support.h"

#define KEY   7
#define NOW_S (ez_clock_wall_ns() / 1000000000)

static place at;
static ez_oauth *oauth;
static ez_error error;
// The alert, and its end.
static const char *title = "Token refresh fails";
static int64_t seen_ns;
static unsigned ended;

static ez_status each_alert(void *user, ez_reader *reader, ez_oauth_alert_fn *each, void *each_user, ez_error *why) {
    (void)user, (void)reader;
    return each(each_user, KEY, title, seen_ns, why);
}

static bool on_clear(void *user, const ez_oauth_trouble *troubles, size_t count) {
    (void)user;
    cr_expect_eq(count, 1);
    cr_expect_eq(troubles[0].api_key_id, KEY);
    cr_expect_eq(troubles[0].seen_before_ns, seen_ns + 1, "one that is reported later stands");
    ended++;
    return true;
}

static void begin(void) {
    given_place(&at);
    cr_assert_not_null(oauth = calloc(1, sizeof *oauth));
    oauth->options.store = open_store(&at);
    oauth->options.each_alert = each_alert;
    oauth->options.clear = on_clear;
    oauth->scans = true;
    cr_assert_eq(ez_directory_create(1, NULL, (ez_directory **)(void *)&oauth->options.directory, &error), EZ_OK);
    ez_oauth_schedule_init(&oauth->schedule);
    pthread_mutex_init(&oauth->lock, NULL);
    pthread_cond_init(&oauth->wake, NULL);
    seen_ns = (NOW_S - 60) * 1000000000;
}

static void finish(void) {
    ez_store_close(oauth->options.store);
    ez_oauth_forget_look(oauth);
    ez_oauth_schedule_fini(&oauth->schedule);
    ez_directory_destroy((ez_directory *)(uintptr_t)oauth->options.directory);
    pthread_cond_destroy(&oauth->wake);
    pthread_mutex_destroy(&oauth->lock);
    free(oauth);
    drop_place(&at);
}

TestSuite(oauth_stand, .init = begin, .fini = finish, .timeout = 60);

// One that was changed, and refreshed, so many seconds ago; 0: never.
static void given_key(bool has_tokens, int64_t changed_ago_s, int64_t refreshed_ago_s) {
    uint8_t bytes[256];
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    Google__Protobuf__Timestamp changed = GOOGLE__PROTOBUF__TIMESTAMP__INIT,
                                refreshed = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    changed.seconds = NOW_S - changed_ago_s;
    refreshed.seconds = NOW_S - refreshed_ago_s;
    key.id = KEY;
    key.group_id = 1;
    key.has_access_token = key.has_refresh_token = has_tokens;
    key.updated_at = &changed;
    key.last_refresh_at = refreshed_ago_s ? &refreshed : NULL;
    ez_store_row row = {.id = KEY, .revision = 1, .data = {bytes, protobuf_c_message_pack(&key.base, bytes)}};
    cr_assert_eq(ez_directory_put_row((ez_directory *)(uintptr_t)oauth->options.directory, KIND_API_KEY, &row, &error),
                 EZ_OK, "%s", error.message);
    if (has_tokens)
        cr_assert_not_null(ez_oauth_schedule_put(&oauth->schedule, KEY, 0));
}

static bool has_looked(void) {
    pthread_mutex_lock(&oauth->lock);
    bool has = oauth->has_looked;
    pthread_mutex_unlock(&oauth->lock);
    return has;
}

// Whether a look ends it.
static bool is_ended(void) {
    ended = 0;
    oauth->look_at_ms = 0;
    ez_oauth_look_at_alerts(oauth);
    expect_soon(has_looked());
    ez_oauth_look_at_alerts(oauth);
    cr_assert_null(oauth->look);
    ez_oauth_tell(oauth);
    return ended == 1;
}

Test(oauth_stand, one_of_a_key_that_is_gone_is_over) {
    cr_expect(is_ended());
}

// Another server has made it, and this one does not know of it yet: a look ended what was told a moment ago.
Test(oauth_stand, one_that_is_young_waits_until_its_key_is_known) {
    seen_ns = ez_clock_wall_ns();
    cr_expect_not(is_ended());
    cr_expect_eq(oauth->noted_count, 1);
    given_key(true, 0, 0);
    cr_expect_not(is_ended());
    cr_expect_eq(oauth->noted_count, 0);
    cr_expect_eq(ez_oauth_schedule_get(&oauth->schedule, KEY)->noted_ns, seen_ns);
}

// What data planes said of any other key was ended, and told anew with each report.
Test(oauth_stand, one_of_a_key_that_never_had_tokens_stands) {
    given_key(false, 90, 0);
    cr_expect_not(is_ended());
    given_key(false, 30, 0);
    cr_expect(is_ended(), "it had, until then");
}

Test(oauth_stand, a_refresh_after_it_ends_it) {
    given_key(true, 30, 90);
    cr_expect_not(is_ended());
    given_key(true, 30, 30);
    cr_expect(is_ended());
}

// Whoever was to end it had died between the commit of the new tokens and the end.
Test(oauth_stand, a_login_that_has_not_ended_any_more_ends_it) {
    title = EZ_OAUTH_TITLE_ENDED;
    given_key(true, 90, 0);
    cr_expect_not(is_ended(), "the directory may be behind");
    given_key(true, 30, 0);
    cr_expect(is_ended());
}

Test(oauth_stand, a_later_report_is_not_forgotten_for_an_earlier_one) {
    given_key(true, 90, 0);
    ez_oauth_note_alert(oauth, KEY, seen_ns + 5);
    cr_expect_not(is_ended());
    cr_expect_eq(ez_oauth_schedule_get(&oauth->schedule, KEY)->noted_ns, seen_ns + 5);
}

Test(oauth_stand, reports_of_one_key_are_noted_once) {
    for (int i = 0; i < 3; i++)
        ez_oauth_note_alert(oauth, KEY, seen_ns + i);
    cr_expect_eq(oauth->noted_count, 1);
    cr_expect_eq(oauth->noted[0].seen_ns, seen_ns + 2);
}
