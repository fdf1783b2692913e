// SPDX-License-Identifier: Apache-2.0
//
// A change put together from bytes is the change protobuf would have made.
#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/config.pb-c.h"
#include "server/state/feed/feed.h"

Test(change, unpacks_as_it_was_meant) {
    Ez__V1__Binding binding = EZ__V1__BINDING__INIT;
    binding.id = 77;
    binding.namespace_ = (char *)"default";
    binding.public_model = (char *)"m";
    uint8_t packed[128];
    size_t len = ez__v1__binding__pack(&binding, packed);
    ez_buf out;
    ez_buf_init(&out, 4096);
    cr_assert_eq(ez_change_encode(&out, (ez_revision){1ull << 63, 5}, EZ__V1__KIND__KIND_BINDING, 77,
                                  EZ__V1__OP__OP_PUT, 3, (ez_slice){packed, len}),
                 EZ_OK);
    Ez__V1__Change *change = ez__v1__change__unpack(NULL, out.len, out.data);
    cr_assert(change);
    cr_assert_eq(change->revision->epoch, 1ull << 63);
    cr_assert_eq(change->revision->n, 5);
    cr_assert_eq(change->kind, EZ__V1__KIND__KIND_BINDING);
    cr_assert_eq(change->id, 77);
    cr_assert_eq(change->op, EZ__V1__OP__OP_PUT);
    cr_assert_eq(change->secret_version, 3);
    cr_assert_eq(change->resource_case, EZ__V1__CHANGE__RESOURCE_BINDING);
    cr_assert_str_eq(change->binding->public_model, "m");
    cr_assert_null(change->secret);
    ez__v1__change__free_unpacked(change, NULL);
    ez_buf_fini(&out);
}

Test(change, a_deletion_has_no_resource) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    cr_assert_eq(ez_change_encode(&out, (ez_revision){1, 2}, EZ__V1__KIND__KIND_KEY, INT64_MAX, EZ__V1__OP__OP_DELETE,
                                  0, (ez_slice){NULL, 0}),
                 EZ_OK);
    Ez__V1__Change *change = ez__v1__change__unpack(NULL, out.len, out.data);
    cr_assert_eq(change->resource_case, EZ__V1__CHANGE__RESOURCE__NOT_SET);
    cr_assert_eq(change->id, INT64_MAX);
    ez__v1__change__free_unpacked(change, NULL);
    ez_buf_fini(&out);
}

Test(change, is_there_whole_or_not_at_all) {
    ez_buf out;
    ez_buf_init(&out, 64);
    uint8_t packed[60] = {0};
    cr_assert_eq(ez_change_encode(&out, (ez_revision){1, 2}, EZ__V1__KIND__KIND_KEY, 1, EZ__V1__OP__OP_PUT, 0,
                                  (ez_slice){packed, sizeof packed}),
                 EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(out.len, 0);
    ez_buf_fini(&out);
}
