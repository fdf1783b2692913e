// SPDX-License-Identifier: Apache-2.0
//
// A queue in an array. What is one kind of thing in a row, raised or cleared, goes in one call; what the alerts do not
// take stays, and everything behind it, so that an end never overtakes its beginning.
//
// Awkward: what is over as far as is known here may have begun again at another server, which said so a moment ago.
// Such an end is for alerts alone that nobody reported for a while.
#include "server/jobs/alert_sources.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/detector.h"

#define ROOM_MIN        64
#define KNOWN_WITHIN_NS INT64_C(20000000000) // what other servers say of data planes is here by then

#define LOST     EZ__V1__ALERT_TYPE__ALERT_TYPE_DATA_PLANE_LOST
#define REJECTED EZ__V1__ALERT_TYPE__ALERT_TYPE_CONFIG_REJECTED
#define FAILED   EZ__V1__ALERT_TYPE__ALERT_TYPE_SYNC_FAILED
#define WARNING  EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL

typedef struct item {
    bool is_over;
    Ez__V1__AlertType type;
    Ez__V1__AlertSeverity severity;
    const char *title, *related_type; // constants
    int64_t related_id;
    int64_t seen_before_ns; // of an end
    char message[448];
    char metadata[96];
} item;

struct ez_alert_sources {
    ez_alert_sources_options options;
    pthread_mutex_t lock; // guards what follows
    item *items;          // count from at on
    size_t at, count, room;
    bool is_full; // and has said so
};

ez_status ez_alert_sources_create(const ez_alert_sources_options *options, ez_alert_sources **out, ez_error *error) {
    ez_alert_sources *sources = calloc(1, sizeof *sources);
    if (sources == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    }
    sources->options = *options;
    pthread_mutex_init(&sources->lock, NULL);
    *out = sources;
    return EZ_OK;
}

void ez_alert_sources_destroy(ez_alert_sources *sources) {
    if (sources == NULL) {
        return;
    }
    if (sources->count > 0) {
        ez_log_warn("what was noticed last did not become alerts: they could not be taken before the end", "notices",
                    EZ_LOG_INT((long long)sources->count));
    }
    pthread_mutex_destroy(&sources->lock);
    free(sources->items);
    free(sources);
}

// ---- What comes in

