// SPDX-License-Identifier: Apache-2.0
//
// Ranges as requests give them.
#include <criterion/criterion.h>

#include "server/domain/logs/inside.h"

static ez_error error;

static Google__Protobuf__Timestamp at(int64_t seconds, int32_t nanos) {
    Google__Protobuf__Timestamp stamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    stamp.seconds = seconds;
    stamp.nanos = nanos;
    return stamp;
}

Test(range, ends_are_whole_minutes) {
    Google__Protobuf__Timestamp since = at(6030, 5), until = at(6120, 1);
    int64_t from, to;
    cr_assert_eq(ez_range_read(&since, &until, 60, 0, &from, &to, &error), EZ_OK);
    cr_assert_eq(from, 6000);
    cr_assert_eq(to, 6180, "the minute it ends in belongs to it");
    until = at(6120, 0);
    cr_assert_eq(ez_range_read(&since, &until, 60, 0, &from, &to, &error), EZ_OK);
    cr_assert_eq(to, 6120);
}

Test(range, without_ends_it_is_the_last_while) {
    int64_t from, to;
    cr_assert_eq(ez_range_read(NULL, NULL, 3600, 7230 * NS_PER_S, &from, &to, &error), EZ_OK);
    cr_assert_eq(to, 7260);
    cr_assert_eq(from, 3600);
    cr_assert_eq(ez_range_read(NULL, NULL, 86400, 7230 * NS_PER_S, &from, &to, &error), EZ_OK);
    cr_assert_eq(from, 0, "nothing is before 1970");
}

Test(range, an_empty_or_endless_one_is_judged) {
    Google__Protobuf__Timestamp since = at(100, 0), until = at(100, 0);
    int64_t from, to;
    cr_assert_eq(ez_range_read(&since, &until, 60, 0, &from, &to, &error), EZ_INVALID_ARGUMENT);
    until = at(INT64_MAX, 999999999);
    cr_assert_eq(ez_range_read(&since, &until, 60, 0, &from, &to, &error), EZ_OK);
    cr_assert_gt(to, from);
}
