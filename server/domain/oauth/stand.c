// SPDX-License-Identifier: Apache-2.0
//
// Alerts that stand. Who knew of one may be gone: the server that raised it was killed, or saw nothing of the key's
// end. So whoever scans reads those that are open, when it begins and each ten minutes: from then on it knows of each,
// and those that are over, which it may have seen nobody say, end at once.
//
// Threads: one look at most is under way; its items are the reader's until it has handed them back.
#include <stdlib.h>
#include <string.h>

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
        slot->noted_ns = slot->noted_ns > seen_ns ? slot->noted_ns : seen_ns;
        slot->is_clear = false;
    }
    return slot != NULL;
}

// Within the lock. Once for each key.
static void note_for_later(ez_oauth *oauth, int64_t id, int64_t seen_ns) {
    size_t at = 0;
    while (at < oauth->noted_count && oauth->noted[at].api_key_id != id)
        at++;
    if (at == EZ_OAUTH_NOTED_MAX)
        return;
    oauth->noted[at] = (ez_oauth_stand){.api_key_id = id, .seen_ns = seen_ns};
    oauth->noted_count += at == oauth->noted_count;
}

// A key that was just made, maybe at another server, is known once the feed was followed.
void ez_oauth_note_alert(ez_oauth *oauth, int64_t api_key_id, int64_t seen_ns) {
    pthread_mutex_lock(&oauth->lock);
    if (!note(oauth, api_key_id, seen_ns))
        note_for_later(oauth, api_key_id, seen_ns);
    pthread_mutex_unlock(&oauth->lock);
}

// ---- On a reader's thread

static ez_status take_alert(void *user, int64_t api_key_id, const char *title, int64_t seen_ns, ez_error *error) {
    (void)error;
    ez_oauth_look *look = user;
    bool says_ended = strcmp(title, EZ_OAUTH_TITLE_ENDED) == 0 || strcmp(title, EZ_OAUTH_TITLE_LOST) == 0;
    if (look->count < EZ_OAUTH_ALERTS_MAX)
        look->items[look->count++] =
            (ez_oauth_stand){.api_key_id = api_key_id, .seen_ns = seen_ns, .says_ended = says_ended};
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
    pthread_mutex_lock(&oauth->lock);
    oauth->has_looked = false;
    pthread_mutex_unlock(&oauth->lock);
    if (!(oauth->look = calloc(1, sizeof *oauth->look)))
        return;
    oauth->look->oauth = oauth;
    oauth->look->query.run = read_alerts;
    oauth->look->items = calloc(EZ_OAUTH_ALERTS_MAX, sizeof *oauth->look->items);
    if (!oauth->look->items || ez_store_submit(oauth->options.store, &oauth->look->query, &error) != EZ_OK)
        ez_oauth_forget_look(oauth);
}

// A key that has no tokens may never have had any; what somebody says of it is theirs to end, unless it changed since.
static bool is_over(const ez_oauth_stand *stand, const ez_oauth_facts *facts, bool is_quiet) {
    if (!facts->group_id)
        return true;
    if (!facts->has_access && !facts->has_refresh)
        return facts->updated_ns > stand->seen_ns;
    if (!is_quiet || facts->ended_ns || facts->has_error)
        return false;
    return facts->last_refresh_ns > stand->seen_ns || (stand->says_ended && facts->updated_ns > stand->seen_ns);
}

static void look_at(ez_oauth *oauth, const ez_oauth_stand *stand) {
    int64_t id = stand->api_key_id;
    ez_oauth_facts facts = ez_oauth_facts_of(oauth, id);
    pthread_mutex_lock(&oauth->lock);
    bool is_known = note(oauth, id, stand->seen_ns);
    bool is_early = !is_known && stand->seen_ns > ez_clock_wall_ns() - NOTED_NS;
    if (is_early)
        note_for_later(oauth, id, stand->seen_ns);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    int provider = slot ? slot->provider : 0;
    bool is_quiet = !slot || (slot->fails == 0 && !slot->is_flying);
    pthread_mutex_unlock(&oauth->lock);
    if (!is_early && is_over(stand, &facts, is_quiet))
        ez_oauth_clear_stand(oauth, id, provider, stand->seen_ns);
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
        look_at(oauth, &noted);
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
        look_at(oauth, &look->items[oauth->looked_at]);
    if (oauth->looked_at < look->count)
        return;
    oauth->look_at_ms = ez_clock_mono_ms() + (look->status == EZ_OK ? EVERY_MS : AGAIN_MS);
    ez_oauth_forget_look(oauth);
}
