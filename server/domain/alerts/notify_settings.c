// SPDX-License-Identifier: Apache-2.0
//
// The channels as admins set them. URLs and secrets come in with a request and go sealed into the setting; shown_url
// and has_secret are all that is given back, so what a client read it may send again: a channel that gives no URL or
// secret keeps those of its name and kind.
//
// The awkward case is the same secret given again, as a client does that sets everything each time: it is opened and
// compared, so that nothing changes where nothing changed.
#include <stdio.h>
#include <string.h>

#include "ez/v1/alert_notification.pb-c.h"
#include "proto/runtime/message.h"
#include "server/domain/alerts/notify_inside.h"
#include "server/state/delivery/page.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/setting.h"
#include "server/state/directory/stamp.h"

#define WEBHOOK      EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_WEBHOOK
#define ALERTMANAGER EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_ALERTMANAGER
#define FIELD_MAX    96 // of a path in a violation

typedef Ez__V1__NotificationChannel channel;
typedef Ez__V1__SealedChannel sealed_channel;

// What a change is made with.
typedef struct edit {
    const ez_alert_notifier *self;
    ez_arena *arena;
    Ez__V1__Setting *setting; // as it was; secret_version goes up here
    ez_error *error;
} edit;

static const ez_message_rule *rule(void) {
    return ez_message_rule_find(&ez__v1__notification_settings__descriptor);
}

// ---- Reading

// As they are shown, with their defaults where they were never set.
static ez_status reply(ez_call *call, const Ez__V1__Setting *setting) {
    Ez__V1__NotificationSettings shown = EZ__V1__NOTIFICATION_SETTINGS__INIT;
    if (setting->alert_notifications)
        shown = *setting->alert_notifications;
    if (ez_message_defaults(rule(), &shown.base, &call->arena) != EZ_OK)
        return ez_no_memory(&call->error);
    shown.updated_at = setting->updated_at;
    shown.revision = setting->revision;
    return ez_call_reply(call, &shown.base);
}

