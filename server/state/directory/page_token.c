// SPDX-License-Identifier: Apache-2.0
//
// A token is base64url without padding: version, list, and the numbers with eight bytes each, big endian. The bits that
// are left over in the last character must be 0, so that every token has exactly one text.
#include "server/state/directory/page_token.h"

#include <assert.h>
#include <string.h>

#define VERSION   1
#define HEAD      2
#define BYTES_MAX (HEAD + 8 * EZ_PAGE_TOKEN_NUMBERS)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t text_len(size_t bytes) {
    return (bytes * 8 + 5) / 6;
}

void ez_page_token_write(char list, const uint64_t *numbers, size_t count, char *out) {
    uint8_t bytes[BYTES_MAX] = {VERSION, (uint8_t)list};
    size_t len = HEAD, at = 0;
    assert(count <= EZ_PAGE_TOKEN_NUMBERS);
    for (size_t i = 0; i < count; i++)
        for (int shift = 56; shift >= 0; shift -= 8)
            bytes[len++] = (uint8_t)(numbers[i] >> shift);
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            out[at++] = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        out[at++] = digits[bits << (6 - held) & 63];
    out[at] = 0;
}

static bool decode(const char *text, uint8_t *bytes, size_t len) {
    if (strlen(text) != text_len(len))
        return false;
    uint32_t bits = 0;
    int held = 0;
    size_t at = 0;
    for (; *text; text++) {
        const char *digit = strchr(digits, *text);
        if (!digit)
            return false;
        bits = bits << 6 | (uint32_t)(digit - digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[at++] = (uint8_t)(bits >> held);
        }
    }
    return at == len && (bits & ((1u << held) - 1)) == 0;
}

bool ez_page_token_read(char list, const char *text, uint64_t *numbers, size_t count) {
    uint8_t bytes[BYTES_MAX];
    assert(count <= EZ_PAGE_TOKEN_NUMBERS);
    if (!decode(text, bytes, HEAD + 8 * count) || bytes[0] != VERSION || bytes[1] != (uint8_t)list)
        return false;
    for (size_t i = 0; i < count; i++) {
        numbers[i] = 0;
        for (size_t j = 0; j < 8; j++)
            numbers[i] = numbers[i] << 8 | bytes[HEAD + 8 * i + j];
    }
    return true;
}
