// SPDX-License-Identifier: Apache-2.0
//
// From handlers to answers. Each write runs in a transaction of its own over one overlay; then all that came of them is
// one store commit; then directory and feed get it; then everybody is answered.
//
// Awkward: whoever ran after a change of the same group has seen what is not durable yet, a failure as much as a
// success. So where the commit fails, every write from the first changing one on fails with it, whatever its handler
// said. And handlers alter the request they are given, so a group that must run again decodes it anew.
#include "server/state/directory/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/audit_text.h"
#include "server/state/directory/refusals.h"
#include "server/state/directory/txn_begin.h"

// What one run of the group has made so far.
typedef struct group_pass {
    ez_writer *writer;
    uint64_t n; // the revision reached
    bool has_changes;
    bool ack_now;
    size_t records;    // idempotency records
    size_t kept_bytes; // of their sealed replies
} group_pass;

// ---- One write

static bool pack_request(ez_group_item *item) {
    ez_write *write = item->write;
    item->request = (ez_slice){NULL, 0};
    size_t size = write->request ? protobuf_c_message_get_packed_size(write->request) : 0;
    if (size == 0)
        return true;
    uint8_t *bytes = ez_arena_alloc(&write->call->arena, size);
    if (!bytes)
        return false;
    protobuf_c_message_pack(write->request, bytes);
    item->request = (ez_slice){bytes, size};
    return true;
}

static ProtobufCMessage *unpack_request(const ez_group_item *item) {
    return protobuf_c_message_unpack(item->write->request->descriptor, ez_arena_allocator(&item->write->call->arena),
                                     item->request.len, item->request.data);
}

// The request as it came, as JSON without sensitive fields. NULL where there is no memory.
static const char *request_text(const ez_group_item *item) {
    ez_arena *arena = &item->write->call->arena;
    if (!item->write->request)
        return "{}";
    ProtobufCMessage *request = item->request.len <= EZ_AUDIT_PACKED_MAX ? unpack_request(item) : NULL;
    return request ? ez_audit_text(request, item->request.len, arena)
                   : ez_audit_text_truncated(item->request.len, arena);
}

// The entry but for its place in the chain, which the store gives it.
static ez_status make_audit(ez_group_item *item, const ez_txn *txn) {
    ez_call *call = item->write->call;
    char *subject = ez_arena_alloc(&call->arena, EZ_SUBJECT_MAX);
    const char *request = request_text(item);
    const char *method = call->method ? call->method->name : call->principal.actor;
    if (!subject || !request)
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the audit entry");
    ez_txn_subject_text(txn, subject);
    item->audit = (ez_store_audit){.time_ns = txn->now_ns,
                                   .revision = txn->n,
                                   .actor = call->principal.actor,
                                   .method = method,
                                   .resource = subject,
                                   .request = request,
                                   .request_id = call->request_id,
                                   .remote = call->remote};
    return EZ_OK;
}

static ez_status call_handler(const ez_writer_options *options, ez_group_item *item, ez_txn *txn) {
    ez_write *write = item->write;
    ez_call *call = write->call;
    ez_error_clear(&call->error);
    ez_buf_clear(&call->reply);
    ez_status status = write->run(write->self, call, txn, write->request);
    if (status == EZ_OK)
        status = ez_txn_check_match(txn, &call->error);
    if (status == EZ_OK && options->derive && ez_txn_change_count(txn) > 0)
        status = options->derive(options->derive_user, txn, &call->error);
    if (status != EZ_OK && call->error.code != status)
        ez_call_fail(call, status, "UNKNOWN", "the call failed without saying why");
    return status;
}

// Runs the handler and keeps or drops what it changed.
static ez_status transact(group_pass *run, ez_group_item *item) {
    ez_overlay *overlay = run->writer->overlay;
    ez_call *call = item->write->call;
    ez_txn txn = {.overlay = overlay,
                  .call = call,
                  .begin = ez_overlay_count(overlay),
                  .epoch = run->writer->head.epoch,
                  .n = run->n + 1,
                  .now_ns = ez_clock_wall_ns()};
    ez_status status = call_handler(&run->writer->options, item, &txn);
    bool has_changed = status == EZ_OK && !call->header.validate_only && ez_overlay_count(overlay) > txn.begin;
    if (has_changed)
        status = make_audit(item, &txn);
    if (status == EZ_OK && item->has_key)
        status = ez_idempotency_seal(run->writer, item);
    if (status != EZ_OK || !has_changed)
        ez_overlay_rollback(overlay, txn.begin);
    if (status != EZ_OK)
        return status;
    item->is_recorded = item->has_key;
    run->records += item->has_key;
    run->kept_bytes += item->has_key ? item->sealed.len : 0;
    if (!has_changed)
        return EZ_OK;
    item->is_changing = true;
    run->has_changes = true;
    run->ack_now = run->ack_now || call->header.wait_applied;
    run->n++;
    return EZ_OK;
}

