// SPDX-License-Identifier: Apache-2.0
//
// One sync from start to end, apart from when and for whom it is done.
#pragma once

#include <stdatomic.h>

#include "server/domain/routing/models/fetch.h"
#include "server/domain/routing/models/inside.h"
#include "server/domain/routing/models/sync.h"

typedef struct ez_model_work {
    ez_model_sync_options options;
    ez_model_fetch *fetch; // NULL: no outbound
    atomic_bool is_stopping;
    // The thread's:
    uint64_t seen_revision; // newest of the models when the checksum was made
    size_t seen_models;     // and how many there were
    bool has_seen;
    uint64_t fence; // the lease's token, for what nobody asked for; EZ_NO_FENCE
} ez_model_work;

// Who it is done for, in the audit.
typedef struct ez_model_asker {
    const ez_method *method; // NULL: nobody asked
    char actor[EZ_ACTOR_MAX];
    char request_id[EZ_REQUEST_ID_MAX + 1];
    char remote[EZ_REMOTE_MAX];
} ez_model_asker;

typedef struct ez_model_outcome {
    bool catalogue_changed;
    int64_t models_changed;
} ez_model_outcome;

// Another server has the lease: what was to be written is its, and nothing was.
bool ez_model_work_is_lost(const ez_error *error);
bool ez_model_work_has_source(const ez_model_work *work);

// Reads, parses, puts, derives, and notes in models_meta how it went. Blocks.
ez_status ez_model_work_sync(ez_model_work *work, const ez_model_asker *asker, bool force, ez_model_outcome *out,
                             ez_error *error) EZ_MUST_CHECK;
// Derives all models, without looking at where the catalogue is from.
ez_status ez_model_work_derive(ez_model_work *work, const ez_model_asker *asker, ez_model_outcome *out,
                               ez_error *error) EZ_MUST_CHECK;
// Where the models have changed since: makes the checksum and puts it, with a new version.
ez_status ez_model_work_watch(ez_model_work *work, ez_error *error) EZ_MUST_CHECK;
