// SPDX-License-Identifier: Apache-2.0
//
// UTF-8: every character there is, and the forms that are not one.
#include <criterion/criterion.h>
#include <string.h>

#include "proto/runtime/utf8.h"

static size_t encode(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

Test(utf8, takes_every_character_and_no_surrogate) {
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        size_t len = encode(c, text);
        uint32_t back = 0;
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        size_t got = ez_utf8_next(text, len, &back);
        if (got != (is_surrogate ? 0 : len) || (!is_surrogate && back != c))
            cr_assert_fail("U+%04X", c);
        if (len > 1 && ez_utf8_next(text, len - 1, NULL) != 0)
            cr_assert_fail("U+%04X cut short", c);
    }
}

Test(utf8, refuses_what_is_none) {
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "abcdefgh\xC3",
                                      "abcdefghi\xE2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(ez_utf8_is_valid(bad[i], strlen(bad[i])), "case %zu", i);
    cr_assert(ez_utf8_is_valid("abcdefgh\xC3\xA9xyz01234567", 21));
    cr_assert(ez_utf8_is_valid("", 0));
    cr_assert(ez_utf8_is_valid("a\0b", 3));
    cr_assert_not(ez_utf8_is_text("a\0b", 3));
    cr_assert(ez_utf8_is_text("ab", 2));
}

Test(utf8, counts_and_cuts_characters) {
    const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    cr_assert_eq(ez_utf8_count(text, strlen(text)), 4);
    static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t max = 0; max < 12; max++)
        cr_assert_eq(ez_utf8_cut(text, 10, max), cuts[max], "max %zu", max);
}
