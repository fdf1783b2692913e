// SPDX-License-Identifier: Apache-2.0
//
// Numbers of the window, from rollups: of keys and API keys what is new since the last round (detector_minutes.h), or
// all of it where there is no room to keep what was. A record counts by its own time: one that comes late, as long as
// it is of the window, counts in the next round; one of before it does not make trouble of now.
//
// The awkward case: an API key whose ban has just ended. What failed before the ban must not condemn it again, so it is
// asked for anew, from the first whole minute after its ban on.
#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "server/domain/alerts/detector_inside.h"

#define NS_PER_S     INT64_C(1000000000)
#define PROBED_MAX   256  // API keys whose ban ended within the window that are judged in one round
#define REALTIME_MAX 4096 // the busiest masters whose live numbers are looked at

typedef bool judge_fn(const Ez__V1__AlertThresholds *thresholds, int64_t id, const ez_rule_numbers *numbers,
                      ez_finding *out);

// Numbers of one kind, by whom they are judged, and where it goes.
typedef struct reading {
    ez_detector *detector;
    ez_stats_by by;
    int64_t least_requests; // 0: masters', whose 429s are wanted
    judge_fn *judge;
    ez_findings *findings;
} reading;

static void judge(const reading *it, int64_t id, const ez_rule_numbers *numbers) {
    ez_detector *d = it->detector;
    ez_finding finding;
    if (id > 0 && it->judge(&d->round.thresholds, id, numbers, &finding))
        ez_findings_add(it->findings, &d->held, &finding);
}

static ez_status take(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ez_rule_numbers numbers = {row->sums.requests, row->sums.errors, row->sums.rate_limited};
    judge(user, row->id, &numbers);
    return EZ_OK;
}

static ez_stats_query window_of(const ez_detector *d, ez_stats_by by, int sums) {
    ez_stats_query query = {.by = by, .first_sums = sums};
    ez_rule_window(&d->round.thresholds, d->round.now_ns / NS_PER_S, &query.since_s, &query.until_s);
    return query;
}

static void take_sums(void *user, int64_t id, const ez_rule_numbers *numbers) {
    judge(user, id, numbers);
}

static ez_status read_minutes(reading *it, ez_reader *reader, ez_error *error) {
    ez_detector *d = it->detector;
    ez_minutes_ask ask = {.by = it->by, .least_requests = it->least_requests, .least_errors = 1};
    ez_rule_window(&d->round.thresholds, d->round.now_ns / NS_PER_S, &ask.since_s, &ask.until_s);
    return ez_minutes_each(it->by == EZ_STATS_KEY ? &d->keys : &d->api_keys, reader, &ask, take_sums, it, error);
}

static ez_status read_whole(reading *it, ez_reader *reader, ez_error *error) {
    ez_stats_query query = window_of(it->detector, it->by, it->least_requests ? 2 : 3);
    query.least_requests = it->least_requests;
    query.least_errors = 1;
    return ez_reader_each_stat(reader, &query, take, it, error);
}

static ez_status read_window(reading *it, ez_reader *reader, ez_error *error) {
    ez_status status = read_minutes(it, reader, error);
    if (status != EZ_RESOURCE_EXHAUSTED)
        return status;
    ez_error_clear(error);
    return read_whole(it, reader, error);
}

// ---- Masters

// Not every data plane logs what it refuses; all count it.
static void add_realtime(ez_detector *d) {
    ez_realtime_view *views = d->options.realtime ? malloc(REALTIME_MAX * sizeof *views) : NULL;
    if (!views)
        return;
    size_t count = ez_realtime_busiest(d->options.realtime, ez_clock_mono_ms() / 1000, views, REALTIME_MAX);
    ez_findings *findings = &d->round.beside.findings;
    reading it = {.detector = d, .judge = ez_rule_rate_limit, .findings = findings};
    for (size_t i = 0; i < count; i++) {
        ez_rule_numbers numbers = {.requests = views[i].sums.requests, .rate_limited = views[i].sums.rate_limited};
        if (numbers.rate_limited > 0 && !ez_findings_find(findings, EZ_RULE_RATE_LIMIT, views[i].master_id))
            judge(&it, views[i].master_id, &numbers);
    }
    free(views);
}

