// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees: the object, its flights and those who wait for them.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "ez/v1/oauth.pb-c.h"
#include "server/domain/oauth/facts.h"
#include "server/domain/oauth/oauth.h"
#include "server/domain/oauth/pace.h"
#include "server/domain/oauth/schedule.h"
#include "server/state/store/claims.h"

#define KIND_API_KEY        EZ__V1__KIND__KIND_API_KEY
#define KIND_PROVIDER_GROUP EZ__V1__KIND__KIND_PROVIDER_GROUP
#define API_KEY_ACTIVE      EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define API_KEY_EXPIRED     EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED

#define OUTCOME_REFRESHED EZ__V1__REFRESH_OUTCOME__REFRESH_OUTCOME_REFRESHED
#define OUTCOME_ALREADY   EZ__V1__REFRESH_OUTCOME__REFRESH_OUTCOME_ALREADY

#define EZ_OAUTH_STORE_MS   5000 // until the store is tried again
#define EZ_OAUTH_PROXY_MAX  513
#define EZ_OAUTH_ALL_TOLD   INT64_MAX
#define EZ_OAUTH_FOREVER_MS (UINT64_MAX - 1) // not by itself, until its secret changes

// ---- Those who wait

typedef struct ez_oauth_waiter ez_oauth_waiter;
struct ez_oauth_waiter {
    ez_oauth_waiter *next;
    int64_t api_key_id;
    bool has_observed, force;
    bool may_force;                  // it can be asked again with force
    uint8_t observed[EZ_SHA256_LEN]; // of the access token that was seen
    uint64_t deadline_ns;            // monotonic
    // Once, on the object's thread or the one that stops it, with no lock held. error: where status is not OK. The
    // waiter is gone when it returns.
    void (*done)(ez_oauth_waiter *waiter, ez_status status, int outcome, const ez_error *error);
};

// ---- One refresh

typedef enum ez_oauth_stage {
    EZ_OAUTH_BEGINS,    // waits for its turn
    EZ_OAUTH_ELSEWHERE, // another server has the claim
    EZ_OAUTH_NOTES,     // the writer says that a token is presented once more
    EZ_OAUTH_CALLS,     // the provider has been asked
    EZ_OAUTH_WRITES,    // the writer has what came of it
    EZ_OAUTH_RESTS,     // a write is to be tried again
    EZ_OAUTH_LOOKS_UP,  // the project is asked for
    EZ_OAUTH_FILES,     // the writer has the project
    EZ_OAUTH_ENDED,
} ez_oauth_stage;

typedef enum ez_oauth_put { // what is written
    EZ_OAUTH_PUT_TOKENS,
    EZ_OAUTH_PUT_END,     // the refresh token was refused for good
    EZ_OAUTH_PUT_EXPIRED, // and the access token has ended
    EZ_OAUTH_PUT_NOTE,    // why it failed
    EZ_OAUTH_PUT_PROJECT,
} ez_oauth_put;

// An API key as it was read.
typedef struct ez_oauth_key {
    ez_oauth_facts facts;
    int provider; // -1: none of ours
    uint64_t secret_version;
    char *refresh_token; // "": none; wiped by ez_oauth_key_fini
    char *access_token;
    uint8_t refresh_hash[EZ_SHA256_LEN];
    uint8_t access_hash[EZ_SHA256_LEN];
    char scope[EZ_OAUTH_SCOPE_MAX];
    char proxy[EZ_OAUTH_PROXY_MAX];
} ez_oauth_key;

// How long something took, for Prometheus.
#define EZ_OAUTH_TIME_BOUNDS 9
typedef struct ez_oauth_times {
    int64_t within[EZ_OAUTH_TIME_BOUNDS + 1]; // by status.c's bounds; the last has none
    int64_t sum_us, last_us;
} ez_oauth_times;

