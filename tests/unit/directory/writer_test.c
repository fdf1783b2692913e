// SPDX-License-Identifier: Apache-2.0
//
// The writer over a real store: groups, answers that mean durable, the audit chain, what a failure leaves.
#include "given.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/digest.h"
#include "proto/runtime/clock.h"
#include "server/state/store/audit_hash.h"
#include "tests/support/wait.h"

static whole_state all;
static salvo volley_;

static void open_all(void) {
    given_state(&all);
}

static void close_all(void) {
    end_state(&all);
}

static const ez_entry *find_master(const char *name) {
    return ez_directory_find(all.directory, EZ_INDEX_MASTER_NAME, ez_index_text(name));
}

// A request in the call's own arena, as rpc makes it.
static ProtobufCMessage *naming(ez_call *call, const char *name) {
    Ez__V1__CreateMasterRequest *request = ez_arena_alloc(&call->arena, sizeof *request);
    ez__v1__create_master_request__init(request);
    request->master = ez_arena_alloc(&call->arena, sizeof *request->master);
    ez__v1__master__init(request->master);
    request->master->name = ez_arena_strdup(&call->arena, name);
    return &request->base;
}

static ProtobufCMessage *renaming(ez_call *call, int64_t id, const char *name) {
    Ez__V1__UpdateMasterRequest *request = ez_arena_alloc(&call->arena, sizeof *request);
    ez__v1__update_master_request__init(request);
    request->id = id;
    request->master = ((Ez__V1__CreateMasterRequest *)naming(call, name))->master;
    return &request->base;
}

static size_t shoot(ez_handler *run, const char *name) {
    ez_call *call = given_call("test");
    return volley_add(&volley_, call, run, naming(call, name));
}

static const ez_write *shot(size_t at) {
    return &volley_.shots[at].write;
}

static void drop_shots(void) {
    for (size_t i = 0; i < volley_.count; i++)
        ez_call_destroy_system(volley_.shots[i].write.call);
}

static uint64_t stored_head(void) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_head head;
    expect_ok(ez_store_read_head(all.store, &head, &error), &error);
    return head.n;
}

Test(writer, an_answer_means_durable_applied_and_fed, .init = open_all, .fini = close_all) {
    int64_t id = given_master(&all, "acme");
    cr_assert_eq(id, 1);
    cr_assert_eq(stored_head(), 1);
    cr_assert_eq(ez_feed_head(all.feed).n, 1);
    ez_directory_enter();
    const ez_entry *entry = find_master("acme");
    cr_assert_eq(ez_entry_id(entry), 1);
    cr_assert_eq(ez_entry_revision(entry), 1);
    ez_slice data = ez_entry_data(entry);
    cr_assert_null(memmem(data.data, data.len, "ezm_just", 8), "a token is never kept");
    ez_directory_leave();
    uint8_t digest[32], known[32];
    uint64_t rows;
    ez_directory_digest(all.directory, digest, &rows);
    cr_assert_eq(rows, 1);
    cr_assert(ez_feed_digest(all.feed, 1, known));
    cr_assert_arr_eq(digest, known, 32);
}

Test(writer, one_revision_for_each_change_of_a_group, .init = open_all, .fini = close_all) {
    volley_begin(&volley_, &all);
    size_t first = shoot(create_master, "a");
    size_t refused = shoot(refuse, "b");
    size_t same_name = shoot(create_master, "a");
    size_t again = shoot(create_master, "b");
    size_t nothing = shoot(read_only, "c");
    size_t last = shoot(create_master, "d");
    volley_fire(&volley_);
    cr_assert_eq(shot(first)->status, EZ_OK);
    cr_assert_eq(shot(first)->revision.n, 1);
    cr_assert_eq(shot(refused)->status, EZ_FAILED_PRECONDITION);
    cr_assert_str_eq(shot(refused)->call->error.reason, "REFUSED");
    cr_assert_eq(shot(same_name)->status, EZ_ALREADY_EXISTS);
    cr_assert_str_eq(shot(same_name)->call->error.reason, "NAME_TAKEN");
    cr_assert_eq(shot(again)->status, EZ_OK, "what a failed one put is gone");
    cr_assert_eq(shot(again)->revision.n, 2);
    cr_assert_eq(shot(nothing)->status, EZ_OK);
    cr_assert_eq(shot(nothing)->revision.n, 2, "no change, no revision");
    cr_assert_eq(shot(last)->revision.n, 3);
    cr_assert_eq(stored_head(), 3);
    ez_directory_enter();
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 3);
    cr_assert_eq(ez_entry_id(find_master("b")), 2);
    cr_assert_eq(ez_entry_id(find_master("d")), 3);
    ez_directory_leave();
    drop_shots();
}

