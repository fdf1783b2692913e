// SPDX-License-Identifier: Apache-2.0
//
// The end of a flight, and the steps around its writes, without a thread, a provider or a writer: a flight is put where
// it would be, and what follows is looked at. The store is a real one.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/oauth/inside.h"
#include "server/state/directory/apply.h"
#include "tests/unit/store/support.h"

#define KEY 7

static place at;
static ez_oauth *oauth;
static ez_error error;

static void begin(void) {
    given_place(&at);
    oauth = calloc(1, sizeof *oauth);
    cr_assert_not_null(oauth);
    oauth->options.store = open_store(&at);
    oauth->options.server_id = "a";
    oauth->options.claim_ms = 1000;
    oauth->options.interval_ms = 60000;
    oauth->random = 1;
    oauth->clock_offset_ns = ez_clock_wall_ns() - (int64_t)ez_clock_mono_ns();
    cr_assert_eq(ez_directory_create(1, NULL, (ez_directory **)(void *)&oauth->options.directory, &error), EZ_OK);
    ez_oauth_schedule_init(&oauth->schedule);
    ez_idmap_init(&oauth->groups);
    pthread_mutex_init(&oauth->lock, NULL);
    pthread_cond_init(&oauth->wake, NULL);
}

static void finish(void) {
    while (oauth->flights) {
        ez_oauth_flight *flight = oauth->flights;
        oauth->flights = flight->next;
        free(flight);
    }
    ez_oauth_schedule_fini(&oauth->schedule);
    ez_idmap_fini(&oauth->groups);
    ez_store_close(oauth->options.store);
    ez_directory_destroy((ez_directory *)(uintptr_t)oauth->options.directory);
    pthread_cond_destroy(&oauth->wake);
    pthread_mutex_destroy(&oauth->lock);
    free(oauth);
    drop_place(&at);
}

TestSuite(oauth_flight, .init = begin, .fini = finish, .timeout = 60);

// ---- Who waits

typedef struct told {
    ez_oauth_waiter waiter;
    int answers, outcome;
    ez_status status;
    ez_error why;
} told;

static void on_told(ez_oauth_waiter *waiter, ez_status status, int outcome, const ez_error *why) {
    told *it = (told *)(void *)waiter;
    if (status != EZ_OK)
        it->why = *why;
    it->answers++;
    it->status = status;
    it->outcome = outcome;
}

static ez_oauth_flight *given_flight(told *waiter) {
    ez_oauth_flight *flight = ez_oauth_flight_make(oauth, KEY, 0, true);
    cr_assert_not_null(flight);
    if (waiter) {
        *waiter = (told){.waiter = {.api_key_id = KEY, .deadline_ns = UINT64_MAX, .done = on_told}};
        flight->waiters = &waiter->waiter;
        oauth->waiting = 1;
    }
    return flight;
}

static void claim(ez_oauth_flight *flight) {
    int64_t wait_ms;
    cr_assert_eq(ez_store_claim(oauth->options.store, KEY, "a", oauth->options.claim_ms, &flight->claim,
                                &flight->has_claim, &wait_ms, &error),
                 EZ_OK);
    cr_assert(flight->has_claim);
}

// Whoever joined after the answers were given was freed with the flight and never answered.
Test(oauth_flight, who_joined_at_its_very_end_asks_again) {
    told late;
    ez_oauth_flight *flight = given_flight(&late);
    ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, 1000);
    cr_expect_null(flight->waiters);
    cr_expect_eq(oauth->asked, &late.waiter);
    cr_expect_eq(late.answers, 0);
    oauth->is_stopping = true;
    ez_oauth_take_asked(oauth);
    cr_expect_eq(late.answers, 1);
    cr_expect_eq(late.status, EZ_UNAVAILABLE);
    cr_expect_eq(oauth->waiting, 0);
}

