// SPDX-License-Identifier: Apache-2.0
//
// A message's body, in each of the forms that receivers take. Pure functions; any thread.
#pragma once

#include "proto/runtime/buf.h"
#include "server/domain/alerts/notify_notice.h"
#include "server/domain/alerts/notify_told.h"

#define EZ_NOTIFY_BODY_MAX    (2u << 20) // bytes of any body
#define EZ_NOTIFY_LISTED      100        // alerts a webhook's message lists
#define EZ_NOTIFY_LISTED_MAX  (1u << 20) // bytes of them
#define EZ_NOTIFY_SLACK_LINES 20         // alerts a Slack message lists
#define EZ_NOTIFY_SLACK_MAX   8192       // bytes of its text before it is escaped for JSON
#define EZ_NOTIFY_POSTED_TEXT 1024       // bytes of an alert's message that an Alertmanager gets

// How long an Alertmanager believes in an alert it hears no more of, beside two groups' times: three of the rounds in
// which it is told again (retell.h). An end that was never told, or was overtaken, is made up for by then.
#define EZ_NOTIFY_OPEN_S 1800
#define EZ_NOTIFY_TEST_S 60 // of a test's alert

typedef struct ez_notify_message {
    const char *server_id, *cluster, *channel; // cluster "": not said
    int64_t now_ns;                            // wall clock
    uint64_t group_ms;
    ez_notice *const *notices; // the worst first
    size_t count;
    uint64_t dropped; // alerts beside those
    bool is_test;
} ez_notify_message;

// Each writes into out, which is empty and whose ceiling is EZ_NOTIFY_BODY_MAX. RESOURCE_EXHAUSTED (NO_MEMORY).
ez_status ez_notify_form_webhook(const ez_notify_message *message, ez_buf *out, ez_error *error) EZ_MUST_CHECK;
ez_status ez_notify_form_slack(const ez_notify_message *message, ez_buf *out, ez_error *error) EZ_MUST_CHECK;
// *taken: how many of the notices are in it; the rest wants a message of its own. What told (NULL: nothing) knows to
// have been posted under another severity is ended.
ez_status ez_notify_form_alertmanager(const ez_notify_message *message, ez_notify_told *told, ez_buf *out,
                                      size_t *taken, ez_error *error) EZ_MUST_CHECK;

// An enum's word as JSON has it, lower case.
#define EZ_NOTIFY_WORD_MAX 64
void ez_notify_word(const ProtobufCEnumDescriptor *type, int value, char out[EZ_NOTIFY_WORD_MAX]);
