// SPDX-License-Identifier: Apache-2.0
//
// Varints and the wire walk: every length, what is cut short, and that the last field of a number counts.
#include <criterion/criterion.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/wire.h"

Test(wire, varints_round_trip_and_are_refused_when_cut) {
    for (int bits = 0; bits <= 64; bits++) {
        uint64_t value = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - (bits % 2);
        uint8_t data[10];
        size_t len = ez_varint_write(data, value);
        uint64_t back = 0;
        cr_assert_eq(ez_varint_read(data, len, &back), len);
        cr_assert_eq(back, value);
        cr_assert_eq(ez_varint_read(data, len - 1, &back), 0);
    }
    uint64_t value;
    cr_assert_eq(ez_varint_read((const uint8_t *)"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10, &value), 0);
    cr_assert_eq(ez_varint_read((const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, &value), 0);
    cr_assert_eq(ez_varint_read((const uint8_t *)"\x80\x00", 2, &value), 2);
    cr_assert_eq(value, 0);
}

Test(wire, finds_the_last_of_a_number) {
    ez_auto(ez_buf) buf;
    ez_buf_init(&buf, 1000);
    cr_assert_eq(ez_wire_put_varint(&buf, 1, 5), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&buf, 200, "abc", 3), EZ_OK);
    cr_assert_eq(ez_wire_put_varint(&buf, 1, UINT64_MAX), EZ_OK);
    ez_wire_field field;
    cr_assert(ez_wire_find(buf.data, buf.len, 1, &field));
    cr_assert_eq(field.varint, UINT64_MAX);
    cr_assert(ez_wire_find(buf.data, buf.len, 200, &field));
    cr_assert_eq(field.bytes.len, 3);
    cr_assert_arr_eq(field.bytes.data, "abc", 3);
    cr_assert_not(ez_wire_find(buf.data, buf.len, 2, &field));
}

Test(wire, reads_fixed_numbers) {
    static const uint8_t data[] = {0x0D, 1, 2, 3, 4, 0x11, 1, 2, 3, 4, 5, 6, 7, 8};
    size_t at = 0;
    ez_wire_field field;
    cr_assert(ez_wire_next(data, sizeof data, &at, &field));
    cr_assert_eq(field.varint, 0x04030201);
    cr_assert(ez_wire_next(data, sizeof data, &at, &field));
    cr_assert_eq(field.varint, UINT64_C(0x0807060504030201));
    cr_assert_not(ez_wire_next(data, sizeof data, &at, &field));
    cr_assert_eq(at, sizeof data);
}

// A malformed field leaves *at before it.
static void expect_malformed(const char *data, size_t len) {
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next((const uint8_t *)data, len, &at, &field)) {
    }
    cr_assert_lt(at, len);
}

Test(wire, stops_at_what_is_malformed) {
    expect_malformed("\x00\x01", 2); // number 0
    expect_malformed("\x0B", 1);     // a group
    expect_malformed("\x0C", 1);     // a group's end
    expect_malformed("\x0E\x01", 2); // wire type 6
    expect_malformed("\x08", 1);     // no value
    expect_malformed("\x08\xFF", 2); // fault 23: a varint cut short
    expect_malformed("\x0A\x05"
                     "abcd",
                     6);                                                  // longer than there is
    expect_malformed("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11); // 2⁶⁴ − 1 bytes
    expect_malformed("\x09\x01\x02\x03", 4);
    expect_malformed("\x80\x80\x80\x80\x80\x01\x00", 7); // a number of more than 29 bits
}

Test(wire, puts_bytes_whole_or_not_at_all) {
    ez_auto(ez_buf) buf;
    ez_buf_init(&buf, 8);
    cr_assert_eq(ez_wire_put_bytes(&buf, 1, "123456", 6), EZ_OK);
    ez_buf_clear(&buf);
    cr_assert_eq(ez_wire_put_bytes(&buf, 1, "1234567", 7), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(buf.len, 0);
}
