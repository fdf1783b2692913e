// SPDX-License-Identifier: Apache-2.0
//
// What the writer does when the store knows more than it: another server committed, or the connection broke in the
// middle of a commit. Either way the store's change feed tells; what is read there is applied and fed exactly as if it
// had been committed here.
//
// Awkward: "did my commit happen?" can't be read off the head alone where other servers write too, so the changes of
// the revisions in question are compared with ours, times in nanoseconds included.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/digest.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/entry.h"
#include "server/state/directory/group.h"

#define SETTLE_MS 30000
#define PAUSE_MS  200
#define SLICE     64 // revisions applied at once

void ez_writer_apply(ez_writer *writer, ez_entry *const *entries, const ez_store_change *changes, size_t count,
                     uint64_t to, bool ack_now) {
    ez_directory *directory = writer->options.directory;
    // Within a section, so that entries which a later change of the same group replaces live until the feed has them.
    ez_directory_enter();
    for (size_t i = 0; i < count; i++) {
        if (entries[i])
            ez_directory_put(directory, entries[i]);
        else
            ez_directory_remove(directory, changes[i].kind, changes[i].id);
    }
    uint8_t digest[EZ_DIGEST_LEN];
    uint64_t rows;
    ez_directory_digest(directory, digest, &rows);
    ez_error error = EZ_ERROR_INIT;
    int64_t time_ns = count ? changes[count - 1].time_ns : ez_clock_wall_ns();
    if (ez_feed_append(writer->options.feed, to, changes, count, digest, time_ns, ack_now, &error) != EZ_OK)
        ez_log_error("the feed did not take a commit", "error", error.message);
    ez_directory_leave();
    writer->head.n = to;
}

// ---- Catching up

typedef struct incoming {
    ez_writer *writer;
    ez_entry **entries;
    ez_store_change *changes;
    size_t count, room;
    uint64_t n; // of the last change taken
} incoming;

static void batch_fini(incoming *batch) {
    for (size_t i = 0; i < batch->count; i++)
        ez_entry_destroy(batch->entries[i]);
    free(batch->entries);
    free(batch->changes);
}

// Applies what was collected; it ends with a whole revision.
static ez_status batch_flush(incoming *batch, ez_error *error) {
    if (batch->count == 0)
        return EZ_OK;
    ez_directory *directory = batch->writer->options.directory;
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->entries[i])
            continue;
        ez_status status = ez_directory_reserve(directory, batch->entries[i], error);
        if (status == EZ_OK)
            continue;
        while (i-- > 0) {
            if (batch->entries[i])
                ez_directory_unreserve(directory, batch->entries[i]);
        }
        return status;
    }
    ez_writer_apply(batch->writer, batch->entries, batch->changes, batch->count, batch->n, false);
    batch->count = 0;
    return EZ_OK;
}

static bool batch_grow(incoming *batch) {
    if (batch->count < batch->room)
        return true;
    size_t room = batch->room ? batch->room * 2 : 64;
    ez_entry **entries = realloc(batch->entries, room * sizeof *entries);
    if (entries)
        batch->entries = entries;
    ez_store_change *changes = realloc(batch->changes, room * sizeof *changes);
    if (changes)
        batch->changes = changes;
    if (!entries || !changes)
        return false;
    batch->room = room;
    return true;
}

static ez_status forgotten(uint64_t after, ez_error *error) {
    return ez_error_set(error, EZ_OUT_OF_RANGE, "REVISION_TOO_OLD",
                        "changes after revision %llu are no longer in the store", (unsigned long long)after);
}

static ez_status take_change(void *user, const ez_store_change *change, ez_error *error) {
    incoming *batch = user;
    if (change->n != batch->n && change->n != batch->n + 1)
        return forgotten(batch->n, error);
    ez_entry *entry = NULL;
    if (change->op == EZ__V1__OP__OP_PUT)
        entry = ez_entry_create(change->kind, change->id, change->n, change->secret_version, change->data.len,
                                change->sealed);
    if ((change->op == EZ__V1__OP__OP_PUT && !entry) || !batch_grow(batch)) {
        ez_entry_destroy(entry);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for another server's changes");
    }
    ez_store_change *kept = &batch->changes[batch->count];
    *kept = *change;
    if (entry) {
        if (change->data.len > 0)
            memcpy(ez_entry_bytes(entry), change->data.data, change->data.len);
        kept->data = ez_entry_data(entry);
        kept->sealed = ez_entry_sealed(entry);
    }
    batch->entries[batch->count++] = entry;
    batch->n = change->n;
    return EZ_OK;
}

