// SPDX-License-Identifier: Apache-2.0
//
// Builds the world and makes its calls. Changes go through the writer's thread and wait for it; reads run here; queries
// run on a reader thread of the store and are waited for. The method table's thunks can't be used: they need every
// service's handlers; the few lines per method below stand for them.
#include "tests/unit/access/support/world.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ez/handlers.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define WAIT_S 30

// ---- The methods

typedef ez_status thunk(world *w, ez_call *call, void *scene, ProtobufCMessage *request);

#define CHANGE(self, handler, message)                                                                                 \
    static ez_status run_##handler(world *w, ez_call *c, void *scene, ProtobufCMessage *request) {                     \
        return ez_handle_##handler(w->self, c, scene, (Ez__V1__##message *)request);                                   \
    }
#define READ(self, handler, message)                                                                                   \
    static ez_status run_##handler(world *w, ez_call *c, void *scene, ProtobufCMessage *request) {                     \
        (void)scene;                                                                                                   \
        return ez_handle_##handler(w->self, c, (Ez__V1__##message *)request);                                          \
    }

#define METHODS(CHANGE, READ)                                                                                          \
    CHANGE(access, masters_create, CreateMasterRequest)                                                                \
    READ(access, masters_get, GetMasterRequest)                                                                        \
    READ(access, masters_list, ListMastersRequest)                                                                     \
    CHANGE(access, masters_update, UpdateMasterRequest)                                                                \
    CHANGE(access, masters_delete, DeleteMasterRequest)                                                                \
    CHANGE(access, masters_rotate, RotateMasterRequest)                                                                \
    READ(access, masters_get_access, GetMasterAccessRequest)                                                           \
    CHANGE(access, masters_set_access, SetMasterAccessRequest)                                                         \
    CHANGE(access, keys_create, CreateKeyRequest)                                                                      \
    READ(access, keys_get, GetKeyRequest)                                                                              \
    READ(access, keys_list, ListKeysRequest)                                                                           \
    CHANGE(access, keys_update, UpdateKeyRequest)                                                                      \
    CHANGE(access, keys_delete, DeleteKeyRequest)                                                                      \
    CHANGE(access, keys_rotate, RotateKeyRequest)                                                                      \
    CHANGE(access, keys_disable, DisableKeyRequest)                                                                    \
    CHANGE(access, keys_enable, EnableKeyRequest)                                                                      \
    READ(access, keys_get_access, GetKeyAccessRequest)                                                                 \
    CHANGE(access, keys_set_access, SetKeyAccessRequest)                                                               \
    READ(access, keys_resolve, ResolveKeyRequest)                                                                      \
    CHANGE(access, namespaces_create, CreateNamespaceRequest)                                                          \
    READ(access, namespaces_get, GetNamespaceRequest)                                                                  \
    READ(access, namespaces_list, ListNamespacesRequest)                                                               \
    CHANGE(access, namespaces_update, UpdateNamespaceRequest)                                                          \
    CHANGE(access, namespaces_delete, DeleteNamespaceRequest)                                                          \
    READ(access, self_get, GetSelfRequest)                                                                             \
    CHANGE(access, self_create_key, CreateOwnKeyRequest)                                                               \
    READ(access, self_get_key, GetKeyRequest)                                                                          \
    READ(access, self_list_keys, ListOwnKeysRequest)                                                                   \
    CHANGE(access, self_update_key, UpdateKeyRequest)                                                                  \
    CHANGE(access, self_delete_key, DeleteKeyRequest)                                                                  \
    CHANGE(access, admin_tokens_create, CreateAdminTokenRequest)                                                       \
    READ(access, admin_tokens_get, GetAdminTokenRequest)                                                               \
    READ(access, admin_tokens_list, ListAdminTokensRequest)                                                            \
    CHANGE(access, admin_tokens_delete, DeleteAdminTokenRequest)                                                       \
    CHANGE(routing, provider_groups_create, CreateProviderGroupRequest)                                                \
    READ(routing, provider_groups_get, GetProviderGroupRequest)                                                        \
    READ(routing, provider_groups_list, ListProviderGroupsRequest)                                                     \
    CHANGE(routing, provider_groups_update, UpdateProviderGroupRequest)                                                \
    CHANGE(routing, provider_groups_delete, DeleteProviderGroupRequest)                                                \
    CHANGE(routing, api_keys_create, CreateApiKeyRequest)                                                              \
    READ(routing, api_keys_get, GetApiKeyRequest)                                                                      \
    READ(routing, api_keys_list, ListApiKeysRequest)                                                                   \
    CHANGE(routing, api_keys_update, UpdateApiKeyRequest)                                                              \
    CHANGE(routing, api_keys_delete, DeleteApiKeyRequest)                                                              \
    CHANGE(routing, api_keys_ban, BanApiKeyRequest)                                                                    \
    CHANGE(routing, api_keys_unban, UnbanApiKeyRequest)                                                                \
    CHANGE(routing, api_keys_batch, BatchApiKeysRequest)                                                               \
    CHANGE(routing, providers_create_preset, CreatePresetProviderRequest)                                              \
    CHANGE(routing, providers_create_custom, CreateCustomProviderRequest)                                              \
    CHANGE(routing, bindings_create, CreateBindingRequest)                                                             \
    READ(routing, bindings_get, GetBindingRequest)                                                                     \
    READ(routing, bindings_list, ListBindingsRequest)                                                                  \
    CHANGE(routing, bindings_update, UpdateBindingRequest)                                                             \
    CHANGE(routing, bindings_delete, DeleteBindingRequest)                                                             \
    CHANGE(routing, bindings_batch, BatchBindingsRequest)                                                              \
    READ(models, models_get, GetModelRequest)                                                                          \
    READ(models, models_list, ListModelsRequest)                                                                       \
    READ(models, models_get_meta, GetModelsMetaRequest)                                                                \
    CHANGE(models, models_sync, SyncModelsRequest)                                                                     \
    READ(routing, routes_explain, ExplainRouteRequest)                                                                 \
    CHANGE(audit, audit_list, ListAuditRequest)                                                                        \
    CHANGE(audit, changes_list, ListChangesRequest)

