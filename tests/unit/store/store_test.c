// SPDX-License-Identifier: Apache-2.0
//
// What every store must do, run once on each. Each test has a store of its own, made by the fixture and dropped after.
#include "server/state/store/store.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/store/fixture.h"

static char out[16384];

TestSuite(store, .init = given_store, .fini = drop_store);

Test(store, starts_empty_and_keeps_its_epoch) {
    static const uint8_t zeros[EZ_SHA256_LEN];
    cr_assert_str_eq(ez_store_name(store), is_postgres() ? "postgres" : "sqlite");
    ez_store_head head = head_of(store);
    cr_assert_eq(head.epoch, 0xF00DFACE12345678u);
    cr_assert_eq(head.n, 0u);
    cr_assert_eq(head.next_audit_id, 1);
    cr_assert_arr_eq(head.audit_hash, zeros, EZ_SHA256_LEN);
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++)
        cr_assert_eq(head.next_id[kind], 1);
    uint64_t oldest = 0;
    cr_assert_eq(ez_store_oldest_change(store, &oldest, NULL), EZ_OK);
    cr_assert_eq(oldest, 1u);

    ez_store_close(store);
    ez_store_options options = options_for(&at);
    options.epoch = 99; // only for a store that is made
    cr_assert_eq(ez_store_open(&options, &store, NULL), EZ_OK);
    cr_assert_eq(head_of(store).epoch, 0xF00DFACE12345678u);
}

Test(store, commit_is_there_after_reopening) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "acme");
    group_put(&one, KIND_KEY, 5, "key");
    group_audit(&one, "admin:1:first", "ez.v1.Masters/Create", "master:1");
    expect_commit(store, &one);
    reopen();

    head = head_of(store);
    cr_assert_eq(head.n, 1u);
    cr_assert_eq(head.next_audit_id, 2);
    cr_assert_arr_eq(head.audit_hash, one.audits[0].hash, EZ_SHA256_LEN);
    cr_assert_eq(head.next_id[KIND_MASTER], 2);
    cr_assert_eq(head.next_id[KIND_KEY], 6);
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out), "1:1:acme");
    cr_assert_str_eq(rows_text(store, KIND_KEY, out, sizeof out), "5:1:key/sealed7");
    cr_assert_str_eq(changes_text(store, 0, 1, 0, out, sizeof out), "1.0+1/1=acme 1.1+2/5=key");
}

Test(store, group_keeps_only_the_last_change_of_a_resource) {
    commit_put(store, KIND_MASTER, 1, "old");
    commit_put(store, KIND_MASTER, 2, "gone");
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "a");
    group_put(&one, KIND_MASTER, 3, "new");
    group_revision(&one);
    group_put(&one, KIND_MASTER, 1, "b");
    group_delete(&one, KIND_MASTER, 2);
    group_revision(&one);
    group_delete(&one, KIND_MASTER, 3);
    group_put(&one, KIND_MASTER, 4, "");
    group_delete(&one, KIND_MASTER, 1);
    group_put(&one, KIND_MASTER, 1, "c");
    expect_commit(store, &one);

    cr_assert_eq(head_of(store).n, 5u);
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out), "1:5:c 4:5:");
    cr_assert_str_eq(changes_text(store, 2, UINT64_MAX, 0, out, sizeof out),
                     "3.0+1/1=a 3.1+1/3=new 4.0+1/1=b 4.1-1/2 5.0-1/3 5.1+1/4 5.2-1/1 5.3+1/1=c");
}

Test(store, every_kind_has_its_table) {
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++)
        commit_put(store, kind, 40 + kind, "x");
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++) {
        char want[48];
        snprintf(want, sizeof want, "%d:%d:x%s", 40 + kind, kind, kind == KIND_KEY ? "/sealed7" : "");
        cr_assert_str_eq(rows_text(store, kind, out, sizeof out), want);
        cr_assert_eq(head_of(store).next_id[kind], 41 + kind);
    }
}

