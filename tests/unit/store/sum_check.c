// SPDX-License-Identifier: Apache-2.0
//
// Ends of ranges are widened as the store does: to the step that is kept there.
#include "tests/unit/store/sum_check.h"

#include <criterion/criterion.h>
#include <stdlib.h>

typedef struct question {
    ez_stats_query query;
    int64_t requests;
} question;

static ez_status take(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ((question *)user)->requests += row->sums.requests;
    return EZ_OK;
}

static void ask(ez_reader *reader, void *user) {
    question *it = user;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_each_stat(reader, &it->query, take, it, &error), EZ_OK, "%s", error.message);
}

static question any_question(int64_t now_ns) {
    static const ez_stats_by bys[] = {EZ_STATS_TOTAL,   EZ_STATS_MODEL,  EZ_STATS_MASTER, EZ_STATS_KEY, EZ_STATS_GROUP,
                                      EZ_STATS_API_KEY, EZ_STATS_MINUTE, EZ_STATS_HOUR,   EZ_STATS_DAY};
    int64_t since_s = ez_rollup_floor(now_ns / SECOND_NS, 60) + (rand() % 4000 - 3800) * 60 * (rand() % 3 ? 1 : 40);
    question it = {.query = {.by = bys[rand() % 9], .since_s = since_s}};
    it.query.until_s = since_s + (1 + rand() % 4000) * 60 * (rand() % 2 ? 30 : 1);
    bool is_upstream = it.query.by == EZ_STATS_GROUP || it.query.by == EZ_STATS_API_KEY;
    bool is_ranking = (it.query.by == EZ_STATS_KEY || it.query.by == EZ_STATS_API_KEY) && rand() % 2;
    it.query.first_sums = is_ranking ? 1 + rand() % 3 : 0;
    it.query.tells_owner = is_ranking && rand() % 2;
    it.query.master_id = !is_upstream && rand() % 3 == 0 ? 1 : 0;
    return it;
}

static int kept_at(const ez_rollup_edges *edges, int64_t time_s) {
    return time_s >= edges->minutes_from_s ? 60 : time_s >= edges->hours_from_s ? 3600 : 86400;
}

static int64_t count_in(const log_model *model, const ez_stats_query *query, const ez_rollup_edges *edges) {
    int64_t last_s = query->until_s - 1, count = 0;
    int64_t since_s = ez_rollup_floor(query->since_s, kept_at(edges, query->since_s));
    int64_t until_s = ez_rollup_floor(last_s, kept_at(edges, last_s)) + kept_at(edges, last_s);
    for (size_t i = 0; i < model->count; i++) {
        int64_t time_s = model->rows[i].time_ns / SECOND_NS;
        bool is_in = time_s >= since_s && time_s < until_s;
        count += is_in && (!query->master_id || model->rows[i].master_id == query->master_id);
    }
    return count;
}

void expect_totals(const place *at, ez_store *store, const log_model *model, int64_t now_ns, int count) {
    ez_rollup_edges edges = {.minutes_from_s = number_of(at, "SELECT minutes_from_s FROM log_head"),
                             .hours_from_s = number_of(at, "SELECT hours_from_s FROM log_head")};
    for (int i = 0; i < count; i++) {
        question it = any_question(now_ns);
        on_reader(store, ask, &it);
        cr_assert_eq(it.requests, count_in(model, &it.query, &edges), "by %d, %lld … %lld: %lld requests",
                     (int)it.query.by, (long long)it.query.since_s, (long long)it.query.until_s,
                     (long long)it.requests);
    }
}
