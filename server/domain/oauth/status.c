// SPDX-License-Identifier: Apache-2.0
//
// How refreshing goes: for GET /admin/token-refresh, for each API key's next turn, and for Prometheus.
#include <string.h>

#include "ez/handlers.h"
#include "proto/runtime/clock.h"
#include "server/domain/oauth/inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define CLASSES (EZ_OAUTH_CLASSES - 1) // those that are failures

int64_t ez_oauth_next_ns(void *self, int64_t api_key_id) {
    ez_oauth *oauth = self;
    int64_t due_ns = EZ_OAUTH_NEVER;
    pthread_mutex_lock(&oauth->lock);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, api_key_id);
    bool is_planned = slot && !slot->is_ended && !oauth->options.is_off;
    bool is_flying = is_planned && slot->is_flying;
    int provider = slot ? slot->provider : 0;
    if (is_planned)
        due_ns = slot->due_ns;
    pthread_mutex_unlock(&oauth->lock);
    if (is_flying)
        due_ns = ez_oauth_turn_ns(oauth, api_key_id, provider);
    if (due_ns == EZ_OAUTH_NEVER)
        return 0;
    return due_ns > 0 ? due_ns : ez_clock_wall_ns(); // at once
}

// One provider, as it was under the lock.
typedef struct seen {
    int64_t keys, due, running, refreshed, failed;
    int64_t failing[EZ_OAUTH_CLASSES];
    int64_t paused_until_ns; // 0: it does not pause
    int64_t first_ns;
    char why[EZ_OAUTH_WHY_MAX];
} seen;

// Within the lock.
static void look(const ez_oauth *oauth, int provider, int64_t now_ns, seen *out) {
    const ez_oauth_heap *heap = &oauth->schedule.heaps[provider];
    const ez_oauth_pace *pace = &oauth->paces[provider];
    const ez_oauth_slot *first = ez_oauth_schedule_first(&oauth->schedule, provider);
    uint64_t now_ms = ez_clock_mono_ms();
    *out = (seen){.keys = (int64_t)heap->count,
                  .due = (int64_t)ez_oauth_schedule_due(&oauth->schedule, provider, now_ns),
                  .running = pace->running,
                  .refreshed = oauth->refreshed[provider],
                  .paused_until_ns = pace->paused_until_ms > now_ms ? oauth->paused_until_ns[provider] : 0,
                  .first_ns = first && first->due_ns != EZ_OAUTH_NEVER ? first->due_ns : 0};
    for (int i = 1; i < EZ_OAUTH_CLASSES; i++)
        out->failed += oauth->failed[provider][i];
    memcpy(out->failing, heap->failing, sizeof out->failing);
    memcpy(out->why, oauth->why[provider], sizeof out->why);
}

typedef struct shown {
    Ez__V1__TokenRefreshProvider provider;
    Ez__V1__RefreshFailures failures[CLASSES], *list[CLASSES];
} shown;

static void show(const ez_oauth *oauth, int at, const seen *now, ez_arena *arena, shown *out) {
    Ez__V1__TokenRefreshProvider *provider = &out->provider;
    ez__v1__token_refresh_provider__init(provider);
    provider->type = (char *)(uintptr_t)ez_oauth_providers[at]->type;
    provider->configured = ez_oauth_source_is_set(&oauth->sources[at]);
    provider->keys = now->keys;
    provider->due = now->due;
    provider->running = now->running;
    provider->refreshed = now->refreshed;
    provider->failed = now->failed;
    ez_error unset = EZ_ERROR_INIT;
    if (!provider->configured)
        (void)ez_oauth_source_refuse(&oauth->sources[at], &unset);
    provider->last_error = ez_arena_strdup(arena, provider->configured ? now->why : unset.message);
    if (!provider->last_error)
        provider->last_error = (char *)(uintptr_t) "";
    provider->paused_until = now->paused_until_ns ? ez_stamp_make(now->paused_until_ns, arena) : NULL;
    provider->next_refresh_at = now->first_ns ? ez_stamp_make(now->first_ns, arena) : NULL;
    provider->failing = out->list;
    for (int i = 1; i < EZ_OAUTH_CLASSES; i++) {
        if (!now->failing[i])
            continue;
        Ez__V1__RefreshFailures *failures = &out->failures[provider->n_failing];
        ez__v1__refresh_failures__init(failures);
        failures->class_ = (char *)(uintptr_t)ez_oauth_class_word((ez_oauth_class)i);
        failures->keys = now->failing[i];
        out->list[provider->n_failing++] = failures;
    }
}

