// SPDX-License-Identifier: Apache-2.0
//
// Replies for people: order of columns, what is left out, secrets, -q.
#include "clients/ctl/view.h"

#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/key.pb-c.h"
#include "ez/v1/oauth.pb-c.h"
#include "ez/v1/route.pb-c.h"
#include "proto/runtime/json.h"

static ez_arena arena;
static ez_buf out;

static void begin(void) {
    ez_arena_init(&arena, 16 << 20);
    ez_buf_init(&out, EZ_CTL_VIEW_MAX);
}

static void end(void) {
    ez_buf_fini(&out);
    ez_arena_fini(&arena);
}

TestSuite(view, .init = begin, .fini = end);

static const char *view_of(const ProtobufCMessageDescriptor *type, const char *json, bool reveal, size_t width) {
    const ez_message_rule *rule = ez_message_rule_find(type);
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *message;
    cr_assert_eq(ez_json_parse(rule, json, strlen(json), &arena, &message, NULL, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(ez_ctl_view_write(rule, message, reveal, width, &arena, &out), EZ_OK);
    return ez_buf_cstr(&out);
}

static const char *quiet_of(const ProtobufCMessageDescriptor *type, const char *json, bool reveal) {
    const ez_message_rule *rule = ez_message_rule_find(type);
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *message;
    cr_assert_eq(ez_json_parse(rule, json, strlen(json), &arena, &message, NULL, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(ez_ctl_view_quiet(rule, message, reveal, &out), EZ_OK);
    return ez_buf_cstr(&out);
}

#define KEYS &ez__v1__list_keys_response__descriptor
#define KEY  &ez__v1__key__descriptor

Test(view, a_page_is_a_table_with_what_counts_first) {
    const char *text =
        view_of(KEYS, "{\"items\":[{\"id\":1,\"master_id\":2,\"name\":\"web\",\"status\":\"active\",\"revision\":9}]}",
                false, 30);
    cr_assert(strncmp(text, "ID  NAME  STATUS  MASTER_ID\n 1  web   active          2\n", 55) == 0, "%s", text);
}

Test(view, a_resource_is_lines) {
    const char *text =
        view_of(KEY, "{\"id\":1,\"name\":\"web\",\"labels\":{\"a\":\"b\"},\"scopes\":[\"x\",\"y\"]}", false, 0);
    cr_assert(strstr(text, "\nname                  web\n"), "%s", text);
    cr_assert(strstr(text, "\nlabels                a=b\n"), "%s", text);
    cr_assert(strstr(text, "\nscopes                x,y\n"), "%s", text);
    cr_assert_null(strstr(text, "expires_at"), "an empty time is left out: %s", text);
}

Test(view, secrets_show_only_where_the_method_reveals) {
    cr_assert_null(strstr(view_of(KEY, "{\"id\":1,\"token\":\"sk-1\"}", false, 0), "sk-1"));
    cr_assert(strstr(view_of(KEY, "{\"id\":1,\"token\":\"sk-1\"}", true, 0), "token                 sk-1\n"));
}

Test(view, lists_within_a_message_are_tables_below) {
    const char *text =
        view_of(&ez__v1__explain_route_response__descriptor,
                "{\"namespace\":\"ns\",\"candidates\":[{\"binding_id\":1,\"why_not\":\"weight 0\"}]}", false, 0);
    cr_assert(strstr(text, "namespace  ns\n"), "%s", text);
    cr_assert(strstr(text, "candidates:\nBINDING_ID"), "%s", text);
    cr_assert(strstr(text, "weight 0"), "%s", text);
}

// The number of classes stood there, and was taken for that of the keys.
Test(view, failing_keys_are_counted_by_class) {
    const char *text = view_of(&ez__v1__token_refresh_status__descriptor,
                               "{\"providers\":[{\"type\":\"codex\",\"failing\":[{\"class\":\"terminal\",\"keys\":3},"
                               "{\"class\":\"setting\",\"keys\":1}]}]}",
                               false, 0);
    cr_assert(strstr(text, "terminal 3, setting 1"), "%s", text);
}

Test(view, quiet_gives_ids_or_the_new_secret) {
    cr_assert_str_eq(quiet_of(KEYS, "{\"items\":[{\"id\":3},{\"id\":5}]}", false), "3\n5\n");
    ez_buf_clear(&out);
    cr_assert_str_eq(quiet_of(KEY, "{\"id\":3,\"token\":\"sk-1\"}", true), "sk-1\n");
    ez_buf_clear(&out);
    cr_assert_str_eq(quiet_of(KEY, "{\"id\":3,\"token\":\"sk-1\"}", false), "3\n");
}

Test(view, a_full_arena_is_an_error) {
    const ez_message_rule *rule = ez_message_rule_find(KEYS);
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *message;
    ez_arena small;
    const char *json = "{\"items\":[{\"id\":1}]}";
    ez_arena_init(&small, 64);
    cr_assert_eq(ez_json_parse(rule, json, strlen(json), &arena, &message, NULL, &error), EZ_OK);
    cr_assert_eq(ez_ctl_view_write(rule, message, false, 0, &small, &out), EZ_RESOURCE_EXHAUSTED);
    ez_arena_fini(&small);
}
