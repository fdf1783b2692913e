// SPDX-License-Identifier: Apache-2.0
//
// JSON that is not taken, and why: fault 28 (depth, duplicate keys), unknown fields, ranges, types. No error may quote
// what was sent.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/config.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "ez/v1/usage.pb-c.h"
#include "fill.h"
#include "proto/runtime/json.h"

static ez_arena arena;
static ez_error error;
static ez_json_mask mask;
static ProtobufCMessage *message;

static void setup(void) {
    ez_arena_init(&arena, 64 << 20);
}

static void teardown(void) {
    ez_arena_fini(&arena);
}

TestSuite(json_parse, .init = setup, .fini = teardown);

static ez_status parse_len(const char *name, const char *text, size_t len) {
    ez_error_clear(&error);
    message = NULL;
    return ez_json_parse(rule_named(name), text, len, &arena, &message, &mask, &error);
}

static ez_status parse(const char *name, const char *text) {
    return parse_len(name, text, strlen(text));
}

static void expect_fault(const char *name, const char *text, const char *field, const char *words) {
    cr_assert_eq(parse(name, text), EZ_INVALID_ARGUMENT, "%s", text);
    cr_assert_null(message);
    cr_assert_str_eq(error.violations[0].field, field);
    cr_assert_not_null(strstr(error.violations[0].description, words), "%s: %s", text, error.message);
}

Test(json_parse, names_the_fields_it_was_given) {
    cr_assert_eq(parse("ez.v1.Key", " {\"name\": \"n\", \"expires_at\": null, \"quota_limit\": -1} "), EZ_OK);
    Ez__V1__Key *key = (Ez__V1__Key *)message;
    cr_assert_str_eq(key->name, "n");
    cr_assert_null(key->expires_at);
    cr_assert_eq(key->quota_limit, -1);
    cr_assert_eq(mask.count, 3);
    cr_assert_str_eq(mask.names[0], "name");
    cr_assert_str_eq(mask.names[1], "expires_at");
    cr_assert_eq(parse("ez.v1.Key", "{}"), EZ_OK);
    cr_assert_eq(mask.count, 0);
    cr_assert_eq(parse("ez.v1.Key", "{\"quota_limit\": null, \"scopes\": null, \"labels\": null}"), EZ_OK);
    cr_assert_eq(((Ez__V1__Key *)message)->opt_quota_limit_case, 0);
}

Test(json_parse, fault_28_depth_is_bounded) {
    size_t len = 20000;
    char *text = malloc(len + 1);
    for (size_t i = 0; i < len / 2; i++) {
        text[i] = '[';
        text[len - 1 - i] = ']';
    }
    cr_assert_eq(parse_len("ez.v1.Key", text, len), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "JSON_INVALID");
    cr_assert_not_null(strstr(error.message, "32 deep"));
    free(text);
    // Brackets within a text are no nesting; exactly 32 deep is read (and then is no Key).
    cr_assert_eq(parse("ez.v1.Key", "{\"name\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"}"), EZ_OK);
    char deep[100] = "{\"name\":";
    for (int i = 0; i < 31; i++)
        strcat(deep, "[");
    for (int i = 0; i < 31; i++)
        strcat(deep, "]");
    strcat(deep, "}");
    expect_fault("ez.v1.Key", deep, "name", "string");
    strcpy(deep, "{\"name\":");
    for (int i = 0; i < 32; i++)
        strcat(deep, "[");
    cr_assert_eq(parse("ez.v1.Key", deep), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "32 deep"), "33 levels: %s", error.message);
}

Test(json_parse, fault_28_duplicate_keys_are_refused) {
    cr_assert_eq(parse("ez.v1.Key", "{\"name\":\"a\",\"name\":\"b\"}"), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "twice"));
    cr_assert_eq(parse("ez.v1.Key", "{\"labels\":{\"a\":\"1\",\"a\":\"2\"}}"), EZ_INVALID_ARGUMENT);
}

Test(json_parse, what_is_no_json_object_is_refused) {
    static const char *const bad[] = {"",
                                      " ",
                                      "null",
                                      "[]",
                                      "1",
                                      "\"x\"",
                                      "{",
                                      "{\"name\"",
                                      "{\"name\":\"a\"} x",
                                      "{\"name\":'a'}",
                                      "{name:\"a\"}",
                                      "{\"name\":\"a\",}",
                                      "{\"id\":01}",
                                      "{\"id\":NaN}",
                                      "{\"name\":\"\xFF\"}",
                                      "{\"name\":\"a\\u0000b\"}",
                                      "{\"name\":\"\\ud800\"}",
                                      "{\"id\":99999999999999999999}",
                                      "{\"id\":1e999}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(parse("ez.v1.Key", bad[i]), EZ_INVALID_ARGUMENT, "case %zu", i);
        cr_assert_str_eq(error.reason, "JSON_INVALID", "case %zu", i);
    }
    cr_assert_eq(parse_len("ez.v1.Key", "{}\0", 3), EZ_INVALID_ARGUMENT);
}

