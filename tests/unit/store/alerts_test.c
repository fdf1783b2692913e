// SPDX-License-Identifier: Apache-2.0
//
// Alerts, on each store: who holds a fingerprint, what is told, what is counted and audited, and pages of them beside
// what a plain loop finds.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/store/alerts.h"
#include "server/state/store/audit_hash.h"
#include "tests/unit/store/fixture.h"

#define SECOND   INT64_C(1000000000)
#define COOLDOWN (300 * SECOND)
#define START    (INT64_C(1700000000) * SECOND)

enum { RATE_LIMIT = 1, QUOTA = 3, CUSTOM = 11, INFO = 1, WARNING = 2, CRITICAL = 3 };

static ez_arena arena;
static ez_alert_rules rules;
static int64_t now;

static void setup(void) {
    given_store();
    ez_arena_init(&arena, 64u << 20);
    rules = (ez_alert_rules){.cooldown_ns = COOLDOWN};
    now = START;
}

static void teardown(void) {
    ez_arena_fini(&arena);
    drop_store();
}

TestSuite(store_alerts, .init = setup, .fini = teardown);

static ez_alert_op report(const char *fingerprint, int32_t severity) {
    return (ez_alert_op){.act = EZ_ALERT_REPORT,
                         .request = "{}",
                         .row = {.type = QUOTA,
                                 .severity = severity,
                                 .title = "Quota nearly used up",
                                 .message = "93 %",
                                 .related_type = "key",
                                 .related_id = 7,
                                 .related_name = "Build",
                                 .fingerprint = fingerprint,
                                 .metadata = ""}};
}

static ez_alert_op on_id(ez_alert_act act, int64_t id, int32_t to, const char *note) {
    return (ez_alert_op){.act = act,
                         .to = to,
                         .by = "admin:1:first",
                         .note = note,
                         .request = "{}",
                         .wants_row = true,
                         .row = {.id = id, .fingerprint = ""}};
}

static ez_alert_batch batch_of(ez_alert_op *ops, size_t count) {
    return (ez_alert_batch){.ops = ops,
                            .op_count = count,
                            .actor = "data-plane:1:edge",
                            .method = "ez.v1.Alerts/Report",
                            .request_id = "r-1",
                            .remote = "127.0.0.1",
                            .arena = &arena};
}

static void expect_change(ez_alert_batch *batches, size_t count) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_change_alerts(store, batches, count, &rules, now, &error), EZ_OK, "%s", error.message);
}

// Runs one op and returns it with its results.
static ez_alert_op run(ez_alert_op op) {
    ez_alert_batch batch = batch_of(&op, 1);
    expect_change(&batch, 1);
    return op;
}

typedef struct found {
    int64_t id;
    ez_alert_row row;
    bool is_there;
} found;

static ez_status keep(void *user, const ez_alert_row *row, ez_error *error) {
    (void)error;
    found *it = user;
    it->is_there = ez_alert_row_copy(row, &arena, &it->row);
    return EZ_OK;
}

static void find_it(ez_reader *reader, void *user) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_find_alert(reader, ((found *)user)->id, keep, user, &error), EZ_OK, "%s", error.message);
}

static ez_alert_row alert(int64_t id) {
    found it = {.id = id};
    on_reader(store, find_it, &it);
    cr_assert(it.is_there, "no alert %lld", (long long)id);
    return it.row;
}

static void count_all(ez_reader *reader, void *user) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_count_alerts(reader, user, &error), EZ_OK, "%s", error.message);
}

// The counts that are kept are those of the rows.
static void expect_true_counts(void) {
    ez_alert_counts counts;
    on_reader(store, count_all, &counts);
    int64_t total = 0;
    for (int s = 1; s < EZ_ALERT_STATUSES; s++)
        for (int v = 1; v < EZ_ALERT_SEVERITIES; v++)
            for (int t = 1; t < EZ_ALERT_TYPES; t++) {
                char text[160];
                snprintf(text, sizeof text,
                         "SELECT count(*) FROM alerts WHERE status = %d AND severity = %d AND type = %d", s, v, t);
                if (counts.n[s][v][t])
                    cr_assert_eq(number_of(&at, text), counts.n[s][v][t], "%d %d %d", s, v, t);
                total += counts.n[s][v][t];
            }
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), total);
    cr_assert_eq(number_of(&at, "SELECT total FROM alert_head"), total);
}

