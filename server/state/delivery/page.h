// SPDX-License-Identifier: Apache-2.0
//
// A page of the delivery log as it is shown. On a reader's thread.
#pragma once

#include "ez/v1/delivery.pb-c.h"
#include "proto/runtime/call.h"
#include "server/state/directory/page_token.h"
#include "server/state/store/meter.h"

// Kinds of messages, and what their rows begin with. An alert's channel stands behind its kind: "alert:on-call". Tests
// of a channel are a lane of their own, which messages that can't be delivered do not fill.
#define EZ_DELIVERY_KIND_ERROR_WEBHOOK "error_webhook"
#define EZ_DELIVERY_KIND_ALERT         "alert:"
#define EZ_DELIVERY_KIND_ALERT_TEST    "alert_test:"
#define EZ_DELIVERY_KINDS_ALERT        "alert" // what both begin with

typedef struct ez_delivery_page {
    Ez__V1__Delivery **items; // newest first; in the call's arena
    size_t count;
    char next_page_token[EZ_PAGE_TOKEN_MAX]; // "": there are no more
} ez_delivery_page;

typedef struct ez_delivery_ask {
    const char *kind_prefix;
    int32_t page_size; // 0: 50
    const char *page_token;
    const char *channel, *status; // "" or NULL: any
    int64_t since_ns;             // 0: from the beginning
} ez_delivery_ask;

// Errors are in the call's: INVALID_ARGUMENT (PAGE_TOKEN_INVALID), RESOURCE_EXHAUSTED, the store's.
ez_status ez_delivery_read_page(ez_call *call, ez_reader *reader, const ez_delivery_ask *ask,
                                ez_delivery_page *out) EZ_MUST_CHECK;
