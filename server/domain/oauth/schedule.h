// SPDX-License-Identifier: Apache-2.0
//
// Whose turn is when: a heap of due times for each provider, and the keys by id. Kept by the feed, so that a scan looks
// at what is due and at nothing else. Not locked: its owner does that.
#pragma once

#include "server/domain/oauth/judge.h"
#include "server/state/directory/idmap.h"

typedef struct ez_oauth_slot {
    int64_t id;
    int64_t due_ns;   // wall clock; EZ_OAUTH_NEVER
    int64_t noted_ns; // when an alert about it was last reported, whoever did, wall clock; 0: none is known of
    uint64_t secret_version;
    uint32_t at;    // in the heap
    uint32_t fails; // in a row
    uint32_t vain;  // of them, or since it last succeeded: sent, and answered with what is transient
    uint8_t provider;
    uint8_t class; // of the last failure; 0: none since it last succeeded
    bool is_flying;
    bool is_ended;  // its refresh token: what is due is the end of its access token
    bool is_quiet;  // no call is made for it: there is no refresh token, or it has ended
    bool is_told;   // that it has no refresh token
    bool owes_note; // last_refresh_error is to say why it fails, and does not yet
    bool is_raised; // an alert about it
    bool is_clear;  // there is none, as far as is known here
} ez_oauth_slot;

typedef struct ez_oauth_heap {
    ez_oauth_slot **slots;
    size_t count, room;
    int64_t failing[EZ_OAUTH_CLASSES];
} ez_oauth_heap;

typedef struct ez_oauth_schedule {
    ez_idmap by_id;
    ez_oauth_heap heaps[EZ_OAUTH_PROVIDERS];
} ez_oauth_schedule;

void ez_oauth_schedule_init(ez_oauth_schedule *schedule);
void ez_oauth_schedule_fini(ez_oauth_schedule *schedule);

ez_oauth_slot *ez_oauth_schedule_get(const ez_oauth_schedule *schedule, int64_t id); // NULL: none
// Makes the slot of a key, never due, or moves it to another provider, still flying and with its alert if it was, or
// had one. NULL where there is no memory.
ez_oauth_slot *ez_oauth_schedule_put(ez_oauth_schedule *schedule, int64_t id, int provider);
void ez_oauth_schedule_move(ez_oauth_schedule *schedule, ez_oauth_slot *slot, int64_t due_ns);
// class 0: it succeeded.
void ez_oauth_schedule_note(ez_oauth_schedule *schedule, ez_oauth_slot *slot, ez_oauth_class class);
void ez_oauth_schedule_remove(ez_oauth_schedule *schedule, int64_t id);

// The earliest of a provider; NULL: none.
ez_oauth_slot *ez_oauth_schedule_first(const ez_oauth_schedule *schedule, int provider);
// How many are due. Costs as many steps.
size_t ez_oauth_schedule_due(const ez_oauth_schedule *schedule, int provider, int64_t now_ns);
