// SPDX-License-Identifier: Apache-2.0
//
// Three servers on a PostgreSQL of their own, writers and readers at all of them, and everything that goes wrong, drawn
// from a seed: servers killed and started again, stopped past their lease, cut off from the database; connections
// ended, the database crashing. No revision is lost, repeated or out of order. EZ_HISTORY_ROUNDS (2) rounds, from
// EZ_HISTORY_SEED (1) on; a round that fails says its seed.
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "tests/fault/support/forwarder.h"
#include "tests/fault/support/history.h"
#include "tests/fault/support/own_postgres.h"

#define ROUND_MS 4000 // of faults
#define CUT      2    // the server that a line leads from to its database

static ez_world worlds[EZ_HISTORY_SERVERS];
static ez_history history;
static ez_forwarder *line;
static uint64_t stopped_until[EZ_HISTORY_SERVERS]; // 0: runs
static uint64_t cut_until;
static uint64_t seed;
static bool has_crashed;

static uint64_t draw(uint64_t below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static uint64_t number_from(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void begin(void) {
    static const char *const env[] = {"EZ_LEASE_SECONDS=2", NULL};
    given_world(&worlds[0], env);
    for (int i = 1; i < EZ_HISTORY_SERVERS; i++) {
        given_second_server(&worlds[i].server, &worlds[0].server);
        given_callers(&worlds[i]);
    }
    char through[EZ_TEST_URL_MAX];
    line = given_forwarder(worlds[0].server.database, through, sizeof through);
    stop_server(&worlds[CUT].server);
    snprintf(worlds[CUT].server.store, sizeof worlds[CUT].server.store, "%s", through);
    start_server(&worlds[CUT].server);
    await_answers(&worlds[CUT]);
    memset(stopped_until, 0, sizeof stopped_until);
    cut_until = 0;
    has_crashed = false;
}

static void end(void) {
    for (int i = EZ_HISTORY_SERVERS; i-- > 0;)
        end_world(&worlds[i]);
    end_forwarder(line);
}

// ---- What goes wrong

static void go_on(int i) {
    if (stopped_until[i])
        signal_process(&worlds[i].server.process, SIGCONT);
    stopped_until[i] = 0;
}

static void heal(uint64_t now) {
    for (int i = 0; i < EZ_HISTORY_SERVERS; i++) {
        if (stopped_until[i] && now >= stopped_until[i])
            go_on(i);
    }
    if (cut_until && now >= cut_until) {
        open_forwarder(line);
        cut_until = 0;
    }
}

static void stop_for_a_while(int i) {
    if (stopped_until[i])
        return;
    signal_process(&worlds[i].server.process, SIGSTOP);
    // Often longer than the lease.
    stopped_until[i] = ez_clock_mono_ms() + 20 + draw(draw(2) ? 3000 : 300);
}

static void kill_and_start(int i) {
    kill_server(&worlds[i].server);
    stopped_until[i] = 0;
    if (i == CUT && cut_until) { // it could not start
        open_forwarder(line);
        cut_until = 0;
    }
    // A start gives up after some seconds; how long a crashed database takes is not what is asked here.
    expect_soon(PQping(worlds[0].server.database) == PQPING_OK);
    start_server(&worlds[i].server);
}

static void cut_off(void) {
    if (cut_until)
        return;
    close_forwarder(line);
    cut_until = ez_clock_mono_ms() + 50 + draw(1000);
}

// Where the database recovers there are none.
static void end_all_connections(void) {
    PGconn *conn = PQconnectdb(worlds[0].server.database);
    PQclear(PQexec(conn,
                   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
                   "pid <> pg_backend_pid()"));
    PQfinish(conn);
}

static void do_harm(void) {
    int i = (int)draw(EZ_HISTORY_SERVERS);
    switch (draw(10)) {
    case 0:
    case 1:
    case 2:
        kill_and_start(i);
        break;
    case 3:
    case 4:
    case 5:
        stop_for_a_while(i);
        break;
    case 6:
    case 7:
        cut_off();
        break;
    case 8:
        if (!has_crashed)
            crash_own_postgres();
        has_crashed = true;
        break;
    default:
        end_all_connections();
        break;
    }
}

static bool answers(ez_world *w) {
    return try_call(&w->admin, NULL, "Masters/List", "{'page_size':1}") == EZ_OK;
}

static void run_round(uint64_t number) {
    seed = number * 0x9e3779b97f4a7c15u + 1;
    begin();
    given_history(&history, worlds, number);
    uint64_t until = ez_clock_mono_ms() + ROUND_MS;
    for (uint64_t now; (now = ez_clock_mono_ms()) < until;) {
        heal(now);
        expect_no_fault(&history);
        nanosleep(&(struct timespec){.tv_nsec = (long)(20 + draw(150)) * 1000000}, NULL); // between faults
        do_harm();
    }
    heal(UINT64_MAX);
    for (int i = 0; i < EZ_HISTORY_SERVERS; i++)
        expect_soon(answers(&worlds[i]));
    expect_true_history(&history);
    end_history(&history);
    uint64_t repeats = 0;
    for (int i = 0; i < EZ_HISTORY_WRITERS; i++)
        repeats += history.writers[i].repeats;
    fprintf(stderr, "history %llu: %llu changes, %llu attempts repeated\n", (unsigned long long)number,
            (unsigned long long)history.acknowledged, (unsigned long long)repeats);
    end();
}

Test(history, no_revision_is_lost_repeated_or_reordered, .timeout = 7200) {
    need_postgres();
    given_own_postgres();
    uint64_t first = number_from("EZ_HISTORY_SEED", 1), rounds = number_from("EZ_HISTORY_ROUNDS", 2);
    for (uint64_t number = first; number < first + rounds; number++) {
        fprintf(stderr, "history %llu begins\n", (unsigned long long)number);
        run_round(number);
    }
    end_own_postgres();
}
