// SPDX-License-Identifier: Apache-2.0
//
// The schedule follows the feed with a cursor of its own, on the object's thread; at the start, and where the feed does
// not reach back any more, it is made anew from the directory.
//
// Awkward: a group whose type changes takes its keys along, so their turns are looked at again. Which groups are ours
// is remembered, so that an edit of a group of a million keys costs nothing otherwise. Where many alerts wait to be
// taken, so does the feed.
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/wire.h"
#include "server/domain/oauth/inside.h"

#define STEP 256 // keys looked at in one read section, or changes of one read of the feed

// ---- One key

// Within a read section. -1: none of ours.
static int provider_of(const ez_oauth *oauth, int64_t group_id) {
    return (int)(intptr_t)ez_idmap_get(&oauth->groups, group_id) - 1;
}

// What a change of a key means for its alert.
typedef enum news { NO_NEWS, HAS_ENDED, IS_MENDED } news;

ez_oauth_facts ez_oauth_facts_of(const ez_oauth *oauth, int64_t id) {
    ez_oauth_facts facts = {.group_id = 0};
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(oauth->options.directory, KIND_API_KEY, id);
    if (entry)
        facts = ez_oauth_read_facts(ez_entry_data(entry));
    ez_directory_leave();
    return facts;
}

static int64_t turn_of(const ez_oauth *oauth, const ez_oauth_facts *facts, int64_t id, int provider) {
    int64_t due_ns = ez_oauth_due_ns(facts, id, oauth->sources[provider].before_s);
    return facts->ended_ns ? due_ns
                           : ez_oauth_not_before_ns(facts, due_ns, oauth->options.interval_ms, ez_clock_wall_ns());
}

int64_t ez_oauth_turn_ns(const ez_oauth *oauth, int64_t id, int provider) {
    ez_oauth_facts facts = ez_oauth_facts_of(oauth, id);
    return facts.ended_ns ? EZ_OAUTH_NEVER : turn_of(oauth, &facts, id, provider);
}

static void plan_slot(ez_oauth *oauth, ez_oauth_slot *slot, const ez_oauth_facts *facts, uint64_t version) {
    if (slot->secret_version != version) {
        slot->secret_version = version;
        slot->is_told = false;
        if (slot->class)
            ez_oauth_schedule_note(&oauth->schedule, slot, EZ_OAUTH_REFRESHED);
    }
    slot->is_ended = facts->ended_ns != 0;
    slot->is_quiet = slot->is_ended || !facts->has_refresh;
    if (slot->is_flying || slot->is_told)
        return;
    int64_t due_ns = turn_of(oauth, facts, slot->id, slot->provider);
    if (slot->fails > 0 && !facts->ended_ns)
        due_ns = ez_oauth_retry_ns(slot->due_ns, oauth->options.interval_ms, ez_clock_wall_ns());
    ez_oauth_schedule_move(&oauth->schedule, slot, due_ns);
}

// What was known of a key before a change.
typedef struct known {
    bool is_there, was_ended;
    bool is_told;     // here
    int64_t noted_ns; // an alert, whoever reported it; 0: none
    uint64_t secret_version;
    int provider;
} known;

static known look_at_slot(const ez_oauth_slot *slot) {
    if (!slot)
        return (known){.is_there = false};
    return (known){.is_there = true,
                   .was_ended = slot->is_ended,
                   .is_told = slot->is_ended || slot->is_raised,
                   .noted_ns = slot->noted_ns,
                   .secret_version = slot->secret_version,
                   .provider = slot->provider};
}

