// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/notify/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ez/handlers.h"
#include "ez/v1/alert_notification.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

char last_reason[64], last_message[512], last_field[EZ_VIOLATION_FIELD_MAX];

void given_notify_world(notify_world *w, const char *allow) {
    ez_error error = EZ_ERROR_INIT;
    memset(w, 0, sizeof *w);
    given_state(&w->state);
    ez_outbound_options out = {.allow = allow};
    expect_ok(ez_outbound_create(&out, &w->outbound, &error), &error);
    ez_deliverer_options own = {.outbound = w->outbound};
    expect_ok(ez_deliverer_create(&own, &w->deliverer, &error), &error);
    ez_alert_notifier_options options = {.directory = w->state.directory,
                                         .sealer = w->state.sealer,
                                         .allow = ez_outbound_allowed(w->outbound),
                                         .deliverer = w->deliverer,
                                         .server_id = "server-1"};
    expect_ok(ez_alert_notifier_create(&options, &w->notifier, &error), &error);
    w->now_ms = ez_clock_mono_ms();
}

void end_notify_world(notify_world *w) {
    ez_alert_notifier_stop(w->notifier);
    ez_outbound_stop(w->outbound);
    ez_delivery_stop(w->deliverer);
    ez_alert_notifier_destroy(w->notifier);
    ez_deliverer_destroy(w->deliverer);
    ez_outbound_destroy(w->outbound);
    end_state(&w->state);
}

static ez_status update(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    return ez_handle_alert_notifications_update(self, call, scene, (Ez__V1__UpdateAlertNotificationsRequest *)request);
}

static ez_status run(notify_world *w, const char *json) {
    const ez_message_rule *rule = ez_message_rule_find(&ez__v1__update_alert_notifications_request__descriptor);
    ez_error error = EZ_ERROR_INIT;
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    ProtobufCMessage *request = NULL;
    expect_ok(ez_json_parse(rule, json, strlen(json), &arena, &request, NULL, &error), &error);
    ez_status status = ez_message_check(rule, request, true, &arena, &error);
    if (status == EZ_OK) {
        ez_call *call = given_call("ez.v1.AlertNotifications/Update");
        status = ez_writer_run(w->state.writer, call, update, w->notifier, request, &error);
        ez_call_destroy_system(call);
    }
    snprintf(last_reason, sizeof last_reason, "%s", error.reason);
    snprintf(last_message, sizeof last_message, "%s", error.message);
    snprintf(last_field, sizeof last_field, "%s", error.violation_count ? error.violations[0].field : "");
    ez_arena_fini(&arena);
    return status;
}

static ez_status set(notify_world *w, const char *format, va_list args) {
    char list[8192], json[9000];
    vsnprintf(list, sizeof list, format, args);
    snprintf(json, sizeof json, "{\"notifications\":{\"channels\":%s},\"update_mask\":[\"channels\"]}", list);
    for (char *at = json; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    return run(w, json);
}

ez_status set_channels(notify_world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ez_status status = set(w, format, args);
    va_end(args);
    return status;
}

void given_channels(notify_world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ez_status status = set(w, format, args);
    va_end(args);
    cr_assert_eq(status, EZ_OK, "%s: %s", last_reason, last_message);
}

void pass_ms(notify_world *w, uint64_t ms) {
    for (uint64_t passed = 0; passed < ms; passed += 250) {
        w->now_ms += 250;
        ez_alert_notifier_tick(w->notifier, w->now_ms);
    }
}

void repeat_now(notify_world *w) {
    ez_delivery_tick(w->deliverer, ez_clock_mono_ms() + 3600000);
}

void note(notify_world *w, const char *event, alert what) {
    Ez__V1__Alert made = EZ__V1__ALERT__INIT;
    Google__Protobuf__Timestamp then = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    then.seconds = ez_clock_wall_ns() / 1000000000 - 5;
    made.id = what.id;
    made.type = what.type ? what.type : EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM;
    made.severity = what.severity ? what.severity : EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING;
    made.title = (char *)(what.title ? what.title : "trouble");
    made.message = (char *)"something is wrong";
    made.related_type = (char *)"key";
    made.related_id = what.id;
    made.related_name = (char *)"acme";
    made.fingerprint = (char *)"f1";
    made.count = 1;
    made.first_seen_at = &then;
    made.last_seen_at = &then;
    ez_alert_notifier_note(w->notifier, event, &made);
}
