// SPDX-License-Identifier: Apache-2.0
//
// Deriving models: after each change of configuration, those it affects, in the same revision; and all of them, step by
// step, where the catalogue changed. On the writer's thread, but for create and destroy.
#pragma once

#include "server/state/directory/txn.h"
#include "server/state/directory/writer.h"

typedef struct ez_model_deriver ez_model_deriver;

ez_status ez_model_deriver_create(ez_model_deriver **out, ez_error *error) EZ_MUST_CHECK;
// After the writer ended.
void ez_model_deriver_destroy(ez_model_deriver *deriver);

// An ez_derive_fn: looks at what the transaction did to bindings and provider groups and puts, changes or deletes the
// models that follow. user: the deriver.
ez_status ez_model_derive(void *user, ez_txn *txn, ez_error *error);
