// SPDX-License-Identifier: Apache-2.0
//
// The rules: every bound of every field of the schema at ±1, what required means where, normalising, enums, times,
// maps.
#include <criterion/criterion.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <math.h>
#include <string.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "fill.h"
#include "proto/runtime/field.h"
#include "proto/runtime/message.h"

static ez_arena arena;
static ez_error error;
static fill f;

static void setup(void) {
    ez_arena_init(&arena, 256 << 20);
    f = (fill){.state = 1234567, .arena = &arena, .percent = 50};
}

static void teardown(void) {
    ez_arena_fini(&arena);
}

TestSuite(check, .init = setup, .fini = teardown);

static ez_status check(const ez_message_rule *rule, ProtobufCMessage *message, bool is_create) {
    ez_error_clear(&error);
    return ez_message_check(rule, message, is_create, &arena, &error);
}

static bool violates(const char *field) {
    for (unsigned i = 0; i < error.violation_count; i++) {
        if (strcmp(error.violations[i].field, field) == 0)
            return true;
    }
    return false;
}

static void expect(const ez_message_rule *rule, const ez_field_rule *field, ProtobufCMessage *message, bool is_ok,
                   const char *what) {
    ez_status status = check(rule, message, true);
    cr_assert_eq(status == EZ_OK, is_ok, "%s.%s %s: %s", rule->name, field->name, what, error.message);
    if (is_ok)
        return;
    cr_assert_eq(error.violation_count, 1);
    cr_assert_eq(strncmp(error.violations[0].field, field->name, strlen(field->name)), 0, "%s",
                 error.violations[0].field);
}

// A message that is taken, with this field set.
static ProtobufCMessage *given(const ez_message_rule *rule, const ez_field_rule *field) {
    ProtobufCMessage *message = fill_message(&f, rule);
    const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
    if (ez_field_is_member(fd))
        *ez_field_case(fd, message) = 0;
    fill_field(&f, rule, field, message);
    return message;
}

static char *text_of(size_t len) {
    char *text = ez_arena_alloc(&arena, len + 1);
    memset(text, 'x', len);
    text[len] = 0;
    return text;
}

static void length_bounds(const ez_message_rule *rule, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd) {
    for (int step = 0; step < 4; step++) {
        size_t len = step < 2 ? field->max_len + (size_t)step : field->min_len - (size_t)(step - 2);
        if (step >= 2 && field->min_len < 2)
            continue; // what is empty is absent
        ProtobufCMessage *message = given(rule, field);
        void *at = ez_field_at(fd, message);
        if (ez_field_is_repeated(fd))
            at = *(void **)at;
        if (fd->type == PROTOBUF_C_TYPE_STRING)
            *(char **)at = text_of(len);
        else
            *(ProtobufCBinaryData *)at = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)text_of(len)};
        expect(rule, field, message, step % 2 == 0, step < 2 ? "at max_len" : "at min_len");
    }
}

static void count_bounds(const ez_message_rule *rule, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd) {
    size_t size = ez_field_size(fd);
    for (size_t over = 0; over < 2; over++) {
        ProtobufCMessage *message = given(rule, field);
        size_t count = field->max_items + over;
        char *values = ez_arena_zalloc(&arena, count * size);
        for (size_t i = 0; i < count; i++)
            memcpy(values + i * size, *(char **)ez_field_at(fd, message), size);
        *(char **)ez_field_at(fd, message) = values;
        *ez_field_count(fd, message) = count;
        expect(rule, field, message, over == 0, "at max_items");
    }
}

static void number_bound(const ez_message_rule *rule, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd,
                         int64_t bound, int64_t outside) {
    for (int step = 0; step < 2; step++) {
        int64_t value = step ? outside : bound;
        bool is_negative = value < 0;
        ProtobufCMessage *message = given(rule, field);
        void *at = ez_field_at(fd, message);
        if (ez_field_is_repeated(fd))
            at = *(void **)at;
        else if (value == 0 && !ez_field_is_member(fd))
            continue; // absent
        if (ez_field_store_integer(fd, at, is_negative, is_negative ? 0 - (uint64_t)value : (uint64_t)value))
            expect(rule, field, message, step == 0, "at its bound");
    }
}

