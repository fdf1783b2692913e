// SPDX-License-Identifier: Apache-2.0
//
// Idempotency keys: who called and with what key is one hash, what was asked another; the reply is kept sealed, since
// it may carry a token that was just made. Awkward: the request is hashed as it came, before a handler trims or
// completes it, or a repeat would seem another request.
#include <string.h>

#include "server/state/directory/group.h"

#define PLACE_MAX (12 + 2 * EZ_SHA256_LEN + 1)

static void big_endian(uint8_t *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

void ez_idempotency_prepare(ez_group_item *item) {
    const ez_call *call = item->write->call;
    ez_slice key = call->header.idempotency_key;
    item->has_key = key.len > 0 && !call->header.validate_only;
    if (!item->has_key)
        return;
    uint8_t caller[12];
    big_endian(caller, (uint64_t)call->principal.scope, 4);
    big_endian(caller + 4, (uint64_t)call->principal.id, 8);
    const ez_sha256_part who[] = {{caller, sizeof caller}, {key.data, key.len}};
    ez_sha256_parts(who, 2, item->key);
    const char *method = call->method ? call->method->name : "";
    const ez_sha256_part what[] = {{method, strlen(method) + 1}, {item->request.data, item->request.len}};
    ez_sha256_parts(what, 2, item->request_hash);
}

static size_t place_of(const ez_group_item *item, char out[PLACE_MAX]) {
    memcpy(out, "idempotency|", 12);
    ez_hex(item->key, EZ_SHA256_LEN, out + 12);
    return PLACE_MAX - 1;
}

ez_status ez_idempotency_reused(ez_call *call) {
    return ez_call_fail(call, EZ_INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED",
                        "this idempotency key was used for another request: make a new one for each change");
}

static ez_status replay(ez_writer *writer, ez_group_item *item, const ez_store_idempotent *kept) {
    ez_call *call = item->write->call;
    ez_buf plain;
    ez_buf_init(&plain, EZ_CALL_MAX);
    char place[PLACE_MAX];
    size_t place_len = place_of(item, place);
    ez_status status =
        ez_unseal(writer->options.sealer, kept->reply.data, kept->reply.len, place, place_len, &plain, &call->error);
    if (status == EZ_OK)
        status = ez_call_reply_bytes(call, plain.data, plain.len);
    if (plain.data)
        ez_wipe(plain.data, plain.cap);
    ez_buf_fini(&plain);
    item->write->revision = (ez_revision){writer->head.epoch, kept->revision};
    return status;
}

ez_status ez_idempotency_find(ez_writer *writer, ez_group_item *item, bool *found) {
    ez_call *call = item->write->call;
    ez_store_idempotent kept;
    ez_status status =
        ez_store_find_idempotent(writer->options.store, item->key, &call->arena, &kept, found, &call->error);
    if (status != EZ_OK || !*found)
        return status;
    if (memcmp(kept.request_hash, item->request_hash, EZ_SHA256_LEN) != 0)
        return ez_idempotency_reused(call);
    return replay(writer, item, &kept);
}

ez_status ez_idempotency_seal(ez_writer *writer, ez_group_item *item) {
    ez_call *call = item->write->call;
    char place[PLACE_MAX];
    size_t place_len = place_of(item, place);
    ez_buf_clear(&item->sealed);
    return ez_seal(writer->options.sealer, call->reply.data, call->reply.len, place, place_len, &item->sealed,
                   &call->error);
}
