// SPDX-License-Identifier: Apache-2.0
//
// What stands behind meter.h on SQLite.
#include "server/state/store/sqlite/meter.h"
#include "server/state/store/sqlite/meter_read.h"

const ez_meter_ops ez_meter_sqlite = {
    .has_one_writer = true,
    .add_usage = ez_sqlite_add_usage,
    .each_usage = ez_sqlite_each_usage,
    .add_logs = ez_sqlite_add_logs,
    .fold_rollups = ez_sqlite_fold_rollups,
    .trim_logs = ez_sqlite_trim_logs,
    .count_logs = ez_sqlite_count_logs,
    .put_delivery = ez_sqlite_put_delivery,
    .reader_each_log = ez_sqlite_reader_each_log,
    .reader_each_stat = ez_sqlite_reader_each_stat,
    .reader_each_of_minute = ez_sqlite_reader_each_of_minute,
    .reader_each_delivery = ez_sqlite_reader_each_delivery,
};
