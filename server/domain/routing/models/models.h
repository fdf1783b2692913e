// SPDX-License-Identifier: Apache-2.0
//
// ez_models: the model registry as it is read. The handlers are in ez/handlers.h. Any thread.
#pragma once

#include "server/domain/routing/models/sync.h"

typedef struct ez_models ez_models;

typedef struct ez_models_options {
    const ez_directory *directory; // both must outlive it
    ez_model_sync *sync;           // NULL: nothing can be synced
} ez_models_options;

ez_status ez_models_create(const ez_models_options *options, ez_models **out, ez_error *error) EZ_MUST_CHECK;
void ez_models_destroy(ez_models *models);
