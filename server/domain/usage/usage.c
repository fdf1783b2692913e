// SPDX-License-Identifier: Apache-2.0
#include "server/domain/usage/usage.h"

#include "ez/handlers.h"

static ez_status not_yet(ez_call *call) {
    return ez_call_fail(call, EZ_UNIMPLEMENTED, "NOT_YET", "not yet");
}

ez_status ez_handle_usage_flush(struct ez_usage *self, ez_call *call, struct ez_append *append,
                                Ez__V1__FlushUsageRequest *request) {
    (void)self, (void)append, (void)request;
    return not_yet(call);
}
ez_status ez_handle_usage_get_api_key_stats(struct ez_usage *self, ez_call *call, struct ez_reader *reader,
                                            Ez__V1__GetApiKeyStatsRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
ez_status ez_handle_realtime_get(struct ez_usage *self, ez_call *call, Ez__V1__GetRealtimeRequest *request) {
    (void)self, (void)request;
    return not_yet(call);
}
ez_status ez_handle_realtime_get_master(struct ez_usage *self, ez_call *call,
                                        Ez__V1__GetMasterRealtimeRequest *request) {
    (void)self, (void)request;
    return not_yet(call);
}
ez_status ez_handle_realtime_get_own(struct ez_usage *self, ez_call *call, Ez__V1__GetOwnRealtimeRequest *request) {
    (void)self, (void)request;
    return not_yet(call);
}
