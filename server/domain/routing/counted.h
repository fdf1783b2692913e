// SPDX-License-Identifier: Apache-2.0
//
// What was counted of API keys and provider groups, joined to them where they are shown. Only for this folder.
#pragma once

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "proto/runtime/buf.h"
#include "server/state/metering/counters.h"

// Appends them to packed bytes; there the last value of a field is the one that counts.
ez_status ez_counted_put_api_key(const ez_counters *counters, int64_t id, ez_buf *out) EZ_MUST_CHECK;
ez_status ez_counted_put_group(const ez_counters *counters, int64_t id, ez_buf *out) EZ_MUST_CHECK;
// Fills them into a message that is shown and not kept.
void ez_counted_fill_api_key(const ez_counters *counters, Ez__V1__ApiKey *key);
void ez_counted_fill_group(const ez_counters *counters, Ez__V1__ProviderGroup *group);
