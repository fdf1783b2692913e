// SPDX-License-Identifier: Apache-2.0
//
// HTTP request → call. What a caller may say twice is settled here: the path wins over the body and a body that says
// another value is refused; a query parameter that the path or the body already gave is refused; one that the request
// does not have is refused by name, so that a misspelt filter never returns everything. The awkward case: partial
// updates. protobuf can't tell absent from zero, so the update mask is made of the names the JSON body holds.
#include "gateway/transcode.h"

#include <string.h>

#include "proto/runtime/json.h"
#include "proto/runtime/message.h"
#include "proto/runtime/utf8.h"

#define CLIENT_MAX      128
#define TRACEPARENT_LEN 55

// What is known while one request is read.
typedef struct reading {
    const ez_router_match *match;
    const ez_http_request *in;
    ez_arena *arena;
    ez_transcoded *out;
    ez_error *error;
    uint64_t given;    // request fields (by index, below 64) that a query parameter gave
    ez_json_mask mask; // names the body gave
    bool has_update_mask;
} reading;

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the request is too large to be processed");
}

static ProtobufCMessage *new_message(const ez_message_rule *rule, ez_arena *arena) {
    ProtobufCMessage *made = ez_arena_zalloc(arena, rule->descriptor->sizeof_message);
    if (made)
        rule->descriptor->message_init(made);
    return made;
}

static void *member(ProtobufCMessage *message, const ez_field_rule *field) {
    return (char *)message + message->descriptor->fields[field->index].offset;
}

// Path parameters are single scalars.
static bool is_same_scalar(ProtobufCMessage *a, ProtobufCMessage *b, const ez_field_rule *field) {
    const char *text_a, *text_b;
    switch (a->descriptor->fields[field->index].type) {
    case PROTOBUF_C_TYPE_STRING:
        memcpy(&text_a, member(a, field), sizeof text_a);
        memcpy(&text_b, member(b, field), sizeof text_b);
        return strcmp(text_a ? text_a : "", text_b ? text_b : "") == 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return memcmp(member(a, field), member(b, field), 8) == 0;
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return true;
    default:
        return memcmp(member(a, field), member(b, field), 4) == 0;
    }
}

static bool mask_has(const ez_json_mask *mask, const char *name) {
    for (size_t i = 0; i < mask->count; i++) {
        if (strcmp(mask->names[i], name) == 0)
            return true;
    }
    return false;
}

// Refuses a body that says another value for what the path says.
static ez_status check_against_path(reading *r, const ez_message_rule *rule, ProtobufCMessage *body) {
    for (unsigned i = 0; i < r->match->param_count; i++) {
        const ez_router_param *param = &r->match->params[i];
        const ez_field_rule *field = ez_field_rule_find(rule, param->field->name);
        if (!field || !mask_has(&r->mask, field->name))
            continue;
        ProtobufCMessage *wanted = new_message(rule, r->arena);
        char *text = ez_arena_strndup(r->arena, param->text.data, param->text.len);
        if (!wanted || !text)
            return no_memory(r->error);
        ez_error ignored;
        if (ez_json_set_text(field, wanted, text, r->arena, &ignored) != EZ_OK || !is_same_scalar(wanted, body, field))
            return ez_error_violation(r->error, field->name,
                                      "the body says another value than the path; leave it out of the body");
    }
    return EZ_OK;
}

