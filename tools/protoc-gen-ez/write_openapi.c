// SPDX-License-Identifier: Apache-2.0
//
// ez/openapi.json: OpenAPI 3.1. An operation per route, so a method with two routes has two operations. First all calls
// are walked to see which components they need, then the text is written.
#include <ctype.h>
#include <string.h>

#include "tools/protoc-gen-ez/openapi.h"
#include "tools/protoc-gen-ez/openapi_parts.h"
#include "tools/protoc-gen-ez/rest.h"
#include "tools/protoc-gen-ez/write.h"

static const char *const about =
    "Control plane for LLM gateways. JSON: snake_case names, 64-bit integers as numbers (in requests also as "
    "strings, which is how one above 9223372036854775807 has to be written), enums as lower-case words, timestamps RFC "
    "3339 in UTC. Unknown fields and parameters are refused. Replies have every field, also empty ones, "
    "save those that are not required. Errors are RFC 9457 problem documents. Made from the schema in proto/ez/v1.";

static void use_route(const gen_route *route) {
    gen_rpc *rpc = route->rpc;
    if (gen_rpc_http_status(rpc) != 204)
        gen_openapi_use(rpc->reply, gen_view_of_reply(rpc));
    if (route->body)
        gen_openapi_use(route->body->message, gen_view_of_body(rpc));
    if (route->body_is_request && !gen_route_has_params(route))
        gen_openapi_use(rpc->request, GEN_VIEW_INPUT);
    for (unsigned i = 0; i < rpc->request->field_count; i++) {
        const gen_field *field = &rpc->request->fields[i];
        if (gen_route_has_param(route, field) || gen_route_has_query(route, field) ||
            (route->body_is_request && gen_view_has(field, GEN_VIEW_INPUT)))
            gen_openapi_use_field(field, GEN_VIEW_INPUT);
    }
}

static void put_param(const gen_schema *schema, gen_json *json, const gen_field *field, bool in_path) {
    gen_json_open(json, NULL, '{');
    gen_json_string(json, "name", field->name);
    gen_json_string(json, "in", in_path ? "path" : "query");
    if (*field->doc)
        gen_json_string(json, "description", field->doc);
    if (in_path || field->rule->required)
        gen_json_bool(json, "required", true);
    gen_openapi_field(schema->pool, json, "schema", field, GEN_VIEW_INPUT, true);
    gen_json_close(json, '}');
}

static void put_shared(gen_json *json, bool applies, const char *name) {
    if (applies)
        gen_json_ref(json, NULL, "parameters", name);
}

static void put_params(const gen_schema *schema, gen_json *json, const gen_route *route) {
    const gen_rpc *rpc = route->rpc;
    bool change = gen_rpc_is_change(rpc);
    gen_json_open(json, "parameters", '[');
    for (unsigned i = 0; i < route->segment_count; i++)
        if (route->segments[i].param)
            put_param(schema, json, route->segments[i].param, true);
    for (unsigned i = 0; i < rpc->request->field_count; i++)
        if (gen_route_has_query(route, &rpc->request->fields[i]))
            put_param(schema, json, &rpc->request->fields[i], false);
    put_shared(json, change, "ValidateOnly");
    put_shared(json, change, "Wait");
    put_shared(json, true, "Timeout");
    put_shared(json, change, "IdempotencyKey");
    put_shared(json, change && gen_route_has_params(route), "IfMatch");
    put_shared(json, !strcmp(route->verb, "GET") && gen_rpc_has_etag(rpc), "IfNoneMatch");
    put_shared(json, true, "RequestId");
    gen_json_close(json, ']');
}

static void put_body(const gen_schema *schema, gen_json *json, const gen_route *route) {
    const gen_rpc *rpc = route->rpc;
    if (!gen_route_has_body(route))
        return;
    gen_text example = {0};
    gen_example_body(route, &example);
    gen_json_open(json, "requestBody", '{');
    gen_json_bool(json, "required", gen_route_wants_body(route));
    if (route->body && *route->body->doc)
        gen_json_string(json, "description", route->body->doc);
    gen_json_open(json, "content", '{');
    gen_json_open(json, "application/json", '{');
    if (route->body)
        gen_json_ref(json, "schema", "schemas",
                     gen_openapi_name(schema->pool, route->body->message, gen_view_of_body(rpc)));
    else if (!gen_route_has_params(route))
        gen_json_ref(json, "schema", "schemas", gen_openapi_name(schema->pool, rpc->request, GEN_VIEW_INPUT));
    else {
        gen_json_open(json, "schema", '{');
        gen_openapi_object(schema->pool, json, rpc->request, GEN_VIEW_INPUT, route);
        gen_json_close(json, '}');
    }
    gen_json_raw(json, "example", example.data);
    gen_json_close(json, '}');
    gen_json_close(json, '}');
    gen_json_close(json, '}');
    gen_text_fini(&example);
}

static void put_content(const gen_schema *schema, gen_json *json, const gen_rpc *rpc) {
    gen_json_open(json, "content", '{');
    gen_json_open(json, rpc->rule->streams ? "text/event-stream" : "application/json", '{');
    if (rpc->rule->streams) {
        gen_json_open(json, "schema", '{');
        gen_json_string(json, "type", "string");
        gen_json_close(json, '}');
    } else {
        gen_json_ref(json, "schema", "schemas", gen_openapi_name(schema->pool, rpc->reply, gen_view_of_reply(rpc)));
    }
    gen_json_close(json, '}');
    gen_json_close(json, '}');
}

