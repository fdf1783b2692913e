// SPDX-License-Identifier: Apache-2.0
//
// The world of one test: a server, one connection to it, and every reply that came, freed together at the end so that a
// test can look at any of them without thinking of it.
// The awkward case is a server that was killed: the connection is made again by libezplane, and a call that is made
// meanwhile is repeated by it, under the idempotency key it gave it.
#include "tests/integration/support/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/json.h"

#define REQUEST_MAX (4u << 20)
#define ARENA_MAX   (64u << 20)

typedef struct kept_reply {
    struct kept_reply *next;
    ProtobufCMessage *reply;
} kept_reply;

static void keep(ez_world *world, ProtobufCMessage *reply) {
    kept_reply *kept = calloc(1, sizeof *kept);
    cr_assert_not_null(kept);
    *kept = (kept_reply){world->kept, reply};
    world->kept = kept;
}

void given_callers(ez_world *world) {
    ez_error error = EZ_ERROR_INIT;
    ez_client_options options = {.servers = {world->server.rpc_url}, .server_count = 1, .name = "tests/1"};
    expect_ok(ez_client_open(&options, &world->client, &error), &error);
    world->admin = caller_with(world, world->server.admin_token);
}

void given_world(ez_world *world, const char *const *env) {
    ez_test_server_options options = {.env = env};
    *world = (ez_world){.kept = NULL};
    given_server(&world->server, env ? &options : NULL);
    given_callers(world);
}

void end_callers(ez_world *world) {
    ez_client_close(world->client);
    world->client = NULL;
    for (kept_reply *at = world->kept, *next; at; at = next) {
        next = at->next;
        protobuf_c_message_free_unpacked(at->reply, NULL);
        free(at);
    }
    world->kept = NULL;
}

void end_world(ez_world *world) {
    end_callers(world);
    end_server(&world->server);
}

ez_caller caller_with(ez_world *world, const char *token) {
    return (ez_caller){.world = world, .token = token};
}

ez_status try_message(ez_caller *caller, void **reply, const char *method, const ProtobufCMessage *request) {
    char name[96];
    snprintf(name, sizeof name, "ez.v1.%s", method);
    const ez_method *found = ez_method_find(name, strlen(name));
    cr_assert_not_null(found, "there is no method %s", name);
    ez_call_options options = caller->next;
    caller->next = (ez_call_options){0};
    options.authorization = options.authorization ? options.authorization : caller->token;
    options.info = &caller->info;
    ProtobufCMessage *got = NULL;
    ez_error_clear(&caller->error);
    ez_status status = ez_client_call(caller->world->client, found, request, &options, &got, &caller->error);
    if (got)
        keep(caller->world, got);
    if (reply)
        *reply = got;
    return status;
}

