// SPDX-License-Identifier: Apache-2.0
#include "server/domain/logs/logs.h"

#include "ez/handlers.h"

static ez_status not_yet(ez_call *call) {
    return ez_call_fail(call, EZ_UNIMPLEMENTED, "NOT_YET", "not yet");
}

ez_status ez_handle_settings_get_features(struct ez_logs *self, ez_call *call, Ez__V1__GetFeaturesRequest *request) {
    (void)self, (void)request;
    return not_yet(call);
}
ez_status ez_handle_settings_update_features(struct ez_logs *self, ez_call *call, struct ez_txn *txn,
                                             Ez__V1__UpdateFeaturesRequest *request) {
    (void)self, (void)txn, (void)request;
    return not_yet(call);
}
ez_status ez_handle_settings_get_error_webhook(struct ez_logs *self, ez_call *call,
                                               Ez__V1__GetErrorWebhookRequest *request) {
    (void)self, (void)request;
    return not_yet(call);
}
ez_status ez_handle_settings_set_error_webhook(struct ez_logs *self, ez_call *call, struct ez_txn *txn,
                                               Ez__V1__SetErrorWebhookRequest *request) {
    (void)self, (void)txn, (void)request;
    return not_yet(call);
}
ez_status ez_handle_settings_list_deliveries(struct ez_logs *self, ez_call *call, struct ez_reader *reader,
                                             Ez__V1__ListDeliveriesRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
