// SPDX-License-Identifier: Apache-2.0
//
// The exact form of JSON: names, words, numbers, times, bytes, and what is left out.
#include <criterion/criterion.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/common.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/route.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "fill.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/json.h"

static ez_buf out;

static void setup(void) {
    ez_buf_init(&out, 1 << 20);
}

static void teardown(void) {
    ez_buf_fini(&out);
}

TestSuite(json_write, .init = setup, .fini = teardown);

static const char *write_json(const char *name, const ProtobufCMessage *message, bool reveal) {
    ez_buf_clear(&out);
    cr_assert_eq(ez_json_write(rule_named(name), message, reveal, &out), EZ_OK);
    return ez_buf_cstr(&out);
}

static bool has(const char *part) {
    return strstr(ez_buf_cstr(&out), part) != NULL;
}

Test(json_write, an_empty_message_is_an_object) {
    Ez__V1__Empty empty = EZ__V1__EMPTY__INIT;
    cr_assert_str_eq(write_json("ez.v1.Empty", &empty.base, false), "{}");
}

Test(json_write, a_resource_in_full) {
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 86400;
    time.nanos = 5000000;
    Ez__V1__Key__LabelsEntry label = EZ__V1__KEY__LABELS_ENTRY__INIT, *labels[] = {&label};
    label.key = (char *)"te\"am";
    label.value = (char *)"a\nb";
    char *scopes[] = {(char *)"chat", (char *)""};
    uint8_t hash[] = {0, 0xAB, 0xFF};
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.id = INT64_MIN;
    key.revision = UINT64_MAX;
    key.name = (char *)"caf\xC3\xA9";
    key.expires_at = &time;
    key.labels = labels;
    key.n_labels = 1;
    key.scopes = scopes;
    key.n_scopes = 2;
    key.token_sha256 = (ProtobufCBinaryData){3, hash};
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key.quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_USD_NANO;
    key.token = (char *)"sk-secret";
    write_json("ez.v1.Key", &key.base, false);
    cr_assert(has("{\"id\":-9223372036854775808,\"master_id\":0,\"name\":\"caf\xC3\xA9\","));
    cr_assert(has("\"revision\":18446744073709551615}"));
    cr_assert(has("\"expires_at\":\"1970-01-02T00:00:00.005Z\""));
    cr_assert(has("\"labels\":{\"te\\\"am\":\"a\\nb\"}"));
    cr_assert(has("\"scopes\":[\"chat\",\"\"]"));
    cr_assert(has("\"namespaces\":[]"));
    cr_assert(has("\"token_sha256\":\"00abff\""));
    cr_assert(has("\"status\":\"active\""));
    cr_assert(has("\"quota_unit\":\"usd_nano\""));
    cr_assert(has("\"quota_period\":null"), "an unspecified enum");
    cr_assert(has("\"created_at\":null"));
    cr_assert(has("\"model_limits_enabled\":false"));
    cr_assert_not(has("quota_limit"), "presence, not set");
    cr_assert_not(has("sk-secret"));
    write_json("ez.v1.Key", &key.base, true);
    cr_assert(has("\"token\":\"sk-secret\"}"));
    key.token = (char *)"";
    write_json("ez.v1.Key", &key.base, true);
    cr_assert_not(has("\"token\""), "omit_empty");
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    write_json("ez.v1.Key", &key.base, false);
    cr_assert(has("\"quota_limit\":0"));
}

Test(json_write, what_is_taken_only_is_never_given) {
    const ez_message_rule *key_rule = rule_named("ez.v1.Key");
    ez_field_rule field = *field_named(key_rule, "name");
    field.flags = EZ_FIELD_INPUT_ONLY;
    ez_message_rule rule = {.descriptor = key_rule->descriptor, .name = "test", .fields = &field, .field_count = 1};
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.name = (char *)"n";
    cr_assert_eq(ez_json_write(&rule, &key.base, false, &out), EZ_OK);
    cr_assert_str_eq(ez_buf_cstr(&out), "{}");
}

Test(json_write, zero_enums_that_mean_something_are_words) {
    Ez__V1__Binding binding = EZ__V1__BINDING__INIT;
    write_json("ez.v1.Binding", &binding.base, false);
    cr_assert(has("\"error\":\"none\""));
    binding.error = EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER;
    write_json("ez.v1.Binding", &binding.base, false);
    cr_assert(has("\"error\":\"no_provider\""));
    binding.error = (Ez__V1__BindingError)77;
    write_json("ez.v1.Binding", &binding.base, false);
    cr_assert(has("\"error\":77"), "a newer schema's");
}

