// SPDX-License-Identifier: Apache-2.0
//
// Import.Apply: one result per row, in their order. A row that fails is rolled back to where it began; the others are
// in.
#include "server/domain/import/import.h"

#include <stdlib.h>

#include "proto/runtime/message.h"
#include "proto/runtime/wire.h"
#include "server/domain/import/apply.h"

enum { RESOURCE_ID = 1 };

ez_status ez_import_create(const ez_import_options *options, ez_import **out, ez_error *error) {
    ez_import *import = calloc(1, sizeof *import);
    if (import == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    }
    import->access = options->access;
    import->routing = options->routing;
    import->counters = options->counters;
    *out = import;
    return EZ_OK;
}

void ez_import_destroy(ez_import *import) {
    free(import);
}

int64_t ez_apply_replied_id(const ez_applying *a) {
    ez_wire_field id;
    return ez_wire_find(a->call->reply.data, a->call->reply.len, RESOURCE_ID, &id) ? (int64_t)id.varint : 0;
}

ez_status ez_apply_check(ez_applying *a, ProtobufCMessage *resource) {
    return ez_message_check(ez_message_rule_find(resource->descriptor), resource, true, &a->call->arena,
                            &a->call->error);
}

ez_status ez_apply_namespace(ez_applying *a, char *name) {
    Ez__V1__Namespace made = EZ__V1__NAMESPACE__INIT;
    made.name = name;
    ez_status status = ez_apply_check(a, &made.base);
    if (status != EZ_OK) {
        return status;
    }
    const ez_entry *met = ez_txn_find(a->txn, EZ_INDEX_NAMESPACE_NAME, ez_index_text(made.name));
    if (met != NULL) { // there is nothing in it that a file could overwrite
        a->result->id = ez_entry_id(met);
        a->result->outcome = EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_SKIPPED;
        return EZ_OK;
    }
    Ez__V1__CreateNamespaceRequest request = EZ__V1__CREATE_NAMESPACE_REQUEST__INIT;
    request.namespace_ = &made;
    status = ez_handle_namespaces_create(a->import->access, a->call, a->txn, &request);
    return status != EZ_OK ? status : ez_apply_created(a);
}

static ez_status apply_row(ez_applying *a, Ez__V1__ImportRow *row) {
    switch (row->row_case) {
    case EZ__V1__IMPORT_ROW__ROW_NAMESPACE:
        return ez_apply_namespace(a, row->namespace_);
    case EZ__V1__IMPORT_ROW__ROW_PROVIDER:
        return ez_apply_provider(a, row->provider);
    case EZ__V1__IMPORT_ROW__ROW_MASTER:
        return ez_apply_master(a, row->master);
    case EZ__V1__IMPORT_ROW__ROW_KEY:
        return ez_apply_key(a, row->key);
    case EZ__V1__IMPORT_ROW__ROW_BINDING:
        return ez_apply_binding(a, row->binding);
    default:
        return ez_call_fail(a->call, EZ_INVALID_ARGUMENT, "ROW_EMPTY", "this row holds nothing");
    }
}

static const char *why(ez_call *call) {
    const ez_error *error = &call->error;
    const char *text = error->violation_count == 0 ? ez_arena_strdup(&call->arena, error->message)
                                                   : ez_arena_printf(&call->arena, "%s: %s", error->violations[0].field,
                                                                     error->violations[0].description);
    return text != NULL ? text : "there is no memory to say why";
}

static void run_row(ez_applying *a, Ez__V1__ImportRow *row) {
    size_t mark = ez_txn_mark(a->txn);
    ez_error_clear(&a->call->error);
    a->result->index = row->index;
    if (apply_row(a, row) != EZ_OK) {
        ez_txn_rollback(a->txn, mark);
        a->result->outcome = EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED;
        a->result->id = 0;
        a->result->master_key = (char *)protobuf_c_empty_string;
        a->result->reason = (char *)why(a->call);
    }
    ez_error_clear(&a->call->error);
}

ez_status ez_handle_import_apply(struct ez_import *self, ez_call *call, struct ez_txn *txn,
                                 Ez__V1__ApplyImportRequest *request) {
    Ez__V1__ApplyImportResponse reply = EZ__V1__APPLY_IMPORT_RESPONSE__INIT;
    Ez__V1__ImportResult *results = ez_arena_alloc(&call->arena, request->n_rows * sizeof *results);
    reply.results = ez_arena_alloc(&call->arena, request->n_rows * sizeof *reply.results);
    if (results == NULL || reply.results == NULL) {
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY",
                            "there is no memory for this call: send fewer rows");
    }
    ez_applying a = {.import = self,
                     .call = call,
                     .txn = txn,
                     .overwrite = request->conflict == EZ__V1__IMPORT_CONFLICT__IMPORT_CONFLICT_OVERWRITE};
    for (size_t i = 0; i < request->n_rows; i++) {
        ez__v1__import_result__init(&results[i]);
        reply.results[i] = &results[i];
        a.result = &results[i];
        run_row(&a, request->rows[i]);
    }
    reply.n_results = request->n_rows;
    return ez_call_reply(call, &reply.base);
}
