// SPDX-License-Identifier: Apache-2.0
//
// ez_import_credentials: the master keys an import made. They are in one reply and nowhere else, so where there is a
// file for them each is on disk before the next batch is handed over. One thread.
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "proto/runtime/error.h"

typedef struct ez_import_credentials ez_import_credentials;

// path: a new file, made at once with mode 0600; NULL: none. FAILED_PRECONDITION where it can't be made or is there.
ez_status ez_import_credentials_open(const char *path, ez_import_credentials **out, ez_error *error) EZ_MUST_CHECK;
// Wipes what it holds. A file nothing was written to is taken away again.
void ez_import_credentials_close(ez_import_credentials *credentials);

// False where there is no memory: the master's key is lost and must be rotated.
bool ez_import_credentials_add(ez_import_credentials *credentials, const char *master, const char *key) EZ_MUST_CHECK;
// Brings to disk what was added: a line each, name, tab, key. FAILED_PRECONDITION, once, where that fails; from then on
// all of them are to be shown.
ez_status ez_import_credentials_sync(ez_import_credentials *credentials, ez_error *error) EZ_MUST_CHECK;

// [{"master", "master_key"}, …]: what is not safe in the file and must be shown. Borrowed.
const json_t *ez_import_credentials_unsaved(const ez_import_credentials *credentials);
