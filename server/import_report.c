// SPDX-License-Identifier: Apache-2.0
//
// Collected as jansson values, so that the JSON form is what was collected and the text form is read from it.
#include "server/import_report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/crypto/seal.h"

#define KEPT_MAX     10000
#define OUTCOMES_MAX 5

struct ez_import_report {
    unsigned counts[EZ_PLAN_KINDS][OUTCOMES_MAX];
    json_t *failures;
    json_t *warnings;
    json_t *credentials;
    size_t warnings_left_out;
};

static const char *const outcomes[OUTCOMES_MAX] = {"", "created", "updated", "skipped", "failed"};

ez_import_report *ez_import_report_create(void) {
    ez_import_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        return NULL;
    }
    report->failures = json_array();
    report->warnings = json_array();
    report->credentials = json_array();
    return report;
}

void ez_import_report_destroy(ez_import_report *report) {
    if (report == NULL) {
        return;
    }
    size_t i;
    json_t *made;
    json_array_foreach(report->credentials, i, made) {
        json_t *key = json_object_get(made, "master_key");
        ez_wipe((void *)(uintptr_t)json_string_value(key), json_string_length(key));
    }
    json_decref(report->failures);
    json_decref(report->warnings);
    json_decref(report->credentials);
    free(report);
}

void ez_import_report_outcome(ez_import_report *report, ez_plan_kind kind, Ez__V1__ImportOutcome outcome) {
    if (outcome > 0 && (int)outcome < OUTCOMES_MAX) {
        report->counts[kind][outcome]++;
    }
}

void ez_import_report_failed(ez_import_report *report, ez_plan_kind kind, int64_t index, const char *reason) {
    ez_import_report_outcome(report, kind, EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED);
    if (json_array_size(report->failures) < KEPT_MAX) {
        json_array_append_new(report->failures, json_pack("{s:s,s:I,s:s}", "kind", ez_plan_kind_name(kind), "index",
                                                          (json_int_t)index, "reason", reason));
    }
}

void ez_import_report_warned(ez_import_report *report, const char *text) {
    if (json_array_size(report->warnings) < KEPT_MAX) {
        json_array_append_new(report->warnings, json_string(text));
    } else {
        report->warnings_left_out++;
    }
}

void ez_import_report_credential(ez_import_report *report, const char *master, const char *key) {
    json_array_append_new(report->credentials, json_pack("{s:s,s:s}", "master", master, "master_key", key));
}

bool ez_import_report_has_failures(const ez_import_report *report) {
    return json_array_size(report->failures) > 0;
}

size_t ez_import_report_credentials(const ez_import_report *report) {
    return json_array_size(report->credentials);
}

static void write_counts(const ez_import_report *report, FILE *out) {
    fprintf(out, "%-16s %9s %9s %9s %9s\n", "", outcomes[1], outcomes[2], outcomes[3], outcomes[4]);
    for (int kind = 0; kind < EZ_PLAN_KINDS; kind++) {
        const unsigned *n = report->counts[kind];
        fprintf(out, "%-16s %9u %9u %9u %9u\n", ez_plan_kind_name((ez_plan_kind)kind), n[1], n[2], n[3], n[4]);
    }
}

bool ez_import_report_text(const ez_import_report *report, bool dry_run, bool credentials, FILE *out) {
    size_t i;
    json_t *item;
    json_array_foreach(report->warnings, i, item) {
        fprintf(out, "warning: %s\n", json_string_value(item));
    }
    if (report->warnings_left_out > 0) {
        fprintf(out, "warning: %zu more warnings are not shown\n", report->warnings_left_out);
    }
    json_array_foreach(report->failures, i, item) {
        fprintf(out, "failed: %s[%lld]: %s\n", json_string_value(json_object_get(item, "kind")),
                (long long)json_integer_value(json_object_get(item, "index")),
                json_string_value(json_object_get(item, "reason")));
    }
    if (dry_run) {
        fprintf(out, "dry run: nothing was written\n");
    }
    write_counts(report, out);
    if (credentials && json_array_size(report->credentials) > 0) {
        fprintf(out, "new master keys (shown this once):\n");
        json_array_foreach(report->credentials, i, item) {
            fprintf(out, "%s\t%s\n", json_string_value(json_object_get(item, "master")),
                    json_string_value(json_object_get(item, "master_key")));
        }
    }
    return fflush(out) == 0;
}

static json_t *counts_json(const ez_import_report *report) {
    static const char *const names[] = {"namespaces", "provider_groups", "masters", "keys", "bindings"};
    json_t *all = json_object();
    for (int kind = 0; kind < EZ_PLAN_KINDS; kind++) {
        json_t *counts = json_object();
        for (int outcome = 1; outcome < OUTCOMES_MAX; outcome++) {
            json_object_set_new(counts, outcomes[outcome], json_integer(report->counts[kind][outcome]));
        }
        json_object_set_new(all, names[kind], counts);
    }
    return all;
}

bool ez_import_report_json(const ez_import_report *report, bool dry_run, bool credentials, FILE *out) {
    json_t *whole = json_pack("{s:b,s:o,s:O,s:O}", "dry_run", dry_run, "counts", counts_json(report), "failures",
                              report->failures, "warnings", report->warnings);
    if (whole != NULL && credentials) {
        json_object_set(whole, "credentials", report->credentials);
    }
    bool ok = whole != NULL && json_dumpf(whole, out, JSON_INDENT(2)) == 0;
    fputc('\n', out);
    json_decref(whole);
    return ok && fflush(out) == 0;
}

ez_status ez_import_report_write_credentials(const ez_import_report *report, const char *file, ez_error *error) {
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL) {
        ez_status status =
            ez_error_set(error, EZ_FAILED_PRECONDITION, "CREDENTIALS_FILE", "can't make %s: %s", file, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    size_t i;
    json_t *item;
    json_array_foreach(report->credentials, i, item) {
        fprintf(out, "%s\t%s\n", json_string_value(json_object_get(item, "master")),
                json_string_value(json_object_get(item, "master_key")));
    }
    bool ok = fflush(out) == 0 && fsync(fd) == 0;
    fclose(out);
    return ok ? EZ_OK
              : ez_error_set(error, EZ_FAILED_PRECONDITION, "CREDENTIALS_FILE", "can't write %s: %s", file,
                             strerror(errno));
}