Test(store, moved_head_writes_nothing) {
    ez_store_head head = head_of(store);
    commit_put(store, KIND_MASTER, 1, "first");
    group late;
    group_start(&late, &head);
    group_put(&late, KIND_MASTER, 1, "late");
    group_put(&late, KIND_MASTER, 2, "late");
    group_audit(&late, "a", "b", "c");
    group_idempotent(&late, 1, "r", 5);
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_commit(store, &late.group, &error);
    expect_error(status, &error, EZ_ABORTED, "HEAD_MOVED", "revision");

    head = head_of(store);
    cr_assert_eq(head.n, 1u);
    cr_assert_eq(head.next_audit_id, 2);
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out), "1:1:first");
    cr_assert_str_eq(changes_text(store, 0, 9, 0, out, sizeof out), "1.0+1/1=first");

    head.epoch ^= 1; // right number, another history
    group_start(&late, &head);
    group_put(&late, KIND_MASTER, 2, "late");
    status = ez_store_commit(store, &late.group, &error);
    expect_error(status, &error, EZ_ABORTED, "HEAD_MOVED", "revision");
    commit_put(store, KIND_MASTER, 2, "second");
    cr_assert_eq(head_of(store).n, 2u);
}

static ez_status stop_at_two(void *user, const ez_store_row *row, ez_error *error) {
    int *count = user;
    return ++*count == 2 ? ez_error_set(error, EZ_CANCELLED, "ENOUGH", "row %lld", (long long)row->id) : EZ_OK;
}

Test(store, rows_come_in_order_and_stop_at_an_error) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    for (int64_t id = 50; id > 0; id -= 7)
        group_put(&one, KIND_MASTER, id, "x");
    expect_commit(store, &one);
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out),
                     "1:1:x 8:1:x 15:1:x 22:1:x 29:1:x 36:1:x 43:1:x 50:1:x");
    int count = 0;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_each_row(store, KIND_MASTER, stop_at_two, &count, &error);
    expect_error(status, &error, EZ_CANCELLED, "ENOUGH", "row 8");
    commit_put(store, KIND_MASTER, 1, "y"); // nothing is left open
    cr_assert_str_eq(rows_text(store, EZ__V1__KIND__KIND_NAMESPACE, out, sizeof out), "");
}

Test(store, changes_are_bounded_by_after_until_and_limit) {
    commit_many(store, 6);
    cr_assert_str_eq(changes_text(store, 0, 2, 0, out, sizeof out), "1.0+1/1=1 2.0+1/2=2");
    cr_assert_str_eq(changes_text(store, 2, 4, 0, out, sizeof out), "3.0+1/3=3 4.0+1/4=4");
    cr_assert_str_eq(changes_text(store, 2, 6, 1, out, sizeof out), "3.0+1/3=3");
    cr_assert_str_eq(changes_text(store, 5, UINT64_MAX, 10, out, sizeof out), "6.0+1/6=6");
    cr_assert_str_eq(changes_text(store, 6, UINT64_MAX, 0, out, sizeof out), "");
    cr_assert_str_eq(changes_text(store, UINT64_MAX, UINT64_MAX, 0, out, sizeof out), "");
}

static uint64_t oldest(void) {
    uint64_t n = 0;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_oldest_change(store, &n, &error), EZ_OK, "%s", error.message);
    return n;
}

static bool trim(uint64_t keep_from, int64_t before_ns, size_t max_rows) {
    bool more = false;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_trim(store, EZ_NO_FENCE, keep_from, before_ns, max_rows, &more, &error), EZ_OK, "%s",
                 error.message);
    return more;
}

Test(store, trim_forgets_in_bounded_steps) {
    commit_many(store, 5);
    cr_assert_not(trim(1, 0, 100));
    cr_assert_eq(oldest(), 1u);
    cr_assert(trim(5, 0, 3));
    cr_assert_eq(oldest(), 4u);
    cr_assert_not(trim(5, 0, 3));
    cr_assert_eq(oldest(), 5u);
    cr_assert_str_eq(changes_text(store, 0, 9, 0, out, sizeof out), "5.0+1/5=5");
    cr_assert_not(trim(UINT64_MAX, 0, 3));
    cr_assert_eq(oldest(), 6u);
    reopen();
    cr_assert_eq(oldest(), 6u);
    commit_many(store, 1);
    cr_assert_eq(oldest(), 6u);
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out), "1:1:1 2:2:2 3:3:3 4:4:4 5:5:5 6:6:6");
}

