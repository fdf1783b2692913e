// SPDX-License-Identifier: Apache-2.0
//
// Reporting planes. The thread owns traffic and truth from open to stop. Awkward: a step is written to the truth log
// before any of it is handed over, and the next one is not begun before this one is synced, however long that takes: so
// at most one step of each plane is in doubt when the process is killed, and its note tells. For that the reporters
// make batches on sync only.
#include "tools/dpsim/usage.h"
#include "tools/dpsim/servers.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/version.h"
#include "tools/dpsim/traffic.h"
#include "tools/dpsim/truth.h"

#define STEP_MS         100
#define SYNC_MS         10000
#define PLANES_A_CLIENT 128
#define CLIENTS_MAX     (EZ_SIM_REPORTERS_MAX / PLANES_A_CLIENT)
#define MS              1000000ull

typedef struct sim_reporter {
    ez_reporter *reporter;
    uint64_t note;            // of its last step
    uint64_t ticket;          // of the sync under way
    bool has_usage, has_logs; // what of the step under way was handed over already
    unsigned logs_added;
    bool is_synced;
    ez_traffic *traffic;
    ez_truth_step step;
} sim_reporter;

struct ez_sim_usage {
    ez_sim_usage_options options;
    ez_client *clients[CLIENTS_MAX];
    unsigned client_count;
    sim_reporter *planes;
    ez_truth *truth;
    ez_sim_held held; // the thread's copy
    double owed;      // records, by the clock
    unsigned turn;    // the plane that gets the next odd record
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    // Shared:
    bool stop;
    uint64_t records;
};

// ---- Handing over ----

// False: there is no room; what was not taken is handed over again.
static bool hand_over(sim_reporter *plane) {
    ez_error error;
    ez_error_clear(&error);
    if (!plane->has_usage) {
        plane->has_usage = ez_usage_add(plane->reporter, plane->step.usage, plane->step.usage_count, &error) == EZ_OK;
    }
    while (plane->has_usage && plane->logs_added < plane->traffic->record_count) {
        if (ez_log_add(plane->reporter, &plane->traffic->records[plane->logs_added], &error) != EZ_OK) {
            return false;
        }
        plane->logs_added++;
    }
    return plane->has_usage;
}

static bool is_stopping(ez_sim_usage *usage) {
    pthread_mutex_lock(&usage->mutex);
    bool stop = usage->stop;
    pthread_mutex_unlock(&usage->mutex);
    return stop;
}

// Hands over what is not and syncs what is, all planes at once. Returns how many are through.
static unsigned sync_all(ez_sim_usage *usage) {
    unsigned through = 0;
    for (unsigned i = 0; i < usage->options.count; i++) {
        sim_reporter *plane = &usage->planes[i];
        plane->ticket =
            plane->is_synced || !hand_over(plane) ? 0 : ez_reporter_sync_begin(plane->reporter, plane->note);
    }
    for (unsigned i = 0; i < usage->options.count; i++) {
        sim_reporter *plane = &usage->planes[i];
        if (plane->ticket != 0) {
            ez_status status = ez_reporter_sync_wait(plane->reporter, plane->ticket, SYNC_MS, NULL);
            // Without a spool what was handed over is all there is to say.
            plane->is_synced = status == EZ_OK || (usage->options.spool == NULL && status == EZ_FAILED_PRECONDITION);
            if (plane->is_synced && usage->truth != NULL) {
                ez_truth_end(usage->truth, plane->step.plane, plane->note, true, true);
            }
        }
        through += plane->is_synced;
    }
    return through;
}

static void pause_ms(ez_sim_usage *usage, uint32_t ms) {
    uint64_t until = ez_clock_mono_ns() + ms * MS;
    const struct timespec at = {.tv_sec = (time_t)(until / (1000 * MS)), .tv_nsec = (long)(until % (1000 * MS))};
    pthread_mutex_lock(&usage->mutex);
    while (!usage->stop && ez_clock_mono_ns() < until) {
        pthread_cond_timedwait(&usage->wake, &usage->mutex, &at);
    }
    pthread_mutex_unlock(&usage->mutex);
}

// Makes each plane's share of what is owed and writes it to the truth log.
static ez_status make_steps(ez_sim_usage *usage, uint64_t *records, ez_error *error) {
    unsigned count = usage->options.count, due = (unsigned)usage->owed;
    usage->owed -= due;
    *records = 0;
    for (unsigned i = 0; i < count; i++) {
        sim_reporter *plane = &usage->planes[i];
        unsigned share = due / count + ((i + count - usage->turn % count) % count < due % count);
        plane->step = (ez_truth_step){.plane = usage->options.planes[i].id, .note = plane->note + 1};
        ez_traffic_step(plane->traffic, &usage->held, share, &plane->step);
        *records += plane->traffic->record_count;
        plane->is_synced = share == 0;
        plane->has_usage = false;
        plane->logs_added = 0;
        plane->note += share > 0;
        if (share > 0 && usage->truth != NULL) {
            ez_truth_begin(usage->truth, &plane->step);
        }
    }
    usage->turn += due % count;
    return usage->truth == NULL ? EZ_OK : ez_truth_commit(usage->truth, true, error);
}

