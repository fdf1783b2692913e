// SPDX-License-Identifier: Apache-2.0
#include "server/domain/alerts/open.h"

#include <string.h>

#include "server/domain/alerts/inside.h"

#define LOOK_MAX 10000

ez_status ez_alerts_open_page(ez_reader *reader, ez_open_place *place, size_t limit, ez_alert_fn *each, void *user,
                              bool *more, ez_error *error) {
    place->status = place->status ? place->status : EZ_ALERT_ACTIVE;
    ez_alert_filter filter = {
        .status = place->status, .before_id = place->before_id, .limit = limit, .look_max = LOOK_MAX};
    bool has_others = false;
    ez_status status = ez_reader_each_alert(reader, &filter, each, user, &has_others, &place->before_id, error);
    if (status != EZ_OK)
        return status;
    *more = has_others || place->status == EZ_ALERT_ACTIVE;
    if (!has_others)
        *place = (ez_open_place){.status = EZ_ALERT_ACKNOWLEDGED};
    return EZ_OK;
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