static ez_status call_text(ez_caller *caller, void **reply, const char *method, const char *format, va_list args) {
    char name[96];
    snprintf(name, sizeof name, "ez.v1.%s", method);
    const ez_method *found = ez_method_find(name, strlen(name));
    cr_assert_not_null(found, "there is no method %s", name);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    cr_assert(len >= 0 && len < (int)REQUEST_MAX);
    for (char *at = text; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    ProtobufCMessage *request = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_json_parse(found->request, text, (size_t)len, &arena, &request, NULL, &error);
    cr_assert_eq(status, EZ_OK, "the test's own request is wrong: %s %s %s: %s", error.message,
                 error.violation_count ? error.violations[0].field : "",
                 error.violation_count ? error.violations[0].description : "", text);
    free(text);
    status = try_message(caller, reply, method, request);
    ez_arena_fini(&arena);
    return status;
}

ez_status try_call(ez_caller *caller, void **reply, const char *method, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ez_status status = call_text(caller, reply, method, format, args);
    va_end(args);
    return status;
}

static const char *first_violation(const ez_error *error) {
    return error->violation_count ? error->violations[0].field : "";
}

void *ask_at(int line, ez_caller *caller, const char *method, const char *format, ...) {
    void *reply = NULL;
    va_list args;
    va_start(args, format);
    ez_status status = call_text(caller, &reply, method, format, args);
    va_end(args);
    cr_assert_eq(status, EZ_OK, "line %d: %s: expected OK, got %s %s: %s %s", line, method, ez_status_name(status),
                 caller->error.reason, caller->error.message, first_violation(&caller->error));
    return reply;
}

void expect_refused_at(int line, ez_caller *caller, ez_status code, const char *reason, const char *method,
                       const char *format, ...) {
    caller->next.max_retries = -1;
    va_list args;
    va_start(args, format);
    ez_status status = call_text(caller, NULL, method, format, args);
    va_end(args);
    cr_assert_eq(status, code, "line %d: %s: expected %s, got %s %s: %s", line, method, ez_status_name(code),
                 ez_status_name(status), caller->error.reason, caller->error.message);
    if (reason)
        cr_assert_str_eq(caller->error.reason, reason, "line %d: %s: expected reason %s, got %s: %s", line, method,
                         reason, caller->error.reason, caller->error.message);
    cr_assert_neq(caller->error.message[0], 0, "line %d: %s: a refusal without a word", line, method);
}

void await_answers(ez_world *world) {
    ez_caller nobody = caller_with(world, "");
    expect_soon(try_call(&nobody, NULL, "System/GetReady", "{}") == EZ_OK);
}

// ---- Things

Ez__V1__Master *given_master(ez_caller *admin, const char *name) {
    return ask(admin, "Masters/Create", "{'master':{'name':'%s','max_child_keys':1000000}}", name);
}

Ez__V1__Key *given_key(ez_caller *admin, int64_t master_id, const char *name) {
    return ask(admin, "Keys/Create", "{'master_id':%" PRId64 ",'key':{'name':'%s'}}", master_id, name);
}

void given_namespace(ez_caller *admin, const char *name) {
    ask(admin, "Namespaces/Create", "{'namespace':{'name':'%s'}}", name);
}

Ez__V1__ApiKey *given_api_key(ez_caller *admin, int64_t group_id, const char *name, const char *secret) {
    return ask(admin, "ApiKeys/Create", "{'api_key':{'group_id':%" PRId64 ",'name':'%s','api_key':'%s'}}", group_id,
               name, secret);
}

Ez__V1__ProviderGroup *given_group(ez_caller *admin, const char *name, const char *models) {
    Ez__V1__ProviderGroup *group = ask(admin, "ProviderGroups/Create",
                                       "{'provider_group':{'name':'%s','type':'openai','models':[%s]}}", name, models);
    given_api_key(admin, group->id, name, "upstream-credential-of-a-test");
    return group;
}

Ez__V1__Binding *given_binding(ez_caller *admin, const char *space, const char *model, int64_t group_id) {
    return ask(admin, "Bindings/Create", "{'binding':{'namespace':'%s','public_model':'%s','group_id':%" PRId64 "}}",
               space, model, group_id);
}

Ez__V1__DataPlane *given_plane(ez_caller *admin, const char *name) {
    return ask(admin, "DataPlanes/Create", "{'data_plane':{'name':'%s'}}", name);
}

void create_and_wait(ez_world *world, const char *name, uint32_t timeout_ms) {
    world->admin.next.wait_applied = true;
    world->admin.next.timeout_ms = timeout_ms;
    given_namespace(&world->admin, name);
    cr_assert(world->admin.info.has_applied);
}

bool holds_lease(ez_world *world, uint64_t token) {
    const Ez__V1__Status *status = ask(&world->admin, "System/GetStatus", "{}");
    return strcmp(status->lease_holder, status->server_id) == 0 && status->lease_token == token;
}

uint64_t revision_of(ez_world *world) {
    Ez__V1__Status *status = ask(&world->admin, "System/GetStatus", "{}");
    return status->revision->n;
}

void digest_of(ez_world *world, char out[65], int64_t *rows, uint64_t *revision) {
    Ez__V1__GetDigestResponse *digest = ask(&world->admin, "Config/Digest", "{}");
    cr_assert_eq(digest->digest.len, 32);
    ez_hex(digest->digest.data, 32, out);
    if (rows)
        *rows = digest->rows;
    if (revision)
        *revision = digest->revision->n;
}

bool is_in_log(const ez_world *world, const char *word) {
    char path[EZ_TEST_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/ezplaned.log", world->server.home);
    char *text = read_file(path);
    bool is_there = text && strstr(text, word);
    free(text);
    return is_there;
}
