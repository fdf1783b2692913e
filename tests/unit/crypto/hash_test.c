// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 and HMAC against the published vectors (FIPS 180-4, RFC 4231).
#include <criterion/criterion.h>
#include <string.h>

#include "proto/crypto/hash.h"

static const char *hex(const uint8_t *data) {
    static char text[2 * EZ_SHA256_LEN + 1];
    ez_hex(data, EZ_SHA256_LEN, text);
    return text;
}

Test(hash, sha256_gives_the_published_digests) {
    uint8_t out[EZ_SHA256_LEN];
    ez_sha256("", 0, out);
    cr_assert_str_eq(hex(out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ez_sha256(NULL, 0, out);
    cr_assert_str_eq(hex(out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ez_sha256("abc", 3, out);
    cr_assert_str_eq(hex(out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(hash, parts_are_one_text) {
    uint8_t whole[EZ_SHA256_LEN], parts[EZ_SHA256_LEN];
    ez_sha256("abcdef", 6, whole);
    ez_sha256_parts((const ez_sha256_part[]){{"ab", 2}, {"", 0}, {NULL, 0}, {"cdef", 4}}, 4, parts);
    cr_assert_arr_eq(whole, parts, EZ_SHA256_LEN);
    ez_sha256("", 0, whole);
    ez_sha256_parts(NULL, 0, parts);
    cr_assert_arr_eq(whole, parts, EZ_SHA256_LEN);
}

Test(hash, hmac_gives_the_published_codes) {
    uint8_t out[EZ_SHA256_LEN], key[131];
    memset(key, 0x0b, 20);
    ez_hmac_sha256(key, 20, "Hi There", 8, out);
    cr_assert_str_eq(hex(out), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    memset(key, 0xaa, sizeof key);
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    ez_hmac_sha256(key, sizeof key, text, strlen(text), out);
    cr_assert_str_eq(hex(out), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    ez_hmac_sha256(NULL, 0, NULL, 0, out);
    cr_assert_str_eq(hex(out), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

Test(hash, secrets_are_compared) {
    cr_assert(ez_equal_secret("abc", "abc", 3));
    cr_assert_not(ez_equal_secret("abc", "abd", 3));
    cr_assert(ez_equal_secret("abc", "xyz", 0));
}