typedef struct ez_oauth_flight ez_oauth_flight;
struct ez_oauth_flight {
    ez_oauth *oauth;
    ez_oauth_flight *next;
    int64_t id;
    int provider;
    ez_oauth_stage stage;
    bool is_asked, force; // somebody asked; also where it was given up
    bool has_place;       // in its provider's pace
    int64_t was_due_ns;   // when it began; EZ_OAUTH_NEVER: not by itself
    bool is_dead;         // the access token does not serve any more
    bool has_refused;     // a data plane was refused with an access token: this one
    uint8_t refused[EZ_SHA256_LEN];
    uint64_t again_ms;     // ELSEWHERE, RESTS: when to look, monotonic
    uint64_t elsewhere_ms; // ELSEWHERE: when the other's claim ends
    ez_oauth_key key;
    ez_oauth_waiter *waiters;

    bool has_claim;
    bool is_marked; // under this claim
    bool is_aloft;  // counted as such
    ez_claim claim; // as it was taken
    uint64_t marked_ms;
    ez_claim_end end; // how it is to end once the writer is done, and
    uint64_t due_ms;  // when the key's next turn is

    // Filled by outbound's thread, before it hands the flight back.
    ez_oauth_verdict verdict;
    bool was_sent;
    ez_oauth_tokens *tokens; // wiped
    char project[EZ_OAUTH_TEXT_MAX];

    // The writer's while it has it.
    ez_write write;
    ez_call *call;
    Ez__V1__RequestRefreshRequest request; // for the audit
    char audit[EZ_OAUTH_WHY_MAX + 64];
    ez_oauth_put put;
    bool was_dead; // is_dead when it was handed over
    char note[EZ_OAUTH_WHY_MAX + 64];
    bool is_overtaken; // the refresh token was another one by then
    unsigned write_tries;
    unsigned end_tries; // since the end was called

    ez_oauth_flight *ready; // the hand-back list's
};

// How a claim is to end, once the store is there.
typedef struct ez_oauth_owed ez_oauth_owed;
struct ez_oauth_owed {
    ez_oauth_owed *next;
    ez_claim claim;
    ez_claim_end end;
    uint64_t since_ms; // monotonic
};

// Something to be told, in trouble.c's queue.
typedef struct ez_oauth_news ez_oauth_news;

#define EZ_OAUTH_NOTED_MAX  256   // alerts of keys that are not known yet; more are found by the next look
#define EZ_OAUTH_ALERTS_MAX 10000 // open alerts that are looked at, the newest

// An alert that stands, and when it was last reported, wall clock.
typedef struct ez_oauth_stand {
    int64_t api_key_id, seen_ns;
    bool says_ended; // that the login has
} ez_oauth_stand;

// A look at the alerts that stand (stand.c).
typedef struct ez_oauth_look {
    ez_query query; // first: the reader is given this
    ez_oauth *oauth;
    ez_oauth_stand *items; // EZ_OAUTH_ALERTS_MAX; the reader's until it is done
    size_t count;
    ez_status status;
} ez_oauth_look;

struct ez_oauth {
    ez_oauth_options options;
    ez_oauth_source sources[EZ_OAUTH_PROVIDERS];
    pthread_t thread;
    bool has_thread;

    // The thread's.
    ez_oauth_flight *flights;
    ez_feed_cursor cursor;
    ez_idmap groups; // provider + 1 of groups whose keys hold OAuth tokens
    bool is_loaded;
    bool scans;               // takes what is due
    uint64_t begin_us;        // of the scan under way: what it begins, most of it the store's
    uint64_t end_until_ms;    // the end was called: writes are tried until then
    uint64_t store_again_ms;  // no claim is tried before, monotonic: each try may block
    uint64_t extend_again_ms; // claims are not extended before, monotonic
    ez_oauth_owed *owed;      // ends of claims that the store did not take
    size_t owed_count;
    uint64_t forget_at_ms;   // the next step of forgetting claims, monotonic
    int64_t forget_after;    // and where it goes on
    int64_t clock_offset_ns; // wall less monotonic, to see a clock that jumps
    uint64_t random;
    bool is_told[EZ_OAUTH_PROVIDERS];  // that its setting is wrong
    bool is_clear[EZ_OAUTH_PROVIDERS]; // no alert says so, for certain
    unsigned lost[EZ_OAUTH_PROVIDERS]; // unknown outcomes in a row
    ez_oauth_news *news, *last_news;   // to be told, in order
    size_t news_count;
    bool has_lost_news;  // and has said so
    int64_t tell_after;  // of those whose login has ended, who was told of last; EZ_OAUTH_ALL_TOLD
    ez_oauth_look *look; // under way, or taken
    size_t looked_at;    // of its items
    uint64_t look_at_ms; // when the next one begins, monotonic

