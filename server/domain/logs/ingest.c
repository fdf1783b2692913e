// SPDX-License-Identifier: Apache-2.0
//
// Log records come in. The handler turns a request into rows and judges their times; the appender stores them, and the
// call's answer is written when that is durable. A record whose time can't be right is refused alone: a data plane
// sends its batch again until it is taken, and one bad clock must not hold up the rest for ever. So is one that names
// another master than its key's: that tenant would read what is not its own.
//
// Awkward: ids that are not known here are kept as they are. A record may arrive after its key was deleted. A key
// without its master, or an API key without its group, gets the one it has here: else a tenant would not see it.
#include <stdio.h>

#include "proto/runtime/wire.h"
#include "server/domain/logs/inside.h"
#include "server/domain/logs/record.h"
#include "server/state/metering/appender.h"

#define AHEAD_MAX_NS (3600 * NS_PER_S)
#define BODY_MAX     (64u << 10)
#define REFUSED_MAX  100 // told by name

enum { F_OWNER = 2 }; // Key.master_id, ApiKey.group_id

// From the handler to the answer.
typedef struct note {
    Ez__V1__RefusedRecord **refused;
    size_t refused_shown;
    int32_t refused_count;
} note;

static ez_status refuse(note *n, size_t index, const char *reason, const char *message, ez_arena *arena) {
    n->refused_count++;
    if (n->refused_shown == REFUSED_MAX)
        return EZ_OK;
    Ez__V1__RefusedRecord *refused = ez_arena_alloc(arena, sizeof *refused);
    if (!refused)
        return EZ_RESOURCE_EXHAUSTED;
    ez__v1__refused_record__init(refused);
    refused->index = (int32_t)index;
    refused->reason = (char *)reason;
    refused->message = (char *)message;
    n->refused[n->refused_shown++] = refused;
    return EZ_OK;
}

// What is judged by, once for a batch.
typedef struct judge {
    const ez_directory *directory;
    int64_t now_ns, oldest_ns;
    bool keeps_bodies;
    int64_t data_plane_id;
} judge;

int64_t ez_logs_owner_of(const ez_directory *directory, int kind, int64_t id) {
    const ez_entry *entry = id ? ez_directory_get(directory, kind, id) : NULL;
    ez_wire_field found = {0};
    if (entry) {
        ez_slice data = ez_entry_data(entry);
        (void)ez_wire_find(data.data, data.len, F_OWNER, &found);
    }
    return (int64_t)found.varint;
}

// False: the key is known, and another master's than the record says.
static bool settle_master(const judge *by, ez_log_row *row) {
    int64_t owner = ez_logs_owner_of(by->directory, EZ__V1__KIND__KIND_KEY, row->key_id);
    if (!row->master_id)
        row->master_id = owner;
    return !owner || owner == row->master_id;
}

static void complete(const judge *by, ez_log_row *row) {
    if (!row->group_id)
        row->group_id = ez_logs_owner_of(by->directory, EZ__V1__KIND__KIND_API_KEY, row->api_key_id);
    row->received_ns = by->now_ns;
    row->data_plane_id = by->data_plane_id;
    if (!by->keeps_bodies)
        row->body = (ez_slice){0};
    else if (row->body.len > BODY_MAX)
        row->body.len = BODY_MAX;
}

static ez_status make_rows(const judge *by, const Ez__V1__IngestLogsRequest *request, ez_log_row *rows, size_t *count,
                           note *n, ez_call *call) {
    ez_status status = EZ_OK;
    for (size_t i = 0; status == EZ_OK && i < request->n_records; i++) {
        ez_log_row *row = &rows[*count];
        if (!request->records[i]->time) {
            char field[48];
            snprintf(field, sizeof field, "records[%zu].time", i);
            return ez_error_violation(&call->error, field, "is required");
        }
        ez_record_to_row(request->records[i], row);
        if (row->time_ns > by->now_ns + AHEAD_MAX_NS) {
            status = refuse(n, i, "TIME_IN_FUTURE", "more than an hour ahead of the server's clock", &call->arena);
        } else if (row->time_ns < by->oldest_ns) {
            status = refuse(n, i, "TIME_TOO_OLD", "older than records are kept", &call->arena);
        } else if (!settle_master(by, row)) {
            status = refuse(n, i, "KEY_OF_ANOTHER_MASTER", "its key is not a key of its master_id", &call->arena);
        } else {
            complete(by, row);
            ++*count;
        }
    }
    return status == EZ_OK ? EZ_OK : ez_no_memory(&call->error);
}

static ez_status on_stored(void *user, ez_append *append) {
    ez_logs *self = user;
    const note *n = append->note;
    Ez__V1__IngestLogsResponse reply = EZ__V1__INGEST_LOGS_RESPONSE__INIT;
    reply.repeated = ez_mark_is_repeated(&append->mark);
    if (!reply.repeated) {
        reply.stored = (int32_t)append->row_count;
        reply.refused = n->refused;
        reply.n_refused = n->refused_shown;
        reply.refused_count = n->refused_count;
        if (append->row_count > 0 && self->options.stored)
            self->options.stored(self->options.stored_user, append->logs, append->row_count);
        ez_sample_publish(&self->sample, self->options.events, self->options.sample_per_second, append->logs,
                          append->row_count, append->call->time_ns);
    }
    return ez_call_reply(append->call, &reply.base);
}

ez_status ez_handle_logs_ingest(ez_logs *self, ez_call *call, ez_append *append, Ez__V1__IngestLogsRequest *request) {
    ez_log_features features;
    ez_status status = ez_append_mark(append, request->epoch, request->sequence);
    if (status == EZ_OK)
        status = ez_logs_features(self, &features, &call->error);
    if (status != EZ_OK)
        return status;
    // When it arrived, not when its turn came: waiting makes no record too old.
    judge by = {.directory = self->options.directory,
                .now_ns = call->time_ns,
                .oldest_ns = call->time_ns - features.retention_days * DAY_NS,
                .keeps_bodies = features.keeps_bodies,
                .data_plane_id = call->principal.id};
    note *n = ez_arena_zalloc(&call->arena, sizeof *n);
    ez_log_row *rows = ez_arena_alloc(&call->arena, (request->n_records + 1) * sizeof *rows);
    if (!n || !rows)
        return ez_no_memory(&call->error);
    n->refused = ez_arena_alloc(&call->arena, REFUSED_MAX * sizeof(Ez__V1__RefusedRecord *));
    if (!n->refused)
        return ez_no_memory(&call->error);
    size_t count = 0;
    ez_directory_enter();
    status = make_rows(&by, request, rows, &count, n, call);
    ez_directory_leave();
    if (status != EZ_OK)
        return status;
    append->logs = rows;
    append->row_count = count;
    append->committed = on_stored;
    append->note = n;
    return EZ_OK;
}
