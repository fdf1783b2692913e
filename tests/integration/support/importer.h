// SPDX-License-Identifier: Apache-2.0
//
// "ezplaned import" as an admin runs it, and its report read back.
#pragma once

#include <jansson.h>

#include "tests/integration/support/world.h"

typedef struct ez_importer {
    char folder[EZ_TEST_PATH_MAX];
    char file[EZ_TEST_PATH_MAX + 16]; // what given_export wrote
    int status;                       // exit status of the last run
    json_t *report;                   // its --output json; NULL where there was none
    char *words;                      // its stderr
} ez_importer;

void given_importer(ez_importer *importer);
void end_importer(ez_importer *importer);
// Writes an export of version 1.0.0 with this "data", ' for ".
void given_export(ez_importer *importer, const char *format, ...) EZ_PRINTF(2, 3);
// Writes a file as it is.
void given_file(ez_importer *importer, const void *data, size_t len);
// Runs it for the server's home and store. flags: up to 6, NULL-terminated, or NULL. file: NULL: the one written.
void run_import(ez_importer *importer, ez_test_server *server, const char *const *flags, const char *file);

// "keys", "created": how many.
int imported(const ez_importer *importer, const char *kind, const char *outcome);
// Whether a warning, or a failure's reason, holds this text.
bool import_warned(const ez_importer *importer, const char *text);
bool import_failed(const ez_importer *importer, const char *kind, int index, const char *text);
// The new master key of this master, or NULL.
const char *import_credential(const ez_importer *importer, const char *master);