// Under the lock.
static bool make_room(ez_alert_sources *sources) {
    if (sources->at > 0 && sources->at + sources->count == sources->room) {
        memmove(sources->items, sources->items + sources->at, sources->count * sizeof *sources->items);
        sources->at = 0;
    }
    if (sources->at + sources->count < sources->room) {
        return true;
    }
    size_t room = sources->room > 0 ? 2 * sources->room : ROOM_MIN;
    item *items = room <= EZ_ALERT_SOURCES_MAX ? realloc(sources->items, room * sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    sources->items = items;
    sources->room = room;
    return true;
}

static void put(ez_alert_sources *sources, const item *what) {
    pthread_mutex_lock(&sources->lock);
    bool has_room = make_room(sources), is_news = !has_room && !sources->is_full;
    if (has_room) {
        sources->items[sources->at + sources->count++] = *what;
    }
    sources->is_full = !has_room;
    pthread_mutex_unlock(&sources->lock);
    if (is_news) {
        ez_log_warn("more was noticed than can wait to become an alert: the rest is dropped");
    }
}

static void put_over(ez_alert_sources *sources, Ez__V1__AlertType type, const char *related_type, int64_t id,
                     int64_t seen_before_ns) {
    item what = {.is_over = true,
                 .type = type,
                 .related_type = related_type,
                 .related_id = id,
                 .seen_before_ns = seen_before_ns};
    put(sources, &what);
}

static void put_lost(ez_alert_sources *sources, const ez_fleet_notice *notice) {
    item what = {.type = LOST,
                 .severity = WARNING,
                 .title = "A data plane is lost",
                 .related_type = "data_plane",
                 .related_id = notice->id};
    snprintf(
        what.message, sizeof what.message,
        "Nothing was heard of it for three heartbeats, and it did not say goodbye. It goes on serving what it has, "
        "revision %" PRIu64 ", without changes. Look whether it runs and reaches this server.",
        notice->applied);
    snprintf(what.metadata, sizeof what.metadata, "{\"applied\":%" PRIu64 "}", notice->applied);
    put(sources, &what);
}

static void put_rejected(ez_alert_sources *sources, const ez_fleet_notice *notice) {
    item what = {.type = REJECTED,
                 .severity = CRITICAL,
                 .title = "A data plane can't use its configuration",
                 .related_type = "data_plane",
                 .related_id = notice->id};
    snprintf(what.message, sizeof what.message,
             "It can't use %" PRIu32 " resources and serves their last good versions. The first is %s %" PRId64
             ": %s. GET /admin/data-planes/%" PRId64 " has all of them.",
             notice->rejected, ez_kind_word(notice->kind), notice->row_id, notice->reason, notice->id);
    snprintf(what.metadata, sizeof what.metadata, "{\"rejected\":%" PRIu32 ",\"applied\":%" PRIu64 "}",
             notice->rejected, notice->applied);
    put(sources, &what);
}

void ez_alert_sources_fleet(void *user, const ez_fleet_notice *notice) {
    ez_alert_sources *sources = user;
    if (notice->type == EZ_FLEET_LOST) {
        put_lost(sources, notice);
    } else if (notice->type == EZ_FLEET_REJECTED) {
        put_rejected(sources, notice);
    }
    int64_t before_ns = notice->is_again ? ez_clock_wall_ns() - KNOWN_WITHIN_NS : 0;
    if (notice->type == EZ_FLEET_BACK || notice->type == EZ_FLEET_REMOVED) {
        put_over(sources, LOST, "data_plane", notice->id, before_ns);
    }
    if (notice->type == EZ_FLEET_ACCEPTED || notice->type == EZ_FLEET_REMOVED) {
        put_over(sources, REJECTED, "data_plane", notice->id, before_ns);
    }
}

void ez_alert_sources_redis_failed(void *user, const char *what) {
    item it = {.type = FAILED, .severity = CRITICAL, .title = "Redis is behind", .related_type = "redis"};
    bool is_away = strcmp(what, "redis") == 0;
    if (is_away) {
        snprintf(it.message, sizeof it.message,
                 "Redis is away: data planes that read it go on with what they have. "
                 "What is due stays due, and is written when it answers.");
    } else {
        snprintf(it.message, sizeof it.message,
                 "Redis would not take %s, which is parked: GET /admin/sync says why. "
                 "Then ezctl sync retry, or rebuild.",
                 what);
    }
    snprintf(it.metadata, sizeof it.metadata, "{\"what\":\"%.64s\"}", what); // a word and an id
    put(user, &it);
}

void ez_alert_sources_redis_healed(void *user) {
    put_over(user, FAILED, "redis", 0, 0);
}

// ---- What goes out

// Copies what is first and of one kind; how many.
static size_t take_some(ez_alert_sources *sources, item out[EZ_ALERTS_AT_ONCE]) {
    pthread_mutex_lock(&sources->lock);
    size_t count = 0;
    const item *first = sources->items + sources->at;
    while (count < sources->count && count < EZ_ALERTS_AT_ONCE && first[count].is_over == first[0].is_over) {
        out[count] = first[count];
        count++;
    }
    pthread_mutex_unlock(&sources->lock);
    return count;
}

static bool raise_some(const ez_alert_sources *sources, const item *items, size_t count) {
    ez_alert_report reports[EZ_ALERTS_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        reports[i] = (ez_alert_report){.type = items[i].type,
                                       .severity = items[i].severity,
                                       .title = items[i].title,
                                       .message = items[i].message,
                                       .related_type = items[i].related_type,
                                       .related_id = items[i].related_id,
                                       .related_name = "",
                                       .metadata = items[i].metadata,
                                       .fingerprint = ""};
    }
    return sources->options.raise == NULL ||
           sources->options.raise(sources->options.alerts_user, reports, count, EZ_DETECTOR_NAME);
}

static bool clear_some(const ez_alert_sources *sources, const item *items, size_t count) {
    ez_alert_subject subjects[EZ_ALERTS_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        subjects[i] = (ez_alert_subject){.type = items[i].type,
                                         .related_type = items[i].related_type,
                                         .related_id = items[i].related_id,
                                         .fingerprint = "",
                                         .seen_before_ns = items[i].seen_before_ns};
    }
    return sources->options.clear == NULL ||
           sources->options.clear(sources->options.alerts_user, subjects, count, EZ_DETECTOR_NAME);
}

// Only the timer takes from the front, so what was copied is still first.
static void drop_some(ez_alert_sources *sources, size_t count) {
    pthread_mutex_lock(&sources->lock);
    sources->at += count;
    sources->count -= count;
    if (sources->count == 0) {
        free(sources->items);
        sources->items = NULL;
        sources->at = sources->room = 0;
    }
    pthread_mutex_unlock(&sources->lock);
}

static bool is_empty(ez_alert_sources *sources) {
    pthread_mutex_lock(&sources->lock);
    bool is = sources->count == 0;
    pthread_mutex_unlock(&sources->lock);
    return is;
}

void ez_alert_sources_tick(ez_alert_sources *sources) {
    item *items = is_empty(sources) ? NULL : malloc(EZ_ALERTS_AT_ONCE * sizeof *items);
    if (items == NULL) {
        return;
    }
    for (size_t count; (count = take_some(sources, items)) > 0; drop_some(sources, count)) {
        bool is_taken = items[0].is_over ? clear_some(sources, items, count) : raise_some(sources, items, count);
        if (!is_taken) {
            break;
        }
    }
    free(items);
}