// The queue's reader waited without a time.
Test(oauth_flight, who_is_never_answered_leaves, .timeout = 20) {
    cr_expect_eq(ez_oauth_refresh(oauth, KEY, "", 50, &error), EZ_DEADLINE_EXCEEDED);
    oauth->is_stopping = true;
    ez_oauth_take_asked(oauth); // frees what was left
    cr_expect_eq(oauth->waiting, 0);
}

// ---- Around the note

// Claimed, with the note written.
static ez_oauth_flight *given_noted(told *waiter) {
    ez_oauth_flight *flight = given_flight(waiter);
    claim(flight);
    flight->stage = EZ_OAUTH_NOTES;
    flight->put = EZ_OAUTH_PUT_NOTE;
    return flight;
}

// A token that was replaced while the note was written was sent all the same.
Test(oauth_flight, what_was_replaced_during_the_note_is_not_sent) {
    told waiter;
    ez_oauth_flight *flight = given_noted(&waiter);
    flight->is_overtaken = true;
    ez_oauth_settle(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_ENDED);
    cr_expect_eq(waiter.answers, 1);
    cr_expect_eq(waiter.status, EZ_OK);
    cr_expect_eq(waiter.outcome, OUTCOME_ALREADY);
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims WHERE sends > 0"), 0);
}

// A key that was deleted while the note was written.
Test(oauth_flight, the_key_is_read_again_after_the_note) {
    told waiter;
    ez_oauth_flight *flight = given_noted(&waiter);
    ez_oauth_settle(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_ENDED);
    cr_expect_eq(waiter.status, EZ_NOT_FOUND);
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims WHERE sends > 0"), 0);
}

static void put_row(int kind, int64_t id, const ProtobufCMessage *message) {
    uint8_t bytes[256];
    cr_assert_leq(protobuf_c_message_get_packed_size(message), sizeof bytes);
    ez_store_row row = {.id = id, .revision = 1, .data = {bytes, protobuf_c_message_pack(message, bytes)}};
    ez_directory *directory = (ez_directory *)(uintptr_t)oauth->options.directory;
    cr_assert_eq(ez_directory_put_row(directory, kind, &row, &error), EZ_OK, "%s", error.message);
}

// A group's type was changed while a flight waited: its token went to the provider that it had before.
Test(oauth_flight, a_token_goes_to_its_own_provider_only) {
    static char type[] = "codex";
    Ez__V1__ProviderGroup owner = EZ__V1__PROVIDER_GROUP__INIT;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    told waiter;
    owner.id = 1;
    owner.type = type;
    key.id = KEY;
    key.group_id = 1;
    key.has_access_token = true;
    put_row(KIND_PROVIDER_GROUP, 1, &owner.base);
    put_row(KIND_API_KEY, KEY, &key.base);
    ez_oauth_flight *flight = given_flight(&waiter);
    flight->provider = ez_oauth_provider_find("claude-code", 11);
    ez_oauth_begin(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_ENDED);
    cr_expect_eq(waiter.answers, 0);
    cr_expect_eq(oauth->asked, &waiter.waiter, "who waits asks anew");
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 0);
}

// ---- A pause

static void given_codex_keys(int64_t count) {
    static char type[] = "codex";
    Ez__V1__ProviderGroup owner = EZ__V1__PROVIDER_GROUP__INIT;
    owner.id = 1;
    owner.type = type;
    put_row(KIND_PROVIDER_GROUP, 1, &owner.base);
    for (int64_t i = 0; i < count; i++) {
        Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
        key.id = KEY + i;
        key.group_id = 1;
        key.has_access_token = true;
        put_row(KIND_API_KEY, key.id, &key.base);
        cr_assert_not_null(ez_oauth_schedule_put(&oauth->schedule, key.id, 0));
    }
}

static const ez_error *ask(told *waiter, int64_t id, bool may_force) {
    *waiter = (told){.waiter = {.api_key_id = id, .may_force = may_force, .deadline_ns = UINT64_MAX, .done = on_told}};
    cr_assert_eq(ez_oauth_ask(oauth, &waiter->waiter, &error), EZ_OK);
    ez_oauth_take_asked(oauth);
    return &waiter->why;
}