// An earlier write of this group that carries the same key and will be kept.
static ez_group_item *find_same(ez_writer *writer, const ez_group_item *item) {
    for (ez_group_item *other = writer->items; other < item; other++) {
        if (other->is_recorded && memcmp(other->key, item->key, EZ_SHA256_LEN) == 0)
            return other;
    }
    return NULL;
}

static ez_status run_item(group_pass *run, ez_group_item *item) {
    ez_call *call = item->write->call;
    if (item->has_key) {
        ez_group_item *same = find_same(run->writer, item);
        if (same && memcmp(same->request_hash, item->request_hash, EZ_SHA256_LEN) != 0)
            return ez_idempotency_reused(call);
        if (same) {
            item->same = same;
            item->write->revision = same->write->revision;
            return ez_call_reply_bytes(call, same->write->call->reply.data, same->write->call->reply.len);
        }
    }
    ez_status status = transact(run, item);
    item->write->revision = (ez_revision){run->writer->head.epoch, run->n};
    return status;
}

// ---- The group's run

static void set_expired(ez_group_item *item) {
    item->write->status = ez_call_fail(item->write->call, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                                       "the deadline passed while the change waited; nothing was changed");
    item->is_settled = true;
}

static void set_lost(ez_group_item *item) {
    item->write->status = ez_call_fail(item->write->call, EZ_ABORTED, "LEASE_LOST",
                                       "another server has taken over the background work; nothing was changed");
    item->is_settled = true;
}

// What can be decided before any handler runs: deadlines, and answers that were given before.
static void prepare(ez_writer *writer, ez_group_item *item, bool is_first_run) {
    ez_write *write = item->write;
    item->is_settled = item->is_recorded = item->is_changing = false;
    item->same = NULL;
    write->revision = (ez_revision){writer->head.epoch, writer->head.n};
    write->status = EZ_OK;
    if (write->call->deadline_ns != 0 && ez_clock_mono_ns() > write->call->deadline_ns) {
        set_expired(item);
        return;
    }
    if (item->has_lost) {
        set_lost(item);
        return;
    }
    if (is_first_run) {
        item->is_packed = pack_request(item);
        if (item->is_packed)
            ez_idempotency_prepare(item);
    } else if (item->is_packed && write->request) {
        ProtobufCMessage *request = unpack_request(item);
        item->is_packed = request != NULL;
        write->request = request ? request : write->request;
    }
    if (!item->is_packed)
        write->status = ez_call_fail(write->call, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
                                     "no memory for the request; nothing was changed");
    bool is_found = false;
    if (write->status == EZ_OK && item->has_key)
        write->status = ez_idempotency_find(writer, item, &is_found);
    item->is_settled = is_found || write->status != EZ_OK;
}

// Runs items until the group is full; those behind it are left out.
static group_pass run_items(ez_writer *writer) {
    group_pass run = {.writer = writer, .n = writer->head.n};
    ez_overlay_begin(writer->overlay, writer->head.next_id);
    ez_directory_enter();
    for (size_t i = 0; i < writer->item_count; i++) {
        if (ez_overlay_bytes(writer->overlay) + run.kept_bytes > EZ_GROUP_BYTES) {
            writer->item_count = i;
            break;
        }
        ez_group_item *item = &writer->items[i];
        if (!item->is_settled) {
            item->write->status = run_item(&run, item);
            // Nothing uncommitted was there to be seen.
            item->is_settled = !run.has_changes && !item->is_recorded && !item->same;
        }
    }
    ez_directory_leave();
    return run;
}

// ---- The commit

// The group as the store takes it. Arrays are the caller's to free.
typedef struct outgoing {
    ez_store_commit_group group;
    ez_entry **entries;
    ez_store_change *changes;
    ez_store_audit *audits;
    ez_store_idempotent *idempotents;
} outgoing;

static void commit_fini(outgoing *commit) {
    free(commit->entries);
    free(commit->changes);
    free(commit->audits);
    free(commit->idempotents);
}

static void add_change(outgoing *commit, const ez_overlay_record *record, uint32_t seq) {
    size_t at = commit->group.change_count++;
    commit->entries[at] = record->entry;
    ez_store_change *change = &commit->changes[at];
    *change = (ez_store_change){.n = record->n,
                                .seq = seq,
                                .kind = record->kind,
                                .id = record->id,
                                .op = record->op,
                                .time_ns = record->time_ns};
    if (record->entry) {
        change->secret_version = ez_entry_secret_version(record->entry);
        change->data = ez_entry_data(record->entry);
        change->sealed = ez_entry_sealed(record->entry);
    }
}

