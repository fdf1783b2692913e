// SPDX-License-Identifier: Apache-2.0
//
// Flags, the file, the plan, batch after batch, the report.
//
// The awkward cases. A master's new key is in one reply and nowhere else: the credentials file is made before the first
// row is handed over and follows each batch. And an import that ends in the middle: what is in is in, so it says so,
// shows its keys and ends with 1; only where nothing was written does it end with 2.
#include "server/import_command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/log.h"
#include "server/import_credentials.h"
#include "server/import_report.h"
#include "server/import_sink.h"
#include "server/settings.h"

#define BATCH_MEMORY_MAX (256u << 20)

typedef struct arguments {
    const char *file;
    const char *credentials_file;
    bool dry_run, overwrite, include_bindings, json, help;
} arguments;

typedef struct importing {
    arguments arguments;
    ez_import_report *report;
    ez_import_credentials *credentials;
    ez_import_sink *sink;
    ez_plan *plan;
    bool is_begun; // a batch is in, or may be
    bool is_lost;  // a master's key could not be kept
    bool shows_progress;
    size_t done[EZ_PLAN_KINDS];
} importing;

static const char usage[] =
    "usage: ezplaned import [--dry-run] [--conflict skip|overwrite] [--include-bindings] [--output text|json]\n"
    "                       [--credentials-file FILE] FILE\n"
    "\n"
    "Loads an export of another gateway into the store that EZ_HOME and EZ_STORE name: through the server that runs\n"
    "there, if one does (EZ_ADMIN_TOKEN or EZ_HOME/admin.token), else by itself.\n"
    "\n"
    "  --dry-run                 check everything, write nothing, print the same summary\n"
    "  --conflict skip|overwrite what has the same name already: leave it (default), or make it as the file says\n"
    "  --include-bindings        also bind the file's models\n"
    "  --output text|json        form of the summary\n"
    "  --credentials-file FILE   new master keys go to this new file (mode 0600) instead of the terminal\n"
    "\n"
    "Exit status: 0 done; 1 some rows failed, the rest is in; 2 nothing was written.\n";

static bool choose(const char *flag, const char *value, const char *no, const char *yes, bool *out) {
    *out = strcmp(value, yes) == 0;
    if (!*out && strcmp(value, no) != 0) {
        fprintf(stderr, "ezplaned import: --%s is \"%s\": it may be %s or %s\n", flag, value, no, yes);
        return false;
    }
    return true;
}