// ---- Reports

Test(store_alerts, the_first_report_makes_an_alert_and_those_after_it_count) {
    ez_alert_op first = run(report("f", WARNING));
    cr_assert_eq(first.news, EZ_ALERT_CREATED);
    cr_assert_str_eq(first.after.title, "Quota nearly used up");
    now += SECOND;
    ez_alert_op second = run(report("f", WARNING));
    cr_assert_eq(second.news, EZ_ALERT_NO_NEWS);
    cr_assert_eq(second.after.id, first.after.id);
    ez_alert_row row = alert(first.after.id);
    cr_assert_eq(row.count, 2);
    cr_assert_eq(row.status, EZ_ALERT_ACTIVE);
    cr_assert_eq(row.first_seen_ns, START);
    cr_assert_eq(row.last_seen_ns, START + SECOND);
    cr_assert_str_eq(row.related_name, "Build");
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM audit"), 1);
    expect_true_counts();
}

Test(store_alerts, reports_that_wait_together_are_merged) {
    static ez_alert_op ops[40][25];
    ez_alert_batch batches[40];
    static char names[10][8];
    for (int i = 0; i < 10; i++)
        snprintf(names[i], sizeof names[i], "f%d", i);
    for (int b = 0; b < 40; b++) {
        for (int i = 0; i < 25; i++)
            ops[b][i] = report(names[(b + i) % 10], WARNING);
        batches[b] = batch_of(ops[b], 25);
    }
    expect_change(batches, 40);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 10);
    cr_assert_eq(number_of(&at, "SELECT min(count) FROM alerts"), 100);
    cr_assert_eq(number_of(&at, "SELECT max(count) FROM alerts"), 100);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM audit"), 10);
    int told = 0;
    for (int b = 0; b < 40; b++)
        for (int i = 0; i < 25; i++) {
            told += ops[b][i].news == EZ_ALERT_CREATED;
            cr_assert_gt(ops[b][i].after.id, 0);
        }
    cr_assert_eq(told, 10);
    expect_true_counts();
}

Test(store_alerts, an_open_alert_is_told_of_again_after_the_cooldown_and_where_it_gets_worse) {
    int64_t id = run(report("f", WARNING)).after.id;
    now += COOLDOWN;
    cr_assert_eq(run(report("f", WARNING)).news, EZ_ALERT_NO_NEWS, "just within it");
    now += COOLDOWN + 1;
    ez_alert_op late = report("f", INFO);
    late.row.title = "Still";
    late = run(late);
    cr_assert_eq(late.news, EZ_ALERT_REPEATED);
    cr_assert_eq(late.after.id, id);
    cr_assert_str_eq(late.after.title, "Still");
    cr_assert_eq(late.after.severity, WARNING, "the highest so far");
    now += 1;
    ez_alert_op worse = run(report("f", CRITICAL));
    cr_assert_eq(worse.news, EZ_ALERT_REPEATED);
    cr_assert_eq(worse.after.severity, CRITICAL);
    cr_assert_eq(run(report("f", CRITICAL)).news, EZ_ALERT_NO_NEWS);
    cr_assert_eq(alert(id).count, 5);
    expect_true_counts();
}

