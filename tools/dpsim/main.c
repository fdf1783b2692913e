// SPDX-License-Identifier: Apache-2.0
//
// ez-dpsim: simulates data planes. It enrols them, lets them follow, prints how long changes took to reach them and
// whether all hold what the server holds, and deletes them again; also those that a run left behind when it was killed.
// Exit status: 0 all connected and equal; 1 not so; 2 it could not be tried. Awkward: signals are blocked in all
// threads and waited for in main alone, so that an interrupted run still deletes what it enrolled.
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ez/calls.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/settings.h"
#include "proto/runtime/version.h"
#include "tools/dpsim/fleet.h"
#include "tools/dpsim/roster.h"
#include "tools/dpsim/servers.h"
#include "tools/dpsim/usage.h"

#define CONNECT_NS (30 * 1000000000ull)
#define QUIET_NS   (5 * 1000000000ull)
#define POLL_NS    50000000
#define DRAIN_MS   60000 // for what the server does not have yet at the end; SOON_MS where somebody waits
#define SOON_MS    5000

static const char usage_text[] = "[--planes N] [--seconds S] [--usage R] [--spool DIR] [--json]";
static const ez_setting settings_table[] = {
    {"EZ_PLANES", EZ_SETTING_INT, "100", 1, 20000, "Data planes to simulate.", "N"},
    {"EZ_SECONDS", EZ_SETTING_INT, "10", 0, 86400, "How long to follow once all are connected; 0: until interrupted.",
     "S"},
    {"EZ_JSON", EZ_SETTING_BOOL, "false", 0, 0, "Print one JSON object at the end and nothing else.", NULL},
    {"EZ_USAGE", EZ_SETTING_INT, "0", 0, 200000,
     "Requests a second, in all, that the data planes report: usage and a log record each. They count like any others, "
     "in "
     "quotas too, and stay. At most 1024 planes.",
     "R"},
    {"EZ_SPOOL", EZ_SETTING_TEXT, NULL, 0, 0,
     "Directory for what is reported and not yet sent. The data planes stay enrolled, and the next run goes on as "
     "them.",
     "DIR"},
    {"EZ_TRUTH", EZ_SETTING_TEXT, NULL, 0, 0, "File to keep books of what was reported in; needs EZ_SPOOL.", "FILE"},
    {"EZ_RPC_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7350", 0, 0,
     "Where the control plane answers calls; several servers with commas.", "URL"},
    {"EZ_CONFIG_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7351", 0, 0, "Where it pushes configuration.", "URL"},
    {"EZ_ADMIN_TOKEN", EZ_SETTING_SECRET, NULL, 0, 0, "An admin token, to enrol the data planes with.", NULL},
    {"EZ_ADMIN_TOKEN_FILE", EZ_SETTING_TEXT, NULL, 0, 0,
     "File to read it from where EZ_ADMIN_TOKEN is not set; admin.token in EZ_HOME where this is not set either.",
     "FILE"},
    {"EZ_HOME", EZ_SETTING_TEXT, "./data", 0, 0, "The control plane's directory.", "DIR"},
    {"EZ_LOG_LEVEL", EZ_SETTING_TEXT, "warn", 0, 0, "debug, info, warn or error.", "LEVEL"},
};

typedef struct sim {
    ez_settings *settings;
    ez_client *admin;
    ez_enrolled *planes;
    unsigned count;
    ez_sim_fleet *fleet;
    ez_sim_held held;
    ez_sim_usage *usage; // NULL: nothing is reported
    const char *spool;   // NULL: none
    bool is_kept;        // the planes are in the spool's roster: they stay enrolled
    bool json;
    bool interrupted;
    sigset_t signals;
} sim;

typedef struct outcome {
    ez_sim_state state;
    ez_measure_result measured;
    bool equal;
    uint64_t revision;
    ez_sim_usage_state reported;
    bool is_drained;
} outcome;

// Waits this long for a signal. True: one came.
static bool pause_ns(sim *run, long ns) {
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (!run->interrupted && sigtimedwait(&run->signals, NULL, &time) > 0) {
        run->interrupted = true;
    }
    return run->interrupted;
}