Test(check, every_bound_of_the_schema_holds_at_plus_minus_one) {
    unsigned tried = 0;
    for (unsigned i = 0; i < ez_message_rule_count; i++) {
        const ez_message_rule *rule = ez_message_rules[i];
        for (unsigned j = 0; j < rule->field_count; j++) {
            const ez_field_rule *field = &rule->fields[j];
            const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
            bool is_text = fd->type == PROTOBUF_C_TYPE_STRING || fd->type == PROTOBUF_C_TYPE_BYTES;
            if (field->flags & EZ_FIELD_OUTPUT_ONLY)
                continue;
            tried++;
            if (is_text && !field->format && !field->one_of)
                length_bounds(rule, field, fd);
            if (ez_field_is_repeated(fd) && !(field->flags & EZ_FIELD_MAP) && fd->type != PROTOBUF_C_TYPE_MESSAGE)
                count_bounds(rule, field, fd);
            if (field->flags & EZ_FIELD_HAS_MIN)
                number_bound(rule, field, fd, field->min, field->min - 1);
            if (field->flags & EZ_FIELD_HAS_MAX)
                number_bound(rule, field, fd, field->max, field->max + 1);
            ez_arena_reset(&arena);
        }
    }
    cr_assert_gt(tried, 200);
}

Test(check, fault_20_an_unknown_enum_is_refused) {
    const ez_message_rule *rule = rule_named("ez.v1.ListKeysRequest");
    Ez__V1__ListKeysRequest *request = (void *)ez_field_new_message(rule->descriptor, &arena);
    request->status = EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED;
    cr_assert_eq(check(rule, &request->base, false), EZ_OK);
    request->status = (Ez__V1__KeyStatus)5;
    cr_assert_eq(check(rule, &request->base, false), EZ_INVALID_ARGUMENT);
    request->status = (Ez__V1__KeyStatus)-1;
    cr_assert_eq(check(rule, &request->base, false), EZ_INVALID_ARGUMENT);
    cr_assert(violates("status"));
}

Test(check, times_are_within_the_years_people_mean) {
    const ez_message_rule *rule = rule_named("ez.v1.Key");
    static const struct {
        int64_t seconds;
        int32_t nanos;
        bool is_ok;
    } times[] = {{0, 0, true},          {-1, 0, false}, {253402300799, 999999999, true}, {253402300800, 0, false},
                 {INT64_MIN, 0, false}, {5, -1, false}, {5, 1000000000, false}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        Ez__V1__Key *key = (void *)ez_field_new_message(rule->descriptor, &arena);
        Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        time.seconds = times[i].seconds;
        time.nanos = times[i].nanos;
        key->expires_at = &time;
        cr_assert_eq(check(rule, &key->base, false) == EZ_OK, times[i].is_ok, "time %zu", i);
    }
}

Test(check, fault_21_doubles_are_finite) {
    // No request of the schema carries a double yet, so the rule is made here.
    static const ez_field_rule fields[] = {{.name = "share", .number = 8, .index = 0, .max_len = 255}};
    const ProtobufCMessageDescriptor *type = rule_named("ez.v1.RouteCandidate")->descriptor;
    ez_field_rule field = fields[0];
    field.index = (unsigned)(protobuf_c_message_descriptor_get_field_by_name(type, "share") - type->fields);
    ez_message_rule rule = {.descriptor = type, .name = "test", .fields = &field, .field_count = 1};
    static const struct {
        double value;
        bool is_ok;
    } values[] = {{1.5, true}, {-1e300, true}, {NAN, false}, {INFINITY, false}, {-INFINITY, false}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        ProtobufCMessage *message = ez_field_new_message(type, &arena);
        *(double *)ez_field_at(&type->fields[field.index], message) = values[i].value;
        cr_assert_eq(check(&rule, message, false) == EZ_OK, values[i].is_ok, "value %zu", i);
    }
}

// An empty list of numbers was said to be required, and to be at least 1.
Test(check, an_empty_list_wants_an_element) {
    Ez__V1__BatchAlertsRequest empty = EZ__V1__BATCH_ALERTS_REQUEST__INIT;
    cr_assert_eq(check(rule_named("ez.v1.BatchAlertsRequest"), &empty.base, true), EZ_INVALID_ARGUMENT);
    cr_assert(violates("ids"));
    cr_assert_str_eq(error.violations[0].description, "must have at least one element");
}

