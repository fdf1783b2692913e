// SPDX-License-Identifier: Apache-2.0
//
// The thresholds as admins set them: a setting like others. What was never set has its default, also where a later
// release has another one.
#include "proto/runtime/message.h"
#include "server/domain/alerts/detector_inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/setting.h"

#define ARENA_MAX (64u << 10)

static const ez_message_rule *rule(void) {
    return ez_message_rule_find(&ez__v1__alert_thresholds__descriptor);
}

static ez_status fill(const Ez__V1__Setting *setting, ez_arena *arena, Ez__V1__AlertThresholds *out) {
    ez__v1__alert_thresholds__init(out);
    if (setting->alert_thresholds)
        *out = *setting->alert_thresholds;
    out->updated_at = setting->updated_at;
    out->revision = setting->revision;
    return ez_message_defaults(rule(), &out->base, arena);
}

ez_status ez_thresholds_read(const ez_directory *directory, Ez__V1__AlertThresholds *out, ez_error *error) {
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_read(directory, SETTING_ALERT_THRESHOLDS, &arena, &setting, error);
    if (status == EZ_OK && fill(setting, &arena, out) != EZ_OK)
        status = ez_no_memory(error);
    if (status == EZ_OK)
        out->updated_at = NULL; // the arena's
    ez_arena_fini(&arena);
    return status;
}

static ez_status reply(ez_call *call, const Ez__V1__Setting *setting) {
    Ez__V1__AlertThresholds shown;
    if (fill(setting, &call->arena, &shown) != EZ_OK)
        return ez_no_memory(&call->error);
    return ez_call_reply(call, &shown.base);
}

ez_status ez_handle_thresholds_get(ez_detector *self, ez_call *call, Ez__V1__GetThresholdsRequest *request) {
    (void)request;
    Ez__V1__Setting *setting;
    ez_status status =
        ez_setting_read(self->options.directory, SETTING_ALERT_THRESHOLDS, &call->arena, &setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}

ez_status ez_handle_thresholds_update(ez_detector *self, ez_call *call, ez_txn *txn,
                                      Ez__V1__UpdateThresholdsRequest *request) {
    (void)self;
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, SETTING_ALERT_THRESHOLDS, &setting, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__AlertThresholds thresholds = EZ__V1__ALERT_THRESHOLDS__INIT;
    if (setting->alert_thresholds)
        thresholds = *setting->alert_thresholds;
    status = ez_message_merge(rule(), &thresholds.base, &request->thresholds->base, request->n_update_mask,
                              request->update_mask, &call->error);
    if (status != EZ_OK)
        return status;
    setting->alert_thresholds = &thresholds;
    status = ez_setting_put(txn, setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}
