// SPDX-License-Identifier: Apache-2.0
//
// ez_audit: reading who changed what, and the change feed as an admin sees it. Both come from the store, on its reader
// threads; nothing is kept here. Who writes them is the writer (server/state/directory/writer.h).
#pragma once

#include "server/state/feed/feed.h"

typedef struct ez_audit ez_audit;

typedef struct ez_audit_options {
    const ez_feed *feed; // for the epoch; must outlive the object
} ez_audit_options;

ez_status ez_audit_create(const ez_audit_options *options, ez_audit **out, ez_error *error) EZ_MUST_CHECK;
void ez_audit_destroy(ez_audit *audit);
