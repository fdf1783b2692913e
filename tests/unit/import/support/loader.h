// SPDX-License-Identifier: Apache-2.0
//
// ez_loader: an import without its command, for tests. Data is written as JSON with ' for ", as the members of "data";
// it goes to a file, is opened, planned, and handed over batch by batch to a whole server below its sockets
// (tests/unit/access/support/world.h), packed and decoded on the way as over a socket. Helpers fail the test
// themselves.
#pragma once

#include "server/domain/import/import.h"
#include "server/domain/import/plan.h"
#include "tests/unit/access/support/world.h"

#define LOADER_TEXT_MAX 65536

typedef struct ez_loader {
    world *w; // NULL: batches are counted as created and go nowhere
    ez_import *import;
    char path[96];
    bool overwrite, include_bindings, dry_run; // of the next load
    size_t counts[EZ_PLAN_KINDS][5];           // by outcome, of the last load
    size_t batches, largest;                   // and its batches, bytes of the largest
    char failures[LOADER_TEXT_MAX];            // lines "keys[3]: why"
    char warnings[LOADER_TEXT_MAX];            // lines
    char master_keys[LOADER_TEXT_MAX];         // lines "name key"
    ez_error error;                            // of the last load
} ez_loader;

ez_loader *given_loader(void);
// Without a server behind it: for what the plan alone decides.
ez_loader *given_planner(void);
void end_loader(ez_loader *loader);

// Must succeed as a whole; single rows may fail. data: "'masters':[…],'keys':[…]".
void load(ez_loader *loader, const char *data, ...) EZ_PRINTF(2, 3);
// Any bytes as the file; what opening and planning it came to.
ez_status load_bytes(ez_loader *loader, const void *data, size_t len);

// Applies one row, written as JSON with ' for ", past any plan. The result lives as long as the server.
void apply_json(ez_loader *loader, const char *row, Ez__V1__ImportResult *result);

// Counts of the last load.
void expect_counts(const ez_loader *loader, ez_plan_kind kind, size_t created, size_t updated, size_t skipped,
                   size_t failed);
// The row failed, once, and said so.
void expect_failure(const ez_loader *loader, const char *row, const char *why);
// Exactly once.
void expect_warning(const ez_loader *loader, const char *part);
void expect_no_warnings(const ez_loader *loader);

// By name; they must be there. find_…: NULL where there is none.
Ez__V1__Master *master_named(ez_loader *loader, const char *name);
Ez__V1__Key *key_named(ez_loader *loader, const char *name);
Ez__V1__Key *find_key(ez_loader *loader, const char *name);
Ez__V1__ProviderGroup *group_named(ez_loader *loader, const char *name);
Ez__V1__ApiKey *api_key_named(ez_loader *loader, const char *name);
Ez__V1__Binding *find_binding(ez_loader *loader, const char *name_space, const char *model, const char *group);
bool has_namespace(ez_loader *loader, const char *name);
// Of a resource's labels; "" where there is none.
const char *label_of(const Ez__V1__Master__LabelsEntry *const *labels, size_t count, const char *key);
