// SPDX-License-Identifier: Apache-2.0
//
// The examples of the reference: each body in openapi.json is what its method takes, read and checked as the gateway
// and the core do it.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

static const char *const verbs[] = {"get", "post", "put", "patch", "delete"};

static json_t *example_of(const json_t *openapi, const ez_route *route) {
    json_t *at = json_object_get(json_object_get(openapi, "paths"), route->path);
    at = json_object_get(json_object_get(at, verbs[route->verb]), "requestBody");
    at = json_object_get(json_object_get(at, "content"), "application/json");
    return json_object_get(at, "example");
}

// A value for each parameter of the path.
static void fill_path(const ez_route *route, ProtobufCMessage *request, ez_arena *arena) {
    ez_error error = EZ_ERROR_INIT;
    for (unsigned i = 0; i < route->segment_count; i++) {
        const ez_field_rule *field = route->segments[i].param;
        if (field)
            cr_assert_eq(ez_json_set_text(field, request, "1", arena, &error), EZ_OK, "%s: %s", route->path,
                         error.message);
    }
}

static void expect_taken(const ez_route *route, const char *text) {
    ez_arena arena;
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *body, *request;
    const ez_message_rule *rule = route->method->request;
    ez_arena_init(&arena, 4u << 20);
    ez_status status =
        ez_json_parse(route->body ? route->body->message : rule, text, strlen(text), &arena, &body, NULL, &error);
    cr_assert_eq(status, EZ_OK, "%s %s: %s: %s", verbs[route->verb], route->path, text, error.message);
    request = body;
    if (route->body) {
        request = ez_arena_zalloc(&arena, rule->descriptor->sizeof_message);
        cr_assert_not_null(request);
        rule->descriptor->message_init(request);
        memcpy((char *)request + rule->descriptor->fields[route->body->index].offset, &body, sizeof body);
    }
    fill_path(route, request, &arena);
    bool is_create = strncmp(route->method->rpc, "Create", 6) == 0;
    status = ez_message_check(rule, request, is_create, &arena, &error);
    cr_expect_eq(status, EZ_OK, "%s %s: %s: %s", verbs[route->verb], route->path, text, error.message);
    ez_arena_fini(&arena);
}

Test(examples, each_body_is_what_its_method_takes) {
    json_t *openapi = json_loadb(ez_openapi_json, ez_openapi_json_len, 0, NULL);
    cr_assert_not_null(openapi);
    unsigned bodies = 0;
    for (unsigned i = 0; i < ez_route_count; i++) {
        const ez_route *route = &ez_routes[i];
        json_t *example = example_of(openapi, route);
        if (!route->body && !route->body_is_request)
            continue;
        cr_assert_not_null(example, "%s has no example", route->path);
        char *text = json_dumps(example, 0);
        expect_taken(route, text);
        free(text);
        bodies++;
    }
    cr_assert_gt(bodies, 20);
    json_decref(openapi);
}

// A rule that is a handler's: half of what makes a flush count once is refused.
Test(examples, what_only_a_handler_knows_is_kept_too) {
    json_t *openapi = json_loadb(ez_openapi_json, ez_openapi_json_len, 0, NULL);
    for (unsigned i = 0; i < ez_route_count; i++) {
        const json_t *example = example_of(openapi, &ez_routes[i]);
        cr_expect_eq(json_object_get(example, "epoch") != NULL, json_object_get(example, "sequence") != NULL, "%s",
                     ez_routes[i].path);
    }
    json_decref(openapi);
}