Test(json_write, doubles_are_short_and_exact) {
    static const struct {
        double value;
        const char *text;
    } doubles[] = {{0.1, "\"share\":0.1,"},      {1.0 / 3, "\"share\":0.33333333333333331,"},
                   {1e300, "\"share\":1e+300,"}, {-2, "\"share\":-2,"},
                   {0, "\"share\":0,"},          {1.0 / 0.0, "\"share\":null,"}};
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        Ez__V1__RouteCandidate candidate = EZ__V1__ROUTE_CANDIDATE__INIT;
        candidate.share = doubles[i].value;
        write_json("ez.v1.RouteCandidate", &candidate.base, false);
        cr_assert(has(doubles[i].text), "%s", ez_buf_cstr(&out));
    }
}

static void expect_string(const char *text, size_t len, const char *json) {
    ez_buf_clear(&out);
    cr_assert_eq(ez_json_write_string(text, len, &out), EZ_OK);
    cr_assert_str_eq(ez_buf_cstr(&out), json);
}

Test(json_write, strings_are_escaped) {
    expect_string("", 0, "\"\"");
    expect_string("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    expect_string("\b\f\n\r\t\x01\x1F\x7F", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
    expect_string("a\0b", 3, "\"a\\u0000b\"");
    expect_string("\xFF\xC3\xA9\xC3", 4, "\"\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD\"");
    expect_string("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

Test(json_write, a_full_buffer_is_said_so) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    size_t size = strlen(write_json("ez.v1.Key", &key.base, false));
    ez_auto(ez_buf) small;
    ez_buf_init(&small, size - 1);
    cr_assert_eq(ez_json_write(rule_named("ez.v1.Key"), &key.base, false, &small), EZ_RESOURCE_EXHAUSTED);
    ez_buf_fini(&small);
    ez_buf_init(&small, size);
    cr_assert_eq(ez_json_write(rule_named("ez.v1.Key"), &key.base, false, &small), EZ_OK);
}

Test(json_write, bytes_without_hex_are_base64) {
    // No field of the schema is plain bytes, so the rule is made here.
    const ez_message_rule *key_rule = rule_named("ez.v1.Key");
    ez_field_rule field = *field_named(key_rule, "token_sha256");
    field.flags = 0;
    ez_message_rule rule = {.descriptor = key_rule->descriptor, .name = "test", .fields = &field, .field_count = 1};
    static const char *const texts[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t len = 0; len < 7; len++) {
        Ez__V1__Key key = EZ__V1__KEY__INIT;
        key.token_sha256 = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t) "foobar"};
        ez_buf_clear(&out);
        cr_assert_eq(ez_json_write(&rule, &key.base, false, &out), EZ_OK);
        char expected[64];
        snprintf(expected, sizeof expected, "{\"token_sha256\":\"%s\"}", texts[len]);
        cr_assert_str_eq(ez_buf_cstr(&out), expected);
    }
}

Test(json_write, values_that_are_json_stand_for_themselves) {
    static const char *const values[] = {"true", "0.5", "\"a\\n\"", "", "5,\"admin\":true"};
    Ez__V1__Features__FlagsEntry flags[5], *list[5];
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    for (size_t i = 0; i < 5; i++) {
        static char keys[5][2] = {"a", "b", "c", "d", "e"};
        ez__v1__features__flags_entry__init(&flags[i]);
        flags[i].key = keys[i];
        flags[i].value = (char *)values[i];
        list[i] = &flags[i];
    }
    features.flags = list;
    features.n_flags = 5;
    write_json("ez.v1.Features", &features.base, false);
    cr_assert(has("\"flags\":{\"a\":true,\"b\":0.5,\"c\":\"a\\n\",\"d\":null,\"e\":\"5,\\\"admin\\\":true\"}"), "%s",
              ez_buf_cstr(&out));
}

Test(json_write, a_request_has_no_fields_that_the_server_fills_in) {
    Ez__V1__ErrorWebhook webhook = EZ__V1__ERROR_WEBHOOK__INIT;
    Ez__V1__SetErrorWebhookRequest request = EZ__V1__SET_ERROR_WEBHOOK_REQUEST__INIT;
    webhook.url = (char *)"https://example.com/h";
    webhook.secret = (char *)"a-fake-secret-of-some-length";
    request.webhook = &webhook;
    ez_buf_clear(&out);
    cr_assert_eq(ez_json_write_request(rule_named("ez.v1.SetErrorWebhookRequest"), &request.base, &out), EZ_OK);
    cr_assert_str_eq(ez_buf_cstr(&out), "{\"webhook\":{\"enabled\":false,\"url\":\"https://example.com/h\","
                                        "\"match_error\":\"\"},\"update_mask\":[]}");
}
