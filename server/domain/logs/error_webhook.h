// SPDX-License-Identifier: Apache-2.0
//
// ez_error_webhook: counts errors among the records that were just stored, and sends an ErrorReport (JSON, signed) when
// they reach the threshold within the window. Settings: "error_webhook" in the directory, looked at before each batch;
// a change starts counting anew.
//
// The window is one of arrival at this server, not of the records' own times: a data plane whose clock is wrong is
// counted like the others. Several servers on one store count each for itself.
//
// Note: one thread, the logs appender's; never blocks.
#pragma once

#include "proto/crypto/seal.h"
#include "server/state/delivery/delivery.h"
#include "server/state/directory/directory.h"
#include "server/state/store/meter.h"

#define EZ_ERROR_WEBHOOK_PLACE "settings|error_webhook|secret" // of its secret: server/state/delivery/secret.h

typedef struct ez_error_webhook ez_error_webhook;

// What it names must outlive the object.
typedef struct ez_error_webhook_options {
    const ez_directory *directory;
    const ez_sealer *sealer;
    ez_deliverer *deliverer;
    const char *server_id;
} ez_error_webhook_options;

ez_status ez_error_webhook_create(const ez_error_webhook_options *options, ez_error_webhook **out,
                                  ez_error *error) EZ_MUST_CHECK;
void ez_error_webhook_destroy(ez_error_webhook *webhook); // NULL is fine

// After the rows' commit, once for each batch. now_ns: wall clock.
void ez_error_webhook_note(ez_error_webhook *webhook, const ez_log_row *rows, size_t count, int64_t now_ns);
