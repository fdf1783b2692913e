// SPDX-License-Identifier: Apache-2.0
//
// Reading the setting. It was checked when it was set; what does not fit here is a fault, and nothing is sent by it.
#include "server/domain/alerts/notify_config.h"

#include <stdio.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/runtime/log.h"

#define ALL UINT32_MAX

static bool take_sealed(ProtobufCBinaryData from, uint64_t version, ez_notify_sealed *out) {
    if (from.len > sizeof out->data)
        return false;
    out->version = version;
    out->len = from.len;
    if (from.len)
        memcpy(out->data, from.data, from.len);
    return true;
}

static uint32_t bits_of(size_t count, const int *values) {
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++)
        bits |= values[i] >= 0 && values[i] < 32 ? UINT32_C(1) << values[i] : 0;
    return count ? bits : ALL;
}

static bool take_channel(const Ez__V1__NotificationChannel *channel, const Ez__V1__SealedChannel *sealed,
                         ez_notify_receiver *out) {
    if (strlen(channel->name) > EZ_NOTIFY_NAME_MAX || strcmp(channel->name, sealed->name) != 0)
        return false;
    strcpy(out->name, channel->name);
    out->kind = channel->kind;
    out->is_enabled = channel->opt_enabled_case == 0 || channel->enabled;
    out->sends_resolved = channel->kind == EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_ALERTMANAGER ||
                          channel->opt_send_resolved_case == 0 || channel->send_resolved;
    out->severities = bits_of(channel->n_severities, (const int *)channel->severities);
    out->types = bits_of(channel->n_types, (const int *)channel->types);
    return take_sealed(sealed->url, sealed->url_version, &out->url) &&
           take_sealed(sealed->secret, sealed->secret_version, &out->secret);
}

static bool take_setting(const Ez__V1__Setting *setting, ez_notify_config *out) {
    const Ez__V1__NotificationSettings *settings = setting->alert_notifications;
    if (!settings)
        return true;
    if (settings->n_channels > EZ_NOTIFY_CHANNELS || settings->n_channels != setting->n_alert_channels ||
        strlen(settings->cluster) > EZ_NOTIFY_CLUSTER_MAX)
        return false;
    strcpy(out->cluster, settings->cluster);
    if (settings->opt_group_seconds_case != 0)
        out->group_ms = (uint64_t)settings->group_seconds * 1000;
    for (size_t i = 0; i < settings->n_channels; i++)
        if (!take_channel(settings->channels[i], setting->alert_channels[i], &out->receivers[i]))
            return false;
    out->count = settings->n_channels;
    return true;
}

void ez_notify_config_init(ez_notify_config *config) {
    memset(config, 0, sizeof *config);
    config->group_ms = EZ_NOTIFY_GROUP_S * 1000;
}

static void read_entry(ez_notify_config *config, const ez_entry *entry) {
    ez_arena arena;
    ez_arena_init(&arena, EZ_NOTIFY_SETTING_MAX);
    ez_notify_config_init(config);
    const ProtobufCMessage *setting = ez_entry_unpack(entry, &arena);
    if (!setting || !take_setting((const Ez__V1__Setting *)setting, config)) {
        ez_log_error("the setting of alert notifications can't be read: nothing is sent");
        ez_notify_config_init(config);
    }
    config->revision = ez_entry_revision(entry);
    ez_arena_fini(&arena);
}

bool ez_notify_config_refresh(ez_notify_config *config, const ez_directory *directory) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(directory, EZ_INDEX_SETTING_NAME, ez_index_text(EZ_NOTIFY_SETTING));
    bool has_changed = !entry ? config->revision != 0 : ez_entry_revision(entry) != config->revision;
    if (has_changed && entry)
        read_entry(config, entry);
    else if (has_changed)
        ez_notify_config_init(config);
    ez_directory_leave();
    return has_changed;
}

static bool has_bit(uint32_t bits, unsigned value) {
    return value < 32 && (bits >> value & 1);
}

bool ez_notify_wants(const ez_notify_receiver *receiver, const ez_notice *notice) {
    if (!receiver->is_enabled || !has_bit(receiver->severities, (unsigned)notice->severity) ||
        !has_bit(receiver->types, (unsigned)notice->type))
        return false;
    switch (notice->event) {
    case EZ_NOTICE_CREATED:
    case EZ_NOTICE_REPEATED:
        return true;
    case EZ_NOTICE_RESOLVED:
    case EZ_NOTICE_DISMISSED:
    case EZ_NOTICE_DELETED:
        return receiver->sends_resolved;
    case EZ_NOTICE_OPEN:
        return receiver->kind == EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_ALERTMANAGER;
    case EZ_NOTICE_ACKNOWLEDGED:
    case EZ_NOTICE_TEST:
        break;
    }
    return false;
}

void ez_notify_place(const char *channel, const char *what, char out[EZ_DELIVERY_PLACE_MAX]) {
    snprintf(out, EZ_DELIVERY_PLACE_MAX, "settings|" EZ_NOTIFY_SETTING "|%s|%s", channel, what);
}

ez_status ez_notify_open(const ez_sealer *sealer, const char *channel, const char *what, const ez_notify_sealed *sealed,
                         char out[EZ_DELIVERY_SECRET_MAX + 1], ez_error *error) {
    char place[EZ_DELIVERY_PLACE_MAX];
    ez_notify_place(channel, what, place);
    return ez_delivery_unseal(sealer, place, sealed->version, (ez_slice){sealed->data, sealed->len}, out, error);
}
