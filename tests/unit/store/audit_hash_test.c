// SPDX-License-Identifier: Apache-2.0
//
// The audit chain's formula, against one computed by other means (Python's hashlib over the packing audit_hash.h
// gives).
#include <criterion/criterion.h>
#include <string.h>

#include "server/state/store/audit_hash.h"

static ez_store_audit entry(void) {
    return (ez_store_audit){.id = 7,
                            .time_ns = 1700000000123456789,
                            .revision = 42,
                            .actor = "admin:1:first",
                            .method = "ez.v1.Keys/Create",
                            .resource = "key:9",
                            .request = "{}",
                            .request_id = "r-1",
                            .remote = "127.0.0.1"};
}

Test(audit_hash, is_the_formula) {
    ez_store_audit audit = entry();
    memset(audit.previous_hash, 0xab, sizeof audit.previous_hash);
    uint8_t hash[EZ_SHA256_LEN];
    char text[2 * EZ_SHA256_LEN + 1];
    ez_audit_hash(&audit, hash);
    ez_hex(hash, sizeof hash, text);
    cr_assert_str_eq(text, "bf4f53193e8c917508b2310cfbb5ff915a5e7f13e40960aaa2b38f70a5d7bac6");
}

Test(audit_hash, every_field_counts) {
    uint8_t first[EZ_SHA256_LEN], other[EZ_SHA256_LEN];
    ez_store_audit audit = entry();
    ez_audit_hash(&audit, first);
    ez_store_audit changed[10];
    for (int i = 0; i < 10; i++)
        changed[i] = entry();
    changed[0].id++;
    changed[1].time_ns++;
    changed[2].revision++;
    changed[3].actor = "admin:1:firs";
    changed[4].method = "";
    changed[5].resource = "key:8";
    changed[6].request = "{ }";
    changed[7].request_id = NULL;
    changed[8].remote = "127.0.0.2";
    changed[9].previous_hash[31] = 1;
    for (int i = 0; i < 10; i++) {
        ez_audit_hash(&changed[i], other);
        cr_assert_neq(memcmp(first, other, sizeof first), 0, "field %d does not count", i);
    }
    // A byte that moves from one text to the next is another entry.
    changed[0] = entry();
    changed[0].actor = "admin:1:firste";
    changed[0].method = "z.v1.Keys/Create";
    ez_audit_hash(&changed[0], other);
    cr_assert_neq(memcmp(first, other, sizeof first), 0);
}