METHODS(CHANGE, READ)

#define ENTRY(self, handler, message) {#handler, run_##handler},
static const struct {
    const char *name;
    thunk *run;
} methods[] = {METHODS(ENTRY, ENTRY)};

// "ApiKeys/CreatePreset" is "api_keys_create_preset" above.
static thunk *find_thunk(const char *method) {
    char name[64];
    size_t at = 0;
    for (const char *c = method; *c && at + 2 < sizeof name; c++) {
        bool is_upper = *c >= 'A' && *c <= 'Z';
        if (*c == '/')
            continue;
        if (is_upper && at > 0)
            name[at++] = '_';
        name[at++] = (char)(is_upper ? *c + 32 : *c);
    }
    name[at] = 0;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].run;
    cr_assert_fail("the test's world has no method %s", method);
    return NULL;
}

// ---- The world

static void must(ez_status status, const ez_error *error, const char *what) {
    cr_assert_eq(status, EZ_OK, "%s: %s", what, error->message);
}

world *given_empty_world(void) {
    static const uint8_t key[EZ_SEAL_KEY_LEN] = {7, 3, 1};
    world *w = calloc(1, sizeof *w);
    cr_assert_not_null(w);
    ez_error error = EZ_ERROR_INIT;
    snprintf(w->folder, sizeof w->folder, "/tmp/ez-domain.XXXXXX");
    cr_assert_not_null(mkdtemp(w->folder));
    char url[128];
    snprintf(url, sizeof url, "sqlite:%s/ez.db", w->folder);
    ez_arena_init(&w->arena, 256u << 20);
    must(ez_sealer_create(key, &w->sealer, &error), &error, "sealer");
    ez_store_options store = {.url = url,
                              .readers = 1,
                              .connect_timeout_ms = 1000,
                              .epoch = 77,
                              .now_ns = ez_clock_wall_ns(),
                              .key_check = "0011"};
    must(ez_store_open(&store, &w->store, &error), &error, "store");
    ez_store_head head;
    must(ez_store_read_head(w->store, &head, &error), &error, "head");
    must(ez_directory_create(head.epoch, w->sealer, &w->directory, &error), &error, "directory");
    must(ez_directory_load(w->directory, w->store, &error), &error, "load");
    ez_feed_options feed = {.epoch = head.epoch, .n = head.n, .keep = 10000};
    must(ez_feed_create(&feed, &w->feed, &error), &error, "feed");
    ez_writer_options writer = {.store = w->store,
                                .directory = w->directory,
                                .feed = w->feed,
                                .sealer = w->sealer,
                                .head = &head,
                                .queue = 64,
                                .idempotency_ns = INT64_C(86400000000000),
                                .derive = ez_model_derive,
                                .feed_keep = 10000};
    must(ez_model_deriver_create(&w->deriver, &error), &error, "deriver");
    writer.derive_user = w->deriver;
    must(ez_writer_create(&writer, &w->writer, &error), &error, "writer");
    must(ez_counters_create(&w->counters, &error), &error, "counters");
    ez_access_options access = {.directory = w->directory, .counters = w->counters};
    ez_routing_options routing = {.directory = w->directory, .counters = w->counters};
    must(ez_access_create(&access, &w->access, &error), &error, "access");
    must(ez_routing_create(&routing, &w->routing, &error), &error, "routing");
    must(ez_models_create(&(ez_models_options){.directory = w->directory}, &w->models, &error), &error, "models");
    must(ez_audit_create(&(ez_audit_options){w->feed}, &w->audit, &error), &error, "audit");
    return w;
}

