// SPDX-License-Identifier: Apache-2.0
//
// A token is 12 bytes in base64url, 16 characters without padding: version, order, method (2), last id (8), big endian.
// Twelve is a multiple of three, so every text of the right length has exactly one reading and none is left over.
#include "server/state/directory/page_token.h"

#include <string.h>

#define VERSION 1
#define BYTES   12
#define CHARS   16

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void fill(const ez_page_token *token, uint8_t out[BYTES]) {
    unsigned method = token->method ? token->method->index : UINT16_MAX;
    out[0] = VERSION;
    out[1] = token->is_descending;
    out[2] = (uint8_t)(method >> 8);
    out[3] = (uint8_t)method;
    for (unsigned i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)((uint64_t)token->last_id >> (56 - 8 * i));
}

void ez_page_token_write(const ez_page_token *token, char *out) {
    uint8_t bytes[BYTES];
    fill(token, bytes);
    for (unsigned i = 0; i < CHARS; i++) {
        unsigned bit = i * 6;
        unsigned pair = (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < BYTES ? bytes[bit / 8 + 1] : 0);
        out[i] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    out[CHARS] = 0;
}

static bool decode(const char *text, uint8_t out[BYTES]) {
    memset(out, 0, BYTES);
    for (unsigned i = 0; i < CHARS; i++) {
        const char *found = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!found)
            return false;
        unsigned bit = i * 6;
        unsigned pair = (unsigned)(found - alphabet) << (10 - bit % 8);
        out[bit / 8] |= (uint8_t)(pair >> 8);
        if (bit / 8 + 1 < BYTES)
            out[bit / 8 + 1] |= (uint8_t)pair;
    }
    return true;
}

bool ez_page_token_read(const char *text, ez_page_token *token) {
    uint8_t bytes[BYTES], expected[BYTES];
    if (strlen(text) != CHARS || !decode(text, bytes))
        return false;
    fill(token, expected);
    if (memcmp(bytes, expected, 4) != 0)
        return false;
    uint64_t id = 0;
    for (unsigned i = 0; i < 8; i++)
        id = id << 8 | bytes[4 + i];
    if (id > INT64_MAX)
        return false;
    token->last_id = (int64_t)id;
    return true;
}
