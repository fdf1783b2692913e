// SPDX-License-Identifier: Apache-2.0
//
// The digest of a configuration: a row's hash as docs/protocol.md has it, and that the sum has no order.
#include <criterion/criterion.h>
#include <string.h>

#include "proto/crypto/digest.h"
#include "proto/crypto/hash.h"

Test(digest, a_row_is_hashed_as_the_protocol_says) {
    static const uint8_t text[] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 5, 'a', 'b', 0, 0, 0, 0, 0, 0, 0, 9};
    uint8_t expected[EZ_SHA256_LEN], row[EZ_DIGEST_LEN];
    ez_sha256(text, sizeof text, expected);
    ez_digest_row(2, 0x105, "ab", 2, 9, row);
    cr_assert_arr_eq(row, expected, EZ_DIGEST_LEN);
}

Test(digest, rows_go_in_and_out_in_any_order) {
    uint8_t a[EZ_DIGEST_LEN], b[EZ_DIGEST_LEN], one[EZ_DIGEST_LEN] = {0}, two[EZ_DIGEST_LEN] = {0};
    static const uint8_t empty[EZ_DIGEST_LEN];
    ez_digest_row(1, 1, "x", 1, 0, a);
    ez_digest_row(1, 2, "x", 1, 0, b);
    ez_digest_xor(one, a);
    ez_digest_xor(one, b);
    ez_digest_xor(two, b);
    ez_digest_xor(two, a);
    cr_assert_arr_eq(one, two, EZ_DIGEST_LEN);
    ez_digest_xor(one, a);
    cr_assert_arr_eq(one, b, EZ_DIGEST_LEN);
    ez_digest_xor(one, b);
    cr_assert_arr_eq(one, empty, EZ_DIGEST_LEN);
}
