// SPDX-License-Identifier: Apache-2.0
//
// Open hours and days in PostgreSQL: a small table, read whole by whoever holds log_head's row.
#include "server/state/store/postgres/meter.h"

ez_status ez_pg_take_open(ez_open_steps *steps, const PGresult *result, ez_error *error) {
    ez_status status = EZ_OK;
    ez_open_steps_clear(steps);
    for (int i = 0; !status && i < PQntuples(result); i++) {
        ez_open_step open = {.step = (int)ez_pg_int(result, i, 0),
                             .time_s = ez_pg_int(result, i, 1),
                             .from_s = ez_pg_int(result, i, 2),
                             .until_s = ez_pg_int(result, i, 3),
                             .folded = (int)ez_pg_int(result, i, 4)};
        status = ez_open_steps_put(steps, &open, error);
    }
    return status;
}

static ez_status push(ez_pg_attempt *try, const ez_open_step *open, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, open->step);
    ez_pg_put_int(&params, open->time_s);
    ez_pg_put_int(&params, open->from_s);
    ez_pg_put_int(&params, open->until_s);
    ez_pg_put_int(&params, open->folded);
    return ez_pg_push(try,
                      "INSERT INTO rollup_open (step, time_s, from_s, until_s, folded) VALUES ($1, $2, $3, $4, $5) ON "
                      "CONFLICT (step, time_s) DO UPDATE SET from_s = excluded.from_s, until_s = excluded.until_s, "
                      "folded = excluded.folded",
                      &params, error);
}

ez_status ez_pg_push_open(ez_pg_attempt *try, const ez_open_steps *steps, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < steps->count; i++) {
        if (steps->items[i].is_new)
            status = push(try, &steps->items[i], error);
    }
    return status;
}

ez_status ez_pg_push_moved(ez_pg_attempt *try, const ez_open_step *open, ez_error *error) {
    if (!ez_open_step_is_closed(open))
        return push(try, open, error);
    ez_pg_params params = {0};
    ez_pg_put_int(&params, open->step);
    ez_pg_put_int(&params, open->time_s);
    return ez_pg_push(try, "DELETE FROM rollup_open WHERE step = $1 AND time_s = $2", &params, error);
}
