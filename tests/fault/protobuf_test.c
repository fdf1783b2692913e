// SPDX-License-Identifier: Apache-2.0
//
// Messages that decode to trouble. Each must be refused with INVALID_ARGUMENT and the field's name, cost no memory to
// speak of, and leave nothing behind.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/wire.h"
#include "tests/fault/support/unhurt.h"

#define BODY_MAX (4u << 20)

static ez_world w;
static ez_raw raw;
static ez_buf body;

static void begin(void) {
    given_peace(&w, NULL);
    given_raw(&raw, w.server.rpc_url);
    ez_buf_init(&body, BODY_MAX);
}

static void end(void) {
    ez_buf_fini(&body);
    end_raw(&raw);
    end_world(&w);
}

TestSuite(protobuf, .init = begin, .fini = end);

static ez_status send_body(const char *method) {
    return raw_call(&raw, method, w.server.admin_token, body.data, body.len);
}

// body becomes field 1 of itself: CreateMasterRequest { master }.
static void wrap(uint32_t number) {
    size_t len;
    uint8_t *inner = ez_buf_take(&body, &len);
    cr_assert_eq(ez_wire_put_bytes(&body, number, inner, len), EZ_OK);
    free(inner);
}

static void expect_refusal(const char *method, const char *field) {
    uint64_t before = revision_of(&w);
    expect_raw(EZ_INVALID_ARGUMENT, send_body(method), &raw);
    cr_assert_neq(raw.header->message[0], 0);
    if (field) {
        cr_assert_gt(raw.header->n_violations, 0, "no field is named: %s", raw.header->message);
        cr_assert_str_eq(raw.header->violations[0]->field, field);
    }
    cr_assert_eq(revision_of(&w), before);
    ez_buf_clear(&body);
}

static void put_text(uint32_t number, const char *text, size_t len) {
    cr_assert_eq(ez_wire_put_bytes(&body, number, text, len), EZ_OK);
}

static void put_number(uint32_t number, uint64_t value) {
    cr_assert_eq(ez_wire_put_varint(&body, number, value), EZ_OK);
}

static void given_master_body(void) {
    ez_buf_clear(&body);
    put_text(2, "acme", 4);
}

Test(protobuf, fault_17_deep_nesting) {
    // From the inside out: each level is field 1 of the next.
    enum { DEPTH = 100000 };
    uint8_t *bytes = malloc(6u * DEPTH);
    size_t at = 6u * DEPTH, len = 0;
    for (int i = 0; i < DEPTH && len < 3u << 20; i++) {
        uint8_t head[11] = {0x0a};
        size_t head_len = 1 + ez_varint_write(head + 1, len);
        at -= head_len;
        memcpy(bytes + at, head, head_len);
        len += head_len;
    }
    cr_assert_eq(ez_buf_append(&body, bytes + at, len), EZ_OK);
    expect_refusal("Masters/Create", NULL);
    cr_assert_eq(ez_buf_append(&body, bytes + at, len), EZ_OK);
    expect_refusal("Bindings/Batch", NULL);
    memset(bytes, 0x0b, DEPTH); // groups that open and never close
    cr_assert_eq(ez_buf_append(&body, bytes, DEPTH), EZ_OK);
    expect_refusal("Masters/Create", NULL);
    free(bytes);
    expect_unhurt(&w);
}

Test(protobuf, fault_18_bad_utf_8) {
    static const char *const bad[] = {"a\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ez_buf_clear(&body);
        put_text(2, bad[i], strlen(bad[i]));
        wrap(1);
        expect_refusal("Masters/Create", "master.name");
    }
    expect_unhurt(&w);
}

Test(protobuf, fault_19_embedded_nul) {
    put_text(2, "acme\0evil", 9);
    wrap(1);
    expect_refusal("Masters/Create", "master.name");
    // In the header: a method's name, and a token that ends early.
    ez_buf frame, packed;
    ez_buf_init(&frame, 4096);
    ez_buf_init(&packed, 4096);
    cr_assert_eq(ez_wire_put_bytes(&packed, 1, "ez.v1.Masters/List\0x", 20), EZ_OK);
    uint8_t lead[11] = {1};
    size_t lead_len = 1 + ez_varint_write(lead + 1, packed.len);
    cr_assert_eq(ez_buf_append(&frame, lead, lead_len), EZ_OK);
    cr_assert_eq(ez_buf_append(&frame, packed.data, packed.len), EZ_OK);
    expect_raw(EZ_INVALID_ARGUMENT, raw_ask(&raw, frame.data, frame.len), &raw);
    ez_buf_fini(&packed);
    ez_buf_fini(&frame);
    expect_unhurt(&w);
}