// It said that the last refresh of a key did not help that was never refreshed, and not what is wrong.
Test(oauth_flight, a_pause_names_the_key_that_met_it) {
    told other;
    given_codex_keys(2);
    oauth->sources[0].provider = ez_oauth_providers[0];
    ez_oauth_flight *flight = given_flight(NULL);
    flight->verdict =
        (ez_oauth_verdict){.class = EZ_OAUTH_SETTING, .code = "invalid_client", .why = "invalid_client: check X"};
    flight->was_sent = true;
    int64_t before_ns = ez_clock_wall_ns();
    ez_oauth_land(flight);
    int64_t until_ns = oauth->paused_until_ns[0];
    cr_expect_gt(until_ns, before_ns);
    cr_expect_str_eq(oauth->why[0], "invalid_client for API key 7: check X");
    oauth->paces[0].paused_until_ms = ez_clock_mono_ms() + 290000;
    const ez_error *why = ask(&other, KEY + 1, true);
    cr_expect_str_eq(why->reason, "REFRESH_LATER");
    cr_expect_eq(strncmp(why->message, "codex is paused for 2", 21), 0, "%s", why->message);
    cr_expect(strstr(why->message, " s after invalid_client for API key 7: check X"), "%s", why->message);
    flight = given_flight(NULL);
    flight->verdict =
        (ez_oauth_verdict){.class = EZ_OAUTH_RATE_LIMITED, .retry_after_ms = 5000, .why = "429: again in 5 s"};
    ez_oauth_land(flight);
    cr_expect_str_eq(oauth->why[0], "invalid_client for API key 7: check X", "the longer pause goes on");
    cr_expect_eq(oauth->paused_until_ns[0], until_ns);
}

Test(oauth_flight, a_wait_is_told_in_seconds_and_who_may_pass_it) {
    told waiter;
    given_codex_keys(1);
    oauth->sources[0].provider = ez_oauth_providers[0];
    oauth->sources[0].client_id = oauth->sources[0].client_secret = (char *)(uintptr_t) "id";
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, KEY);
    ez_oauth_schedule_note(&oauth->schedule, slot, EZ_OAUTH_TRANSIENT);
    ez_oauth_schedule_move(&oauth->schedule, slot, ez_clock_wall_ns() + INT64_C(596500000000));
    const char *text = ask(&waiter, KEY, false)->message,
               *start = "the last refresh did not help (transient): the next";
    cr_expect_eq(strncmp(text, start, strlen(start)), 0, "%s", text);
    cr_expect_str_eq(strrchr(text, ' '), " s", "%s", text);
    text = ask(&waiter, KEY, true)->message;
    cr_expect(strstr(text, " s, or use force"), "%s", text);
    cr_expect_eq(ez_oauth_seconds(596500), 597);
    cr_expect_eq(ez_oauth_seconds(597000), 597);
    oauth->paces[0].paused_until_ms = ez_clock_mono_ms() + 60000;
    waiter = (told){.waiter = {.api_key_id = KEY, .force = true, .deadline_ns = UINT64_MAX, .done = on_told}};
    cr_assert_eq(ez_oauth_ask(oauth, &waiter.waiter, &error), EZ_OK);
    ez_oauth_take_asked(oauth);
    cr_expect_eq(waiter.answers, 0, "by force");
    ez_oauth_flight *flight = ez_oauth_flight_find(oauth, KEY);
    cr_assert_not_null(flight);
    cr_expect_not(ez_oauth_take_place(flight), "but not while its provider is left alone");
    flight->waiters = NULL;
}

// ---- The claim

