// SPDX-License-Identifier: Apache-2.0
//
// What an import says at its end, as text or as one JSON object: counts per kind, warnings, rows that failed (by kind
// and index), and the credentials it made. One thread.
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "server/domain/import/plan.h"

typedef struct ez_import_report ez_import_report;

ez_import_report *ez_import_report_create(void); // NULL: no memory
void ez_import_report_destroy(ez_import_report *report);

// Copies of what is given; control characters in it become "?", as it may be shown on a terminal. More than 10,000
// failures or warnings are counted, not kept.
void ez_import_report_failed(ez_import_report *report, ez_plan_kind kind, int64_t index, const char *reason);
void ez_import_report_warned(ez_import_report *report, const char *text);
void ez_import_report_outcome(ez_import_report *report, ez_plan_kind kind, Ez__V1__ImportOutcome outcome);

bool ez_import_report_has_failures(const ez_import_report *report);

// credentials: [{"master", "master_key"}, …], to be shown; NULL or empty: none. False where out can't be written.
bool ez_import_report_text(ez_import_report *report, bool dry_run, const json_t *credentials, FILE *out);
bool ez_import_report_json(ez_import_report *report, bool dry_run, const json_t *credentials, FILE *out);
