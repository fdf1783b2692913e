// SPDX-License-Identifier: Apache-2.0
//
// ez_model_sync: takes the catalogue from where it is, into the store, and has all models derived anew. At the start,
// at an interval and when asked; on a thread of its own, which also keeps models_meta in step with the models.
//
// Of several servers on one store the leader alone does what nobody asked for. A sync that was asked for runs where it
// was asked.
//
// Threads: any. Locking: one mutex guards the calls that wait and what they are told; none is answered under it.
// Teardown: stop, then outbound and the writer may stop, then destroy.
#pragma once

#include "proto/runtime/call.h"
#include "server/domain/routing/models/derive.h"
#include "server/platform/outbound/outbound.h"

#define EZ_MODEL_SYNC_CALLS 64 // that may wait for a sync; more: RESOURCE_EXHAUSTED (SYNC_QUEUE_FULL)

typedef struct ez_model_sync ez_model_sync;

typedef struct ez_model_sync_options {
    const ez_directory *directory; // these must outlive it, but for outbound, which must only be stopped before destroy
    ez_writer *writer;
    ez_model_deriver *deriver;
    ez_outbound *outbound;
    const char *file;     // EZ_MODELS_FILE, or NULL or ""; copied, as the others
    const char *url;      // EZ_MODELS_URL, likewise; at most one of the two
    const char *home;     // EZ_HOME: the copy of what the URL gave
    uint64_t interval_ms; // 0: at the start and when asked only
    bool keeps_meta;      // somebody reads models_meta: it is kept also where no catalogue was ever there
    ez_holder holder;     // only while it says so does this server look by itself
} ez_model_sync_options;

// Starts its thread. INVALID_ARGUMENT: both a file and a URL, or a URL that outbound refuses.
ez_status ez_model_sync_create(const ez_model_sync_options *options, ez_model_sync **out,
                               ez_error *error) EZ_MUST_CHECK;
// Answers all calls that wait (UNAVAILABLE, STOPPING) and takes no more. What runs is given up at its next step.
void ez_model_sync_stop(ez_model_sync *sync);
// Waits for its thread. Once outbound has stopped and before the writer is destroyed.
void ez_model_sync_join(ez_model_sync *sync);
void ez_model_sync_destroy(ez_model_sync *sync);

// Keeps the hold and answers it with a SyncModelsResponse once a sync that began after this is over. All that wait get
// the same one. FAILED_PRECONDITION (MODELS_NOT_SET), RESOURCE_EXHAUSTED, UNAVAILABLE: it is not kept.
ez_status ez_model_sync_ask(ez_model_sync *sync, ez_hold *hold, bool force, ez_error *error) EZ_MUST_CHECK;

// Answers those whose deadline has passed; from the timer.
void ez_model_sync_tick(ez_model_sync *sync);

// When it last looked at where the catalogue is from (0: never), and whether it is at it.
void ez_model_sync_state(ez_model_sync *sync, int64_t *checked_ns, bool *is_busy);