static void add_item(outgoing *commit, const ez_group_item *item) {
    if (item->is_changing)
        commit->audits[commit->group.audit_count++] = item->audit;
    if (!item->is_recorded)
        return;
    ez_store_idempotent *kept = &commit->idempotents[commit->group.idempotent_count++];
    *kept = (ez_store_idempotent){.revision = item->write->revision.n,
                                  .time_ns = ez_clock_wall_ns(),
                                  .reply = {item->sealed.data, item->sealed.len}};
    memcpy(kept->key, item->key, EZ_SHA256_LEN);
    memcpy(kept->request_hash, item->request_hash, EZ_SHA256_LEN);
}

// Of the writes that are still in it.
static uint64_t fence_of(const ez_writer *writer) {
    uint64_t fence = EZ_NO_FENCE;
    for (size_t i = 0; i < writer->item_count; i++) {
        const ez_group_item *item = &writer->items[i];
        if (!item->has_lost && item->write->fence > fence)
            fence = item->write->fence;
    }
    return fence;
}

static ez_status commit_init(outgoing *commit, ez_writer *writer, const group_pass *run, ez_error *error) {
    size_t count = ez_overlay_count(writer->overlay);
    *commit = (outgoing){.entries = calloc(count + 1, sizeof *commit->entries),
                         .changes = calloc(count + 1, sizeof *commit->changes),
                         .audits = calloc(writer->item_count + 1, sizeof *commit->audits),
                         .idempotents = calloc(writer->item_count + 1, sizeof *commit->idempotents)};
    if (!commit->entries || !commit->changes || !commit->audits || !commit->idempotents)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory to commit; nothing was changed");
    uint32_t seq = 0;
    for (size_t i = 0; i < count; i++) {
        const ez_overlay_record *record = ez_overlay_at(writer->overlay, i);
        seq = i > 0 && commit->changes[i - 1].n == record->n ? seq + 1 : 0;
        add_change(commit, record, seq);
    }
    for (size_t i = 0; i < writer->item_count; i++)
        add_item(commit, &writer->items[i]);
    commit->group.fence = fence_of(writer);
    commit->group.epoch = writer->head.epoch;
    commit->group.from = writer->head.n;
    commit->group.to = run->n;
    commit->group.changes = commit->changes;
    commit->group.audits = commit->audits;
    commit->group.idempotents = commit->idempotents;
    commit->group.next_id = ez_overlay_next_ids(writer->overlay);
    return EZ_OK;
}

static void unreserve(ez_writer *writer, const outgoing *commit, size_t count) {
    while (count-- > 0) {
        if (commit->entries[count])
            ez_directory_unreserve(writer->options.directory, commit->entries[count]);
    }
}

static ez_status reserve(ez_writer *writer, const outgoing *commit, ez_error *error) {
    for (size_t i = 0; i < commit->group.change_count; i++) {
        if (!commit->entries[i])
            continue;
        ez_status status = ez_directory_reserve(writer->options.directory, commit->entries[i], error);
        if (status != EZ_OK) {
            unreserve(writer, commit, i);
            return status;
        }
    }
    return EZ_OK;
}

// It is durable: the directory takes the entries, the feed tells, the head moves.
static void adopt(ez_writer *writer, const group_pass *run, const outgoing *commit) {
    for (size_t i = 0; i < commit->group.change_count; i++)
        ez_overlay_at(writer->overlay, i)->entry = NULL;
    memcpy(writer->head.next_id, commit->group.next_id, sizeof writer->head.next_id);
    if (run->has_changes)
        ez_writer_apply(writer, commit->entries, commit->changes, commit->group.change_count, run->n, run->ack_now);
}

// ABORTED with HEAD_MOVED where the group must run again.
static ez_status settle(ez_writer *writer, const ez_store_commit_group *group, ez_error *error) {
    switch (ez_writer_settle(writer, group)) {
    case EZ_SETTLED_YES:
        return EZ_OK;
    case EZ_SETTLED_MOVED:
        return ez_error_set(error, EZ_ABORTED, "HEAD_MOVED", "another server committed first");
    case EZ_SETTLED_NO:
        return ez_error_set(error, EZ_UNAVAILABLE, "COMMIT_FAILED",
                            "the connection to the store broke before the change was made; try again");
    case EZ_SETTLED_UNKNOWN:
        break;
    }
    atomic_store(&writer->is_broken, true);
    ez_log_error("the store does not answer and the outcome of a commit is not known: no change is accepted until it "
                 "does");
    return ez_error_set(error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN",
                        "whether the change was made is not known: repeat it with the same idempotency key");
}