// A claim ended while a good reply waited for its write, and another server presented the used token.
Test(oauth_flight, a_claim_lasts_while_a_reply_waits_to_be_written) {
    ez_oauth_flight *flight = given_flight(NULL);
    claim(flight);
    cr_assert_eq(ez_store_mark_sent(oauth->options.store, &flight->claim, "a", flight->key.refresh_hash, 1000, &error),
                 EZ_OK);
    flight->is_marked = true;
    flight->marked_ms = ez_clock_mono_ms();
    long long until = number_of(&at, "SELECT until_ms FROM oauth_claims");
    flight->put = EZ_OAUTH_PUT_TOKENS;
    flight->write.status = EZ_UNAVAILABLE;
    while (ez_clock_mono_ms() < flight->marked_ms + 400) {
    }
    ez_oauth_settle(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_RESTS);
    cr_expect_geq(number_of(&at, "SELECT until_ms FROM oauth_claims"), until + 300);
    cr_expect_eq(number_of(&at, "SELECT sends FROM oauth_claims"), 1, "which is no second presentation");
    flight->write_tries = 9;
    ez_oauth_settle(flight);
    cr_expect_leq(flight->again_ms, ez_clock_mono_ms() + 500, "a rest is shorter than the claim");
}

// A server that began to stop while the claim was taken began a call.
Test(oauth_flight, nothing_is_sent_by_a_server_that_stops) {
    told waiter;
    ez_oauth_flight *flight = given_flight(&waiter);
    claim(flight);
    oauth->is_stopping = true;
    ez_oauth_send(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_ENDED);
    cr_expect_eq(waiter.status, EZ_UNAVAILABLE);
    cr_expect_eq(oauth->aloft, 0);
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims WHERE sends > 0"), 0);
}

// A store that keeps one row for each key that ever was.
Test(oauth_flight, who_scans_forgets_claims_of_keys_that_are_gone) {
    ez_oauth_flight *flight = given_flight(NULL);
    claim(flight);
    ez_oauth_flight_end(flight, EZ_CLAIM_OPEN, 1000);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 1);
    ez_oauth_forget_claims(oauth);
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 1);
    oauth->scans = true;
    ez_oauth_forget_claims(oauth);
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 0);
}

// ---- A store that does not answer

static unsigned refusals;      // to come
static unsigned notes_refused; // by a writer that takes nothing

ez_status __real_ez_store_end_claim(ez_store *store, const ez_claim *claim, const char *owner, ez_claim_end end,
                                    ez_error *why);
ez_status __wrap_ez_store_end_claim(ez_store *store, const ez_claim *claim, const char *owner, ez_claim_end end,
                                    ez_error *why);
ez_status __wrap_ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *why);

ez_status __wrap_ez_store_end_claim(ez_store *store, const ez_claim *claim, const char *owner, ez_claim_end end,
                                    ez_error *why) {
    if (refusals == 0)
        return __real_ez_store_end_claim(store, claim, owner, end, why);
    refusals--;
    return ez_error_set(why, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "it is away");
}

ez_status __wrap_ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *why) {
    (void)writer, (void)write;
    notes_refused++;
    return ez_error_set(why, EZ_UNAVAILABLE, "STOPPING", "it takes nothing");
}

// Marked, and not sent after all: where the store was away at that moment, the token counted as presented, and after
// the second such time as given up.
Test(oauth_flight, a_mark_is_taken_back_when_the_store_is_there_again) {
    ez_oauth_flight *flight = given_flight(NULL);
    claim(flight);
    cr_assert_eq(ez_store_mark_sent(oauth->options.store, &flight->claim, "a", flight->key.refresh_hash, 1000, &error),
                 EZ_OK);
    flight->is_marked = true;
    refusals = 2;
    ez_oauth_flight_end(flight, EZ_CLAIM_UNSENT, 1000);
    cr_expect_eq(number_of(&at, "SELECT sends FROM oauth_claims"), 1);
    ez_oauth_pay_claims(oauth);
    cr_expect_eq(refusals, 1, "it is spared for a while");
    oauth->store_again_ms = 0;
    ez_oauth_pay_claims(oauth);
    cr_expect_eq(refusals, 0);
    cr_expect_gt(oauth->store_again_ms, 0, "and again");
    oauth->store_again_ms = 0;
    ez_oauth_pay_claims(oauth);
    cr_expect_eq(number_of(&at, "SELECT count(*) FROM oauth_claims"), 0);
    cr_expect_null(oauth->owed);
}

