// SPDX-License-Identifier: Apache-2.0
//
// From a report to what is stored: defaults, the fingerprint, and what the directory knows of the thing it is about.
//
// Awkward: custom alerts that are about nothing would all have one fingerprint; their titles tell them apart.
#include <stdio.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/format.h"
#include "proto/runtime/utf8.h"
#include "proto/runtime/wire.h"
#include "server/domain/alerts/inside.h"
#include "server/state/directory/audit_text.h"

enum { TITLE_MAX = 255, MESSAGE_MAX = 4096, WORD_MAX = 64, NAME_MAX_BYTES = 255, META_MAX = 8192, PRINT_MAX = 128 };

// By Ez__V1__AlertType: as in a fingerprint, and as a title.
static const struct type_words {
    const char *word, *title;
} types[EZ_ALERT_TYPES] = {
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_UNSPECIFIED] = {"", "Alert"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_RATE_LIMIT] = {"rate_limit", "Rate limit reached"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_ERROR_SPIKE] = {"error_spike", "Many errors"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED] = {"quota_exceeded", "Quota used up"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN] = {"provider_down", "Provider down"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_DISABLED] = {"key_disabled", "Key disabled"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED] = {"key_expired", "Key expired"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_TOKEN_REFRESH_FAILED] = {"token_refresh_failed", "Token refresh failed"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_CONFIG_REJECTED] = {"config_rejected", "Configuration rejected"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_SYNC_FAILED] = {"sync_failed", "Synchronisation failed"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_DATA_PLANE_LOST] = {"data_plane_lost", "Data plane lost"},
    [EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM] = {"custom", "Alert"},
};

// What a related_type may name in the directory, and the field with its name.
static const struct related {
    const char *word;
    int kind;
    uint32_t name_field;
} relateds[] = {
    {"master", EZ__V1__KIND__KIND_MASTER, 2},         {"key", EZ__V1__KIND__KIND_KEY, 3},
    {"api_key", EZ__V1__KIND__KIND_API_KEY, 3},       {"provider_group", EZ__V1__KIND__KIND_PROVIDER_GROUP, 2},
    {"data_plane", EZ__V1__KIND__KIND_DATA_PLANE, 2},
};

static bool given(const char *text) {
    return text && text[0];
}

static int type_of(Ez__V1__AlertType type) {
    return (int)type > 0 && (int)type < EZ_ALERT_TYPES ? (int)type : EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM;
}

// A copy of at most max bytes, cut between characters.
static const char *cut(const char *text, size_t max, ez_arena *arena) {
    size_t len = text ? strlen(text) : 0, kept = len;
    if (len > max) {
        kept = 0;
        for (size_t size; (size = ez_utf8_next(text + kept, len - kept, NULL)) > 0 && kept + size <= max;)
            kept += size;
    }
    return ez_arena_strndup(arena, text ? text : "", kept);
}

const char *ez_alert_fingerprint(const ez_alert_subject *subject, const char *title, ez_arena *arena) {
    if (given(subject->fingerprint))
        return cut(subject->fingerprint, PRINT_MAX, arena);
    int type = type_of(subject->type);
    char id[24];
    int id_len = snprintf(id, sizeof id, "%lld", (long long)subject->related_id);
    const char *word = types[type].word, *about = subject->related_type ? subject->related_type : "";
    bool is_bare = type == EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM && !about[0] && !subject->related_id;
    const ez_sha256_part parts[] = {{word, strlen(word)},
                                    {"|", 1},
                                    {about, strlen(about)},
                                    {"|", 1},
                                    {id, (size_t)id_len},
                                    {"|", 1},
                                    {title, title ? strlen(title) : 0}};
    uint8_t hash[EZ_SHA256_LEN];
    char hex[2 * EZ_SHA256_LEN + 1];
    ez_sha256_parts(parts, is_bare && given(title) ? 7 : 5, hash);
    ez_hex(hash, sizeof hash, hex);
    return ez_arena_strdup(arena, hex);
}

// Takes the name from the directory where the reporter has none, and marks what is not there.
static bool look_up(const ez_alerts *self, ez_alert_row *row, ez_arena *arena) {
    for (size_t i = 0; i < sizeof relateds / sizeof relateds[0]; i++) {
        if (!row->related_id || strcmp(row->related_type, relateds[i].word) != 0)
            continue;
        ez_directory_enter();
        const ez_entry *entry = ez_directory_get(self->options.directory, relateds[i].kind, row->related_id);
        ez_wire_field name = {0};
        ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){0};
        row->related_missing = !entry;
        if (entry && !row->related_name[0] && ez_wire_find(data.data, data.len, relateds[i].name_field, &name))
            row->related_name = ez_arena_strndup(arena, (const char *)name.bytes.data, name.bytes.len);
        ez_directory_leave();
    }
    return row->related_name != NULL;
}

static const char *metadata_of(const char *text, ez_arena *arena) {
    size_t len = text ? strlen(text) : 0;
    bool fits = len > 0 && len <= META_MAX && !ez_format_fault(EZ_FORMAT_JSON_OBJECT, text, len);
    return ez_arena_strdup(arena, fits ? text : "");
}

// The report as the audit shows it.
static const char *text_of(const ez_alert_row *row, ez_arena *arena) {
    Ez__V1__AlertReport report = EZ__V1__ALERT_REPORT__INIT;
    report.type = (Ez__V1__AlertType)row->type;
    report.severity = (Ez__V1__AlertSeverity)row->severity;
    report.title = (char *)row->title;
    report.message = (char *)row->message;
    report.related_type = (char *)row->related_type;
    report.related_id = row->related_id;
    report.related_name = (char *)row->related_name;
    report.metadata = (char *)row->metadata;
    report.fingerprint = (char *)row->fingerprint;
    return ez_audit_text(&report.base, protobuf_c_message_get_packed_size(&report.base), arena);
}

ez_status ez_alert_op_fill(const ez_alerts *self, const ez_alert_report *report, ez_arena *arena, ez_alert_op *out,
                           ez_error *error) {
    *out = (ez_alert_op){.act = EZ_ALERT_REPORT};
    ez_alert_row *row = &out->row;
    row->type = type_of(report->type);
    row->severity = report->severity ? (int32_t)report->severity : EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING;
    row->title = cut(given(report->title) ? report->title : types[row->type].title, TITLE_MAX, arena);
    row->message = cut(report->message, MESSAGE_MAX, arena);
    row->related_type = cut(report->related_type, WORD_MAX, arena);
    row->related_id = report->related_id;
    row->related_name = cut(report->related_name, NAME_MAX_BYTES, arena);
    row->metadata = metadata_of(report->metadata, arena);
    row->acknowledged_by = row->resolved_by = row->note = "";
    if (!row->title || !row->message || !row->related_type || !row->related_name || !row->metadata)
        return ez_no_memory(error);
    ez_alert_subject subject = {.type = (Ez__V1__AlertType)row->type,
                                .related_type = row->related_type,
                                .related_id = row->related_id,
                                .fingerprint = report->fingerprint};
    row->fingerprint = ez_alert_fingerprint(&subject, report->title, arena);
    bool has_name = look_up(self, row, arena);
    out->request = row->fingerprint && has_name ? text_of(row, arena) : NULL;
    return out->request ? EZ_OK : ez_no_memory(error);
}
