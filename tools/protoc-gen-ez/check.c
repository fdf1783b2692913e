// SPDX-License-Identifier: Apache-2.0
//
// Faults of rpcs, services and the message graph. The reason for each is that what it would let through is found late
// otherwise: a call nobody may make, a secret in a reply, a route that shadows another.
#include "tools/protoc-gen-ez/check.h"

#include <ctype.h>
#include <string.h>

#include "tools/protoc-gen-ez/route.h"

enum { MARK_NONE, MARK_OPEN, MARK_DONE };

// False once a message was found within itself: whoever walks the graph would not come back.
static bool walk_message(gen_schema *schema, gen_message *message) {
    bool ok = true;
    message->mark = MARK_OPEN;
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        message->has_sensitive |= field->rule->sensitive;
        message->has_hidden |= field->rule->sensitive || field->rule->input_only;
        if (field->type != GEN_MESSAGE)
            continue;
        if (field->message->mark == MARK_OPEN) {
            gen_refuse(schema, field->place, message->full, "field %s makes %s recursive; messages must end somewhere",
                       field->name, field->message->full);
            ok = false;
            continue;
        }
        if (field->message->mark == MARK_NONE)
            ok &= walk_message(schema, field->message);
        message->has_sensitive |= field->message->has_sensitive;
        message->has_hidden |= field->message->has_hidden;
    }
    message->mark = MARK_DONE;
    return ok;
}

static bool check_graph(gen_schema *schema) {
    bool ok = true;
    for (unsigned i = 0; i < schema->message_count; i++)
        if (schema->messages[i]->mark == MARK_NONE)
            ok &= walk_message(schema, schema->messages[i]);
    return ok;
}

// input_only and output_only sensitive fields of resources are fine: the writers leave them out unless the call
// reveals. One that is neither has no reason to be in a reply.
static void check_reply(gen_schema *schema, const gen_rpc *rpc, const gen_message *message) {
    for (unsigned i = 0; i < message->field_count; i++) {
        const gen_field *field = &message->fields[i];
        if (field->rule->sensitive && !field->rule->output_only && !field->rule->input_only)
            gen_refuse(schema, rpc->place, rpc->full,
                       "its reply holds the sensitive field %s.%s, which is neither output_only nor input_only; say "
                       "reveals: true or leave the field out",
                       message->full, field->name);
        if (field->type == GEN_MESSAGE && field->message->has_sensitive)
            check_reply(schema, rpc, field->message);
    }
}

static void check_rpc(gen_schema *schema, const gen_rpc *rpc, bool graph_ok) {
    if (!rpc->request)
        gen_refuse(schema, rpc->place, rpc->full, "its request %s is no message of this schema", rpc->request_name);
    if (!rpc->reply)
        gen_refuse(schema, rpc->place, rpc->full, "its reply %s is no message of this schema", rpc->reply_name);
    if (rpc->streams)
        gen_refuse(schema, rpc->place, rpc->full, "streams are not part of the protocol: one request, one reply");
    if (!rpc->rule) {
        gen_refuse(schema, rpc->place, rpc->full,
                   "it has no option (ez.options.rpc); say who may call it and how it is run: {scope: …, effect: …}");
        return;
    }
    if (!rpc->rule->scope)
        gen_refuse(schema, rpc->place, rpc->full, "it has no scope; say PUBLIC, ADMIN, MASTER, DATA_PLANE or PEER");
    if (rpc->rule->scope == EZ__OPTIONS__SCOPE__PEER && *rpc->rule->http)
        gen_refuse(schema, rpc->place, rpc->full, "servers alone call it: it has no route in http");
    if (!rpc->rule->effect)
        gen_refuse(schema, rpc->place, rpc->full, "it has no effect; say READ, QUERY, CHANGE, SESSION, APPEND or HELD");
    if (rpc->rule->http_status && (rpc->rule->http_status < 200 || rpc->rule->http_status > 299))
        gen_refuse(schema, rpc->place, rpc->full, "http_status %u is not one of success (200 to 299)",
                   rpc->rule->http_status);
    if (rpc->rule->n_also && !*rpc->rule->http)
        gen_refuse(schema, rpc->place, rpc->full, "also wants a first route in http");
    if (rpc->rule->body && *rpc->rule->body && !*rpc->rule->http)
        gen_refuse(schema, rpc->place, rpc->full, "body wants a route in http");
    if (!rpc->rule->reveals && rpc->reply && graph_ok)
        check_reply(schema, rpc, rpc->reply);
}

static bool is_c_type(const char *name) {
    if (strncmp(name, "ez_", 3) || !name[3])
        return false;
    for (const char *at = name; *at; at++)
        if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_')
            return false;
    return true;
}

static void check_services(gen_schema *schema) {
    for (unsigned i = 0; i < schema->service_count; i++) {
        const gen_service *service = schema->services[i];
        if (!*service->self)
            gen_refuse(schema, service->place, service->name,
                       "it has no self; say whose handlers these are: option (ez.options.service) = {self: \"ez_…\"}");
        else if (!is_c_type(service->self))
            gen_refuse(schema, service->place, service->name, "self \"%s\" must be a C type like \"ez_access\"",
                       service->self);
        for (unsigned k = 0; k < i; k++)
            if (!strcmp(schema->services[k]->name, service->name))
                gen_refuse(schema, service->place, service->name, "another service has this name");
    }
}

void gen_check(gen_schema *schema) {
    bool graph_ok = check_graph(schema);
    gen_check_fields(schema);
    check_services(schema);
    for (unsigned i = 0; i < schema->rpc_count; i++)
        check_rpc(schema, schema->rpcs[i], graph_ok);
    gen_route_check(schema);
}