// Somebody else has it by then: it is theirs.
Test(oauth_flight, a_mark_that_another_claim_made_stays) {
    ez_oauth_flight *flight = given_flight(NULL);
    claim(flight);
    refusals = 1;
    ez_oauth_flight_end(flight, EZ_CLAIM_UNSENT, 1000);
    flight = given_flight(NULL);
    claim(flight);
    cr_assert_eq(ez_store_mark_sent(oauth->options.store, &flight->claim, "a", flight->key.refresh_hash, 1000, &error),
                 EZ_OK);
    oauth->store_again_ms = 0;
    ez_oauth_pay_claims(oauth);
    cr_expect_eq(number_of(&at, "SELECT sends FROM oauth_claims"), 1);
    ez_oauth_flight_end(flight, EZ_CLAIM_OPEN, 1000);
}

static void fail_once(unsigned fails) {
    ez_oauth_flight *flight = given_flight(NULL);
    flight->verdict.class = EZ_OAUTH_TRANSIENT;
    ez_oauth_schedule_get(&oauth->schedule, KEY)->fails = fails;
    ez_oauth_land(flight);
    cr_assert_eq(flight->stage, EZ_OAUTH_ENDED);
}

// What the store did not take was said after five more tries.
Test(oauth_flight, a_note_that_was_not_written_is_with_the_next_failure) {
    cr_assert_not_null(ez_oauth_schedule_put(&oauth->schedule, KEY, 0));
    fail_once(0);
    cr_expect_eq(notes_refused, 0);
    fail_once(EZ_OAUTH_TRIES - 1);
    cr_expect_eq(notes_refused, 1);
    fail_once(EZ_OAUTH_TRIES);
    cr_expect_eq(notes_refused, 2);
    ez_oauth_schedule_note(&oauth->schedule, ez_oauth_schedule_get(&oauth->schedule, KEY), EZ_OAUTH_REFRESHED);
    fail_once(1);
    cr_expect_eq(notes_refused, 2, "nothing is owed after a success");
}

Test(oauth_flight, a_key_that_could_not_be_marked_expired_is_due_again) {
    ez_oauth_slot *slot = ez_oauth_schedule_put(&oauth->schedule, KEY, 0);
    ez_oauth_flight *flight = given_flight(NULL);
    flight->put = EZ_OAUTH_PUT_EXPIRED;
    flight->write.status = EZ_UNAVAILABLE;
    ez_oauth_settle(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_ENDED);
    cr_expect_lt(slot->due_ns, EZ_OAUTH_NEVER);
}

// ---- Used up, or not

// What stands of a token after a reply with this refresh token in it.
static long long kept_after(const char *got, unsigned sends) {
    ez_oauth_flight *flight = given_flight(NULL);
    ez_sha256("rt-0", 4, flight->key.refresh_hash);
    for (unsigned i = 0; i < sends; i++) {
        claim(flight);
        cr_assert_eq(
            ez_store_mark_sent(oauth->options.store, &flight->claim, "a", flight->key.refresh_hash, 1000, &error),
            EZ_OK);
    }
    flight->is_marked = flight->was_sent = true;
    flight->verdict.class = EZ_OAUTH_REFRESHED;
    flight->tokens = calloc(1, sizeof *flight->tokens);
    cr_assert_not_null(flight->tokens);
    strcpy(flight->tokens->refresh_token, got);
    ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, 1000);
    return number_of(&at, "SELECT count(*) FROM oauth_claims");
}

