// SPDX-License-Identifier: Apache-2.0
//
// Which rollup rows a range is read from. The examples say what is meant; chance says that it always holds.
#include "server/state/store/stats_plan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define M EZ_ROLLUP_MINUTE
#define H EZ_ROLLUP_HOUR
#define D EZ_ROLLUP_DAY

static ez_stats_plan plan;

// Open up to an edge.
static void add(ez_stats_edges *edges, int step, int64_t time_s, int64_t edge_s) {
    ez_open_step open = {.step = step, .time_s = time_s, .from_s = edge_s};
    ez_stats_edges_add(edges, &open, EZ_ROLLUP_TOTAL);
}

static void add_all(ez_stats_edges *edges, int step, int64_t time_s) {
    add(edges, step, time_s, time_s);
}

// "d0-2 h48-50 m3000-3010": each segment in its own step's numbers.
static const char *plan_text(int64_t since_s, int64_t until_s, int coarsest, const ez_stats_edges *edges) {
    static char text[4096];
    size_t len = 0;
    ez_stats_plan_build(&plan, since_s, until_s, coarsest, edges);
    text[0] = 0;
    for (size_t i = 0; i < plan.count; i++) {
        const ez_stats_segment *segment = &plan.segments[i];
        char unit = segment->step == D ? 'd' : segment->step == H ? 'h' : 'm';
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%s%c%lld-%lld", i ? " " : "", unit,
                             (long long)(segment->from_s / segment->step), (long long)(segment->to_s / segment->step));
        if (segment->to_s % segment->step > 0) // seconds of the last step
            len += (size_t)snprintf(text + len, sizeof text - len, "+%lld", (long long)(segment->to_s % segment->step));
    }
    return text;
}

Test(stats_plan, takes_the_longest_steps_and_finer_ones_at_the_ends) {
    ez_stats_edges none = {0};
    cr_assert_str_eq(plan_text(0, 3 * D, D, &none), "d0-3");
    cr_assert_str_eq(plan_text(D - 2 * H - 5 * M, 3 * D + H + M, D, &none), "m1315-1320 h22-24 d1-3 h72-73 m4380-4381");
    cr_assert_str_eq(plan_text(0, 2 * D, H, &none), "h0-48");
    cr_assert_str_eq(plan_text(H, 2 * H + M, M, &none), "m60-121");
    cr_assert_str_eq(plan_text(5 * M, 7 * M, D, &none), "m5-7");
    cr_assert_str_eq(plan_text(-D - M, -D + M, D, &none), "d-2-0"); // before both edges: days
}

Test(stats_plan, is_empty_for_an_empty_range) {
    ez_stats_edges none = {0};
    cr_assert_str_eq(plan_text(H, H, D, &none), "");
    cr_assert_str_eq(plan_text(2 * H, H, D, &none), "");
}

Test(stats_plan, reads_what_is_open_from_the_finer_step) {
    ez_stats_edges edges = {0};
    add_all(&edges, H, 30 * H);
    add_all(&edges, H, 31 * H);
    add_all(&edges, D, D);
    cr_assert_eq(edges.hours.count, 1u, "neighbours are one range");
    cr_assert_str_eq(plan_text(0, 3 * D, D, &edges), "d0-1 h24-30 m1800-1920 h32-48 d2-3");
    cr_assert_str_eq(plan_text(29 * H, 33 * H, D, &edges), "h29-30 m1800-1920 h32-33");
    // An hour may be whole in the days' eyes: then its own edge is of no interest.
    edges.days.count = 0;
    cr_assert_str_eq(plan_text(0, 3 * D, D, &edges), "d0-3");
}

Test(stats_plan, reads_an_open_step_up_to_its_edge) {
    ez_stats_edges edges = {0};
    add(&edges, H, 30 * H, 30 * H + 7 * M);
    add(&edges, D, D, D + 6 * H);
    cr_assert_str_eq(plan_text(0, 30 * H + 9 * M, D, &edges), "d0-1+21600 h30-30+420 m1807-1809");
    cr_assert_str_eq(plan_text(0, 30 * H + 7 * M, D, &edges), "d0-1+21600 h30-30+420", "the range ends at the edge");
    cr_assert_str_eq(plan_text(0, 30 * H + 6 * M, D, &edges), "d0-1+21600 m1800-1806", "and before it");
    cr_assert_str_eq(plan_text(D + M, 30 * H + 9 * M, D, &edges), "m1441-1500 h25-30+420 m1807-1809");
    cr_assert_str_eq(plan_text(30 * H + M, 30 * H + 9 * M, D, &edges), "m1801-1809");
    cr_assert_str_eq(plan_text(29 * H, 32 * H, H, &edges), "h29-30+420 m1807-1860 h31-32");
    cr_assert_str_eq(plan_text(29 * H, 30 * H, H, &edges), "h29-30");
    // Each level has its own edge.
    ez_open_step open = {.step = H, .time_s = 30 * H, .from_s = 30 * H + M, .until_s = 30 * H + 5 * M, .folded = 3};
    ez_stats_edges three = {0}, four = {0};
    ez_stats_edges_add(&three, &open, 3);
    ez_stats_edges_add(&four, &open, 4);
    cr_assert_str_eq(plan_text(30 * H, 31 * H, H, &three), "h30-30+300 m1805-1860");
    cr_assert_str_eq(plan_text(30 * H, 31 * H, H, &four), "h30-30+60 m1801-1860");
}

