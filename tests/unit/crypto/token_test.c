// SPDX-License-Identifier: Apache-2.0
//
// Tokens: one length, one alphabet, no two alike, and every digit in use.
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/crypto/token.h"

Test(token, has_its_prefix_and_43_digits) {
    char seen[62] = {0}, before[EZ_TOKEN_TEXT_MAX] = "";
    for (int i = 0; i < 500; i++) {
        char token[EZ_TOKEN_TEXT_MAX];
        cr_assert_eq(ez_token_make("ezm_", token), EZ_OK);
        cr_assert_eq(strlen(token), 47);
        cr_assert_eq(strncmp(token, "ezm_", 4), 0);
        cr_assert_str_neq(token, before);
        strcpy(before, token);
        for (const char *c = token + 4; *c; c++) {
            cr_assert(isalnum((unsigned char)*c));
            int digit = isdigit((unsigned char)*c)   ? *c - '0'
                        : isupper((unsigned char)*c) ? *c - 'A' + 10
                                                     : *c - 'a' + 36;
            seen[digit] = 1;
        }
    }
    for (int i = 0; i < 62; i++)
        cr_assert(seen[i], "digit %d", i);
}

Test(token, is_hashed_as_its_bytes) {
    uint8_t hash[EZ_TOKEN_HASH_LEN], expected[EZ_SHA256_LEN];
    ez_token_hash("sk-abc", 6, hash);
    ez_sha256("sk-abc", 6, expected);
    cr_assert_arr_eq(hash, expected, EZ_SHA256_LEN);
}

Test(random, fills_all_of_it) {
    uint8_t seen[1000] = {0}, data[1000];
    for (int round = 0; round < 20; round++) {
        memset(data, 0, sizeof data);
        cr_assert_eq(ez_random(data, sizeof data), EZ_OK);
        for (size_t i = 0; i < sizeof data; i++)
            seen[i] |= data[i];
    }
    for (size_t i = 0; i < sizeof seen; i++)
        cr_assert_neq(seen[i], 0, "byte %zu stayed 0 twenty times", i);
    cr_assert_eq(ez_random(NULL, 0), EZ_OK);
}
