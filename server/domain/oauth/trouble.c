// SPDX-License-Identifier: Apache-2.0
//
// What an admin is told. The fingerprint names key or provider, so that the same trouble is one alert however often and
// by however many servers it is seen.
//
// Told is by a queue, in order, so that an end never overtakes its beginning: what is not taken now is told later. It
// has a bound; whoever finds many troubles at once, as where a thousand logins have ended, goes on when there is room.
#include <stdio.h>
#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"

#define FINGERPRINT_MAX 96
#define ROOM            1000 // that wait: then those who can go on later do so
#define NEWS_MAX        8192 // and at most

struct ez_oauth_news {
    ez_oauth_news *next;
    bool is_over;
    ez_oauth_trouble trouble;
    char message[EZ_OAUTH_WHY_MAX], fingerprint[FINGERPRINT_MAX]; // its texts
};

// ---- The queue

static bool lose_news(ez_oauth *oauth, const ez_oauth_trouble *trouble) {
    if (!oauth->has_lost_news)
        ez_log_warn("alerts of token refresh are given up: too many wait to be taken", "api_key",
                    EZ_LOG_INT(trouble->api_key_id));
    oauth->has_lost_news = true;
    return false;
}

// The title is a constant; the other texts are copied. False where there is no room.
static bool put_news(ez_oauth *oauth, const ez_oauth_trouble *trouble, bool is_over) {
    if (is_over ? !oauth->options.clear : !oauth->options.raise)
        return true;
    ez_oauth_news *news = oauth->news_count < NEWS_MAX ? calloc(1, sizeof *news) : NULL;
    if (!news)
        return lose_news(oauth, trouble);
    news->is_over = is_over;
    news->trouble = *trouble;
    snprintf(news->message, sizeof news->message, "%s", trouble->message);
    snprintf(news->fingerprint, sizeof news->fingerprint, "%s", trouble->fingerprint);
    news->trouble.message = news->message;
    news->trouble.fingerprint = news->fingerprint;
    if (oauth->last_news)
        oauth->last_news->next = news;
    else
        oauth->news = news;
    oauth->last_news = news;
    oauth->news_count++;
    return true;
}

static void drop_first(ez_oauth *oauth) {
    ez_oauth_news *first = oauth->news;
    oauth->news = first->next;
    if (!oauth->news)
        oauth->last_news = NULL;
    oauth->news_count--;
    free(first);
}

// What is first and of one kind.
static bool tell_some(ez_oauth *oauth) {
    const ez_oauth_options *options = &oauth->options;
    ez_oauth_trouble list[EZ_OAUTH_TOLD_AT_ONCE];
    bool is_over = oauth->news->is_over;
    size_t count = 0;
    for (const ez_oauth_news *it = oauth->news; it && it->is_over == is_over && count < EZ_OAUTH_TOLD_AT_ONCE;
         it = it->next)
        list[count++] = it->trouble;
    bool is_taken = (is_over ? options->clear : options->raise)(options->alerts_user, list, count);
    while (is_taken && count-- > 0)
        drop_first(oauth);
    return is_taken;
}

void ez_oauth_tell(ez_oauth *oauth) {
    while (oauth->news && tell_some(oauth)) {
    }
    if (!oauth->news)
        oauth->has_lost_news = false;
}

bool ez_oauth_may_tell(const ez_oauth *oauth) {
    return oauth->news_count < ROOM;
}

void ez_oauth_forget_news(ez_oauth *oauth) {
    if (oauth->news)
        ez_log_warn("what was seen last of token refresh did not become alerts", "count",
                    EZ_LOG_INT((long long)oauth->news_count));
    while (oauth->news)
        drop_first(oauth);
}

// ---- Of a key

static ez_oauth_trouble about_key(int64_t id, int provider, char fingerprint[FINGERPRINT_MAX]) {
    snprintf(fingerprint, FINGERPRINT_MAX, "token_refresh_failed|api_key|%lld", (long long)id);
    return (ez_oauth_trouble){.api_key_id = id,
                              .type = ez_oauth_providers[provider]->type,
                              .title = "",
                              .message = "",
                              .fingerprint = fingerprint};
}

// One that is not known may have been told of: nobody said what servers raised before this one started.
static ez_oauth_slot slot_of(ez_oauth *oauth, int64_t id) {
    pthread_mutex_lock(&oauth->lock);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    const ez_oauth_slot as_it_is = slot ? *slot : (ez_oauth_slot){.id = id, .is_raised = true};
    pthread_mutex_unlock(&oauth->lock);
    return as_it_is;
}

static void note_raised(ez_oauth *oauth, int64_t id) {
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    if (slot) {
        slot->is_raised = true;
        slot->is_clear = false;
    }
    pthread_mutex_unlock(&oauth->lock);
}

