// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees: the object, short names of kinds and statuses, and how API
// keys and bindings are made, changed and deleted one at a time, which their handlers and their batches both do.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/binding.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "ez/v1/route.pb-c.h"
#include "proto/runtime/cleanup.h"
#include "server/domain/routing/routing.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/few.h"
#include "server/state/directory/page.h"
#include "server/state/directory/stamp.h"

#define KIND_MASTER         EZ__V1__KIND__KIND_MASTER
#define KIND_KEY            EZ__V1__KIND__KIND_KEY
#define KIND_NAMESPACE      EZ__V1__KIND__KIND_NAMESPACE
#define KIND_PROVIDER_GROUP EZ__V1__KIND__KIND_PROVIDER_GROUP
#define KIND_API_KEY        EZ__V1__KIND__KIND_API_KEY
#define KIND_BINDING        EZ__V1__KIND__KIND_BINDING

#define GROUP_ACTIVE     EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE
#define GROUP_DISABLED   EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED
#define API_KEY_ACTIVE   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define API_KEY_DISABLED EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED
#define API_KEY_BANNED   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED
#define API_KEY_EXPIRED  EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED

struct ez_routing {
    const ez_directory *directory;
    const ez_counters *counters;
    const ez_outbound_allow *allow;
    int64_t (*next_refresh)(void *user, int64_t api_key_id); // NULL: nobody knows
    void *refresh_user;
};

// ---- Groups whose API keys came into service or left it, to be recompiled at the end of a batch

typedef struct ez_touched {
    int64_t *groups; // in the call's arena; room for as many as the batch has items
    size_t count;
} ez_touched;

// ---- provider_group.c

// Puts a group that is being made: defaults, rules, id. What it points to is left as it was.
ez_status ez_group_make(ez_txn *txn, Ez__V1__ProviderGroup *group, ez_error *error) EZ_MUST_CHECK;
// The group as it is shown after a change: with key_count.
Ez__V1__ProviderGroup ez_group_shown(ez_txn *txn, const Ez__V1__ProviderGroup *group);

// ---- api_key.c

// Each does one change within a transaction. touched: where to note the group instead of recompiling its bindings at
// once, or NULL. *out is the key as it is now, without secrets and with its derived status.
ez_status ez_api_key_make(const ez_routing *self, ez_txn *txn, const Ez__V1__ApiKey *asked, ez_touched *touched,
                          Ez__V1__ApiKey **out, ez_error *error) EZ_MUST_CHECK;
ez_status ez_api_key_update(const ez_routing *self, ez_txn *txn, const Ez__V1__UpdateApiKeyRequest *request,
                            ez_touched *touched, Ez__V1__ApiKey **out, ez_error *error) EZ_MUST_CHECK;
ez_status ez_api_key_delete(ez_txn *txn, int64_t id, ez_touched *touched, ez_error *error) EZ_MUST_CHECK;

// ---- api_key_view.c

// What a packed API key's status is now, and what it is kept as.
int ez_api_key_status(const ez_entry *entry, int64_t now_ns);
int ez_api_key_stored_status(const ez_entry *entry);
int ez_api_key_message_status(const Ez__V1__ApiKey *key, int64_t now_ns);
// Clears what no reply may carry.
void ez_api_key_blank(Ez__V1__ApiKey *key);

// ---- ban.c

// A ban ends, and with it what is kept of it. When it did is remembered: auto-ban counts from then on.
ez_status ez_ban_end(ez_txn *txn, Ez__V1__ApiKey *key, ez_error *error) EZ_MUST_CHECK;

// ---- binding.c

ez_status ez_binding_make(ez_txn *txn, const Ez__V1__Binding *asked, Ez__V1__Binding **out,
                          ez_error *error) EZ_MUST_CHECK;
ez_status ez_binding_update(ez_txn *txn, const Ez__V1__UpdateBindingRequest *request, Ez__V1__Binding **out,
                            ez_error *error) EZ_MUST_CHECK;
ez_status ez_binding_delete(ez_txn *txn, int64_t id, ez_error *error) EZ_MUST_CHECK;