world *given_world(void) {
    world *w = given_empty_world();
    ez_error error = EZ_ERROR_INIT;
    bool is_taken;
    cr_assert_eq(ez_token_make("eza_", w->first_token), EZ_OK);
    must(ez_access_bootstrap(w->writer, w->directory, w->first_token, &is_taken, &error), &error, "bootstrap");
    return w;
}

void end_world(world *w) {
    ez_writer_destroy(w->writer);
    ez_audit_destroy(w->audit);
    ez_routing_destroy(w->routing);
    ez_models_destroy(w->models);
    ez_model_deriver_destroy(w->deriver);
    ez_access_destroy(w->access);
    ez_counters_destroy(w->counters);
    ez_feed_destroy(w->feed);
    ez_directory_destroy(w->directory);
    ez_store_close(w->store);
    ez_sealer_destroy(w->sealer);
    ez_arena_fini(&w->arena);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", w->folder);
    cr_assert_eq(system(command), 0);
    free(w);
}

void give_sync(world *w, ez_model_sync *sync) {
    ez_models_options options = {.directory = w->directory, .sync = sync};
    ez_models_destroy(w->models);
    must(ez_models_create(&options, &w->models, &w->error), &w->error, "models");
    w->sync = sync;
}

// ---- Calls

typedef struct job {
    world *w;
    thunk *run;
    ez_call *call;
    ProtobufCMessage *request;
    ez_status status;
    // Of queries and held calls.
    ez_query query;
    ez_hold hold;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
} job;

// Every change is run twice, as where another server was faster: a handler must leave its request as it was.
static ez_status run_change(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    job *j = self;
    size_t mark = ez_txn_mark(scene);
    ez_status status = j->run(j->w, c, scene, request);
    if (status != EZ_OK)
        return status;
    ez_txn_rollback(scene, mark);
    return j->run(j->w, c, scene, request);
}