Test(store_alerts, a_resolved_trouble_that_comes_back_is_a_new_alert) {
    int64_t id = run(report("f", WARNING)).after.id;
    ez_alert_op moved = run(on_id(EZ_ALERT_MOVE, id, EZ_ALERT_RESOLVED, "done"));
    cr_assert_eq(moved.news, EZ_ALERT_MOVED);
    cr_assert_str_eq(moved.after.resolved_by, "admin:1:first");
    ez_alert_op again = run(report("f", WARNING));
    cr_assert_eq(again.news, EZ_ALERT_CREATED);
    cr_assert_neq(again.after.id, id);
    cr_assert_str_eq(alert(id).note, "done");
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts WHERE holds = 1"), 1);
    expect_true_counts();
}

Test(store_alerts, a_dismissed_one_stays_quiet_while_it_is_reported_without_a_pause) {
    int64_t id = run(report("f", WARNING)).after.id;
    run(on_id(EZ_ALERT_MOVE, id, EZ_ALERT_DISMISSED, NULL));
    for (int i = 0; i < 5; i++) {
        now += COOLDOWN;
        ez_alert_op op = run(report("f", CRITICAL));
        cr_assert_eq(op.news, EZ_ALERT_NO_NEWS);
        cr_assert_eq(op.after.id, id);
    }
    cr_assert_eq(alert(id).count, 6);
    now += COOLDOWN + 1;
    ez_alert_op later = run(report("f", WARNING));
    cr_assert_eq(later.news, EZ_ALERT_CREATED);
    cr_assert_neq(later.after.id, id);
    expect_true_counts();
}

Test(store_alerts, what_clears_resolves_the_open_one_and_ends_the_silence_of_a_dismissed_one) {
    int64_t id = run(report("f", WARNING)).after.id;
    ez_alert_op clear = {
        .act = EZ_ALERT_CLEAR, .by = "detector", .request = "{}", .wants_row = true, .row.fingerprint = "f"};
    ez_alert_op cleared = run(clear);
    cr_assert_eq(cleared.news, EZ_ALERT_MOVED);
    cr_assert_eq(cleared.after.status, EZ_ALERT_RESOLVED);
    cr_assert_str_eq(alert(id).resolved_by, "detector");
    cr_assert_eq(run(clear).outcome, EZ_ALERT_NOT_FOUND);
    int64_t second = run(report("f", WARNING)).after.id;
    run(on_id(EZ_ALERT_MOVE, second, EZ_ALERT_DISMISSED, NULL));
    cr_assert_eq(run(clear).news, EZ_ALERT_NO_NEWS);
    cr_assert_eq(alert(second).status, EZ_ALERT_DISMISSED);
    cr_assert_eq(run(report("f", WARNING)).news, EZ_ALERT_CREATED);
}

Test(store_alerts, a_clear_comes_behind_what_was_reported_before_it) {
    ez_alert_op ops[] = {report("f", WARNING),
                         {.act = EZ_ALERT_CLEAR, .by = "detector", .request = "{}", .row.fingerprint = "f"},
                         report("f", WARNING)};
    ez_alert_batch batch = batch_of(ops, 3);
    expect_change(&batch, 1);
    cr_assert_eq(ops[0].news, EZ_ALERT_CREATED);
    cr_assert_eq(ops[1].news, EZ_ALERT_MOVED);
    cr_assert_eq(ops[2].news, EZ_ALERT_CREATED);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 2);
    expect_true_counts();
}

// ---- Transitions

Test(store_alerts, statuses_move_one_way_only) {
    for (int32_t from = 1; from < EZ_ALERT_STATUSES; from++) {
        for (int32_t to = 1; to < EZ_ALERT_STATUSES; to++) {
            char name[16];
            snprintf(name, sizeof name, "%d>%d", from, to);
            int64_t id = run(report(name, WARNING)).after.id;
            if (from != EZ_ALERT_ACTIVE)
                cr_assert_eq(run(on_id(EZ_ALERT_MOVE, id, from, NULL)).outcome, EZ_ALERT_DONE);
            ez_alert_op op = run(on_id(EZ_ALERT_MOVE, id, to, NULL));
            bool may = to > from && from <= EZ_ALERT_ACKNOWLEDGED;
            cr_assert_eq(ez_alert_may_move(from, to), may);
            cr_assert_eq(op.outcome, may ? EZ_ALERT_DONE : EZ_ALERT_WRONG_STATUS, "%s", name);
            cr_assert_eq(alert(id).status, may ? to : from, "%s", name);
        }
    }
    expect_true_counts();
}

