// SPDX-License-Identifier: Apache-2.0
//
// Opens, plans and applies as server/import_command.c and rpc do, without their processes. Every batch is run twice in
// its transaction, as where another server was faster: a row must be left as it was.
#include "tests/unit/import/support/loader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define HEAD "{\"version\":\"1.0.0\",\"source\":{\"type\":\"newapi\"},\"data\":{"

ez_loader *given_planner(void) {
    ez_loader *loader = calloc(1, sizeof *loader);
    cr_assert_not_null(loader);
    snprintf(loader->path, sizeof loader->path, "/tmp/ez-import.XXXXXX");
    int fd = mkstemp(loader->path);
    cr_assert(fd >= 0);
    close(fd);
    return loader;
}

ez_loader *given_loader(void) {
    ez_loader *loader = given_planner();
    loader->w = given_world();
    ez_import_options options = {
        .access = loader->w->access, .routing = loader->w->routing, .counters = loader->w->counters};
    cr_assert_eq(ez_import_create(&options, &loader->import, &loader->error), EZ_OK);
    return loader;
}

void end_loader(ez_loader *loader) {
    ez_import_destroy(loader->import);
    if (loader->w)
        end_world(loader->w);
    unlink(loader->path);
    free(loader);
}

// ---- What is said on the way

static void add_line(char *lines, const char *format, ...) EZ_PRINTF(2, 3);
static void add_line(char *lines, const char *format, ...) {
    size_t len = strlen(lines);
    va_list args;
    va_start(args, format);
    vsnprintf(lines + len, LOADER_TEXT_MAX - len, format, args);
    va_end(args);
}

static void on_failed(void *user, ez_plan_kind kind, int64_t index, const char *reason) {
    ez_loader *loader = user;
    loader->counts[kind][EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED]++;
    add_line(loader->failures, "%s[%lld]: %s\n", ez_plan_kind_name(kind), (long long)index, reason);
}

static void on_warned(void *user, const char *text) {
    add_line(((ez_loader *)user)->warnings, "%s\n", text);
}

// ---- Batches

static ez_status run_twice(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    size_t mark = ez_txn_mark(scene);
    ez_status status = ez_handle_import_apply(self, call, scene, (Ez__V1__ApplyImportRequest *)request);
    if (status != EZ_OK)
        return status;
    ez_txn_rollback(scene, mark);
    return ez_handle_import_apply(self, call, scene, (Ez__V1__ApplyImportRequest *)request);
}

static Ez__V1__ApplyImportRequest *carry(ez_loader *loader, const Ez__V1__ApplyImportRequest *request, ez_call *call) {
    const ez_message_rule *rule = call->method->request;
    ez_auto(ez_buf) packed;
    ez_buf_init(&packed, EZ_CALL_MAX);
    cr_assert_eq(ez_buf_pack(&packed, &request->base), EZ_OK, "a batch is larger than a call may be");
    loader->largest = packed.len > loader->largest ? packed.len : loader->largest;
    ProtobufCMessage *decoded = NULL;
    ez_status status = ez_message_decode(rule, packed.data, packed.len, &call->arena, &decoded, &call->error);
    if (status == EZ_OK)
        status = ez_message_check(rule, decoded, false, &call->arena, &call->error);
    cr_assert_eq(status, EZ_OK, "a batch is refused: %s %s", call->error.message, call->error.violations[0].field);
    return (Ez__V1__ApplyImportRequest *)decoded;
}

static void take_results(ez_loader *loader, ez_plan_kind kind, const Ez__V1__ApplyImportRequest *request,
                         const Ez__V1__ApplyImportResponse *reply) {
    cr_assert_eq(reply->n_results, request->n_rows);
    for (size_t i = 0; i < reply->n_results; i++) {
        const Ez__V1__ImportResult *result = reply->results[i];
        if (result->index < 0)
            continue;
        if (result->outcome == EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED)
            on_failed(loader, kind, result->index, result->reason);
        else
            loader->counts[kind][result->outcome]++;
        if (result->master_key[0])
            add_line(loader->master_keys, "%s %s\n", request->rows[i]->master->name, result->master_key);
    }
}

static ez_call *begin_call(const ez_loader *loader) {
    ez_call *call;
    cr_assert_eq(ez_call_create_system("import", &call), EZ_OK);
    call->method = ez_method_find("ez.v1.Import/Apply", strlen("ez.v1.Import/Apply"));
    call->header.validate_only = loader->dry_run;
    return call;
}

