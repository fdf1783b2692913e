// SPDX-License-Identifier: Apache-2.0
//
// What stands behind meter.h on PostgreSQL.
#include "server/state/store/postgres/meter.h"
#include "server/state/store/postgres/meter_read.h"

const ez_meter_ops ez_meter_postgres = {
    .has_one_writer = false,
    .add_usage = ez_pg_add_usage,
    .each_usage = ez_pg_each_usage,
    .usage_since = ez_pg_usage_since,
    .add_logs = ez_pg_add_logs,
    .fold_rollups = ez_pg_fold_rollups,
    .trim_logs = ez_pg_trim_logs,
    .count_logs = ez_pg_count_logs,
    .put_delivery = ez_pg_put_delivery,
    .reader_each_log = ez_pg_reader_each_log,
    .reader_each_stat = ez_pg_reader_each_stat,
    .reader_each_of_minute = ez_pg_reader_each_of_minute,
    .reader_each_delivery = ez_pg_reader_each_delivery,
};
