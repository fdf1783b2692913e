// SPDX-License-Identifier: Apache-2.0
//
// A stored alert as a message. Texts are copied: the row's may be the store's.
#include "server/domain/alerts/inside.h"
#include "server/state/directory/stamp.h"

// False: no memory.
static bool put_texts(const ez_alert_row *row, ez_arena *arena, Ez__V1__Alert *out) {
    const struct {
        const char *from;
        char **to;
    } texts[] = {
        {row->title, &out->title},
        {row->message, &out->message},
        {row->related_type, &out->related_type},
        {row->related_name, &out->related_name},
        {row->metadata, &out->metadata},
        {row->fingerprint, &out->fingerprint},
        {row->acknowledged_by, &out->acknowledged_by},
        {row->resolved_by, &out->resolved_by},
        {row->note, &out->note},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i].to = ez_arena_strdup(arena, texts[i].from);
        if (!*texts[i].to)
            return false;
    }
    return true;
}

static bool put_times(const ez_alert_row *row, ez_arena *arena, Ez__V1__Alert *out) {
    const struct {
        int64_t from;
        Google__Protobuf__Timestamp **to;
    } times[] = {
        {row->first_seen_ns, &out->first_seen_at},
        {row->last_seen_ns, &out->last_seen_at},
        {row->acknowledged_ns, &out->acknowledged_at},
        {row->resolved_ns, &out->resolved_at},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (!times[i].from)
            continue;
        *times[i].to = ez_stamp_make(times[i].from, arena);
        if (!*times[i].to)
            return false;
    }
    return true;
}

Ez__V1__Alert *ez_alert_message(const ez_alert_row *row, ez_arena *arena) {
    Ez__V1__Alert *out = ez_arena_alloc(arena, sizeof *out);
    if (!out)
        return NULL;
    ez__v1__alert__init(out);
    out->id = row->id;
    out->type = (Ez__V1__AlertType)row->type;
    out->severity = (Ez__V1__AlertSeverity)row->severity;
    out->status = (Ez__V1__AlertStatus)row->status;
    out->related_id = row->related_id;
    out->related_missing = row->related_missing;
    out->count = row->count;
    return put_texts(row, arena, out) && put_times(row, arena, out) ? out : NULL;
}