static void run_query(ez_query *query, ez_reader *reader) {
    job *j = (job *)(void *)((char *)query - offsetof(job, query));
    ez_status status = j->run(j->w, j->call, reader, j->request);
    pthread_mutex_lock(&j->lock);
    j->status = status;
    j->is_done = true;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static void on_held(ez_hold *hold, ez_status status) {
    job *j = (job *)(void *)((char *)hold - offsetof(job, hold));
    pthread_mutex_lock(&j->lock);
    j->status = status;
    j->is_done = true;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static bool start_waiting(job *j, bool is_held) {
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    if (is_held) {
        j->call->deadline_ns = ez_clock_mono_ns() + UINT64_C(1000000000) * WAIT_S;
        j->hold = (ez_hold){.call = j->call, .done = on_held};
        ez_status status = j->run(j->w, j->call, &j->hold, j->request);
        if (status != EZ_OK) // else it was kept, and may have been answered already
            j->status = status;
        return status == EZ_OK;
    }
    j->query.run = run_query;
    must(ez_store_submit(j->w->store, &j->query, &j->call->error), &j->call->error, "submit");
    return true;
}

static void wait_for(job *j, bool is_held) {
    if (!start_waiting(j, is_held))
        return;
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    pthread_mutex_lock(&j->lock);
    int late = 0;
    while (!j->is_done && late == 0)
        late = pthread_cond_timedwait(&j->changed, &j->lock, &deadline);
    pthread_mutex_unlock(&j->lock);
    cr_assert_eq(late, 0, "a call was not answered in %d s", WAIT_S);
}

static void run(job *j, const ez_method *method) {
    switch (method->effect) {
    case EZ_EFFECT_CHANGE:
        j->status = ez_writer_run(j->w->writer, j->call, run_change, j, j->request, &j->w->error);
        ez_error_copy(&j->call->error, &j->w->error);
        break;
    case EZ_EFFECT_QUERY:
    case EZ_EFFECT_HELD:
        wait_for(j, method->effect == EZ_EFFECT_HELD);
        break;
    default:
        j->status = j->run(j->w, j->call, NULL, j->request);
        break;
    }
}

static ez_call *make_call(world *w, const ez_method *method) {
    ez_call *c;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    c->method = method;
    if (w->time_ns)
        c->time_ns = w->time_ns;
    if (w->tenant) {
        c->principal.scope = EZ_SCOPE_MASTER;
        c->principal.id = w->tenant;
    }
    c->header.if_match = w->if_match;
    c->header.validate_only = w->validate_only;
    w->if_match = 0;
    w->validate_only = false;
    return c;
}

static const ez_method *find_method(const char *method) {
    char full[96];
    int len = snprintf(full, sizeof full, "ez.v1.%s", method);
    const ez_method *found = ez_method_find(full, (size_t)len);
    cr_assert_not_null(found, "the schema has no method %s", full);
    return found;
}

ez_status call_message(world *w, const char *name, ProtobufCMessage **reply, const ProtobufCMessage *request) {
    const ez_method *method = find_method(name);
    job j = {.w = w, .run = find_thunk(name), .call = make_call(w, method)};
    ez_error_clear(&w->error);
    ez_auto(ez_buf) packed;
    ez_buf_init(&packed, EZ_CALL_MAX);
    cr_assert_eq(ez_buf_pack(&packed, request), EZ_OK);
    ez_error *error = &j.call->error;
    j.status = ez_message_decode(method->request, packed.data, packed.len, &j.call->arena, &j.request, error);
    bool is_create = strncmp(method->rpc, "Create", 6) == 0;
    if (j.status == EZ_OK)
        j.status = ez_message_check(method->request, j.request, is_create, &j.call->arena, error);
    if (j.status == EZ_OK)
        run(&j, method);
    if (j.status != EZ_OK)
        ez_error_copy(&w->error, error);
    if (j.status == EZ_OK && reply) {
        *reply = protobuf_c_message_unpack(method->reply->descriptor, ez_arena_allocator(&w->arena), j.call->reply.len,
                                           j.call->reply.data ? j.call->reply.data : (const uint8_t *)"");
        cr_assert_not_null(*reply, "%s: its reply is no %s", name, method->reply->name);
    }
    ez_call_destroy_system(j.call);
    return j.status;
}

static ez_status call_text(world *w, const char *name, ProtobufCMessage **reply, const char *json, va_list args) {
    const ez_method *method = find_method(name);
    char *text = NULL;
    int len = vasprintf(&text, json, args);
    cr_assert(len >= 0);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    ProtobufCMessage *request;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_json_parse(method->request, text, (size_t)len, &w->arena, &request, NULL, &error);
    cr_assert_eq(status, EZ_OK, "%s: the test's request %s: %s", name, text, error.message);
    free(text);
    return call_message(w, name, reply, request);
}

ez_status call(world *w, const char *method, ProtobufCMessage **reply, const char *json, ...) {
    va_list args;
    va_start(args, json);
    ez_status status = call_text(w, method, reply, json, args);
    va_end(args);
    return status;
}

void *expect_ok(world *w, const char *method, const char *json, ...) {
    ProtobufCMessage *reply = NULL;
    va_list args;
    va_start(args, json);
    ez_status status = call_text(w, method, &reply, json, args);
    va_end(args);
    cr_assert_eq(status, EZ_OK, "%s %s: %s %s: %s", method, json, ez_status_name(status), w->error.reason,
                 w->error.message);
    return reply;
}

void expect_error(world *w, ez_status code, const char *reason, const char *part, const char *method, const char *json,
                  ...) {
    uint64_t before = head_of(w);
    va_list args;
    va_start(args, json);
    ez_status status = call_text(w, method, NULL, json, args);
    va_end(args);
    cr_assert_eq(status, code, "%s %s: %s %s: %s; wanted %s", method, json, ez_status_name(status), w->error.reason,
                 w->error.message, ez_status_name(code));
    cr_assert_str_eq(w->error.reason, reason, "%s %s: %s", method, json, w->error.message);
    cr_assert_not_null(strstr(w->error.message, part), "%s: \"%s\" does not say \"%s\"", method, w->error.message,
                       part);
    cr_assert_eq(head_of(w), before, "%s failed and made a revision", method);
}

static ez_status run_stored(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    ez_status status = ez_txn_put(scene, *(int *)self, request, &c->error);
    return status == EZ_OK ? ez_call_reply_bytes(c, "", 0) : status;
}

void given_stored(world *w, int kind, ProtobufCMessage *message) {
    ez_call *c;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    ez_status status = ez_writer_run(w->writer, c, run_stored, &kind, message, &w->error);
    cr_assert_eq(status, EZ_OK, "%s", w->error.message);
    ez_call_destroy_system(c);
}

uint64_t head_of(const world *w) {
    return ez_feed_head(w->feed).n;
}

// ---- Resources

Ez__V1__Master *given_master(world *w, const char *name) {
    return expect_ok(w, "Masters/Create", "{'master':{'name':'%s'}}", name);
}

Ez__V1__Key *given_key(world *w, int64_t master_id, const char *name) {
    return expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'name':'%s'}}", (long long)master_id, name);
}

