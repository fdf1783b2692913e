// SPDX-License-Identifier: Apache-2.0
//
// Admins' credentials. They can be made and revoked, not changed. The last one that works can't be deleted: nobody
// could make another. One that has expired counts for nothing here.
#include <string.h>

#include "server/domain/access/inside.h"

enum { F_NAME = 2 };

ez_status ez_handle_admin_tokens_create(ez_access *self, ez_call *call, ez_txn *txn,
                                        Ez__V1__CreateAdminTokenRequest *request) {
    (void)self;
    ez_error *error = &call->error;
    Ez__V1__AdminToken copy = *request->admin_token, *token = &copy;
    if (ez_stamp_has_passed(token->expires_at, ez_txn_now_ns(txn)))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPIRES_IN_PAST", "expires_at must be in the future");
    ez_credential made;
    ez_status status = ez_credential_mint(txn, "eza_", &made, error);
    if (status != EZ_OK)
        return status;
    token->id = 0;
    token->token = made.token;
    token->token_prefix = made.prefix;
    token->token_last4 = made.last4;
    token->token_sha256 = made.sha256;
    status = ez_txn_put(txn, KIND_ADMIN_TOKEN, &token->base, error);
    return status == EZ_OK ? ez_call_reply(call, &token->base) : status;
}

ez_status ez_handle_admin_tokens_get(ez_access *self, ez_call *call, Ez__V1__GetAdminTokenRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_ADMIN_TOKEN, request->id);
    ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){NULL, 0};
    ez_status status = entry ? ez_call_reply_bytes(call, data.data, data.len)
                             : ez_kind_missing(KIND_ADMIN_TOKEN, request->id, &call->error);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_admin_tokens_list(ez_access *self, ez_call *call, Ez__V1__ListAdminTokensRequest *request) {
    ez_page page = {.kind = KIND_ADMIN_TOKEN,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = "",
                    .q_field = F_NAME};
    ez_directory_enter();
    ez_status status = ez_page_reply(self->directory, &page, call);
    ez_directory_leave();
    return status;
}

// Whether another token than id works now.
static ez_status has_other(ez_txn *txn, int64_t id, bool *found, ez_error *error) {
    ez_auto(ez_arena) scratch;
    ez_arena_init(&scratch, 1u << 20);
    *found = false;
    int64_t at = 0;
    for (const ez_entry *entry; !*found && (entry = ez_txn_next(txn, KIND_ADMIN_TOKEN, at));) {
        at = ez_entry_id(entry);
        ez_arena_reset(&scratch);
        const Ez__V1__AdminToken *token = (const Ez__V1__AdminToken *)ez_entry_unpack(entry, &scratch);
        if (!token)
            return ez_no_memory(error);
        *found = at != id && !ez_stamp_has_passed(token->expires_at, ez_txn_now_ns(txn));
    }
    return EZ_OK;
}

ez_status ez_handle_admin_tokens_delete(ez_access *self, ez_call *call, ez_txn *txn,
                                        Ez__V1__DeleteAdminTokenRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_ADMIN_TOKEN, request->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    const Ez__V1__AdminToken *token = (const Ez__V1__AdminToken *)loaded;
    bool found = true;
    if (!ez_stamp_has_passed(token->expires_at, ez_txn_now_ns(txn)))
        status = has_other(txn, request->id, &found, error);
    if (status == EZ_OK && !found)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "LAST_ADMIN_TOKEN",
                            "admin token %lld (%s) is the last one that works: make another one first",
                            (long long)request->id, token->name);
    if (status == EZ_OK)
        status = ez_txn_delete(txn, KIND_ADMIN_TOKEN, request->id, error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}
