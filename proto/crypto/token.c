// SPDX-License-Identifier: Apache-2.0
//
// Making and hashing bearer tokens. 256 random bits become exactly 43 base62 digits (62⁴³ > 2²⁵⁶), most significant
// first, by long division: every token has one length and no bit of the randomness is lost. The raw bits are wiped.
#include "proto/crypto/token.h"

#include <assert.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/crypto/seal.h"

#define RAW_LEN 32
#define DIGITS  43

ez_status ez_token_make(const char *prefix, char *out) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t prefix_len = strlen(prefix);
    assert(prefix_len + DIGITS + 1 <= EZ_TOKEN_TEXT_MAX);
    uint8_t raw[RAW_LEN];
    ez_status status = ez_random(raw, sizeof raw);
    if (status != EZ_OK)
        return status;
    char text[DIGITS];
    for (int i = DIGITS - 1; i >= 0; i--) {
        unsigned rest = 0;
        for (size_t j = 0; j < RAW_LEN; j++) {
            unsigned part = rest << 8 | raw[j];
            raw[j] = (uint8_t)(part / 62);
            rest = part % 62;
        }
        text[i] = digits[rest];
    }
    memcpy(out, prefix, prefix_len);
    memcpy(out + prefix_len, text, DIGITS);
    out[prefix_len + DIGITS] = 0;
    ez_wipe(text, sizeof text);
    ez_wipe(raw, sizeof raw);
    return EZ_OK;
}

void ez_token_hash(const char *token, size_t len, uint8_t out[EZ_TOKEN_HASH_LEN]) {
    ez_sha256(token, len, out);
}