Test(check, required_binds_a_resource_where_it_is_made) {
    const ez_message_rule *create = rule_named("ez.v1.CreateMasterRequest");
    const ez_message_rule *update = rule_named("ez.v1.UpdateMasterRequest");
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    Ez__V1__CreateMasterRequest made = EZ__V1__CREATE_MASTER_REQUEST__INIT;
    cr_assert_eq(check(create, &made.base, true), EZ_INVALID_ARGUMENT);
    cr_assert(violates("master"));
    made.master = &master;
    cr_assert_eq(check(create, &made.base, true), EZ_INVALID_ARGUMENT);
    cr_assert(violates("master.name"));
    master.name = (char *)"  ";
    cr_assert_eq(check(create, &made.base, true), EZ_INVALID_ARGUMENT, "blank is empty");
    master.name = (char *)"acme";
    cr_assert_eq(check(create, &made.base, true), EZ_OK);
    master.name = (char *)"";
    Ez__V1__UpdateMasterRequest changed = EZ__V1__UPDATE_MASTER_REQUEST__INIT;
    changed.master = &master;
    cr_assert_eq(check(update, &changed.base, false), EZ_INVALID_ARGUMENT);
    cr_assert(violates("id") && error.violation_count == 1);
    changed.id = 1;
    cr_assert_eq(check(update, &changed.base, false), EZ_OK);
}

Test(check, items_of_a_batch_are_left_to_their_handler) {
    const ez_message_rule *rule = rule_named("ez.v1.BatchApiKeysRequest");
    Ez__V1__ApiKey empty = EZ__V1__API_KEY__INIT;
    Ez__V1__DeleteApiKeyRequest deletion = EZ__V1__DELETE_API_KEY_REQUEST__INIT;
    Ez__V1__ApiKeyBatchItem items[2] = {EZ__V1__API_KEY_BATCH_ITEM__INIT, EZ__V1__API_KEY_BATCH_ITEM__INIT};
    items[0].action_case = EZ__V1__API_KEY_BATCH_ITEM__ACTION_CREATE;
    items[0].create = &empty;
    items[1].action_case = EZ__V1__API_KEY_BATCH_ITEM__ACTION_DELETE;
    items[1].delete_ = &deletion;
    Ez__V1__ApiKeyBatchItem *list[2] = {&items[0], &items[1]};
    Ez__V1__BatchApiKeysRequest batch = EZ__V1__BATCH_API_KEYS_REQUEST__INIT;
    cr_assert_eq(check(rule, &batch.base, false), EZ_INVALID_ARGUMENT, "an empty batch");
    batch.items = list;
    batch.n_items = 1;
    cr_assert_eq(check(rule, &batch.base, true), EZ_OK, "%s", error.message);
    batch.n_items = 2;
    cr_assert_eq(check(rule, &batch.base, false), EZ_INVALID_ARGUMENT);
    cr_assert(violates("items[1].delete.id") && error.violation_count == 1);
    // As the handler does it.
    cr_assert_eq(check(rule_named("ez.v1.ApiKey"), &empty.base, true), EZ_INVALID_ARGUMENT);
    cr_assert(violates("group_id"));
}

Test(check, texts_are_trimmed_and_lowered_without_touching_the_originals) {
    const ez_message_rule *rule = rule_named("ez.v1.ProviderGroup");
    char name[] = " \t Main\r\n", type[] = " OpenAI ", model[] = " GPT ";
    char *models[] = {model};
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    group.name = name;
    group.type = type;
    group.models = models;
    group.n_models = 1;
    cr_assert_eq(check(rule, &group.base, true), EZ_OK);
    cr_assert_str_eq(group.name, "Main");
    cr_assert_str_eq(group.type, "openai");
    cr_assert_str_eq(group.models[0], "GPT");
    cr_assert_str_eq(name, " \t Main\r\n");
    group.type = (char *)"other";
    cr_assert_eq(check(rule, &group.base, true), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.violations[0].description, "openai, compatible"));
}

