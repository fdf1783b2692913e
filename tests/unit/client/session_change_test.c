// SPDX-License-Identifier: Apache-2.0
//
// Reading changes and pages off the wire, checked against what protobuf-c packs.
#include <criterion/criterion.h>
#include <string.h>

#include "clients/c/session_change.h"
#include "ez/v1/config.pb-c.h"

static size_t pack(const ProtobufCMessage *message, uint8_t *out, size_t size) {
    cr_assert_leq(protobuf_c_message_get_packed_size(message), size);
    return protobuf_c_message_pack(message, out);
}

Test(session_change, reads_what_protobuf_packs) {
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    key.id = 5;
    key.name = (char *)(uintptr_t) "main";
    Ez__V1__ApiKeySecret secret = EZ__V1__API_KEY_SECRET__INIT;
    secret.api_key = (char *)(uintptr_t) "sk-1";
    Ez__V1__Change change = EZ__V1__CHANGE__INIT;
    change.kind = EZ__V1__KIND__KIND_API_KEY;
    change.id = -7;
    change.op = EZ__V1__OP__OP_PUT;
    change.secret_version = 300;
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    revision.epoch = 9;
    revision.n = 1ull << 40;
    change.revision = &revision;
    change.resource_case = EZ__V1__CHANGE__RESOURCE_API_KEY;
    change.api_key = &key;
    change.secret = &secret;
    uint8_t bytes[512], resource[256];
    size_t len = pack(&change.base, bytes, sizeof bytes);
    size_t resource_len = pack(&key.base, resource, sizeof resource);
    ez_change read;
    cr_assert(ez_change_read((ez_slice){bytes, len}, &read));
    cr_assert_eq(read.kind, 5);
    cr_assert_eq(read.id, -7);
    cr_assert_eq(read.op, 1);
    cr_assert_eq(read.secret_version, 300);
    cr_assert_eq(read.revision, 1ull << 40);
    cr_assert_eq(read.member, ez_change_member(5));
    cr_assert_eq(read.resource.len, resource_len);
    cr_assert_arr_eq(read.resource.data, resource, resource_len);
    cr_assert(read.has_secret);
    for (size_t cut = 1; cut < len; cut++) {
        if (ez_change_read((ez_slice){bytes, len - cut}, &read)) {
            cr_assert(len - cut < len, "a cut at a field's end reads as a shorter change");
            cr_assert(!read.has_secret);
        }
    }
}

Test(session_change, every_kind_has_the_member_of_its_message) {
    for (uint32_t kind = 1; kind <= 6; kind++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(&ez__v1__change__descriptor, ez_change_member(kind));
        cr_assert_not_null(field);
        cr_assert_eq(field->descriptor, ez_change_descriptor(kind), "kind %u", kind);
    }
    cr_assert_eq(ez_change_member(0), 0);
    cr_assert_eq(ez_change_member(7), 0, "admin tokens never come here");
    cr_assert_null(ez_change_descriptor(1000));
}

Test(session_change, what_is_written_is_read_by_protobuf) {
    static const uint8_t resource[] = {0x08, 0x05}, secret[] = {0x0a, 0x01, 'x'};
    const ez_change change = {.kind = 5,
                              .op = 1,
                              .id = 1234567890123,
                              .secret_version = 9,
                              .member = 14,
                              .resource = {resource, sizeof resource},
                              .secret = {secret, sizeof secret}};
    ez_buf out;
    ez_buf_init(&out, 4096);
    cr_assert_eq(ez_change_write(&out, 4, &change), EZ_OK);
    cr_assert_eq(ez_change_write(&out, 4, &change), EZ_OK);
    Ez__V1__FetchConfigResponse *page = ez__v1__fetch_config_response__unpack(NULL, out.len, out.data);
    cr_assert_not_null(page);
    cr_assert_eq(page->n_changes, 2);
    cr_assert_eq(page->changes[1]->id, 1234567890123);
    cr_assert_eq(page->changes[1]->api_key->id, 5);
    cr_assert_str_eq(page->changes[1]->secret->api_key, "x");
    ez__v1__fetch_config_response__free_unpacked(page, NULL);
    ez_buf tight;
    ez_buf_init(&tight, 10);
    cr_assert_neq(ez_change_write(&tight, 4, &change), EZ_OK);
    cr_assert_eq(tight.len, 0);
    ez_buf_fini(&tight);
    ez_buf_fini(&out);
}

Test(session_change, reads_a_page) {
    Ez__V1__Revision from = EZ__V1__REVISION__INIT, to = EZ__V1__REVISION__INIT;
    from.epoch = 3;
    from.n = 10;
    to.epoch = 3;
    to.n = 12;
    Ez__V1__Change change = EZ__V1__CHANGE__INIT;
    change.kind = EZ__V1__KIND__KIND_KEY;
    change.id = 8;
    change.op = EZ__V1__OP__OP_DELETE;
    Ez__V1__Change *changes[] = {&change, &change};
    Ez__V1__FetchConfigResponse response = EZ__V1__FETCH_CONFIG_RESPONSE__INIT;
    response.mode = EZ__V1__FETCH_MODE__FETCH_MODE_DELTA;
    response.from = &from;
    response.to = &to;
    response.n_changes = 2;
    response.changes = changes;
    response.next_page_token = (char *)(uintptr_t) "more";
    uint8_t bytes[256];
    size_t len = pack(&response.base, bytes, sizeof bytes);
    ez_page page;
    cr_assert(ez_page_read((ez_slice){bytes, len}, &page));
    cr_assert_eq(page.mode, 1);
    cr_assert(page.from.epoch == 3 && page.from.n == 10 && page.to.n == 12);
    cr_assert_eq(page.next_page_token.len, 4);
    size_t at = 0, count = 0;
    ez_change read;
    bool bad;
    while (ez_change_next((ez_slice){bytes, len}, 4, &at, &read, &bad)) {
        cr_assert(read.kind == 2 && read.id == 8 && read.op == 2 && read.member == 0);
        count++;
    }
    cr_assert(!bad);
    cr_assert_eq(count, 2);
    cr_assert(!ez_page_read((ez_slice){bytes, len - 1}, &page), "cut short");
}
