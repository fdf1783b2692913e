// SPDX-License-Identifier: Apache-2.0
//
// The rules here mirror what the gateway and proto/runtime/json.h do: reads never give sensitive or input_only fields,
// a call that reveals gives both, creation takes what is not output_only, an update takes what is not immutable either.
#include "tools/protoc-gen-ez/rest.h"

#include <string.h>

bool gen_view_has(const gen_field *field, gen_view view) {
    const Ez__Options__FieldRule *rule = field->rule;
    switch (view) {
    case GEN_VIEW_REPLY:
        return !rule->sensitive && !rule->input_only;
    case GEN_VIEW_INPUT:
        return !rule->output_only;
    case GEN_VIEW_PATCH:
        return !rule->output_only && !rule->immutable;
    default:
        return true;
    }
}

gen_view gen_view_within(const gen_field *field, gen_view view) {
    if (view == GEN_VIEW_REPLY || view == GEN_VIEW_REVEALED)
        return field->message->has_hidden ? view : GEN_VIEW_REPLY;
    return gen_field_find(field->owner, "update_mask") ? GEN_VIEW_PATCH : GEN_VIEW_INPUT;
}

gen_view gen_view_of_reply(const gen_rpc *rpc) {
    return rpc->rule->reveals && rpc->reply->has_hidden ? GEN_VIEW_REVEALED : GEN_VIEW_REPLY;
}

gen_view gen_view_of_body(const gen_rpc *rpc) {
    return rpc->update_mask && strcmp(rpc->rule->body, "*") ? GEN_VIEW_PATCH : GEN_VIEW_INPUT;
}

bool gen_view_always(const gen_field *field) {
    return !field->rule->omit_empty && !field->in_oneof;
}

bool gen_route_has_param(const gen_route *route, const gen_field *field) {
    for (unsigned i = 0; i < route->segment_count; i++)
        if (route->segments[i].param == field)
            return true;
    return false;
}

bool gen_route_has_query(const gen_route *route, const gen_field *field) {
    return !route->body_is_request && field != route->body && field->type != GEN_MESSAGE && !field->rule->output_only &&
           !gen_route_has_param(route, field);
}

bool gen_route_has_params(const gen_route *route) {
    for (unsigned i = 0; i < route->segment_count; i++)
        if (route->segments[i].param)
            return true;
    return false;
}

bool gen_route_has_body(const gen_route *route) {
    const gen_message *request = route->rpc->request;
    for (unsigned i = 0; route->body_is_request && i < request->field_count; i++)
        if (gen_view_has(&request->fields[i], GEN_VIEW_INPUT) && !gen_route_has_param(route, &request->fields[i]))
            return true;
    return route->body != NULL;
}

bool gen_route_wants_body(const gen_route *route) {
    const gen_message *request = route->rpc->request;
    for (unsigned i = 0; route->body_is_request && i < request->field_count; i++)
        if (request->fields[i].rule->required && !gen_route_has_param(route, &request->fields[i]))
            return true;
    return route->body != NULL;
}

unsigned gen_rpc_http_status(const gen_rpc *rpc) {
    return rpc->rule->http_status ? rpc->rule->http_status : 200;
}

bool gen_rpc_is_change(const gen_rpc *rpc) {
    return rpc->rule->effect == EZ__OPTIONS__EFFECT__CHANGE;
}

bool gen_rpc_has_etag(const gen_rpc *rpc) {
    const gen_field *revision = gen_field_find(rpc->reply, "revision");
    return revision && revision->type == GEN_UINT64 && !revision->repeated;
}

static bool names(const gen_rpc *rpc, const char *code) {
    return strstr(gen_doc_errors(rpc->doc), code) != NULL;
}

bool gen_route_may_fail(const gen_route *route, unsigned http_status) {
    const gen_rpc *rpc = route->rpc;
    switch (http_status) {
    case 401:
    case 403:
        return rpc->rule->scope != EZ__OPTIONS__SCOPE__PUBLIC;
    case 404:
        return gen_route_has_params(route) || names(rpc, "NOT_FOUND");
    case 409:
        return gen_rpc_is_change(rpc) || names(rpc, "ALREADY_EXISTS") || names(rpc, "ABORTED");
    case 412:
        return names(rpc, "FAILED_PRECONDITION");
    case 415:
        return gen_route_has_body(route);
    default:
        return true;
    }
}

static const char *find_errors(const char *doc) {
    if (!strncmp(doc, "Errors: ", 8))
        return doc;
    const char *at = strstr(doc, " Errors: ");
    return at ? at + 1 : doc + strlen(doc);
}

const char *gen_doc_errors(const char *doc) {
    const char *at = find_errors(doc);
    return *at ? at + 8 : at;
}

char *gen_doc_body(gen_pool *pool, const char *doc) {
    size_t len = (size_t)(find_errors(doc) - doc);
    while (len && doc[len - 1] == ' ')
        len--;
    return gen_pool_strndup(pool, doc, len);
}

char *gen_doc_summary(gen_pool *pool, const char *doc) {
    char *text = gen_doc_body(pool, doc);
    char *stop = strstr(text, ". ");
    size_t len = stop ? (size_t)(stop - text) : strlen(text);
    if (len && text[len - 1] == '.')
        len--;
    text[len] = '\0';
    return text;
}