// One step of all planes. False: it is over, or the books can't be kept.
static bool do_step(ez_sim_usage *usage) {
    uint64_t records;
    ez_error error;
    ez_error_clear(&error);
    if (make_steps(usage, &records, &error) != EZ_OK) {
        ez_log_error("usage is no longer simulated", "reason", error.message);
        return false;
    }
    while (sync_all(usage) < usage->options.count) {
        if (is_stopping(usage)) {
            return false; // the next process says what came of it
        }
        pause_ms(usage, STEP_MS);
    }
    pthread_mutex_lock(&usage->mutex);
    usage->records += records;
    pthread_mutex_unlock(&usage->mutex);
    // Ends go with the next begins; a lost one can be made again.
    return true;
}

static void *run(void *user) {
    ez_sim_usage *usage = user;
    uint64_t last = ez_clock_mono_ns();
    bool goes_on = usage->options.rate > 0;
    while (goes_on && !is_stopping(usage)) {
        pause_ms(usage, STEP_MS);
        uint64_t now = ez_clock_mono_ns();
        double more = (double)(now - last) / 1e9 * usage->options.rate;
        // What a slow disk kept it from making is not made up for beyond a second's worth.
        usage->owed += more < usage->options.rate ? more : usage->options.rate;
        last = now;
        if (ez_sim_held_read(usage->options.held, &usage->held)) {
            goes_on = do_step(usage);
        } else {
            usage->owed = 0;
        }
    }
    if (usage->truth != NULL) {
        ez_status status = ez_truth_commit(usage->truth, true, NULL);
        (void)status; // ends only
    }
    return NULL;
}

// ---- Opening ----

// What the process before this one did not live to write.
static void settle(ez_sim_usage *usage, sim_reporter *plane, int64_t id) {
    ez_reporter_info info;
    ez_reporter_get_info(plane->reporter, &info);
    uint64_t noted = info.streams[EZ_REPORT_USAGE].note, logged = info.streams[EZ_REPORT_LOGS].note;
    plane->note = noted > logged ? noted : logged;
    if (usage->truth != NULL) {
        bool is_open;
        uint64_t last = ez_truth_last(usage->truth, id, &is_open);
        plane->note = last > plane->note ? last : plane->note;
        if (is_open) {
            ez_truth_end(usage->truth, id, last, noted >= last, logged >= last);
        }
    }
}

static ez_status open_plane(ez_sim_usage *usage, unsigned at, ez_error *error) {
    sim_reporter *plane = &usage->planes[at];
    const ez_enrolled *enrolled = &usage->options.planes[at];
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/%" PRId64, usage->options.spool == NULL ? "" : usage->options.spool, enrolled->id);
    ez_reporter_options options;
    ez_reporter_options_init(&options);
    options.client = usage->clients[at / PLANES_A_CLIENT];
    options.token = enrolled->token;
    options.spool_dir = usage->options.spool == NULL ? NULL : dir;
    options.flush_ms = EZ_REPORTER_ON_SYNC;
    plane->traffic = malloc(sizeof *plane->traffic);
    if (plane->traffic == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for simulated traffic.");
    }
    ez_traffic_init(plane->traffic, (uint64_t)ez_clock_wall_ns() * (at + 1));
    ez_status status = ez_reporter_open(&options, &plane->reporter, error);
    if (status == EZ_OK) {
        settle(usage, plane, enrolled->id);
    }
    return status;
}

static ez_status open_clients(ez_sim_usage *usage, ez_error *error) {
    char name[96];
    snprintf(name, sizeof name, "ez-dpsim/%s", ez_version);
    unsigned wanted = (usage->options.count + PLANES_A_CLIENT - 1) / PLANES_A_CLIENT;
    char room[EZ_SIM_SERVERS_TEXT];
    ez_client_options options = {.name = name, .max_in_flight = 2 * PLANES_A_CLIENT};
    ez_status status = ez_sim_servers(usage->options.rpc_url, room, &options, error);
    for (; status == EZ_OK && usage->client_count < wanted; usage->client_count++) {
        status = ez_client_open(&options, &usage->clients[usage->client_count], error);
        if (status != EZ_OK) {
            return status;
        }
    }
    return status;
}

