// SPDX-License-Identifier: Apache-2.0
//
// Field by field; what is not named here is not kept.
#include "server/domain/logs/record.h"

#include <string.h>

#include "server/state/directory/stamp.h"

static ez_slice slice(const char *text) {
    return (ez_slice){(const uint8_t *)text, strlen(text)};
}

void ez_record_to_row(const Ez__V1__LogRecord *record, ez_log_row *out) {
    *out = (ez_log_row){.time_ns = record->time ? ez_stamp_ns(record->time) : 0,
                        .master_id = record->master_id,
                        .key_id = record->key_id,
                        .group_id = record->group_id,
                        .api_key_id = record->api_key_id,
                        .request_id = slice(record->request_id),
                        .namespace = slice(record->namespace_),
                        .model = slice(record->model),
                        .upstream_model = slice(record->upstream_model),
                        .provider_type = slice(record->provider_type),
                        .client_ip = slice(record->client_ip),
                        .error_message = slice(record->error_message),
                        .status_code = record->status_code,
                        .latency_ms = record->latency_ms,
                        .ttft_ms = record->ttft_ms,
                        .tokens_in = record->tokens_in,
                        .tokens_out = record->tokens_out,
                        .cached_tokens = record->cached_tokens,
                        .reasoning_tokens = record->reasoning_tokens,
                        .cost_nano_usd = record->cost_nano_usd,
                        .request_bytes = record->request_bytes,
                        .response_bytes = record->response_bytes,
                        .stream = record->stream,
                        .body = {record->request_body.data, record->request_body.len}};
}

static char *text(ez_slice slice, ez_arena *arena) {
    return ez_arena_strndup(arena, slice.data ? (const char *)slice.data : "", slice.len);
}

static void copy_numbers(const ez_log_row *row, Ez__V1__LogRecord *out) {
    out->id = row->id;
    out->master_id = row->master_id;
    out->key_id = row->key_id;
    out->status_code = row->status_code;
    out->latency_ms = row->latency_ms;
    out->ttft_ms = row->ttft_ms;
    out->tokens_in = row->tokens_in;
    out->tokens_out = row->tokens_out;
    out->cached_tokens = row->cached_tokens;
    out->reasoning_tokens = row->reasoning_tokens;
    out->cost_nano_usd = row->cost_nano_usd;
    out->request_bytes = row->request_bytes;
    out->response_bytes = row->response_bytes;
    out->stream = row->stream;
}

static bool copy_provider(const ez_log_row *row, Ez__V1__LogRecord *out, ez_arena *arena) {
    out->group_id = row->group_id;
    out->api_key_id = row->api_key_id;
    out->data_plane_id = row->data_plane_id;
    out->upstream_model = text(row->upstream_model, arena);
    out->provider_type = text(row->provider_type, arena);
    return out->upstream_model && out->provider_type;
}

Ez__V1__LogRecord *ez_record_from_row(const ez_log_row *row, bool is_own, ez_arena *arena) {
    Ez__V1__LogRecord *out = ez_arena_alloc(arena, sizeof *out);
    if (!out)
        return NULL;
    ez__v1__log_record__init(out);
    copy_numbers(row, out);
    out->time = ez_stamp_make(row->time_ns, arena);
    out->received_at = row->received_ns ? ez_stamp_make(row->received_ns, arena) : NULL;
    out->request_id = text(row->request_id, arena);
    out->namespace_ = text(row->namespace, arena);
    out->model = text(row->model, arena);
    out->client_ip = text(row->client_ip, arena);
    out->error_message = text(row->error_message, arena);
    bool has_all = out->time && (out->received_at || !row->received_ns) && out->request_id && out->namespace_ &&
                   out->model && out->client_ip && out->error_message;
    if (row->body.len > 0) {
        out->request_body.data = ez_arena_memdup(arena, row->body.data, row->body.len);
        out->request_body.len = row->body.len;
        has_all = has_all && out->request_body.data;
    }
    has_all = has_all && (is_own || copy_provider(row, out, arena));
    return has_all ? out : NULL;
}