static bool parse(int argc, char **argv, arguments *out) {
    static const struct option flags[] = {{"dry-run", no_argument, NULL, 'd'},
                                          {"conflict", required_argument, NULL, 'c'},
                                          {"include-bindings", no_argument, NULL, 'b'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"credentials-file", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int flag;
    bool ok = true;
    while (ok && (flag = getopt_long(argc, argv, "o:h", flags, NULL)) != -1) {
        switch (flag) {
        case 'd':
            out->dry_run = true;
            break;
        case 'c':
            ok = choose("conflict", optarg, "skip", "overwrite", &out->overwrite);
            break;
        case 'b':
            out->include_bindings = true;
            break;
        case 'o':
            ok = choose("output", optarg, "text", "json", &out->json);
            break;
        case 'f':
            out->credentials_file = optarg;
            break;
        case 'h':
            out->help = true;
            return true;
        default:
            ok = false;
        }
    }
    if (ok && optind != argc - 1) {
        fprintf(stderr, "ezplaned import: name one file: ezplaned import FILE (see --help)\n");
        ok = false;
    }
    out->file = ok ? argv[optind] : NULL;
    return ok;
}

static void on_failed(void *user, ez_plan_kind kind, int64_t index, const char *reason) {
    importing *run = user;
    ez_import_report_failed(run->report, kind, index, reason);
}

static void on_warned(void *user, const char *text) {
    importing *run = user;
    ez_import_report_warned(run->report, text);
}

// ---- Batches

static const char *master_of(const Ez__V1__ImportRow *row) {
    return row->row_case == EZ__V1__IMPORT_ROW__ROW_MASTER ? row->master->name : "";
}

static void take_result(importing *run, ez_plan_kind kind, const Ez__V1__ImportRow *row,
                        const Ez__V1__ImportResult *result) {
    if (result->outcome == EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED) {
        ez_import_report_failed(run->report, kind, result->index, result->reason);
    } else {
        ez_import_report_outcome(run->report, kind, result->outcome);
    }
    if (result->warning[0] != '\0') {
        ez_import_report_warned(run->report, result->warning);
    }
    if (result->master_key[0] != '\0' && !run->arguments.dry_run &&
        !ez_import_credentials_add(run->credentials, master_of(row), result->master_key)) {
        run->is_lost = true;
    }
}

static void take_results(importing *run, ez_plan_kind kind, const Ez__V1__ApplyImportRequest *request,
                         const Ez__V1__ApplyImportResponse *reply) {
    ez_error error = EZ_ERROR_INIT;
    for (size_t i = 0; i < reply->n_results && i < request->n_rows; i++) {
        if (reply->results[i]->index >= 0) { // else only brought along
            take_result(run, kind, request->rows[i], reply->results[i]);
            run->done[kind]++;
        }
    }
    if (ez_import_credentials_sync(run->credentials, &error) != EZ_OK) {
        fprintf(stderr, "ezplaned import: %s: the new master keys are shown at the end\n", error.message);
    }
}

static void show_progress(const importing *run, ez_plan_kind kind) {
    if (run->shows_progress) {
        fprintf(stderr, "\r%-16s %zu of %zu\033[K", ez_plan_kind_name(kind), run->done[kind],
                ez_plan_count(run->plan, kind));
    }
}

// *more false at the end.
static ez_status run_batch(importing *run, bool *more, ez_error *error) {
    ez_arena arena;
    ez_plan_kind kind = EZ_PLAN_NAMESPACES;
    Ez__V1__ApplyImportRequest *request = NULL;
    Ez__V1__ApplyImportResponse *reply = NULL;
    ez_arena_init(&arena, BATCH_MEMORY_MAX);
    ez_status status = ez_plan_next(run->plan, &arena, &kind, &request, error);
    *more = status == EZ_OK && request != NULL;
    if (*more) {
        status = ez_import_sink_apply(run->sink, request, run->arguments.dry_run, &arena, &reply, error);
        run->is_begun = run->is_begun || status == EZ_OK || ez_import_sink_is_unknown(error);
    }
    if (status == EZ_OK && *more) {
        take_results(run, kind, request, reply);
        show_progress(run, kind);
    }
    ez_arena_fini(&arena);
    return status;
}

static ez_status run_batches(importing *run, ez_error *error) {
    bool more = true;
    ez_status status = EZ_OK;
    while (status == EZ_OK && more) {
        status = run_batch(run, &more, error);
    }
    if (run->shows_progress) {
        fprintf(stderr, "\r\033[K");
    }
    return status;
}

// ---- The end

static int report(importing *run) {
    const arguments *a = &run->arguments;
    const json_t *shown = ez_import_credentials_unsaved(run->credentials);
    bool ok = a->json ? ez_import_report_json(run->report, a->dry_run, shown, stdout)
                      : ez_import_report_text(run->report, a->dry_run, shown, stdout);
    if (run->is_lost) {
        fprintf(stderr, "ezplaned import: there was no memory to keep every new master key: rotate those you miss\n");
    }
    return !ok || run->is_lost || ez_import_report_has_failures(run->report) ? 1 : 0;
}

// What is in is in: it is reported, and its keys are given out.
static int finish(importing *run, ez_status status, const ez_error *error) {
    bool is_written = run->is_begun && !run->arguments.dry_run;
    if (status == EZ_OK) {
        return report(run);
    }
    fprintf(stderr, "ezplaned import: %s\n", error->message);
    if (!is_written) {
        return 2;
    }
    fprintf(stderr, "ezplaned import: it stopped in the middle%s: import the file again, what is in will be skipped\n",
            ez_import_sink_is_unknown(error) ? ", and whether the last rows are in is not known" : "");
    (void)report(run);
    return 1;
}

static int run_import(importing *run, const ez_settings *settings, const ez_export *file) {
    ez_error error = EZ_ERROR_INIT;
    const arguments *a = &run->arguments;
    ez_plan_options options = {.include_bindings = a->include_bindings,
                               .overwrite = a->overwrite,
                               .self_contained = a->dry_run,
                               .failed = on_failed,
                               .warned = on_warned,
                               .user = run};
    run->report = ez_import_report_create();
    ez_status status = run->report != NULL
                           ? EZ_OK
                           : ez_error_set(&error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    status = status != EZ_OK ? status : ez_plan_make(file, &options, &run->plan, &error);
    status = status != EZ_OK ? status : ez_import_sink_open(settings, &run->sink, &error);
    // A dry run makes no keys, and leaves no file.
    status = status != EZ_OK
                 ? status
                 : ez_import_credentials_open(a->dry_run ? NULL : a->credentials_file, &run->credentials, &error);
    status = status != EZ_OK ? status : run_batches(run, &error);
    int exit_status = finish(run, status, &error);
    ez_import_credentials_close(run->credentials);
    ez_import_sink_close(run->sink);
    ez_plan_free(run->plan);
    ez_import_report_destroy(run->report);
    return exit_status;
}

static int with_settings(importing *run, const ez_settings *settings) {
    ez_error error = EZ_ERROR_INIT;
    ez_export *file = NULL;
    const char *credentials = run->arguments.credentials_file;
    if (credentials != NULL && access(credentials, F_OK) == 0) {
        fprintf(stderr, "ezplaned import: %s is there already: name a new file for the credentials\n", credentials);
        return 2;
    }
    if (ez_export_open(run->arguments.file, &file, &error) != EZ_OK) {
        fprintf(stderr, "ezplaned import: %s\n", error.message);
        return 2;
    }
    run->shows_progress = isatty(STDERR_FILENO) == 1;
    int exit_status = run_import(run, settings, file);
    ez_export_close(file);
    return exit_status;
}

int ez_import_command(int argc, char **argv) {
    importing run = {0};
    if (!parse(argc, argv, &run.arguments)) {
        return 2;
    }
    if (run.arguments.help) {
        fputs(usage, stdout);
        return 0;
    }
    ez_error error = EZ_ERROR_INIT;
    ez_settings *settings = NULL;
    int rest;
    bool done;
    if (ez_settings_open("ezplaned import", "FILE", ez_server_settings, ez_server_setting_count, 1, argv, &settings,
                         &rest, &done, &error) != EZ_OK) {
        fprintf(stderr, "ezplaned import: %s\n", error.message);
        return 2;
    }
    ez_log_init("ezplaned", ez_settings_text(settings, "EZ_LOG_LEVEL"));
    int exit_status = with_settings(&run, settings);
    ez_settings_close(settings);
    return exit_status;
}