Test(writer, more_than_a_group_holds_is_answered_in_order, .init = open_all, .fini = close_all) {
    char name[16];
    volley_begin(&volley_, &all);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "m%d", i);
        shoot(create_master, name);
    }
    volley_fire(&volley_);
    for (size_t i = 0; i < 300; i++)
        cr_assert_eq(shot(i)->revision.n, i + 1);
    cr_assert_eq(stored_head(), 300);
    drop_shots();
}

// Large changes close a group before its 256 writes; those behind go in the next one, none is lost.
Test(writer, large_changes_make_more_groups, .init = open_all, .fini = close_all) {
    static char name[300 << 10];
    volley_begin(&volley_, &all);
    memset(name, 'n', sizeof name - 1);
    for (int i = 0; i < 12; i++) {
        name[0] = (char)('a' + i);
        shoot(create_master, name);
    }
    volley_fire(&volley_);
    for (size_t i = 0; i < 12; i++) {
        cr_assert_eq(shot(i)->status, EZ_OK);
        cr_assert_eq(shot(i)->revision.n, i + 1);
    }
    drop_shots();
}

Test(writer, asking_what_would_happen_changes_nothing, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    call->header.validate_only = true;
    expect_ok(ez_writer_run(all.writer, call, create_master, NULL, naming(call, "acme"), &error), &error);
    cr_assert_gt(call->reply.len, 0);
    cr_assert_eq(stored_head(), 0);
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 0);
    ez_call_destroy_system(call);
    cr_assert_eq(given_master(&all, "acme"), 1, "the id was not used up");
}

Test(writer, if_match_must_be_the_revision, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    int64_t id = given_master(&all, "acme");
    given_master(&all, "other");
    ez_call *call = given_call("test");
    call->header.if_match = 2;
    expect_reason(EZ_ABORTED, "REVISION_MISMATCH",
                  ez_writer_run(all.writer, call, rename_master, NULL, renaming(call, id, "new"), &error), &error);
    call->header.if_match = 1;
    expect_ok(ez_writer_run(all.writer, call, rename_master, NULL, renaming(call, id, "new"), &error), &error);
    expect_reason(EZ_ABORTED, "REVISION_MISMATCH",
                  ez_writer_run(all.writer, call, rename_master, NULL, renaming(call, id, "newer"), &error), &error);
    ez_directory_enter();
    cr_assert_eq(ez_entry_revision(find_master("new")), 3);
    ez_directory_leave();
    ez_call_destroy_system(call);
}

static ez_status delete_master(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    return ez_txn_delete(scene, EZ__V1__KIND__KIND_MASTER, ((Ez__V1__UpdateMasterRequest *)request)->id, &call->error);
}

// A handler that deletes without loading must not lose the caller's condition.
Test(writer, if_match_holds_for_a_deletion, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    int64_t id = given_master(&all, "acme");
    ez_call *call = given_call("test");
    call->header.if_match = 9;
    expect_reason(EZ_ABORTED, "REVISION_MISMATCH",
                  ez_writer_run(all.writer, call, delete_master, NULL, renaming(call, id, ""), &error), &error);
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 1);
    call->header.if_match = 1;
    expect_ok(ez_writer_run(all.writer, call, delete_master, NULL, renaming(call, id, ""), &error), &error);
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 0);
    ez_call_destroy_system(call);
}

Test(writer, a_late_one_is_not_run, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    call->deadline_ns = ez_clock_mono_ns() - 1;
    expect_reason(EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                  ez_writer_run(all.writer, call, create_master, NULL, naming(call, "acme"), &error), &error);
    cr_assert_eq(stored_head(), 0);
    ez_call_destroy_system(call);
}

