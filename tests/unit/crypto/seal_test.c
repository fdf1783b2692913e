// SPDX-License-Identifier: Apache-2.0
//
// Sealing: what is sealed opens at its place and with its key only, and not with any bit of it changed.
#include <criterion/criterion.h>
#include <string.h>

#include "proto/crypto/seal.h"
#include "proto/runtime/cleanup.h"

static ez_sealer *sealer_of(uint8_t byte) {
    uint8_t key[EZ_SEAL_KEY_LEN];
    memset(key, byte, sizeof key);
    ez_sealer *sealer = NULL;
    cr_assert_eq(ez_sealer_create(key, &sealer, NULL), EZ_OK);
    return sealer;
}

Test(seal, opens_at_its_place_with_its_key) {
    ez_sealer *sealer = sealer_of(1), *other = sealer_of(2);
    ez_auto(ez_buf) sealed;
    ez_auto(ez_buf) plain;
    ez_buf_init(&sealed, 1000);
    ez_buf_init(&plain, 1000);
    cr_assert_eq(ez_buf_puts(&plain, "before "), EZ_OK);
    cr_assert_eq(ez_seal(sealer, "secret", 6, "api_key|1", 9, &sealed, NULL), EZ_OK);
    cr_assert_eq(sealed.len, 6 + EZ_SEAL_OVERHEAD);
    cr_assert_null(memmem(sealed.data, sealed.len, "secret", 6));
    cr_assert_eq(ez_unseal(sealer, sealed.data, sealed.len, "api_key|1", 9, &plain, NULL), EZ_OK);
    cr_assert_str_eq(ez_buf_cstr(&plain), "before secret");
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_unseal(sealer, sealed.data, sealed.len, "api_key|2", 9, &plain, &error), EZ_DATA_LOSS);
    cr_assert_eq(ez_unseal(other, sealed.data, sealed.len, "api_key|1", 9, &plain, &error), EZ_DATA_LOSS);
    cr_assert_eq(plain.len, strlen("before secret"));
    cr_assert_neq(ez_sealer_key_id(sealer), ez_sealer_key_id(other));
    ez_sealer_destroy(sealer);
    ez_sealer_destroy(other);
    ez_sealer_destroy(NULL);
}

Test(seal, no_changed_bit_and_no_cut_opens) {
    ez_sealer *sealer = sealer_of(1);
    ez_auto(ez_buf) sealed;
    ez_auto(ez_buf) plain;
    ez_buf_init(&sealed, 1000);
    ez_buf_init(&plain, 1000);
    cr_assert_eq(ez_seal(sealer, "xy", 2, "a", 1, &sealed, NULL), EZ_OK);
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(ez_unseal(sealer, sealed.data, sealed.len, "a", 1, &plain, NULL), EZ_DATA_LOSS, "bit %zu", bit);
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sealed.len; len++)
        cr_assert_eq(ez_unseal(sealer, sealed.data, len, "a", 1, &plain, NULL), EZ_DATA_LOSS, "cut at %zu", len);
    cr_assert_eq(ez_unseal(sealer, sealed.data, sealed.len, "a", 1, &plain, NULL), EZ_OK);
    ez_sealer_destroy(sealer);
}

Test(seal, the_same_text_is_never_sealed_alike) {
    ez_sealer *sealer = sealer_of(1);
    ez_auto(ez_buf) one;
    ez_auto(ez_buf) two;
    ez_auto(ez_buf) plain;
    ez_buf_init(&one, 100);
    ez_buf_init(&two, 100);
    ez_buf_init(&plain, 100);
    cr_assert_eq(ez_seal(sealer, NULL, 0, NULL, 0, &one, NULL), EZ_OK);
    cr_assert_eq(ez_seal(sealer, NULL, 0, NULL, 0, &two, NULL), EZ_OK);
    cr_assert_eq(one.len, EZ_SEAL_OVERHEAD);
    cr_assert_arr_neq(one.data + 5, two.data + 5, 12);
    cr_assert_eq(ez_unseal(sealer, one.data, one.len, NULL, 0, &plain, NULL), EZ_OK);
    cr_assert_eq(plain.len, 0);
    ez_buf_fini(&one);
    ez_buf_init(&one, EZ_SEAL_OVERHEAD);
    cr_assert_eq(ez_seal(sealer, "x", 1, NULL, 0, &one, NULL), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(one.len, 0);
    ez_sealer_destroy(sealer);
}

Test(seal, wipe_overwrites) {
    char secret[] = "secret";
    ez_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        cr_assert_eq(secret[i], 0);
}
