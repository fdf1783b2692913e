// SPDX-License-Identifier: Apache-2.0
//
// The formats, by examples on both sides of each line.
#include <criterion/criterion.h>
#include <string.h>

#include "proto/runtime/format.h"

static void expect(ez_format format, const char *text, bool is_ok) {
    const char *fault = ez_format_fault(format, text, strlen(text));
    cr_assert_eq(fault == NULL, is_ok, "\"%s\": %s", text, fault ? fault : "taken");
}

#define TAKEN(format, ...)                                                                                             \
    do {                                                                                                               \
        static const char *const texts[] = {__VA_ARGS__};                                                              \
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)                                                    \
            expect(format, texts[i], true);                                                                            \
    } while (0)
#define REFUSED(format, ...)                                                                                           \
    do {                                                                                                               \
        static const char *const texts[] = {__VA_ARGS__};                                                              \
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)                                                    \
            expect(format, texts[i], false);                                                                           \
    } while (0)

Test(format, namespaces) {
    TAKEN(EZ_FORMAT_NAMESPACE, "a", "default", "\xE5\x91\xBD\xE5\x90\x8D", "a:b_c-d", "\xF0\x9F\x98\x80");
    REFUSED(EZ_FORMAT_NAMESPACE, "", "a.b", "a/b", "a b", "a\tb", "a\x7F", "a\xC2\x85", "a\xC2\xA0", "a\xE2\x80\x83",
            "a\xE3\x80\x80");
    // 64 characters, not bytes.
    char text[64 * 3 + 4] = "";
    for (int i = 0; i < 64; i++)
        strcat(text, "\xE2\x82\xAC");
    expect(EZ_FORMAT_NAMESPACE, text, true);
    strcat(text, "x");
    expect(EZ_FORMAT_NAMESPACE, text, false);
}

Test(format, urls) {
    TAKEN(EZ_FORMAT_URL, "https://api.openai.com/v1", "http://a", "HTTPS://A.B:1/", "http://10.0.0.1:65535?x=1",
          "https://[::1]", "https://[2001:db8::1]:8080/a@b", "https://ex\xC3\xA9mple.org/");
    REFUSED(EZ_FORMAT_URL, "", "https://", "http://", "ftp://a", "//a", "a.example", "https:/a", "https://user@a",
            "https://u:p@a/", "https://a b", "https://a/#f", "https://a\\b", "https://a:0", "https://a:65536",
            "https://a:", "https://a:1:2", "https://:80", "https://[::1", "https://[::1]x", "https://[::g]",
            "https://[]", "https://a..b", "https://.a", "https://a\n", "https://a/\"", "javascript:alert(1)",
            "https://?x", "https://a%20b");
}

Test(format, address_ranges) {
    TAKEN(EZ_FORMAT_CIDR, "0.0.0.0", "10.0.0.0/8", "192.0.2.1/32", "0.0.0.0/0", "::", "::1/128", "2001:db8::/32",
          "::ffff:10.0.0.1");
    REFUSED(EZ_FORMAT_CIDR, "", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "256.0.0.1",
            "010.0.0.1", "0x7f.1", "::/129", "::/1000", "2001:db8::/32x", "localhost", "/8", "10.0.0.0/8/8", "::1%eth0",
            "10.0.0.1 ");
}

Test(format, json_objects) {
    TAKEN(EZ_FORMAT_JSON_OBJECT, "{}", "{\"a\":1}", "{\"a\":{\"b\":[null,true,\"}\"]}}", "{ \"a\" : 1.5e3 }");
    REFUSED(EZ_FORMAT_JSON_OBJECT, "", "[]", "1", "\"{}\"", "{", "}", "{}{}", " {}", "{} ", "{\"a\"}", "{\"a\":}",
            "{a:1}", "{\"a\":1,}", "null", "{\"a\":01}");
}
