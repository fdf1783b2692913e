// SPDX-License-Identifier: Apache-2.0
//
// Failures come as they are found, some before the first row is handed over; they are sorted when they are shown.
//
// The awkward case: texts from the file. They may hold what a terminal obeys, and may be cut within a character; both
// are mended when they are taken.
#include "server/import_report.h"

#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/utf8.h"

#define KEPT_MAX     10000
#define OUTCOMES_MAX 5

typedef struct failure {
    ez_plan_kind kind;
    int64_t index;
    char *reason;
} failure;

struct ez_import_report {
    size_t counts[EZ_PLAN_KINDS][OUTCOMES_MAX];
    failure *failures; // KEPT_MAX of them
    size_t failure_count, failures_left_out;
    json_t *warnings;
    size_t warnings_left_out;
};

static const char *const outcomes[OUTCOMES_MAX] = {"", "created", "updated", "skipped", "failed"};

ez_import_report *ez_import_report_create(void) {
    ez_import_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        return NULL;
    }
    report->failures = calloc(KEPT_MAX, sizeof *report->failures);
    report->warnings = json_array();
    if (report->failures == NULL || report->warnings == NULL) {
        ez_import_report_destroy(report);
        return NULL;
    }
    return report;
}

void ez_import_report_destroy(ez_import_report *report) {
    if (report == NULL) {
        return;
    }
    for (size_t i = 0; i < report->failure_count; i++) {
        free(report->failures[i].reason);
    }
    free(report->failures);
    json_decref(report->warnings);
    free(report);
}

// A copy that any terminal and any JSON may hold; NULL: no memory.
static char *clean(const char *text) {
    size_t left = strlen(text), size, len = 0;
    char *out = malloc(left + 1);
    for (; out != NULL && left > 0; text += size, left -= size) {
        uint32_t c = '?';
        size = ez_utf8_next(text, left, &c);
        if (size == 0 || c < ' ' || (c >= 0x7f && c <= 0x9f)) {
            out[len++] = '?';
            size = size == 0 ? 1 : size;
            continue;
        }
        memcpy(out + len, text, size);
        len += size;
    }
    if (out != NULL) {
        out[len] = '\0';
    }
    return out;
}

void ez_import_report_outcome(ez_import_report *report, ez_plan_kind kind, Ez__V1__ImportOutcome outcome) {
    if (outcome > 0 && (int)outcome < OUTCOMES_MAX) {
        report->counts[kind][outcome]++;
    }
}

void ez_import_report_failed(ez_import_report *report, ez_plan_kind kind, int64_t index, const char *reason) {
    char *copy = report->failure_count < KEPT_MAX ? clean(reason) : NULL;
    ez_import_report_outcome(report, kind, EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED);
    if (copy == NULL) {
        report->failures_left_out++;
        return;
    }
    report->failures[report->failure_count++] = (failure){kind, index, copy};
}

void ez_import_report_warned(ez_import_report *report, const char *text) {
    ez_autofree char *copy = json_array_size(report->warnings) < KEPT_MAX ? clean(text) : NULL;
    if (copy == NULL || json_array_append_new(report->warnings, json_string(copy)) != 0) {
        report->warnings_left_out++;
    }
}

bool ez_import_report_has_failures(const ez_import_report *report) {
    return report->failure_count + report->failures_left_out > 0;
}

static int by_place(const void *a, const void *b) {
    const failure *x = a, *y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->index != y->index) {
        return x->index < y->index ? -1 : 1;
    }
    return strcmp(x->reason, y->reason);
}

static void sort(ez_import_report *report) {
    qsort(report->failures, report->failure_count, sizeof *report->failures, by_place);
}

// ---- As text

static void write_counts(const ez_import_report *report, FILE *out) {
    fprintf(out, "%-16s %9s %9s %9s %9s\n", "", outcomes[1], outcomes[2], outcomes[3], outcomes[4]);
    for (int kind = 0; kind < EZ_PLAN_KINDS; kind++) {
        const size_t *n = report->counts[kind];
        fprintf(out, "%-16s %9zu %9zu %9zu %9zu\n", ez_plan_kind_name((ez_plan_kind)kind), n[1], n[2], n[3], n[4]);
    }
}

static void write_credentials(const json_t *credentials, FILE *out) {
    size_t i;
    json_t *made;
    if (json_array_size(credentials) == 0) {
        return;
    }
    fprintf(out, "new master keys (shown this once):\n");
    json_array_foreach(credentials, i, made) {
        ez_autofree char *name = clean(json_string_value(json_object_get(made, "master")));
        fprintf(out, "%s\t%s\n", name != NULL ? name : "?", json_string_value(json_object_get(made, "master_key")));
    }
}

bool ez_import_report_text(ez_import_report *report, bool dry_run, const json_t *credentials, FILE *out) {
    size_t i;
    json_t *item;
    json_array_foreach(report->warnings, i, item) {
        fprintf(out, "warning: %s\n", json_string_value(item));
    }
    if (report->warnings_left_out > 0) {
        fprintf(out, "warning: %zu more warnings are not shown\n", report->warnings_left_out);
    }
    sort(report);
    for (i = 0; i < report->failure_count; i++) {
        const failure *f = &report->failures[i];
        fprintf(out, "failed: %s[%lld]: %s\n", ez_plan_kind_name(f->kind), (long long)f->index, f->reason);
    }
    if (report->failures_left_out > 0) {
        fprintf(out, "failed: %zu more rows are not shown\n", report->failures_left_out);
    }
    if (dry_run) {
        fprintf(out, "dry run: nothing was written\n");
    }
    write_counts(report, out);
    write_credentials(credentials, out);
    return fflush(out) == 0 && !ferror(out);
}

// ---- As JSON

static json_t *counts_json(const ez_import_report *report) {
    static const char *const names[] = {"namespaces", "provider_groups", "masters", "keys", "bindings"};
    json_t *all = json_object();
    for (int kind = 0; kind < EZ_PLAN_KINDS; kind++) {
        json_t *counts = json_object();
        for (int outcome = 1; outcome < OUTCOMES_MAX; outcome++) {
            json_object_set_new(counts, outcomes[outcome], json_integer((json_int_t)report->counts[kind][outcome]));
        }
        json_object_set_new(all, names[kind], counts);
    }
    return all;
}

static json_t *failures_json(const ez_import_report *report) {
    json_t *all = json_array();
    for (size_t i = 0; i < report->failure_count; i++) {
        const failure *f = &report->failures[i];
        json_array_append_new(all, json_pack("{s:s,s:I,s:s}", "kind", ez_plan_kind_name(f->kind), "index",
                                             (json_int_t)f->index, "reason", f->reason));
    }
    return all;
}

bool ez_import_report_json(ez_import_report *report, bool dry_run, const json_t *credentials, FILE *out) {
    sort(report);
    json_t *whole =
        json_pack("{s:b,s:o,s:o,s:I,s:O,s:I}", "dry_run", dry_run, "counts", counts_json(report), "failures",
                  failures_json(report), "failures_left_out", (json_int_t)report->failures_left_out, "warnings",
                  report->warnings, "warnings_left_out", (json_int_t)report->warnings_left_out);
    if (whole != NULL && json_array_size(credentials) > 0) {
        json_object_set(whole, "credentials", (json_t *)(uintptr_t)credentials);
    }
    bool ok = whole != NULL && json_dumpf(whole, out, JSON_INDENT(2)) == 0;
    fputc('\n', out);
    json_decref(whole);
    return ok && fflush(out) == 0 && !ferror(out);
}