static ez_status read_path(reading *r) {
    for (unsigned i = 0; i < r->match->param_count; i++) {
        const ez_router_param *param = &r->match->params[i];
        char *text = ez_arena_strndup(r->arena, param->text.data, param->text.len);
        if (!text)
            return no_memory(r->error);
        ez_status status = ez_json_set_text(param->field, r->out->request, text, r->arena, r->error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

static bool is_blank_or_empty_object(ez_text body) {
    char seen[2];
    size_t count = 0;
    for (size_t i = 0; i < body.len; i++) {
        if (body.data[i] && strchr(" \t\r\n", body.data[i]))
            continue;
        if (count == 2)
            return false;
        seen[count++] = body.data[i];
    }
    return count == 0 || (count == 2 && seen[0] == '{' && seen[1] == '}');
}

// Makes the request message, with the body in it.
static ez_status read_body(reading *r) {
    const ez_route *route = r->match->route;
    const ez_message_rule *rule = route->method->request;
    const ez_message_rule *body_rule = route->body_is_request ? rule : route->body ? route->body->message : NULL;
    ez_text text = r->in->body;
    if (!body_rule) {
        if (!is_blank_or_empty_object(text))
            return ez_error_set(r->error, EZ_INVALID_ARGUMENT, "BODY_UNEXPECTED",
                                "%s %s takes no request body; send none", ez_verb_name(route->verb), route->path);
        r->out->request = new_message(rule, r->arena);
        return r->out->request ? EZ_OK : no_memory(r->error);
    }
    if (text.len == 0)
        text = (ez_text){"{}", 2};
    ProtobufCMessage *body = NULL;
    ez_status status = ez_json_parse(body_rule, text.data, text.len, r->arena, &body, &r->mask, r->error);
    if (status == EZ_OK)
        status = check_against_path(r, body_rule, body);
    if (status != EZ_OK)
        return status;
    r->out->request = route->body_is_request ? body : new_message(rule, r->arena);
    if (!r->out->request)
        return no_memory(r->error);
    if (route->body)
        memcpy(member(r->out->request, route->body), &body, sizeof body);
    return EZ_OK;
}

static bool is_path_param(const ez_router_match *match, const ez_field_rule *field) {
    for (unsigned i = 0; i < match->param_count; i++) {
        if (match->params[i].field == field)
            return true;
    }
    return false;
}

// update_mask=name,group, topics=alerts,logs, severity=warning,critical: words, in which no comma can be, may come
// joined.
static ez_status read_joined(reading *r, const ez_field_rule *field, const char *value) {
    while (*value) {
        size_t len = strcspn(value, ",");
        char *name = ez_arena_strndup(r->arena, value, len);
        if (!name)
            return no_memory(r->error);
        ez_status status = len ? ez_json_set_text(field, r->out->request, name, r->arena, r->error) : EZ_OK;
        if (status != EZ_OK)
            return status;
        value += len + (value[len] == ',');
    }
    return EZ_OK;
}

static ez_status read_query_field(reading *r, const char *name, const char *value) {
    const ez_route *route = r->match->route;
    const ez_field_rule *field = ez_field_rule_find(route->method->request, name);
    if (!field || field == route->body)
        return ez_error_set(r->error, EZ_INVALID_ARGUMENT, "QUERY_UNKNOWN",
                            "%s %s has no query parameter \"%.64s\"; GET /docs lists those it has",
                            ez_verb_name(route->verb), route->path, name);
    if (is_path_param(r->match, field) || mask_has(&r->mask, name))
        return ez_error_set(r->error, EZ_INVALID_ARGUMENT, "QUERY_TWICE",
                            "\"%s\" is given twice: by the query and by the path or the body", name);
    const ProtobufCFieldDescriptor *of = &r->out->request->descriptor->fields[field->index];
    bool is_repeated = of->label == PROTOBUF_C_LABEL_REPEATED,
         has_words = field->one_of || of->type == PROTOBUF_C_TYPE_ENUM;
    bool is_mask = strcmp(name, "update_mask") == 0;
    r->has_update_mask = r->has_update_mask || is_mask;
    if (is_mask || (is_repeated && has_words))
        return read_joined(r, field, value);
    uint64_t bit = field->index < 64 ? 1ull << field->index : 0;
    if (!is_repeated && (r->given & bit))
        return ez_error_set(r->error, EZ_INVALID_ARGUMENT, "QUERY_TWICE", "query parameter \"%s\" is given twice",
                            name);
    r->given |= bit;
    return ez_json_set_text(field, r->out->request, value, r->arena, r->error);
}

static ez_status read_validate_only(reading *r, const char *value) {
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return ez_error_violation(r->error, "validate_only", "must be true or false");
    r->out->header.validate_only = yes;
    return EZ_OK;
}

static ez_status read_wait(reading *r, const char *value) {
    bool applied = strcmp(value, "applied") == 0;
    if (!applied && strcmp(value, "committed") != 0)
        return ez_error_violation(r->error, "wait", "must be applied or committed");
    r->out->header.wait = applied ? EZ__V1__WAIT__WAIT_APPLIED : EZ__V1__WAIT__WAIT_COMMITTED;
    return EZ_OK;
}

static ez_status read_timeout(reading *r, const char *value) {
    ez_status status = ez_http_duration(value, &r->out->timeout_ms, r->error);
    r->out->header.timeout_ms = r->out->timeout_ms;
    return status;
}

static ez_status read_query(reading *r) {
    bool is_change = r->match->route->method->effect == EZ_EFFECT_CHANGE;
    ez_text query = r->in->query;
    for (;;) {
        const char *name, *value;
        ez_status status = ez_uri_query_next(&query, r->arena, &name, &value, r->error);
        if (status != EZ_OK || !name)
            return status;
        if (strcmp(name, "timeout") == 0)
            status = read_timeout(r, value);
        else if (is_change && strcmp(name, "validate_only") == 0)
            status = read_validate_only(r, value);
        else if (is_change && strcmp(name, "wait") == 0)
            status = read_wait(r, value);
        else
            status = read_query_field(r, name, value);
        if (status != EZ_OK)
            return status;
    }
}

static ez_status set_update_mask(reading *r) {
    const ez_method *method = r->match->route->method;
    if (!method->has_update_mask || r->has_update_mask || !r->match->route->body)
        return EZ_OK;
    const ez_field_rule *field = ez_field_rule_find(method->request, "update_mask");
    const ProtobufCFieldDescriptor *place = &method->request->descriptor->fields[field->index];
    memcpy((char *)r->out->request + place->offset, &r->mask.names, sizeof r->mask.names);
    memcpy((char *)r->out->request + place->quantifier_offset, &r->mask.count, sizeof r->mask.count);
    return EZ_OK;
}

// version-trace-parent-flags, lower-case hexadecimal; anything else is left out rather than passed on.
static bool is_traceparent(const char *text) {
    static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    if (!text || strlen(text) != TRACEPARENT_LEN)
        return false;
    for (size_t i = 0; i < TRACEPARENT_LEN; i++) {
        bool fits = shape[i] == '-' ? text[i] == '-' : strchr("0123456789abcdef", text[i]) != NULL;
        if (!fits)
            return false;
    }
    return true;
}

static bool is_printable(const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c < 0x20 || *c > 0x7e)
            return false;
    }
    return true;
}

static ez_status read_credential(const ez_http_request *in, ez_transcoded *out, ez_error *error) {
    const char *text = in->authorization;
    if (!text)
        return EZ_OK;
    if (strlen(text) > EZ_HTTP_AUTHORIZATION_MAX || !is_printable(text))
        return ez_error_set(error, EZ_UNAUTHENTICATED, "TOKEN_INVALID",
                            "the Authorization header is not \"Bearer\" and a token");
    out->header.authorization = (char *)text;
    return EZ_OK;
}

static ez_status read_headers(const ez_http_request *in, const char *request_id, ez_arena *arena, ez_transcoded *out,
                              ez_error *error) {
    ez__v1__call_header__init(&out->header);
    out->timeout_ms = out->method->timeout_ms;
    out->header.method = (char *)out->method->name;
    out->header.request_id = (char *)request_id;
    if (in->remote)
        out->header.remote = (char *)in->remote;
    if (is_traceparent(in->traceparent))
        out->header.traceparent = (char *)in->traceparent;
    if (in->user_agent && ez_utf8_is_valid(in->user_agent, strlen(in->user_agent))) {
        size_t len = ez_utf8_cut(in->user_agent, strlen(in->user_agent), CLIENT_MAX);
        out->header.client = ez_arena_strndup(arena, in->user_agent, len);
        if (!out->header.client)
            return no_memory(error);
    }
    if (in->idempotency_key) {
        size_t len = strlen(in->idempotency_key);
        if (len == 0 || len > EZ_HTTP_IDEMPOTENCY_KEY_MAX || !is_printable(in->idempotency_key))
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "IDEMPOTENCY_KEY_INVALID",
                                "the Idempotency-Key header must be 1 to %d printable ASCII characters",
                                EZ_HTTP_IDEMPOTENCY_KEY_MAX);
        out->header.idempotency_key = (char *)in->idempotency_key;
    }
    if (out->method->effect == EZ_EFFECT_CHANGE) {
        ez_status status = ez_http_if_match(in->if_match, &out->header.if_match, error);
        if (status != EZ_OK)
            return status;
    }
    // With If-Match a change that was made would be refused when it comes again.
    out->is_safe = (out->method->idempotent && out->header.if_match == 0) || in->idempotency_key;
    return read_credential(in, out, error);
}