Test(stats_plan, widens_ends_where_finer_steps_are_not_kept) {
    ez_stats_edges edges = {.hours_from_s = 10 * D, .minutes_from_s = 12 * D + 5 * H};
    cr_assert_str_eq(plan_text(3 * D + 7 * M, 5 * D + M, D, &edges), "d3-6");
    cr_assert_str_eq(plan_text(3 * D + 7 * M, 11 * D + M, D, &edges), "d3-11 h264-265");
    cr_assert_str_eq(plan_text(10 * D + 7 * M, 11 * D, D, &edges), "d10-11");
    cr_assert_str_eq(plan_text(10 * D + H + 7 * M, 11 * D, D, &edges), "h241-264");
    cr_assert_str_eq(plan_text(10 * D + H + 7 * M, 10 * D + H + 8 * M, M, &edges), "h241-242");
    // Up to an edge is not behind it.
    cr_assert_str_eq(plan_text(9 * D, 10 * D, M, &edges), "d9-10");
    cr_assert_str_eq(plan_text(12 * D + 4 * H + M, 12 * D + 5 * H + M, M, &edges), "h292-293 m17580-17581");
    // What is grouped by minutes gets hours and days where there is nothing else.
    cr_assert_str_eq(plan_text(9 * D, 12 * D + 6 * H, M, &edges), "d9-10 h240-293 m17580-17640");
    cr_assert_str_eq(plan_text(9 * D, 12 * D + 6 * H, H, &edges), "d9-10 h240-294");
}

Test(stats_plan, takes_open_rows_where_there_are_no_finer_ones) {
    ez_stats_edges edges = {.hours_from_s = 2 * D, .minutes_from_s = 2 * D + 5 * H};
    add_all(&edges, H, 2 * D + 3 * H);
    add_all(&edges, H, 2 * D + 5 * H);
    add_all(&edges, D, D);
    add_all(&edges, D, 2 * D);
    cr_assert_str_eq(plan_text(0, 3 * D, D, &edges), "d0-2 h48-53 m3180-3240 h54-72");
}

Test(stats_plan, has_a_bound_however_much_is_open) {
    ez_stats_edges edges = {0};
    for (int64_t day = 1; day < 1000; day += 2)
        add_all(&edges, D, day * D);
    for (int64_t hour = 24; hour < 24000; hour += 5)
        add_all(&edges, H, hour * H);
    cr_assert_eq(edges.days.count, (size_t)EZ_STATS_RANGES);
    ez_stats_plan_build(&plan, M, 2000 * D - M, D, &edges);
    cr_assert_leq(plan.count, (size_t)EZ_STATS_SEGMENTS);
    cr_assert_eq(plan.segments[plan.count - 1].step, M);
    for (size_t i = 0; i < plan.count; i++)
        cr_assert(plan.segments[i].step != D || plan.segments[i].to_s <= 31 * D || plan.segments[i].from_s >= 1000 * D);
}

Test(stats_plan, survives_any_numbers) {
    ez_stats_edges none = {0};
    ez_stats_plan_build(&plan, INT64_MIN, INT64_MAX, D, &none);
    cr_assert_gt(plan.count, 0u);
    cr_assert_lt(plan.segments[0].from_s, -(INT64_C(1) << 36));
    cr_assert_gt(plan.segments[plan.count - 1].to_s, INT64_C(1) << 36);
    ez_stats_plan_build(&plan, INT64_MAX - 1, INT64_MAX, M, &none);
    ez_stats_plan_build(&plan, INT64_MIN, INT64_MIN + 1, M, &none);
}

// ---- By chance

#define DAYS 8
typedef struct world {
    ez_stats_edges edges;
    int64_t hour_edge[DAYS * 24], day_edge[DAYS]; // from when on it lacks something
} world;

