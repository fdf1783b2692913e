// SPDX-License-Identifier: Apache-2.0
//
// A page of the delivery log as it is shown. On a reader's thread.
#pragma once

#include "ez/v1/delivery.pb-c.h"
#include "proto/runtime/call.h"
#include "server/state/directory/page_token.h"
#include "server/state/store/meter.h"

// Kinds of messages, and what their rows begin with. An alert's channel stands behind its kind: "alert:on-call".
#define EZ_DELIVERY_KIND_ERROR_WEBHOOK "error_webhook"
#define EZ_DELIVERY_KIND_ALERT         "alert:"

typedef struct ez_delivery_page {
    Ez__V1__Delivery **items; // newest first; in the call's arena
    size_t count;
    char next_page_token[EZ_PAGE_TOKEN_MAX]; // "": there are no more
} ez_delivery_page;

// page_size 0: 50. Errors are in the call's: INVALID_ARGUMENT (PAGE_TOKEN_INVALID), RESOURCE_EXHAUSTED, the store's.
ez_status ez_delivery_read_page(ez_call *call, ez_reader *reader, const char *kind_prefix, int32_t page_size,
                                const char *page_token, ez_delivery_page *out) EZ_MUST_CHECK;