Test(json_parse, integers_of_64_bits_are_taken_as_numbers_or_strings) {
    cr_assert_eq(parse("ez.v1.FlushUsageRequest", "{\"epoch\":9223372036854775807}"), EZ_OK);
    cr_assert_eq(parse("ez.v1.FlushUsageRequest", "{\"epoch\":9223372036854775808}"), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "JSON_INVALID");
    cr_assert_str_eq(error.message, "a number is out of range (line 1, column 28): write integers above "
                                    "9223372036854775807 as strings");
    cr_assert_eq(parse("ez.v1.FlushUsageRequest", "{\"epoch\":\"18446744073709551615\"}"), EZ_OK);
    cr_assert_eq(((Ez__V1__FlushUsageRequest *)message)->epoch, UINT64_MAX);
    expect_fault("ez.v1.FlushUsageRequest", "{\"epoch\":\"18446744073709551616\"}", "epoch", "whole number");
}

Test(json_parse, errors_do_not_quote_what_was_sent) {
    static const char *const bad[] = {"{\"api_key\":\"sk-hidden\" \"x\"}", "{\"api_key\":\"sk-hidden",
                                      "{\"api_key\":sk-hidden}",           "{\"status\":\"sk-hidden\"}",
                                      "{\"weight\":\"sk-hidden\"}",        "{\"expires_at\":\"sk-hidden\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(parse("ez.v1.ApiKey", bad[i]), EZ_INVALID_ARGUMENT);
        cr_assert_null(strstr(error.message, "hidden"), "%s", error.message);
    }
}

Test(json_parse, faults_are_named_by_their_path) {
    expect_fault("ez.v1.Key", "{\"colour\":1}", "colour", "no such field");
    expect_fault("ez.v1.CreateKeyRequest", "{\"key\":{\"scopes\":[\"a\",5]}}", "key.scopes[1]", "string");
    expect_fault("ez.v1.CreateKeyRequest", "{\"key\":{\"scopes\":[null]}}", "key.scopes[0]", "null");
    expect_fault("ez.v1.CreateKeyRequest", "{\"key\":[]}", "key", "object");
    expect_fault("ez.v1.Key", "{\"scopes\":\"a\"}", "scopes", "list");
    expect_fault("ez.v1.Key", "{\"labels\":[]}", "labels", "object");
    expect_fault("ez.v1.Key", "{\"labels\":{\"a\":1}}", "labels[0]", "string");
    expect_fault("ez.v1.Key", "{\"status\":\"ACTIVE\"}", "status",
                 "must be one of active, disabled, expired, exhausted");
    expect_fault("ez.v1.Key", "{\"status\":\"activ\"}", "status", "must be one of active");
    expect_fault("ez.v1.Key", "{\"status\":\"actives\"}", "status", "must be one of active");
    expect_fault("ez.v1.Alert", "{\"type\":\"odd\"}", "type",
                 "must be one of rate_limit, error_spike, quota_exceeded, provider_down, key_disabled, key_expired, "
                 "token_refresh_failed, config_rejected, sync_failed, data_plane_lost, custom");
    expect_fault("ez.v1.Key", "{\"status\":1}", "status", "string");
    expect_fault("ez.v1.Key", "{\"model_limits_enabled\":\"true\"}", "model_limits_enabled", "true or false");
    expect_fault("ez.v1.Key", "{\"expires_at\":\"tomorrow\"}", "expires_at", "time");
    expect_fault("ez.v1.Key", "{\"token_sha256\":\"abc\"}", "token_sha256", "hexadecimal");
    expect_fault("ez.v1.Key", "{\"token_sha256\":\"xx\"}", "token_sha256", "hexadecimal");
    expect_fault("ez.v1.ApiKeyBatchItem", "{\"create\":{},\"delete\":{\"id\":1}}", "delete", "beside");
}

static void expect_number(const char *field, const char *text, bool is_ok) {
    char json[128];
    snprintf(json, sizeof json, "{\"%s\":%s}", field, text);
    cr_assert_eq(parse("ez.v1.ApiKey", json) == EZ_OK, is_ok, "%s", json);
}