ez_status ez_handle_alert_notifications_get(ez_alert_notifier *self, ez_call *call,
                                            Ez__V1__GetAlertNotificationsRequest *request) {
    (void)request;
    Ez__V1__Setting *setting;
    ez_status status =
        ez_setting_read(self->options.directory, EZ_NOTIFY_SETTING, &call->arena, &setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}

ez_status ez_handle_alert_notifications_list_deliveries(ez_alert_notifier *self, ez_call *call, ez_reader *reader,
                                                        Ez__V1__ListAlertDeliveriesRequest *request) {
    (void)self;
    ez_delivery_page page;
    ez_delivery_ask ask = {.kind_prefix = EZ_DELIVERY_KINDS_ALERT,
                           .page_size = request->page_size,
                           .page_token = request->page_token,
                           .channel = request->channel,
                           .status = request->status,
                           .since_ns = request->since ? ez_stamp_ns(request->since) : 0};
    ez_status status = ez_delivery_read_page(call, reader, &ask, &page);
    if (status != EZ_OK)
        return status;
    Ez__V1__ListAlertDeliveriesResponse response = EZ__V1__LIST_ALERT_DELIVERIES_RESPONSE__INIT;
    response.n_items = page.count;
    response.items = page.items;
    response.next_page_token = page.next_page_token;
    return ez_call_reply(call, &response.base);
}

// ---- Changing one channel

static void put_path(size_t at, const char *field, char out[FIELD_MAX]) {
    snprintf(out, FIELD_MAX, "notifications.channels[%zu].%s", at, field);
}

static ez_status refuse(const edit *e, size_t at, const char *field, const char *what) {
    char path[FIELD_MAX];
    put_path(at, field, path);
    return ez_error_violation(e->error, path, "%s", what);
}

// The one of this name and kind as it was; NULL: none.
static const sealed_channel *find_before(const edit *e, const channel *wanted) {
    const Ez__V1__NotificationSettings *before = e->setting->alert_notifications;
    for (size_t i = 0; before && i < before->n_channels && i < e->setting->n_alert_channels; i++)
        if (before->channels[i]->kind == wanted->kind && strcmp(before->channels[i]->name, wanted->name) == 0)
            return e->setting->alert_channels[i];
    return NULL;
}

static bool is_same(const edit *e, const char *place, uint64_t version, ProtobufCBinaryData sealed, const char *given) {
    char held[EZ_DELIVERY_SECRET_MAX + 1];
    bool same = sealed.len > 0 &&
                ez_delivery_unseal(e->self->options.sealer, place, version, (ez_slice){sealed.data, sealed.len}, held,
                                   NULL) == EZ_OK &&
                strcmp(held, given) == 0;
    ez_wipe(held, sizeof held);
    return same;
}

// Seals what is given, unless it is what is there.
static ez_status put_secret(const edit *e, const char *name, const char *what, const char *given,
                            ProtobufCBinaryData *sealed, uint64_t *version) {
    char place[EZ_DELIVERY_PLACE_MAX];
    ez_notify_place(name, what, place);
    if (!given[0] || is_same(e, place, *version, *sealed, given))
        return EZ_OK;
    ez_buf out;
    ez_buf_init(&out, EZ_NOTIFY_SEALED_MAX);
    *version = ++e->setting->secret_version;
    ez_status status = ez_delivery_seal(e->self->options.sealer, place, *version, given, &out, e->error);
    if (status == EZ_OK) {
        sealed->data = ez_arena_memdup(e->arena, out.data, out.len);
        sealed->len = out.len;
        status = sealed->data ? EZ_OK : ez_no_memory(e->error);
    }
    ez_buf_fini(&out);
    return status;
}

// What is shown of a URL: scheme and host. A path or a query is a credential at more receivers than Slack.
static ez_status show_url(const edit *e, channel *wanted) {
    char shown[EZ_OUTBOUND_URL_MAX];
    ez_outbound_show_url(wanted->url, shown, sizeof shown);
    wanted->shown_url = ez_arena_strdup(e->arena, shown);
    return wanted->shown_url ? EZ_OK : ez_no_memory(e->error);
}

static const char *shown_before(const edit *e, const sealed_channel *before) {
    const Ez__V1__NotificationSettings *settings = e->setting->alert_notifications;
    for (size_t i = 0; before && i < e->setting->n_alert_channels; i++)
        if (e->setting->alert_channels[i] == before)
            return settings->channels[i]->shown_url;
    return "";
}

// The path is put behind the base, and would be there twice.
static bool ends_in_post_path(const char *url) {
    size_t len = strlen(url), end = sizeof EZ_NOTIFY_POST_PATH - 1;
    while (len > 0 && url[len - 1] == '/')
        len--;
    return len >= end && strncmp(url + len - end, EZ_NOTIFY_POST_PATH, end) == 0;
}

static ez_status check_text(const edit *e, size_t at, const channel *wanted, const char *url) {
    if (wanted->kind == ALERTMANAGER && strchr(url, '?'))
        return refuse(e, at, "url", "has no query: it is the base of an Alertmanager");
    if (wanted->kind == ALERTMANAGER && ends_in_post_path(url))
        return refuse(e, at, "url", "is the base of an Alertmanager: leave out " EZ_NOTIFY_POST_PATH);
    ez_error why = EZ_ERROR_INIT;
    if (ez_outbound_check_url(e->self->options.allow, url, &why) == EZ_OK)
        return EZ_OK;
    char path[FIELD_MAX];
    put_path(at, "url", path);
    return ez_error_violation_of(e->error, path, &why);
}

// A URL that is not allowed any more must not keep an admin from changing something else: it is looked at where it is
// given, or enabled.
static ez_status check_url(const edit *e, size_t at, const channel *wanted, const sealed_channel *kept) {
    char url[EZ_DELIVERY_SECRET_MAX + 1];
    if (!kept->url.len)
        return refuse(e, at, "url", "is required: no channel of this name and kind has one");
    if (!wanted->url[0] && !wanted->enabled)
        return EZ_OK;
    ez_notify_sealed sealed = {.version = kept->url_version, .len = kept->url.len};
    memcpy(sealed.data, kept->url.data, kept->url.len);
    ez_status status = ez_notify_open(e->self->options.sealer, wanted->name, "url", &sealed, url, e->error);
    status = status == EZ_OK ? check_text(e, at, wanted, url) : status;
    ez_wipe(url, sizeof url);
    return status;
}

static ez_status check_channel(const edit *e, size_t at, const channel *wanted) {
    if (!wanted->name[0])
        return refuse(e, at, "name", "is required");
    if (wanted->kind == EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_UNSPECIFIED)
        return refuse(e, at, "kind", "is required: webhook, slack or alertmanager");
    if (wanted->secret[0] && wanted->kind != WEBHOOK)
        return refuse(e, at, "secret", "is for webhooks: nothing else is signed");
    return EZ_OK;
}

static ez_status put_channel(const edit *e, size_t at, channel *wanted, sealed_channel *kept) {
    const sealed_channel *before = find_before(e, wanted);
    sealed_channel empty = EZ__V1__SEALED_CHANNEL__INIT;
    *kept = before ? *before : empty;
    kept->name = wanted->name;
    wanted->shown_url = (char *)shown_before(e, before);
    ez_status status = wanted->url[0] ? show_url(e, wanted) : EZ_OK;
    if (status == EZ_OK)
        status = put_secret(e, wanted->name, "url", wanted->url, &kept->url, &kept->url_version);
    if (status == EZ_OK)
        status = put_secret(e, wanted->name, "secret", wanted->secret, &kept->secret, &kept->secret_version);
    if (status == EZ_OK)
        status = check_url(e, at, wanted, kept);
    wanted->has_secret = kept->secret.len > 0;
    if (status == EZ_OK && wanted->kind == WEBHOOK && wanted->enabled && !wanted->has_secret)
        return refuse(e, at, "secret", "is required where a webhook is enabled: 16 bytes or more");
    wanted->url = (char *)"";
    wanted->secret = (char *)"";
    return status;
}

// ---- Changing all of them

static ez_status check_names(const edit *e, size_t count, channel *const *channels) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(channels[i]->name, channels[j]->name) == 0)
                return refuse(e, i, "name", "is another channel's already");
    return EZ_OK;
}