// The reply lives as long as the world.
static Ez__V1__ApplyImportResponse *finish_call(ez_loader *loader, ez_call *call, Ez__V1__ApplyImportRequest *request) {
    world *w = loader->w;
    ez_status status = ez_writer_run(w->writer, call, run_twice, loader->import, &request->base, &loader->error);
    cr_assert_eq(status, EZ_OK, "%s", loader->error.message);
    Ez__V1__ApplyImportResponse *reply =
        ez__v1__apply_import_response__unpack(ez_arena_allocator(&w->arena), call->reply.len, call->reply.data);
    cr_assert_not_null(reply);
    ez_call_destroy_system(call);
    return reply;
}

static void apply(ez_loader *loader, ez_plan_kind kind, const Ez__V1__ApplyImportRequest *request) {
    ez_call *call = begin_call(loader);
    Ez__V1__ApplyImportRequest *carried = carry(loader, request, call);
    loader->batches++;
    if (loader->w) {
        take_results(loader, kind, request, finish_call(loader, call, carried));
        return;
    }
    for (size_t i = 0; i < request->n_rows; i++)
        loader->counts[kind][EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_CREATED] += request->rows[i]->index >= 0;
    ez_call_destroy_system(call);
}

void apply_json(ez_loader *loader, const char *row, Ez__V1__ImportResult *result) {
    ez_autofree char *text = NULL;
    int len = asprintf(&text, "{\"rows\":[%s]}", row);
    cr_assert(len >= 0);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    ez_call *call = begin_call(loader);
    ProtobufCMessage *request;
    ez_status status =
        ez_json_parse(call->method->request, text, (size_t)len, &loader->w->arena, &request, NULL, &loader->error);
    cr_assert_eq(status, EZ_OK, "%s: %s", text, loader->error.message);
    Ez__V1__ApplyImportRequest *carried = carry(loader, (Ez__V1__ApplyImportRequest *)request, call);
    *result = *finish_call(loader, call, carried)->results[0];
}

static ez_status run_plan(ez_loader *loader, ez_plan *plan) {
    for (;;) {
        ez_auto(ez_arena) arena;
        ez_arena_init(&arena, 256u << 20);
        Ez__V1__ApplyImportRequest *request;
        ez_plan_kind kind;
        ez_status status = ez_plan_next(plan, &arena, &kind, &request, &loader->error);
        if (status != EZ_OK || !request)
            return status;
        apply(loader, kind, request);
    }
}

ez_status load_bytes(ez_loader *loader, const void *data, size_t len) {
    FILE *file = fopen(loader->path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
    memset(loader->counts, 0, sizeof loader->counts);
    loader->failures[0] = loader->warnings[0] = loader->master_keys[0] = 0;
    loader->batches = loader->largest = 0;
    ez_error_clear(&loader->error);
    ez_plan_options options = {.include_bindings = loader->include_bindings,
                               .overwrite = loader->overwrite,
                               .self_contained = loader->dry_run,
                               .failed = on_failed,
                               .warned = on_warned,
                               .user = loader};
    ez_export *export = NULL;
    ez_plan *plan = NULL;
    ez_status status = ez_export_open(loader->path, &export, &loader->error);
    if (status == EZ_OK)
        status = ez_plan_make(export, &options, &plan, &loader->error);
    if (status == EZ_OK)
        status = run_plan(loader, plan);
    ez_plan_free(plan);
    ez_export_close(export);
    return status;
}

void load(ez_loader *loader, const char *data, ...) {
    ez_autofree char *members = NULL;
    ez_autofree char *whole = NULL;
    va_list args;
    va_start(args, data);
    cr_assert(vasprintf(&members, data, args) >= 0);
    va_end(args);
    for (char *c = members; *c; c++)
        if (*c == '\'')
            *c = '"';
    int len = asprintf(&whole, HEAD "%s}}", members);
    cr_assert(len >= 0);
    ez_status status = load_bytes(loader, whole, (size_t)len);
    cr_assert_eq(status, EZ_OK, "%s", loader->error.message);
}

// ---- What is expected

void expect_counts(const ez_loader *loader, ez_plan_kind kind, size_t created, size_t updated, size_t skipped,
                   size_t failed) {
    const size_t *n = loader->counts[kind];
    cr_assert(n[1] == created && n[2] == updated && n[3] == skipped && n[4] == failed,
              "%s: %zu created, %zu updated, %zu skipped, %zu failed; wanted %zu %zu %zu %zu\n%s",
              ez_plan_kind_name(kind), n[1], n[2], n[3], n[4], created, updated, skipped, failed, loader->failures);
}

// How many lines begin with the row; *line is the last of them.
static size_t lines_of(const char *lines, const char *row, const char **line) {
    size_t count = 0, len = strlen(row);
    for (const char *at = lines; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, row, len) == 0 && at[len] == ':') {
            *line = at;
            count++;
        }
    }
    return count;
}

