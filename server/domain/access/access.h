// SPDX-License-Identifier: Apache-2.0
//
// ez_access: masters, keys, namespaces, admin tokens, and what a tenant sees of itself. The handlers are in
// ez/handlers.h; they keep no state beyond the directory and the counters, so one object serves every thread.
#pragma once

#include "proto/crypto/token.h"
#include "server/state/directory/writer.h"
#include "server/state/metering/counters.h"
#include "server/state/metering/realtime.h"

typedef struct ez_access ez_access;

typedef struct ez_access_options {
    const ez_directory *directory; // all must outlive the object
    const ez_counters *counters;   // NULL: all are zero
    ez_realtime *realtime;         // NULL: masters are shown without
} ez_access_options;

ez_status ez_access_create(const ez_access_options *options, ez_access **out, ez_error *error) EZ_MUST_CHECK;
void ez_access_destroy(ez_access *access);

#define EZ_ADMIN_TOKEN_MIN 32 // characters of an admin token that is given rather than made

// At start, before calls are taken: where there is none yet, makes the namespace "default" and the admin token "first",
// which is admin_token (NULL or "": no token is made). *is_taken: it is the first one now. Once there are admin tokens
// nothing changes; a given one that is not among them is ignored, which a log line says. INVALID_ARGUMENT where the
// given one can't be used. Waits for the writer.
ez_status ez_access_bootstrap(ez_writer *writer, const ez_directory *directory, const char *admin_token, bool *is_taken,
                              ez_error *error) EZ_MUST_CHECK;
