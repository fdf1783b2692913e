// SPDX-License-Identifier: Apache-2.0
//
// What an admin is told. The fingerprint names key or provider, so that the same trouble is one alert however often and
// by however many servers it is seen.
#include <stdio.h>

#include "server/domain/oauth/inside.h"

#define FINGERPRINT_MAX 96

static void name_key(int64_t id, char out[FINGERPRINT_MAX]) {
    snprintf(out, FINGERPRINT_MAX, "token_refresh_failed|api_key|%lld", (long long)id);
}

static void name_provider(int provider, char out[FINGERPRINT_MAX]) {
    snprintf(out, FINGERPRINT_MAX, "token_refresh_failed|provider|%s", ez_oauth_providers[provider]->type);
}

// Whether there may be one about this key: what servers raised before this one started, nobody told.
static bool swap_raised(ez_oauth *oauth, int64_t id, bool is_raised) {
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    bool may_stand = !slot || !slot->is_clear;
    if (slot) {
        slot->is_raised = is_raised;
        slot->is_clear = !is_raised;
    }
    pthread_mutex_unlock(&oauth->lock);
    return may_stand;
}

static void tell(ez_oauth *oauth, int64_t id, int provider, bool is_critical, const char *title, const char *message) {
    const ez_oauth_options *options = &oauth->options;
    char fingerprint[FINGERPRINT_MAX];
    name_key(id, fingerprint);
    ez_oauth_trouble trouble = {.is_critical = is_critical,
                                .api_key_id = id,
                                .type = ez_oauth_providers[provider]->type,
                                .title = title,
                                .message = message,
                                .fingerprint = fingerprint};
    if (options->raise)
        options->raise(options->alerts_user, &trouble);
    (void)swap_raised(oauth, id, true);
}

void ez_oauth_raise_key(const ez_oauth_flight *flight, bool is_critical, const char *title, const char *message) {
    tell(flight->oauth, flight->id, flight->provider, is_critical, title, message);
}

void ez_oauth_raise_ended(ez_oauth *oauth, int64_t id, int provider) {
    tell(oauth, id, provider, true, "Login ended",
         "its refresh token is not tried any more, last_refresh_error says why: log in again and give this API key the "
         "new tokens");
}

void ez_oauth_clear_key(ez_oauth *oauth, int64_t id, int provider, bool is_certain) {
    const ez_oauth_options *options = &oauth->options;
    char fingerprint[FINGERPRINT_MAX];
    name_key(id, fingerprint);
    ez_oauth_trouble trouble = {.api_key_id = id,
                                .type = ez_oauth_providers[provider]->type,
                                .title = "",
                                .message = "",
                                .fingerprint = fingerprint};
    bool may_stand = swap_raised(oauth, id, false);
    if (options->clear && (may_stand || is_certain))
        options->clear(options->alerts_user, &trouble);
}

void ez_oauth_raise_provider(ez_oauth *oauth, int provider, const char *message) {
    char fingerprint[FINGERPRINT_MAX];
    name_provider(provider, fingerprint);
    ez_oauth_trouble trouble = {.is_critical = true,
                                .type = ez_oauth_providers[provider]->type,
                                .title = "OAuth client refused",
                                .message = message,
                                .fingerprint = fingerprint};
    if (!oauth->is_told[provider] && oauth->options.raise)
        oauth->options.raise(oauth->options.alerts_user, &trouble);
    oauth->is_told[provider] = true;
    oauth->is_clear[provider] = false;
}

void ez_oauth_clear_provider(ez_oauth *oauth, int provider) {
    char fingerprint[FINGERPRINT_MAX];
    name_provider(provider, fingerprint);
    ez_oauth_trouble trouble = {
        .type = ez_oauth_providers[provider]->type, .title = "", .message = "", .fingerprint = fingerprint};
    if (!oauth->is_clear[provider] && oauth->options.clear)
        oauth->options.clear(oauth->options.alerts_user, &trouble);
    oauth->is_told[provider] = false;
    oauth->is_clear[provider] = true; // until then a server before this one may have raised it
}