Test(json_parse, numbers_fit_their_field) {
    expect_number("weight", "2147483647", true);
    expect_number("weight", "2147483648", false);
    expect_number("weight", "-2147483648", true);
    expect_number("weight", "-2147483649", false);
    expect_number("weight", "1.0", true);
    expect_number("weight", "1e3", true);
    expect_number("weight", "1.5", false);
    expect_number("weight", "\"5\"", false);
    expect_number("id", "9223372036854775807", true);
    expect_number("id", "-9223372036854775808", true);
    expect_number("id", "\"9223372036854775807\"", true);
    expect_number("id", "\"9223372036854775808\"", false);
    expect_number("id", "\"-9223372036854775808\"", true);
    expect_number("id", "\"\"", false);
    expect_number("id", "\"-\"", false);
    expect_number("id", "\"+5\"", false);
    expect_number("id", "\" 5\"", false);
    expect_number("revision", "-1", false);
    expect_number("revision", "\"18446744073709551615\"", true);
    expect_number("revision", "\"18446744073709551616\"", false);
    expect_number("revision", "1e300", false);
    expect_number("success_rate", "1", true);
    expect_number("success_rate", "\"1\"", false);
    cr_assert_eq(parse("ez.v1.ApiKey", "{\"revision\":\"18446744073709551615\"}"), EZ_OK);
    cr_assert_eq(((Ez__V1__ApiKey *)message)->revision, UINT64_MAX);
}

Test(json_parse, lists_are_held_to_their_bound) {
    char json[1024] = "{\"scopes\":[\"s\"";
    for (int i = 1; i < 64; i++)
        strcat(json, ",\"s\"");
    size_t len = strlen(json);
    strcat(json, "]}");
    cr_assert_eq(parse("ez.v1.Key", json), EZ_OK);
    strcpy(json + len, ",\"s\"]}");
    expect_fault("ez.v1.Key", json, "scopes", "64");
}

Test(json_parse, too_many_values_or_bytes_are_refused_before_a_tree_is_made) {
    size_t len = 4 << 20;
    char *text = malloc(len + 1);
    memset(text, ' ', len + 1);
    memcpy(text, "{}", 2);
    cr_assert_eq(parse_len("ez.v1.Key", text, len), EZ_OK);
    cr_assert_eq(parse_len("ez.v1.Key", text, len + 1), EZ_INVALID_ARGUMENT);
    memset(text, ',', len);
    memcpy(text, "{\"scopes\":[0", 12);
    cr_assert_eq(parse_len("ez.v1.Key", text, len), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "too many"));
    free(text);
}

Test(json_parse, more_than_the_arena_is_exhausted_not_invalid) {
    ez_arena_fini(&arena);
    unsigned taken = 0;
    const char *json = "{\"key\":{\"name\":\"abc\",\"labels\":{\"a\":\"b\"},\"scopes\":[\"x\"],\"expires_at\":\"2030-"
                       "01-01T00:00:00Z\"}}";
    for (size_t max = 0; max < 2048; max += 16) {
        ez_arena_init(&arena, max);
        ez_status status = parse("ez.v1.CreateKeyRequest", json);
        cr_assert(status == EZ_OK || status == EZ_RESOURCE_EXHAUSTED);
        taken += status == EZ_OK;
        ez_arena_fini(&arena);
    }
    cr_assert(taken > 0 && taken < 128);
}

Test(json_parse, values_of_flags_keep_their_json_text) {
    cr_assert_eq(parse("ez.v1.Features",
                       "{\"flags\":{\"a\":true,\"b\":5,\"c\":\"t\\u0065xt\\n\",\"d\":0.10,\"e\":null,\"f\":"
                       "false,\"g\":-0}}"),
                 EZ_OK);
    static const char *const wanted[] = {"true", "5", "\"text\\n\"", "0.1", "", "false", "0"};
    Ez__V1__Features *features = (Ez__V1__Features *)message;
    cr_assert_eq(features->n_flags, sizeof wanted / sizeof wanted[0]);
    for (size_t i = 0; i < features->n_flags; i++)
        cr_assert_str_eq(features->flags[i]->value, wanted[i]);
    expect_fault("ez.v1.Features", "{\"flags\":{\"a\":[1]}}", "flags[0]", "true, false, a number or a string");
    expect_fault("ez.v1.Features", "{\"flags\":{\"a\":{}}}", "flags[0]", "true, false, a number or a string");
    expect_fault("ez.v1.Features", "{\"flags\":5}", "flags", "must be an object");
    expect_fault("ez.v1.Key", "{\"labels\":{\"a\":5}}", "labels[0]", "must be a string");
}
