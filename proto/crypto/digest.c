// SPDX-License-Identifier: Apache-2.0
//
// The digest of a configuration. Nothing is owned here. Awkward: ids are signed, so they are hashed as the 64 bits of
// their two's complement; no id in use is negative, but a hostile one must not be undefined behaviour.
#include "proto/crypto/digest.h"

#include "proto/crypto/hash.h"

static void big_endian(uint8_t *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

void ez_digest_row(uint32_t kind, int64_t id, const void *bytes, size_t len, uint64_t secret_version,
                   uint8_t out[EZ_DIGEST_LEN]) {
    uint8_t head[12];
    uint8_t tail[8];
    big_endian(head, kind, 4);
    big_endian(head + 4, (uint64_t)id, 8);
    big_endian(tail, secret_version, 8);
    const ez_sha256_part parts[] = {{head, sizeof head}, {bytes, len}, {tail, sizeof tail}};
    ez_sha256_parts(parts, 3, out);
}

void ez_digest_xor(uint8_t *into, const uint8_t *row) {
    for (unsigned i = 0; i < EZ_DIGEST_LEN; i++) {
        into[i] ^= row[i];
    }
}