static ez_status read_token(const ez_settings *settings, char *out, size_t size, ez_error *error) {
    const char *token = ez_settings_text(settings, "EZ_ADMIN_TOKEN");
    if (token != NULL && token[0] != '\0') {
        snprintf(out, size, "%s", token);
        return EZ_OK;
    }
    char path[PATH_MAX];
    const char *file = ez_settings_text(settings, "EZ_ADMIN_TOKEN_FILE");
    if (file == NULL || file[0] == '\0') {
        snprintf(path, sizeof path, "%s/admin.token", ez_settings_text(settings, "EZ_HOME"));
        file = path;
    }
    FILE *stream = fopen(file, "re");
    bool ok = stream != NULL && fgets(out, (int)size, stream) != NULL;
    if (stream != NULL) {
        fclose(stream);
    }
    if (!ok) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "TOKEN_MISSING",
                            "EZ_ADMIN_TOKEN is not set and %s can't be read.", file);
    }
    out[strcspn(out, "\r\n")] = '\0';
    return EZ_OK;
}

// A socket for each data plane: the default of 1,024 descriptors is soon used up.
static void raise_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); // what is missing shows as sockets that can't be opened
    }
}

static ez_status open_admin(sim *run, ez_error *error) {
    char token[EZ_CLIENT_TOKEN_MAX + 2];
    ez_status status = read_token(run->settings, token, sizeof token, error);
    if (status == EZ_OK) {
        char name[96];
        snprintf(name, sizeof name, "ez-dpsim/%s", ez_version);
        char room[EZ_SIM_SERVERS_TEXT];
        ez_client_options options = {.token = token, .name = name, .connect_timeout_ms = 5000};
        status = ez_sim_servers(ez_settings_text(run->settings, "EZ_RPC_URL"), room, &options, error);
        status = status != EZ_OK ? status : ez_client_open(&options, &run->admin, error);
    }
    ez_wipe(token, sizeof token);
    return status;
}

static ez_status enrol(sim *run, ez_error *error) {
    ez_status status = ez_enrol_sweep(run->admin, error);
    if (status == EZ_OK) {
        status = ez_enrol_all(run->admin, run->planes, run->count, run->spool != NULL, error);
    }
    if (status == EZ_OK && run->spool != NULL) {
        status = ez_roster_save(run->spool, run->planes, run->count, error);
        run->is_kept = status == EZ_OK;
    }
    return status;
}