static ez_status commit_once(ez_writer *writer, const group_pass *run, ez_error *error) {
    outgoing commit;
    ez_status status = commit_init(&commit, writer, run, error);
    if (status == EZ_OK)
        status = reserve(writer, &commit, error);
    if (status == EZ_OK) {
        uint64_t now_ms = ez_clock_mono_ms();
        status = ez_store_commit(writer->options.store, &commit.group, error);
        if (status == EZ_UNAVAILABLE && strcmp(error->reason, "COMMIT_UNKNOWN") == 0)
            status = settle(writer, &commit.group, error);
        if (status == EZ_OK) {
            adopt(writer, run, &commit);
            atomic_store(&writer->followed_ms, now_ms);
        } else
            unreserve(writer, &commit, commit.group.change_count);
    }
    commit_fini(&commit);
    return status;
}

// ---- Answers

static void answer(ez_group_item *item) {
    ez_write *write = item->write;
    ez_buf_fini(&item->sealed);
    item->write = NULL;
    if (write->status == EZ_OK)
        ez_error_clear(&write->call->error);
    write->done(write); // write may be gone now
}

// The commit failed: with it goes all that was seen or made since the first change.
static void fail_unsettled(ez_writer *writer, const ez_error *error) {
    for (size_t i = 0; i < writer->item_count; i++) {
        ez_write *write = writer->items[i].write;
        if (writer->items[i].is_settled)
            continue;
        write->status = ez_error_copy(&write->call->error, error);
        ez_buf_clear(&write->call->reply);
        write->revision = (ez_revision){writer->head.epoch, writer->head.n};
    }
}

void ez_group_refuse(ez_write *write, const ez_error *error, ez_revision revision) {
    write->status = ez_error_copy(&write->call->error, error);
    write->revision = revision;
    write->done(write);
}

static bool is_overtaken(ez_status status, const ez_error *error) {
    return status == EZ_ABORTED && strcmp(error->reason, "HEAD_MOVED") == 0;
}

// Takes writes with a fence older than this out of the group: the others run without them.
static void drop_fenced(ez_writer *writer, uint64_t below) {
    for (size_t i = 0; i < writer->item_count; i++) {
        ez_group_item *item = &writer->items[i];
        item->has_lost = item->has_lost || (item->write->fence != EZ_NO_FENCE && item->write->fence < below);
    }
}

static bool is_fenced_off(ez_status status, const ez_error *error) {
    return status == EZ_ABORTED && strcmp(error->reason, "LEASE_LOST") == 0;
}

// One run and, where there is something to keep, one commit.
static ez_status run_and_commit(ez_writer *writer, bool is_first_run, ez_error *error) {
    for (size_t i = 0; i < writer->item_count; i++)
        prepare(writer, &writer->items[i], is_first_run);
    group_pass run = run_items(writer);
    if (!run.has_changes && run.records == 0)
        return ez_refusals_check(writer, error);
    return commit_once(writer, &run, error);
}

// A server that is busy commits again before one that was overtaken has read what it did; so the latter makes it wait.
// That is a courtesy: where the store can't, the group is as likely to be overtaken as before.
static ez_status catch_up(ez_writer *writer, int overtaken, ez_error *error) {
    if (overtaken >= EZ_GROUP_HOLDS)
        (void)!ez_store_hold_head(writer->options.store, NULL);
    return ez_writer_catch_up(writer, error);
}

void ez_group_run(ez_writer *writer, size_t *used) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = EZ_OK;
    bool was_overtaken = false;
    for (size_t i = 0; i < writer->item_count; i++)
        ez_buf_init(&writer->items[i].sealed, EZ_CALL_MAX + EZ_SEAL_OVERHEAD);
    drop_fenced(writer, fence_of(writer));
    for (int tries = 0; tries < EZ_GROUP_RETRIES; tries++) {
        status = run_and_commit(writer, tries == 0, &error);
        ez_overlay_clear(writer->overlay);
        if (is_fenced_off(status, &error)) {
            drop_fenced(writer, UINT64_MAX);
            continue;
        }
        was_overtaken = is_overtaken(status, &error);
        if (!was_overtaken)
            break;
        status = catch_up(writer, tries + 1, &error);
        if (status != EZ_OK)
            break;
        status =
            ez_error_set(&error, EZ_ABORTED, "CONTENTION", "other servers kept changing the configuration: try again");
    }
    ez_store_release_head(writer->options.store); // where nothing was left to commit
    if (status != EZ_OK) {
        ez_refusals_after_failure(writer, was_overtaken);
        fail_unsettled(writer, &error);
    }
    *used = writer->item_count;
    for (size_t i = 0; i < *used; i++)
        answer(&writer->items[i]);
}
