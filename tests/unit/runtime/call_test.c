// SPDX-License-Identifier: Apache-2.0
//
// Replies and errors of a call: the last reply wins, one that does not fit becomes an error.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/call.h"

Test(call, the_last_reply_wins) {
    ez_call call = {0};
    ez_buf_init(&call.reply, EZ_CALL_MAX);
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    revision.epoch = 3;
    cr_assert_eq(ez_call_reply(&call, &revision.base), EZ_OK);
    revision.n = 7;
    cr_assert_eq(ez_call_reply(&call, &revision.base), EZ_OK);
    Ez__V1__Revision *back = ez__v1__revision__unpack(NULL, call.reply.len, call.reply.data);
    cr_assert_not_null(back);
    cr_assert_eq(back->n, 7);
    ez__v1__revision__free_unpacked(back, NULL);
    cr_assert_eq(ez_call_reply_bytes(&call, "abc", 3), EZ_OK);
    cr_assert_eq(call.reply.len, 3);
    ez_buf_fini(&call.reply);
}

Test(call, a_reply_that_does_not_fit_is_an_error) {
    ez_call call = {0};
    ez_buf_init(&call.reply, EZ_CALL_MAX);
    size_t max = EZ_CALL_MAX - EZ_REPLY_ROOM;
    uint8_t *data = calloc(1, max + 1);
    cr_assert_eq(ez_call_reply_bytes(&call, data, max), EZ_OK);
    cr_assert_eq(ez_call_reply_bytes(&call, data, max + 1), EZ_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(call.error.reason, "REPLY_TOO_LARGE");
    ez_error_clear(&call.error);
    memset(data, 'x', max);
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    Ez__V1__ReplyHeader message = EZ__V1__REPLY_HEADER__INIT; // any message will do
    message.revision = &revision;
    message.message = (char *)data;
    cr_assert_eq(ez_call_reply(&call, &message.base), EZ_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(call.error.reason, "REPLY_TOO_LARGE");
    data[max - 100] = 0;
    cr_assert_eq(ez_call_reply(&call, &message.base), EZ_OK);
    free(data);
    ez_buf_fini(&call.reply);
}

Test(call, a_failure_fills_its_error) {
    ez_call call = {0};
    cr_assert_eq(ez_call_fail(&call, EZ_ABORTED, "REVISION_MOVED", "revision %d is not %d", 1, 2), EZ_ABORTED);
    cr_assert_eq(call.error.code, EZ_ABORTED);
    cr_assert_str_eq(call.error.message, "revision 1 is not 2");
}
