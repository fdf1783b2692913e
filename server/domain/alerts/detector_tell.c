// SPDX-License-Identifier: Apache-2.0
//
// The ends of a round. At the first one of a holder, what is open in the store is taken over, as if it had held until
// now. At each one's end what holds is raised, what has not for two rounds is cleared, and who is condemned is handed
// on. What the alerts would not take is told again in the next round: what holds, because it still does and is not held
// as told; what is over, because it is kept until then.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/log.h"
#include "server/domain/alerts/detector_inside.h"
#include "server/domain/alerts/detector_words.h"

#define SKEW_NS INT64_C(300000000000) // clocks of servers are no further apart

// ---- Taking over

static ez_status adopt_one(void *user, Ez__V1__AlertType type, const char *related_type, int64_t related_id,
                           ez_error *error) {
    (void)error;
    ez_detector *d = user;
    for (int rule = 0; rule < EZ_RULES; rule++)
        if (ez_rule_words_of[rule].type == type && strcmp(ez_rule_words_of[rule].related_type, related_type) == 0)
            (void)ez_held_see(&d->held, (ez_rule)rule, related_id); // beyond the bound they are an admin's to end
    return EZ_OK;
}

ez_status ez_round_adopt(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    (void)more;
    if (d->has_held && d->token == d->round.fence)
        return EZ_OK;
    ez_held_clear(&d->held);
    d->looked_ns = 0;
    d->has_held = false;
    ez_status status = EZ_OK;
    if (d->options.each_told)
        status = d->options.each_told(d->options.alerts_user, reader, d->round.now_ns - EXPIRED_BEFORE_NS - SKEW_NS,
                                      adopt_one, d, error);
    d->has_held = status == EZ_OK;
    d->token = d->round.fence;
    return status;
}

// ---- What holds

typedef struct batch {
    ez_alert_report reports[EZ_ALERTS_AT_ONCE];
    ez_finding_text texts[EZ_ALERTS_AT_ONCE];
    size_t count;
    const ez_finding *fresh[EZ_ALERTS_AT_ONCE]; // of them, what was not held before
    size_t fresh_count;
} batch;

// All of them, or none.
static bool send(ez_detector *d, batch *b) {
    bool is_taken = b->count == 0 || !d->options.raise ||
                    d->options.raise(d->options.alerts_user, b->reports, b->count, EZ_DETECTOR_NAME);
    for (size_t i = 0; i < b->fresh_count && !is_taken; i++)
        ez_held_drop(&d->held, b->fresh[i]->rule, b->fresh[i]->id);
    b->count = b->fresh_count = 0;
    return is_taken;
}

static bool is_there(const ez_detector *d, const ez_finding *finding) {
    ez_directory_enter();
    bool found = finding->rule < EZ_RULES &&
                 ez_directory_get(d->options.directory, ez_rule_words_of[finding->rule].kind, finding->id) != NULL;
    ez_directory_leave();
    return found;
}

// False: the alerts took only some.
static bool raise_all(ez_detector *d, batch *b) {
    bool is_taken = true;
    const ez_findings *findings = &d->round.findings;
    for (size_t i = 0; i < findings->count; i++) {
        const ez_finding *finding = &findings->items[i];
        bool is_known = is_there(d, finding), is_fresh = is_known && !ez_held_has(&d->held, finding->rule, finding->id);
        if (!is_known || !ez_held_see(&d->held, finding->rule, finding->id) || finding->is_told)
            continue;
        if (is_fresh)
            b->fresh[b->fresh_count++] = finding;
        ez_finding_report(finding, &d->round.thresholds, &b->texts[b->count], &b->reports[b->count]);
        if (++b->count == EZ_ALERTS_AT_ONCE)
            is_taken = send(d, b) && is_taken;
    }
    return send(d, b) && is_taken;
}

// ---- What is over

static bool clear_some(ez_detector *d, ez_rule rule, bool *more) {
    int64_t ids[EZ_ALERTS_AT_ONCE];
    ez_alert_subject subjects[EZ_ALERTS_AT_ONCE];
    size_t count = ez_held_over(&d->held, rule, ids, EZ_ALERTS_AT_ONCE);
    for (size_t i = 0; i < count; i++)
        subjects[i] = (ez_alert_subject){.type = ez_rule_words_of[rule].type,
                                         .related_type = ez_rule_words_of[rule].related_type,
                                         .related_id = ids[i],
                                         .fingerprint = ""};
    *more = count == EZ_ALERTS_AT_ONCE;
    if (count > 0 && d->options.clear && !d->options.clear(d->options.alerts_user, subjects, count, EZ_DETECTOR_NAME))
        return false;
    for (size_t i = 0; i < count; i++)
        ez_held_drop(&d->held, rule, ids[i]);
    return true;
}

static bool clear_all(ez_detector *d) {
    bool is_taken = true;
    for (int rule = 0; rule < EZ_RULES; rule++)
        for (bool more = true; more && is_taken;)
            is_taken = clear_some(d, (ez_rule)rule, &more);
    return is_taken;
}

// ---- Who is condemned

static bool is_condemned(const ez_detector *d, const ez_finding *finding) {
    ez_ban_facts facts;
    ez_directory_enter();
    bool is = finding->rule == EZ_RULE_PROVIDER_DOWN &&
              ez_ban_facts_read(d->options.directory, finding->id, d->round.now_ns, &facts) && facts.is_active &&
              facts.auto_ban;
    ez_directory_leave();
    return is;
}

static void condemn(ez_detector *d) {
    ez_condemned *condemned = d->condemned;
    const ez_findings *findings = &d->round.findings;
    size_t count = 0;
    for (size_t i = 0; i < findings->count && count < EZ_CONDEMNED_MAX; i++) {
        const ez_finding *finding = &findings->items[i];
        if (!is_condemned(d, finding))
            continue;
        condemned[count++] = (ez_condemned){.api_key_id = finding->id,
                                            .requests = finding->whole,
                                            .errors = finding->part,
                                            .window_minutes = d->round.thresholds.window_minutes,
                                            .judged_ns = d->round.now_ns};
        // A ban that an admin ends before the next round sees it leaves an alert, too.
        (void)ez_held_see(&d->held, EZ_RULE_KEY_DISABLED, finding->id);
    }
    if (count > 0 && d->options.condemned)
        d->options.condemned(d->options.condemned_user, condemned, count);
}

// ---- The end

static void say(ez_detector *d, bool is_taken) {
    bool is_full = d->round.findings.left_out > 0;
    if (is_full && !d->is_full)
        ez_log_warn("more is in trouble than the detector keeps in mind: the rest is told when others are well", "rest",
                    EZ_LOG_INT((long long)d->round.findings.left_out));
    if (!is_taken && !d->is_short)
        ez_log_warn("not all that the detector saw was taken as an alert; trying again in the next round");
    d->is_full = is_full;
    d->is_short = !is_taken;
}

ez_status ez_round_tell(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    (void)reader;
    (void)more;
    if (d->round.findings.has_failed)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for what is in trouble");
    batch *b = malloc(sizeof *b);
    if (!b)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to raise alerts");
    b->count = b->fresh_count = 0;
    ez_held_begin(&d->held);
    bool is_taken = raise_all(d, b);
    if (is_taken && !d->round.has_late)
        d->looked_ns = d->round.now_ns;
    free(b);
    ez_held_end(&d->held);
    is_taken = clear_all(d) && is_taken;
    condemn(d);
    say(d, is_taken);
    return EZ_OK;
}
