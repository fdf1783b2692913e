// SPDX-License-Identifier: Apache-2.0
//
// Commands as Redis reads them.
#include <criterion/criterion.h>
#include <string.h>

#include "server/domain/redis/command.h"

Test(redis_command, is_written_byte_for_byte) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    ez_command_put(&out, "MULTI", NULL);
    ez_command_begin(&out, 4);
    ez_command_text(&out, "SET");
    ez_command_key(&out, "p:", "k\r\n");
    ez_command_bytes(&out, "\0x", 2);
    ez_command_int(&out, -42);
    static const char want[] = "*1\r\n$5\r\nMULTI\r\n*4\r\n$3\r\nSET\r\n$5\r\np:k\r\n\r\n$2\r\n\0x\r\n$3\r\n-42\r\n";
    cr_assert_eq(out.len, sizeof want - 1);
    cr_assert_eq(memcmp(out.data, want, out.len), 0);
    ez_buf_fini(&out);
}