ez_status ez_transcode_request(const ez_router_match *match, const ez_http_request *in, const char *request_id,
                               ez_arena *arena, ez_transcoded *out, ez_error *error) {
    reading r = {.match = match, .in = in, .arena = arena, .out = out, .error = error};
    *out = (ez_transcoded){.method = match->route->method, .route = match->route};
    ez_status status = read_headers(in, request_id, arena, out, error);
    if (status == EZ_OK)
        status = read_body(&r);
    if (status == EZ_OK)
        status = read_path(&r);
    if (status == EZ_OK)
        status = read_query(&r);
    return status == EZ_OK ? set_update_mask(&r) : status;
}

ez_status ez_transcode_own(const ez_method *method, const ez_http_request *in, const char *request_id, ez_arena *arena,
                           ez_transcoded *out, ez_error *error) {
    *out = (ez_transcoded){.method = method};
    ez_status status = read_headers(in, request_id, arena, out, error);
    if (status != EZ_OK)
        return status;
    out->request = new_message(method->request, arena);
    return out->request ? EZ_OK : no_memory(error);
}

ez_status ez_transcode_frame(const ez_transcoded *call, ez_buf *out, ez_error *error) {
    ez_status status = ez_frame_write_call(out, &call->header);
    if (status == EZ_OK)
        status = ez_buf_pack(out, call->request);
    if (status != EZ_OK || out->len > EZ_CALL_MAX - EZ_TRANSCODE_SLACK)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE",
                            "the request is larger than a call may be (4 MiB); send it in several parts");
    return EZ_OK;
}
