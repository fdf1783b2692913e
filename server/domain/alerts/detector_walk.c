// SPDX-License-Identifier: Apache-2.0
//
// A walk over packed bytes of keys and API keys, some at a time, so that no reading section is long: what is used of a
// quota, what has expired since the last round, what auto-ban took out of service. An expiry is told once, when it
// passes; after that it is only looked whether it still holds.
#include "proto/runtime/wire.h"
#include "server/domain/alerts/detector_inside.h"
#include "server/state/directory/stamp.h"
#include "server/state/metering/quota.h"

#define STEP 20000 // resources looked at between two queries of others

#define KIND_KEY      EZ__V1__KIND__KIND_KEY
#define KIND_API_KEY  EZ__V1__KIND__KIND_API_KEY
#define KEY_ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define KEY_EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED
#define ACTIVE        EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define BANNED        EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED
#define WARNING       EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING
#define INFO          EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_INFO

// Numbers of fields in key.proto and api_key.proto.
enum { K_EXPIRES = 13, K_LIMIT = 17, K_USED = 18, K_STATUS = 21, K_CARRIED = 31 };
enum {
    A_GROUP = 2,
    A_EXPIRES = 8,
    A_STATUS = 13,
    A_AUTO_BAN = 14,
    A_BAN_UNTIL = 16,
    A_HAS_REFRESH = 25,
    A_IS_AUTO_BANNED = 31,
    A_BAN_ENDED = 32
};

// ---- What both have

// Whether it expired in this round's time, or did before and was told.
static void judge_expiry(ez_detector *d, ez_rule rule, Ez__V1__AlertSeverity severity, int64_t id, int64_t expires_ns) {
    ez_round *round = &d->round;
    int64_t since_ns = d->looked_ns ? d->looked_ns : round->now_ns - EXPIRED_BEFORE_NS;
    bool is_held = ez_held_has(&d->held, rule, id);
    if (!ez_rule_is_on(rule, &round->thresholds) || expires_ns > round->now_ns || (expires_ns <= since_ns && !is_held))
        return;
    ez_finding finding = {.rule = rule, .severity = severity, .id = id, .is_told = is_held, .time_ns = expires_ns};
    size_t left_out = round->findings.left_out;
    ez_findings_add(&round->findings, &d->held, &finding);
    round->has_late = round->has_late || round->findings.left_out > left_out;
}

typedef void look_fn(ez_detector *detector, const ez_entry *entry);

// Looks at some. *more: there are others.
static void walk(ez_detector *d, int kind, look_fn *look, bool *more) {
    const ez_entry *entry = NULL;
    ez_directory_enter();
    for (int i = 0; i < STEP; i++) {
        entry = ez_directory_next(d->options.directory, kind, d->round.after, false);
        if (!entry)
            break;
        d->round.after = ez_entry_id(entry);
        look(d, entry);
    }
    ez_directory_leave();
    *more = entry != NULL;
    if (!*more)
        d->round.after = 0;
}

// ---- Keys

static void look_at_key(ez_detector *d, const ez_entry *entry) {
    int64_t expires_ns = INT64_MAX, limit = -1, kept = 0, carried = 0;
    int status = 0;
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field) && field.number <= K_CARRIED;) {
        if (field.number == K_EXPIRES)
            expires_ns = ez_stamp_read(field.bytes);
        else if (field.number == K_LIMIT)
            limit = (int64_t)field.varint;
        else if (field.number == K_USED)
            kept = (int64_t)field.varint;
        else if (field.number == K_STATUS)
            status = (int)field.varint;
        else if (field.number == K_CARRIED)
            carried = (int64_t)field.varint;
    }
    int64_t id = ez_entry_id(entry);
    if (status == KEY_ACTIVE)
        judge_expiry(d, EZ_RULE_KEY_EXPIRED, INFO, id, expires_ns);
    bool is_of_use = (status == KEY_ACTIVE || status == KEY_EXHAUSTED) && expires_ns > d->round.now_ns;
    ez_finding finding;
    if (is_of_use && limit > 0 &&
        ez_rule_quota(&d->round.thresholds, id, ez_quota_used(d->options.counters, id, kept, carried), limit, &finding))
        ez_findings_add(&d->round.findings, &d->held, &finding);
}

ez_status ez_round_walk_keys(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    (void)reader;
    (void)error;
    walk(d, KIND_KEY, look_at_key, more);
    return EZ_OK;
}

// ---- API keys

typedef struct api_key_facts {
    ez_ban_facts ban;
    int status;
    int64_t expires_ns;
    bool has_refresh;
} api_key_facts;

static void read_facts(const ez_entry *entry, int64_t now_ns, api_key_facts *out) {
    *out = (api_key_facts){.ban = {.auto_ban = true}, .expires_ns = INT64_MAX};
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field);) {
        if (field.number == A_GROUP)
            out->ban.group_id = (int64_t)field.varint;
        else if (field.number == A_EXPIRES)
            out->expires_ns = ez_stamp_read(field.bytes);
        else if (field.number == A_STATUS)
            out->status = (int)field.varint;
        else if (field.number == A_AUTO_BAN)
            out->ban.auto_ban = field.varint != 0;
        else if (field.number == A_BAN_UNTIL)
            out->ban.ban_until_ns = ez_stamp_read(field.bytes);
        else if (field.number == A_HAS_REFRESH)
            out->has_refresh = field.varint != 0;
        else if (field.number == A_IS_AUTO_BANNED)
            out->ban.is_auto_banned = field.varint != 0;
        else if (field.number == A_BAN_ENDED)
            out->ban.ban_ended_ns = ez_stamp_read(field.bytes);
    }
    bool is_over = out->ban.ban_until_ns && out->ban.ban_until_ns <= now_ns;
    out->ban.is_auto_banned = out->ban.is_auto_banned && out->status == BANNED && !is_over;
    out->ban.is_active = out->status == ACTIVE && (out->expires_ns > now_ns || out->has_refresh);
}

bool ez_ban_facts_read(const ez_directory *directory, int64_t id, int64_t now_ns, ez_ban_facts *out) {
    const ez_entry *entry = ez_directory_get(directory, KIND_API_KEY, id);
    api_key_facts facts;
    if (!entry)
        return false;
    read_facts(entry, now_ns, &facts);
    *out = facts.ban;
    return true;
}

static void look_at_api_key(ez_detector *d, const ez_entry *entry) {
    api_key_facts facts;
    read_facts(entry, d->round.now_ns, &facts);
    int64_t id = ez_entry_id(entry);
    if (facts.status == ACTIVE && !facts.has_refresh)
        judge_expiry(d, EZ_RULE_API_KEY_EXPIRED, WARNING, id, facts.expires_ns);
    if (!facts.ban.is_auto_banned)
        return;
    ez_finding finding = {
        .rule = EZ_RULE_KEY_DISABLED, .severity = WARNING, .id = id, .time_ns = facts.ban.ban_until_ns};
    ez_findings_add(&d->round.findings, &d->held, &finding);
}

ez_status ez_round_walk_api_keys(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    (void)reader;
    (void)error;
    walk(d, KIND_API_KEY, look_at_api_key, more);
    return EZ_OK;
}
