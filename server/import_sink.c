// SPDX-License-Identifier: Apache-2.0
//
// Beside a running server the rows go through it, as calls by an admin: SQLite has one writer, and data planes get the
// changes at once. Without one the command is the server for as long as it takes.
//
// The awkward case: a server that goes away in the middle of a batch. The client repeats the call under its idempotency
// key while the deadline lasts; after that nobody knows, and the command says so.
#include "server/import_sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/client.h"
#include "ez/calls.h"
#include "ez/handlers.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "server/core.h"
#include "server/domain/import/import.h"
#include "server/domain/routing/routing.h"

#define TIMEOUT_MS 120000
#define METHOD     "ez.v1.Import/Apply"

struct ez_import_sink {
    ez_client *client; // a server runs
    bool has_setting;  // its token is EZ_ADMIN_TOKEN's, not the file's
    ez_core core;      // or none does
    ez_routing *routing;
    ez_import *import;
};

static ez_status connect_to(ez_import_sink *sink, const ez_settings *settings, const char *url, ez_error *error) {
    const char *home = ez_settings_text(settings, "EZ_HOME");
    ez_autofree char *read = NULL;
    ez_autofree char *file = ez_home_file(home, "admin.token");
    const char *token = ez_settings_text(settings, "EZ_ADMIN_TOKEN");
    sink->has_setting = token != NULL && token[0] != '\0';
    if (!sink->has_setting) {
        ez_error why = EZ_ERROR_INIT;
        if (file == NULL || ez_home_read(file, &read, &why) != EZ_OK) {
            return ez_error_set(error, EZ_FAILED_PRECONDITION, "TOKEN_MISSING",
                                "a server runs in EZ_HOME=%s, and an admin token is needed to import through it: set "
                                "EZ_ADMIN_TOKEN",
                                home);
        }
        token = read;
    }
    ez_client_options options = {
        .servers = {url}, .server_count = 1, .token = token, .name = "ezplaned-import", .timeout_ms = TIMEOUT_MS};
    return ez_client_open(&options, &sink->client, error);
}

static ez_status open_handlers(ez_import_sink *sink, ez_error *error) {
    ez_routing_options routing = {.directory = sink->core.directory, .counters = sink->core.counters};
    ez_status status = ez_routing_create(&routing, &sink->routing, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_import_options import = {.access = sink->core.access, .routing = sink->routing, .counters = sink->core.counters};
    return ez_import_create(&import, &sink->import, error);
}

ez_status ez_import_sink_open(const ez_settings *settings, ez_import_sink **out, ez_error *error) {
    ez_import_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    }
    ez_autofree char *running = NULL;
    ez_status status = ez_core_open(&sink->core, settings, NULL, &running, error);
    if (status == EZ_OK) {
        status = open_handlers(sink, error);
    } else if (running != NULL) {
        status = connect_to(sink, settings, running, error);
    }
    if (status != EZ_OK) {
        ez_import_sink_close(sink);
        return status;
    }
    *out = sink;
    return EZ_OK;
}

void ez_import_sink_close(ez_import_sink *sink) {
    if (sink == NULL) {
        return;
    }
    ez_client_close(sink->client);
    ez_core_stop(&sink->core);
    ez_import_destroy(sink->import);
    ez_routing_destroy(sink->routing);
    ez_core_close(&sink->core);
    free(sink);
}

static ez_status read_reply(const void *data, size_t len, ez_arena *arena, Ez__V1__ApplyImportResponse **out,
                            ez_error *error) {
    ProtobufCMessage *message;
    const ez_message_rule *rule = ez_message_rule_find(&ez__v1__apply_import_response__descriptor);
    ez_status status = ez_message_decode_reply(rule, data, len, arena, &message, error);
    if (status == EZ_OK) {
        *out = (Ez__V1__ApplyImportResponse *)message;
    }
    return status;
}

static ez_status apply_here(ez_import_sink *sink, Ez__V1__ApplyImportRequest *request, bool dry_run, ez_arena *arena,
                            Ez__V1__ApplyImportResponse **out, ez_error *error) {
    const ez_method *method = ez_method_find(METHOD, strlen(METHOD));
    ez_call *call;
    ez_status status = ez_call_create_system("import", &call);
    if (status != EZ_OK) {
        return ez_error_set(error, status, "NO_MEMORY", "there is no memory for this batch");
    }
    call->method = method;
    call->header.validate_only = dry_run;
    call->deadline_ns = ez_clock_mono_ns() + TIMEOUT_MS * 1000000ull;
    status = ez_writer_run(sink->core.writer, call, ez_handlers[method->index], sink->import, &request->base, error);
    if (status == EZ_OK) {
        status = read_reply(call->reply.data, call->reply.len, arena, out, error);
    }
    ez_call_destroy_system(call);
    return status;
}

static ez_status apply_there(ez_import_sink *sink, Ez__V1__ApplyImportRequest *request, bool dry_run, ez_arena *arena,
                             Ez__V1__ApplyImportResponse **out, ez_error *error) {
    ez_call_options options = {.validate_only = dry_run, .timeout_ms = TIMEOUT_MS};
    Ez__V1__ApplyImportResponse *reply = NULL;
    ez_error why = EZ_ERROR_INIT;
    ez_status status = ez_call_import_apply(sink->client, request, &options, &reply, &why);
    if (status == EZ_UNAUTHENTICATED || status == EZ_PERMISSION_DENIED) {
        return ez_error_set(error, status, "TOKEN_REFUSED",
                            "a server runs in EZ_HOME, and it refuses the token from %s: %s. Set EZ_ADMIN_TOKEN to a "
                            "valid admin token",
                            sink->has_setting ? "EZ_ADMIN_TOKEN" : "EZ_HOME/admin.token",
                            status == EZ_UNAUTHENTICATED ? "it does not know it" : "it is no admin's");
    }
    if (status != EZ_OK) {
        return ez_error_copy(error, &why);
    }
    *out = (Ez__V1__ApplyImportResponse *)ez_message_copy(&reply->base, arena);
    ez__v1__apply_import_response__free_unpacked(reply, NULL);
    return *out != NULL ? EZ_OK
                        : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this batch");
}

ez_status ez_import_sink_apply(ez_import_sink *sink, Ez__V1__ApplyImportRequest *request, bool dry_run, ez_arena *arena,
                               Ez__V1__ApplyImportResponse **out, ez_error *error) {
    return sink->client != NULL ? apply_there(sink, request, dry_run, arena, out, error)
                                : apply_here(sink, request, dry_run, arena, out, error);
}

bool ez_import_sink_is_unknown(const ez_error *error) {
    switch (error->code) {
    case EZ_UNAVAILABLE:
        return strcmp(error->reason, "CONNECTION_LOST") == 0 || strcmp(error->reason, "COMMIT_UNKNOWN") == 0;
    case EZ_DEADLINE_EXCEEDED:
    case EZ_DATA_LOSS:
    case EZ_INTERNAL:
    case EZ_UNKNOWN:
        return true;
    default:
        return false;
    }
}
