// SPDX-License-Identifier: Apache-2.0
//
// Sealing and opening, with "PLACE|VERSION" as associated data. Plain bytes live in the caller's array and in one
// buffer here, which is wiped.
#include "server/state/delivery/secret.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define BOUND_MAX (EZ_DELIVERY_PLACE_MAX + 24)

static size_t bind(const char *place, uint64_t version, char out[BOUND_MAX]) {
    assert(strlen(place) < EZ_DELIVERY_PLACE_MAX);
    return (size_t)snprintf(out, BOUND_MAX, "%s|%llu", place, (unsigned long long)version);
}

ez_status ez_delivery_seal(const ez_sealer *sealer, const char *place, uint64_t version, const char *secret,
                           ez_buf *out, ez_error *error) {
    size_t len = strlen(secret);
    if (len == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SECRET_EMPTY", "a webhook's secret can't be empty");
    }
    if (len > EZ_DELIVERY_SECRET_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SECRET_TOO_LARGE", "a webhook's secret has at most %d bytes",
                            EZ_DELIVERY_SECRET_MAX);
    }
    char bound[BOUND_MAX];
    size_t bound_len = bind(place, version, bound);
    return ez_seal(sealer, secret, len, bound, bound_len, out, error);
}

ez_status ez_delivery_unseal(const ez_sealer *sealer, const char *place, uint64_t version, ez_slice sealed,
                             char secret[EZ_DELIVERY_SECRET_MAX + 1], ez_error *error) {
    if (sealed.len == 0) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SECRET_EMPTY", "the webhook has no secret: set one");
    }
    char bound[BOUND_MAX];
    size_t bound_len = bind(place, version, bound);
    ez_buf plain;
    ez_buf_init(&plain, EZ_DELIVERY_SECRET_MAX);
    ez_status status = ez_unseal(sealer, sealed.data, sealed.len, bound, bound_len, &plain, error);
    if (status == EZ_OK && (plain.len == 0 || memchr(plain.data, 0, plain.len) != NULL)) {
        status = ez_error_set(error, EZ_DATA_LOSS, "UNSEAL_FAILED", "the webhook's sealed secret is not a text");
    }
    if (status == EZ_OK) {
        memcpy(secret, plain.data, plain.len);
        secret[plain.len] = '\0';
    }
    if (plain.data != NULL) {
        ez_wipe(plain.data, plain.cap);
    }
    ez_buf_fini(&plain);
    return status;
}
