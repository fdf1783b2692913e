// SPDX-License-Identifier: Apache-2.0
//
// ez_session_call: one call of a session at a time, its result kept until the worker takes it. Internal to libezplane.
// It outlives its session where the session is closed while the call is under way: the result is then dropped.
#pragma once

#include "clients/c/client.h"

typedef struct ez_session_call ez_session_call;
typedef void ez_session_call_ready(void *user); // on a client's thread: must not block

// ready(user) is called whenever a result is there to be taken.
ez_session_call *ez_session_call_create(size_t reply_max, ez_session_call_ready *ready, void *user);
// Never calls ready again; frees at once or when the call under way ends. NULL is fine. Not from ready.
void ez_session_call_abandon(ez_session_call *call);

// Worker only. False where it could not be started (too much in flight): try again later.
bool ez_session_call_start(ez_session_call *call, ez_client *client, const ez_method *method,
                           const ProtobufCMessage *request, const ez_call_options *options);
// From start until the result is taken.
bool ez_session_call_is_busy(const ez_session_call *call);
// True once per result: status, error and reply are good until the next start.
bool ez_session_call_take(ez_session_call *call, ez_status *status, const ez_error **error, ez_slice *reply);
// What the server asked to wait before the next try; 0: it did not. As good as the result.
uint32_t ez_session_call_retry_after(const ez_session_call *call);
// Who answered, as in ez_call_info.
uint32_t ez_session_call_server(const ez_session_call *call);