Test(writer, its_queue_is_bounded_and_closes, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    whole_state *state = &all;
    ez_writer_destroy(state->writer);
    ez_store_head head;
    expect_ok(ez_store_read_head(state->store, &head, &error), &error);
    ez_writer_options options = {.store = state->store,
                                 .directory = state->directory,
                                 .feed = state->feed,
                                 .sealer = state->sealer,
                                 .head = &head,
                                 .queue = 2,
                                 .idempotency_ns = 1};
    expect_ok(ez_writer_create(&options, &state->writer, &error), &error);
    volley_begin(&volley_, state);
    shoot(create_master, "a");
    shoot(create_master, "b");
    ez_call *call = given_call("test");
    ez_write write = {.call = call, .run = create_master, .request = naming(call, "c")};
    expect_reason(EZ_RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL", ez_writer_submit(state->writer, &write, &error), &error);
    volley_fire(&volley_);
    cr_assert_eq(shot(1)->status, EZ_OK);
    ez_call_destroy_system(call);
    drop_shots();
}

// ---- The audit

typedef struct audit_list {
    ez_query query;
    pthread_mutex_t lock;
    bool is_done;
    size_t count;
    ez_store_audit entries[16];
    char texts[16][6][512];
} audit_list;

static ez_status take_audit(void *user, const ez_store_audit *entry, ez_error *error) {
    audit_list *audits = user;
    (void)error;
    const char *texts[] = {entry->actor,   entry->method,     entry->resource,
                           entry->request, entry->request_id, entry->remote};
    ez_store_audit *kept = &audits->entries[audits->count];
    *kept = *entry;
    for (int i = 0; i < 6; i++)
        snprintf(audits->texts[audits->count][i], 512, "%s", texts[i]);
    kept->actor = audits->texts[audits->count][0];
    kept->method = audits->texts[audits->count][1];
    kept->resource = audits->texts[audits->count][2];
    kept->request = audits->texts[audits->count][3];
    kept->request_id = audits->texts[audits->count][4];
    kept->remote = audits->texts[audits->count][5];
    audits->count++;
    return EZ_OK;
}

static void run_query(ez_query *query, ez_reader *reader) {
    audit_list *audits = (audit_list *)query;
    ez_error error = EZ_ERROR_INIT;
    ez_audit_filter filter = {.limit = 16};
    ez_status status = ez_reader_each_audit(reader, &filter, take_audit, audits, &error);
    pthread_mutex_lock(&audits->lock);
    audits->is_done = status == EZ_OK;
    pthread_mutex_unlock(&audits->lock);
}

static bool is_answered(audit_list *audits) {
    pthread_mutex_lock(&audits->lock);
    bool done = audits->is_done;
    pthread_mutex_unlock(&audits->lock);
    return done;
}

static void read_audits(audit_list *audits) {
    ez_error error = EZ_ERROR_INIT;
    memset(audits, 0, sizeof *audits);
    pthread_mutex_init(&audits->lock, NULL);
    audits->query.run = run_query;
    expect_ok(ez_store_submit(all.store, &audits->query, &error), &error);
    expect_soon(is_answered(audits));
}

Test(writer, the_audit_is_a_chain_across_groups_and_restarts, .init = open_all, .fini = close_all) {
    static audit_list audits;
    given_master(&all, "one");
    volley_begin(&volley_, &all);
    shoot(create_master, "two");
    shoot(refuse, "nobody");
    shoot(create_master, "three");
    volley_fire(&volley_);
    drop_shots();
    restart_state(&all);
    given_master(&all, "four");
    read_audits(&audits);
    cr_assert_eq(audits.count, 4);
    uint8_t previous[EZ_SHA256_LEN] = {0}, hash[EZ_SHA256_LEN];
    for (size_t i = audits.count; i-- > 0;) {
        const ez_store_audit *entry = &audits.entries[i];
        cr_assert_arr_eq(entry->previous_hash, previous, EZ_SHA256_LEN);
        ez_audit_hash(entry, hash);
        cr_assert_arr_eq(entry->hash, hash, EZ_SHA256_LEN);
        cr_assert_eq(entry->revision, audits.count - i);
        memcpy(previous, hash, EZ_SHA256_LEN);
    }
    const ez_store_audit *newest = &audits.entries[0];
    cr_assert_str_eq(newest->actor, "system:test");
    cr_assert_str_eq(newest->resource, "master:4");
    cr_assert(strstr(newest->request, "\"four\""), "%s", newest->request);
    cr_assert_null(strstr(newest->request, "ezm_"), "no secret in the audit");
}

Test(writer, a_long_request_is_cut_in_the_audit, .init = open_all, .fini = close_all) {
    static audit_list audits;
    static char name[5000];
    memset(name, 'n', sizeof name - 1);
    given_master(&all, name);
    read_audits(&audits);
    cr_assert_eq(strncmp(audits.entries[0].request, "{\"truncated\":true,\"bytes\":50", 28), 0, "%s",
                 audits.entries[0].request);
}

// ---- Failures

// Another server's commit, past the writer's back.
static void commit_elsewhere(void) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_commit_group group = {.epoch = all.head.epoch, .from = 0, .to = 1};
    ez_store_change change = {.n = 1, .kind = EZ__V1__KIND__KIND_MASTER, .id = 1, .op = EZ__V1__OP__OP_DELETE};
    group.changes = &change;
    group.change_count = 1;
    expect_ok(ez_store_commit(all.store, &group, &error), &error);
}

// Somebody else moved the head: the writer catches up and runs the group again, from the request as it came.
Test(writer, is_overtaken_and_goes_again, .init = open_all, .fini = close_all) {
    commit_elsewhere();
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    ProtobufCMessage *request = naming(call, "acme");
    expect_ok(ez_writer_run(all.writer, call, create_master, NULL, request, &error), &error);
    cr_assert_eq(stored_head(), 2);
    cr_assert_eq(ez_feed_head(all.feed).n, 2);
    ez_directory_enter();
    cr_assert_eq(ez_entry_revision(find_master("acme")), 2);
    ez_directory_leave();
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 1);
    ez_call_destroy_system(call);
}