static ez_status build(ez_sim_usage *usage, ez_error *error) {
    ez_status status = open_clients(usage, error);
    if (status == EZ_OK && usage->options.truth != NULL) {
        status = ez_truth_open(usage->options.truth, &usage->truth, error);
    }
    for (unsigned i = 0; i < usage->options.count && status == EZ_OK; i++) {
        status = open_plane(usage, i, error);
    }
    if (status == EZ_OK && usage->truth != NULL) {
        status = ez_truth_commit(usage->truth, true, error);
    }
    if (status == EZ_OK) {
        usage->has_thread = pthread_create(&usage->thread, NULL, run, usage) == 0;
        status = usage->has_thread ? EZ_OK
                                   : ez_error_set(error, EZ_UNAVAILABLE, "NO_THREAD",
                                                  "The thread that simulates usage can't be started.");
    }
    return status;
}

ez_status ez_sim_usage_check(const ez_sim_usage_options *options, ez_error *error) {
    if (options->count > EZ_SIM_REPORTERS_MAX || options->count == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PLANES_INVALID", "Usage is simulated for 1 to %d data planes.",
                            EZ_SIM_REPORTERS_MAX);
    }
    if (options->truth != NULL && options->spool == NULL) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TRUTH_INVALID", "A truth log needs a spool: EZ_SPOOL.");
    }
    return EZ_OK;
}

ez_status ez_sim_usage_open(const ez_sim_usage_options *options, ez_sim_usage **out, ez_error *error) {
    ez_sim_usage *usage = calloc(1, sizeof *usage);
    if (usage == NULL || (usage->planes = calloc(options->count, sizeof *usage->planes)) == NULL) {
        free(usage);
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for %u reporters.", options->count);
    }
    usage->options = *options;
    pthread_mutex_init(&usage->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&usage->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    ez_status status = build(usage, error);
    if (status != EZ_OK) {
        ez_sim_usage_close(usage);
        return status;
    }
    *out = usage;
    return EZ_OK;
}

// ---- The end ----

void ez_sim_usage_stop(ez_sim_usage *usage) {
    pthread_mutex_lock(&usage->mutex);
    usage->stop = true;
    pthread_cond_signal(&usage->wake);
    pthread_mutex_unlock(&usage->mutex);
    if (usage->has_thread) {
        pthread_join(usage->thread, NULL);
        usage->has_thread = false;
    }
}

bool ez_sim_usage_drain(ez_sim_usage *usage, uint32_t timeout_ms) {
    uint64_t deadline = ez_clock_mono_ns() + timeout_ms * MS;
    bool is_drained = true;
    for (unsigned i = 0; i < usage->options.count; i++) {
        uint64_t now = ez_clock_mono_ns();
        uint32_t left = now < deadline ? (uint32_t)((deadline - now) / MS) : 0;
        is_drained = ez_reporter_drain(usage->planes[i].reporter, left, NULL) == EZ_OK && is_drained;
    }
    return is_drained;
}

void ez_sim_usage_close(ez_sim_usage *usage) {
    if (usage == NULL) {
        return;
    }
    ez_sim_usage_stop(usage);
    for (unsigned i = 0; i < usage->options.count; i++) {
        ez_reporter_close(usage->planes[i].reporter);
        free(usage->planes[i].traffic);
    }
    for (unsigned i = 0; i < usage->client_count; i++) {
        ez_client_close(usage->clients[i]);
    }
    ez_truth_close(usage->truth);
    pthread_cond_destroy(&usage->wake);
    pthread_mutex_destroy(&usage->mutex);
    free(usage->planes);
    free(usage);
}

void ez_sim_usage_look(ez_sim_usage *usage, ez_sim_usage_state *out) {
    *out = (ez_sim_usage_state){0};
    for (unsigned i = 0; i < usage->options.count; i++) {
        ez_reporter_info info;
        ez_reporter_get_info(usage->planes[i].reporter, &info);
        for (ez_report_stream s = 0; s < EZ_REPORT_STREAMS; s++) {
            out->waiting += info.streams[s].batches_waiting;
            out->refused += info.streams[s].refused;
            out->skipped += info.streams[s].server_skipped;
            out->repeated += info.streams[s].repeated;
            out->new_epochs += info.streams[s].new_epochs;
            out->damaged += info.streams[s].damaged;
            out->rejected += info.streams[s].rejected_batches;
        }
        out->acknowledged += info.streams[EZ_REPORT_LOGS].rows_acknowledged;
    }
    pthread_mutex_lock(&usage->mutex);
    out->records = usage->records;
    pthread_mutex_unlock(&usage->mutex);
}