static ez_status read_masters(ez_detector *d, ez_reader *reader, ez_error *error) {
    if (!ez_rule_is_on(EZ_RULE_RATE_LIMIT, &d->round.thresholds))
        return EZ_OK;
    reading it = {d, EZ_STATS_MASTER, 0, ez_rule_rate_limit, &d->round.beside.findings};
    ez_status status = read_whole(&it, reader, error);
    if (status == EZ_OK)
        add_realtime(d);
    return status;
}

// ---- API keys

static ez_status add_up(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ez_rule_numbers *numbers = user;
    numbers->requests += row->sums.requests;
    numbers->errors += row->sums.errors;
    return EZ_OK;
}

// Judges one again by what came after its ban. Where it is well, its rule is put to EZ_RULES: not there.
static ez_status judge_again(ez_detector *d, ez_reader *reader, const ez_ban_facts *facts, ez_finding *finding,
                             ez_error *error) {
    ez_stats_query query = window_of(d, EZ_STATS_TOTAL, 0);
    query.since_s = ez_rule_minute_after(facts->ban_ended_ns);
    query.group_id = facts->group_id;
    query.api_key_id = finding->id;
    ez_rule_numbers numbers = {0};
    ez_status status =
        query.since_s < query.until_s ? ez_reader_each_stat(reader, &query, add_up, &numbers, error) : EZ_OK;
    if (status == EZ_OK && !ez_rule_provider_down(&d->round.thresholds, finding->id, &numbers, finding))
        finding->rule = EZ_RULES;
    return status;
}

// Whether its ban ended within the window.
static bool is_probed(const ez_detector *d, const ez_finding *finding, int64_t since_s, ez_ban_facts *facts) {
    if (finding->rule != EZ_RULE_PROVIDER_DOWN)
        return false;
    ez_directory_enter();
    bool is_there = ez_ban_facts_read(d->options.directory, finding->id, d->round.now_ns, facts);
    ez_directory_leave();
    return is_there && facts->ban_ended_ns > since_s * NS_PER_S;
}

static ez_status look_at_probed(ez_detector *d, ez_reader *reader, ez_error *error) {
    int64_t since_s = window_of(d, EZ_STATS_API_KEY, 0).since_s;
    ez_status status = EZ_OK;
    size_t probed = 0;
    for (size_t i = 0; status == EZ_OK && i < d->round.findings.count; i++) {
        ez_finding *finding = &d->round.findings.items[i];
        ez_ban_facts facts;
        if (!is_probed(d, finding, since_s, &facts))
            continue;
        if (probed++ < PROBED_MAX)
            status = judge_again(d, reader, &facts, finding, error);
        else
            finding->rule = EZ_RULES; // the next round may have time for it
    }
    return status;
}

static ez_status read_api_keys(ez_detector *d, ez_reader *reader, ez_error *error) {
    const Ez__V1__AlertThresholds *thresholds = &d->round.thresholds;
    if (!ez_rule_is_on(EZ_RULE_PROVIDER_DOWN, thresholds))
        return EZ_OK;
    reading it = {d, EZ_STATS_API_KEY, thresholds->provider_down_requests, ez_rule_provider_down,
                  &d->round.beside.findings};
    return read_window(&it, reader, error);
}

ez_status ez_round_read_beside(ez_detector *d, ez_reader *reader, ez_error *error) {
    ez_status status = read_masters(d, reader, error);
    return status ? status : read_api_keys(d, reader, error);
}

ez_status ez_round_take_beside(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    (void)more;
    const ez_beside *beside = &d->round.beside;
    if (beside->status != EZ_OK) {
        (void)ez_error_copy(error, &beside->error);
        return beside->status;
    }
    ez_findings_add_all(&d->round.findings, &d->held, &beside->findings);
    return look_at_probed(d, reader, error);
}

// ---- Keys

ez_status ez_round_keys(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    (void)more;
    const Ez__V1__AlertThresholds *thresholds = &d->round.thresholds;
    if (!ez_rule_is_on(EZ_RULE_ERROR_SPIKE, thresholds))
        return EZ_OK;
    reading it = {d, EZ_STATS_KEY, thresholds->error_spike_requests, ez_rule_error_spike, &d->round.findings};
    return read_window(&it, reader, error);
}
