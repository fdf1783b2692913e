// SPDX-License-Identifier: Apache-2.0
//
// Open alerts that say a data plane is lost, or can't use its configuration, against what is known now. Whoever raised
// one may never say that it is over: a data plane comes back at another server, a notice is dropped, a server stops.
#include <string.h>

#include "server/domain/alerts/detector_inside.h"

#define PAGE       500
#define ALERTS_MAX 10000 // looked at in a round, the newest of each type

static const int32_t types[] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_DATA_PLANE_LOST,
                                EZ__V1__ALERT_TYPE__ALERT_TYPE_CONFIG_REJECTED};
#define TYPES (sizeof types / sizeof types[0])

static ez_status look(void *user, const ez_alert_row *row, ez_error *error) {
    (void)error;
    ez_detector *d = user;
    d->round.plane_alerts++;
    bool is_old = row->last_seen_ns < d->round.now_ns - EZ_PLANE_AGE_S * INT64_C(1000000000);
    if (is_old && row->related_id > 0 && strcmp(row->related_type, "data_plane") == 0 && ez_alert_is_by_subject(row))
        d->options.look_again(d->options.look_user, row->related_id);
    return EZ_OK;
}

ez_status ez_round_planes(ez_detector *d, ez_reader *reader, bool *more, ez_error *error) {
    ez_round *round = &d->round;
    if (!d->options.look_again)
        return EZ_OK;
    round->plane_place.type = types[round->plane_step];
    bool has_others = false;
    ez_status status = ez_alerts_open_page(reader, &round->plane_place, PAGE, look, d, &has_others, error);
    if (!has_others || round->plane_alerts >= ALERTS_MAX) {
        round->plane_step++;
        round->plane_alerts = 0;
        round->plane_place = (ez_open_place){0};
    }
    *more = round->plane_step < TYPES;
    return status;
}
