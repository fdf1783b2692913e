// SPDX-License-Identifier: Apache-2.0
//
// ez_buf: its ceiling at ±1, the sticky overflow, and texts longer than its small printf room.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/buf.h"
#include "proto/runtime/cleanup.h"

Test(buf, grows_to_its_ceiling_and_not_past_it) {
    ez_auto(ez_buf) buf;
    ez_buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(ez_buf_putc(&buf, (char)i), EZ_OK);
    cr_assert_not(buf.overflow);
    cr_assert_eq(ez_buf_putc(&buf, 'x'), EZ_RESOURCE_EXHAUSTED);
    cr_assert(buf.overflow);
    cr_assert_eq(buf.len, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(buf.data[i], (uint8_t)i);
    ez_buf_clear(&buf);
    cr_assert_not(buf.overflow);
    cr_assert_eq(ez_buf_puts(&buf, "again"), EZ_OK);
}

Test(buf, appends_all_or_nothing) {
    ez_auto(ez_buf) buf;
    ez_buf_init(&buf, 10);
    cr_assert_eq(ez_buf_puts(&buf, "12345678"), EZ_OK);
    cr_assert_eq(ez_buf_puts(&buf, "abc"), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(buf.len, 8);
    cr_assert_eq(ez_buf_puts(&buf, "ab"), EZ_OK);
    cr_assert(buf.overflow, "stays until it is cleared");
    cr_assert_str_eq(ez_buf_cstr(&buf), "12345678ab", "the NUL needs no room below the ceiling");
    cr_assert_eq(buf.len, 10);
    cr_assert_eq(ez_buf_reserve(&buf, SIZE_MAX), EZ_RESOURCE_EXHAUSTED);
}

Test(buf, prints_short_and_long_texts) {
    ez_auto(ez_buf) buf;
    ez_buf_init(&buf, 700);
    char *text = malloc(600);
    cr_assert_not_null(text);
    memset(text, 'y', 599);
    text[599] = 0;
    cr_assert_eq(ez_buf_printf(&buf, "%d ", 5), EZ_OK);
    cr_assert_eq(ez_buf_printf(&buf, "%s", text), EZ_OK);
    cr_assert_eq(buf.len, 601);
    cr_assert_eq(ez_buf_printf(&buf, "%s", text), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(buf.len, 601);
    cr_assert_eq(strlen(ez_buf_cstr(&buf)), 601);
    // Exactly full: the NUL that vsnprintf writes is past the ceiling.
    ez_buf_clear(&buf);
    ez_buf_fini(&buf);
    ez_buf_init(&buf, 599);
    cr_assert_eq(ez_buf_printf(&buf, "%s", text), EZ_OK);
    cr_assert_eq(buf.len, 599);
    free(text);
}

Test(buf, gives_its_memory_away) {
    ez_buf buf;
    ez_buf_init(&buf, 100);
    cr_assert_eq(ez_buf_puts(&buf, "mine"), EZ_OK);
    size_t len;
    uint8_t *data = ez_buf_take(&buf, &len);
    cr_assert_eq(len, 4);
    cr_assert_arr_eq(data, "mine", 4);
    cr_assert_null(buf.data);
    cr_assert_eq(buf.max, 100);
    free(data);
    ez_buf_fini(&buf);
    cr_assert_str_eq(ez_buf_cstr(&buf), "");
    ez_buf_fini(&buf);
}