static const char *text_or_null(const sim *run, const char *name) {
    const char *text = ez_settings_text(run->settings, name);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static ez_sim_usage_options usage_options(sim *run) {
    return (ez_sim_usage_options){.rpc_url = ez_settings_text(run->settings, "EZ_RPC_URL"),
                                  .planes = run->planes,
                                  .count = run->count,
                                  .rate = (unsigned)ez_settings_int(run->settings, "EZ_USAGE"),
                                  .spool = run->spool,
                                  .truth = text_or_null(run, "EZ_TRUTH"),
                                  .held = &run->held};
}

static bool wants_usage(const ez_sim_usage_options *options) {
    return options->rate > 0 || options->spool != NULL || options->truth != NULL;
}

static ez_status set_up(sim *run, ez_error *error) {
    raise_files();
    run->planes = calloc(run->count, sizeof *run->planes);
    if (run->planes == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for %u data planes.", run->count);
    }
    const ez_sim_usage_options usage = usage_options(run);
    ez_status status = wants_usage(&usage) ? ez_sim_usage_check(&usage, error) : EZ_OK;
    status = status == EZ_OK ? open_admin(run, error) : status;
    bool is_enrolled = false;
    if (status == EZ_OK && run->spool != NULL) {
        status = ez_roster_load(run->spool, run->planes, run->count, &is_enrolled, error);
        run->is_kept = status != EZ_OK || is_enrolled;
    }
    if (status == EZ_OK && !is_enrolled) {
        status = enrol(run, error);
    }
    if (status == EZ_OK) {
        status = ez_sim_fleet_open(ez_settings_text(run->settings, "EZ_RPC_URL"),
                                   ez_settings_text(run->settings, "EZ_CONFIG_URL"), run->planes, run->count,
                                   &run->held, &run->fleet, error);
    }
    return status == EZ_OK && wants_usage(&usage) ? ez_sim_usage_open(&usage, &run->usage, error) : status;
}

static void tear_down(sim *run) {
    ez_sim_usage_close(run->usage);
    ez_sim_fleet_close(run->fleet);
    ez_error error;
    ez_error_clear(&error);
    if (run->admin != NULL && run->planes != NULL && !run->is_kept &&
        ez_enrol_delete_all(run->admin, run->planes, run->count, &error) != EZ_OK) {
        fprintf(stderr, "ez-dpsim: not all simulated data planes could be deleted: %s\n", error.message);
    }
    ez_client_close(run->admin);
    if (run->planes != NULL) {
        ez_wipe(run->planes, run->count * sizeof *run->planes);
    }
    free(run->planes);
}

static void wait_until_live(sim *run) {
    uint64_t deadline = ez_clock_mono_ns() + CONNECT_NS;
    ez_sim_state state;
    do {
        ez_sim_fleet_look(run->fleet, NULL, NULL, &state);
    } while (state.live < run->count && ez_clock_mono_ns() < deadline && !pause_ns(run, POLL_NS));
    if (!run->json) {
        printf("%u of %u data planes are connected\n", state.live, run->count);
        fflush(stdout);
    }
}

static void follow(sim *run) {
    long long seconds = ez_settings_int(run->settings, "EZ_SECONDS");
    for (long long i = 0; (seconds == 0 || i < seconds) && !pause_ns(run, 1000000000); i++) {
        if (!run->json) {
            ez_measure_result measured;
            ez_sim_fleet_measured(run->fleet, &measured);
            printf("%6lld s  %10llu changes  p50 %.1f ms  p99 %.1f ms  max %.1f ms\n", i + 1,
                   (unsigned long long)measured.changes, measured.p50_ms, measured.p99_ms, measured.max_ms);
            fflush(stdout);
        }
    }
}

// Whether all stand where the server stands and hold what it holds, within five seconds of quiet.
static void compare(sim *run, outcome *out) {
    uint64_t deadline = ez_clock_mono_ns() + QUIET_NS;
    const struct timespec poll = {.tv_nsec = POLL_NS};
    for (;;) {
        Ez__V1__GetDigestRequest request = EZ__V1__GET_DIGEST_REQUEST__INIT;
        Ez__V1__GetDigestResponse *digest = NULL;
        ez_error error;
        ez_error_clear(&error);
        ez_status status = ez_call_config_digest(run->admin, &request, NULL, &digest, &error);
        ez_session_revision at = {0};
        const uint8_t *bytes = NULL;
        if (status == EZ_OK && digest->revision != NULL && digest->digest.len == EZ_SESSION_DIGEST_LEN) {
            at = (ez_session_revision){.epoch = digest->revision->epoch, .n = digest->revision->n};
            bytes = digest->digest.data;
        }
        ez_sim_fleet_look(run->fleet, bytes == NULL ? NULL : &at, bytes, &out->state);
        out->revision = at.n;
        out->equal = out->state.equal == run->count;
        if (digest != NULL) {
            ez__v1__get_digest_response__free_unpacked(digest, NULL);
        }
        if (out->equal || ez_clock_mono_ns() >= deadline) {
            if (status != EZ_OK) {
                fprintf(stderr, "ez-dpsim: the server's digest can't be read: %s\n", error.message);
            }
            return;
        }
        nanosleep(&poll, NULL); // until the last changes have arrived
    }
}

// What was reported must be with the server in the end.
static void finish_usage(sim *run, outcome *out) {
    out->is_drained = true;
    if (run->usage != NULL) {
        ez_sim_usage_stop(run->usage);
        out->is_drained = ez_sim_usage_drain(run->usage, run->interrupted ? SOON_MS : DRAIN_MS);
        ez_sim_usage_look(run->usage, &out->reported);
    }
}

static void print_usage_json(const ez_sim_usage_state *reported, bool is_drained) {
    printf(",\"usage\":{\"records\":%llu,\"acknowledged\":%llu,\"waiting\":%llu,\"refused\":%llu,\"skipped\":%llu,"
           "\"repeated\":%llu,\"new_epochs\":%llu,\"damaged\":%llu,\"rejected\":%llu,\"drained\":%s}",
           (unsigned long long)reported->records, (unsigned long long)reported->acknowledged,
           (unsigned long long)reported->waiting, (unsigned long long)reported->refused,
           (unsigned long long)reported->skipped, (unsigned long long)reported->repeated,
           (unsigned long long)reported->new_epochs, (unsigned long long)reported->damaged,
           (unsigned long long)reported->rejected, is_drained ? "true" : "false");
}

static void print_json(const sim *run, const outcome *out) {
    printf("{\"planes\":%u,\"connected\":%u,\"changes_applied\":%llu,\"changes_unmeasured\":%llu,"
           "\"convergence_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},\"digests_equal\":%s,\"revision\":%llu,"
           "\"events_lost\":%llu,\"fetches\":%llu,\"snapshots\":%llu",
           run->count, out->state.live, (unsigned long long)out->measured.changes,
           (unsigned long long)out->measured.unmeasured, out->measured.p50_ms, out->measured.p99_ms,
           out->measured.max_ms, out->equal ? "true" : "false", (unsigned long long)out->revision,
           (unsigned long long)out->state.events_lost, (unsigned long long)out->state.fetches,
           (unsigned long long)out->state.snapshots);
    if (run->usage != NULL) {
        print_usage_json(&out->reported, out->is_drained);
    }
    printf("}\n");
}

static void print_text(const sim *run, const outcome *out) {
    printf("%u of %u data planes connected; %llu changes applied; p50 %.1f ms, p99 %.1f ms, max %.1f ms; %u of %u hold "
           "what "
           "the server holds at revision %llu\n",
           out->state.live, run->count, (unsigned long long)out->measured.changes, out->measured.p50_ms,
           out->measured.p99_ms, out->measured.max_ms, out->state.equal, run->count, (unsigned long long)out->revision);
    if (run->usage != NULL) {
        printf("%llu requests reported; the server acknowledged %llu log records meanwhile; %llu batches wait\n",
               (unsigned long long)out->reported.records, (unsigned long long)out->reported.acknowledged,
               (unsigned long long)out->reported.waiting);
    }
}

static int simulate(sim *run) {
    ez_error error;
    ez_error_clear(&error);
    int code = 2;
    if (set_up(run, &error) == EZ_OK) {
        outcome out = {0};
        wait_until_live(run);
        ez_sim_fleet_begin(run->fleet);
        follow(run);
        ez_sim_fleet_measured(run->fleet, &out.measured);
        finish_usage(run, &out);
        compare(run, &out);
        if (run->json) {
            print_json(run, &out);
        } else {
            print_text(run, &out);
        }
        fflush(stdout);
        code = out.equal && out.state.live == run->count && out.is_drained ? 0 : 1;
        if (code != 0) {
            fprintf(stderr, "ez-dpsim: of %u data planes %u are connected and %u hold what the server holds%s\n",
                    run->count, out.state.live, out.state.equal, out.is_drained ? "" : "; reports were left over");
        }
    } else {
        fprintf(stderr, "ez-dpsim: %s\n", error.message);
    }
    tear_down(run);
    return code;
}

// The data planes stand for as many machines. On this one, waking them must not take the processor away from the server
// they measure: such threads are woken without that (sched(7)). It is a kindness, and needs no right; if it is refused,
// nothing is lost but it.
static void give_way(void) {
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}

int main(int argc, char **argv) {
    sim run = {0};
    sigemptyset(&run.signals);
    sigaddset(&run.signals, SIGINT);
    sigaddset(&run.signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &run.signals, NULL);
    ez_error error = EZ_ERROR_INIT;
    int rest;
    bool done = false;
    ez_status status =
        ez_settings_open("ez-dpsim", usage_text, settings_table, sizeof settings_table / sizeof settings_table[0], argc,
                         argv, &run.settings, &rest, &done, &error);
    if (status == EZ_OK && !done && rest < argc) {
        status =
            ez_error_set(&error, EZ_INVALID_ARGUMENT, "OPERAND", "\"%s\" is not understood; see --help.", argv[rest]);
    }
    if (status != EZ_OK) {
        fprintf(stderr, "ez-dpsim: %s\n", error.message);
        ez_settings_close(run.settings);
        return 2;
    }
    int code = 0;
    if (!done) {
        give_way();
        ez_log_init("ez-dpsim", ez_settings_text(run.settings, "EZ_LOG_LEVEL"));
        run.json = ez_settings_bool(run.settings, "EZ_JSON");
        run.count = (unsigned)ez_settings_int(run.settings, "EZ_PLANES");
        run.spool = text_or_null(&run, "EZ_SPOOL");
        ez_sim_held_init(&run.held);
        code = simulate(&run);
        ez_sim_held_fini(&run.held);
    }
    ez_settings_close(run.settings);
    return code;
}
