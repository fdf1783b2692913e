// SPDX-License-Identifier: Apache-2.0
//
// The middle of three parts, base64url without padding, is JSON.
#include "server/domain/oauth/jwt.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/seal.h"

#define CLAIMS_MAX 16384 // bytes of the claims in base64

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

// out has room for 3/4 of len. 0 where it is none.
static size_t decode(const char *text, size_t len, char *out) {
    uint32_t bits = 0;
    unsigned have = 0;
    size_t made = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return 0;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[made++] = (char)(bits >> have & 0xff);
        }
    }
    return made;
}

json_t *ez_oauth_jwt_claims(const char *token) {
    const char *begin = strchr(token, '.');
    const char *end = begin ? strchr(begin + 1, '.') : NULL;
    size_t len = end ? (size_t)(end - begin - 1) : 0;
    if (len == 0 || len > CLAIMS_MAX)
        return NULL;
    char *text = malloc(len);
    if (!text)
        return NULL;
    size_t made = decode(begin + 1, len, text);
    json_t *claims = made ? json_loadb(text, made, JSON_REJECT_DUPLICATES, NULL) : NULL;
    ez_wipe(text, len);
    free(text);
    if (json_is_object(claims))
        return claims;
    json_decref(claims);
    return NULL;
}
