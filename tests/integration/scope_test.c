// SPDX-License-Identifier: Apache-2.0
//
// Who may call what, for every method of the schema: the table is the list, so that a method that is added is tested
// with it. Frames are made by hand with an empty message: the credential is looked at before the message is, so that an
// outsider learns nothing from what it is told.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/json.h"
#include "tests/integration/support/raw.h"
#include "tests/integration/support/world.h"

static ez_world w;
static ez_raw raw;

static void begin(void) {
    given_world(&w, NULL);
    given_raw(&raw, w.server.rpc_url);
}

static void end(void) {
    end_raw(&raw);
    end_world(&w);
}

TestSuite(scope, .init = begin, .fini = end);

typedef struct credential {
    ez_scope scope; // 0: none
    const char *what, *token;
} credential;

static ez_status call_empty(const ez_method *method, const char *token) {
    return raw_call(&raw, method->name + strlen("ez.v1."), token, "", 0);
}

static void expect_said(const ez_method *method, const char *what, ez_status want, ez_status got) {
    cr_assert_eq(got, want, "%s with %s: expected %s, got %s: %s", method->name, what, ez_status_name(want),
                 ez_status_name(got), raw.header->message);
}

static bool is_turned_away(ez_status status) {
    return status == EZ_UNAUTHENTICATED || status == EZ_PERMISSION_DENIED;
}

// What ends the caller's own credential or session comes after the rest.
static bool lets_in(const ez_method *method, const credential *with) {
    ez_status got = call_empty(method, with->token);
    cr_assert(!is_turned_away(got), "%s with %s: %s", method->name, with->what, raw.header->message);
    return true;
}

Test(scope, every_method_with_every_credential) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    const credential held[] = {
        {EZ_SCOPE_ADMIN, "an admin token", w.server.admin_token},
        {EZ_SCOPE_MASTER, "a master key", acme->master_key},
        {EZ_SCOPE_DATA_PLANE, "a data plane's token", given_plane(&w.admin, "edge")->token},
        {0, "a child key", given_key(&w.admin, acme->id, "web")->token},
        {0, "a token nobody has", "eza_0000000000000000000000000000000000000000000"},
    };
    unsigned open = 0, guarded = 0;
    for (unsigned i = 0; i < ez_method_count; i++) {
        const ez_method *method = &ez_methods[i];
        ez_status bare = call_empty(method, NULL);
        if (method->scope == EZ_SCOPE_PUBLIC) {
            open++;
            expect_said(method, "no token", EZ_OK, bare);
            continue;
        }
        guarded++;
        expect_said(method, "no token", EZ_UNAUTHENTICATED, bare);
        cr_assert_str_eq(raw.header->reason, "TOKEN_MISSING");
        for (size_t k = 0; k < sizeof held / sizeof *held; k++) {
            if (held[k].scope == method->scope) {
                cr_assert(lets_in(method, &held[k]));
                continue;
            }
            ez_status want = held[k].scope ? EZ_PERMISSION_DENIED : EZ_UNAUTHENTICATED;
            expect_said(method, held[k].what, want, call_empty(method, held[k].token));
            cr_assert_eq(raw.message.len, 0, "a refusal carries no message");
        }
    }
    cr_assert_gt(open, 0);
    cr_assert_gt(guarded, 40);
}

// What only admins are shown is absent for others, as for a server that counts nothing; an admin sees a 0 as one.
Test(scope, a_status_without_detail_has_no_counts) {
    ez_caller nobody = caller_with(&w, "");
    Ez__V1__Status *status = ask(&nobody, "System/GetStatus", "{}");
    cr_assert_str_eq(status->status, "ok");
    cr_assert_str_empty(status->store);
    cr_assert_eq(status->opt_masters_case, EZ__V1__STATUS__OPT_MASTERS__NOT_SET);
    cr_assert_eq(status->opt_data_planes_live_case, EZ__V1__STATUS__OPT_DATA_PLANES_LIVE__NOT_SET);
    char text[1024];
    ez_buf json;
    ez_buf_init(&json, sizeof text);
    cr_assert_eq(ez_json_write(ez_message_rule_find(status->base.descriptor), &status->base, false, &json), EZ_OK);
    const char *const hidden[] = {"server_id",       "store",    "masters",  "keys",        "namespaces",
                                  "provider_groups", "api_keys", "bindings", "data_planes", "data_planes_live"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        snprintf(text, sizeof text, "\"%s\":", hidden[i]);
        cr_assert_null(memmem(json.data, json.len, text, strlen(text)), "%s is shown", hidden[i]);
    }
    ez_buf_fini(&json);
    status = ask(&w.admin, "System/GetStatus", "{}");
    cr_assert_eq(status->opt_masters_case, EZ__V1__STATUS__OPT_MASTERS_MASTERS);
    cr_assert_eq(status->masters, 0);
    cr_assert_eq(status->opt_namespaces_case, EZ__V1__STATUS__OPT_NAMESPACES_NAMESPACES);
    cr_assert_eq(status->namespaces, 1);
}

Test(scope, credentials_in_other_forms_are_none) {
    const char *const forms[] = {"", "Bearer", "Bearer ", "Basic YTpi", "bearer\t", "Bearer eza_", NULL};
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    header.method = (char *)"ez.v1.Masters/List";
    for (size_t i = 0; forms[i]; i++) {
        header.authorization = (char *)forms[i];
        ez_buf frame;
        ez_buf_init(&frame, 4096);
        cr_assert_eq(ez_frame_write_call(&frame, &header), EZ_OK);
        cr_assert_eq(raw_ask(&raw, frame.data, frame.len), EZ_UNAUTHENTICATED, "form %zu", i);
        ez_buf_fini(&frame);
    }
    char text[128];
    snprintf(text, sizeof text, "%s ", w.server.admin_token);
    cr_assert_eq(raw_call(&raw, "Masters/List", text, "", 0), EZ_UNAUTHENTICATED, "a blank behind it is part of it");
    snprintf(text, sizeof text, "%.20s", w.server.admin_token);
    cr_assert_eq(raw_call(&raw, "Masters/List", text, "", 0), EZ_UNAUTHENTICATED, "half of it is not it");
    cr_assert_eq(raw_call(&raw, "Masters/List", w.server.admin_token, "", 0), EZ_OK);
}

Test(scope, a_removed_data_plane_is_nobody) {
    Ez__V1__DataPlane *plane = given_plane(&w.admin, "edge");
    ez_caller edge = caller_with(&w, plane->token);
    ask(&edge, "DataPlanes/Hello", "{'name':'edge','process_epoch':7}");
    ask(&w.admin, "DataPlanes/Delete", "{'id':%" PRId64 "}", plane->id);
    expect_refused(&edge, EZ_UNAUTHENTICATED, "TOKEN_UNKNOWN", "Config/Fetch", "{}");
    expect_refused(&edge, EZ_UNAUTHENTICATED, "TOKEN_UNKNOWN", "DataPlanes/Heartbeat", "{}");
}