void expect_failure(const ez_loader *loader, const char *row, const char *why) {
    const char *line = NULL;
    size_t count = lines_of(loader->failures, row, &line);
    cr_assert_eq(count, 1, "%s failed %zu times; what did:\n%s", row, count, loader->failures);
    const char *said = strstr(line, why);
    cr_assert(said && said < strchr(line, '\n'), "%s does not say \"%s\":\n%s", row, why, loader->failures);
}

void expect_warning(const ez_loader *loader, const char *part) {
    const char *at = strstr(loader->warnings, part);
    cr_assert_not_null(at, "nobody warned of \"%s\":\n%s", part, loader->warnings);
    cr_assert_null(strstr(at + 1, part), "warned twice of \"%s\":\n%s", part, loader->warnings);
}

void expect_no_warnings(const ez_loader *loader) {
    cr_assert_str_empty(loader->warnings, "%s", loader->warnings);
}

// ---- What is there now

#define NAMED(type, function, list_type, method)                                                                       \
    static type *function(ez_loader *loader, const char *name) {                                                       \
        list_type *list = expect_ok(loader->w, method, "{'page_size':1000}");                                          \
        for (size_t i = 0; i < list->n_items; i++)                                                                     \
            if (strcmp(list->items[i]->name, name) == 0)                                                               \
                return list->items[i];                                                                                 \
        return NULL;                                                                                                   \
    }

NAMED(Ez__V1__Master, find_master, Ez__V1__ListMastersResponse, "Masters/List")
NAMED(Ez__V1__ProviderGroup, find_group, Ez__V1__ListProviderGroupsResponse, "ProviderGroups/List")
NAMED(Ez__V1__ApiKey, find_api_key, Ez__V1__ListApiKeysResponse, "ApiKeys/List")
NAMED(Ez__V1__Namespace, find_namespace, Ez__V1__ListNamespacesResponse, "Namespaces/List")
NAMED(Ez__V1__Key, find_key_named, Ez__V1__ListKeysResponse, "Keys/List")

Ez__V1__Key *find_key(ez_loader *loader, const char *name) {
    return find_key_named(loader, name);
}

#define MUST(type, function, finder)                                                                                   \
    type *function(ez_loader *loader, const char *name) {                                                              \
        type *found = finder(loader, name);                                                                            \
        cr_assert_not_null(found, "there is no \"%s\"\n%s", name, loader->failures);                                   \
        return found;                                                                                                  \
    }

MUST(Ez__V1__Master, master_named, find_master)
MUST(Ez__V1__Key, key_named, find_key_named)
MUST(Ez__V1__ProviderGroup, group_named, find_group)
MUST(Ez__V1__ApiKey, api_key_named, find_api_key)

bool has_namespace(ez_loader *loader, const char *name) {
    return find_namespace(loader, name) != NULL;
}

Ez__V1__Binding *find_binding(ez_loader *loader, const char *name_space, const char *model, const char *group) {
    int64_t group_id = group_named(loader, group)->id;
    Ez__V1__ListBindingsResponse *list = expect_ok(loader->w, "Bindings/List", "{'page_size':1000}");
    for (size_t i = 0; i < list->n_items; i++) {
        Ez__V1__Binding *binding = list->items[i];
        if (strcmp(binding->namespace_, name_space) == 0 && strcmp(binding->public_model, model) == 0 &&
            binding->group_id == group_id)
            return binding;
    }
    return NULL;
}

const char *label_of(const Ez__V1__Master__LabelsEntry *const *labels, size_t count, const char *key) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(labels[i]->key, key) == 0)
            return labels[i]->value;
    return "";
}