    atomic_bool is_stopping; // any thread reads it; set under the lock
    pthread_mutex_t lock;    // guards what follows
    pthread_cond_t wake;
    bool is_ending;
    ez_oauth_waiter *asked;
    size_t waiting;
    ez_oauth_flight *ready;                   // handed back
    bool has_looked;                          // the look was handed back
    ez_oauth_stand noted[EZ_OAUTH_NOTED_MAX]; // alerts of keys that were not known then
    size_t noted_count;
    size_t aloft; // flights that were sent and are not yet stored
    ez_oauth_schedule schedule;
    ez_oauth_pace paces[EZ_OAUTH_PROVIDERS];
    char why[EZ_OAUTH_PROVIDERS][EZ_OAUTH_WHY_MAX]; // it pauses, and which key met it
    int64_t paused_until_ns[EZ_OAUTH_PROVIDERS];    // wall clock, as it was when the pause began
    int64_t refreshed[EZ_OAUTH_PROVIDERS];
    int64_t failed[EZ_OAUTH_PROVIDERS][EZ_OAUTH_CLASSES];
    int64_t calls[EZ_OAUTH_PROVIDERS];
    ez_oauth_times scans_took, begins_took;
};

// ---- key.c

// Reads an API key from the directory. NOT_FOUND; INVALID_ARGUMENT (NO_OAUTH_TOKENS): it is none of ours. *out is to be
// finished also after a failure.
ez_status ez_oauth_key_read(const ez_oauth *oauth, int64_t id, ez_oauth_key *out, ez_error *error) EZ_MUST_CHECK;
void ez_oauth_key_fini(ez_oauth_key *key);

// ---- follow.c: the schedule behind the feed

void ez_oauth_follow(ez_oauth *oauth);
// The turn of one key as the directory has it now; keeps what is known of its failures unless its secret changed.
void ez_oauth_plan(ez_oauth *oauth, int64_t id);
// What the directory says of a key; nothing, where there is none. Any thread.
ez_oauth_facts ez_oauth_facts_of(const ez_oauth *oauth, int64_t id);
// Whether there is no such key any more, or none with OAuth tokens. Any thread.
bool ez_oauth_is_gone(const ez_oauth *oauth, int64_t id);
// When the directory says that it is a key's turn, whatever happened to it here; for one that is being refreshed. Any
// thread.
int64_t ez_oauth_turn_ns(const ez_oauth *oauth, int64_t id, int provider);

// ---- flight.c: beginning and ending

ez_oauth_flight *ez_oauth_flight_find(ez_oauth *oauth, int64_t id);
ez_oauth_flight *ez_oauth_flight_make(ez_oauth *oauth, int64_t id, int provider, bool is_asked);
// Answers its waiters; status OK: with outcome.
void ez_oauth_answer_all(ez_oauth_flight *flight, ez_status status, int outcome, const ez_error *error);
// Gives the claim up, frees the place, plans the key's next turn; whoever waits for it still has asked anew. due_ms:
// from now; UINT64_MAX: as the directory says.
void ez_oauth_flight_end(ez_oauth_flight *flight, ez_claim_end end, uint64_t due_ms);
// What came of it, in its slot and the numbers; REFRESHED: it succeeded. Returns how often it has failed in a row.
unsigned ez_oauth_note(ez_oauth_flight *flight, ez_oauth_class class);
// The store did not answer: no claim is tried for a while, so that the thread comes round to what it has.
void ez_oauth_spare_store(ez_oauth *oauth);
// Whether it is such a while, or ends of claims are still owed to it: nothing is claimed before they are paid.
bool ez_oauth_store_rests(const ez_oauth *oauth);
// Ends the claims that could not be ended then. Before any claim is taken: what was not sent must not look as if it
// was.
void ez_oauth_pay_claims(ez_oauth *oauth);
void ez_oauth_forget_owed(ez_oauth *oauth); // at the end
// Takes a place in the pace, where it has none; false: not now, or the store is away. And gives it back.
bool ez_oauth_take_place(ez_oauth_flight *flight);
void ez_oauth_leave_place(ez_oauth_flight *flight);
// Hands it back to the thread. Any thread.
void ez_oauth_hand_back(ez_oauth_flight *flight);

