// SPDX-License-Identifier: Apache-2.0
//
// Partitions are made as tables of their own and then attached: that takes a lock that lets readers and writers of the
// others through, which CREATE TABLE … PARTITION OF does not.
#include "server/state/store/postgres/partitions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/state/store/rollup.h"

#define DAY_NS INT64_C(86400000000000)

void ez_pg_partitions_fini(ez_pg_partitions *partitions) {
    free(partitions->days);
    *partitions = (ez_pg_partitions){0};
}

void ez_pg_partitions_forget(ez_pg_partitions *partitions) {
    partitions->count = 0;
    partitions->is_known = false;
}

void ez_pg_day_name(int64_t day, char out[EZ_PG_DAY_MAX]) {
    time_t when = (time_t)(day * EZ_ROLLUP_DAY);
    struct tm parts = {0};
    gmtime_r(&when, &parts);
    strftime(out, EZ_PG_DAY_MAX, "%Y%m%d", &parts);
}

static int compare_days(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static bool has(const ez_pg_partitions *partitions, int64_t day) {
    return partitions->count && bsearch(&day, partitions->days, partitions->count, sizeof day, compare_days);
}

static ez_status reserve(ez_pg_partitions *partitions, size_t room, ez_error *error) {
    if (room <= partitions->room)
        return EZ_OK;
    int64_t *days = realloc(partitions->days, room * sizeof *days);
    if (!days)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu partitions", room);
    partitions->days = days;
    partitions->room = room;
    return EZ_OK;
}

ez_status ez_pg_partitions_load(ez_pg_partitions *partitions, ez_pg_attempt *try, ez_error *error) {
    // Names that are not ours are not looked at.
    static const char text[] =
        "SELECT extract(epoch FROM to_date(substr(c.relname, 14), 'YYYYMMDD'))::int8 / 86400 FROM pg_inherits i JOIN "
        "pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'log_records'::regclass AND c.relname ~ "
        "'^log_records_p[0-9]{8}$' ORDER BY 1";
    ez_pg_params none = {0};
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status = ez_pg_run(try->conn, text, &none, try->deadline, &result, error);
    if (!status)
        status = reserve(partitions, (size_t)PQntuples(result) + 8, error);
    if (status)
        return status;
    partitions->count = (size_t)PQntuples(result);
    for (int i = 0; i < PQntuples(result); i++)
        partitions->days[i] = ez_pg_int(result, i, 0);
    partitions->is_known = true;
    return EZ_OK;
}

static ez_status make(ez_pg_attempt *try, int64_t day, ez_error *error) {
    static const char *const tables[] = {"log_records", "log_bodies"};
    char text[512], name[EZ_PG_DAY_MAX];
    ez_pg_day_name(day, name);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < 2; i++) {
        snprintf(text, sizeof text,
                 "CREATE TABLE %s_p%s (LIKE %s INCLUDING ALL); ALTER TABLE %s ATTACH PARTITION %s_p%s FOR VALUES FROM "
                 "(%lld) TO (%lld)",
                 tables[i], name, tables[i], tables[i], tables[i], name, (long long)(day * DAY_NS),
                 (long long)((day + 1) * DAY_NS));
        status = ez_pg_exec(try->conn, text, NULL, try->deadline, error);
    }
    return status;
}

ez_status ez_pg_partitions_ensure(ez_pg_partitions *partitions, ez_pg_attempt *try, const int64_t *days, size_t count,
                                  ez_error *error) {
    bool all = partitions->is_known || count == 0;
    for (size_t i = 0; all && i < count; i++)
        all = has(partitions, days[i]);
    if (all)
        return EZ_OK;
    ez_status status = ez_pg_partitions_load(partitions, try, error);
    if (!status)
        status = reserve(partitions, partitions->count + count, error);
    size_t known = partitions->count;
    for (size_t i = 0; !status && i < count; i++) {
        if (known && bsearch(&days[i], partitions->days, known, sizeof days[i], compare_days))
            continue;
        status = make(try, days[i], error);
        partitions->days[partitions->count++] = days[i];
    }
    if (partitions->count)
        qsort(partitions->days, partitions->count, sizeof *partitions->days, compare_days);
    return status;
}
