// SPDX-License-Identifier: Apache-2.0
//
// A detector over a whole state on a real store, with rollups of records that a test adds, and what it raised, cleared
// and condemned in its last round. Time passes when a test says so.
#pragma once

#include "ez/v1/alert_threshold.pb-c.h"
#include "ez/v1/api_key.pb-c.h"
#include "server/domain/alerts/detector.h"
#include "tests/unit/directory/given.h"

#define SCENE_MAX 12000

typedef struct told {
    Ez__V1__AlertType type;
    Ez__V1__AlertSeverity severity;
    char related_type[16];
    int64_t related_id;
    char message[700];
    char metadata[400];
} told;

typedef struct scene {
    whole_state state;
    ez_counters *counters;
    ez_realtime *realtime;
    ez_detector *detector;
    // Of the last round.
    told *raised;
    size_t raised_count;
    told *cleared;
    size_t cleared_count;
    ez_condemned condemned[EZ_CONDEMNED_MAX];
    size_t condemned_count;
    int64_t looked[8]; // data planes that were to be looked at again
    size_t looked_count;
    // What the alerts do.
    bool refuses_raises, refuses_clears;
    told open[8]; // what each_told gives
    size_t open_count;
    bool is_open_failing;
    int open_asked;
    // The lease.
    bool is_holder;
    uint64_t token;
} scene;

scene *given_scene(void);
void end_scene(scene *s);
// Another detector, as a server that starts has it.
void restart_detector(scene *s);

// One that a change puts, as it is; its id.
int64_t put(scene *s, int kind, ProtobufCMessage *message);
int64_t given_a_key(scene *s, int64_t quota_limit, int64_t expires_ns);
int64_t given_an_api_key(scene *s);
void change_api_key(scene *s, const Ez__V1__ApiKey *to);
void drop(scene *s, int kind, int64_t id);
void set_thresholds(scene *s, const Ez__V1__AlertThresholds *thresholds);

// Records of so many seconds ago; of them, the first ones failed with this status.
typedef struct requests {
    int64_t master_id, key_id, group_id, api_key_id;
    int count, errors;
    int status; // of those that failed
    int64_t ago_s;
    int api_keys; // so many, from api_key_id on, each with count; 0: one
} requests;
void add_requests(scene *s, const requests *of);
void pass_time(int64_t seconds);
int64_t scene_now_ns(void);

// An alert in the store, seen just now.
void given_alert(scene *s, Ez__V1__AlertType type, const char *related_type, int64_t id, bool is_closed);

// A round, from its beginning to its end.
void run_round(scene *s);
// What the last round did about something; NULL: nothing.
const told *was_raised(const scene *s, Ez__V1__AlertType type, const char *related_type, int64_t id);
bool was_cleared(const scene *s, Ez__V1__AlertType type, const char *related_type, int64_t id);
