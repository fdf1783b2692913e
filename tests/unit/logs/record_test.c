// SPDX-License-Identifier: Apache-2.0
//
// Records between message and row: nothing is lost, and a tenant does not see which upstream served it.
#include "server/domain/logs/record.h"

#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/log.pb-c.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define JSON                                                                                                           \
    "{\"time\":\"2025-01-02T03:04:05.006Z\",\"request_id\":\"r\",\"master_id\":1,\"key_id\":2,\"namespace\":\"n\","    \
    "\"model\":\"m\",\"upstream_model\":\"u\",\"group_id\":3,\"api_key_id\":4,\"provider_type\":\"openai\","           \
    "\"status_code\":500,\"latency_ms\":5,\"ttft_ms\":6,\"tokens_in\":7,\"tokens_out\":8,\"cached_tokens\":9,"         \
    "\"reasoning_tokens\":10,\"cost_nano_usd\":11,\"client_ip\":\"::1\",\"request_bytes\":12,\"response_bytes\":13,"   \
    "\"error_message\":\"e\",\"stream\":true,\"request_body\":\"AAEC\"}"

static ez_arena arena;

static Ez__V1__LogRecord *given_record(void) {
    ProtobufCMessage *message = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_arena_init(&arena, 1 << 20);
    const ez_message_rule *rule = ez_message_rule_find(&ez__v1__log_record__descriptor);
    cr_assert_eq(ez_json_parse(rule, JSON, strlen(JSON), &arena, &message, NULL, &error), EZ_OK, "%s", error.message);
    return (Ez__V1__LogRecord *)message;
}

Test(record, a_row_gives_back_what_it_was_made_of) {
    Ez__V1__LogRecord *record = given_record();
    ez_log_row row;
    ez_record_to_row(record, &row);
    Ez__V1__LogRecord *back = ez_record_from_row(&row, false, &arena);
    cr_assert_not_null(back);
    ez_buf a, b;
    ez_buf_init(&a, 4096);
    ez_buf_init(&b, 4096);
    cr_assert_eq(ez_buf_pack(&a, &record->base), EZ_OK);
    cr_assert_eq(ez_buf_pack(&b, &back->base), EZ_OK);
    cr_assert_eq(a.len, b.len);
    cr_assert_eq(memcmp(a.data, b.data, a.len), 0);
    ez_buf_fini(&a);
    ez_buf_fini(&b);
    ez_arena_fini(&arena);
}

Test(record, a_tenant_does_not_see_the_upstream) {
    ez_log_row row;
    ez_record_to_row(given_record(), &row);
    row.data_plane_id = 9;
    Ez__V1__LogRecord *own = ez_record_from_row(&row, true, &arena);
    cr_assert_not_null(own);
    cr_assert_eq(own->group_id, 0);
    cr_assert_eq(own->api_key_id, 0);
    cr_assert_eq(own->data_plane_id, 0);
    cr_assert_str_eq(own->upstream_model, "");
    cr_assert_str_eq(own->provider_type, "");
    cr_assert_str_eq(own->model, "m");
    cr_assert_eq(own->key_id, 2);
    cr_assert_eq(ez_record_from_row(&row, false, &arena)->data_plane_id, 9);
    ez_arena_fini(&arena);
}