static int64_t any(int64_t below) {
    return rand() % below;
}

static world any_world(void) {
    world it = {0};
    it.edges.hours_from_s = any(DAYS) * D;
    it.edges.minutes_from_s = it.edges.hours_from_s + any((DAYS * D - it.edges.hours_from_s) / H) * H;
    int odds = (int[]){1000, 12, 3}[any(3)];
    for (int64_t hour = 0; hour < DAYS * 24; hour++) {
        bool is_open = any(odds * 2) == 0 && hour * H >= it.edges.minutes_from_s;
        it.hour_edge[hour] = hour * H + (is_open ? any(60) * M * any(2) : H);
        if (is_open)
            add(&it.edges, H, hour * H, it.hour_edge[hour]);
    }
    for (int64_t day = 0; day < DAYS; day++) {
        bool is_open = any(odds) == 0 && day * D >= it.edges.hours_from_s;
        it.day_edge[day] = day * D + (is_open ? any(24) * H * any(2) : D);
        for (int64_t hour = day * 24; hour < day * 24 + 24; hour++) { // a day has no hour that is open
            if (it.hour_edge[hour] < hour * H + H && it.day_edge[day] > hour * H)
                it.day_edge[day] = hour * H;
        }
        if (it.day_edge[day] < day * D + D)
            add(&it.edges, D, day * D, it.day_edge[day]);
    }
    return it;
}

// Up to when a step's row says what was; its beginning where it may not be used.
static int64_t usable_until(const world *it, int step, int64_t time_s) {
    if (step == M)
        return time_s >= it->edges.minutes_from_s ? time_s + M : time_s;
    if (step == H)
        return time_s >= it->edges.hours_from_s ? it->hour_edge[time_s / H] : time_s;
    return it->day_edge[time_s / D];
}

static void check_segment(const world *it, const ez_stats_segment *segment, int coarsest, int64_t since_s,
                          int64_t until_s) {
    bool is_exact = it->edges.hours.count < EZ_STATS_RANGES && it->edges.days.count < EZ_STATS_RANGES;
    for (int64_t at = segment->from_s; at < segment->to_s; at += segment->step) {
        cr_assert_eq(at % segment->step, 0);
        int64_t end_s = at + segment->step < segment->to_s ? at + segment->step : segment->to_s;
        cr_assert_eq(usable_until(it, segment->step, at), end_s);
        // Not longer than it may be, unless nothing shorter is kept.
        if (segment->step > coarsest)
            cr_assert(at < (segment->step == D ? it->edges.hours_from_s : it->edges.minutes_from_s));
        // Not shorter than it must be.
        int longer = segment->step == M ? H : D;
        int64_t start = at - at % longer;
        if (is_exact && longer <= coarsest && longer > segment->step && start >= since_s) {
            int64_t longer_until_s = usable_until(it, longer, start);
            cr_assert(longer_until_s > until_s || longer_until_s <= at);
        }
    }
}

Test(stats_plan, covers_each_minute_once_from_rows_that_can_be_used) {
    srand(3);
    for (int round = 0; round < 3000; round++) {
        world it = any_world();
        int64_t since_s = any(DAYS * 1440 - 1) * M;
        int64_t until_s = since_s + (1 + any(DAYS * 1440 - since_s / M)) * M;
        if (any(3) == 0)
            since_s -= since_s % H;
        int coarsest = (int[]){M, H, D}[any(3)];
        ez_stats_plan_build(&plan, since_s, until_s, coarsest, &it.edges);
        cr_assert_gt(plan.count, 0u);
        const ez_stats_segment *first = plan.segments, *last = &plan.segments[plan.count - 1];
        // Ends are widened to a step that is kept, by less than one.
        cr_assert(first->from_s <= since_s && first->from_s > since_s - first->step);
        cr_assert(last->to_s >= until_s && last->to_s < until_s + last->step);
        cr_assert(first->from_s == since_s || since_s < it.edges.minutes_from_s);
        cr_assert(last->to_s == until_s || until_s <= it.edges.minutes_from_s);
        for (size_t i = 0; i < plan.count; i++) {
            cr_assert_lt(plan.segments[i].from_s, plan.segments[i].to_s);
            if (i) {
                cr_assert_eq(plan.segments[i].from_s, plan.segments[i - 1].to_s);
                cr_assert_neq(plan.segments[i].step, plan.segments[i - 1].step);
            }
            check_segment(&it, &plan.segments[i], coarsest, first->from_s, last->to_s);
        }
    }
}
