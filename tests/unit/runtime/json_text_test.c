// SPDX-License-Identifier: Apache-2.0
//
// Fields from query strings: each type, its faults, and lists that grow by one.
#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/audit.pb-c.h"
#include "ez/v1/config.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "fill.h"
#include "proto/runtime/field.h"
#include "proto/runtime/json.h"

static ez_arena arena;
static ez_error error;

static void setup(void) {
    ez_arena_init(&arena, 1 << 20);
}

static void teardown(void) {
    ez_arena_fini(&arena);
}

TestSuite(json_text, .init = setup, .fini = teardown);

static ez_status set(ProtobufCMessage *message, const char *rule, const char *field, const char *text) {
    ez_error_clear(&error);
    return ez_json_set_text(field_named(rule_named(rule), field), message, text, &arena, &error);
}

#define SET(message, field, text) set(&(message)->base, "ez.v1.Key", field, text)

Test(json_text, takes_each_type) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    cr_assert_eq(SET(&key, "id", "-9223372036854775808"), EZ_OK);
    cr_assert_eq(key.id, INT64_MIN);
    cr_assert_eq(SET(&key, "revision", "18446744073709551615"), EZ_OK);
    cr_assert_eq(key.revision, UINT64_MAX);
    cr_assert_eq(SET(&key, "name", "caf\xC3\xA9"), EZ_OK);
    cr_assert_str_eq(key.name, "caf\xC3\xA9");
    cr_assert_eq(SET(&key, "model_limits_enabled", "1"), EZ_OK);
    cr_assert(key.model_limits_enabled);
    cr_assert_eq(SET(&key, "model_limits_enabled", "false"), EZ_OK);
    cr_assert_not(key.model_limits_enabled);
    cr_assert_eq(SET(&key, "status", "disabled"), EZ_OK);
    cr_assert_eq(key.status, EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED);
    cr_assert_eq(SET(&key, "expires_at", "2030-01-01T00:00:00Z"), EZ_OK);
    cr_assert_not_null(key.expires_at);
    cr_assert_eq(SET(&key, "quota_limit", "0"), EZ_OK);
    cr_assert_eq(key.opt_quota_limit_case, EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT);
    cr_assert_eq(SET(&key, "token_sha256", "00ff"), EZ_OK);
    cr_assert_eq(key.token_sha256.len, 2);
    cr_assert_eq(key.token_sha256.data[1], 255);
}

Test(json_text, refuses_what_is_none_and_leaves_the_field) {
    static const char *const bad[][2] = {{"id", ""},
                                         {"id", "x"},
                                         {"id", "1.0"},
                                         {"id", "0x1"},
                                         {"id", "9223372036854775808"},
                                         {"revision", "-1"},
                                         {"name", "\xFF"},
                                         {"model_limits_enabled", "yes"},
                                         {"model_limits_enabled", ""},
                                         {"status", ""},
                                         {"status", "Active"},
                                         {"expires_at", "0"},
                                         {"quota_limit", "many"},
                                         {"token_sha256", "0"},
                                         {"labels", "a"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Ez__V1__Key key = EZ__V1__KEY__INIT, empty = EZ__V1__KEY__INIT;
        cr_assert_eq(SET(&key, bad[i][0], bad[i][1]), EZ_INVALID_ARGUMENT, "%s=%s", bad[i][0], bad[i][1]);
        cr_assert_str_eq(error.violations[0].field, bad[i][0]);
        cr_assert(messages_equal(&key.base, &empty.base));
    }
}

Test(json_text, lists_grow_by_one_whoever_began_them) {
    char *given[] = {(char *)"a", (char *)"b", (char *)"c"};
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.scopes = given;
    key.n_scopes = 3;
    for (int i = 3; i < 64; i++)
        cr_assert_eq(SET(&key, "scopes", "more"), EZ_OK);
    cr_assert_eq(key.n_scopes, 64);
    cr_assert_str_eq(key.scopes[2], "c");
    cr_assert_str_eq(key.scopes[63], "more");
    cr_assert_eq(SET(&key, "scopes", "one too many"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(key.n_scopes, 64);
    Ez__V1__FetchConfigRequest fetch = EZ__V1__FETCH_CONFIG_REQUEST__INIT;
    cr_assert_eq(set(&fetch.base, "ez.v1.FetchConfigRequest", "kinds", "api_key"), EZ_OK);
    cr_assert_eq(set(&fetch.base, "ez.v1.FetchConfigRequest", "kinds", "binding"), EZ_OK);
    cr_assert_eq(fetch.n_kinds, 2);
    cr_assert_eq(fetch.kinds[1], EZ__V1__KIND__KIND_BINDING);
    cr_assert_eq(set(&fetch.base, "ez.v1.FetchConfigRequest", "max_bytes", "4294967295"), EZ_OK);
    cr_assert_eq(set(&fetch.base, "ez.v1.FetchConfigRequest", "max_bytes", "4294967296"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(set(&fetch.base, "ez.v1.FetchConfigRequest", "revision", "1"), EZ_INVALID_ARGUMENT);
}

Test(json_text, without_memory_it_says_so) {
    ez_arena_fini(&arena);
    ez_arena_init(&arena, 0);
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    cr_assert_eq(SET(&key, "name", "x"), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(SET(&key, "scopes", "x"), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(SET(&key, "expires_at", "2030-01-01T00:00:00Z"), EZ_RESOURCE_EXHAUSTED);
    cr_assert_eq(SET(&key, "token_sha256", "00"), EZ_RESOURCE_EXHAUSTED);
}
