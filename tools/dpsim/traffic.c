// SPDX-License-Identifier: Apache-2.0
//
// Requests by chance. Usage is added up by id as a data plane would; the log has each request.
#include "tools/dpsim/traffic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"

static const char *const models[] = {"gpt-4o", "gpt-4o-mini", "claude-sonnet", "llama-70b", "embed-large"};
#define MODELS (sizeof models / sizeof models[0])

void ez_traffic_init(ez_traffic *traffic, uint64_t seed) {
    traffic->random = seed | 1;
    traffic->made = 0;
    traffic->usage_count = traffic->record_count = 0;
}

static uint64_t draw(ez_traffic *traffic, uint64_t below) {
    traffic->random ^= traffic->random << 13;
    traffic->random ^= traffic->random >> 7;
    traffic->random ^= traffic->random << 17;
    return (traffic->random >> 11) % below;
}

// A long tail: half of them below 1/16 of most.
static int64_t tail(ez_traffic *traffic, uint64_t most) {
    return (int64_t)draw(traffic, 1 + (most >> draw(traffic, 9)));
}

static int32_t status(ez_traffic *traffic) {
    uint64_t chance = draw(traffic, 1000);
    return chance < 940 ? 200 : chance < 965 ? 429 : chance < 980 ? 400 : chance < 995 ? 502 : 0;
}

static ez_usage_delta *usage_of(ez_traffic *traffic, ez_usage_of of, int64_t id) {
    for (unsigned i = 0; i < traffic->usage_count; i++) {
        if (traffic->usage[i].of == of && traffic->usage[i].id == id) {
            return &traffic->usage[i];
        }
    }
    ez_usage_delta *made = &traffic->usage[traffic->usage_count++];
    *made = (ez_usage_delta){.of = of, .id = id};
    return made;
}

static void count_client(ez_usage_delta *to, const Ez__V1__LogRecord *r) {
    to->requests++;
    to->failure += r->status_code == 0 || r->status_code >= 400;
    to->tokens_in += r->tokens_in;
    to->tokens_out += r->tokens_out;
    to->rate_limited += r->status_code == 429;
}

static void count(ez_traffic *traffic, const Ez__V1__LogRecord *r, ez_truth_step *step) {
    bool is_error = r->status_code == 0 || r->status_code >= 400;
    ez_usage_delta *key = usage_of(traffic, EZ_USAGE_OF_KEY, r->key_id);
    count_client(key, r);
    key->quota_used += r->cost_nano_usd / 1000;
    count_client(usage_of(traffic, EZ_USAGE_OF_MASTER, r->master_id), r);
    ez_usage_delta *api_key = usage_of(traffic, EZ_USAGE_OF_API_KEY, r->api_key_id);
    api_key->requests++;
    api_key->success += !is_error;
    api_key->failure += is_error;
    step->records++;
    step->errors += is_error;
    step->tokens_in += r->tokens_in;
    step->tokens_out += r->tokens_out;
    step->cost_nano_usd += r->cost_nano_usd;
}

static void make(ez_traffic *traffic, const ez_sim_held *held, int64_t plane) {
    unsigned at = traffic->record_count++;
    Ez__V1__LogRecord *r = &traffic->records[at];
    const ez_held_key *key = &held->keys[draw(traffic, held->key_count)];
    const ez_held_key *api_key = &held->api_keys[draw(traffic, held->api_key_count)];
    int64_t now = ez_clock_wall_ns();
    ez__v1__log_record__init(r);
    google__protobuf__timestamp__init(&traffic->times[at]);
    traffic->times[at].seconds = now / 1000000000;
    traffic->times[at].nanos = (int32_t)(now % 1000000000);
    snprintf(traffic->ids[at], sizeof traffic->ids[at], "sim-%" PRId64 "-%" PRIu64, plane, ++traffic->made);
    r->time = &traffic->times[at];
    r->request_id = traffic->ids[at];
    r->master_id = key->owner;
    r->key_id = key->id;
    r->group_id = api_key->owner;
    r->api_key_id = api_key->id;
    r->model = r->upstream_model = (char *)(uintptr_t)models[draw(traffic, MODELS)];
    r->status_code = status(traffic);
    r->latency_ms = 20 + tail(traffic, 60000);
    r->stream = draw(traffic, 2) == 0;
    r->client_ip = (char *)(uintptr_t) "192.0.2.7";
    r->request_bytes = 200 + tail(traffic, 100000);
    if (r->status_code == 200) {
        r->ttft_ms = r->latency_ms / 3;
        r->tokens_in = tail(traffic, 30000);
        r->tokens_out = tail(traffic, 8000);
        r->cached_tokens = r->tokens_in / 4;
        r->cost_nano_usd = r->tokens_in * 2500 + r->tokens_out * 10000;
        r->response_bytes = 4 * r->tokens_out;
    } else {
        r->error_message = (char *)(uintptr_t)(r->status_code == 429 ? "rate limit reached" : "upstream failed");
    }
}

void ez_traffic_step(ez_traffic *traffic, const ez_sim_held *held, unsigned requests, ez_truth_step *step) {
    traffic->usage_count = traffic->record_count = 0;
    for (unsigned i = 0; i < requests && i < EZ_TRAFFIC_STEP_MAX; i++) {
        make(traffic, held, step->plane);
        count(traffic, &traffic->records[i], step);
    }
    step->usage = traffic->usage;
    step->usage_count = traffic->usage_count;
}