// A step that ends within a revision: what is left of it is no longer a whole revision, and must not be the oldest.
Test(store, trim_inside_a_revision_does_not_offer_its_rest) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    for (int64_t id = 1; id <= 4; id++)
        group_put(&one, KIND_MASTER, id, "x");
    group_revision(&one);
    group_put(&one, KIND_MASTER, 9, "y");
    expect_commit(store, &one);
    cr_assert(trim(2, 0, 3));
    cr_assert_eq(oldest(), 2u);
    cr_assert_not(trim(2, 0, 3));
    cr_assert_eq(oldest(), 2u);
    cr_assert_str_eq(changes_text(store, 0, 9, 0, out, sizeof out), "2.0+1/9=y");
}

static bool find(uint8_t byte, ez_arena *arena, ez_store_idempotent *record) {
    uint8_t key[EZ_SHA256_LEN];
    memset(key, byte, sizeof key);
    bool found = true;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_find_idempotent(store, key, arena, record, &found, &error), EZ_OK, "%s", error.message);
    return found;
}

Test(store, idempotent_replies_are_kept_until_trimmed) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "x");
    group_idempotent(&one, 1, "reply one", 100);
    group_idempotent(&one, 2, "", 200);
    group_idempotent(&one, 3, "reply three", 300);
    expect_commit(store, &one);
    reopen();

    ez_arena arena;
    ez_arena_init(&arena, 1 << 20);
    ez_store_idempotent record = {0};
    cr_assert(find(1, &arena, &record));
    cr_assert_eq(record.reply.len, 9u);
    cr_assert_arr_eq(record.reply.data, "reply one", 9);
    cr_assert_eq(record.revision, 1u);
    cr_assert_eq(record.time_ns, 100);
    cr_assert_eq(record.request_hash[31], 101);
    cr_assert_eq(record.key[0], 1);
    cr_assert(find(2, &arena, &record));
    cr_assert_eq(record.reply.len, 0u);
    cr_assert_not(find(4, &arena, &record));

    cr_assert(trim(1, 300, 1));
    cr_assert_not(find(1, &arena, &record));
    cr_assert(find(2, &arena, &record));
    cr_assert(trim(1, 300, 1));
    cr_assert_not(trim(1, 300, 1));
    cr_assert_not(find(2, &arena, &record));
    cr_assert(find(3, &arena, &record));
    ez_arena_fini(&arena);
}

typedef struct audit_run {
    ez_audit_filter filter;
    char ids[256];
    ez_store_audit last;
    char request[64];
    ez_status status;
} audit_run;

static ez_status say_audit(void *user, const ez_store_audit *entry, ez_error *error) {
    (void)error;
    audit_run *run = user;
    size_t len = strlen(run->ids);
    snprintf(run->ids + len, sizeof run->ids - len, "%s%lld", len ? " " : "", (long long)entry->id);
    run->last = *entry;
    snprintf(run->request, sizeof run->request, "%s", entry->request);
    return EZ_OK;
}

static void run_audit(ez_reader *reader, void *user) {
    audit_run *run = user;
    run->status = ez_reader_each_audit(reader, &run->filter, say_audit, run, NULL);
}

static const char *audit_ids(ez_audit_filter filter) {
    static audit_run run;
    run = (audit_run){.filter = filter};
    on_reader(store, run_audit, &run);
    cr_assert_eq(run.status, EZ_OK);
    return run.ids;
}

