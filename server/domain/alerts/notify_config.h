// SPDX-License-Identifier: Apache-2.0
//
// The setting "alert_notifications" as it is read: who wants to know what, with secrets still sealed. Any thread.
#pragma once

#include "ez/v1/alert_notification.pb-c.h"
#include "proto/crypto/seal.h"
#include "server/domain/alerts/notify_notice.h"
#include "server/state/delivery/secret.h"
#include "server/state/directory/directory.h"

#define EZ_NOTIFY_SETTING     "alert_notifications"
#define EZ_NOTIFY_CHANNELS    16
#define EZ_NOTIFY_NAME_MAX    64
#define EZ_NOTIFY_CLUSTER_MAX 64
#define EZ_NOTIFY_SEALED_MAX  (EZ_DELIVERY_SECRET_MAX + EZ_SEAL_OVERHEAD)
#define EZ_NOTIFY_GROUP_S     60           // where it was never set
#define EZ_NOTIFY_SETTING_MAX (512u << 10) // bytes of the setting, unpacked

typedef struct ez_notify_sealed {
    uint64_t version;
    size_t len; // 0: none
    uint8_t data[EZ_NOTIFY_SEALED_MAX];
} ez_notify_sealed;

typedef struct ez_notify_receiver {
    char name[EZ_NOTIFY_NAME_MAX + 1];
    Ez__V1__NotificationKind kind;
    bool is_enabled, sends_resolved;
    uint32_t severities, types; // a bit for each value that is wanted
    ez_notify_sealed url, secret;
} ez_notify_receiver;

typedef struct ez_notify_config {
    uint64_t revision; // 0: it was never set
    uint64_t group_ms;
    char cluster[EZ_NOTIFY_CLUSTER_MAX + 1];
    size_t count;
    ez_notify_receiver receivers[EZ_NOTIFY_CHANNELS];
} ez_notify_config;

// As where it was never set.
void ez_notify_config_init(ez_notify_config *config);
// Reads it anew where its revision is not config's. True: it did. A setting that can't be read is one of no channels,
// and a line in the log.
bool ez_notify_config_refresh(ez_notify_config *config, const ez_directory *directory);

// Whether this happening is worth a message to the receiver. Others only bring up to date what is about to be told.
bool ez_notify_wants(const ez_notify_receiver *receiver, const ez_notice *notice);

// What is sealed there, opened: place is "url" or "secret". The caller wipes out. Errors as ez_delivery_unseal.
ez_status ez_notify_open(const ez_sealer *sealer, const char *channel, const char *what, const ez_notify_sealed *sealed,
                         char out[EZ_DELIVERY_SECRET_MAX + 1], ez_error *error) EZ_MUST_CHECK;
// "settings|alert_notifications|CHANNEL|WHAT"
void ez_notify_place(const char *channel, const char *what, char out[EZ_DELIVERY_PLACE_MAX]);
