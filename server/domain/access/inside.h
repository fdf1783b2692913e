// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees: the object, kinds by short names, how a status is derived,
// how a key is issued and changed by an admin or by its tenant, and which namespaces a master or key may use.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "ez/v1/token.pb-c.h"
#include "proto/runtime/cleanup.h"
#include "server/domain/access/access.h"
#include "server/state/directory/credential.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/few.h"
#include "server/state/directory/page.h"
#include "server/state/directory/stamp.h"

#define KIND_MASTER      EZ__V1__KIND__KIND_MASTER
#define KIND_KEY         EZ__V1__KIND__KIND_KEY
#define KIND_NAMESPACE   EZ__V1__KIND__KIND_NAMESPACE
#define KIND_BINDING     EZ__V1__KIND__KIND_BINDING
#define KIND_ADMIN_TOKEN EZ__V1__KIND__KIND_ADMIN_TOKEN

#define KEY_ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define KEY_DISABLED  EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED
#define KEY_EXPIRED   EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED
#define KEY_EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED

struct ez_access {
    const ez_directory *directory;
    const ez_counters *counters;
    ez_realtime *realtime;
};

// ---- allowed.c: which namespaces may be used

// A master's are its default one and the listed ones.
bool ez_allowed_has(const Ez__V1__Master *master, const char *name);
// Drops repeats, and checks that every namespace exists (NAMESPACE_UNKNOWN).
ez_status ez_allowed_check_master(ez_txn *txn, Ez__V1__Master *master, ez_error *error) EZ_MUST_CHECK;
// The same, and that they are within the master's (NAMESPACE_NOT_ALLOWED).
ez_status ez_allowed_check_key(ez_txn *txn, const Ez__V1__Master *master, Ez__V1__Key *key,
                               ez_error *error) EZ_MUST_CHECK;
// Whether a packed master or key names the namespace.
bool ez_allowed_entry_names(const ez_entry *entry, const char *name);
// Whether a packed key names a namespace that is not its master's.
bool ez_allowed_key_exceeds(const ez_entry *key, const Ez__V1__Master *master);

// ---- counted.c

// Appends requests, tokens_in and tokens_out as first_field and the two after it. *last_used_ns is set where anything
// was counted.
ez_status ez_access_put_counted(const ez_access *access, ez_usage_table table, int64_t id, uint32_t first_field,
                                int64_t *last_used_ns, ez_buf *out) EZ_MUST_CHECK;

// ---- key_view.c: what is derived when a key is read

// The status a packed key has now.
int ez_key_status(const ez_access *access, const ez_entry *entry, int64_t now_ns);
// What a key as it is kept has used in this period.
int64_t ez_key_used(const ez_access *access, const Ez__V1__Key *key);
// Fills the reply with one key, or with a page of them. master_id 0: of all masters.
ez_status ez_key_reply(const ez_access *access, ez_call *call, const ez_entry *entry) EZ_MUST_CHECK;
// The reply of a change: the message as put, with its status and counters as they are read.
ez_status ez_key_reply_changed(const ez_access *access, ez_call *call, ez_txn *txn, Ez__V1__Key *key) EZ_MUST_CHECK;
typedef struct ez_key_list {
    int64_t master_id;
    int status; // 0: any
    int32_t page_size;
    const char *page_token, *order_by, *q;
    bool with_total;
} ez_key_list;
ez_status ez_key_reply_list(const ez_access *access, ez_call *call, const ez_key_list *list) EZ_MUST_CHECK;

// ---- key_change.c: what may be done to a key, and by whom

typedef struct ez_key_patch {
    int64_t id;
    Ez__V1__Key *key;
    size_t mask_count;
    char **mask;
} ez_key_patch;

// tenant: the master that acts for itself, 0 for an admin. Each fills the reply and leaves what was asked for as it
// was.
ez_status ez_key_issue(const ez_access *access, ez_txn *txn, ez_call *call, int64_t master_id, int64_t tenant,
                       const Ez__V1__Key *asked) EZ_MUST_CHECK;
ez_status ez_key_update(const ez_access *access, ez_txn *txn, ez_call *call, const ez_key_patch *patch,
                        int64_t tenant) EZ_MUST_CHECK;
ez_status ez_key_delete(ez_txn *txn, ez_call *call, int64_t id, int64_t tenant) EZ_MUST_CHECK;

// ---- master.c

// A master's entry unpacked for reading only, without the If-Match that ez_txn_load brings. NOT_FOUND.
ez_status ez_master_read(ez_txn *txn, int64_t id, Ez__V1__Master **out, ez_error *error) EZ_MUST_CHECK;
// The packed bytes with key_count and counters behind them.
ez_status ez_master_show(const ez_access *access, const ez_entry *entry, ez_buf *out) EZ_MUST_CHECK;
ez_status ez_master_reply_changed(const ez_access *access, ez_call *call, ez_txn *txn,
                                  Ez__V1__Master *master) EZ_MUST_CHECK;
// master_access.c: refuses (or, with propagate, rewrites) keys that name a namespace the master no longer has.
ez_status ez_master_follow(ez_txn *txn, ez_call *call, const Ez__V1__Master *master, bool propagate) EZ_MUST_CHECK;
