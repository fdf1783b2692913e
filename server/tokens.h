// SPDX-License-Identifier: Apache-2.0
//
// Puts token refresh together from the settings, and says its troubles.
#pragma once

#include "proto/runtime/settings.h"
#include "server/core.h"
#include "server/domain/alerts/alerts.h"
#include "server/domain/oauth/oauth.h"
#include "server/domain/redis/redis.h"
#include "server/domain/routing/routing.h"

// outbound, routing and alerts must outlive it.
ez_status ez_tokens_open(const ez_core *core, const ez_settings *settings, const char *server_id, ez_outbound *outbound,
                         ez_routing *routing, ez_alerts *alerts, ez_oauth **out, ez_error *error) EZ_MUST_CHECK;

// Somebody reported something, whoever it was: what it says of an API key's tokens ends with their next refresh. Any
// thread.
void ez_tokens_note_alert(ez_oauth *oauth, const Ez__V1__AlertEvent *event);

// For ez_redis_options.refresh; user: the ez_oauth.
ez_status ez_tokens_take_queued(void *user, const ez_refresh_request *request, ez_error *error);