// ---- send.c: claim, mark, ask

// From its turn to the call out, or to its end.
void ez_oauth_begin(ez_oauth_flight *flight);
// Whether the access token, as it was read, serves still.
void ez_oauth_judge_life(ez_oauth_flight *flight);
// Goes on after the note of a second presentation was written, with the key as it is then.
void ez_oauth_go_on(ez_oauth_flight *flight);
// Marks and asks.
void ez_oauth_send(ez_oauth_flight *flight);
void ez_oauth_look_up(ez_oauth_flight *flight);
// Keeps the claim while what came waits to be stored; a mark under the same claim is no second presentation. Where the
// store takes it not, nobody's is tried for a while: each try may block.
void ez_oauth_extend(ez_oauth_flight *flight);
// Looks whether another server is done with it.
void ez_oauth_peek(ez_oauth_flight *flight);

// ---- land.c: what came of it

void ez_oauth_land(ez_oauth_flight *flight);
// After the writer had it.
void ez_oauth_settle(ez_oauth_flight *flight);

// ---- write.c: what the writer does

void ez_oauth_write(ez_oauth_flight *flight, ez_oauth_put put, ez_oauth_stage stage);

// ---- trouble.c: alerts

void ez_oauth_raise_key(const ez_oauth_flight *flight, bool is_critical, const char *title, const char *message);
// That its login has ended, where only the key says so.
bool ez_oauth_raise_ended(ez_oauth *oauth, int64_t id, int provider); // false: there was no room
// That of all whose login has ended, as many as there is room for; then it goes on from there.
void ez_oauth_tell_ended(ez_oauth *oauth);
// It is over. is_certain: there is one, else there may be.
void ez_oauth_clear_key(ez_oauth *oauth, int64_t id, int provider, bool is_certain);
// An alert that stands is over, unless somebody reported it after seen_ns.
void ez_oauth_clear_stand(ez_oauth *oauth, int64_t id, int provider, int64_t seen_ns);
void ez_oauth_raise_provider(ez_oauth *oauth, int provider, const char *message);
void ez_oauth_clear_provider(ez_oauth *oauth, int provider);
// Hands on what waits to be told, as far as it is taken.
void ez_oauth_tell(ez_oauth *oauth);
// Whether those who can go on later should add to it now.
bool ez_oauth_may_tell(const ez_oauth *oauth);
void ez_oauth_forget_news(ez_oauth *oauth); // at the end

// ---- stand.c: alerts that stand

// Looks at them now and then, and at those that were noted before their key was known, after the feed was followed;
// ends those whose trouble is over.
void ez_oauth_look_at_alerts(ez_oauth *oauth);
void ez_oauth_forget_look(ez_oauth *oauth); // at the end

// ---- forget.c

// A step of forgetting claims, where it is time.
void ez_oauth_forget_claims(ez_oauth *oauth);

// ---- asked.c: those who wait

// Takes the waiter, or says why not. Any thread.
ez_status ez_oauth_ask(ez_oauth *oauth, ez_oauth_waiter *waiter, ez_error *error) EZ_MUST_CHECK;
// Begins flights for those who asked, or lets them join one.
void ez_oauth_take_asked(ez_oauth *oauth);
// Answers those whose time is up.
void ez_oauth_expire_waiters(ez_oauth *oauth);
// Whether the access token that was seen has been replaced.
bool ez_oauth_is_newer(const ez_oauth_key *key, const ez_oauth_waiter *waiter);

// Milliseconds as messages tell them: in seconds that have begun.
unsigned long long ez_oauth_seconds(uint64_t ms);

// ---- status.c

void ez_oauth_note_time(ez_oauth *oauth, ez_oauth_times *times, uint64_t took_us);

uint64_t ez_oauth_random(ez_oauth *oauth);