// A login that ended is told of by whoever scans, since the server that ended it may have died before it told; that a
// key has other tokens, or none, or is gone, by all that know of an alert, since nobody knows who else does. What was
// reported after the change that is followed now is not of before it.
static news compare(const ez_oauth *oauth, const known *before, const ez_oauth_slot *slot, const ez_entry *entry) {
    if (slot && slot->is_ended)
        return oauth->scans && !slot->is_raised && !slot->is_flying ? HAS_ENDED : NO_NEWS;
    bool is_changed =
        before->is_there && (!slot || before->was_ended || slot->secret_version != before->secret_version);
    bool is_known =
        before->is_told ||
        (before->noted_ns && (!slot || before->noted_ns < ez_oauth_read_facts(ez_entry_data(entry)).updated_ns));
    return is_changed && is_known ? IS_MENDED : NO_NEWS;
}

static void tell_news(ez_oauth *oauth, int64_t id, int provider, news what) {
    if (what == HAS_ENDED)
        (void)ez_oauth_raise_ended(oauth, id, provider);
    else if (what == IS_MENDED)
        ez_oauth_clear_key(oauth, id, provider, true);
}

static ez_oauth_slot *plan_entry(ez_oauth *oauth, int64_t id, const ez_entry *entry) {
    ez_oauth_facts facts = {.group_id = 0};
    int provider = -1;
    if (entry) {
        facts = ez_oauth_read_facts(ez_entry_data(entry));
        provider = facts.has_access || facts.has_refresh ? provider_of(oauth, facts.group_id) : -1;
    }
    if (provider < 0) {
        ez_oauth_schedule_remove(&oauth->schedule, id);
        return NULL;
    }
    ez_oauth_slot *slot = ez_oauth_schedule_put(&oauth->schedule, id, provider);
    if (slot)
        plan_slot(oauth, slot, &facts, ez_entry_secret_version(entry));
    return slot;
}

// Within the lock and a read section. Sets the provider that it is told of with.
static news plan_known(ez_oauth *oauth, int64_t id, const ez_entry *entry, int *provider) {
    const known before = look_at_slot(ez_oauth_schedule_get(&oauth->schedule, id));
    const ez_oauth_slot *slot = plan_entry(oauth, id, entry);
    *provider = slot ? slot->provider : before.provider;
    return compare(oauth, &before, slot, entry);
}

void ez_oauth_plan(ez_oauth *oauth, int64_t id) {
    int provider;
    ez_directory_enter();
    pthread_mutex_lock(&oauth->lock);
    news what = plan_known(oauth, id, ez_directory_get(oauth->options.directory, KIND_API_KEY, id), &provider);
    pthread_mutex_unlock(&oauth->lock);
    ez_directory_leave();
    tell_news(oauth, id, provider, what);
}

bool ez_oauth_is_gone(const ez_oauth *oauth, int64_t id) {
    ez_oauth_facts facts = ez_oauth_facts_of(oauth, id);
    return !facts.has_access && !facts.has_refresh;
}

// ---- Groups

static void remember_group(ez_oauth *oauth, int64_t id, int provider) {
    if (provider < 0)
        ez_idmap_remove(&oauth->groups, id); // there, since the provider was another one
    else if (ez_idmap_reserve(&oauth->groups, id) == EZ_OK)
        ez_idmap_set(&oauth->groups, id, (void *)(intptr_t)(provider + 1));
}

// Plans the group's keys; false where there are none past *after.
static bool plan_members(ez_oauth *oauth, int64_t group_id, int64_t *after) {
    struct {
        int64_t id;
        int provider;
        news what;
    } told[STEP];
    size_t count = 0, told_count = 0;
    ez_directory_enter();
    pthread_mutex_lock(&oauth->lock);
    for (const ez_entry *entry;
         count < STEP && (entry = ez_directory_member(oauth->options.directory, EZ_INDEX_API_KEY_BY_GROUP,
                                                      ez_index_id(group_id), *after, false));
         count++) {
        *after = told[told_count].id = ez_entry_id(entry);
        told[told_count].what = plan_known(oauth, *after, entry, &told[told_count].provider);
        told_count += told[told_count].what != NO_NEWS;
    }
    pthread_mutex_unlock(&oauth->lock);
    ez_directory_leave();
    for (size_t i = 0; i < told_count; i++)
        tell_news(oauth, told[i].id, told[i].provider, told[i].what);
    return count == STEP;
}