ez_status ez_handle_token_refresh_get(ez_oauth *self, ez_call *call, Ez__V1__GetTokenRefreshRequest *request) {
    (void)request;
    Ez__V1__TokenRefreshStatus reply = EZ__V1__TOKEN_REFRESH_STATUS__INIT;
    Ez__V1__TokenRefreshProvider *list[EZ_OAUTH_PROVIDERS];
    seen now[EZ_OAUTH_PROVIDERS];
    shown out[EZ_OAUTH_PROVIDERS];
    int64_t now_ns = ez_clock_wall_ns();
    uint64_t fence;
    pthread_mutex_lock(&self->lock);
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
        look(self, i, now_ns, &now[i]);
    reply.scan_us = self->scans_took.last_us;
    reply.waiting = (int64_t)self->waiting;
    pthread_mutex_unlock(&self->lock);
    reply.scans = !self->options.is_off && ez_holder_may(&self->options.holder, &fence);
    reply.providers = list;
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++) {
        show(self, i, &now[i], &call->arena, &out[i]);
        list[reply.n_providers++] = &out[i].provider;
    }
    return ez_call_reply(call, &reply.base);
}

// ---- Metrics

typedef struct number {
    const char *name, *type, *help;
    int64_t (*value)(const seen *now);
} number;

static int64_t keys_of(const seen *now) {
    return now->keys;
}

static int64_t due_of(const seen *now) {
    return now->due;
}

static int64_t running_of(const seen *now) {
    return now->running;
}

static int64_t refreshed_of(const seen *now) {
    return now->refreshed;
}

static int64_t paused_of(const seen *now) {
    return now->paused_until_ns > 0;
}

static const number numbers[] = {
    {"ezplane_token_refresh_keys", "gauge", "API keys with OAuth tokens.", keys_of},
    {"ezplane_token_refresh_due", "gauge", "Of them, those whose turn has come.", due_of},
    {"ezplane_token_refresh_running", "gauge", "Token refreshes under way.", running_of},
    {"ezplane_token_refresh_paused", "gauge", "1 while the provider is left alone after failures.", paused_of},
    {"ezplane_token_refresh_success_total", "counter", "Tokens that were refreshed.", refreshed_of},
};

static void write_failures(int64_t failed[EZ_OAUTH_PROVIDERS][EZ_OAUTH_CLASSES], ez_buf *out) {
    (void)ez_buf_puts(out, "# HELP ezplane_token_refresh_failures_total Token refreshes that failed.\n"
                           "# TYPE ezplane_token_refresh_failures_total counter\n");
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
        for (int class = 1; class < EZ_OAUTH_CLASSES; class ++)
            if (failed[i][class])
                (void)ez_buf_printf(out, "ezplane_token_refresh_failures_total{type=\"%s\",class=\"%s\"} %lld\n",
                                    ez_oauth_providers[i]->type, ez_oauth_class_word((ez_oauth_class) class),
                                    (long long)failed[i][class]);
}

static const int64_t bounds_us[EZ_OAUTH_TIME_BOUNDS] = {100, 500, 1000, 2500, 5000, 10000, 25000, 50000, 250000};

void ez_oauth_note_time(ez_oauth *oauth, ez_oauth_times *times, uint64_t took_us) {
    size_t at = 0;
    while (at < EZ_OAUTH_TIME_BOUNDS && (int64_t)took_us > bounds_us[at])
        at++;
    pthread_mutex_lock(&oauth->lock);
    times->within[at]++;
    times->sum_us += (int64_t)took_us;
    times->last_us = (int64_t)took_us;
    pthread_mutex_unlock(&oauth->lock);
}

static void write_times(const char *name, const char *help, const ez_oauth_times *times, ez_buf *out) {
    int64_t count = 0;
    (void)ez_buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (size_t i = 0; i < EZ_OAUTH_TIME_BOUNDS; i++) {
        count += times->within[i];
        (void)ez_buf_printf(out, "%s_bucket{le=\"%g\"} %lld\n", name, (double)bounds_us[i] / 1e6, (long long)count);
    }
    count += times->within[EZ_OAUTH_TIME_BOUNDS];
    (void)ez_buf_printf(out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.6f\n%s_count %lld\n", name, (long long)count, name,
                        (double)times->sum_us / 1e6, name, (long long)count);
}

void ez_oauth_write_metrics(ez_oauth *oauth, ez_buf *out) {
    if (!oauth)
        return;
    seen now[EZ_OAUTH_PROVIDERS];
    int64_t failed[EZ_OAUTH_PROVIDERS][EZ_OAUTH_CLASSES];
    pthread_mutex_lock(&oauth->lock);
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
        look(oauth, i, ez_clock_wall_ns(), &now[i]);
    memcpy(failed, oauth->failed, sizeof failed);
    ez_oauth_times scans = oauth->scans_took, begins = oauth->begins_took;
    pthread_mutex_unlock(&oauth->lock);
    for (size_t at = 0; at < sizeof numbers / sizeof numbers[0]; at++) {
        const number *one = &numbers[at];
        (void)ez_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", one->name, one->help, one->name, one->type);
        for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
            (void)ez_buf_printf(out, "%s{type=\"%s\"} %lld\n", one->name, ez_oauth_providers[i]->type,
                                (long long)one->value(&now[i]));
    }
    write_failures(failed, out);
    write_times("ezplane_token_refresh_scan_seconds", "Looks for what is due, what they begin not counted.", &scans,
                out);
    write_times("ezplane_token_refresh_begin_seconds", "From a turn to the call out: the store's part.", &begins, out);
}
