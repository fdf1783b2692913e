// SPDX-License-Identifier: Apache-2.0
//
// When the webhook fires, by the clock that the test gives, and what it sends.
#include "server/domain/logs/error_webhook.h"

#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/runtime/json.h"
#include "server/state/delivery/secret.h"
#include "server/state/directory/txn.h"
#include "tests/support/receiver.h"
#include "tests/support/wait.h"
#include "tests/unit/directory/given.h"

#define SECOND INT64_C(1000000000)
#define NOON   (INT64_C(1750000000) * SECOND)
#define SECRET "0123456789abcdef"

static const ez_test_answer ok[] = {{.data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
static whole_state state;
static ez_test_receiver *receiver;
static ez_outbound *outbound;
static ez_deliverer *deliverer;
static ez_error_webhook *webhook;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    given_state(&state);
    receiver = given_receiver(ok, 1);
    ez_outbound_options out = {.allow = "127.0.0.1"};
    expect_ok(ez_outbound_create(&out, &outbound, &error), &error);
    ez_deliverer_options own = {.outbound = outbound};
    expect_ok(ez_deliverer_create(&own, &deliverer, &error), &error);
    ez_error_webhook_options options = {
        .directory = state.directory, .sealer = state.sealer, .deliverer = deliverer, .server_id = "server-1"};
    expect_ok(ez_error_webhook_create(&options, &webhook, &error), &error);
}

static void end(void) {
    ez_outbound_stop(outbound);
    ez_error_webhook_destroy(webhook);
    ez_deliverer_destroy(deliverer);
    ez_outbound_destroy(outbound);
    end_receiver(receiver);
    end_state(&state);
}

TestSuite(error_webhook, .init = begin, .fini = end, .timeout = 60);

// ---- The setting, as the handler would put it

static ez_status put_setting(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    Ez__V1__Setting *setting = self;
    const ez_entry *there = ez_txn_find(scene, EZ_INDEX_SETTING_NAME, ez_index_text("error_webhook"));
    setting->id = there != NULL ? ez_entry_id(there) : 0;
    return ez_txn_put(scene, EZ__V1__KIND__KIND_SETTING, &setting->base, &call->error);
}

// secret: NULL for none.
static void given_webhook(Ez__V1__ErrorWebhook hook, const char *secret) {
    static uint64_t version;
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    Ez__V1__GetErrorWebhookRequest request = EZ__V1__GET_ERROR_WEBHOOK_REQUEST__INIT;
    ez_buf sealed;
    ez_buf_init(&sealed, 1024);
    setting.name = (char *)"error_webhook";
    setting.error_webhook = &hook;
    setting.secret_version = ++version;
    if (secret != NULL) {
        expect_ok(ez_delivery_seal(state.sealer, "settings|error_webhook|secret", version, secret, &sealed, &error),
                  &error);
        setting.sealed_secret = (ProtobufCBinaryData){.data = sealed.data, .len = sealed.len};
    }
    ez_call *call = given_call("ez.v1.Settings/SetErrorWebhook");
    expect_ok(ez_writer_run(state.writer, call, put_setting, &setting, &request.base, &error), &error);
    ez_call_destroy_system(call);
    ez_buf_fini(&sealed);
}

static Ez__V1__ErrorWebhook hook_with(int32_t threshold, int32_t window, int32_t cooldown) {
    Ez__V1__ErrorWebhook hook = EZ__V1__ERROR_WEBHOOK__INIT;
    hook.enabled = true;
    hook.url = (char *)receiver_url(receiver, "/hook");
    hook.opt_threshold_case = EZ__V1__ERROR_WEBHOOK__OPT_THRESHOLD_THRESHOLD;
    hook.threshold = threshold;
    hook.opt_window_seconds_case = EZ__V1__ERROR_WEBHOOK__OPT_WINDOW_SECONDS_WINDOW_SECONDS;
    hook.window_seconds = window;
    hook.opt_cooldown_seconds_case = EZ__V1__ERROR_WEBHOOK__OPT_COOLDOWN_SECONDS_COOLDOWN_SECONDS;
    hook.cooldown_seconds = cooldown;
    return hook;
}

// ---- Records

static ez_slice text(const char *of) {
    return (ez_slice){(const uint8_t *)of, strlen(of)};
}

static void note(int64_t at_s, int32_t status_code, const char *message, size_t count) {
    ez_log_row rows[32];
    for (size_t i = 0; i < count; i++) {
        rows[i] = (ez_log_row){.time_ns = NOON + at_s * SECOND + (int64_t)i,
                               .received_ns = NOON + at_s * SECOND,
                               .status_code = status_code,
                               .master_id = 7,
                               .model = text("gpt"),
                               .error_message = text(message),
                               .body = text("do not send this")};
    }
    ez_error_webhook_note(webhook, rows, count, NOON + at_s * SECOND);
}

static void expect_fired(size_t times) {
    expect_soon(receiver_count(receiver) == times);
}

// ---- Tests

Test(error_webhook, sends_a_report_at_the_threshold) {
    given_webhook(hook_with(3, 60, 300), SECRET);
    note(0, 500, "up\"stream", 2);
    note(30, 502, "up\"stream", 2);
    expect_fired(1);
    const char *body = receiver_body(receiver, 0);
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *message;
    expect_ok(ez_json_parse(ez_message_rule_find(&ez__v1__error_report__descriptor), body, strlen(body), &arena,
                            &message, NULL, &error),
              &error);
    const Ez__V1__ErrorReport *report = (Ez__V1__ErrorReport *)message;
    cr_assert_str_eq(report->event, "error_webhook");
    cr_assert_str_eq(report->server_id, "server-1");
    cr_assert_eq(report->fired_at->seconds, NOON / SECOND + 30);
    cr_assert_eq(report->count, 4);
    cr_assert_eq(report->threshold, 3);
    cr_assert_eq(report->window_seconds, 60);
    cr_assert_eq(report->sample->status_code, 502);
    cr_assert_eq(report->sample->master_id, 7);
    cr_assert_str_eq(report->sample->model, "gpt");
    cr_assert_str_eq(report->sample->error_message, "up\"stream");
    cr_assert_null(strstr(body, "request_body"));
    cr_assert_null(strstr(body, "secret"));
    cr_assert_eq(strncmp(receiver_header(receiver, 0, "X-EZ-Signature"), "sha256=", 7), 0);
    ez_arena_fini(&arena);
}

Test(error_webhook, counts_within_the_window_only) {
    given_webhook(hook_with(3, 10, 0), SECRET);
    note(0, 500, "", 2);
    note(10, 500, "", 2); // the first two have left
    note(20, 500, "", 2);
    note(29, 500, "", 1); // these are three
    expect_fired(1);
    cr_assert_not_null(strstr(receiver_body(receiver, 0), "\"count\":3"));
}

Test(error_webhook, is_silent_for_the_cooldown_then_counts_what_came_meanwhile) {
    given_webhook(hook_with(2, 60, 30), SECRET);
    note(0, 500, "", 2);
    note(1, 500, "", 20);
    note(29, 500, "", 20);
    expect_fired(1);
    note(30, 500, "", 1);
    expect_fired(2);
    cr_assert_not_null(strstr(receiver_body(receiver, 1), "\"count\":41"));
    note(31, 500, "", 1);
    note(59, 500, "", 1);
    note(61, 200, "", 1);
    note(61, 500, "", 1);
    expect_fired(3);
}

Test(error_webhook, counts_what_the_setting_says) {
    Ez__V1__ErrorWebhook hook = hook_with(2, 60, 0);
    hook.opt_status_code_threshold_case = EZ__V1__ERROR_WEBHOOK__OPT_STATUS_CODE_THRESHOLD_STATUS_CODE_THRESHOLD;
    hook.status_code_threshold = 429;
    hook.match_error = (char *)"Quota Exceeded";
    given_webhook(hook, SECRET);
    note(0, 500, "something else", 20);
    note(0, 428, "quota exceeded", 20);
    note(0, 200, "quota exceeded", 20);
    note(0, 429, "your QUOTA exceeded today", 1);
    cr_assert_eq(receiver_connections(receiver), 0);
    note(0, 0, "quota exceeded", 1); // no status at all is an error
    expect_fired(1);
    cr_assert_not_null(strstr(receiver_body(receiver, 0), "\"count\":2"));
}

Test(error_webhook, follows_its_setting) {
    note(0, 500, "", 20); // none yet
    Ez__V1__ErrorWebhook hook = hook_with(1, 60, 86400);
    hook.enabled = false;
    given_webhook(hook, SECRET);
    note(1, 500, "", 20);
    cr_assert_eq(receiver_connections(receiver), 0);
    hook.enabled = true;
    given_webhook(hook, SECRET);
    note(2, 500, "", 1);
    expect_fired(1);
    note(3, 500, "", 1);
    hook.cooldown_seconds = 0;
    given_webhook(hook, SECRET); // a change starts anew
    note(4, 500, "", 1);
    expect_fired(2);
}

Test(error_webhook, fault_55_without_a_secret_nothing_is_sent) {
    given_webhook(hook_with(1, 60, 0), NULL);
    note(0, 500, "", 20);
    Ez__V1__ErrorWebhook hook = hook_with(1, 60, 0);
    hook.url = (char *)receiver_url(receiver, "/second");
    given_webhook(hook, SECRET);
    note(1, 500, "", 1);
    expect_fired(1);
    cr_assert_eq(strncmp(receiver_request(receiver, 0), "POST /second", 12), 0);
}

Test(error_webhook, fault_38_a_clock_that_goes_back_does_not_silence_it) {
    given_webhook(hook_with(1, 60, 300), SECRET);
    note(7200, 500, "", 1);
    expect_fired(1);
    note(0, 500, "", 1); // two hours back
    note(299, 500, "", 1);
    cr_assert_eq(receiver_count(receiver), 1);
    note(300, 500, "", 1);
    expect_fired(2);
}