// A key that was made anew with the tokens of one that was deleted was refused by the row of that one.
Test(oauth_flight, a_token_that_was_kept_is_not_used_up) {
    cr_expect_eq(kept_after("", 1), 0, "the reply left it out");
    cr_expect_eq(kept_after("rt-0", 1), 0, "the reply gave it again");
    cr_expect_eq(kept_after("", 2), 0, "nor where an answer was lost before");
    cr_expect_eq(kept_after("rt-1", 1), 1);
}

// Two answers were lost, and the numbers said three.
Test(oauth_flight, an_answer_is_lost_once) {
    told waiter;
    ez_oauth_flight *flight = given_flight(&waiter);
    claim(flight);
    flight->stage = EZ_OAUTH_WRITES;
    flight->put = EZ_OAUTH_PUT_END;
    flight->verdict.class = EZ_OAUTH_UNKNOWN;
    ez_oauth_settle(flight);
    cr_expect_eq(flight->stage, EZ_OAUTH_ENDED);
    cr_expect_eq(waiter.status, EZ_FAILED_PRECONDITION);
    cr_expect_eq(oauth->failed[0][EZ_OAUTH_UNKNOWN], 0);
}

// ---- The access token

// What a data plane was refused with counted against the token that another server had put since.
Test(oauth_flight, a_refusal_is_of_the_token_that_was_refused) {
    ez_oauth_flight *flight = given_flight(NULL);
    flight->key.facts.has_access = true;
    flight->has_refused = true;
    memset(flight->refused, 1, sizeof flight->refused);
    memset(flight->key.access_hash, 1, sizeof flight->key.access_hash);
    ez_oauth_judge_life(flight);
    cr_expect(flight->is_dead);
    memset(flight->key.access_hash, 2, sizeof flight->key.access_hash);
    ez_oauth_judge_life(flight);
    cr_expect_not(flight->is_dead, "it has another one by now");
    flight->key.facts.expires_ns = 1;
    ez_oauth_judge_life(flight);
    cr_expect(flight->is_dead);
}

// ---- How often

// Sent under a mark that was open, answered with 503: the mark stayed as it was, and the token went out without end.
static long long sends_after_503(unsigned fails, unsigned vain) {
    ez_oauth_flight *flight = given_flight(NULL);
    ez_oauth_slot *slot = ez_oauth_schedule_put(&oauth->schedule, KEY, 0);
    claim(flight);
    cr_assert_eq(ez_store_mark_sent(oauth->options.store, &flight->claim, "a", flight->key.refresh_hash, 1000, &error),
                 EZ_OK);
    cr_assert_eq(ez_store_end_claim(oauth->options.store, &flight->claim, "a", EZ_CLAIM_OPEN, &error), EZ_OK);
    claim(flight);
    cr_assert_eq(flight->claim.sends, 1);
    cr_assert_eq(ez_store_mark_sent(oauth->options.store, &flight->claim, "a", flight->key.refresh_hash, 1000, &error),
                 EZ_OK);
    flight->is_marked = flight->was_sent = true;
    flight->verdict.class = EZ_OAUTH_TRANSIENT;
    slot->fails = fails;
    slot->vain = vain;
    ez_oauth_land(flight);
    cr_assert_eq(flight->stage, EZ_OAUTH_ENDED);
    return number_of(&at, "SELECT sends FROM oauth_claims");
}

Test(oauth_flight, a_503_after_a_lost_answer_is_no_second_one) {
    cr_expect_eq(sends_after_503(0, 0), 1);
}

Test(oauth_flight, but_not_without_end) {
    cr_expect_eq(sends_after_503(EZ_OAUTH_TRIES, EZ_OAUTH_TRIES), 2);
}

// A few refused connections, then one 503: it counted as the fifth.
Test(oauth_flight, a_try_that_never_went_out_does_not_count) {
    cr_expect_eq(sends_after_503(EZ_OAUTH_TRIES, 0), 1);
}

// ---- A store that is away