Test(store, audit_is_newest_first_and_filtered) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "x");
    for (int i = 1; i <= 8; i++)
        group_audit(&one, i % 2 ? "odd" : "even", i > 4 ? "Late" : "Early", i == 3 ? "key:'3\"" : "master:1");
    expect_commit(store, &one);

    cr_assert_str_eq(audit_ids((ez_audit_filter){.limit = 100}), "8 7 6 5 4 3 2 1");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.limit = 3}), "8 7 6");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.before_id = 6, .limit = 3}), "5 4 3");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.since_ns = 3000, .until_ns = 6000, .limit = 9}), "5 4 3");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.actor = "odd", .limit = 9}), "7 5 3 1");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.actor = "odd", .method = "Early", .limit = 9}), "3 1");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.resource = "key:'3\"", .actor = "", .limit = 9}), "3");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.actor = "odd",
                                                 .method = "Early",
                                                 .resource = "master:1",
                                                 .before_id = 9,
                                                 .since_ns = 1,
                                                 .until_ns = 9000,
                                                 .limit = 9}),
                     "1");
    cr_assert_str_eq(audit_ids((ez_audit_filter){.actor = "nobody", .limit = 9}), "");

    audit_run run = {.filter = {.before_id = 3, .limit = 1}};
    on_reader(store, run_audit, &run);
    cr_assert_eq(run.last.id, 2);
    cr_assert_eq(run.last.revision, 1u);
    cr_assert_str_eq(run.request, "{\"name\":\"grün\"}");
    cr_assert_arr_eq(run.last.previous_hash, one.audits[0].hash, EZ_SHA256_LEN);
    cr_assert_arr_eq(run.last.hash, one.audits[1].hash, EZ_SHA256_LEN);
}

typedef struct change_run {
    uint64_t after_n;
    uint32_t after_seq;
    size_t limit;
    char text[256];
    uint64_t oldest;
    ez_status status;
} change_run;

static ez_status say_place(void *user, const ez_store_change *change, ez_error *error) {
    (void)error;
    change_run *run = user;
    size_t len = strlen(run->text);
    snprintf(run->text + len, sizeof run->text - len, "%s%llu.%u", len ? " " : "", (unsigned long long)change->n,
             change->seq);
    return EZ_OK;
}

static void run_changes(ez_reader *reader, void *user) {
    change_run *run = user;
    run->status = ez_reader_each_change(reader, run->after_n, run->after_seq, run->limit, say_place, run, NULL);
    if (!run->status)
        run->status = ez_reader_oldest_change(reader, &run->oldest, NULL);
    if (!run->status)
        run->status = ez_reader_ping(reader, NULL);
}

Test(store, reader_pages_through_changes) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "x");
    group_put(&one, KIND_MASTER, 2, "x");
    group_put(&one, KIND_MASTER, 3, "x");
    group_revision(&one);
    group_put(&one, KIND_MASTER, 1, "x");
    expect_commit(store, &one);
    change_run run = {.limit = 2};
    on_reader(store, run_changes, &run);
    cr_assert_eq(run.status, EZ_OK);
    cr_assert_str_eq(run.text, "1.0 1.1");
    cr_assert_eq(run.oldest, 1u);
    run = (change_run){.after_n = 1, .after_seq = 1, .limit = 9};
    on_reader(store, run_changes, &run);
    cr_assert_str_eq(run.text, "1.2 2.0");
    run = (change_run){.after_n = 1, .after_seq = UINT32_MAX, .limit = 9};
    on_reader(store, run_changes, &run);
    cr_assert_str_eq(run.text, "2.0");
}

Test(store, another_sealing_key_is_refused) {
    ez_store_close(store);
    store = NULL;
    ez_store_options options = options_for(&at);
    options.key_check = "11111111";
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_open(&options, &store, &error);
    expect_error(status, &error, EZ_FAILED_PRECONDITION, "SEALING_KEY_WRONG", "EZ_SECRET_KEY_FILE");
    cr_assert_null(strstr(error.message, test_key_check));
    store = open_store(&at); // it was not hurt
}

