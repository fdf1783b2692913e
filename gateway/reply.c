// SPDX-License-Identifier: Apache-2.0
//
// Reply of a call → HTTP response. The entity tag is the resource's own revision where the reply has one, so that ETag,
// If-Match and If-None-Match speak of the same number as the change feed. The awkward case: Location of what was made.
// The route it was made by need not be the one it is read by (POST /admin/masters/{id}/keys, GET /admin/keys/{id}): the
// service's own Get route is taken then.
#include <inttypes.h>
#include <string.h>

#include "gateway/transcode.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

// The value of a single 64-bit integer field with this name; false where the message has none, or it is 0.
static bool find_number(const ez_message_rule *rule, const ProtobufCMessage *message, const char *name,
                        ProtobufCType type, uint64_t *out) {
    const ez_field_rule *field = ez_field_rule_find(rule, name);
    if (!field)
        return false;
    const ProtobufCFieldDescriptor *place = &rule->descriptor->fields[field->index];
    if (place->type != type || place->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    memcpy(out, (const char *)message + place->offset, sizeof *out);
    return *out != 0;
}

static bool is_get_of(const ez_route *route, const ez_method *maker) {
    return route->verb == EZ_VERB_GET && route->method->reply == maker->reply && route->segment_count > 1 &&
           route->segments[route->segment_count - 1].param && strcmp(route->method->service, maker->service) == 0;
}

// The path under which what maker made can be read, without the id; NULL where there is none. A longer match wins: the
// collection it was made in, rather than another of the same service.
static const char *collection_of(const ez_route *maker, size_t *len) {
    const char *found = NULL;
    for (unsigned i = 0; i < ez_route_count; i++) {
        const ez_route *route = &ez_routes[i];
        if (!is_get_of(route, maker->method))
            continue;
        size_t stem = (size_t)(strrchr(route->path, '/') - route->path);
        bool is_same = stem == strlen(maker->path) && memcmp(route->path, maker->path, stem) == 0;
        bool has_other_params = memchr(route->path, '{', stem) != NULL;
        if (is_same || (!found && !has_other_params)) {
            found = route->path;
            *len = stem;
        }
        if (is_same)
            break;
    }
    return found && memchr(found, '{', *len) == NULL ? found : NULL;
}

static void put_location(const ez_transcoded *call, const ProtobufCMessage *message, ez_arena *arena,
                         ez_http_response *out) {
    uint64_t id;
    size_t len = 0;
    if (!find_number(call->method->reply, message, "id", PROTOBUF_C_TYPE_INT64, &id))
        return;
    const char *path = collection_of(call->route, &len);
    if (path)
        ez_http_response_add(out, "Location", ez_arena_printf(arena, "%.*s/%" PRId64, (int)len, path, (int64_t)id));
}

static void put_headers(const Ez__V1__ReplyHeader *header, ez_arena *arena, ez_http_response *out) {
    if (header->revision)
        ez_http_response_add(out, "X-EZ-Revision", ez_arena_printf(arena, "%" PRIu64, header->revision->n));
    if (header->applied)
        ez_http_response_add(out, "X-EZ-Applied",
                             ez_arena_printf(arena, "%u/%u", header->applied->planes, header->applied->of));
}

ez_status ez_transcode_reply(const ez_transcoded *call, const ez_http_request *in, const Ez__V1__ReplyHeader *header,
                             ez_slice message, ez_arena *arena, ez_buf *body, ez_http_response *out, ez_error *error) {
    const ez_method *method = call->method;
    out->status = method->http_status;
    put_headers(header, arena, out);
    if (out->status == 204)
        return EZ_OK;
    ProtobufCMessage *reply = NULL;
    if (ez_message_decode_reply(method->reply, message.data, message.len, arena, &reply, error) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "REPLY_INVALID",
                            "the core's reply to %s can't be read; are core and gateway of one version?", method->name);
    uint64_t revision;
    if (find_number(method->reply, reply, "revision", PROTOBUF_C_TYPE_UINT64, &revision)) {
        char *tag = ez_arena_printf(arena, "\"%" PRIu64 "\"", revision);
        ez_http_response_add(out, "ETag", tag);
        char number[24] = "";
        if (tag)
            (void)memcpy(number, tag + 1, strlen(tag) - 2);
        if (in->verb == EZ_VERB_GET && ez_http_none_match_has(in->if_none_match, number)) {
            out->status = 304;
            return EZ_OK;
        }
    }
    if (out->status == 201)
        put_location(call, reply, arena, out);
    // The line end is for people: without it a shell's prompt stands behind the last brace.
    if (ez_json_write(method->reply, reply, method->reveals, body) != EZ_OK || ez_buf_putc(body, '\n') != EZ_OK)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                            "the reply is too large; ask for a smaller page with page_size");
    out->content_type = "application/json";
    out->body = (ez_text){(const char *)body->data, body->len};
    return EZ_OK;
}

// The path as whoever wrote the body knows it.
static const char *within_body(const ez_transcoded *call, const char *path) {
    const ez_field_rule *body = call->route ? call->route->body : NULL;
    size_t len = body ? strlen(body->name) : 0;
    return len > 0 && strncmp(path, body->name, len) == 0 && path[len] == '.' ? path + len + 1 : path;
}

void ez_transcode_reply_error(const ez_transcoded *call, const Ez__V1__ReplyHeader *header, ez_error *error) {
    // The message of a violation begins with its path.
    const char *message = header->n_violations > 0 ? within_body(call, header->message) : header->message;
    (void)ez_error_set(error, (ez_status)header->code, header->reason, "%s", message);
    error->violation_count = 0;
    for (size_t i = 0; i < header->n_violations && i < EZ_ERROR_VIOLATIONS_MAX; i++) {
        ez_violation *to = &error->violations[error->violation_count++];
        const Ez__V1__FieldViolation *from = header->violations[i];
        (void)strncpy(to->field, within_body(call, from->field), sizeof to->field - 1);
        to->field[sizeof to->field - 1] = '\0';
        (void)strncpy(to->description, from->description, sizeof to->description - 1);
        to->description[sizeof to->description - 1] = '\0';
    }
}
