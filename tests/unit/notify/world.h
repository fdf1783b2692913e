// SPDX-License-Identifier: Apache-2.0
//
// A notifier over a real store, with a real outbound and deliverer, and a clock that the test moves.
#pragma once

#include "server/domain/alerts/notify.h"
#include "tests/support/receiver.h"
#include "tests/support/wait.h"
#include "tests/unit/directory/given.h"

#define OK_ANSWER                                                                                                      \
    { .data = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }
#define BROKEN                                                                                                         \
    { .data = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n" }
#define SECRET "a secret of 16 bytes and more"

typedef struct notify_world {
    whole_state state;
    ez_outbound *outbound;
    ez_deliverer *deliverer;
    ez_alert_notifier *notifier;
    uint64_t now_ms;
} notify_world;

void given_notify_world(notify_world *w, const char *allow);
void end_notify_world(notify_world *w);

// Sets "channels" as an admin would: a JSON list, with ' for ". The reply's code; its reason, message and first
// violation's field are kept.
ez_status set_channels(notify_world *w, const char *format, ...) EZ_PRINTF(2, 3);
void given_channels(notify_world *w, const char *format, ...) EZ_PRINTF(2, 3);
extern char last_reason[64], last_message[512], last_field[EZ_VIOLATION_FIELD_MAX];

// Passes so much time, in ticks of 250 ms.
void pass_ms(notify_world *w, uint64_t ms);
// What the deliverer repeats is due.
void repeat_now(notify_world *w);

typedef struct alert {
    int64_t id;
    Ez__V1__AlertSeverity severity; // 0: warning
    Ez__V1__AlertType type;         // 0: custom
    const char *title;
} alert;
void note(notify_world *w, const char *event, alert what);
