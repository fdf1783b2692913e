// SPDX-License-Identifier: Apache-2.0
//
// Models as admins read them: from the directory, as they lie there.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/routing/models/inside.h"
#include "server/state/directory/page.h"

enum { F_NAME = 2, F_NAMESPACE = 3, F_KIND = 5 };

ez_status ez_models_create(const ez_models_options *options, ez_models **out, ez_error *error) {
    ez_models *models = calloc(1, sizeof *models);
    if (!models)
        return ez_no_memory(error);
    models->options = *options;
    *out = models;
    return EZ_OK;
}

void ez_models_destroy(ez_models *models) {
    free(models);
}

ez_status ez_handle_models_get(ez_models *self, ez_call *call, Ez__V1__GetModelRequest *request) {
    ez_directory_enter();
    const ez_entry *entry =
        ez_directory_find(self->options.directory, EZ_INDEX_MODEL_NAME, ez_index_text(request->name));
    ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){NULL, 0};
    ez_status status =
        entry ? ez_call_reply_bytes(call, data.data, data.len)
              : ez_call_fail(call, EZ_NOT_FOUND, "NOT_FOUND",
                             "there is no model \"%.200s\": a model's name is its namespace, a dot and what a binding "
                             "there calls it",
                             request->name);
    ez_directory_leave();
    return status;
}

static bool accept_model(void *user, const ez_entry *entry) {
    const Ez__V1__ListModelsRequest *request = user;
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    if (request->kind &&
        !(ez_wire_find(data.data, data.len, F_KIND, &field) && field.varint == (uint64_t)request->kind))
        return false;
    return !request->namespace_[0] ||
           (ez_wire_find(data.data, data.len, F_NAMESPACE, &field) && field.bytes.len == strlen(request->namespace_) &&
            memcmp(field.bytes.data, request->namespace_, field.bytes.len) == 0);
}

ez_status ez_handle_models_list(ez_models *self, ez_call *call, Ez__V1__ListModelsRequest *request) {
    ez_page page = {.kind = EZ__V1__KIND__KIND_MODEL,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = request->q,
                    .q_field = F_NAME,
                    .accept = request->kind || request->namespace_[0] ? accept_model : NULL,
                    .user = request};
    ez_directory_enter();
    ez_status status = ez_page_reply(self->options.directory, &page, call);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_models_get_meta(ez_models *self, ez_call *call, Ez__V1__GetModelsMetaRequest *request) {
    (void)request;
    Ez__V1__ModelsMeta *meta;
    ez_status status =
        ez_model_meta_shown(self->options.directory, self->options.sync, &call->arena, &meta, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &meta->base) : status;
}

ez_status ez_handle_models_sync(ez_models *self, ez_call *call, struct ez_hold *hold,
                                Ez__V1__SyncModelsRequest *request) {
    if (!self->options.sync)
        return ez_call_fail(call, EZ_FAILED_PRECONDITION, "MODELS_NOT_SET", "this server syncs no models");
    return ez_model_sync_ask(self->options.sync, hold, request->force, &call->error);
}
