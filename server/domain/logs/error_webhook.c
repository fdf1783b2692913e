// SPDX-License-Identifier: Apache-2.0
//
// Counting, firing, and the report. The secret is opened for each report and wiped after, so that it does not lie in
// memory while nothing happens. A report that can't be made or sent is a line in the log, and counts as fired: the
// cooldown keeps that from being a line for each batch.
#include "server/domain/logs/error_webhook.h"

#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/runtime/json.h"
#include "proto/runtime/log.h"
#include "server/domain/logs/error_window.h"
#include "server/domain/logs/record.h"
#include "server/state/delivery/page.h"
#include "server/state/delivery/secret.h"

#define NAME        "error_webhook"
#define NS_PER_S    INT64_C(1000000000)
#define SETTING_MAX (64u << 10) // bytes of the setting, unpacked
#define REPORT_MAX  (64u << 10) // bytes of a report, unpacked or as JSON
#define MESSAGE_MAX 4096        // bytes of an error message that are looked through
#define SEALED_MAX  1024
#define URL_MAX     1024
#define MATCH_MAX   255

// The setting as it was read last.
typedef struct config {
    bool is_enabled;
    uint64_t revision; // 0: there is none
    int32_t threshold, window_seconds, cooldown_seconds, status_code_threshold;
    char url[URL_MAX + 1];
    char match[MATCH_MAX + 1]; // lower case
    uint64_t secret_version;
    uint8_t sealed[SEALED_MAX];
    size_t sealed_len;
} config;

struct ez_error_webhook {
    ez_error_webhook_options options;
    config config;
    ez_error_window window;
    int64_t silent_until_s;
};

// ---- The setting

static void lower(char *out, const void *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        char c = ((const char *)text)[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
}

static int32_t or_default(bool is_set, int32_t value, int32_t otherwise) {
    return is_set ? value : otherwise;
}

// False where it does not fit: it was checked when it was set, so that is a fault, and nothing is sent.
static bool read_config(const Ez__V1__Setting *setting, config *out) {
    const Ez__V1__ErrorWebhook *webhook = setting->error_webhook;
    if (webhook == NULL || strlen(webhook->url) > URL_MAX || strlen(webhook->match_error) > MATCH_MAX ||
        setting->sealed_secret.len > SEALED_MAX) {
        return false;
    }
    out->is_enabled = webhook->enabled && webhook->url[0] != '\0';
    out->threshold = or_default(webhook->opt_threshold_case != 0, webhook->threshold, 10);
    out->window_seconds = or_default(webhook->opt_window_seconds_case != 0, webhook->window_seconds, 60);
    out->cooldown_seconds = or_default(webhook->opt_cooldown_seconds_case != 0, webhook->cooldown_seconds, 300);
    out->status_code_threshold =
        or_default(webhook->opt_status_code_threshold_case != 0, webhook->status_code_threshold, 500);
    strcpy(out->url, webhook->url);
    lower(out->match, webhook->match_error, strlen(webhook->match_error) + 1);
    out->secret_version = setting->secret_version;
    out->sealed_len = setting->sealed_secret.len;
    if (out->sealed_len > 0) {
        memcpy(out->sealed, setting->sealed_secret.data, out->sealed_len);
    }
    return true;
}

static void take_setting(ez_error_webhook *webhook, const ez_entry *entry) {
    ez_arena arena;
    ez_arena_init(&arena, SETTING_MAX);
    const ProtobufCMessage *setting = ez_entry_unpack(entry, &arena);
    memset(&webhook->config, 0, sizeof webhook->config);
    if (setting == NULL || !read_config((const Ez__V1__Setting *)setting, &webhook->config)) {
        ez_log_error("the error webhook's setting can't be read: nothing is sent");
        webhook->config.is_enabled = false;
    }
    webhook->config.revision = ez_entry_revision(entry);
    webhook->silent_until_s = 0;
    ez_error_window_clear(&webhook->window, webhook->config.window_seconds);
    ez_arena_fini(&arena);
}

// Whether it is to count.
static bool refresh(ez_error_webhook *webhook) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(webhook->options.directory, EZ_INDEX_SETTING_NAME, ez_index_text(NAME));
    if (entry == NULL) {
        webhook->config.is_enabled = false;
        webhook->config.revision = 0;
    } else if (ez_entry_revision(entry) != webhook->config.revision) {
        take_setting(webhook, entry);
    }
    ez_directory_leave();
    return webhook->config.is_enabled;
}

// ---- Counting

static bool matches(const char *wanted, ez_slice message) {
    size_t wanted_len = strlen(wanted);
    if (wanted_len == 0) {
        return true;
    }
    char text[MESSAGE_MAX];
    size_t len = message.len < sizeof text ? message.len : sizeof text;
    lower(text, message.data, len);
    return memmem(text, len, wanted, wanted_len) != NULL;
}