Test(store_alerts, notes_deletions_and_what_is_not_there) {
    int64_t id = run(report("f", WARNING)).after.id;
    cr_assert_str_eq(run(on_id(EZ_ALERT_NOTE, id, 0, "seen")).after.note, "seen");
    cr_assert_str_eq(run(on_id(EZ_ALERT_MOVE, id, EZ_ALERT_ACKNOWLEDGED, NULL)).after.note, "seen");
    cr_assert_eq(run(on_id(EZ_ALERT_NOTE, id + 1, 0, "x")).outcome, EZ_ALERT_NOT_FOUND);
    ez_alert_op gone = run(on_id(EZ_ALERT_DELETE, id, 0, NULL));
    cr_assert(gone.outcome == EZ_ALERT_DONE && gone.news == EZ_ALERT_GONE && gone.has_row);
    cr_assert_str_eq(gone.after.fingerprint, "f");
    cr_assert_eq(run(on_id(EZ_ALERT_DELETE, id, 0, NULL)).outcome, EZ_ALERT_NOT_FOUND);
    cr_assert_eq(run(report("f", WARNING)).after.id, id + 1, "ids are never given twice");
    run(on_id(EZ_ALERT_MOVE, id + 1, EZ_ALERT_RESOLVED, NULL));
    cr_assert_eq(run(on_id(EZ_ALERT_DELETE, id + 1, 0, NULL)).news, EZ_ALERT_NO_NEWS, "it was over");
    expect_true_counts();
}

// ---- Marks

Test(store_alerts, a_marked_batch_counts_once) {
    for (int i = 0; i < 3; i++) {
        ez_alert_op op = report("f", WARNING);
        ez_alert_batch batch = batch_of(&op, 1);
        batch.mark = (ez_mark){.data_plane_id = 1, .epoch = 5, .sequence = 1};
        expect_change(&batch, 1);
        cr_assert_eq(batch.mark.outcome, i ? EZ_MARK_REPEATED : EZ_MARK_TAKEN);
    }
    cr_assert_eq(number_of(&at, "SELECT count FROM alerts"), 1);
    ez_alert_op op = report("f", WARNING);
    ez_alert_batch gap = batch_of(&op, 1);
    gap.mark = (ez_mark){.data_plane_id = 1, .epoch = 5, .sequence = 3};
    expect_change(&gap, 1);
    cr_assert_eq(gap.mark.outcome, EZ_MARK_GAP);
    cr_assert_eq(number_of(&at, "SELECT count FROM alerts"), 1);
}

Test(store_alerts, what_failed_may_be_asked_again_under_its_key) {
    ez_mark key = {.data_plane_id = 1, .epoch = 9, .sequence = 1, .is_key = true};
    ez_alert_op op = on_id(EZ_ALERT_MOVE, 1, EZ_ALERT_RESOLVED, NULL);
    ez_alert_batch batch = batch_of(&op, 1);
    batch.mark = key;
    expect_change(&batch, 1);
    cr_assert_eq(op.outcome, EZ_ALERT_NOT_FOUND);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM marks"), 0);
    run(report("f", WARNING));
    for (int i = 0; i < 2; i++) {
        op = on_id(EZ_ALERT_MOVE, 1, EZ_ALERT_RESOLVED, NULL);
        batch.mark = key;
        expect_change(&batch, 1);
        cr_assert_eq(op.outcome, EZ_ALERT_DONE);
        cr_assert(op.has_row);
        cr_assert_eq(op.after.status, EZ_ALERT_RESOLVED);
    }
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM audit"), 2);
}

// ---- The audit chain

typedef struct chain {
    ez_store_audit newer;
    int count;
} chain;

