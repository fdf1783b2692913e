// SPDX-License-Identifier: Apache-2.0
//
// Alerts that stand. Who knew of one may be gone: the server that raised it was killed, or saw nothing of the key's
// end. So whoever scans reads those that are open, when it begins and each ten minutes: from then on it knows of each,
// and those whose key is gone, or was refreshed after the last report, end at once.
//
// Threads: one look at most is under way; its items are the reader's until it has handed them back.
#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"

#define EVERY_MS 600000
#define AGAIN_MS 5000          // after one that failed
#define NOTED_NS 10000000000ll // for so long a key that an alert is about may not be known yet

// ---- What is noted

// Within the lock. False where the key is not known.
static bool note(ez_oauth *oauth, int64_t id, int64_t seen_ns) {
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    if (slot) {
        slot->noted_ns = seen_ns;
        slot->is_clear = false;
    }
    return slot != NULL;
}

// A key that was just made, maybe at another server, is known once the feed was followed.
void ez_oauth_note_alert(ez_oauth *oauth, int64_t api_key_id, int64_t seen_ns) {
    pthread_mutex_lock(&oauth->lock);
    if (!note(oauth, api_key_id, seen_ns) && oauth->noted_count < EZ_OAUTH_NOTED_MAX)
        oauth->noted[oauth->noted_count++] = (ez_oauth_stand){.api_key_id = api_key_id, .seen_ns = seen_ns};
    pthread_mutex_unlock(&oauth->lock);
}

// ---- On a reader's thread

static ez_status take_alert(void *user, int64_t api_key_id, int64_t seen_ns, ez_error *error) {
    (void)error;
    ez_oauth_look *look = user;
    if (look->count == EZ_OAUTH_ALERTS_MAX)
        return EZ_OK;
    look->items[look->count++] = (ez_oauth_stand){.api_key_id = api_key_id, .seen_ns = seen_ns};
    return EZ_OK;
}

static void read_alerts(ez_query *query, ez_reader *reader) {
    ez_oauth_look *look = (ez_oauth_look *)(void *)query;
    ez_oauth *oauth = look->oauth;
    ez_error error = EZ_ERROR_INIT;
    look->status = oauth->options.each_alert(oauth->options.alerts_user, reader, take_alert, look, &error);
    if (look->status != EZ_OK)
        ez_log_warn("open alerts of token refresh could not be read; trying again", "message", error.message);
    pthread_mutex_lock(&oauth->lock);
    oauth->has_looked = true;
    pthread_cond_broadcast(&oauth->wake);
    pthread_mutex_unlock(&oauth->lock);
}

// ---- On the object's

void ez_oauth_forget_look(ez_oauth *oauth) {
    if (oauth->look)
        free(oauth->look->items);
    free(oauth->look);
    oauth->look = NULL;
}

static void begin(ez_oauth *oauth) {
    ez_error error = EZ_ERROR_INIT;
    oauth->look_at_ms = ez_clock_mono_ms() + AGAIN_MS;
    oauth->looked_at = 0;
    oauth->has_looked = false; // nobody else has the look
    if (!(oauth->look = calloc(1, sizeof *oauth->look)))
        return;
    oauth->look->oauth = oauth;
    oauth->look->query.run = read_alerts;
    oauth->look->items = calloc(EZ_OAUTH_ALERTS_MAX, sizeof *oauth->look->items);
    if (!oauth->look->items || ez_store_submit(oauth->options.store, &oauth->look->query, &error) != EZ_OK)
        ez_oauth_forget_look(oauth);
}

// Whether the key's tokens were refreshed after that, and nothing has failed since.
static bool was_refreshed_after(const ez_oauth *oauth, int64_t id, int64_t seen_ns) {
    ez_oauth_facts facts = ez_oauth_facts_of(oauth, id);
    return facts.last_refresh_ns > seen_ns && !facts.ended_ns && !facts.has_error;
}

static void look_at(ez_oauth *oauth, int64_t id, int64_t seen_ns) {
    pthread_mutex_lock(&oauth->lock);
    (void)note(oauth, id, seen_ns);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    int provider = slot ? slot->provider : 0;
    bool is_quiet = !slot || (slot->fails == 0 && !slot->is_flying);
    pthread_mutex_unlock(&oauth->lock);
    if (ez_oauth_is_gone(oauth, id) || (is_quiet && was_refreshed_after(oauth, id, seen_ns)))
        ez_oauth_clear_key(oauth, id, provider, true);
}

// One that was noted before its key was known here. Its refresh, too, may be known by now.
static bool take_noted(ez_oauth *oauth, ez_oauth_stand *out) {
    int64_t since_ns = ez_clock_wall_ns() - NOTED_NS;
    bool has = false;
    pthread_mutex_lock(&oauth->lock);
    for (size_t i = 0; !has && i < oauth->noted_count; i++) {
        *out = oauth->noted[i];
        has = ez_oauth_schedule_get(&oauth->schedule, out->api_key_id) || out->seen_ns < since_ns;
        if (has)
            oauth->noted[i] = oauth->noted[--oauth->noted_count];
    }
    pthread_mutex_unlock(&oauth->lock);
    return has;
}

static void look_at_noted(ez_oauth *oauth) {
    ez_oauth_stand noted;
    while (ez_oauth_may_tell(oauth) && take_noted(oauth, &noted))
        look_at(oauth, noted.api_key_id, noted.seen_ns);
}

void ez_oauth_look_at_alerts(ez_oauth *oauth) {
    look_at_noted(oauth);
    pthread_mutex_lock(&oauth->lock);
    bool has_looked = oauth->has_looked;
    pthread_mutex_unlock(&oauth->lock);
    if (!oauth->look) {
        if (oauth->scans && oauth->options.each_alert && ez_clock_mono_ms() >= oauth->look_at_ms)
            begin(oauth);
        return;
    }
    const ez_oauth_look *look = oauth->look;
    if (!has_looked)
        return;
    for (; oauth->looked_at < look->count && ez_oauth_may_tell(oauth); oauth->looked_at++)
        look_at(oauth, look->items[oauth->looked_at].api_key_id, look->items[oauth->looked_at].seen_ns);
    if (oauth->looked_at < look->count)
        return;
    oauth->look_at_ms = ez_clock_mono_ms() + (look->status == EZ_OK ? EVERY_MS : AGAIN_MS);
    ez_oauth_forget_look(oauth);
}
