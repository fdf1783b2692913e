// SPDX-License-Identifier: Apache-2.0
//
// Sealing and opening API keys' secrets. The associated data names table, row, column and version, so that a sealed
// secret that was copied to another row, or an older one put back, does not open. Plain bytes live in one buffer here
// and are wiped; the unpacked message is the caller's and lives in its call's arena.
#include "server/state/directory/secret.h"

#include <stdio.h>

#include "server/state/directory/apply.h"
#include "server/state/directory/directory.h"

#define PLACE_MAX 64

static size_t place_of(int64_t id, uint64_t version, char out[PLACE_MAX]) {
    return (size_t)snprintf(out, PLACE_MAX, "api_keys|%lld|secret|%llu", (long long)id, (unsigned long long)version);
}

static void wipe_and_fini(ez_buf *plain) {
    if (plain->data)
        ez_wipe(plain->data, plain->cap);
    ez_buf_fini(plain);
}

ez_status ez_secret_seal(const ez_sealer *sealer, int64_t api_key_id, uint64_t secret_version,
                         const Ez__V1__ApiKeySecret *secret, ez_buf *out, ez_error *error) {
    size_t size = ez__v1__api_key_secret__get_packed_size(secret);
    if (size == 0)
        return EZ_OK;
    ez_buf plain;
    ez_buf_init(&plain, EZ_SECRET_PLAIN_MAX);
    // Reserved whole, so that no copy of it is left behind by growing.
    if (ez_buf_reserve(&plain, size) != EZ_OK || ez_buf_pack(&plain, &secret->base) != EZ_OK) {
        wipe_and_fini(&plain);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "SECRET_TOO_LARGE",
                            "the secrets of API key %lld have %zu bytes, at most %u can be kept", (long long)api_key_id,
                            size, EZ_SECRET_PLAIN_MAX);
    }
    char place[PLACE_MAX];
    size_t place_len = place_of(api_key_id, secret_version, place);
    ez_status status = ez_seal(sealer, plain.data, plain.len, place, place_len, out, error);
    wipe_and_fini(&plain);
    return status;
}

ez_status ez_secret_unseal(const ez_sealer *sealer, int64_t api_key_id, uint64_t secret_version, ez_slice sealed,
                           ez_arena *arena, Ez__V1__ApiKeySecret **out, ez_error *error) {
    if (sealed.len == 0) {
        *out = NULL;
        return EZ_OK;
    }
    ez_buf plain;
    ez_buf_init(&plain, EZ_SECRET_PLAIN_MAX + EZ_SEAL_OVERHEAD);
    char place[PLACE_MAX];
    size_t place_len = place_of(api_key_id, secret_version, place);
    ez_status status = ez_buf_reserve(&plain, sealed.len <= plain.max ? sealed.len : plain.max);
    if (status != EZ_OK)
        return ez_error_set(error, status, "OUT_OF_MEMORY", "no memory to open an API key's secret");
    status = ez_unseal(sealer, sealed.data, sealed.len, place, place_len, &plain, error);
    Ez__V1__ApiKeySecret *secret = NULL;
    if (status == EZ_OK) {
        secret = ez__v1__api_key_secret__unpack(ez_arena_allocator(arena), plain.len, plain.data);
        if (!secret)
            status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for an API key's secret");
    }
    wipe_and_fini(&plain);
    if (status == EZ_OK)
        *out = secret;
    return status;
}

ez_status ez_directory_unseal(const ez_directory *directory, const ez_entry *entry, ez_arena *arena,
                              Ez__V1__ApiKeySecret **out, ez_error *error) {
    return ez_secret_unseal(ez_directory_sealer(directory), ez_entry_id(entry), ez_entry_secret_version(entry),
                            ez_entry_sealed(entry), arena, out, error);
}