// Each due key, and each that was asked for, blocked the thread for as long as the store takes to say nothing.
Test(oauth_flight, no_other_claim_is_tried_at_once) {
    ez_oauth_flight *flight = given_flight(NULL);
    ez_oauth_pace_init(&oauth->paces[0], 10, 4, ez_clock_mono_ms());
    ez_oauth_spare_store(oauth);
    cr_expect_not(ez_oauth_take_place(flight));
    oauth->store_again_ms = ez_clock_mono_ms();
    ez_oauth_owed owed = {.end = EZ_CLAIM_UNSENT};
    oauth->owed = &owed;
    cr_expect_not(ez_oauth_take_place(flight), "ends of claims come first");
    oauth->owed = NULL;
    cr_expect(ez_oauth_take_place(flight));
}

// ---- Alerts

static void put_key(int64_t id) {
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    key.id = id;
    key.group_id = 1;
    key.has_access_token = true;
    put_row(KIND_API_KEY, id, &key.base);
}

static unsigned cleared;

static bool on_clear(void *user, const ez_oauth_trouble *troubles, size_t count) {
    (void)user;
    cr_expect_eq(count, 1);
    cr_expect_eq(troubles[0].api_key_id, KEY);
    cleared++;
    return true;
}

static unsigned cleared_by_a_success(void) {
    cleared = 0;
    ez_oauth_clear_key(oauth, KEY, 0, false);
    ez_oauth_tell(oauth);
    return cleared;
}

// A server that starts does not know what the one before it raised: once, a success says that it is over.
Test(oauth_flight, an_alert_of_before_the_start_is_cleared) {
    oauth->options.clear = on_clear;
    put_key(KEY);
    cr_assert_not_null(ez_oauth_schedule_put(&oauth->schedule, KEY, 0));
    cr_expect_eq(cleared_by_a_success(), 1);
    cr_expect_eq(cleared_by_a_success(), 0, "and each later one costs nothing");
    ez_oauth_raise_ended(oauth, KEY, 0);
    cr_expect_eq(cleared_by_a_success(), 1);
    ez_oauth_note_alert(oauth, KEY, 1); // a data plane's
    cr_expect_eq(cleared_by_a_success(), 1);
    cr_expect_eq(cleared_by_a_success(), 0);
}

#define MANY 5000

static unsigned raised[MANY + 1];
static unsigned raises;

static bool on_raise(void *user, const ez_oauth_trouble *troubles, size_t count) {
    (void)user;
    cr_assert_leq(count, EZ_OAUTH_TOLD_AT_ONCE);
    if (raises++ % 3 == 2)
        return false;
    for (size_t i = 0; i < count; i++)
        raised[troubles[i].api_key_id]++;
    return true;
}

// More at once than the alerts take: what they refused was never told.
Test(oauth_flight, all_of_many_ended_logins_are_told) {
    oauth->options.raise = on_raise;
    for (int64_t id = 1; id <= MANY; id++) {
        put_key(id);
        ez_oauth_slot *slot = ez_oauth_schedule_put(&oauth->schedule, id, 0);
        cr_assert_not_null(slot);
        slot->is_ended = true;
    }
    for (int round = 0; round < MANY && (oauth->news || oauth->tell_after != EZ_OAUTH_ALL_TOLD); round++) {
        ez_oauth_tell_ended(oauth);
        cr_assert_leq(oauth->news_count, 1000, "and no more of them wait than that");
        ez_oauth_tell(oauth);
    }
    for (int64_t id = 1; id <= MANY; id++)
        cr_assert_eq(raised[id], 1, "%lld was told %u times", (long long)id, raised[id]);
}

// Raised behind the key's end, it stood open for ever.
Test(oauth_flight, nothing_is_told_of_a_key_that_is_gone) {
    oauth->options.raise = on_raise;
    ez_oauth_raise_ended(oauth, KEY, 0);
    cr_expect_null(oauth->news);
    put_key(KEY);
    ez_oauth_raise_ended(oauth, KEY, 0);
    cr_expect_not_null(oauth->news);
    ez_oauth_tell(oauth);
}