static ez_status check_link(void *user, const ez_store_audit *entry, ez_error *error) {
    (void)error;
    chain *it = user;
    uint8_t hash[EZ_SHA256_LEN];
    ez_audit_hash(entry, hash);
    cr_assert_arr_eq(hash, entry->hash, EZ_SHA256_LEN);
    if (it->count++)
        cr_assert_arr_eq(it->newer.previous_hash, entry->hash, EZ_SHA256_LEN);
    memcpy(it->newer.previous_hash, entry->previous_hash, EZ_SHA256_LEN);
    return EZ_OK;
}

static void walk_chain(ez_reader *reader, void *user) {
    ez_audit_filter filter = {.limit = 1000};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_each_audit(reader, &filter, check_link, user, &error), EZ_OK, "%s", error.message);
}

Test(store_alerts, alerts_and_changes_are_one_chain) {
    ez_store_head head = head_of(store);
    for (int i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        run(report(name, WARNING));
        group one; // built on a head that knows nothing of the alert
        group_start(&one, &head);
        group_put(&one, KIND_MASTER, i + 1, "m");
        group_audit(&one, "admin:1:first", "ez.v1.Masters/Create", "master:1");
        expect_commit(store, &one);
        head.n = one.group.to;
    }
    chain it = {0};
    on_reader(store, walk_chain, &it);
    cr_assert_eq(it.count, 12);
    cr_assert_eq(head_of(store).next_audit_id, 13);
}

// ---- Bounds

Test(store_alerts, a_batch_that_would_make_too_many_makes_none) {
    rules.max_alerts = 3;
    ez_alert_op ops[] = {report("a", WARNING), report("b", WARNING)};
    ez_alert_batch batch = batch_of(ops, 2);
    expect_change(&batch, 1);
    ez_alert_op more[] = {report("a", WARNING), report("c", WARNING), report("d", WARNING)};
    batch = batch_of(more, 3);
    expect_change(&batch, 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(more[i].outcome, EZ_ALERT_FULL);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 2);
    cr_assert_eq(number_of(&at, "SELECT sum(count) FROM alerts"), 2);
    cr_assert_eq(run(report("c", WARNING)).news, EZ_ALERT_CREATED);
    cr_assert_eq(run(report("c", WARNING)).outcome, EZ_ALERT_DONE, "one that is there counts on");
    cr_assert_eq(run(report("d", WARNING)).outcome, EZ_ALERT_FULL);
}

Test(store_alerts, two_reports_of_one_new_trouble_are_one) {
    rules.max_alerts = 1;
    ez_alert_op ops[] = {report("a", WARNING), report("a", WARNING)};
    ez_alert_batch batch = batch_of(ops, 2);
    expect_change(&batch, 1);
    cr_assert_eq(ops[0].outcome, EZ_ALERT_DONE);
    cr_assert_eq(number_of(&at, "SELECT sum(count) FROM alerts"), 2);
}

Test(store_alerts, a_batch_may_be_taken_in_part) {
    rules.max_alerts = 2;
    run(report("a", WARNING));
    ez_alert_op ops[] = {report("a", WARNING), report("b", WARNING), report("c", WARNING), report("c", WARNING),
                         report("b", WARNING)};
    ez_alert_batch batch = batch_of(ops, 5);
    batch.takes_some = true;
    expect_change(&batch, 1);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(ops[i].outcome, i == 2 || i == 3 ? EZ_ALERT_FULL : EZ_ALERT_DONE, "%d", i);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 2);
    cr_assert_eq(number_of(&at, "SELECT sum(count) FROM alerts"), 4);
    expect_true_counts();
}

