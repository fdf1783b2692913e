// SPDX-License-Identifier: Apache-2.0
//
// Keys are ranked first, by requests alone; the rest is read for those that stay. There may be a hundred thousand keys,
// and a row of all sums costs three times a row of one.
#include "server/domain/logs/dashboard_read.h"

static ez_status add(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ez_top_add(user, row);
    return EZ_OK;
}

static ez_status ask(ez_reader *reader, const ez_stats_query *query, size_t size, ez_arena *arena, ez_top *top,
                     ez_error *error) {
    ez_status status = ez_top_init(top, size, arena, error);
    if (status == EZ_OK)
        status = ez_reader_each_stat(reader, query, add, top, error);
    if (status == EZ_OK)
        ez_top_sort(top);
    return status;
}

static ez_status ask_total(ez_reader *reader, const ez_stats_query *query, ez_arena *arena, ez_rollup_sums *out,
                           ez_error *error) {
    ez_top top;
    ez_status status = ask(reader, query, 1, arena, &top, error);
    *out = top.total;
    return status;
}

static ez_status ask_keys(ez_reader *reader, int64_t since_s, int64_t until_s, ez_arena *arena, ez_top *keys,
                          ez_error *error) {
    ez_stats_query ranking = {
        .by = EZ_STATS_KEY, .since_s = since_s, .until_s = until_s, .first_sums = 1, .tells_owner = true};
    ez_status status = ask(reader, &ranking, EZ_DASHBOARD_TOP, arena, keys, error);
    for (size_t i = 0; status == EZ_OK && i < keys->count; i++) {
        ez_top_row *key = keys->rows[i];
        ez_stats_query one = {.since_s = since_s, .until_s = until_s, .master_id = key->owner_id};
        one.key_id = key->id ? key->id : EZ_STATS_NONE;
        status = ask_total(reader, &one, arena, &key->sums, error);
    }
    if (status == EZ_OK)
        ez_top_sort(keys); // some had requests since
    return status;
}

ez_status ez_dashboard_read(ez_reader *reader, int64_t since_s, int64_t until_s, ez_arena *arena,
                            ez_dashboard_numbers *out, ez_error *error) {
    ez_stats_query now = {.by = EZ_STATS_TOTAL, .since_s = since_s, .until_s = until_s};
    ez_stats_query before = {.by = EZ_STATS_TOTAL, .since_s = 2 * since_s - until_s, .until_s = since_s};
    ez_stats_query models = {.by = EZ_STATS_MODEL, .since_s = since_s, .until_s = until_s};
    *out = (ez_dashboard_numbers){0};
    ez_status status = ask_total(reader, &now, arena, &out->now, error);
    if (status == EZ_OK && since_s > 0)
        status = ask_total(reader, &before, arena, &out->before, error);
    if (status == EZ_OK)
        status = ask(reader, &models, EZ_DASHBOARD_TOP, arena, &out->models, error);
    return status == EZ_OK ? ask_keys(reader, since_s, until_s, arena, &out->keys, error) : status;
}
