// SPDX-License-Identifier: Apache-2.0
#include "server/domain/alerts/open.h"

#include <string.h>

#include "server/domain/alerts/inside.h"

#define LOOK_MAX 10000
#define PAGE     1000

typedef struct reading {
    size_t limit;
    ez_alert_fn *each;
    void *user;
} reading;

// Those of one status, then those of another.
static ez_status read_page(ez_reader *reader, ez_open_place *place, const int32_t statuses[2], const reading *it,
                           bool *more, ez_error *error) {
    place->status = place->status ? place->status : statuses[0];
    ez_alert_filter filter = {.status = place->status,
                              .type = place->type,
                              .since_ns = place->since_ns,
                              .before_id = place->before_id,
                              .limit = it->limit,
                              .look_max = LOOK_MAX};
    bool has_others = false;
    ez_status status = ez_reader_each_alert(reader, &filter, it->each, it->user, &has_others, &place->before_id, error);
    if (status != EZ_OK)
        return status;
    *more = has_others || place->status == statuses[0];
    if (!has_others)
        *place = (ez_open_place){.type = place->type, .since_ns = place->since_ns, .status = statuses[1]};
    return EZ_OK;
}

ez_status ez_alerts_open_page(ez_reader *reader, ez_open_place *place, size_t limit, ez_alert_fn *each, void *user,
                              bool *more, ez_error *error) {
    static const int32_t statuses[] = {EZ_ALERT_ACTIVE, EZ_ALERT_ACKNOWLEDGED};
    return read_page(reader, place, statuses, &(reading){limit, each, user}, more, error);
}

ez_status ez_alerts_closed_page(ez_reader *reader, ez_open_place *place, size_t limit, ez_alert_fn *each, void *user,
                                bool *more, ez_error *error) {
    static const int32_t statuses[] = {EZ_ALERT_RESOLVED, EZ_ALERT_DISMISSED};
    return read_page(reader, place, statuses, &(reading){limit, each, user}, more, error);
}

typedef struct counting {
    ez_alert_fn *each;
    void *user;
    size_t count;
} counting;

static ez_status count_one(void *user, const ez_alert_row *row, ez_error *error) {
    counting *it = user;
    it->count++;
    return it->each(it->user, row, error);
}

ez_status ez_alerts_read_all(ez_reader *reader, ez_alerts_page_fn *page, ez_open_place place, ez_alert_fn *each,
                             void *user, ez_error *error) {
    counting it = {.each = each, .user = user};
    ez_status status = EZ_OK;
    for (bool more = true; status == EZ_OK && more && it.count < EZ_ALERTS_READ_MAX;)
        status = page(reader, &place, PAGE, count_one, &it, &more, error);
    return status;
}

bool ez_alert_is_by_subject(const ez_alert_row *row) {
    ez_alert_subject subject = {
        .type = (Ez__V1__AlertType)row->type, .related_type = row->related_type, .related_id = row->related_id};
    ez_arena arena;
    ez_arena_init(&arena, 4096);
    const char *made = ez_alert_fingerprint(&subject, row->title, &arena);
    bool is_it = made && strcmp(made, row->fingerprint) == 0;
    ez_arena_fini(&arena);
    return is_it;
}