// At the bound nothing was forgotten, and every new report was refused for ever.
Test(store_alerts, closed_ones_make_room_at_the_bound) {
    rules.max_alerts = 3;
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        now = START + i * SECOND;
        run(on_id(EZ_ALERT_MOVE, run(report(name, WARNING)).after.id, EZ_ALERT_RESOLVED, NULL));
    }
    cr_assert_eq(run(report("f3", WARNING)).outcome, EZ_ALERT_FULL);
    ez_error error = EZ_ERROR_INIT;
    bool more = false;
    ez_alert_limits limits = {.max_alerts = 3};
    do {
        cr_assert_eq(ez_store_trim_alerts(store, EZ_NO_FENCE, &limits, 100, &more, &error), EZ_OK, "%s", error.message);
    } while (more);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 2);
    cr_assert_eq(number_of(&at, "SELECT min(id) FROM alerts"), 2, "the one that ended first went");
    cr_assert_eq(run(report("f3", WARNING)).news, EZ_ALERT_CREATED);
    expect_true_counts();
}

Test(store_alerts, closed_ones_are_forgotten_by_age_and_by_number) {
    for (int i = 0; i < 10; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        now = START + i * SECOND;
        int64_t id = run(report(name, WARNING)).after.id;
        if (i % 2)
            run(on_id(EZ_ALERT_MOVE, id, i % 4 == 1 ? EZ_ALERT_RESOLVED : EZ_ALERT_DISMISSED, NULL));
    }
    ez_error error = EZ_ERROR_INIT;
    bool more = false;
    ez_alert_limits limits = {.before_ns = START + 4 * SECOND};
    cr_assert_eq(ez_store_trim_alerts(store, EZ_NO_FENCE, &limits, 1, &more, &error), EZ_OK, "%s", error.message);
    cr_assert(more);
    cr_assert_eq(ez_store_trim_alerts(store, EZ_NO_FENCE, &limits, 100, &more, &error), EZ_OK, "%s", error.message);
    cr_assert_not(more);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 8);
    limits = (ez_alert_limits){.max_alerts = 7}; // room for one is kept
    cr_assert_eq(ez_store_trim_alerts(store, EZ_NO_FENCE, &limits, 100, &more, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 6);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts WHERE status = 1"), 5, "open ones stay");
    expect_true_counts();
    limits = (ez_alert_limits){.before_ns = START + 100 * SECOND};
    expect_error(ez_store_trim_alerts(store, 77, &limits, 100, &more, &error), &error, EZ_ABORTED, "LEASE_LOST", "");
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM alerts"), 6);
}

// What another server had just reported again was resolved by one that did not know yet.
Test(store_alerts, a_clear_may_leave_alone_what_was_seen_lately) {
    int64_t id = run(report("f", WARNING)).after.id;
    ez_alert_op clear = {.act = EZ_ALERT_CLEAR, .by = "detector", .request = "{}", .row.fingerprint = "f"};
    now += 60 * SECOND;
    run(report("f", WARNING));
    clear.seen_before_ns = now - 20 * SECOND;
    cr_assert_eq(run(clear).outcome, EZ_ALERT_NOT_FOUND);
    cr_assert_eq(number_of(&at, "SELECT status FROM alerts"), EZ_ALERT_ACTIVE);
    clear.seen_before_ns = now + 1;
    ez_alert_op done = run(clear);
    cr_assert(done.outcome == EZ_ALERT_DONE && done.after.id == id);
    cr_assert_eq(number_of(&at, "SELECT status FROM alerts"), EZ_ALERT_RESOLVED);
    expect_true_counts();
}

// ---- Pages

#define MANY 600
static const char *const kinds[] = {"key", "master", "sensor"};

static void add_many(void) {
    static ez_alert_op ops[MANY];
    static char names[MANY][16];
    ez_alert_batch batch = batch_of(ops, MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "f%04d", i);
        ops[i] = report(names[i], 1 + i % 3);
        ops[i].row.type = 1 + i % 11;
        ops[i].row.related_type = kinds[i % 3];
        ops[i].row.related_id = i % 7;
        ops[i].row.title = i % 10 ? "Quota" : "100% Größe_x";
        ops[i].row.message = i % 25 ? "m" : "NEEDLE here";
    }
    now = START + 1000 * SECOND;
    expect_change(&batch, 1);
    for (int i = 0; i < MANY; i += 2) {
        now++;
        ops[i] = on_id(EZ_ALERT_MOVE, ops[i].after.id, 2 + i % 3, NULL);
    }
    for (int i = 1; i < MANY; i += 2)
        ops[i] = report(names[i], 1);
    expect_change(&batch, 1);
}

