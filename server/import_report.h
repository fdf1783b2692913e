// SPDX-License-Identifier: Apache-2.0
//
// What an import says at its end, as text or as one JSON object: counts per kind, rows that failed, warnings, and the
// credentials it made.
#pragma once

#include <stdio.h>

#include "server/domain/import/plan.h"

typedef struct ez_import_report ez_import_report;

ez_import_report *ez_import_report_create(void);         // NULL: no memory
void ez_import_report_destroy(ez_import_report *report); // wipes the credentials

// Copies of what is given. More than 10,000 failures or warnings are counted, not kept.
void ez_import_report_failed(ez_import_report *report, ez_plan_kind kind, int64_t index, const char *reason);
void ez_import_report_warned(ez_import_report *report, const char *text);
void ez_import_report_outcome(ez_import_report *report, ez_plan_kind kind, Ez__V1__ImportOutcome outcome);
void ez_import_report_credential(ez_import_report *report, const char *master, const char *key);

bool ez_import_report_has_failures(const ez_import_report *report);
size_t ez_import_report_credentials(const ez_import_report *report);

// credentials: also print them. False where out can't be written.
bool ez_import_report_text(const ez_import_report *report, bool dry_run, bool credentials, FILE *out);
bool ez_import_report_json(const ez_import_report *report, bool dry_run, bool credentials, FILE *out);
// A line each: name, tab, master key. A new file with mode 0600.
ez_status ez_import_report_write_credentials(const ez_import_report *report, const char *file,
                                             ez_error *error) EZ_MUST_CHECK;