void given_namespace(world *w, const char *name) {
    expect_ok(w, "Namespaces/Create", "{'namespace':{'name':'%s'}}", name);
}

Ez__V1__ProviderGroup *given_group(world *w, const char *name, const char *models) {
    return expect_ok(w, "ProviderGroups/Create", "{'provider_group':{'name':'%s','type':'openai','models':[%s]}}", name,
                     models);
}

Ez__V1__ApiKey *given_api_key(world *w, int64_t group_id, const char *name) {
    return expect_ok(w, "ApiKeys/Create", "{'api_key':{'group_id':%lld,'name':'%s','api_key':'sk-upstream-%s-0123'}}",
                     (long long)group_id, name, name);
}

Ez__V1__Binding *given_binding(world *w, const char *model, int64_t group_id) {
    return expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'default','public_model':'%s','group_id':%lld}}",
                     model, (long long)group_id);
}

Ez__V1__Key *read_key(world *w, int64_t id) {
    return expect_ok(w, "Keys/Get", "{'id':%lld}", (long long)id);
}

Ez__V1__Master *read_master(world *w, int64_t id) {
    return expect_ok(w, "Masters/Get", "{'id':%lld}", (long long)id);
}

Ez__V1__ApiKey *read_api_key(world *w, int64_t id) {
    return expect_ok(w, "ApiKeys/Get", "{'id':%lld}", (long long)id);
}

Ez__V1__Binding *read_binding(world *w, int64_t id) {
    return expect_ok(w, "Bindings/Get", "{'id':%lld}", (long long)id);
}
