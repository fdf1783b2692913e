// SPDX-License-Identifier: Apache-2.0
//
// What the files that apply rows share. Each apply_… brings one row in, by the handlers of ez/handlers.h on the
// import's own call, whose reply they leave behind; the caller marks the transaction before and rolls a failed row
// back. A row is left as it was given but for what checks normalise: it may be applied again, where another server was
// faster.
#pragma once

#include "ez/v1/import.pb-c.h"
#include "server/domain/import/import.h"
#include "server/state/directory/edit.h"

#define KIND_MASTER         EZ__V1__KIND__KIND_MASTER
#define KIND_KEY            EZ__V1__KIND__KIND_KEY
#define KIND_PROVIDER_GROUP EZ__V1__KIND__KIND_PROVIDER_GROUP
#define KIND_API_KEY        EZ__V1__KIND__KIND_API_KEY

struct ez_import {
    struct ez_access *access;
    struct ez_routing *routing;
    const ez_counters *counters;
};

typedef struct ez_applying {
    ez_import *import;
    ez_call *call;
    ez_txn *txn;
    bool overwrite;
    Ez__V1__ImportResult *result;
} ez_applying;

// Each sets result->outcome and id. On error call->error says why.
ez_status ez_apply_namespace(ez_applying *a, char *name) EZ_MUST_CHECK;
ez_status ez_apply_master(ez_applying *a, Ez__V1__Master *master) EZ_MUST_CHECK;
ez_status ez_apply_key(ez_applying *a, Ez__V1__ImportKey *row) EZ_MUST_CHECK;
ez_status ez_apply_provider(ez_applying *a, Ez__V1__ImportProvider *row) EZ_MUST_CHECK;
ez_status ez_apply_binding(ez_applying *a, Ez__V1__ImportBinding *row) EZ_MUST_CHECK;

// Checks a row's resource as the call that makes it would: handlers rely on it. A row alone fails by it, not its call.
ez_status ez_apply_check(ez_applying *a, ProtobufCMessage *resource) EZ_MUST_CHECK;

// The id in the reply a handler just left; 0: none.
int64_t ez_apply_replied_id(const ez_applying *a);
static inline ez_status ez_apply_created(ez_applying *a) {
    a->result->outcome = EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_CREATED;
    a->result->id = ez_apply_replied_id(a);
    return EZ_OK;
}
// What is there already stays as it is (skip), or the caller goes on to change it.
static inline void ez_apply_met(ez_applying *a, const ez_entry *entry) {
    a->result->id = ez_entry_id(entry);
    a->result->outcome =
        a->overwrite ? EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_UPDATED : EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_SKIPPED;
}
