// SPDX-License-Identifier: Apache-2.0
//
// Masters: tenants with a master key. How many keys one has is counted when it is read, never stored: issuing a key
// must not change its master. A master's deletion takes its keys with it only where cascade says so.
#include <assert.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"

enum {
    F_NAME = 2,
    F_STATUS = 8,
    F_KEY_COUNT = 16,
    F_REQUESTS = 17, // tokens_in and tokens_out follow
    F_REALTIME = 20,
    KEY_NAME = 3
};

ez_status ez_master_read(ez_txn *txn, int64_t id, Ez__V1__Master **out, ez_error *error) {
    const ez_entry *entry = ez_txn_get(txn, KIND_MASTER, id);
    if (!entry)
        return ez_kind_missing(KIND_MASTER, id, error);
    *out = (Ez__V1__Master *)ez_entry_unpack(entry, ez_txn_arena(txn));
    return *out ? EZ_OK : ez_no_memory(error);
}

ez_status ez_master_show(const ez_access *access, const ez_entry *entry, ez_buf *out) {
    ez_slice data = ez_entry_data(entry);
    int64_t id = ez_entry_id(entry);
    size_t count = ez_directory_member_count(access->directory, EZ_INDEX_KEY_BY_MASTER, ez_index_id(id));
    ez_status status = ez_buf_append(out, data.data, data.len);
    if (status == EZ_OK)
        status = count ? ez_wire_put_varint(out, F_KEY_COUNT, count) : EZ_OK;
    int64_t last_used_ns;
    return status == EZ_OK ? ez_access_put_counted(access, EZ_USAGE_MASTERS, id, F_REQUESTS, &last_used_ns, out)
                           : status;
}

ez_status ez_master_reply_changed(const ez_access *access, ez_call *call, ez_txn *txn, Ez__V1__Master *master) {
    Ez__V1__Master shown = *master;
    ez_usage_sums sums;
    ez_counters_get(access->counters, EZ_USAGE_MASTERS, master->id, &sums);
    shown.key_count = (int64_t)ez_txn_member_count(txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(master->id));
    shown.request_count = sums.requests;
    shown.tokens_in = sums.tokens_in;
    shown.tokens_out = sums.tokens_out;
    return ez_call_reply(call, &shown.base);
}

static ez_status give_master_key(ez_txn *txn, Ez__V1__Master *master, ez_error *error) {
    ez_credential made;
    ez_status status = ez_credential_mint(txn, "ezm_", &made, error);
    if (status != EZ_OK)
        return status;
    master->master_key = made.token;
    master->token_prefix = made.prefix;
    master->token_last4 = made.last4;
    master->token_sha256 = made.sha256;
    return EZ_OK;
}

ez_status ez_handle_masters_create(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__CreateMasterRequest *request) {
    Ez__V1__Master copy = *request->master, *master = &copy;
    ez_status status = ez_txn_fill(txn, KIND_MASTER, &master->base, &call->error);
    if (status == EZ_OK)
        status = ez_allowed_check_master(txn, master, &call->error);
    if (status == EZ_OK)
        status = give_master_key(txn, master, &call->error);
    if (status != EZ_OK)
        return status;
    master->id = 0;
    status = ez_txn_put(txn, KIND_MASTER, &master->base, &call->error);
    return status == EZ_OK ? ez_master_reply_changed(self, call, txn, master) : status;
}

static ez_status put_realtime(const ez_access *access, const ez_call *call, int64_t id, ez_buf *out) {
    if (!access->realtime)
        return EZ_OK;
    ez_realtime_view view;
    ez_realtime_master(access->realtime, id, ez_clock_mono_ms() / 1000, &view);
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = call->time_ns / 1000000000;
    time.nanos = (int32_t)(call->time_ns % 1000000000);
    Ez__V1__RealtimeStats stats = ez_realtime_stats(&view);
    stats.time = &time;
    uint8_t packed[128];
    size_t len = ez__v1__realtime_stats__get_packed_size(&stats);
    assert(len <= sizeof packed); // seven fields of at most eleven bytes, and a time
    ez__v1__realtime_stats__pack(&stats, packed);
    return ez_wire_put_bytes(out, F_REALTIME, packed, len);
}