static bool is_error(const config *setting, const ez_log_row *row) {
    return (row->status_code == 0 || row->status_code >= setting->status_code_threshold) &&
           matches(setting->match, row->error_message);
}

// ---- The report

static ez_status write_report(const ez_error_webhook *webhook, const ez_log_row *newest, uint64_t count, int64_t now_ns,
                              ez_buf *out, ez_error *error) {
    ez_arena arena;
    ez_arena_init(&arena, REPORT_MAX);
    Google__Protobuf__Timestamp fired = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    fired.seconds = now_ns / NS_PER_S;
    fired.nanos = (int32_t)(now_ns % NS_PER_S);
    ez_log_row sample = *newest;
    sample.body = (ez_slice){0};
    Ez__V1__ErrorReport report = EZ__V1__ERROR_REPORT__INIT;
    report.event = (char *)NAME;
    report.fired_at = &fired;
    report.server_id = (char *)webhook->options.server_id;
    report.count = (int64_t)count;
    report.window_seconds = webhook->config.window_seconds;
    report.threshold = webhook->config.threshold;
    report.sample = ez_record_from_row(&sample, false, &arena);
    bool ok = report.sample != NULL &&
              ez_json_write(ez_message_rule_find(&ez__v1__error_report__descriptor), &report.base, false, out) == EZ_OK;
    ez_arena_fini(&arena);
    return ok ? EZ_OK : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for a report");
}

static ez_status send_report(const ez_error_webhook *webhook, const ez_buf *body, ez_error *error) {
    const config *setting = &webhook->config;
    char secret[EZ_DELIVERY_SECRET_MAX + 1];
    ez_slice sealed = {setting->sealed, setting->sealed_len};
    ez_status status = ez_delivery_unseal(webhook->options.sealer, EZ_ERROR_WEBHOOK_PLACE, setting->secret_version,
                                          sealed, secret, error);
    if (status == EZ_OK) {
        ez_delivery_message message = {.kind = EZ_DELIVERY_KIND_ERROR_WEBHOOK,
                                       .url = setting->url,
                                       .content_type = "application/json",
                                       .body = body->data,
                                       .body_len = body->len,
                                       .secret = secret};
        status = ez_delivery_send(webhook->options.deliverer, &message, NULL, error);
    }
    ez_wipe(secret, sizeof secret);
    return status;
}

static void fire(ez_error_webhook *webhook, const ez_log_row *sample, int64_t now_ns) {
    ez_error error = EZ_ERROR_INIT;
    ez_buf body;
    ez_buf_init(&body, REPORT_MAX);
    ez_status status = write_report(webhook, sample, webhook->window.sum, now_ns, &body, &error);
    status = status != EZ_OK ? status : send_report(webhook, &body, &error);
    if (status != EZ_OK) {
        ez_log_error("the error webhook should have fired, but nothing was sent", "reason", error.reason, "error",
                     error.message);
    }
    ez_buf_fini(&body);
    webhook->silent_until_s = now_ns / NS_PER_S + webhook->config.cooldown_seconds;
    ez_error_window_clear(&webhook->window, webhook->config.window_seconds);
}

void ez_error_webhook_note(ez_error_webhook *webhook, const ez_log_row *rows, size_t count, int64_t now_ns) {
    if (!refresh(webhook)) {
        return;
    }
    const ez_log_row *newest = NULL;
    uint32_t errors = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_error(&webhook->config, &rows[i])) {
            errors++;
            newest = newest == NULL || rows[i].time_ns >= newest->time_ns ? &rows[i] : newest;
        }
    }
    if (errors == 0) {
        return;
    }
    int64_t now_s = now_ns / NS_PER_S;
    ez_error_window_add(&webhook->window, now_s, errors);
    if (webhook->silent_until_s > now_s + webhook->config.cooldown_seconds) { // the clock went back
        webhook->silent_until_s = now_s + webhook->config.cooldown_seconds;
    }
    if (webhook->window.sum >= (uint64_t)webhook->config.threshold && now_s >= webhook->silent_until_s) {
        fire(webhook, newest, now_ns);
    }
}

ez_status ez_error_webhook_create(const ez_error_webhook_options *options, ez_error_webhook **out, ez_error *error) {
    ez_error_webhook *webhook = calloc(1, sizeof *webhook);
    if (webhook == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the error webhook");
    }
    webhook->options = *options;
    ez_error_window_clear(&webhook->window, 1);
    *out = webhook;
    return EZ_OK;
}

void ez_error_webhook_destroy(ez_error_webhook *webhook) {
    free(webhook);
}