Test(check, map_keys_are_unique_and_bounded) {
    const ez_message_rule *rule = rule_named("ez.v1.Key");
    Ez__V1__Key__LabelsEntry a = EZ__V1__KEY__LABELS_ENTRY__INIT, b = a;
    Ez__V1__Key__LabelsEntry *labels[] = {&a, &b};
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.labels = labels;
    key.n_labels = 2;
    a.key = (char *)"team";
    b.key = (char *)"Team";
    cr_assert_eq(check(rule, &key.base, false), EZ_OK);
    b.key = (char *)"team";
    cr_assert_eq(check(rule, &key.base, false), EZ_INVALID_ARGUMENT);
    cr_assert(violates("labels[1].key"));
    b.key = (char *)"";
    cr_assert_eq(check(rule, &key.base, false), EZ_INVALID_ARGUMENT);
    b.key = text_of(255);
    b.value = text_of(255);
    cr_assert_eq(check(rule, &key.base, false), EZ_OK);
    b.key = text_of(256);
    cr_assert_eq(check(rule, &key.base, false), EZ_INVALID_ARGUMENT);
    b.key = (char *)"k";
    b.value = text_of(256);
    cr_assert_eq(check(rule, &key.base, false), EZ_INVALID_ARGUMENT);
    cr_assert(violates("labels[1].value"));
}

Test(check, values_that_are_json_are_single_values) {
    static const char *const good[] = {"",       "true",     "false",           "null", "0", "-5",
                                       "1.5e-3", "\"text\"", "\"\\u00e9\\\"\"", "\"\""};
    static const char *const bad[] = {"yes",       "{}",     "[1]",          "01",  "1.",       ".5",       "+1",
                                      "1e999",     "5 ",     " 5",           "\"",  "\"a\"b\"", "\"a\nb\"", "\"\\x\"",
                                      "\"\\u12\"", "\"\\\"", "true,\"x\":1", "NaN", "-"};
    const ez_message_rule *rule = rule_named("ez.v1.Features");
    Ez__V1__Features__FlagsEntry flag = EZ__V1__FEATURES__FLAGS_ENTRY__INIT, *flags[] = {&flag};
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    features.flags = flags;
    features.n_flags = 1;
    flag.key = (char *)"k";
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        flag.value = (char *)good[i];
        cr_assert_eq(check(rule, &features.base, false), EZ_OK, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        flag.value = (char *)bad[i];
        cr_assert_eq(check(rule, &features.base, false), EZ_INVALID_ARGUMENT, "%s", bad[i]);
        cr_assert(violates("flags[0].value"));
    }
}

Test(check, zero_counts_where_presence_is_known) {
    const ez_message_rule *rule = rule_named("ez.v1.Key");
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    cr_assert_eq(check(rule, &key.base, true), EZ_OK);
    cr_assert_eq(ez_message_defaults(rule, &key.base, &arena), EZ_OK);
    cr_assert_eq(key.quota_limit, 0, "given as 0, so no default");
    key.opt_quota_limit_case = 0;
    cr_assert_eq(ez_message_defaults(rule, &key.base, &arena), EZ_OK);
    cr_assert_eq(key.quota_limit, -1);
    cr_assert_eq(key.status, EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE);
}

Test(check, violations_never_quote_a_value) {
    const ez_message_rule *rule = rule_named("ez.v1.CreateCustomProviderRequest");
    Ez__V1__CreateCustomProviderRequest request = EZ__V1__CREATE_CUSTOM_PROVIDER_REQUEST__INIT;
    char secret[9001];
    memset(secret, 's', 9000);
    secret[9000] = 0;
    request.api_key = secret;
    request.base_url = (char *)"ssss://ssss";
    cr_assert_eq(check(rule, &request.base, true), EZ_INVALID_ARGUMENT);
    for (unsigned i = 0; i < error.violation_count; i++)
        cr_assert_null(strstr(error.violations[i].description, "sss"));
    cr_assert_null(strstr(error.message, "sss"));
    cr_assert(violates("api_key") && violates("base_url") && violates("name") && violates("models"));
}

Test(check, many_faults_are_counted_up_to_the_bound) {
    const ez_message_rule *rule = rule_named("ez.v1.Key");
    char *models[50];
    for (int i = 0; i < 50; i++)
        models[i] = (char *)"";
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.model_limits = models;
    key.n_model_limits = 50;
    cr_assert_eq(check(rule, &key.base, false), EZ_INVALID_ARGUMENT);
    cr_assert_eq(error.violation_count, EZ_ERROR_VIOLATIONS_MAX);
    cr_assert_eq(ez_message_check(rule, &key.base, false, &arena, NULL), EZ_INVALID_ARGUMENT);
}