static void look_at_group(ez_oauth *oauth, int64_t id) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(oauth->options.directory, KIND_PROVIDER_GROUP, id);
    ez_wire_field type;
    bool has_type = entry && ez_wire_find(ez_entry_data(entry).data, ez_entry_data(entry).len, 3, &type);
    int provider = has_type ? ez_oauth_provider_find((const char *)type.bytes.data, type.bytes.len) : -1;
    bool is_changed = provider != provider_of(oauth, id);
    ez_directory_leave();
    if (!is_changed)
        return;
    remember_group(oauth, id, provider);
    int64_t after = 0;
    while (plan_members(oauth, id, &after)) {
    }
}

static void load(ez_oauth *oauth) {
    uint64_t began = ez_clock_mono_ns();
    int64_t id = 0;
    for (bool is_more = true; is_more;) {
        ez_directory_enter();
        const ez_entry *entry = ez_directory_next(oauth->options.directory, KIND_PROVIDER_GROUP, id, false);
        is_more = entry != NULL;
        id = entry ? ez_entry_id(entry) : 0;
        ez_directory_leave();
        if (is_more)
            look_at_group(oauth, id);
    }
    ez_log_debug("token refresh knows its keys", "us", EZ_LOG_INT((ez_clock_mono_ns() - began) / 1000));
}

// ---- The feed

typedef struct changed {
    size_t count;
    struct {
        int kind;
        int64_t id;
    } items[STEP];
} changed;

static bool note(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    (void)op, (void)secret_version, (void)encoded;
    changed *list = user;
    if (kind != KIND_API_KEY && kind != KIND_PROVIDER_GROUP)
        return true;
    if (list->count == STEP)
        return false;
    list->items[list->count].kind = kind;
    list->items[list->count++].id = id;
    return true;
}

// False where there is more, or where it starts again.
static bool follow_step(ez_oauth *oauth, uint64_t until) {
    changed list = {.count = 0};
    bool is_done = false;
    ez_error error = EZ_ERROR_INIT;
    if (ez_feed_read(oauth->options.feed, &oauth->cursor, until, note, &list, &is_done, &error) != EZ_OK) {
        oauth->is_loaded = false;
        return true;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].kind == KIND_PROVIDER_GROUP)
            look_at_group(oauth, list.items[i].id);
        else
            ez_oauth_plan(oauth, list.items[i].id);
    }
    return is_done;
}

// Everything that was known of groups is forgotten, so that each is looked at; slots of keys that are gone go.
static void load_anew(ez_oauth *oauth) {
    oauth->cursor = (ez_feed_cursor){.n = ez_feed_head(oauth->options.feed).n};
    ez_idmap_fini(&oauth->groups);
    ez_idmap_init(&oauth->groups);
    load(oauth);
    int64_t id = 0;
    for (ez_oauth_slot *slot; (slot = ez_idmap_after(&oauth->schedule.by_id, id));) {
        id = slot->id;
        ez_oauth_plan(oauth, id);
    }
    oauth->is_loaded = true;
    oauth->scans = false; // begins to scan anew, and tells of those that have ended meanwhile
}

void ez_oauth_follow(ez_oauth *oauth) {
    int64_t offset = ez_clock_wall_ns() - (int64_t)ez_clock_mono_ns();
    int64_t jump = offset - oauth->clock_offset_ns;
    if (jump > 10000000000ll || jump < -10000000000ll) { // turns are told by the wall clock, and it jumped
        oauth->clock_offset_ns = offset;
        oauth->is_loaded = false;
    }
    if (!oauth->is_loaded)
        load_anew(oauth);
    uint64_t head = ez_feed_head(oauth->options.feed).n;
    while (oauth->is_loaded && oauth->cursor.n < head && ez_oauth_may_tell(oauth) && !follow_step(oauth, head)) {
    }
}
