// SPDX-License-Identifier: Apache-2.0
//
// A server that was asleep for so long that the store has forgotten changes it had not read can't follow the feed any
// more. It reads every row instead: what differs is put, what is gone is removed, the feed skips to the head, and data
// planes take a snapshot. Readers are served all the time, by rows of either side.
//
// Awkward: the rows are read one kind after the other while others may commit. So the head is read before them: changes
// behind it come again by the feed, and applying one twice does no harm. Only the digest is not that revision's then,
// so it is told only where the head stood still.
#include <string.h>

#include "proto/crypto/digest.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/entry.h"
#include "server/state/directory/group.h"

typedef struct sweep {
    ez_directory *directory;
    int kind;
    int64_t last_id; // of the row before
} sweep;

// Removes what the directory has between the last row and this one.
static void remove_between(const sweep *at, int64_t id) {
    const ez_entry *entry;
    while ((entry = ez_directory_next(at->directory, at->kind, at->last_id, false)) && ez_entry_id(entry) < id)
        ez_directory_remove(at->directory, at->kind, ez_entry_id(entry));
}

static ez_status sweep_row(void *user, const ez_store_row *row, ez_error *error) {
    sweep *at = user;
    remove_between(at, row->id);
    at->last_id = row->id;
    const ez_entry *there = ez_directory_get(at->directory, at->kind, row->id);
    if (there && ez_entry_revision(there) == row->revision)
        return EZ_OK;
    ez_entry *entry =
        ez_entry_create(at->kind, row->id, row->revision, row->secret_version, row->data.len, row->sealed);
    if (!entry)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory to read the store anew");
    if (row->data.len > 0)
        memcpy(ez_entry_bytes(entry), row->data.data, row->data.len);
    ez_status status = ez_directory_reserve(at->directory, entry, error);
    if (status == EZ_OK)
        ez_directory_put(at->directory, entry);
    else
        ez_entry_destroy(entry);
    return status;
}

ez_status ez_writer_resync(ez_writer *writer, ez_error *error) {
    ez_directory *directory = writer->options.directory;
    ez_store_head before, after;
    ez_status status = ez_store_read_head(writer->options.store, &before, error);
    ez_directory_enter();
    for (int kind = 1; status == EZ_OK && kind < EZ_KIND_COUNT; kind++) {
        sweep at = {directory, kind, 0};
        status = ez_store_each_row(writer->options.store, kind, sweep_row, &at, error);
        if (status == EZ_OK)
            remove_between(&at, INT64_MAX);
    }
    ez_directory_leave();
    if (status == EZ_OK)
        status = ez_store_read_head(writer->options.store, &after, error);
    if (status != EZ_OK)
        return status;
    uint8_t digest[EZ_DIGEST_LEN];
    uint64_t rows;
    ez_directory_digest(directory, digest, &rows);
    ez_feed_skip(writer->options.feed, before.n, after.n == before.n ? digest : NULL, ez_clock_wall_ns());
    writer->head = before;
    ez_log_warn("the store had forgotten changes this server had not read: every row was read anew");
    return EZ_OK;
}
