// SPDX-License-Identifier: Apache-2.0
//
// The error webhook as admins set it. Its secret comes in with a request and goes sealed into the setting; has_secret
// is all that is ever given back. The awkward case is the same secret given again, as a client does that sets
// everything each time: it is opened and compared, so that nothing changes where nothing changed.
#include <string.h>

#include "proto/runtime/message.h"
#include "server/domain/logs/error_webhook.h"
#include "server/domain/logs/inside.h"
#include "server/state/delivery/secret.h"

static const ez_message_rule *rule(void) {
    return ez_message_rule_find(&ez__v1__error_webhook__descriptor);
}

// As it is shown, with its defaults where it was never set.
static ez_status reply(ez_call *call, const Ez__V1__Setting *setting) {
    Ez__V1__ErrorWebhook shown = EZ__V1__ERROR_WEBHOOK__INIT;
    if (setting->error_webhook)
        shown = *setting->error_webhook;
    if (ez_message_defaults(rule(), &shown.base, &call->arena) != EZ_OK)
        return ez_no_memory(&call->error);
    shown.secret = (char *)"";
    shown.has_secret = setting->sealed_secret.len > 0;
    shown.updated_at = setting->updated_at;
    shown.revision = setting->revision;
    return ez_call_reply(call, &shown.base);
}

ez_status ez_handle_settings_get_error_webhook(ez_logs *self, ez_call *call, Ez__V1__GetErrorWebhookRequest *request) {
    (void)request;
    Ez__V1__Setting *setting;
    ez_status status =
        ez_setting_read(self->options.directory, SETTING_ERROR_WEBHOOK, &call->arena, &setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}

static bool is_same_secret(const ez_logs *logs, const Ez__V1__Setting *setting, const char *given) {
    char held[EZ_DELIVERY_SECRET_MAX + 1];
    ez_slice sealed = {setting->sealed_secret.data, setting->sealed_secret.len};
    bool is_same = sealed.len > 0 &&
                   ez_delivery_unseal(logs->options.sealer, EZ_ERROR_WEBHOOK_PLACE, setting->secret_version, sealed,
                                      held, NULL) == EZ_OK &&
                   strcmp(held, given) == 0;
    ez_wipe(held, sizeof held);
    return is_same;
}

static ez_status put_secret(const ez_logs *logs, ez_arena *arena, Ez__V1__Setting *setting, const char *given,
                            ez_error *error) {
    if (given[0] == 0) {
        setting->sealed_secret = (ProtobufCBinaryData){0};
        return EZ_OK;
    }
    if (is_same_secret(logs, setting, given))
        return EZ_OK;
    ez_buf sealed;
    ez_buf_init(&sealed, EZ_DELIVERY_SECRET_MAX + EZ_SEAL_OVERHEAD);
    setting->secret_version++;
    ez_status status =
        ez_delivery_seal(logs->options.sealer, EZ_ERROR_WEBHOOK_PLACE, setting->secret_version, given, &sealed, error);
    if (status == EZ_OK) {
        setting->sealed_secret.data = ez_arena_memdup(arena, sealed.data, sealed.len);
        setting->sealed_secret.len = sealed.len;
        if (!setting->sealed_secret.data)
            status = ez_no_memory(error);
    }
    ez_buf_fini(&sealed);
    return status;
}

static ez_status check(const ez_logs *logs, const Ez__V1__Setting *setting, bool names_url, ez_error *error) {
    const Ez__V1__ErrorWebhook *webhook = setting->error_webhook;
    if (webhook->enabled && !webhook->url[0])
        return ez_error_violation(error, "webhook.url", "is required where the webhook is enabled");
    if (webhook->enabled && setting->sealed_secret.len == 0)
        return ez_error_violation(error, "webhook.secret",
                                  "is required where the webhook is enabled: 16 bytes or more");
    // What is not allowed any more must not keep an admin from disabling it.
    ez_error why = EZ_ERROR_INIT;
    return webhook->url[0] && (webhook->enabled || names_url) &&
                   ez_outbound_check_url(logs->options.allow, webhook->url, &why) != EZ_OK
               ? ez_error_violation_of(error, "webhook.url", &why)
               : EZ_OK;
}

ez_status ez_handle_settings_set_error_webhook(ez_logs *self, ez_call *call, ez_txn *txn,
                                               Ez__V1__SetErrorWebhookRequest *request) {
    Ez__V1__Setting *setting;
    ez_error *error = &call->error;
    ez_status status = ez_setting_load(txn, SETTING_ERROR_WEBHOOK, &setting, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ErrorWebhook webhook = EZ__V1__ERROR_WEBHOOK__INIT;
    if (setting->error_webhook)
        webhook = *setting->error_webhook;
    const ProtobufCMessage *patch = &request->webhook->base;
    status = ez_message_merge(rule(), &webhook.base, patch, request->n_update_mask, request->update_mask, error);
    if (status == EZ_OK && ez_message_defaults(rule(), &webhook.base, &call->arena) != EZ_OK)
        status = ez_no_memory(error);
    if (status == EZ_OK && ez_message_mask_has(rule(), patch, request->n_update_mask, request->update_mask, "secret"))
        status = put_secret(self, &call->arena, setting, request->webhook->secret, error);
    if (status != EZ_OK)
        return status;
    webhook.secret = (char *)"";
    setting->error_webhook = &webhook;
    bool names_url = ez_message_mask_has(rule(), patch, request->n_update_mask, request->update_mask, "url");
    status = check(self, setting, names_url, error);
    if (status == EZ_OK)
        status = ez_setting_put(txn, setting, error);
    return status == EZ_OK ? reply(call, setting) : status;
}
