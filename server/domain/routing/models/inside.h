// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/model.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/cleanup.h"
#include "server/domain/routing/models/derive.h"
#include "server/domain/routing/models/models.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/setting.h"

#define SETTING_CATALOGUE "model_catalogue"
#define SETTING_META      "models_meta"

struct ez_models {
    ez_models_options options;
};

// ---- derive.c

// For what derives models beside ez_model_derive: look at the catalogue once in a transaction, then at models.
ez_status ez_model_use_catalogue(ez_model_deriver *deriver, ez_txn *txn, ez_error *error) EZ_MUST_CHECK;
ez_status ez_model_derive_one(ez_model_deriver *deriver, ez_txn *txn, ez_slice name_space, ez_slice public_model,
                              ez_error *error) EZ_MUST_CHECK;
ez_status ez_model_derive_of_binding(ez_model_deriver *deriver, ez_txn *txn, const ez_entry *binding,
                                     ez_error *error) EZ_MUST_CHECK;

// ---- step.c: what a sync changes, as handlers for the writer

#define EZ_MODEL_STEP_BINDINGS 1000 // looked at in one transaction
#define EZ_MODEL_STEP_CHANGES  250  // models written in one transaction

// self of ez_model_put_catalogue: puts the catalogue, where it is another one than is there.
typedef struct ez_model_catalogue_put {
    Ez__V1__ModelCatalogue *catalogue;
    bool has_changed; // out
} ez_model_catalogue_put;
ez_status ez_model_put_catalogue(void *self, ez_call *call, void *txn, ProtobufCMessage *request);

// self of ez_model_step: one step of deriving all models anew. Begins with zeros; call again until is_done.
typedef struct ez_model_step {
    ez_model_deriver *deriver;
    bool is_second; // all bindings were looked at: now models whose bindings are gone
    int64_t after;  // the last binding, or model, looked at
    // out; the caller takes over next_… where it goes on
    bool next_is_second;
    int64_t next_after;
    size_t changed;
    bool is_done;
} ez_model_step;
ez_status ez_model_run_step(void *self, ez_call *call, void *txn, ProtobufCMessage *request);

// ---- meta.c

// Where the catalogue is from, or why there is none.
typedef struct ez_model_origin {
    const char *source, *upstream_url, *upstream_ref;
} ez_model_origin;

// self of ez_model_put_meta: writes what differs from what is there.
typedef struct ez_model_meta_put {
    const ez_model_origin *origin; // NULL: as it is
    const char *checksum;          // of all models, hexadecimal; NULL: as it is
    int64_t models;
    const ez_error *failure; // NULL: last_error stays; of code OK: it is cleared
} ez_model_meta_put;
ez_status ez_model_put_meta(void *self, ez_call *call, void *txn, ProtobufCMessage *request);

// The setting as it is shown, with what is known of this server's sync (NULL: nothing). In arena.
ez_status ez_model_meta_shown(const ez_directory *directory, ez_model_sync *sync, ez_arena *arena,
                              Ez__V1__ModelsMeta **out, ez_error *error) EZ_MUST_CHECK;

// Of all models there are now; any thread.
#define EZ_MODEL_CHECKSUM_TEXT (2 * EZ_SHA256_LEN + 1)
ez_status ez_model_checksum(const ez_directory *directory, char out[EZ_MODEL_CHECKSUM_TEXT], int64_t *models,
                            ez_error *error) EZ_MUST_CHECK;