// What was reported after noted_ns stands.
static void note_cleared(ez_oauth *oauth, int64_t id, int64_t noted_ns) {
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    if (slot) {
        slot->is_raised = false;
        slot->is_clear = slot->noted_ns <= noted_ns;
        slot->noted_ns = slot->is_clear ? 0 : slot->noted_ns;
    }
    pthread_mutex_unlock(&oauth->lock);
}

// Nothing about a key that is gone, which nobody would end. One that has no room and says that a login has ended is
// told when those who begin to scan tell of all.
static bool tell(ez_oauth *oauth, int64_t id, int provider, bool is_critical, const char *title, const char *message) {
    char fingerprint[FINGERPRINT_MAX];
    ez_oauth_trouble trouble = about_key(id, provider, fingerprint);
    trouble.is_critical = is_critical;
    trouble.title = title;
    trouble.message = message;
    if (ez_oauth_is_gone(oauth, id))
        return true;
    bool is_put = put_news(oauth, &trouble, false);
    if (is_put)
        note_raised(oauth, id);
    else
        oauth->tell_after = 0;
    return is_put;
}

void ez_oauth_raise_key(const ez_oauth_flight *flight, bool is_critical, const char *title, const char *message) {
    (void)tell(flight->oauth, flight->id, flight->provider, is_critical, title, message);
}

bool ez_oauth_raise_ended(ez_oauth *oauth, int64_t id, int provider) {
    return tell(
        oauth, id, provider, true, EZ_OAUTH_TITLE_ENDED,
        "its refresh token is not tried any more, last_refresh_error says why: log in again and give this API key the "
        "new tokens");
}

// Who died between the commit of an end and its alert told nobody, so whoever begins to scan tells it again: an alert
// of the same trouble is one. Where there are many, as many as there is room for; it goes on from there.
void ez_oauth_tell_ended(ez_oauth *oauth) {
    while (oauth->tell_after != EZ_OAUTH_ALL_TOLD && ez_oauth_may_tell(oauth)) {
        pthread_mutex_lock(&oauth->lock);
        const ez_oauth_slot *slot = ez_idmap_after(&oauth->schedule.by_id, oauth->tell_after);
        while (slot && (!slot->is_ended || slot->is_raised || slot->is_flying))
            slot = ez_idmap_after(&oauth->schedule.by_id, slot->id);
        int64_t id = slot ? slot->id : EZ_OAUTH_ALL_TOLD;
        int provider = slot ? slot->provider : 0;
        pthread_mutex_unlock(&oauth->lock);
        oauth->tell_after = id;
        if (id != EZ_OAUTH_ALL_TOLD && !ez_oauth_raise_ended(oauth, id, provider))
            return; // from the beginning, later
    }
}

// Where there is no room it is not noted, so that the next success tries again.
void ez_oauth_clear_key(ez_oauth *oauth, int64_t id, int provider, bool is_certain) {
    char fingerprint[FINGERPRINT_MAX];
    ez_oauth_trouble trouble = about_key(id, provider, fingerprint);
    const ez_oauth_slot before = slot_of(oauth, id);
    trouble.seen_before_ns = before.is_raised ? 0 : ez_clock_wall_ns(); // ours may be on its way
    if ((before.is_clear && !is_certain) || put_news(oauth, &trouble, true))
        note_cleared(oauth, id, before.noted_ns);
}

void ez_oauth_clear_stand(ez_oauth *oauth, int64_t id, int provider, int64_t seen_ns) {
    char fingerprint[FINGERPRINT_MAX];
    ez_oauth_trouble trouble = about_key(id, provider, fingerprint);
    trouble.seen_before_ns = seen_ns + 1;
    if (put_news(oauth, &trouble, true))
        note_cleared(oauth, id, seen_ns);
}

// ---- Of a provider

static ez_oauth_trouble about_provider(int provider, char fingerprint[FINGERPRINT_MAX]) {
    const char *type = ez_oauth_providers[provider]->type;
    snprintf(fingerprint, FINGERPRINT_MAX, "token_refresh_failed|provider|%s", type);
    return (ez_oauth_trouble){.type = type, .title = "", .message = "", .fingerprint = fingerprint};
}

void ez_oauth_raise_provider(ez_oauth *oauth, int provider, const char *message) {
    char fingerprint[FINGERPRINT_MAX];
    ez_oauth_trouble trouble = about_provider(provider, fingerprint);
    trouble.is_critical = true;
    trouble.title = "OAuth client refused";
    trouble.message = message;
    if (!oauth->is_told[provider])
        oauth->is_told[provider] = put_news(oauth, &trouble, false);
    oauth->is_clear[provider] = false;
}

void ez_oauth_clear_provider(ez_oauth *oauth, int provider) {
    char fingerprint[FINGERPRINT_MAX];
    ez_oauth_trouble trouble = about_provider(provider, fingerprint);
    if (!oauth->is_clear[provider]) // until then a server before this one may have raised it
        oauth->is_clear[provider] = put_news(oauth, &trouble, true);
    oauth->is_told[provider] = false;
}
