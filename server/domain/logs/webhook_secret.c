// SPDX-License-Identifier: Apache-2.0
//
// Sealing and opening, with "settings|error_webhook|secret|VERSION" as associated data. Plain bytes live in the
// caller's array and in one buffer here, which is wiped.
#include "server/domain/logs/webhook_secret.h"

#include <stdio.h>
#include <string.h>

#define PLACE_MAX 64

static size_t place_of(uint64_t version, char out[PLACE_MAX]) {
    return (size_t)snprintf(out, PLACE_MAX, "settings|error_webhook|secret|%llu", (unsigned long long)version);
}

ez_status ez_webhook_secret_seal(const ez_sealer *sealer, uint64_t version, const char *secret, ez_buf *out,
                                 ez_error *error) {
    size_t len = strlen(secret);
    if (len == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SECRET_EMPTY", "a webhook's secret can't be empty");
    }
    if (len > EZ_WEBHOOK_SECRET_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SECRET_TOO_LARGE", "a webhook's secret has at most %d bytes",
                            EZ_WEBHOOK_SECRET_MAX);
    }
    char place[PLACE_MAX];
    size_t place_len = place_of(version, place);
    return ez_seal(sealer, secret, len, place, place_len, out, error);
}

ez_status ez_webhook_secret_unseal(const ez_sealer *sealer, uint64_t version, ez_slice sealed,
                                   char secret[EZ_WEBHOOK_SECRET_MAX + 1], ez_error *error) {
    if (sealed.len == 0) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SECRET_EMPTY", "the error webhook has no secret: set one");
    }
    char place[PLACE_MAX];
    size_t place_len = place_of(version, place);
    ez_buf plain;
    ez_buf_init(&plain, EZ_WEBHOOK_SECRET_MAX);
    ez_status status = ez_unseal(sealer, sealed.data, sealed.len, place, place_len, &plain, error);
    if (status == EZ_OK && (plain.len == 0 || memchr(plain.data, 0, plain.len) != NULL)) {
        status = ez_error_set(error, EZ_DATA_LOSS, "UNSEAL_FAILED", "the error webhook's sealed secret is not a text");
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
