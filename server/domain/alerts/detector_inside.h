// SPDX-License-Identifier: Apache-2.0
//
// What the files of the detector share, and nobody else sees: the object, and the steps of a round.
#pragma once

#include <stdatomic.h>

#include "ez/handlers.h"
#include "server/domain/alerts/detector.h"
#include "server/domain/alerts/detector_held.h"
#include "server/domain/alerts/detector_minutes.h"
#include "server/domain/alerts/open.h"

#define EXPIRED_BEFORE_NS INT64_C(3600000000000) // a new holder tells what expired within it

#define SETTING_ALERT_THRESHOLDS "alert_thresholds"

// What holds in a round: bounded by what is held already and the room that is left, for each rule.
typedef struct ez_findings {
    ez_finding *items;
    size_t count, room;
    size_t fresh[EZ_RULES]; // of them, what was not held before
    size_t left_out;        // for which there was no room
    bool has_failed;        // for want of memory
} ez_findings;

// What another reader does beside a round's steps: it finds masters and API keys in trouble.
typedef struct ez_beside {
    ez_query query;
    ez_findings findings;
    ez_status status;
    ez_error error;
} ez_beside;

typedef struct ez_round {
    ez_query query;
    size_t step;
    ez_status status; // of the last step; and what it said
    ez_error error;
    ez_beside beside;
    atomic_int ways;   // that have not come to the meeting yet
    uint64_t began_ns; // monotonic
    int64_t now_ns;    // wall clock: what is judged is judged by it
    uint64_t fence;
    Ez__V1__AlertThresholds thresholds; // with defaults
    ez_findings findings;
    bool has_late; // something that expired found no room
    int64_t after; // where the walk is at
    size_t plane_step, plane_alerts;
    ez_open_place plane_place;
} ez_round;

struct ez_detector {
    ez_detector_options options;
    _Atomic uint64_t rounds, failed, last_ms;
    atomic_bool is_out; // a round is on its way

    // The timer's.
    uint64_t next_ms; // monotonic
    bool is_late;     // and has said so

    // The round's: whichever reader has it.
    ez_round round;
    ez_minutes keys, api_keys;
    ez_held held;
    bool has_held;          // under this token
    uint64_t token;         // of the lease, when held was begun
    int64_t looked_ns;      // what expired until then was told; 0: there was no round under it
    bool is_failing;        // and has said so
    bool is_full, is_short; // likewise: more than can be held, and than alerts took
    ez_condemned condemned[EZ_CONDEMNED_MAX];
};

// ---- detector_findings.c

void ez_findings_fini(ez_findings *findings);
void ez_findings_clear(ez_findings *findings);
// Takes one in, where it was held before or there is room.
void ez_findings_add(ez_findings *findings, const ez_held *held, const ez_finding *finding);
// Takes all of others in, likewise, and what they had no room for.
void ez_findings_add_all(ez_findings *findings, const ez_held *held, const ez_findings *others);
// The finding of a rule and an id; NULL: none.
ez_finding *ez_findings_find(ez_findings *findings, ez_rule rule, int64_t id);

// ---- The steps, each on a reader's thread. *more: it goes on.
typedef ez_status ez_round_step(ez_detector *detector, ez_reader *reader, bool *more, ez_error *error);

// detector_window.c: numbers of the last minutes
ez_round_step ez_round_keys;
ez_round_step ez_round_take_beside; // what the next one found
// Beside them, on another reader's thread: the numbers of masters and API keys, to round.beside.
ez_status ez_round_read_beside(ez_detector *detector, ez_reader *reader, ez_error *error);
// detector_walk.c: what the directory says
ez_round_step ez_round_walk_keys;
ez_round_step ez_round_walk_api_keys;
// detector_tell.c: takes over what is open; tells what came of it
ez_round_step ez_round_adopt;
ez_round_step ez_round_tell;
// detector_planes.c: alerts of data planes that may be well
ez_round_step ez_round_planes;

// ---- detector_walk.c

// What an API key says of bans.
typedef struct ez_ban_facts {
    bool is_active, auto_ban, is_auto_banned;
    int64_t group_id, ban_until_ns, ban_ended_ns; // 0: none
} ez_ban_facts;
// Within a reading section. False: there is no such API key.
bool ez_ban_facts_read(const ez_directory *directory, int64_t id, int64_t now_ns, ez_ban_facts *out);

// ---- detector_thresholds.c

// As they are now, with defaults.
ez_status ez_thresholds_read(const ez_directory *directory, Ez__V1__AlertThresholds *out, ez_error *error);