typedef struct walk {
    ez_alert_filter filter;
    int64_t ids[MANY + 1];
    size_t count, pages;
    bool more;
    int64_t at_id;
} walk;

static ez_status take(void *user, const ez_alert_row *row, ez_error *error) {
    (void)error;
    walk *it = user;
    cr_assert_lt(it->count, (size_t)MANY);
    it->ids[it->count++] = row->id;
    return EZ_OK;
}

static void read_page(ez_reader *reader, void *user) {
    walk *it = user;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_each_alert(reader, &it->filter, take, it, &it->more, &it->at_id, &error), EZ_OK, "%s",
                 error.message);
}

static void expect_pages(ez_alert_filter filter, const char *where) {
    walk it = {.filter = filter};
    do {
        on_reader(store, read_page, &it);
        it.filter.before_id = it.at_id;
        cr_assert_lt(it.pages++, (size_t)1000);
    } while (it.more);
    char text[400];
    snprintf(text, sizeof text, "SELECT id FROM alerts WHERE %s ORDER BY id DESC", where);
    char *rows = rows_of(&at, text), *rest = rows;
    size_t count = 0;
    for (char *line = strtok_r(rows, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), count++) {
        cr_assert_lt(count, it.count, "%s: only %zu came", where, it.count);
        cr_assert_eq(it.ids[count], atoll(line), "%s", where);
    }
    cr_assert_eq(count, it.count, "%s: %zu came, %zu are there", where, it.count, count);
    free(rows);
}

Test(store_alerts, pages_hold_what_the_filter_says_newest_first) {
    add_many();
    size_t looks[] = {1, 7, 10000}, limits[] = {1000, 3};
    for (size_t l = 0; l < 3; l++) {
        for (size_t m = 0; m < 2; m++) {
            ez_alert_filter one = {.limit = limits[m], .look_max = looks[l]};
            expect_pages(one, "true");
            one.status = EZ_ALERT_DISMISSED;
            expect_pages(one, "status = 4");
            one.type = 3;
            expect_pages(one, "status = 4 AND type = 3");
            one.severities = 1u << 2;
            expect_pages(one, "status = 4 AND type = 3 AND severity = 2");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .severities = 1u << 2, .related_id = 3};
            expect_pages(one, "severity = 2 AND related_id = 3");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .related_type = "key", .related_id = 3};
            expect_pages(one, "related_type = 'key' AND related_id = 3");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .related_type = "sensor", .type = 5};
            expect_pages(one, "related_type = 'sensor' AND type = 5");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .is_open = true};
            expect_pages(one, "status IN (1, 2)");
            one.severities = 1u << 1 | 1u << 3;
            expect_pages(one, "status IN (1, 2) AND severity IN (1, 3)");
            one.type = 3;
            expect_pages(one, "status IN (1, 2) AND severity IN (1, 3) AND type = 3");
            one.status = EZ_ALERT_ACTIVE;
            expect_pages(one, "status = 1 AND severity IN (1, 3) AND type = 3");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .q = "needle"};
            expect_pages(one, "message LIKE 'NEEDLE%'");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .q = "0% gr"};
            expect_pages(one, "title LIKE '100%'");
            one = (ez_alert_filter){.limit = limits[m], .look_max = looks[l], .since_ns = START + 1000 * SECOND + 1};
            expect_pages(one, "last_seen_ns > 1700001000000000000");
        }
    }
    ez_alert_filter none = {.limit = 10, .look_max = 10000, .related_type = "key'; DROP TABLE alerts; --"};
    expect_pages(none, "false");
}
