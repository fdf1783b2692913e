// SPDX-License-Identifier: Apache-2.0
//
// ez_held: of what the detector's rules hold, and for how many rounds they have not any more. A rule that held is over
// when it did not in two rounds one after the other, so that numbers that go up and down around a threshold are one
// trouble. Bounded: at most EZ_HELD_MAX of each rule. One thread at a time.
#pragma once

#include <stddef.h>

#include "proto/runtime/error.h"
#include "server/domain/alerts/detector_rules.h"

#define EZ_HELD_MAX        5000 // of each rule: what comes later waits until others are over
#define EZ_HELD_GONE_AFTER 2    // rounds

typedef struct ez_held_entry {
    int64_t id;
    uint32_t gone; // rounds in which it did not hold; 0: it holds
    bool is_seen;  // in this round
} ez_held_entry;

typedef struct ez_held {
    ez_held_entry *entries[EZ_RULES]; // room for EZ_HELD_MAX each, by id
    size_t counts[EZ_RULES];
} ez_held;

// All zero before. RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_held_init(ez_held *held, ez_error *error) EZ_MUST_CHECK;
void ez_held_fini(ez_held *held);
void ez_held_clear(ez_held *held);

// ---- A round

void ez_held_begin(ez_held *held);
bool ez_held_has(const ez_held *held, ez_rule rule, int64_t id);
// The rule holds. False: there is no room for another one.
bool ez_held_see(ez_held *held, ez_rule rule, int64_t id);
// Counts the round for what was not seen in it.
void ez_held_end(ez_held *held);
// What is over, at most room of one rule; how many. They stay until they are dropped.
size_t ez_held_over(const ez_held *held, ez_rule rule, int64_t *ids, size_t room);
void ez_held_drop(ez_held *held, ez_rule rule, int64_t id);
