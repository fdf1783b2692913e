// SPDX-License-Identifier: Apache-2.0
//
// Page tokens: base64url of a version, the list's letter and its numbers, eight bytes each. They hold nothing secret
// and grant nothing; a token of another list, or one that was tampered with, is refused rather than guessed at.
#include <string.h>

#include "server/domain/audit/inside.h"

#define VERSION   1
#define BYTES_MAX (2 + 8 * EZ_AUDIT_TOKEN_NUMBERS)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *ez_audit_token_write(char kind, const uint64_t *numbers, size_t count, ez_arena *arena) {
    uint8_t bytes[BYTES_MAX] = {VERSION, (uint8_t)kind};
    size_t len = 2;
    for (size_t i = 0; i < count && i < EZ_AUDIT_TOKEN_NUMBERS; i++)
        for (int shift = 56; shift >= 0; shift -= 8)
            bytes[len++] = (uint8_t)(numbers[i] >> shift);
    char *text = ez_arena_alloc(arena, (len * 8 + 5) / 6 + 1);
    if (!text)
        return NULL;
    size_t at = 0;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            text[at++] = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        text[at++] = digits[bits << (6 - held) & 63];
    text[at] = 0;
    return text;
}

static bool decode(const char *token, uint8_t *bytes, size_t len) {
    if (strlen(token) != (len * 8 + 5) / 6)
        return false;
    uint32_t bits = 0;
    int held = 0;
    size_t at = 0;
    for (; *token; token++) {
        const char *digit = strchr(digits, *token);
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

ez_status ez_audit_token_read(char kind, const char *token, uint64_t *numbers, size_t count, ez_error *error) {
    uint8_t bytes[BYTES_MAX];
    if (!decode(token, bytes, 2 + 8 * count) || bytes[0] != VERSION || bytes[1] != (uint8_t)kind)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
                            "page_token is not one that this list gave: start again without it");
    for (size_t i = 0; i < count; i++) {
        numbers[i] = 0;
        for (size_t j = 0; j < 8; j++)
            numbers[i] = numbers[i] << 8 | bytes[2 + 8 * i + j];
    }
    return EZ_OK;
}
