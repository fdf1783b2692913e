// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 by hand: the check runs over every text of every call, so plain ASCII goes eight bytes at a time. The awkward
// case is the lead byte's second byte, whose range is narrower after E0, ED, F0 and F4 (overlong forms, surrogates,
// past the last plane).
#include "proto/runtime/utf8.h"

#include <string.h>

// The least and greatest second byte after a lead byte, and how many bytes the character has; 0: no lead byte.
static size_t lead(uint8_t byte, uint8_t *low, uint8_t *high) {
    *low = 0x80;
    *high = 0xBF;
    if (byte >= 0xC2 && byte <= 0xDF)
        return 2;
    if (byte >= 0xE0 && byte <= 0xEF) {
        if (byte == 0xE0)
            *low = 0xA0;
        if (byte == 0xED)
            *high = 0x9F;
        return 3;
    }
    if (byte >= 0xF0 && byte <= 0xF4) {
        if (byte == 0xF0)
            *low = 0x90;
        if (byte == 0xF4)
            *high = 0x8F;
        return 4;
    }
    return 0;
}

size_t ez_utf8_next(const char *text, size_t len, uint32_t *out) {
    if (len == 0)
        return 0;
    const uint8_t *bytes = (const uint8_t *)text;
    if (bytes[0] < 0x80) {
        if (out)
            *out = bytes[0];
        return 1;
    }
    uint8_t low, high;
    size_t size = lead(bytes[0], &low, &high);
    if (size == 0 || size > len || bytes[1] < low || bytes[1] > high)
        return 0;
    uint32_t code = bytes[0] & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    if (out)
        *out = code;
    return size;
}

bool ez_utf8_is_valid(const char *text, size_t len) {
    size_t at = 0;
    while (at < len) {
        uint64_t word;
        while (len - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (word & UINT64_C(0x8080808080808080))
                break;
            at += sizeof word;
        }
        if (at == len)
            break;
        size_t size = ez_utf8_next(text + at, len - at, NULL);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

bool ez_utf8_is_text(const char *text, size_t len) {
    return len == 0 || (memchr(text, 0, len) == NULL && ez_utf8_is_valid(text, len));
}

size_t ez_utf8_count(const char *text, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((uint8_t)text[i] & 0xC0) != 0x80;
    return count;
}

size_t ez_utf8_cut(const char *text, size_t len, size_t max) {
    if (len <= max)
        return len;
    while (max > 0 && ((uint8_t)text[max] & 0xC0) == 0x80)
        max--;
    return max;
}
