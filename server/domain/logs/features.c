// SPDX-License-Identifier: Apache-2.0
//
// Features: flags that a deployment gives its meaning, and the overrides of the server's own settings. An update lays
// the flags it names over those that are there; one without a value is taken away. They are kept sorted by name, so
// that the same flags are the same bytes.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/message.h"
#include "server/domain/logs/inside.h"

#define FLAG_BODIES "log_request_body_enabled" // the server's own
#define FLAGS_MAX   256                        // as Features.flags has it
#define ARENA_MAX   (1u << 20)                 // of a features resource and a purge

typedef Ez__V1__Features__FlagsEntry flag;

static const flag *find_flag(const Ez__V1__Features *features, const char *name) {
    for (size_t i = 0; features && i < features->n_flags; i++)
        if (strcmp(features->flags[i]->key, name) == 0)
            return features->flags[i];
    return NULL;
}

ez_status ez_logs_features(const ez_logs *logs, ez_log_features *out, ez_error *error) {
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    Ez__V1__Setting *setting, *purge;
    ez_status status = ez_setting_read(logs->options.directory, SETTING_FEATURES, &arena, &setting, error);
    if (status == EZ_OK)
        status = ez_setting_read(logs->options.directory, SETTING_LOG_PURGE, &arena, &purge, error);
    if (status == EZ_OK) {
        const Ez__V1__Features *features = setting->features;
        const flag *bodies = find_flag(features, FLAG_BODIES);
        int64_t days = features ? features->log_retention_days : 0, records = features ? features->log_max_records : 0;
        *out = (ez_log_features){.retention_days = days > 0 ? days : logs->options.retention_days,
                                 .max_records = records > 0 ? records : logs->options.max_records,
                                 .keeps_bodies = bodies && strcmp(bodies->value, "true") == 0,
                                 .purge_before_ns = purge->log_purge_before ? ez_stamp_ns(purge->log_purge_before) : 0};
    }
    ez_arena_fini(&arena);
    return status;
}

// ---- Reading

// As it is shown: with what the setting's own fields say of it.
static ez_status reply(ez_call *call, const Ez__V1__Setting *setting) {
    Ez__V1__Features shown = EZ__V1__FEATURES__INIT;
    if (setting->features)
        shown = *setting->features;
    shown.updated_at = setting->updated_at;
    shown.revision = setting->revision;
    return ez_call_reply(call, &shown.base);
}

ez_status ez_handle_settings_get_features(ez_logs *self, ez_call *call, Ez__V1__GetFeaturesRequest *request) {
    (void)request;
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_read(self->options.directory, SETTING_FEATURES, &call->arena, &setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}

// ---- Changing

static bool is_removal(const flag *given) {
    return given->value[0] == 0 || strcmp(given->value, "null") == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(flag *const *)a)->key, (*(flag *const *)b)->key);
}

static bool is_own_flag_wrong(const flag *given) {
    return strcmp(given->key, FLAG_BODIES) == 0 && !is_removal(given) && strcmp(given->value, "true") != 0 &&
           strcmp(given->value, "false") != 0;
}

// A flag that is called as a field of the features would look like it and do nothing. One that is there already may go.
static bool is_a_field(const flag *given) {
    return !is_removal(given) && ez_field_rule_find(ez_message_rule_find(&ez__v1__features__descriptor), given->key);
}

// What there was, without what is named anew; then what was given.
static ez_status merge_flags(ez_arena *arena, Ez__V1__Features *features, const Ez__V1__Features *patch,
                             ez_error *error) {
    flag **merged = ez_arena_alloc(arena, (features->n_flags + patch->n_flags + 1) * sizeof(flag *));
    if (!merged)
        return ez_no_memory(error);
    size_t count = 0;
    for (size_t i = 0; i < features->n_flags; i++)
        if (!find_flag(patch, features->flags[i]->key))
            merged[count++] = features->flags[i];
    for (size_t i = 0; i < patch->n_flags; i++) {
        if (is_own_flag_wrong(patch->flags[i]))
            return ez_error_violation(error, "features.flags", FLAG_BODIES " must be true or false");
        if (is_a_field(patch->flags[i]))
            return ez_error_violation(error, "features.flags", "%.64s is no flag: set it beside flags, not among them",
                                      patch->flags[i]->key);
        if (!is_removal(patch->flags[i]))
            merged[count++] = patch->flags[i];
    }
    if (count > FLAGS_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TOO_MANY_FLAGS",
                            "there would be %zu flags, at most %d are kept: remove some first", count, FLAGS_MAX);
    qsort(merged, count, sizeof(flag *), by_name);
    features->flags = merged;
    features->n_flags = count;
    return EZ_OK;
}

// Everything but the flags, whose merge is not "the whole map anew".
static ez_status merge_rest(ez_arena *arena, Ez__V1__Features *features, const Ez__V1__UpdateFeaturesRequest *request,
                            ez_error *error) {
    Ez__V1__Features patch = *request->features;
    patch.n_flags = 0;
    size_t count = 0;
    char **mask = ez_arena_alloc(arena, (request->n_update_mask + 1) * sizeof(char *));
    if (!mask)
        return ez_no_memory(error);
    for (size_t i = 0; i < request->n_update_mask; i++)
        if (strcmp(request->update_mask[i], "flags") != 0)
            mask[count++] = request->update_mask[i];
    if (request->n_update_mask > 0 && count == 0)
        return EZ_OK;
    return ez_message_merge(ez_message_rule_find(&ez__v1__features__descriptor), &features->base, &patch.base, count,
                            mask, error);
}

ez_status ez_handle_settings_update_features(ez_logs *self, ez_call *call, ez_txn *txn,
                                             Ez__V1__UpdateFeaturesRequest *request) {
    (void)self;
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, SETTING_FEATURES, &setting, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    if (setting->features)
        features = *setting->features;
    const ez_message_rule *rule = ez_message_rule_find(&ez__v1__features__descriptor);
    status = merge_rest(&call->arena, &features, request, &call->error);
    if (status == EZ_OK &&
        ez_message_mask_has(rule, &request->features->base, request->n_update_mask, request->update_mask, "flags"))
        status = merge_flags(&call->arena, &features, request->features, &call->error);
    if (status != EZ_OK)
        return status;
    setting->features = &features;
    // What is empty and was never there is no change.
    if (setting->id != 0 || protobuf_c_message_get_packed_size(&features.base) > 0)
        status = ez_setting_put(txn, setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}
