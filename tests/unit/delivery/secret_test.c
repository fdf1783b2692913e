// SPDX-License-Identifier: Apache-2.0
#include "server/state/delivery/secret.h"

#include <string.h>

#include "tests/support/expect.h"

#define PLACE "settings|hook|secret"

static ez_sealer *sealer;

static void begin(void) {
    uint8_t key[EZ_SEAL_KEY_LEN] = {1};
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_sealer_create(key, &sealer, &error), &error);
}

static void end(void) {
    ez_sealer_destroy(sealer);
}

TestSuite(delivery_secret, .init = begin, .fini = end);

Test(delivery_secret, opens_at_its_place_and_version_only) {
    char secret[EZ_DELIVERY_SECRET_MAX + 1];
    ez_error error = EZ_ERROR_INIT;
    ez_buf sealed;
    ez_buf_init(&sealed, 2048);
    expect_ok(ez_delivery_seal(sealer, PLACE, 3, "0123456789abcdef", &sealed, &error), &error);
    ez_slice slice = {sealed.data, sealed.len};
    expect_ok(ez_delivery_unseal(sealer, PLACE, 3, slice, secret, &error), &error);
    cr_assert_str_eq(secret, "0123456789abcdef");
    expect_code(EZ_DATA_LOSS, ez_delivery_unseal(sealer, PLACE, 2, slice, secret, &error), &error);
    expect_code(EZ_DATA_LOSS, ez_delivery_unseal(sealer, PLACE "2", 3, slice, secret, &error), &error);
    cr_assert_null(strstr(error.message, "0123456789"));
    ez_buf_fini(&sealed);
}

Test(delivery_secret, of_the_longest_size) {
    char secret[EZ_DELIVERY_SECRET_MAX + 1], longest[EZ_DELIVERY_SECRET_MAX + 2];
    ez_error error = EZ_ERROR_INIT;
    ez_buf sealed;
    ez_buf_init(&sealed, 2048);
    memset(longest, 'x', sizeof longest);
    longest[EZ_DELIVERY_SECRET_MAX] = '\0';
    expect_ok(ez_delivery_seal(sealer, PLACE, 1, longest, &sealed, &error), &error);
    expect_ok(ez_delivery_unseal(sealer, PLACE, 1, (ez_slice){sealed.data, sealed.len}, secret, &error), &error);
    cr_assert_str_eq(secret, longest);
    longest[EZ_DELIVERY_SECRET_MAX] = 'x';
    longest[EZ_DELIVERY_SECRET_MAX + 1] = '\0';
    expect_code(EZ_INVALID_ARGUMENT, ez_delivery_seal(sealer, PLACE, 1, longest, &sealed, &error), &error);
    ez_buf_fini(&sealed);
}

Test(delivery_secret, fault_55_an_empty_one_is_none) {
    char secret[EZ_DELIVERY_SECRET_MAX + 1];
    ez_error error = EZ_ERROR_INIT;
    ez_buf sealed;
    ez_buf_init(&sealed, 2048);
    expect_reason(EZ_INVALID_ARGUMENT, "SECRET_EMPTY", ez_delivery_seal(sealer, PLACE, 1, "", &sealed, &error), &error);
    expect_reason(EZ_FAILED_PRECONDITION, "SECRET_EMPTY",
                  ez_delivery_unseal(sealer, PLACE, 1, (ez_slice){0}, secret, &error), &error);
    // Sealed by hand, it does not open either.
    static const char place[] = "settings|hook|secret|1";
    expect_ok(ez_seal(sealer, "", 0, place, strlen(place), &sealed, &error), &error);
    expect_code(EZ_DATA_LOSS, ez_delivery_unseal(sealer, PLACE, 1, (ez_slice){sealed.data, sealed.len}, secret, &error),
                &error);
    ez_buf_fini(&sealed);
}