// Copies, since the handler may be run again with the same request.
static ez_status copy_channels(const edit *e, Ez__V1__NotificationSettings *settings) {
    size_t count = settings->n_channels;
    channel **made = ez_arena_alloc(e->arena, (count + 1) * sizeof(channel *));
    channel *items = ez_arena_alloc(e->arena, (count + 1) * sizeof *items);
    if (!made || !items)
        return ez_no_memory(e->error);
    for (size_t i = 0; i < count; i++) {
        items[i] = *settings->channels[i];
        made[i] = &items[i];
        if (ez_message_defaults(ez_message_rule_find(&ez__v1__notification_channel__descriptor), &items[i].base,
                                e->arena) != EZ_OK)
            return ez_no_memory(e->error);
    }
    settings->channels = made;
    return EZ_OK;
}

// The channels given, in place of those that are there.
static ez_status put_channels(const edit *e, Ez__V1__NotificationSettings *settings) {
    size_t count = settings->n_channels;
    sealed_channel **kept = ez_arena_alloc(e->arena, (count + 1) * sizeof(sealed_channel *));
    sealed_channel *items = ez_arena_alloc(e->arena, (count + 1) * sizeof *items);
    if (!kept || !items)
        return ez_no_memory(e->error);
    ez_status status = check_names(e, count, settings->channels);
    status = status == EZ_OK ? copy_channels(e, settings) : status;
    for (size_t i = 0; status == EZ_OK && i < count; i++) {
        kept[i] = &items[i];
        status = check_channel(e, i, settings->channels[i]);
        status = status == EZ_OK ? put_channel(e, i, settings->channels[i], kept[i]) : status;
    }
    if (status != EZ_OK)
        return status;
    e->setting->alert_channels = kept;
    e->setting->n_alert_channels = count;
    return EZ_OK;
}

static bool has(const Ez__V1__UpdateAlertNotificationsRequest *request, const char *field) {
    return ez_message_mask_has(rule(), &request->notifications->base, request->n_update_mask, request->update_mask,
                               field);
}

static ez_status change(const edit *e, Ez__V1__NotificationSettings *settings,
                        const Ez__V1__UpdateAlertNotificationsRequest *request) {
    ez_status status = ez_message_merge(rule(), &settings->base, &request->notifications->base, request->n_update_mask,
                                        request->update_mask, e->error);
    if (status == EZ_OK && ez_message_defaults(rule(), &settings->base, e->arena) != EZ_OK)
        status = ez_no_memory(e->error);
    return status == EZ_OK && has(request, "channels") ? put_channels(e, settings) : status;
}

ez_status ez_handle_alert_notifications_update(ez_alert_notifier *self, ez_call *call, ez_txn *txn,
                                               Ez__V1__UpdateAlertNotificationsRequest *request) {
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, EZ_NOTIFY_SETTING, &setting, &call->error);
    if (status != EZ_OK)
        return status;
    edit e = {.self = self, .arena = &call->arena, .setting = setting, .error = &call->error};
    Ez__V1__NotificationSettings settings = EZ__V1__NOTIFICATION_SETTINGS__INIT;
    if (setting->alert_notifications)
        settings = *setting->alert_notifications;
    status = change(&e, &settings, request);
    if (status != EZ_OK)
        return status;
    setting->alert_notifications = &settings;
    status = ez_setting_put(txn, setting, &call->error);
    return status == EZ_OK ? reply(call, setting) : status;
}
