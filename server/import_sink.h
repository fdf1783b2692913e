// SPDX-License-Identifier: Apache-2.0
//
// Where an import's batches go: a running server, or a core of our own. One interface, so that the command does not
// care.
#pragma once

#include "ez/v1/import.pb-c.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/settings.h"

typedef struct ez_import_sink ez_import_sink;

// Looks whether a server runs in EZ_HOME; opens a connection to it, or the store.
ez_status ez_import_sink_open(const ez_settings *settings, ez_import_sink **out, ez_error *error) EZ_MUST_CHECK;
void ez_import_sink_close(ez_import_sink *sink);

// The reply is in arena. Where a server refuses the token, the error says where it came from and what to do.
ez_status ez_import_sink_apply(ez_import_sink *sink, Ez__V1__ApplyImportRequest *request, bool dry_run, ez_arena *arena,
                               Ez__V1__ApplyImportResponse **out, ez_error *error) EZ_MUST_CHECK;

// Whether the rows may be in all the same: this error, of ez_import_sink_apply, came after they had been handed over.
bool ez_import_sink_is_unknown(const ez_error *error);