Test(protobuf, fault_20_unknown_enum) {
    static const uint64_t values[] = {3, 99, 0x7fffffff, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        given_master_body();
        put_number(8, values[i]);
        wrap(1);
        expect_refusal("Masters/Create", "master.status");
    }
    raw_call(&raw, "Config/Fetch", given_plane(&w.admin, "edge")->token, "\x1a\x01\x63", 3); // kinds: 99
    cr_assert_eq(raw.header->code, EZ__V1__CODE__CODE_INVALID_ARGUMENT, "%s", raw.header->message);
    expect_unhurt(&w);
}

static void put_double(uint32_t number, double value) {
    uint8_t field[10];
    size_t len = ez_varint_write(field, (uint64_t)number << 3 | 1);
    cr_assert_eq(ez_buf_append(&body, field, len), EZ_OK);
    cr_assert_eq(ez_buf_append(&body, &value, 8), EZ_OK);
}

Test(protobuf, fault_21_numbers_out_of_range) {
    given_master_body();
    put_number(7, UINT64_MAX); // global_qps −1
    wrap(1);
    expect_refusal("Masters/Create", "master.global_qps");
    given_master_body();
    put_number(6, (uint64_t)INT64_MAX); // max_child_keys
    wrap(1);
    expect_refusal("Masters/Create", "master.max_child_keys");
    put_number(17, (uint64_t)-2); // quota_limit
    wrap(2);
    put_number(1, 1);
    expect_refusal("Keys/Create", "key.quota_limit");
    put_number(1, UINT64_MAX);
    expect_refusal("Keys/Get", "id");
    put_number(1, 1u << 31); // page_size
    expect_refusal("Keys/List", "page_size");
    // A rate that is no number, and counters, where nobody may set any: they are not taken.
    put_text(2, "main", 4);
    put_text(3, "openai", 6);
    put_number(11, UINT64_MAX);
    put_double(14, NAN);
    put_double(15, INFINITY);
    wrap(1);
    cr_assert_eq(send_body("ProviderGroups/Create"), EZ_OK);
    Ez__V1__ProviderGroup *group = ask(&w.admin, "ProviderGroups/Get", "{'id':1}");
    cr_assert_eq(group->total_requests, 0);
    cr_assert(isfinite(group->success_rate) && isfinite(group->failure_rate));
    ez_buf_clear(&body);
    expect_unhurt(&w);
}

// Two bytes each: protobuf-c would make hundreds in memory of every one.
Test(protobuf, fault_22_a_million_map_keys) {
    static const struct {
        const char *method, *field;
        uint8_t tag;
    } lists[] = {{"Masters/Create", "master.labels", 0x4a}, {"Masters/Create", "master.namespaces", 0x2a}};
    size_t before = server_memory(&w);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        given_master_body();
        uint8_t *many = calloc(2, 1000000);
        for (size_t k = 0; k < 2000000; k += 2)
            many[k] = lists[i].tag;
        cr_assert_eq(ez_buf_append(&body, many, 2000000), EZ_OK);
        free(many);
        wrap(1);
        expect_refusal(lists[i].method, lists[i].field);
    }
    uint8_t *many = calloc(2, 1000000);
    for (size_t k = 0; k < 2000000; k += 2)
        many[k] = 0x0a;
    cr_assert_eq(ez_buf_append(&body, many, 2000000), EZ_OK);
    free(many);
    expect_refusal("Bindings/Batch", "items");
    cr_assert_lt(server_memory(&w), before + (96u << 20), "%zu MiB more", (server_memory(&w) - before) >> 20);
    expect_unhurt(&w);
}

// Every prefix of a good call, and every one of its bytes turned over: each has its answer.
Test(protobuf, fault_23_cut_and_turned_over) {
    given_master_body();
    put_number(6, 300);
    put_text(5, "default", 7);
    wrap(1);
    ez_buf frame;
    raw_frame(&frame, "Masters/Create", w.server.admin_token, body.data, body.len);
    for (size_t len = 0; len < frame.len; len++) {
        ez_status status = raw_ask(&raw, frame.data, len);
        cr_assert_neq(status, EZ_INTERNAL, "cut at %zu", len);
        cr_assert_neq(status, EZ_OK, "cut at %zu", len);
    }
    for (size_t i = 0; i < frame.len; i++) {
        frame.data[i] ^= 0x80;
        ez_status status = raw_ask(&raw, frame.data, frame.len);
        cr_assert_neq(status, EZ_INTERNAL, "byte %zu", i);
        frame.data[i] ^= 0x80;
    }
    static const char *const varints[] = {"\x08\xff", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\x08", "\xff",
                                          "\x0a\x05"};
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) {
        ez_status status = raw_call(&raw, "Keys/Get", w.server.admin_token, varints[i], strlen(varints[i]));
        cr_assert_eq(status, EZ_INVALID_ARGUMENT, "varint %zu: %s", i, ez_status_name(status));
    }
    ez_buf_fini(&frame);
    expect_unhurt(&w);
}