Test(store, bad_options_are_refused_without_showing_the_url) {
    static const char *const urls[] = {"mysql://u:hunter2@h/d", "", "sqlite", "sqlite:", "sqlite::memory:"};
    ez_store *other = NULL;
    ez_error error = EZ_ERROR_INIT;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        ez_store_options options = options_for(&at);
        options.url = urls[i];
        ez_status status = ez_store_open(&options, &other, &error);
        expect_error(status, &error, EZ_INVALID_ARGUMENT, "STORE_URL", "sqlite:PATH");
        cr_assert_null(strstr(error.message, "hunter2"));
    }
    for (int readers = 0; readers <= 65; readers += 65) {
        ez_store_options options = options_for(&at);
        options.readers = readers;
        ez_status status = ez_store_open(&options, &other, &error);
        expect_error(status, &error, EZ_INVALID_ARGUMENT, "STORE_READERS", "64");
    }
}

Test(store, large_group_lands_whole) {
    enum { count = 10000 };
    static ez_store_change changes[count];
    static uint8_t data[300];
    memset(data, 'd', sizeof data);
    ez_store_head head = head_of(store);
    for (uint32_t i = 0; i < count; i++)
        changes[i] = (ez_store_change){.n = 1 + i / 10,
                                       .seq = i % 10,
                                       .kind = KIND_KEY,
                                       .id = 1 + i % 9000, // the last thousand come again
                                       .op = i >= 9900 ? EZ__V1__OP__OP_DELETE : EZ__V1__OP__OP_PUT,
                                       .data = {.data = data, .len = i % sizeof data}};
    int64_t next_id[EZ_KIND_COUNT] = {0, 1, 9001, 1, 1, 1, 1, 1, 1};
    ez_store_commit_group big = {.epoch = head.epoch,
                                 .from = 0,
                                 .to = count / 10,
                                 .changes = changes,
                                 .change_count = count,
                                 .next_id = next_id};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_commit(store, &big, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(head_of(store).n, 1000u);
    cr_assert_eq(head_of(store).next_id[KIND_KEY], 9001);
    int rows = 0;
    int never = -100000;
    cr_assert_eq(ez_store_each_row(store, KIND_KEY, stop_at_two, &never, NULL), EZ_OK);
    rows = never + 100000;
    cr_assert_eq(rows, 8900);
    head = head_of(store);
    cr_assert_eq(head.audit_hash[0], 0); // no audit entry, the chain is where it was
    commit_put(store, KIND_KEY, 1, "after");
}

// ---- The queue

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    unsigned held, ran;
} gate;

static gate door = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void wait_at_door(ez_query *query, ez_reader *reader) {
    (void)query;
    (void)reader;
    pthread_mutex_lock(&door.lock);
    door.held++;
    pthread_cond_broadcast(&door.changed);
    while (!door.open)
        pthread_cond_wait(&door.changed, &door.lock);
    door.ran++;
    pthread_mutex_unlock(&door.lock);
}

Test(store, query_queue_is_bounded_and_drained_at_close, .timeout = 60) {
    static ez_query queries[2 + 1024 + 1];
    ez_error error = EZ_ERROR_INIT;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        queries[i].run = wait_at_door;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(ez_store_submit(store, &queries[i], &error), EZ_OK);
    pthread_mutex_lock(&door.lock);
    while (door.held < 2)
        pthread_cond_wait(&door.changed, &door.lock);
    pthread_mutex_unlock(&door.lock);
    for (int i = 2; i < 2 + 1024; i++)
        cr_assert_eq(ez_store_submit(store, &queries[i], &error), EZ_OK, "%d: %s", i, error.message);
    ez_status status = ez_store_submit(store, &queries[2 + 1024], &error);
    expect_error(status, &error, EZ_RESOURCE_EXHAUSTED, "QUERY_QUEUE_FULL", "1024");
    pthread_mutex_lock(&door.lock);
    door.open = true;
    pthread_cond_broadcast(&door.changed);
    pthread_mutex_unlock(&door.lock);
    ez_store_close(store);
    cr_assert_eq(door.ran, 1026u);
    store = open_store(&at);
}