static ez_status reply_master(const ez_access *access, ez_call *call, int64_t id, bool is_live) {
    const ez_entry *entry = ez_directory_get(access->directory, KIND_MASTER, id);
    if (!entry)
        return ez_kind_missing(KIND_MASTER, id, &call->error);
    ez_auto(ez_buf) bytes;
    ez_buf_init(&bytes, EZ_CALL_MAX);
    if (ez_master_show(access, entry, &bytes) != EZ_OK || (is_live && put_realtime(access, call, id, &bytes) != EZ_OK))
        return ez_no_memory(&call->error);
    return ez_call_reply_bytes(call, bytes.data, bytes.len);
}

ez_status ez_handle_masters_get(ez_access *self, ez_call *call, Ez__V1__GetMasterRequest *request) {
    ez_directory_enter();
    ez_status status = reply_master(self, call, request->id, true);
    ez_directory_leave();
    return status;
}

// The caller's own master: SELF's only read of it.
ez_status ez_handle_self_get(ez_access *self, ez_call *call, Ez__V1__GetSelfRequest *request) {
    (void)request;
    ez_directory_enter();
    ez_status status = reply_master(self, call, call->principal.id, false);
    ez_directory_leave();
    return status;
}

typedef struct list_view {
    const ez_access *access;
    uint64_t status;
} list_view;

static bool accept_master(void *user, const ez_entry *entry) {
    const list_view *view = user;
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    return ez_wire_find(data.data, data.len, F_STATUS, &field) && field.varint == view->status;
}

static ez_status show_master(void *user, const ez_entry *entry, ez_call *call, ez_buf *out) {
    (void)call;
    const list_view *view = user;
    return ez_master_show(view->access, entry, out);
}

ez_status ez_handle_masters_list(ez_access *self, ez_call *call, Ez__V1__ListMastersRequest *request) {
    list_view view = {self, (uint64_t)request->status};
    ez_page page = {.kind = KIND_MASTER,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = request->q,
                    .q_field = F_NAME,
                    .accept = request->status ? accept_master : NULL,
                    .show = show_master,
                    .user = &view};
    ez_directory_enter();
    ez_status status = ez_page_reply(self->directory, &page, call);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_masters_update(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__UpdateMasterRequest *request) {
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load_merged(txn, KIND_MASTER, request->id, &request->master->base, request->n_update_mask,
                                          request->update_mask, &loaded, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Master *master = (Ez__V1__Master *)loaded;
    status = ez_allowed_check_master(txn, master, error);
    if (status == EZ_OK)
        status = ez_master_follow(txn, call, master, false);
    if (status == EZ_OK)
        status = ez_txn_put_changed(txn, KIND_MASTER, request->id, loaded, error);
    return status == EZ_OK ? ez_master_reply_changed(self, call, txn, master) : status;
}

ez_status ez_handle_masters_rotate(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__RotateMasterRequest *request) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_MASTER, request->id, &loaded, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Master *master = (Ez__V1__Master *)loaded;
    status = give_master_key(txn, master, &call->error);
    if (status == EZ_OK)
        status = ez_txn_put(txn, KIND_MASTER, loaded, &call->error);
    return status == EZ_OK ? ez_master_reply_changed(self, call, txn, master) : status;
}

// ---- Deletion

static ez_status refuse_keys(ez_txn *txn, const Ez__V1__Master *master, ez_error *error) {
    ez_few few = ez_txn_few_members(txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(master->id), KEY_NAME);
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "MASTER_HAS_KEYS",
                        "master %lld (%s) still has %zu keys: %s; delete them first, or set cascade",
                        (long long)master->id, master->name, few.count, ez_few_text(&few));
}

ez_status ez_handle_masters_delete(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__DeleteMasterRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_MASTER, request->id, &loaded, &call->error);
    if (status != EZ_OK)
        return status;
    const Ez__V1__Master *master = (const Ez__V1__Master *)loaded;
    bool has_keys = ez_txn_member_count(txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(request->id)) > 0;
    if (has_keys && !request->cascade)
        return refuse_keys(txn, master, &call->error);
    ez_txn_subject(txn, KIND_MASTER, request->id);
    status = ez_txn_delete_members(txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(request->id), &call->error);
    if (status == EZ_OK)
        status = ez_txn_delete(txn, KIND_MASTER, request->id, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}