// Reads and applies a few revisions. OUT_OF_RANGE where the store has forgotten some of them. It forgets a revision's
// changes in steps, but says so from the first step on: hence the look after reading, before anything is applied.
static ez_status catch_up_to(ez_writer *writer, uint64_t to, ez_error *error) {
    incoming batch = {.writer = writer, .n = writer->head.n};
    uint64_t oldest = 0;
    ez_status status = ez_store_each_change(writer->options.store, writer->head.n, to, 0, take_change, &batch, error);
    if (status == EZ_OK)
        status = ez_store_oldest_change(writer->options.store, &oldest, error);
    if (status == EZ_OK && (batch.n != to || oldest > writer->head.n + 1))
        status = forgotten(writer->head.n, error);
    if (status == EZ_OK)
        status = batch_flush(&batch, error);
    batch_fini(&batch);
    return status;
}

static ez_status catch_up(ez_writer *writer, ez_error *error) {
    ez_store_head head;
    ez_status status = ez_store_read_head(writer->options.store, &head, error);
    if (status != EZ_OK)
        return status;
    if (head.epoch != writer->head.epoch || head.n < writer->head.n)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_REPLACED",
                            "the store is not the one this server started with: restart this server");
    while (status == EZ_OK && writer->head.n < head.n) {
        uint64_t left = head.n - writer->head.n;
        status = catch_up_to(writer, writer->head.n + (left < SLICE ? left : SLICE), error);
    }
    if (status == EZ_OUT_OF_RANGE)
        return ez_writer_resync(writer, error);
    if (status == EZ_OK)
        writer->head = head;
    return status;
}

ez_status ez_writer_catch_up(ez_writer *writer, ez_error *error) {
    uint64_t now_ms = ez_clock_mono_ms(); // what is committed from here on may be missed
    ez_status status = catch_up(writer, error);
    if (status == EZ_OK)
        atomic_store(&writer->followed_ms, now_ms);
    return status;
}

// ---- A commit of unknown outcome

typedef struct comparison {
    const ez_store_commit_group *group;
    size_t at;
    bool is_other;
} comparison;

static ez_status compare_change(void *user, const ez_store_change *change, ez_error *error) {
    (void)error;
    comparison *state = user;
    if (state->at == state->group->change_count) {
        state->is_other = true;
        return EZ_OK;
    }
    const ez_store_change *ours = &state->group->changes[state->at++];
    if (ours->n != change->n || ours->kind != change->kind || ours->id != change->id || ours->op != change->op ||
        ours->time_ns != change->time_ns || ours->data.len != change->data.len ||
        (ours->data.len > 0 && memcmp(ours->data.data, change->data.data, ours->data.len) != 0))
        state->is_other = true;
    return EZ_OK;
}

static ez_settled ask(ez_writer *writer, const ez_store_commit_group *group) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_head head;
    if (ez_store_read_head(writer->options.store, &head, &error) != EZ_OK || head.epoch != group->epoch)
        return EZ_SETTLED_UNKNOWN;
    // Without a revision of its own a group holds idempotency records only: those may be lost, the calls fail.
    if (group->to == group->from || head.n <= group->from)
        return EZ_SETTLED_NO;
    comparison state = {.group = group};
    if (head.n < group->to)
        return EZ_SETTLED_MOVED;
    if (ez_store_each_change(writer->options.store, group->from, group->to, 0, compare_change, &state, &error) != EZ_OK)
        return EZ_SETTLED_UNKNOWN;
    return state.is_other || state.at != group->change_count ? EZ_SETTLED_MOVED : EZ_SETTLED_YES;
}

ez_settled ez_writer_settle(ez_writer *writer, const ez_store_commit_group *group) {
    uint64_t until = ez_clock_mono_ms() + SETTLE_MS;
    for (;;) {
        ez_settled settled = ask(writer, group);
        if (settled != EZ_SETTLED_UNKNOWN || ez_clock_mono_ms() >= until)
            return settled;
        struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}