static void put_success(const gen_schema *schema, gen_json *json, const gen_rpc *rpc) {
    unsigned status = gen_rpc_http_status(rpc);
    gen_json_open(json, gen_pool_printf(schema->pool, "%u", status), '{');
    gen_json_string(json, "description", status == 204 ? "Done." : status == 201 ? "Made." : "OK.");
    gen_json_open(json, "headers", '{');
    if (status != 204 && gen_rpc_has_etag(rpc))
        gen_json_ref(json, "ETag", "headers", "ETag");
    gen_json_ref(json, "X-EZ-Revision", "headers", "Revision");
    if (gen_rpc_is_change(rpc))
        gen_json_ref(json, "X-EZ-Applied", "headers", "Applied");
    gen_json_ref(json, "X-Request-ID", "headers", "RequestId");
    gen_json_close(json, '}');
    if (status != 204) {
        put_content(schema, json, rpc);
    }
    gen_json_close(json, '}');
}

static void put_responses(const gen_schema *schema, gen_json *json, const gen_route *route) {
    gen_json_open(json, "responses", '{');
    put_success(schema, json, route->rpc);
    if (!strcmp(route->verb, "GET") && gen_rpc_has_etag(route->rpc)) {
        gen_json_open(json, "304", '{');
        gen_json_string(json, "description", "It is still what If-None-Match names.");
        gen_json_close(json, '}');
    }
    for (unsigned i = 0; i < gen_failure_count; i++)
        if (gen_route_may_fail(route, gen_failures[i].http_status))
            gen_json_ref(json, gen_failures[i].status, "responses", gen_failures[i].name);
    gen_json_close(json, '}');
}

// "ApiKeys", "Ban": "apiKeysBan"; a second route's ends in "_2".
static char *operation_id(gen_pool *pool, const gen_route *route) {
    char *id = route->ordinal
                   ? gen_pool_printf(pool, "%s%s_%u", route->rpc->service->name, route->rpc->name, route->ordinal + 1)
                   : gen_pool_printf(pool, "%s%s", route->rpc->service->name, route->rpc->name);
    id[0] = (char)tolower((unsigned char)id[0]);
    return id;
}

static void put_operation(const gen_schema *schema, gen_json *json, const gen_route *route) {
    const gen_rpc *rpc = route->rpc;
    const char *scheme = gen_openapi_security_scheme(rpc);
    char *verb = gen_pool_strndup(schema->pool, route->verb, strlen(route->verb));
    for (char *at = verb; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    gen_json_open(json, verb, '{');
    gen_json_string(json, "operationId", operation_id(schema->pool, route));
    gen_json_open(json, "tags", '[');
    gen_json_string(json, NULL, rpc->service->title);
    gen_json_close(json, ']');
    gen_json_string(json, "summary", gen_doc_summary(schema->pool, rpc->doc));
    gen_json_string(json, "description", rpc->doc);
    put_params(schema, json, route);
    put_body(schema, json, route);
    put_responses(schema, json, route);
    gen_json_open(json, "security", '[');
    if (scheme) {
        gen_json_open(json, NULL, '{');
        gen_json_raw(json, scheme, "[]");
        gen_json_close(json, '}');
    }
    gen_json_close(json, ']');
    gen_json_close(json, '}');
}

// Routes are sorted so that those of one path stand together.
static void put_paths(const gen_schema *schema, gen_json *json) {
    gen_json_open(json, "paths", '{');
    for (unsigned i = 0; i < schema->route_count; i++) {
        const gen_route *route = schema->routes[i];
        if (!i || strcmp(schema->routes[i - 1]->path, route->path))
            gen_json_open(json, route->path, '{');
        put_operation(schema, json, route);
        if (i + 1 == schema->route_count || strcmp(schema->routes[i + 1]->path, route->path))
            gen_json_close(json, '}');
    }
    gen_json_close(json, '}');
}

static bool has_route(const gen_schema *schema, const gen_service *service) {
    for (unsigned i = 0; i < schema->route_count; i++)
        if (schema->routes[i]->rpc->service == service)
            return true;
    return false;
}

static void put_head(const gen_schema *schema, gen_json *json) {
    gen_json_string(json, "openapi", "3.1.0");
    gen_json_open(json, "info", '{');
    gen_json_string(json, "title", "ezplane");
    gen_json_string(json, "version", "v1");
    gen_json_string(json, "description", about);
    gen_json_raw(json, "license", "{\"name\": \"Apache-2.0\", \"identifier\": \"Apache-2.0\"}");
    gen_json_close(json, '}');
    gen_json_raw(json, "servers", "[{\"url\": \"/\", \"description\": \"The gateway that serves this document\"}]");
    gen_json_open(json, "tags", '[');
    for (unsigned i = 0; i < schema->service_count; i++) {
        const gen_service *service = schema->services[i];
        if (!has_route(schema, service))
            continue;
        gen_json_open(json, NULL, '{');
        gen_json_string(json, "name", service->title);
        if (*service->doc)
            gen_json_string(json, "description", service->doc);
        gen_json_close(json, '}');
    }
    gen_json_close(json, ']');
}

void gen_write_openapi(gen_schema *schema, gen_text *out) {
    gen_json json = {.out = out};
    for (unsigned i = 0; i < schema->route_count; i++)
        use_route(schema->routes[i]);
    gen_json_open(&json, NULL, '{');
    put_head(schema, &json);
    put_paths(schema, &json);
    gen_json_open(&json, "components", '{');
    gen_json_open(&json, "schemas", '{');
    gen_openapi_problem(&json);
    gen_openapi_schemas(schema, &json);
    gen_json_close(&json, '}');
    gen_openapi_parts(&json);
    gen_json_close(&json, '}');
    gen_json_close(&json, '}');
}
