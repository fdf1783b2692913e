// SPDX-License-Identifier: Apache-2.0
//
// bench_oauth: what token refresh costs beside the calls. One line of JSON: planning KEYS API keys from their packed
// form, as at a start; then one hour's scans, in which DUE of them come due and are planned again.
//
//   bench_oauth KEYS DUE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/api_key.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/oauth/facts.h"
#include "server/domain/oauth/schedule.h"

#define S      1000000000ll
#define SCANS  60 // in an hour
#define MINUTE (60 * S)

static double ms_since(uint64_t began_ns) {
    return (double)(ez_clock_mono_ns() - began_ns) / 1e6;
}

// An API key whose access token ends so many seconds from 0.
static size_t pack(int64_t id, int64_t ends_s, uint8_t out[512]) {
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    Google__Protobuf__Timestamp end = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    end.seconds = ends_s;
    key.id = id;
    key.group_id = 1;
    key.name = (char *)(uintptr_t) "somebody@example.org";
    key.expires_at = &end;
    key.has_access_token = key.has_refresh_token = true;
    key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    return ez__v1__api_key__pack(&key, out);
}

static void plan(ez_oauth_schedule *schedule, int64_t id, int64_t ends_s) {
    uint8_t packed[512];
    ez_oauth_facts facts = ez_oauth_read_facts((ez_slice){packed, pack(id, ends_s, packed)});
    ez_oauth_slot *slot = ez_oauth_schedule_put(schedule, id, 0);
    if (!slot)
        abort();
    ez_oauth_schedule_move(schedule, slot, ez_oauth_due_ns(&facts, id, 600));
}

int main(int argc, char **argv) {
    long keys = argc > 1 ? atol(argv[1]) : 1000000, due = argc > 2 ? atol(argv[2]) : 10000, taken = 0;
    double worst = 0, total = 0;
    ez_oauth_schedule schedule;
    ez_oauth_schedule_init(&schedule);
    uint64_t began = ez_clock_mono_ns();
    for (long id = 1; id <= keys; id++) // those that are due spread over the hour, the others are for later
        plan(&schedule, id, id <= due ? 700 + id * 3600 / due : 1000000 + id);
    double planning = ms_since(began);
    for (int64_t scan = 1; scan <= SCANS; scan++) {
        began = ez_clock_mono_ns();
        size_t count = ez_oauth_schedule_due(&schedule, 0, scan * MINUTE);
        for (ez_oauth_slot *slot; (slot = ez_oauth_schedule_first(&schedule, 0))->due_ns <= scan * MINUTE; taken++)
            plan(&schedule, slot->id, 10000000 + slot->id);
        double took = ms_since(began);
        total += took + (double)(count == SIZE_MAX);
        worst = took > worst ? took : worst;
    }
    printf("{\"keys\": %ld, \"planning_ms\": %.1f, \"taken\": %ld, \"scan_worst_ms\": %.3f, \"scan_mean_ms\": %.3f}\n",
           keys, planning, taken, worst, total / SCANS);
    ez_oauth_schedule_fini(&schedule);
    return taken > due - due / 10 ? 0 : 1; // the last ones of the hour are due in the next
}
