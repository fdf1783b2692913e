// SPDX-License-Identifier: Apache-2.0
//
// ez_error and ez_status: texts are cut at whole characters, violations are counted, copies are whole.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/error.h"
#include "proto/runtime/utf8.h"

Test(error, keeps_code_reason_and_message) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_error_set(&error, EZ_NOT_FOUND, "KEY_UNKNOWN", "no key %d", 7), EZ_NOT_FOUND);
    cr_assert_eq(error.code, EZ_NOT_FOUND);
    cr_assert_str_eq(error.reason, "KEY_UNKNOWN");
    cr_assert_str_eq(error.message, "no key 7");
    cr_assert_eq(ez_error_set(NULL, EZ_ABORTED, "X", "y"), EZ_ABORTED);
    ez_error_clear(&error);
    cr_assert_eq(error.code, EZ_OK);
    cr_assert_str_empty(error.message);
}

Test(error, cuts_texts_at_a_whole_character) {
    for (int shift = 0; shift < 4; shift++) {
        char text[2000];
        memset(text, 'a', (size_t)shift);
        for (size_t at = (size_t)shift; at + 5 < sizeof text; at += 4)
            memcpy(text + at, "\xF0\x9F\x98\x80", 5);
        ez_error error = EZ_ERROR_INIT;
        (void)ez_error_set(&error, EZ_INTERNAL, "X", "%s", text);
        size_t len = strlen(error.message);
        cr_assert(ez_utf8_is_valid(error.message, len), "shift %d", shift);
        cr_assert_geq(len, EZ_ERROR_MESSAGE_MAX - 4);
        ez_error_clear(&error);
        (void)ez_error_violation(&error, text, "%s", text);
        cr_assert(ez_utf8_is_valid(error.violations[0].field, strlen(error.violations[0].field)));
        cr_assert(ez_utf8_is_valid(error.violations[0].description, strlen(error.violations[0].description)));
        cr_assert(ez_utf8_is_valid(error.message, strlen(error.message)));
    }
}

Test(error, counts_violations_up_to_its_bound) {
    ez_error error = EZ_ERROR_INIT;
    for (int i = 0; i < EZ_ERROR_VIOLATIONS_MAX + 3; i++) {
        char field[16];
        snprintf(field, sizeof field, "f%d", i);
        cr_assert_eq(ez_error_violation(&error, field, "must be %d", i), EZ_INVALID_ARGUMENT);
    }
    cr_assert_eq(error.violation_count, EZ_ERROR_VIOLATIONS_MAX);
    cr_assert_eq(error.code, EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "FIELD_INVALID");
    cr_assert_str_eq(error.message, "f0: must be 0");
    cr_assert_str_eq(error.violations[7].field, "f7");
    cr_assert_eq(ez_error_violation(NULL, "x", "y"), EZ_INVALID_ARGUMENT);
}

Test(error, copies_whole) {
    ez_error from = EZ_ERROR_INIT, to = EZ_ERROR_INIT;
    (void)ez_error_violation(&from, "name", "is required");
    (void)ez_error_violation(&from, "group", "is long");
    cr_assert_eq(ez_error_copy(&to, &from), EZ_INVALID_ARGUMENT);
    cr_assert_eq(to.violation_count, 2);
    cr_assert_str_eq(to.violations[1].field, "group");
    cr_assert_str_eq(to.message, "name: is required");
    cr_assert_eq(ez_error_copy(NULL, &from), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ez_error_copy(&to, NULL), EZ_OK);
    cr_assert_eq(to.code, EZ_OK);
}

Test(status, has_names_and_http_statuses) {
    cr_assert_str_eq(ez_status_name(EZ_OK), "OK");
    cr_assert_str_eq(ez_status_name(EZ_UNAUTHENTICATED), "UNAUTHENTICATED");
    cr_assert_str_eq(ez_status_name((ez_status)17), "UNKNOWN");
    cr_assert_str_eq(ez_status_name((ez_status)-1), "UNKNOWN");
    static const int http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 412, 409, 400, 501, 500, 503, 500, 401};
    for (int i = 0; i < 17; i++)
        cr_assert_eq(ez_status_http((ez_status)i), http[i], "code %d", i);
    cr_assert_eq(ez_status_http((ez_status)99), 500);
}
