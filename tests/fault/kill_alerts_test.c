// SPDX-License-Identifier: Apache-2.0
//
// kill -9 while data planes report, again and again. Each repeats a report until it is acknowledged and keeps its own
// books; in the end each trouble is one alert, its count is that of the books, and the audit has one entry for each.
// EZ_FAULT_ROUNDS: how many kills (5); EZ_FAULT_SEED: of the moments they come at.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ez/v1/alert.pb-c.h"
#include "tests/integration/support/world.h"

#define ROUNDS   5
#define PLANES   4
#define TROUBLES 10
#define TRY_MS   2000

typedef struct reporter {
    pthread_t thread;
    ez_client *client;
    unsigned seed;
    uint64_t epoch;
    _Atomic uint64_t acknowledged;
    int64_t counts[TROUBLES]; // what was acknowledged
    ez_error error;           // what was neither OK nor to be tried again
} reporter;

static ez_world w;
static reporter reporters[PLANES];
static atomic_bool is_over;

static void begin(void) {
    given_world(&w, NULL);
    for (int i = 0; i < PLANES; i++) {
        char name[16];
        snprintf(name, sizeof name, "plane-%d", i);
        reporters[i] = (reporter){.seed = (unsigned)i, .epoch = 100 + (uint64_t)i};
        ez_client_options options = {.servers = {w.server.rpc_url},
                                     .server_count = 1,
                                     .token = given_plane(&w.admin, name)->token,
                                     .timeout_ms = TRY_MS};
        expect_ok(ez_client_open(&options, &reporters[i].client, &w.admin.error), &w.admin.error);
    }
}

static void end(void) {
    for (int i = 0; i < PLANES; i++)
        ez_client_close(reporters[i].client);
    end_world(&w);
}

TestSuite(kill_alerts, .init = begin, .fini = end, .timeout = 600);

// Until it is acknowledged. False: it was refused.
static bool send(reporter *r, const Ez__V1__ReportAlertsRequest *request) {
    static const char name[] = "ez.v1.Alerts/Report";
    ez_call_options options = {.max_retries = -1};
    ez_status status;
    do {
        ez_error_clear(&r->error);
        status =
            ez_client_call(r->client, ez_method_find(name, sizeof name - 1), &request->base, &options, NULL, &r->error);
    } while (status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED || status == EZ_RESOURCE_EXHAUSTED);
    return status == EZ_OK;
}

static void *run(void *user) {
    reporter *r = user;
    for (uint64_t sequence = 1; !atomic_load(&is_over); sequence++) {
        Ez__V1__ReportAlertsRequest request = EZ__V1__REPORT_ALERTS_REQUEST__INIT;
        Ez__V1__AlertReport rows[TROUBLES], *list[TROUBLES];
        int which[TROUBLES];
        request.epoch = r->epoch;
        request.sequence = sequence;
        request.alerts = list;
        request.n_alerts = 1 + (size_t)rand_r(&r->seed) % TROUBLES;
        for (size_t i = 0; i < request.n_alerts; i++) {
            which[i] = rand_r(&r->seed) % TROUBLES;
            ez__v1__alert_report__init(&rows[i]);
            rows[i].type = EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM;
            rows[i].related_type = (char *)"trouble";
            rows[i].related_id = 1 + which[i];
            list[i] = &rows[i];
        }
        if (!send(r, &request))
            return NULL;
        for (size_t i = 0; i < request.n_alerts; i++)
            r->counts[which[i]]++;
        atomic_fetch_add(&r->acknowledged, 1);
    }
    return r;
}

static uint64_t acknowledged(void) {
    uint64_t sum = 0;
    for (int i = 0; i < PLANES; i++)
        sum += atomic_load(&reporters[i].acknowledged);
    return sum;
}

static void await_reports(uint64_t more) {
    uint64_t until = acknowledged() + more;
    expect_soon(acknowledged() >= until);
}

static void expect_books_to_agree(void) {
    const Ez__V1__ListAlertsResponse *all = ask(&w.admin, "Alerts/List", "{}");
    cr_assert_eq(all->n_items, TROUBLES);
    for (size_t i = 0; i < all->n_items; i++) {
        const Ez__V1__Alert *alert = all->items[i];
        int64_t count = 0;
        for (int p = 0; p < PLANES; p++)
            count += reporters[p].counts[alert->related_id - 1];
        cr_assert_eq(alert->count, count, "trouble %lld: %lld of %lld", (long long)alert->related_id,
                     (long long)alert->count, (long long)count);
        const Ez__V1__ListAuditResponse *entries =
            ask(&w.admin, "Audit/List", "{'resource':'alert:%" PRId64 "'}", alert->id);
        cr_assert_eq(entries->n_items, 1);
    }
    const Ez__V1__AlertStats *stats = ask(&w.admin, "Alerts/GetStats", "{}");
    cr_assert_eq(stats->total, TROUBLES);
}

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

Test(kill_alerts, nothing_is_lost_and_nothing_counts_twice) {
    long rounds = number_of("EZ_FAULT_ROUNDS", ROUNDS);
    unsigned seed = (unsigned)number_of("EZ_FAULT_SEED", (long)time(NULL));
    for (int i = 0; i < PLANES; i++)
        cr_assert_eq(pthread_create(&reporters[i].thread, NULL, run, &reporters[i]), 0);
    for (long round = 1; round <= rounds; round++) {
        await_reports(5 + (uint64_t)rand_r(&seed) % 100);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 3000000}, NULL); // anywhere within a commit
        kill_server(&w.server);
        start_server(&w.server);
    }
    await_reports(200);
    atomic_store(&is_over, true);
    for (int i = 0; i < PLANES; i++) {
        void *went_well;
        pthread_join(reporters[i].thread, &went_well);
        cr_assert_not_null(went_well, "%s: %s", reporters[i].error.reason, reporters[i].error.message);
    }
    await_answers(&w);
    expect_books_to_agree();
}
